"""A zone compiled for answering: an immutable snapshot in wire form.

All that a query could ask about is settled when the snapshot is made: which names are authoritative, which are
delegation points, what is glue, where empty non-terminals stand (RFC 4592 §2.2.2), which name follows which
(RFC 4034 §6.1). Nothing here is changed afterwards: a change makes a new snapshot.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Protocol

from keys.dnssec.policy import MAXIMUM_SIGNED_TTL
from keys.dnssec.rrsig import canonical_order, record
from zones import names
from zones.persistent import SortedMap, changed
from zones.type_bitmap import type_bitmap

TYPE_A, TYPE_NS, TYPE_CNAME, TYPE_SOA, TYPE_AAAA = 1, 2, 5, 6, 28
TYPE_DNAME, TYPE_DS, TYPE_RRSIG, TYPE_NSEC, TYPE_DNSKEY = 39, 43, 46, 47, 48
TYPE_NXNAME, TYPE_ANY = 128, 255


class Denial(enum.Enum):
    """How a zone says no."""

    COMPACT = "compact"
    """One NSEC at the queried name itself (RFC 9824)."""
    NSEC = "nsec"
    """The classic chain of NSEC records (RFC 4035 §3.1.3)."""


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


class NsecChain(Protocol):
    """The names that own an NSEC record, in canonical order, by `names.canonical_key`."""

    def around(self, key: bytes, /) -> tuple[bytes, bytes]:
        """The name at `key` or the last one before, and the one after that; after the last comes the first.

        `key` must not lie before the first.
        """

    def changed(self, changes: Mapping[bytes, bytes | None], /) -> NsecChain:
        """The chain in which the names with these keys are there, or are not where there is None."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]:
        """The keys."""

    def values(self) -> Iterator[bytes]:
        """The names."""


class Zone:
    """One zone. Made by `zones.masterfile.load` or `zones.build`."""

    def __init__(
        self,
        origin: bytes,
        nodes: Mapping[bytes, Node],
        *,
        signed: bool = True,
        denial: Denial = Denial.COMPACT,
    ) -> None:
        self.origin = origin
        self.nodes = nodes
        self.signed = signed
        self.denial = denial
        apex = nodes[origin]
        self.soa = apex.rrsets[TYPE_SOA]
        soa = self.soa.canonical[0]
        self.serial = int.from_bytes(soa[-20:-16])
        self.negative_ttl = min(self.soa.ttl, int.from_bytes(soa[-4:]), MAXIMUM_SIGNED_TTL)
        """TTL of negative answers: the lesser of the SOA's TTL and its MINIMUM (RFC 2308 §5, RFC 9077 §3)."""
        self.negative_soa = self.soa.with_ttl(self.negative_ttl)

    def __repr__(self) -> str:
        return f"<Zone {names.to_text(self.origin)} serial {self.serial}, {len(self.nodes)} names>"

    @cached_property
    def apex_key(self) -> bytes:
        """What the canonical keys of all names of the zone begin with."""
        return names.canonical_key(self.origin)

    @cached_property
    def apex_labels(self) -> int:
        """How many labels the apex has."""
        return len(names.labels(self.origin))

    @cached_property
    def is_plain_below_apex(self) -> bool:
        """Whether no wildcard and no DNAME stands for names one label below the apex that are not there."""
        apex_has_redirect = TYPE_DNAME in self.nodes[self.origin].rrsets
        return b"\x01*" + self.origin not in self.nodes and not apex_has_redirect

    @cached_property
    def chain(self) -> NsecChain:
        """The names that own an NSEC record."""
        return SortedMap.of({names.canonical_key(owner): owner for owner, node in self.nodes.items() if node.rrsets})

    @cached_property
    def ttls(self) -> SortedMap[int, int]:
        """How many RRsets have each TTL."""
        return SortedMap.of(Counter(rrset.ttl for node in self.nodes.values() for rrset in node.rrsets.values()))

    @cached_property
    def rrset_count(self) -> int:
        """How many RRsets it holds."""
        return sum(len(node.rrsets) for node in self.nodes.values())

    @cached_property
    def glue_count(self) -> int:
        """How many RRsets referrals give beside those: addresses at and below delegation points."""
        cuts = (node for node in self.nodes.values() if node.is_cut)
        return len({(owner, rrset.type) for node in cuts for owner, rrset in node.glue + node.sibling_glue})

    @property
    def maximum_ttl(self) -> int:
        """The largest TTL of any signed RRset, negative answers included, in seconds."""
        return self.ttls.last() or 0

    def with_nodes(self, replaced: Mapping[bytes, Node | None]) -> Zone:
        """A snapshot with other nodes at these names, or none where there is None. All others are shared.

        What was derived from this one's nodes is derived for the new one from the difference.
        """
        made = Zone(self.origin, changed(self.nodes, replaced), signed=self.signed, denial=self.denial)
        derived = self.__dict__.keys()
        if "chain" in derived:
            made.chain = self.chain.changed(
                {
                    names.canonical_key(o): o if node is not None and node.rrsets else None
                    for o, node in replaced.items()
                }
            )
        differences = Counter[int]()
        for owner, node in replaced.items():
            before = self.nodes.get(owner)
            differences.update(rrset.ttl for rrset in (node.rrsets.values() if node else ()))
            differences.subtract(rrset.ttl for rrset in (before.rrsets.values() if before else ()))
        if "ttls" in derived:
            made.ttls = self.ttls.changed({t: (self.ttls.get(t) or 0) + by or None for t, by in differences.items()})
        if "rrset_count" in derived:
            made.rrset_count = self.rrset_count + differences.total()
        return made

    def as_unsigned(self) -> Zone:
        """The same data, answered without signatures. The nodes are shared: nobody asks for their bitmaps."""
        return self.answered_as(signed=False, denial=self.denial)

    def answered_as(self, *, signed: bool, denial: Denial) -> Zone:
        """The same nodes, answered in another way."""
        if (signed, denial) == (self.signed, self.denial):
            return self
        made = Zone(self.origin, self.nodes, signed=signed, denial=denial)
        made.__dict__.update({name: self.__dict__[name] for name in _DERIVED if name in self.__dict__})
        return made


_DERIVED = ("chain", "ttls", "rrset_count")


def with_delegation_signers(node: Node, rdatas: Sequence[bytes], *, signed: bool) -> Node:
    """A delegation point that has these DS rdatas beside those that it was given."""
    if not rdatas:
        return node
    given = node.rrsets.get(TYPE_DS)
    merged = canonical_order([*(given.canonical if given else ()), *rdatas])
    signers = RRset(TYPE_DS, given.ttl if given else node.rrsets[TYPE_NS].ttl, merged)
    return Node(
        {**node.rrsets, TYPE_DS: signers},
        signed_types(signed),
        is_cut=True,
        glue=node.glue,
        sibling_glue=node.sibling_glue,
    )


def signed_types(signed: bool) -> tuple[int, ...]:
    """The types that signing adds at every name that owns an NSEC record."""
    return (TYPE_RRSIG, TYPE_NSEC) if signed else ()
