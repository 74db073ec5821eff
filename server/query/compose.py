"""The sections of a response: answer, authority, additional, each RRset with its RRSIG where the client wants them."""

from __future__ import annotations

from typing import NamedTuple

from keys.dnssec.dnskey_rrset import TYPE_DNSKEY, dnskey_records
from keys.dnssec.zone_keys import ZoneKeys
from server.query.fast.caches import Caches
from server.query.wire import Body, Query, Rcode
from zones import denial, names
from zones.lookup import Alias, Found, NoData, NoName, Redirect, Referral, find
from zones.routing_policy import RoutedRRset
from zones.signing import sign
from zones.zone import (
    TYPE_ANY,
    TYPE_CNAME,
    TYPE_DS,
    TYPE_NS,
    TYPE_NSEC,
    TYPE_RRSIG,
    Denial,
    Node,
    RRset,
    Zone,
)
from zones.zoneset import ServedZone, ZoneSet

FOREVER = 1 << 62
CHAIN_LIMIT = 16
"""Aliases followed in one response; a resolver goes on by itself from there."""


class Composition(NamedTuple):
    """A response as it stands before it is known whether it fits."""

    rcode: Rcode
    authoritative: bool
    counts: tuple[int, int, int]
    records: bytes
    size: int
    """Octets of the message without its OPT record."""
    until: int
    """The second from which another answer is due: an RRSIG in it makes room for the next, or another RRset is chosen.
    In seconds since the epoch.
    """
    exists: bool
    """Whether the queried name is one of the finitely many that the zone holds."""
    alone: bool
    """Whether all of it follows from the node at the queried name and the zone's keys."""
    required: tuple[int, int]
    """Octets of the message, and additional records, without the sibling glue that may be left out."""


def compose(query: Query, served: ServedZone, zoneset: ZoneSet, now: int, caches: Caches | None) -> Composition:
    """Answer `query` from one zone of `zoneset` at `now`. A signed zone must have keys with a keyset that serves."""
    composer = _Composer(query, served, zoneset, now, caches)
    composer.resolve()
    return composer.composition()


def signed_negative_soa(zone: Zone, keys: ZoneKeys, now: int, caches: Caches | None) -> tuple[tuple[bytes, ...], int]:
    """The SOA of a denial and its RRSIG, which is over the SOA with its original TTL; and until when.

    Each denial of a zone has the same: remembering them by zone saves a fifth of a denial's time.
    """
    known = caches.negatives.get(zone.origin) if caches is not None else None
    if known is not None and now < known[1]:
        return known
    made = sign(keys, zone.origin, zone.origin, zone.soa, now)
    rrsig = made.record[:4] + zone.negative_ttl.to_bytes(4) + made.record[8:]
    known = ((*zone.negative_soa.records, rrsig), made.until)
    if caches is not None:
        caches.negatives[zone.origin] = known
    return known


