"""RRsets that are another one each second: weighted and multivalue answers.

The choice is not random. It is a function of zone, owner, type and the second, so that all processes answer alike and
an answer is valid until the second ends. Each possible answer is signed by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from zones.node import RRset

MOST_VALUES = 8
"""Records that a multivalue answer holds."""


class RoutedRRset(RRset):
    """Several RRsets of one owner and type, of which one is answered. Taken as an RRset it is all of them together."""

    __slots__ = ()

    def at(self, origin: bytes, owner: bytes, now: int, path: bytes = b"") -> RRset:
        """The RRset that is answered at `now` (seconds since the epoch).

        `path` tells a choice that is the option of another one from that one: each is drawn by itself.
        """
        raise NotImplementedError


class Weighted(RoutedRRset):
    """RRsets that are answered in the ratio of their weights."""

    __slots__ = ("options",)

    def __init__(self, options: Sequence[tuple[int, RRset]]) -> None:
        """`options` with their weights, which are not all 0; each of them may be a choice itself."""
        rrsets = [rrset for _, rrset in options]
        rdatas = {rdata: None for rrset in rrsets for rdata in rrset.rdatas()}
        canonical = {rdata for rrset in rrsets for rdata in rrset.canonical}
        super().__init__(rrsets[0].type, max(rrset.ttl for rrset in rrsets), list(rdatas), canonical)
        self.options = tuple(options)

    def at(self, origin: bytes, owner: bytes, now: int, path: bytes = b"") -> RRset:
        """As `RoutedRRset.at`."""
        drawn = _hash(self, origin, owner, now, path) % sum(weight for weight, _ in self.options)
        for number, (weight, rrset) in enumerate(self.options):
            drawn -= weight
            if drawn < 0:
                further = path + number.to_bytes(2)
                return rrset.at(origin, owner, now, further) if isinstance(rrset, RoutedRRset) else rrset
        raise AssertionError("the sum of the weights exceeds each drawn number")

    def with_ttl(self, ttl: int) -> RRset:
        """The same records with no TTL over `ttl`."""
        return Weighted([(weight, rrset.with_ttl(min(rrset.ttl, ttl))) for weight, rrset in self.options])


class Multivalue(RoutedRRset):
    """More records than one answer holds, of which some are answered."""

    __slots__ = ("values",)

    def __init__(self, rrtype: int, ttl: int, values: Sequence[tuple[bytes, bytes]]) -> None:
        """`values` are pairs of rdata as it is answered, and as it is signed."""
        super().__init__(rrtype, ttl, [rdata for rdata, _ in values], [canonical for _, canonical in values])
        self.values = tuple(values)

    def at(self, origin: bytes, owner: bytes, now: int, path: bytes = b"") -> RRset:
        """As `RoutedRRset.at`."""
        # A record's rank depends on what it says, not on where it stands.
        ranked = sorted(self.values, key=lambda value: _hash(self, origin, owner, now, path + value[1]))[:MOST_VALUES]
        return RRset(self.type, self.ttl, [rdata for rdata, _ in ranked], [canonical for _, canonical in ranked])

    def with_ttl(self, ttl: int) -> RRset:
        """The same records with another TTL."""
        return Multivalue(self.type, ttl, self.values)


def _hash(choice: RoutedRRset, origin: bytes, owner: bytes, now: int, what: bytes) -> int:
    seed = b"".join((origin, owner, choice.type.to_bytes(2), now.to_bytes(8), what))
    return int.from_bytes(blake2b(seed, digest_size=8).digest())
