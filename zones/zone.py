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
from zones.denial import ChainedNodes, Denial, DenialMode, NsecChain
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
        flood_denial: DenialMode | None = None,
    ) -> None:
        self.origin = origin
        self.nodes = nodes
        self.signed = signed
        self.denial = _DENIALS[denial]
        """How it says no, where it is signed."""
        self.flood_denial = flood_denial
        """How a process says no while it is flooded with random names below the apex (`in_flood`); None: as ever."""
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
        if isinstance(self.nodes, ChainedNodes):
            return self.nodes.nsec_chain()
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
        made = Zone(
            self.origin,
            changed(self.nodes, replaced),
            signed=self.signed,
            denial=self.denial.mode,
            flood_denial=self.flood_denial,
        )
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
        return self.answered_as(signed=False, denial=self.denial.mode, flood_denial=self.flood_denial)

    def in_flood(self) -> Zone:
        """The same data, denied by `flood_denial` where there is one. What is derived from the nodes is shared.

        Each kind of denial tells the truth, so that caches may have NSEC records of both.
        """
        return self.answered_as(
            signed=self.signed, denial=self.flood_denial or self.denial.mode, flood_denial=self.flood_denial
        )

    def answered_as(self, *, signed: bool, denial: DenialMode, flood_denial: DenialMode | None) -> Zone:
        """The same nodes, answered in another way."""
        if (signed, denial, flood_denial) == (self.signed, self.denial.mode, self.flood_denial):
            return self
        made = Zone(self.origin, self.nodes, signed=signed, denial=denial, flood_denial=flood_denial)
        made.__dict__.update({name: self.__dict__[name] for name in _DERIVED if name in self.__dict__})
        return made

    def with_chain_ready(self) -> Zone:
        """This zone, with the chain made that its denials show gaps of, in a flood or ever (2 to 4 µs a name).

        Who loads a zone calls it, so that no query has to wait for that.
        """
        modes = (self.denial.mode, self.flood_denial) if self.signed else ()
        if any(mode is not None and _DENIALS[mode].needs_chain for mode in modes):
            self.chain  # noqa: B018 - kept from now on
        return self


_DERIVED = ("chain", "ttls", "rrset_count")
