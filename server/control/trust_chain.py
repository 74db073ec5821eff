"""The chain of trust of one answer, link by link: DS, DNSKEY, the answer or its denial (RFC 4035 §5).

A pure function of messages and a time: the server's own responses, and what is known of the parent's DS. What it gives
is a value, to be printed or drawn. It judges signatures and times; whether NSEC records prove what they should is left
to validators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import msgspec

VALID, INSECURE, BOGUS, UNKNOWN = "valid", "insecure", "bogus", "unknown"
"""The verdicts (RFC 4033 §5); `UNKNOWN` where the parent's DS is not known here."""
_KSK = 0x0001
"""The SEP flag of a DNSKEY (RFC 4034 §2.1.1)."""


class Signature(msgspec.Struct, frozen=True):
    """One RRSIG; times are seconds since the epoch."""

    key_tag: int
    inception: int
    expiration: int
    verdict: str
    why: str


class Link(msgspec.Struct, frozen=True):
    """One RRset of the chain, with what it takes to be believed."""

    kind: str
    """`DS`, `DNSKEY`, `answer` or `denial`."""
    owner: str
    type: str
    verdict: str
    why: str
    records: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()


class TrustChain(msgspec.Struct, frozen=True):
    """The chain of trust of one answer."""

    zone: str
    name: str
    type: str
    now: int
    verdict: str
    why: str
    links: tuple[Link, ...]


class ParentsDs(msgspec.Struct, frozen=True):
    """What is known of the DS RRset at the parent."""

    records: tuple[str, ...]
    """DS rdata as text."""
    is_known: bool
    source: str
    """Who says so, for people."""


def trust_chain(
    zone: str, parent: ParentsDs, dnskey: dns.message.Message, answer: dns.message.Message, now: int
) -> TrustChain:
    """The chain from the DS of `zone` to `answer`; `dnskey` is the response to a query for the zone's DNSKEY."""
    apex = dns.name.from_text(zone)
    question = answer.question[0]
    keys = dnskey.get_rrset(dnskey.answer, apex, dns.rdataclass.IN, dns.rdatatype.DNSKEY)
    links = [_ds_link(zone, parent, keys)]
    if keys is not None:
        links.append(_dnskey_link(zone, apex, parent, keys, dnskey, now))
    elif dnskey.rcode() != dns.rcode.NOERROR or parent.records:
        rcode = dns.rcode.to_text(dnskey.rcode())
        links.append(Link("DNSKEY", zone, "DNSKEY", BOGUS, f"no DNSKEY RRset: the server answers {rcode}"))
    else:
        links.append(Link("DNSKEY", zone, "DNSKEY", INSECURE, "the zone is not signed"))
    links += _answer_links(apex, keys, answer, links[-1].verdict, now)
    verdict, why = _whole(links)
    kind = dns.rdatatype.to_text(question.rdtype)
    return TrustChain(zone, question.name.to_text(), kind, now, verdict, why, tuple(links))


def _whole(links: Sequence[Link]) -> tuple[str, str]:
    for verdict in (BOGUS, INSECURE, UNKNOWN):
        for link in links:
            if link.verdict == verdict:
                return verdict, f"{link.owner} {link.type}: {link.why}"
    return VALID, "each link is signed by a key that the one before names"


def _ds_link(zone: str, parent: ParentsDs, keys: dns.rrset.RRset | None) -> Link:
    if not parent.is_known:
        why = f"the parent's DS is not known here ({parent.source})"
        return Link("DS", zone, "DS", UNKNOWN, why)
    if not parent.records:
        return Link("DS", zone, "DS", INSECURE, f"the parent has no DS of the zone ({parent.source})")
    named = [_named(text, zone, keys) for text in parent.records]
    if not any(named):
        why = f"no DS of the parent names a DNSKEY of the zone ({parent.source})"
        return Link("DS", zone, "DS", BOGUS, why, parent.records)
    tags = ", ".join(str(dns.dnssec.key_id(key)) for key in named if key is not None)
    return Link("DS", zone, "DS", VALID, f"names key {tags} ({parent.source})", parent.records)


def _named(text: str, zone: str, keys: dns.rrset.RRset | None) -> Any:
    """The DNSKEY that DS rdata names; None where there is none."""
    ds: Any = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DS, text)
    for key in keys or ():
        if dns.dnssec.key_id(key) == ds.key_tag:
            try:
                if dns.dnssec.make_ds(zone, key, ds.digest_type, validating=True) == ds:
                    return key
            except dns.exception.DNSException:
                continue
    return None


