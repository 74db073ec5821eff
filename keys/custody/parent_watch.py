"""Looks at the parent again and again: its DS RRset, which decides what may be done to keys, and its NS RRset."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from math import ceil
from typing import Protocol

import trio

from keys.custody.action_executor import Services
from keys.custody.parent_ds_checks import SOON, is_going, is_news, look, seen, seen_lately
from keys.custody.parent_interface import Parent, ParentUnavailable
from keys.dnssec.name_text import to_text
from keys.dnssec.signing_policy import Policy
from keys.rules.events import ParentSeen
from keys.rules.keyring import Keyring
from keys.rules.parent_report import NameServers, ParentLook
from keys.rules.transitions import evolve
from keys.rules.wanted_ds import ParentDs

CompareNameServers = Callable[[], Awaitable[NameServers | None]]
"""Gives the NS RRsets of parent and zone; `None`: they can't be compared. Raises `ParentUnavailable`."""

_LONGEST_COMPARISON = 60.0  # seconds


class WatchedKeys(Protocol):
    """What the watch needs of a key manager."""

    @property
    def keyring(self) -> Keyring:
        """The keys as they are stored."""

    @property
    def policy(self) -> Policy:
        """The policy in force."""

    def tell_status(self) -> None:
        """Tell of what has changed in the status."""


class ParentWatch:
    """The watch over the parent of one zone."""

    def __init__(
        self, keeper: WatchedKeys, parent: Parent, services: Services, name_servers: CompareNameServers | None
    ) -> None:
        self._keeper, self._parent, self._services = keeper, parent, services
        self._name_servers = name_servers
        self.latest = ParentLook()
        """What came of the latest looks."""

    async def events(self) -> AsyncGenerator[ParentSeen, None]:
        """Look now and then, and when the parent's DS has changed; gives what is news of it.

        A look-up that fails is logged and made again.
        """
        told = False
        while True:
            keyring, gone = self._keeper.keyring, False
            known = _may_be_named(keyring, told=told)
            if known or keyring.served_unsigned:
                answer = await self._looked()
                for event in seen_lately(self._keeper.keyring, answer) if answer is not None else ():
                    yield event
                keyring = self._keeper.keyring
                if answer is not None and answer.known:
                    event = seen(keyring, answer)
                    first = known and keyring.parent_checked is None and answer.settled
                    if first or is_news(self._keeper.keyring, evolve(self._keeper.keyring, event)):
                        yield event
                    gone = is_going(self._keeper.keyring, answer)
                await self._compare_name_servers()
                self._keeper.tell_status()
            # A zone whose first KSK is only just being made is looked at as soon as a DS may name that.
            pause = self._keeper.policy.parent_check
            pause = pause if (known or keyring.served_unsigned) and not gone else min(SOON, pause)
            told = False
            with trio.move_on_after(pause):
                await self._parent.changed()
                told = True

    async def _looked(self) -> ParentDs | None:
        """What was seen at the parent, if anything was; a failure is logged."""
        origin = self._keeper.keyring.origin
        try:
            answer = await look(self._parent, origin)
        except ParentUnavailable as error:
            self._services.log.warning("the parent's DS can't be looked up", zone=to_text(origin), error=str(error))
            since = self.latest.failing_since
            since = ceil(self._services.now()) if since is None else since
            self.latest = self.latest._replace(failure=str(error), failing_since=since)
            return error.seen
        self.latest = self.latest._replace(ds=answer, failure=None, failing_since=None)
        return answer

    async def _compare_name_servers(self) -> None:
        """Compare the NS RRsets. No key depends on them, so whatever fails leaves what was known."""
        if self._name_servers is None:
            return
        try:
            with trio.move_on_after(_LONGEST_COMPARISON):
                self.latest = self.latest._replace(name_servers=await self._name_servers())
        except Exception as error:  # the peer's doing, as far as can be told
            zone = to_text(self._keeper.keyring.origin)
            self._services.log.info("the parent's NS can't be looked up", zone=zone, error=str(error))


def _may_be_named(keyring: Keyring, *, told: bool) -> bool:
    """Whether a DS may name a KSK of the zone, or one that named none was seen. `told`: the DS may have changed."""
    return bool(keyring.foreign_ds) or any(
        ksk.published is not None or ksk.ds_until is not None or (told and ksk.public_key is not None)
        for ksk in keyring.ksks
    )