class _Composer:
    """Gathers one response. Records are added section by section, in message order."""

    def __init__(self, query: Query, served: ServedZone, zoneset: ZoneSet, now: int, caches: Caches | None) -> None:
        self.served, self.zoneset = served, zoneset
        self.zone: Zone = served.zone
        self.keys: ZoneKeys | None = served.keys if served.zone.signed else None
        self.now = now
        self.caches = caches
        self.qtype = query.qtype
        edns = query.edns
        self.wants_signatures = self.keys is not None and edns is not None and edns.do
        self.compact_answers_ok = edns is not None and edns.co
        self.body = Body(query.qname, self.zone.origin)
        self.owner = query.qname
        self.proofs: list[denial.Proof] = []
        self.proved: set[bytes] = set()
        self.redirects: set[bytes] = set()
        self.counts = [0, 0, 0]
        self.section = 0
        self.rcode = Rcode.NOERROR
        self.authoritative = True
        self.exists = True
        self.alone = True
        self.required: tuple[int, int] | None = None
        self.until = served.valid_until if self.keys is not None else FOREVER

    def composition(self) -> Composition:
        answers, authorities, additionals = self.counts
        return Composition(
            self.rcode,
            self.authoritative,
            (answers, authorities, additionals),
            self.body.octets(),
            self.body.size,
            self.until,
            self.exists,
            self.alone and self.exists,
            self.required or (self.body.size, additionals),
        )

    # The walk along aliases (RFC 1034 §4.3.2, step 3)

    def resolve(self) -> None:
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
            case Found(rrset, _, wildcard):
                self.positive(self.chosen(rrset), wildcard)
                self.finish_positive()
            case Alias(rrset, _, wildcard):
                alias = self.chosen(rrset)
                self.positive(alias, wildcard)
                self.owner = alias.canonical[0]
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
                self.proofs += denial.expansion(self.zone, self.owner)
                if self.zone.denial is Denial.NSEC:
                    signed_as = wildcard
        self.add(self.owner, rrset, signed_as=signed_as)

    def redirect(self, owner: bytes, rrset: RRset, target: bytes | None) -> bool:
        """A DNAME and the CNAME made of it, which is not signed (RFC 6672 §5.3.1)."""
        self.exists = False
        if owner not in self.redirects:  # a chain may pass one DNAME more than once
            self.redirects.add(owner)
            self.add(owner, rrset)
        if target is None:
            self.rcode = Rcode.YXDOMAIN
            self.finish_positive()
            return False
        self.add(self.owner, RRset(TYPE_CNAME, rrset.ttl, (target,)), sign_it=False)
        if self.qtype == TYPE_CNAME:  # that is the answer, as a CNAME of the zone's would be
            self.finish_positive()
            return False
        self.owner = target
        return True

    def referral(self, cut: bytes, node: Node) -> None:
        """What the parent knows of a delegation: NS, DS or the proof that there is none, glue (RFC 4035 §3.1.4)."""
        self.alone = False  # its glue and the proof that it has no DS are from elsewhere
        if not self.counts[0]:
            self.authoritative = False
        self.finish_positive()
        self.exists = self.exists and self.owner == cut
        self.add(cut, node.rrsets[TYPE_NS], sign_it=False)
        if self.wants_signatures:
            signers = node.rrsets.get(TYPE_DS)
            if signers is not None:
                self.add(cut, signers)
            else:
                self.prove(denial.no_signer(self.zone, cut, node))
        self.section = 2
        for owner, rrset in node.glue:
            self.add(owner, rrset, sign_it=False)
        self.required = self.body.size, self.counts[2]
        for owner, rrset in node.sibling_glue:
            self.add(owner, rrset, sign_it=False)

    def no_data(self, node: Node, wildcard: bytes | None) -> None:
        if self.qtype == TYPE_ANY and node.rrsets:
            # One RRset of our choice, the same each time (RFC 8482 §4.1).
            self.positive(self.chosen(node.rrsets[min(node.rrsets)]), wildcard)
            self.finish_positive()
            return
        if wildcard is not None:
            self.exists = False
        proofs = denial.no_data(self.zone, self.owner, node, wildcard) if self.wants_signatures else []
        self.negative(proofs)

    def no_name(self, closest_encloser: bytes) -> None:
        self.exists = False
        compact = self.wants_signatures and self.zone.denial is Denial.COMPACT
        if not compact or self.compact_answers_ok:
            self.rcode = Rcode.NXDOMAIN
        proofs = denial.no_name(self.zone, self.owner, closest_encloser) if self.wants_signatures else []
        self.negative(proofs)

    # What is in no zone file

    def made_by_signing(self) -> bool:
        """Answer for a type that only signing makes; False where the ordinary lookup goes on."""
        if self.qtype == TYPE_DNSKEY:
            return self.owner == self.zone.origin and self.dnskey()
        outcome = find(self.zone, self.owner, self.qtype)
        if isinstance(outcome, NoName) and self.zone.denial is Denial.COMPACT and self.wants_signatures:
            node, wildcard = None, None
        elif isinstance(outcome, NoData):
            node, wildcard = outcome.node, outcome.wildcard
        else:
            return False
        return self.nsec(node, wildcard) if self.qtype == TYPE_NSEC else self.rrsig(node, wildcard)

    def dnskey(self) -> bool:
        assert self.keys is not None
        served = self.keys.keyset.served(self.now)
        assert served is not None  # or the zone would not be asked
        records, rrsigs = dnskey_records(served)
        self.counts[0] += self.body.add(self.owner, records)
        if self.wants_signatures:
            self.counts[0] += self.body.add(self.owner, rrsigs)
        self.until = min(self.until, served.until)
        self.finish_positive()
        return True

    def nsec(self, node: Node | None, wildcard: bytes | None) -> bool:
        self.exists = self.exists and node is not None and wildcard is None
        self.alone = False
        if self.zone.denial is Denial.COMPACT:
            wildcard = None
        rrset = denial.nsec_at(self.zone, self.owner if wildcard is None else wildcard, node)
        if rrset is None:
            return False
        self.positive(rrset, wildcard)
        self.finish_positive()
        return True

    def rrsig(self, node: Node | None, wildcard: bytes | None) -> bool:
        """One RRSIG of our choice: the same RRset's that ANY gives (RFC 8482 §4.1)."""
        if node is not None and node.rrsets:
            rrset = self.chosen(node.rrsets[min(node.rrsets)])
        else:
            made = denial.nsec_at(self.zone, self.owner, node)
            if made is None:
                return False
            rrset = made
        self.alone = False
        signed_as = wildcard if wildcard is not None and self.zone.denial is Denial.NSEC else self.owner
        self.exists = self.exists and node is not None and wildcard is None
        self.counts[0] += self.body.add(self.owner, (self.signature(signed_as, rrset),))
        self.finish_positive()
        return True

    # Records into sections

    def add(self, owner: bytes, rrset: RRset, *, signed_as: bytes | None = None, sign_it: bool = True) -> None:
        self.counts[self.section] += self.body.add(owner, rrset.records)
        if sign_it and self.wants_signatures:
            record = self.signature(owner if signed_as is None else signed_as, rrset)
            self.counts[self.section] += self.body.add(owner, (record,))

    def signature(self, owner: bytes, rrset: RRset) -> bytes:
        assert self.keys is not None
        # What is made for one queried name is not worth remembering: its answer is.
        worthwhile = self.caches is not None and (self.exists or owner != self.owner)
        signatures = self.caches.signatures if self.caches is not None and worthwhile else None
        made = sign(self.keys, self.zone.origin, owner, rrset, self.now, signatures)
        self.until = min(self.until, made.until)
        return made.record

    def finish_positive(self) -> None:
        """After the answer section: the proofs that its wildcards need."""
        self.section = 1
        self.prove(self.proofs)
        self.proofs = []

    def negative(self, proofs: list[denial.Proof]) -> None:
        """The authority section of a denial: proofs, and the SOA with its TTL cut to the negative TTL (RFC 2308 §3)."""
        self.alone = False
        self.section = 1
        self.counts[1] += self.body.add(self.zone.origin, self.negative_soa())
        self.prove([*proofs, *self.proofs])
        self.proofs = []

    def negative_soa(self) -> tuple[bytes, ...]:
        """The SOA of a denial, and its RRSIG where that is wanted."""
        if self.keys is None or not self.wants_signatures:
            return self.zone.negative_soa.records
        records, until = signed_negative_soa(self.zone, self.keys, self.now, self.caches)
        self.until = min(self.until, until)
        return records

    def prove(self, proofs: list[denial.Proof]) -> None:
        """Each NSEC record once: one may prove more than one thing (RFC 4035 §3.1.3.2)."""
        for proof in proofs:
            if proof.owner not in self.proved:
                self.proved.add(proof.owner)
                self.add(proof.owner, proof.rrset)
