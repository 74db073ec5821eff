"""From a query and a zone to the sections of the response, as values: nothing is signed and nothing is joined here.

What the zone knows of a name is `zones.lookup`; how it says no is its `denial`. This walks along aliases (RFC 1034
§4.3.2) and places RRsets section by section, in message order.
"""

from __future__ import annotations

from collections.abc import Sequence

from keys.dnssec.dnskey_rrset import dnskey_records
from keys.dnssec.zone_keys import ZoneKeys
from server.query.read_query import Query, Rcode
from server.query.sections import FOREVER, Decision, Placed, Signing
from zones import names
from zones.denial import Proof
from zones.lookup import Alias, Found, NoData, NoName, Redirect, Referral, find
from zones.node import Node, RRset, UnknownDs
from zones.routing_policy import RoutedRRset
from zones.rrtypes import TYPE_ANY, TYPE_CNAME, TYPE_DNSKEY, TYPE_DS, TYPE_NS, TYPE_NSEC, TYPE_RRSIG
from zones.zone import Zone
from zones.zoneset import ServedZone, ZoneSet

CHAIN_LIMIT = 16
"""Aliases followed in one response; a resolver goes on by itself from there."""


def decide(query: Query, served: ServedZone, zoneset: ZoneSet, now: int) -> Decision:
    """What `query` gets from one zone of `zoneset` at `now`. A signed zone must have keys whose keyset serves.

    SERVFAIL, with nothing in any section, where it would take a DS that can't be told.
    """
    decider = _Decider(query, served, zoneset, now)
    decider.resolve()
    return decider.decision() if decider.can_be_told else Decision(Rcode.SERVFAIL, False, (), (), until=now + 1)


def place(owner: bytes, rrset: RRset, *, signed: bool) -> Placed:
    """An RRset of an owner that is worth remembering, with its RRSIG where it is `signed`."""
    return Placed(owner, rrset.records, Signing(rrset, owner, rrset.ttl) if signed else None)


def place_negative_soa(zone: Zone, *, signed: bool) -> Placed:
    """The SOA of a denial with the negative TTL (RFC 2308 §3); its RRSIG is over the SOA with its original TTL."""
    signing = Signing(zone.soa, zone.origin, zone.negative_ttl) if signed else None
    return Placed(zone.origin, zone.negative_soa.records, signing)


