"""A zone compiled for answering: an immutable snapshot in wire form.

All that a query could ask about is settled when the snapshot is made: which names are authoritative, which are
delegation points, what is glue, where empty non-terminals stand (RFC 4592 §2.2.2), which name follows which
(RFC 4034 §6.1). Nothing here is changed afterwards: a change makes a new snapshot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property

from keys.dnssec.signing_policy import MAXIMUM_SIGNED_TTL
from zones import names
from zones.denial import Denial, DenialMode, NsecChain
from zones.denial_compact import CompactDenial
from zones.denial_nsec_chain import NsecChainDenial
from zones.node import Node
from zones.persistent_map import SortedMap, changed
from zones.rrtypes import TYPE_DNAME, TYPE_SOA

_DENIALS: Mapping[DenialMode, Denial] = {denial.mode: denial for denial in (CompactDenial(), NsecChainDenial())}


class Zone:
    """One zone. Made by `zones.masterfile.load` or `zones.build_zone`."""

    def __init__(
        self,
        origin: bytes,
        nodes: Mapping[bytes, Node],
        *,
        signed: bool = True,
        denial: DenialMode = DenialMode.COMPACT,
    ) -> None:
        self.origin = origin
        self.nodes = nodes
        self.signed = signed
        self.denial = _DENIALS[denial]
        """How it says no, where it is signed."""
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
        made = Zone(self.origin, changed(self.nodes, replaced), signed=self.signed, denial=self.denial.mode)
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
        return self.answered_as(signed=False, denial=self.denial.mode)

    def answered_as(self, *, signed: bool, denial: DenialMode) -> Zone:
        """The same nodes, answered in another way."""
        if (signed, denial) == (self.signed, self.denial.mode):
            return self
        made = Zone(self.origin, self.nodes, signed=signed, denial=denial)
        made.__dict__.update({name: self.__dict__[name] for name in _DERIVED if name in self.__dict__})
        return made


_DERIVED = ("chain", "ttls", "rrset_count")
