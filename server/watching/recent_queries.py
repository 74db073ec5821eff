"""What was asked in the last minutes, by all processes that answer, as a report. Pure; time is handed in.

The last minute is kept in pieces of five seconds, and what is older in whole minutes, so that a report adds up 27
pieces at most.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import dns.rcode
import dns.rdatatype
import msgspec

from server.watching.heavy_hitters import Tally
from server.watching.query_counts import TALLIES, QueryCounts
from server.watching.query_facts import BADCOOKIE, BADVERS, IPV4_PREFIX
from zones import names

LONGEST = 15
"""Minutes that are kept."""
_PIECE, _MINUTE = 5, 60
_ROWS = 100
"""Rows of a table in a report."""
UNREADABLE, NO_ZONE = "(unreadable)", "(none)"


class TopRow(msgspec.Struct, frozen=True):
    """One of the most frequent."""

    key: str
    at_least: int
    """Queries; those that were not read are estimated."""
    at_most: int


class TopReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked while somebody looked, at most so many minutes ago."""

    seconds: float
    """For which it was counted; 0: it has just begun."""
    queries: int
    read: int
    """How many of them were read; the others are taken to be like these."""
    octets: int
    """Of responses."""
    names: tuple[TopRow, ...] = ()
    clients: tuple[TopRow, ...] = ()
    """Networks: /24 or /56."""
    zones: tuple[TopRow, ...] = ()
    types: tuple[TopRow, ...] = ()
    rcodes: tuple[TopRow, ...] = ()
    transports: tuple[TopRow, ...] = ()
    outcomes: tuple[TopRow, ...] = ()
    """What became of responses: "sent", or, as their network was sent too many, "slipped" or "dropped"."""


class RecentQueries:
    """The last minutes."""

    def __init__(self, now: float) -> None:
        """`now`, as everywhere here, in seconds from any moment."""
        self._since = now
        self._last = now
        self._pieces: deque[tuple[int, QueryCounts]] = deque()
        """By the number of their five seconds, oldest first; of the last minute."""
        self._minutes: deque[tuple[int, QueryCounts]] = deque()

    def add(self, counts: QueryCounts, now: float) -> None:
        """Add what was counted up to now."""
        self._last = now
        _add(self._pieces, int(now // _PIECE), counts)
        while (self._pieces[0][0] + 1) * _PIECE <= now - _MINUTE:
            piece, old = self._pieces.popleft()
            _add(self._minutes, piece * _PIECE // _MINUTE, old)
        while self._minutes and (self._minutes[0][0] + 1) * _MINUTE <= now - LONGEST * _MINUTE:
            self._minutes.popleft()

    def report(self, minutes: int) -> TopReport:
        """The last so many minutes, as far as they were counted."""
        return next(step for step in self.reporting(minutes) if step is not None)

    def reporting(self, minutes: int) -> Iterator[TopReport | None]:
        """As `report`, in steps of about a millisecond, between which queries can be answered; the last gives it."""
        kept_now = (_MINUTE, [*self._minutes]), (_PIECE, [*self._pieces])  # others may be there after a step
        last = self._last
        begin = last - minutes * _MINUTE
        total = QueryCounts()
        covered = last
        for size, kept in kept_now:
            for number, counts in kept:
                yield None
                if (number + 1) * size > begin:
                    total.merge(counts)
                    covered = min(covered, number * size)
        tables: dict[str, tuple[TopRow, ...]] = {}
        for name in TALLIES:
            yield None
            tables[name] = _rows(getattr(total, name), _TEXTS[name])
        yield TopReport(
            seconds=round(last - max(covered, self._since), 3),
            queries=total.queries,
            read=total.read,
            octets=total.octets,
            **tables,
        )


def _add(kept: deque[tuple[int, QueryCounts]], number: int, counts: QueryCounts) -> None:
    """Add to a piece. A report that is being made goes on with the one before."""
    made = QueryCounts()
    if kept and kept[-1][0] == number:
        made.merge(kept.pop()[1])
    made.merge(counts)
    kept.append((number, made))


def _rows(tally: Tally, text: Callable[[bytes], str]) -> tuple[TopRow, ...]:
    return tuple(TopRow(text(key), at_least, at_most) for key, at_least, at_most in tally.top(_ROWS))


def client_text(prefix: bytes) -> str:
    """A network: 192.0.2.0/24, or 2001:db8::/56."""
    if len(prefix) == IPV4_PREFIX:
        return str(ipaddress.IPv4Network((prefix + b"\x00", 24)))
    return str(ipaddress.IPv6Network((prefix + bytes(16 - len(prefix)), 56)))


def type_text(qtype: int) -> str:
    """A type as master files have it; "TYPE0" where the query could not be read."""
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(qtype))


def rcode_text(rcode: int) -> str:
    """NOERROR, NXDOMAIN …"""
    if rcode in _ABOVE:
        return _ABOVE[rcode]
    return dns.rcode.to_text(dns.rcode.Rcode.make(rcode))


_ABOVE = {BADVERS: "BADVERS", BADCOOKIE: "BADCOOKIE"}
_TEXTS: Mapping[str, Callable[[bytes], str]] = {
    "names": lambda key: names.to_text(key) if key else UNREADABLE,
    "zones": lambda key: names.to_text(key) if key else NO_ZONE,
    "clients": client_text,
    "types": lambda key: type_text(int.from_bytes(key)),
    "rcodes": lambda key: rcode_text(key[0]),
    "transports": bytes.decode,
    "outcomes": bytes.decode,
}