class _Decider:
    """Gathers the sections of one response."""

    def __init__(self, query: Query, served: ServedZone, zoneset: ZoneSet, now: int) -> None:
        self.served, self.zoneset, self.now = served, zoneset, now
        self.zone = served.zone
        self.keys: ZoneKeys | None = served.keys if served.zone.signed else None
        self.qtype = query.qtype
        edns = query.edns
        self.wants_signatures = self.keys is not None and edns is not None and edns.do
        self.compact_answers_ok = edns is not None and edns.co
        self.owner = query.qname
        self.answer: list[Placed] = []
        self.authority: list[Placed] = []
        self.additional: Sequence[Placed] = ()
        self.optional: Sequence[Placed] = ()
        self.proofs: list[Proof] = []
        """What the wildcards in the answer section have to prove."""
        self.proved: set[bytes] = set()
        self.redirects: set[bytes] = set()
        self.rcode = Rcode.NOERROR
        self.authoritative = True
        self.exists = True
        self.is_asked_for = True
        """Whether the client has chosen `owner`, itself or below a DNAME; not so where the zone's data led to it."""
        self.alone = True
        self.can_be_told = True
        """Not so where a DS would stand in the response that nobody can tell now (`zones.node.UnknownDs`)."""
        self.until = FOREVER

    def decision(self) -> Decision:
        """What was gathered."""
        return Decision(
            self.rcode,
            self.authoritative,
            self.answer,
            self.authority,
            self.additional,
            self.optional,
            self.until,
            self.exists,
            self.alone and self.exists,
        )

    # The walk along aliases (RFC 1034 §4.3.2, step 3)

    def resolve(self) -> None:
        """Answer for the queried name, and for each that an alias leads to."""
        seen: set[bytes] = set()
        while self.owner not in seen and len(seen) < CHAIN_LIMIT:
            self.alone = not seen
            seen.add(self.owner)
            if not self.step():
                return
            if self.is_answered_elsewhere():
                break
        self.finish_positive()

    def is_answered_elsewhere(self) -> bool:
        """Whether the name that an alias led to lies outside the zone, or in a child served here without a delegation:
        what this zone has at such a name, or lacks, is not what a query for it gets (RFC 1034 §4.3.2, step 2).
        """
        if self.zoneset.find(self.owner, self.qtype) is self.served:
            return False
        if not names.is_subdomain(self.owner, self.zone.origin):
            return True
        self.alone = False  # a delegation may come or go
        return not isinstance(find(self.zone, self.owner, self.qtype), Referral)

    def step(self) -> bool:
        """Look up one owner. True when an alias leads on."""
        if self.keys is not None and self.qtype in (TYPE_DNSKEY, TYPE_NSEC, TYPE_RRSIG) and self.made_by_signing():
            return False
        match find(self.zone, self.owner, self.qtype):
            case Found(UnknownDs()):
                self.can_be_told = False
            case Found(rrset, _, wildcard):
                self.positive(self.chosen(rrset), wildcard)
                self.finish_positive()
            case Alias(rrset, _, wildcard):
                alias = self.chosen(rrset)
                self.positive(alias, wildcard)
                self.owner, self.is_asked_for = alias.canonical[0], False
                return True
            case Redirect(owner, rrset, target):
                return self.redirect(owner, rrset, target)
            case Referral(cut, node):
                self.referral(cut, node)
            case NoData(node, wildcard):
                self.no_data(node, wildcard)
            case NoName(encloser):
                self.no_name(encloser)
        return False

    def chosen(self, rrset: RRset) -> RRset:
        """The RRset itself, or of several the one of this second."""
        if isinstance(rrset, RoutedRRset):
            self.until = min(self.until, self.now + 1)
            return rrset.at(self.zone.origin, self.owner, self.now)
        return rrset

    def positive(self, rrset: RRset, wildcard: bytes | None) -> None:
        """An RRset in the answer section; expanded from a wildcard, it may want a proof in the authority section."""
        signed_as = self.owner
        if wildcard is not None:
            self.exists = False
            if self.wants_signatures:
                self.proofs += self.zone.denial.expansion(self.zone, self.owner)
                signed_as = self.zone.denial.signed_as(self.owner, wildcard)
        self.answer.append(Placed(self.owner, rrset.records, self.signing(rrset, signed_as)))

    def redirect(self, owner: bytes, rrset: RRset, target: bytes | None) -> bool:
        """A DNAME and the CNAME made of it, which is not signed (RFC 6672 §5.3.1)."""
        self.exists = False
        if owner not in self.redirects:  # a chain may pass one DNAME more than once
            self.redirects.add(owner)
            self.answer.append(Placed(owner, rrset.records, self.signing(rrset, owner)))
        if target is None:
            self.rcode = Rcode.YXDOMAIN
            self.finish_positive()
            return False
        self.answer.append(Placed(self.owner, RRset(TYPE_CNAME, rrset.ttl, (target,)).records))
        if self.qtype == TYPE_CNAME:  # that is the answer, as a CNAME of the zone's would be
            self.finish_positive()
            return False
        self.owner = target
        return True

    def referral(self, cut: bytes, node: Node) -> None:
        """What the parent knows of a delegation: NS, DS or the proof that there is none, glue (RFC 4035 §3.1.4)."""
        self.alone = False  # its glue and the proof that it has no DS are from elsewhere
        if not self.answer:
            self.authoritative = False
        self.finish_positive()
        self.exists = self.exists and self.owner == cut
        self.authority.append(Placed(cut, node.rrsets[TYPE_NS].records))
        if self.wants_signatures:
            signers = node.rrsets.get(TYPE_DS)
            self.can_be_told = not isinstance(signers, UnknownDs)
            if signers is not None:
                self.authority.append(Placed(cut, signers.records, self.signing(signers, cut)))
            else:
                self.prove(self.zone.denial.no_signer(self.zone, cut, node))
        self.additional = [Placed(owner, rrset.records) for owner, rrset in node.glue]
        self.optional = [Placed(owner, rrset.records) for owner, rrset in node.sibling_glue]

    def no_data(self, node: Node, wildcard: bytes | None) -> None:
        """The name exists without the type asked for."""
        if self.qtype == TYPE_ANY and node.rrsets:
            # One RRset of our choice, the same each time (RFC 8482 §4.1).
            self.positive(self.chosen(node.rrsets[min(node.rrsets)]), wildcard)
            self.finish_positive()
            return
        if wildcard is not None:
            self.exists = False
        proofs = self.zone.denial.no_data(self.zone, self.owner, node, wildcard) if self.wants_signatures else []
        self.negative(proofs)

    def no_name(self, closest_encloser: bytes) -> None:
        """The name does not exist."""
        self.exists = False
        denial = self.zone.denial
        if not self.wants_signatures or denial.is_nxdomain(compact_answers_ok=self.compact_answers_ok):
            self.rcode = Rcode.NXDOMAIN
        self.negative(denial.no_name(self.zone, self.owner, closest_encloser) if self.wants_signatures else [])

    # What is in no zone file

    def made_by_signing(self) -> bool:
        """Answer for a type that only signing makes; False where the ordinary lookup goes on."""
        if self.qtype == TYPE_DNSKEY:
            return self.owner == self.zone.origin and self.dnskey()
        outcome = find(self.zone, self.owner, self.qtype)
        node: Node | None
        if isinstance(outcome, NoName) and self.zone.denial.has_every_name and self.wants_signatures:
            node, wildcard = None, None
        elif isinstance(outcome, NoData):
            node, wildcard = outcome.node, outcome.wildcard
        else:
            return False
        exists = self.exists and node is not None and wildcard is None
        made = self.nsec(node, wildcard) if self.qtype == TYPE_NSEC else self.rrsig(node, wildcard)
        if made:
            self.exists, self.alone = exists, False
            self.finish_positive()
        return made

    def dnskey(self) -> bool:
        """The DNSKEY RRset with the RRSIGs that the KSKs made ahead."""
        assert self.keys is not None
        served = self.keys.keyset.served(self.now)
        assert served is not None  # or the zone would not be asked
        records, rrsigs = dnskey_records(served)
        self.answer.append(Placed(self.owner, [*records, *rrsigs] if self.wants_signatures else records))
        self.until = min(self.until, served.until)
        self.finish_positive()
        return True

    def nsec(self, node: Node | None, wildcard: bytes | None) -> bool:
        """The NSEC record of the name itself."""
        rrset = self.zone.denial.nsec_at(self.zone, self.owner, node, wildcard)
        if rrset is not None:
            self.exists = self.exists and node is not None
            self.positive(rrset, wildcard)
        return rrset is not None

    def rrsig(self, node: Node | None, wildcard: bytes | None) -> bool:
        """One RRSIG of our choice: the same RRset's that ANY gives (RFC 8482 §4.1)."""
        if node is not None and node.rrsets:
            rrset = self.chosen(node.rrsets[min(node.rrsets)])
        else:
            made = self.zone.denial.nsec_at(self.zone, self.owner, node, None)
            if made is None:
                return False
            rrset = made
        self.exists = self.exists and node is not None and wildcard is None
        signed_as = self.owner if wildcard is None else self.zone.denial.signed_as(self.owner, wildcard)
        signing = Signing(rrset, signed_as, rrset.ttl, self.is_lasting(signed_as))
        self.answer.append(Placed(self.owner, (), signing))
        return True

    # RRsets into sections

    def signing(self, rrset: RRset, owner: bytes) -> Signing | None:
        """The RRSIG of an RRset, where it is wanted."""
        return Signing(rrset, owner, rrset.ttl, self.is_lasting(owner)) if self.wants_signatures else None

    def is_lasting(self, owner: bytes) -> bool:
        """Whether a signature under `owner` will be wanted again: not one for a name that a client has made up.

        Aliases lead to finitely many names, whether these exist or not: each link of a chain is signed once.
        """
        if self.exists or not self.is_asked_for or owner != self.owner:
            return True
        return owner in self.zone.nodes

    def finish_positive(self) -> None:
        """After the answer section: the proofs that its wildcards need."""
        self.prove(self.proofs)
        self.proofs = []

    def negative(self, proofs: list[Proof]) -> None:
        """The authority section of a denial: the SOA, and proofs."""
        self.alone = False
        self.authority.append(place_negative_soa(self.zone, signed=self.wants_signatures))
        self.prove([*proofs, *self.proofs])
        self.proofs = []

    def prove(self, proofs: list[Proof]) -> None:
        """Each NSEC record once: one may prove more than one thing (RFC 4035 §3.1.3.2)."""
        for proof in proofs:
            if proof.owner not in self.proved:
                self.proved.add(proof.owner)
                self.authority.append(Placed(proof.owner, proof.rrset.records, self.signing(proof.rrset, proof.owner)))
