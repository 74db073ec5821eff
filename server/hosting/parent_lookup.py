"""The parent zone of a zone, looked up where the setting says: in the zones that are served here, or at its servers."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import trio

from keys.custody.parent_interface import ParentUnavailable
from keys.rules.parent_report import NameServers
from keys.rules.wanted_ds import ParentDs
from server.hosting.remote_parent import RemoteParent
from server.hosting.shown_ds import ShownDs
from server.settings.configuration import LOCAL, Where
from zones import names
from zones.node import RRset, UnknownDs
from zones.parent_child import delegation_point
from zones.rrtypes import TYPE_DS, TYPE_NS
from zones.zoneset import ServedZone, ZoneSet


def parent_for(
    where: Where, zoneset: Callable[[], ZoneSet], now: Callable[[], float], shown: ShownDs | None = None
) -> RemoteParent | LocalParent | None:
    """Who looks up the DS as the zone's setting says; `None` where nothing is to be checked.

    `shown` is what parents served here have shown of the zone until now.
    """
    match where:
        case None:
            return None
        case "auto" | "local":
            return LocalParent(zoneset, now, shown, required=where == LOCAL)
        case _:
            return RemoteParent(where, now)


async def compared_name_servers(
    parent: RemoteParent | LocalParent | None, origin: bytes, zoneset: Callable[[], ZoneSet]
) -> NameServers | None:
    """The NS records that the parent and the zone itself have; `None` where one of them can't be told.

    Raises `ParentUnavailable`.
    """
    above = await parent.delegation(origin) if parent is not None else None
    served = zoneset().get(origin)
    if above is None or served is None:
        return None
    rrset = served.zone.nodes[origin].rrsets.get(TYPE_NS)
    if rrset is None:
        return None
    return NameServers(*(tuple(sorted(map(names.to_text, one))) for one in (above, rrset.canonical)))


class LocalParent:
    """A parent zone that is served by this process: what it answers now, with the DS records it has by itself."""

    def __init__(
        self,
        zoneset: Callable[[], ZoneSet],
        now: Callable[[], float],
        shown: ShownDs | None = None,
        *,
        required: bool = True,
    ) -> None:
        """Without `required`, a zone whose parent isn't served here is one whose parent nobody knows.

        `shown`, which is of one zone, is kept up to date.
        """
        self._zoneset = zoneset
        self._now = now
        self._required = required
        self._shown = shown
        self._changed = trio.Event()

    async def look_up(self, origin: bytes) -> ParentDs:
        """As `Parent.look_up`."""
        self.note(origin)
        served, lately = self._served(origin), self._shown.lately() if self._shown is not None else ()
        if served is None:
            unknown = ParentDs((), 0, ceil(self._now()), known=False, lately=lately)
            if not self._required:
                return unknown
            raise ParentUnavailable(f"this server has no parent zone of {names.to_text(origin)}", unknown)
        if TYPE_NS not in served.zone.nodes[served.zone.origin].rrsets:
            raise ParentUnavailable(f"the parent zone {names.to_text(served.zone.origin)} is not loaded")
        rrset = _ds(served, origin)
        if isinstance(rrset, UnknownDs):
            raise ParentUnavailable(f"the DS of {names.to_text(origin)} is unknown until its keys are loaded")
        seen_at = ceil(self._now())
        if rrset is None:
            return ParentDs((), served.zone.negative_ttl, seen_at, lately=lately)
        return ParentDs(tuple(rrset.canonical), rrset.ttl, seen_at, lately=lately)

    def note(self, origin: bytes) -> None:
        """Remember which DS is shown now: whether the keys' state can store it or not, it is in caches."""
        if self._shown is None:
            return
        served = self._served(origin)
        rrset = _ds(served, origin) if served is not None else None
        rdatas = () if rrset is None or isinstance(rrset, UnknownDs) else tuple(rrset.canonical)
        self._shown.note(rdatas, rrset.ttl if rrset is not None else 0, ceil(self._now()))

    def is_asked(self, origin: bytes) -> bool:
        """Whether anything is to be learned here, or refused for want of it."""
        return self._required or self._served(origin) is not None

    async def changed(self) -> None:
        """As `Parent.changed`, for one who waits."""
        await self._changed.wait()
        self._changed = trio.Event()

    def tell_changed(self, origin: bytes) -> None:
        """To be told after the zone above `origin` was replaced."""
        self.note(origin)
        self._changed.set()

    async def delegation(self, origin: bytes) -> frozenset[bytes] | None:
        """As `RemoteParent.delegation`; a parent that isn't served here delegates nothing."""
        served = self._served(origin)
        node = served.zone.nodes.get(origin) if served is not None else None
        rrset = node.rrsets.get(TYPE_NS) if node is not None else None
        return frozenset(rrset.canonical) if rrset is not None else None

    def _served(self, origin: bytes) -> ServedZone | None:
        """The zone above `origin`; `None` also where that has delegated what lies between to somebody else."""
        served = self._zoneset().find(origin, TYPE_DS)
        if served is None or served.zone.origin == origin:
            return None
        return served if delegation_point(served.zone, names.parent(origin)) is None else None


def _ds(served: ServedZone, origin: bytes) -> RRset | None:
    """The DS RRset of `origin` in the zone above."""
    node = served.zone.nodes.get(origin)
    return node.rrsets.get(TYPE_DS) if node is not None else None
