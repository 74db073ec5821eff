"""Turns to start: of thousands of key managers a few load their keys at a time, first those that are asked for.

What a key manager loads, a keyring and private ZSKs, is needed once somebody asks its zone; until then the zone is
SERVFAIL. All at once, none would be done before nearly all are.
"""

from __future__ import annotations

import trio


class StartTurns:
    """At most `most` turns at a time, in the order in which they were wanted."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: dict[bytes, trio.Event] = {}
        """By origin, in order."""

    async def take(self, origin: bytes) -> None:
        """Wait for a turn, which has to be given back."""
        if self._free > 0:
            self._free -= 1
            return
        event = self._waiting[origin] = trio.Event()
        try:
            await event.wait()
        except trio.Cancelled:
            if self._waiting.get(origin) is event:
                del self._waiting[origin]
            else:
                self.give_back()
            raise

    def give_back(self) -> None:
        """End a turn."""
        if self._free < 0 or not self._waiting:
            self._free += 1
            return
        self._waiting.pop(next(iter(self._waiting))).set()

    def hurry(self, origin: bytes) -> None:
        """Let `origin`, if it waits, begin at once: somebody asks for it. Others wait the longer for that."""
        event = self._waiting.pop(origin, None)
        if event is not None:
            self._free -= 1
            event.set()
