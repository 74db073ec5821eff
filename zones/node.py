"""RRsets in wire form, and what is at one name: ready to be joined behind an owner pointer, and to be signed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from keys.dnssec.rrsig import canonical_order, record
from zones.rrtypes import TYPE_DS, TYPE_NS, TYPE_NSEC, TYPE_RRSIG
from zones.type_bitmap import type_bitmap


class RRset:
    """The records of one owner and type."""

    __slots__ = ("canonical", "records", "ttl", "type")

    def __init__(
        self, rrtype: int, ttl: int, rdatas: Sequence[bytes], canonical: Iterable[bytes] | None = None
    ) -> None:
        """`rdatas` as they are answered (names in the spelling of the zone file); `canonical` as they are signed."""
        self.type = rrtype
        self.ttl = ttl
        self.records = tuple(record(rrtype, ttl, rdata) for rdata in rdatas)
        """Each record without its owner, ready to join behind an owner pointer."""
        self.canonical = canonical_order(rdatas if canonical is None else canonical)

    @classmethod
    def of_one(cls, rrtype: int, ttl: int, rdata: bytes, canonical: bytes) -> RRset:
        """The RRset of a single record, as most are."""
        made = cls.__new__(cls)
        made.type, made.ttl, made.records, made.canonical = rrtype, ttl, (record(rrtype, ttl, rdata),), (canonical,)
        return made

    def __repr__(self) -> str:
        return f"<RRset type {self.type}, {len(self.records)} records>"

    def rdatas(self) -> list[bytes]:
        """The rdata of each record as it is answered."""
        return [record_[10:] for record_ in self.records]

    def with_ttl(self, ttl: int) -> RRset:
        """The same records with another TTL."""
        return RRset(self.type, ttl, self.rdatas(), self.canonical)


class UnknownDs(RRset):
    """The DS RRset of a delegation that can't be told now, since the keys of the child, which is served here, can't.

    It stands in the type bitmap, so that no NSEC record denies it, and has no records: who asks for it, or for a
    referral that would carry it, gets SERVFAIL.
    """

    __slots__ = ()

    def __init__(self, ttl: int) -> None:
        super().__init__(TYPE_DS, ttl, ())


Glue = tuple[tuple[bytes, RRset], ...]
"""Address RRsets with their owners."""


_bitmap = lru_cache(maxsize=4096)(type_bitmap)
"""1.5 µs otherwise, and most names of a zone have the same few types."""


class Node:
    """What is at one authoritative name or delegation point; without RRsets, an empty non-terminal."""

    __slots__ = ("bitmap", "glue", "is_cut", "rrsets", "sibling_glue")

    def __init__(
        self,
        rrsets: Mapping[int, RRset],
        extra_types: Iterable[int] = (),
        *,
        is_cut: bool = False,
        glue: Glue = (),
        sibling_glue: Glue = (),
    ) -> None:
        self.rrsets = rrsets
        self.is_cut = is_cut
        """A delegation point: the RRsets are NS and perhaps DS."""
        self.glue = glue
        """Addresses of name servers at or below the delegation point, which a referral must give (RFC 9471 §3.1)."""
        self.sibling_glue = sibling_glue
        """Addresses of name servers below other delegation points, given where they fit (RFC 9471 §3.2)."""
        self.bitmap = _bitmap(frozenset((*rrsets, *extra_types)))
        """The type bitmap of its NSEC record, NSEC and RRSIG not forgotten where the zone is signed."""

    @classmethod
    def of_bitmap(
        cls, rrsets: Mapping[int, RRset], bitmap: bytes, *, is_cut: bool, glue: Glue, sibling_glue: Glue
    ) -> Node:
        """The node whose bitmap is known already."""
        made = cls.__new__(cls)
        made.rrsets, made.bitmap, made.is_cut, made.glue, made.sibling_glue = rrsets, bitmap, is_cut, glue, sibling_glue
        return made

    def with_rrset(self, rrset: RRset, *, signed: bool) -> Node:
        """The node with this RRset in the place of the one of its type; `signed` is whether the zone is."""
        return Node(
            {**self.rrsets, rrset.type: rrset},
            signed_types(signed),
            is_cut=self.is_cut,
            glue=self.glue,
            sibling_glue=self.sibling_glue,
        )


def with_delegation_signers(node: Node, rdatas: Sequence[bytes], *, signed: bool) -> Node:
    """A delegation point that has these DS rdatas beside those that it was given."""
    if not rdatas:
        return node
    given = node.rrsets.get(TYPE_DS)
    merged = canonical_order([*(given.canonical if given else ()), *rdatas])
    return node.with_rrset(RRset(TYPE_DS, given.ttl if given else node.rrsets[TYPE_NS].ttl, merged), signed=signed)


def signed_types(signed: bool) -> tuple[int, ...]:
    """The types that signing adds at every name that owns an NSEC record."""
    return (TYPE_RRSIG, TYPE_NSEC) if signed else ()
