"""Which connections of a listener are held, and which of them goes when there are too many.

It is always one that waits for its client (who sends nothing, or takes nothing). One that was never signed for goes
first: strangers with many addresses close no connection of somebody who is known. Among those it is one of the client
who has most, so that nobody's connections are in the way of another's, and of them the one that has waited longest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from keys.aws.http_limits import Limits
from keys.aws.limited_log import LimitedLog


class Held:
    """One connection, as the others see it."""

    def __init__(self, sock: trio.socket.SocketType, client: str, *, known: bool) -> None:
        self._socket = sock
        self.client = client
        """Whom its address stands for."""
        self.known = known
        """Whether a request on it was signed as it must be."""
        self.waits_since: float | None = trio.current_time()
        """Since when it waits for its client; `None`: the client waits for us."""
        self.body = 0
        """Octets of the body that it holds."""

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While the client waits for an answer."""
        self.waits_since = None
        try:
            yield
        finally:
            self.waits_since = trio.current_time()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While we wait for the client."""
        before, self.waits_since = self.waits_since, trio.current_time()
        try:
            yield
        finally:
            self.waits_since = before

    def close(self) -> None:
        """Close it: the task that waits for the client wakes up, and ends."""
        self._socket.close()


class Connections:
    """All that are open on a listener."""

    def __init__(self, limits: Limits, log: LimitedLog) -> None:
        self._limits = limits
        self._log = log
        self._held: dict[Held, None] = {}
        self._bodies = 0
        self._none_left = trio.Event()

    def add(self, held: Held) -> None:
        """It is open."""
        self._held[held] = None

    def remove(self, held: Held) -> None:
        """It is closed."""
        self.release(held)
        self._held.pop(held, None)
        if not self._held:
            self._none_left.set()
            self._none_left = trio.Event()

    @property
    def is_full(self) -> bool:
        """Whether another has to be closed before one more is held."""
        return len(self._held) >= self._limits.connections

    def make_room(self, client: str) -> bool:
        """Whether one more from `client` may be held; another is closed for it where there are too many."""
        if not self.is_full:
            return True
        of_client = Counter(held.client for held in self._held)
        of_client[client] += 1
        candidates = [held for held in self._held if held.waits_since is not None]
        victim = max(
            candidates,
            key=lambda held: (not held.known, of_client[held.client], -(held.waits_since or 0)),
            default=None,
        )
        self._log.note(f"{self._limits.connections} HTTP connections are open", "closing the one idle longest")
        if victim is not None and of_client[victim.client] < of_client[client]:  # then one of its own
            own = (held for held in candidates if held.client == client)
            victim = max(own, key=lambda held: (not held.known, -(held.waits_since or 0)), default=None)
        if victim is None:
            return False
        self._held.pop(victim)
        victim.close()
        return True

    def hold(self, held: Held, octets: int) -> bool:
        """Count octets of a body; `False`: there is no room for them.

        Where there are too many, the connection with most that still waits for its client is closed.
        """
        held.body += octets
        self._bodies += octets
        while self._bodies > self._limits.bodies:
            candidates = [other for other in self._held if other.body and other.waits_since is not None]
            victim = max(candidates, key=lambda other: (not other.known, other.body), default=None)
            if victim is None:
                return False
            self._log.note("HTTP request bodies exceed their memory", "closing the connection with the largest")
            self.release(victim)
            victim.close()
        return True

    def release(self, held: Held) -> None:
        """The body of its request is no longer held."""
        self._bodies -= held.body
        held.body = 0

    async def close_at_the_end(self, seconds: float) -> None:
        """Once cancelled, close those of strangers, wait so long for the others that are sending, and close them."""
        try:
            await trio.sleep_forever()
        finally:
            for held in list(self._held):
                if not held.known:
                    held.close()
            if self._held:
                with trio.move_on_after(seconds, shield=True):
                    await self._none_left.wait()
            for held in list(self._held):
                held.close()
