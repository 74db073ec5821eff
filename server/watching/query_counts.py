"""Counts of queries by name, client and what else people ask for, over any time: pure values that can be added up."""

from __future__ import annotations

import msgspec

from server.watching.heavy_hitters import Tally
from server.watching.query_facts import Facts, prefix_of, rcode_of

_MANY, _FEW = 256, 32
"""Keys that are kept: of what strangers choose, and of what there are few of. With 256, what has more than 0.4 % of all
queries is never missed."""


def _many() -> Tally:
    return Tally(_MANY, {})


def _few() -> Tally:
    return Tally(_FEW, {})


class QueryCounts(msgspec.Struct, array_like=True):
    """Of some time; each count stands for all queries where only some were read."""

    names: Tally = msgspec.field(default_factory=_many)
    """By QNAME, wire form in lower case; empty where it could not be read."""
    clients: Tally = msgspec.field(default_factory=_many)
    """By /24 or /56, as its 3 or 7 octets."""
    zones: Tally = msgspec.field(default_factory=_many)
    """By the origin of the zone that answers; empty where there is none."""
    types: Tally = msgspec.field(default_factory=_few)
    """By QTYPE, two octets."""
    rcodes: Tally = msgspec.field(default_factory=_few)
    """By RCODE, one octet."""
    transports: Tally = msgspec.field(default_factory=_few)
    """By "udp" and "tcp"."""
    outcomes: Tally = msgspec.field(default_factory=_few)
    """By "sent", "slipped" and "dropped" (`query_facts.outcome_of`)."""
    queries: int = 0
    """All, whether they were read or not."""
    read: int = 0
    octets: int = 0
    """Of the responses that were sent."""

    def count(
        self, facts: Facts, client: bytes, response: bytes, outcome: bytes, weight: int, *, over_tcp: bool
    ) -> None:
        """Count one query that was read, and stands for `weight`. `response` is what was made, without its ID."""
        self.read += 1
        self.names.add(facts.name, weight)
        self.clients.add(prefix_of(client), weight)
        self.zones.add(facts.zone, weight)
        self.types.add(facts.qtype.to_bytes(2), weight)
        self.rcodes.add(rcode_of(response, facts.version).to_bytes(1), weight)
        self.transports.add(b"tcp" if over_tcp else b"udp", weight)
        self.outcomes.add(outcome, weight)

    def merge(self, other: QueryCounts) -> None:
        """Add what was counted elsewhere, or at another time."""
        for name in TALLIES:
            getattr(self, name).merge(getattr(other, name))
        self.queries += other.queries
        self.read += other.read
        self.octets += other.octets


TALLIES = ("names", "clients", "zones", "types", "rcodes", "transports", "outcomes")
"""The fields of `QueryCounts` that are tallies."""
