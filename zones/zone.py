"""A zone compiled for answering: an immutable snapshot in wire form.

All that a query could ask about is settled when the snapshot is made: which names are authoritative, which are
delegation points, what is glue, where empty non-terminals stand (RFC 4592 §2.2.2), which name follows which
(RFC 4034 §6.1). Nothing here is changed afterwards: a change makes a new snapshot.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from keys.model import MAXIMUM_SIGNED_TTL
from keys.rrsig import canonical_order, record
from zones import names
from zones.bitmap import type_bitmap

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
        self.bitmap = type_bitmap({*rrsets, *extra_types})
        """The type bitmap of its NSEC record, NSEC and RRSIG not forgotten where the zone is signed."""


class Zone:
    """One zone. Made by `zones.load` or `zones.build`."""

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
    def chain(self) -> tuple[list[tuple[bytes, ...]], list[bytes]]:
        """The names that own an NSEC record, in canonical order: their sort keys, and the names themselves."""
        owners = sorted((names.canonical_key(owner), owner) for owner, node in self.nodes.items() if node.rrsets)
        return [key for key, _ in owners], [owner for _, owner in owners]

    @cached_property
    def cuts(self) -> frozenset[bytes]:
        """The delegation points."""
        return frozenset(owner for owner, node in self.nodes.items() if node.is_cut)

    @cached_property
    def rrset_count(self) -> int:
        """How many RRsets it holds."""
        return sum(len(node.rrsets) for node in self.nodes.values())

    @cached_property
    def maximum_ttl(self) -> int:
        """The largest TTL of any signed RRset, negative answers included, in seconds."""
        return max((rrset.ttl for node in self.nodes.values() for rrset in node.rrsets.values()), default=0)

    def with_delegation_signers(self, signers: Mapping[bytes, Sequence[bytes]]) -> Zone:
        """A snapshot in which delegation points have these DS rdatas beside those of the zone file.

        Names that are no delegation points of this zone are passed over. All other nodes are shared.
        """
        nodes = dict(self.nodes)
        for owner, rdatas in signers.items():
            node = nodes.get(owner)
            if node is None or not node.is_cut or not rdatas:
                continue
            nameservers = node.rrsets[TYPE_NS]
            given = node.rrsets.get(TYPE_DS)
            merged = canonical_order([*(given.canonical if given else ()), *rdatas])
            delegation = {**node.rrsets, TYPE_DS: RRset(TYPE_DS, given.ttl if given else nameservers.ttl, merged)}
            nodes[owner] = Node(
                delegation, signed_types(self.signed), is_cut=True, glue=node.glue, sibling_glue=node.sibling_glue
            )
        return Zone(self.origin, nodes, signed=self.signed, denial=self.denial)


def signed_types(signed: bool) -> tuple[int, ...]:
    """The types that signing adds at every name that owns an NSEC record."""
    return (TYPE_RRSIG, TYPE_NSEC) if signed else ()
