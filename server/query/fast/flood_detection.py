"""Which zones are flooded with random names, and so are better denied by their NSEC chains: pure, time is handed in.

Compact denial needs a signature of 17 µs for each name that does not exist, and each that a wildcard stands for. The
chain needs none once its gaps are signed, and resolvers that use it (RFC 8198) stop asking. But it shows the names of a
zone. So only a zone whose owner allows that (`Zone.flood_denial`) is denied by it, and only in a flood.

What counts are different names in a second, since a name that is asked for again is remembered. `ON_ABOVE` of them take
3 % of a core, and are more than resolvers that cache denials ask of an honest zone. Each process decides by what it
sees. A flood ends after `OFF_AFTER` seconds of a quarter of that, so a zone whose load is always near the bound does
not go to and fro. A switch costs the zone's denials that are remembered, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from zones import names
from zones.lookup import Alias, Found, NoData, NoName, Redirect, find
from zones.zone import Zone
from zones.zoneset import ZoneSet

ON_ABOVE = 1000
"""Names in a second; more, and the second speaks for a flood."""
ON_AFTER = 2
"""Such seconds in a row, after which a zone is flooded."""
OFF_BELOW = ON_ABOVE // 4
"""Names in a second; fewer, and the second speaks for the end of a flood."""
OFF_AFTER = 30
"""Such seconds in a row, after which it is over."""
_REDIRECTS = 16

Switched = Callable[[bytes, bool], None]
"""Called with the origin of a zone when a flood begins or ends. Must not raise."""


def unheard(_: bytes, __: bool) -> None:
    """Where nobody wants to know."""


class Flood(NamedTuple):
    """Whether a zone is flooded."""

    is_on: bool = False
    seconds: int = 0
    """How many in a row speak for the contrary."""


def after(flood: Flood, count: int, seconds: int = 1) -> Flood:
    """What is so after so many seconds more, in each of which `count` names needed a signature, or would have."""
    speaks = count < OFF_BELOW if flood.is_on else count > ON_ABOVE
    if not speaks:
        return Flood(flood.is_on)
    in_a_row = flood.seconds + seconds
    if in_a_row >= (OFF_AFTER if flood.is_on else ON_AFTER):
        return Flood(not flood.is_on)
    return Flood(flood.is_on, in_a_row)


class Names:
    """The different names of one zone that need a signature of their own, in this second: no more than matter."""

    __slots__ = ("_seen", "flood")

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self.flood = Flood()

    def note(self, owner: bytes) -> None:
        """Count a name."""
        seen = self._seen
        if len(seen) <= ON_ABOVE:
            seen.add(owner)

    def pass_seconds(self, seconds: int) -> bool:
        """Begin another second, so many after the last one; whether that makes a difference to the zone's answers."""
        before = self.flood.is_on
        self.flood = after(self.flood, len(self._seen))
        self._seen.clear()
        if seconds > 1:
            self.flood = after(self.flood, 0, seconds - 1)
        return self.flood.is_on is not before


class FloodDetection:
    """What one process knows of floods, and the zones as it is to answer them therefore."""

    def __init__(self, switched: Switched = unheard) -> None:
        self._switched = switched
        self._second = 0
        self._names: dict[bytes, Names] = {}
        """By origin; as many as there are zones with `flood_denial`."""
        self._given = self._answered = ZoneSet()

    def answered(self, zoneset: ZoneSet, now: int) -> ZoneSet:
        """The zones to answer from at `now` (seconds): `zoneset`, with those that are flooded as `Zone.in_flood` has
        them. The same as long as there is no other `zoneset`, nor another second in which that changes.
        """
        has_changed = zoneset is not self._given
        if has_changed:
            self._given = zoneset
            self._forget_others(zoneset)
        if now != self._second:
            # A clock that was set back says nothing of how long it is.
            seconds = now - self._second if now > self._second else 1
            self._second = now
            for origin, seen in self._names.items():
                if seen.pass_seconds(seconds):
                    has_changed = True
                    self._switched(origin, seen.flood.is_on)
        if has_changed:
            flooded = [origin for origin, seen in self._names.items() if seen.flood.is_on]
            self._answered = zoneset.in_flood(flooded)
        return self._answered

    def names(self, zone: Zone) -> Names | None:
        """Where to note names of a signed zone, until `answered` gives another set; None where they do not count."""
        if zone.flood_denial is None:
            return None
        found = self._names.get(zone.origin)
        if found is None:
            found = self._names[zone.origin] = Names()
        return found

    def states(self) -> dict[bytes, bool]:
        """By origin whether a zone is flooded, of those that were asked for names that do not exist."""
        return {origin: seen.flood.is_on for origin, seen in self._names.items()}

    def _forget_others(self, zoneset: ZoneSet) -> None:
        for origin in list(self._names):
            served = zoneset.get(origin)
            if served is None or served.zone.flood_denial is None:
                del self._names[origin]


def wants_own_signature(zone: Zone, owner: bytes, rrtype: int) -> bool:
    """Whether compact denial signs a record for `owner` alone, which is a name of a client's making: one that does not
    exist, or that a wildcard stands for, be it behind a DNAME.
    """
    for _ in range(_REDIRECTS):
        match find(zone, owner, rrtype):
            case NoName():
                return True
            case Found(wildcard=wildcard) | Alias(wildcard=wildcard) | NoData(wildcard=wildcard):
                return wildcard is not None
            case Redirect(target=bytes(target)) if names.is_subdomain(target, zone.origin):
                owner = target
            case _:
                return False
    return False