def _dnskey_link(
    zone: str, apex: dns.name.Name, parent: ParentsDs, keys: dns.rrset.RRset, response: dns.message.Message, now: int
) -> Link:
    signatures = _signatures(response.answer, keys, apex, keys, now)
    told = tuple(_key_text(key) for key in keys)
    entries = {dns.dnssec.key_id(key) for key in (_named(text, zone, keys) for text in parent.records) if key}
    by_entry = [one for one in signatures if one.key_tag in entries]
    trusted = by_entry if entries else signatures
    good = [one for one in trusted if one.verdict == VALID]
    if good:
        why = f"signed by key {', '.join(str(one.key_tag) for one in good)}"
        why += ", which the DS names" if entries else ", which no DS known here names"
        return Link("DNSKEY", zone, "DNSKEY", VALID, why, told, signatures)
    why = trusted[0].why if trusted else "no RRSIG is made by a key that the DS names"
    return Link("DNSKEY", zone, "DNSKEY", BOGUS, why, told, signatures)


def _key_text(key: Any) -> str:
    return f"{'KSK' if key.flags & _KSK else 'ZSK'} {dns.dnssec.key_id(key)} algorithm {int(key.algorithm)}"


def _answer_links(
    apex: dns.name.Name, keys: dns.rrset.RRset | None, answer: dns.message.Message, above: str, now: int
) -> list[Link]:
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        name, rcode = answer.question[0].name.to_text(), dns.rcode.to_text(answer.rcode())
        return [Link("answer", name, "", BOGUS, f"the server answers {rcode}")]
    links = []
    for kind, section in (("answer", answer.answer), ("denial", answer.authority)):
        for rrset in section:
            if rrset.rdtype != dns.rdatatype.RRSIG:
                links.append(_rrset_link(kind, apex, keys, section, rrset, above, now))
    return links


def _rrset_link(
    kind: str,
    apex: dns.name.Name,
    keys: dns.rrset.RRset | None,
    section: Sequence[dns.rrset.RRset],
    rrset: dns.rrset.RRset,
    above: str,
    now: int,
) -> Link:
    owner, rrtype = rrset.name.to_text(), dns.rdatatype.to_text(rrset.rdtype)
    records = tuple(rdata.to_text() for rdata in rrset)
    if keys is None:
        return Link(kind, owner, rrtype, above, "the zone has no DNSKEY RRset", records)
    if rrset.rdtype == dns.rdatatype.NS and kind == "denial" and rrset.name != apex:
        return Link(kind, owner, rrtype, INSECURE, "a delegation: the child's own records decide", records)
    signatures = _signatures(section, rrset, apex, keys, now)
    good = [one for one in signatures if one.verdict == VALID]
    if good:
        return Link(kind, owner, rrtype, VALID, f"signed by key {good[0].key_tag}", records, signatures)
    if above == INSECURE:
        return Link(kind, owner, rrtype, INSECURE, "the zone is not signed", records, signatures)
    why = signatures[0].why if signatures else "no RRSIG"
    return Link(kind, owner, rrtype, BOGUS, why, records, signatures)


def _signatures(
    section: Sequence[dns.rrset.RRset],
    rrset: dns.rrset.RRset,
    apex: dns.name.Name,
    keys: dns.rrset.RRset,
    now: int,
) -> tuple[Signature, ...]:
    return tuple(
        _judged(rrset, rrsig, apex, keys, now)
        for one in section
        if one.rdtype == dns.rdatatype.RRSIG and one.name == rrset.name and one.covers == rrset.rdtype
        for rrsig in one
    )


def _judged(rrset: dns.rrset.RRset, rrsig: Any, apex: dns.name.Name, keys: dns.rrset.RRset, now: int) -> Signature:
    verdict, why = VALID, "valid"
    if now < rrsig.inception:
        verdict, why = BOGUS, "not valid yet"
    elif now >= rrsig.expiration:
        verdict, why = BOGUS, "expired"
    else:
        try:
            dns.dnssec.validate_rrsig(rrset, rrsig, {apex: keys}, now=now)
        except dns.exception.DNSException as error:
            verdict, why = BOGUS, str(error) or "the signature is wrong"
    return Signature(rrsig.key_tag, rrsig.inception, rrsig.expiration, verdict, why)
