"""Whether a parent's answer about a DS RRset is the parent's: its RRSIGs, up to a trust anchor (RFC 4035 §5).

What is proved is that a DS RRset stands in the parent zone, or that none does: by the NSEC record of its owner or one
that covers it (RFC 4035 §5.4, RFC 6840 §4), or by NSEC3 records, with opt-out (RFC 5155 §8). Whether the child is
delegated at all is not proved, since nothing follows from it here. Signatures are checked with dnspython, which knows
all algorithms that RFC 9904 has validators implement.
"""

from __future__ import annotations

from base64 import b32hexencode
from collections.abc import Iterable, Sequence
from typing import Any

import dns.dnssec
import dns.exception
import dns.message
import dns.name
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset

from server.settings.parent_servers import Anchor

_MOST_SIGNATURES = 8
"""RRSIGs that are tried for one RRset: more cost time, and prove no more."""
_MOST_ITERATIONS = 150
"""Of NSEC3's hash; above, an answer proves nothing (RFC 9276 §3.2)."""
_SHA1 = 1
_OPT_OUT = 1
_IN = dns.rdataclass.IN


def anchored_zone(anchors: Iterable[Anchor], child: dns.name.Name) -> dns.name.Name:
    """The nearest zone above `child` that an anchor is of. Raises `ValueError`."""
    above = [one.zone for one in anchors if one.zone != child and child.is_subdomain(one.zone)]
    if not above:
        raise ValueError("parent_anchor names no zone above this one")
    return max(above, key=len)


def trusted_keys(
    response: dns.message.Message, anchors: Iterable[Anchor], zone: dns.name.Name, now: float
) -> dns.rdataset.Rdataset:
    """The DNSKEY RRset of a zone, validated by one of its anchors. Raises `ValueError`."""
    found = response.get_rrset(response.answer, zone, _IN, dns.rdatatype.DNSKEY)
    if found is None:
        raise ValueError(f"the response has no DNSKEY RRset of {zone}")
    own = [one.rdata for one in anchors if one.zone == zone]
    led_to = [key for key in found if any(_leads_to(rdata, zone, key) for rdata in own)]
    if not led_to:
        raise ValueError(f"no DNSKEY of {zone} matches the setting parent_anchor")
    _validate(found, response.answer, zone, dns.rdataset.from_rdata_list(found.ttl, led_to), now)
    return dns.rdataset.from_rdata_list(found.ttl, list(found))


def _leads_to(anchor: Any, zone: dns.name.Name, key: Any) -> bool:
    if anchor.rdtype == dns.rdatatype.DNSKEY:
        return bool(anchor == key)
    if anchor.key_tag != dns.dnssec.key_id(key) or anchor.algorithm != key.algorithm:
        return False
    return bool(dns.dnssec.make_ds(zone, key, anchor.digest_type, validating=True) == anchor)


def proven_ttl(
    response: dns.message.Message,
    child: dns.name.Name,
    zone: dns.name.Name,
    keys: dns.rdataset.Rdataset,
    now: float,
) -> int:
    """Seconds for which caches keep the DS RRset in a response, or its denial, once that is proved by `keys` of `zone`.

    Of an RRset it is the TTL that was signed: anybody on the way may have lowered the other one. Raises `ValueError`.
    """
    found = response.get_rrset(response.answer, child, _IN, dns.rdatatype.DS)
    if found is not None:
        return _validate(found, response.answer, zone, keys, now)
    proofs = [one for one in response.authority if one.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3)]
    ttls = [_validate(one, response.authority, zone, keys, now) for one in proofs]
    nsec = [one for one in proofs if one.rdtype == dns.rdatatype.NSEC]
    nsec3 = [one for one in proofs if one.rdtype == dns.rdatatype.NSEC3]
    if any(_nsec_denies(one.name, one[0], child, zone) for one in nsec) or _nsec3_denies(nsec3, child, zone):
        return max(ttls)
    raise ValueError("no NSEC or NSEC3 record proves that the DS does not exist")


def _validate(
    rrset: dns.rrset.RRset,
    section: Sequence[dns.rrset.RRset],
    zone: dns.name.Name,
    keys: dns.rdataset.Rdataset,
    now: float,
) -> int:
    """Check an RRset's RRSIGs by the zone's keys; its TTL as signed. Raises `ValueError`.

    One that was expanded from a wildcard is none of ours: a DS, an NSEC and an NSEC3 record stand at their owners.
    """
    if not rrset.name.is_subdomain(zone):
        raise ValueError(f"{rrset.name} is not in the zone {zone}")
    labels = len(rrset.name.labels) - 1 - rrset.name.is_wild()
    fitting = [
        rrsig
        for one in section
        if one.name == rrset.name and one.rdtype == dns.rdatatype.RRSIG and one.covers == rrset.rdtype
        for rrsig in one
        if rrsig.signer == zone and rrsig.labels == labels
    ][:_MOST_SIGNATURES]
    what = f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}"
    if not fitting:
        raise ValueError(f"{what} has no RRSIG of {zone}")
    signatures = dns.rdataset.from_rdata_list(rrset.ttl, fitting)
    try:
        dns.dnssec.validate(rrset, (rrset.name, signatures), {zone: keys}, now=now)
    except dns.exception.DNSException as error:
        raise ValueError(f"{what} has no valid RRSIG: {error}") from None
    return max(rrset.ttl, *(int(rrsig.original_ttl) for rrsig in fitting))


def _nsec_denies(owner: dns.name.Name, nsec: Any, child: dns.name.Name, zone: dns.name.Name) -> bool:
    """Whether an NSEC record says that no DS stands at `child`: at its name, or by covering it."""
    types = _types(nsec)
    if owner == child:
        # The child's own apex says nothing of what its parent has (RFC 6840 §4.4).
        return not types & {dns.rdatatype.DS, dns.rdatatype.SOA, dns.rdatatype.CNAME}
    if child.is_subdomain(owner) and _ends_here(types):
        return False
    return owner < child and bool(child < nsec.next or nsec.next == zone)


def _ends_here(types: set[int]) -> bool:
    """Whether its record says nothing of what lies below a name: that is delegated, or redirected (RFC 6840 §4.1)."""
    delegated = dns.rdatatype.NS in types and dns.rdatatype.SOA not in types
    return delegated or dns.rdatatype.DNAME in types


def _nsec3_denies(proofs: Sequence[dns.rrset.RRset], child: dns.name.Name, zone: dns.name.Name) -> bool:
    """Whether NSEC3 records say that no DS stands at `child`: at its hash, or by a closest encloser (RFC 5155 §8.6)."""
    if not proofs:
        return False
    first: Any = proofs[0][0]
    parameters = first.algorithm, first.iterations, first.salt
    if first.algorithm != _SHA1 or first.iterations > _MOST_ITERATIONS:
        raise ValueError(f"its NSEC3 records have {first.iterations} iterations, more than this server accepts")
    records: dict[str, Any] = {}
    for one in proofs:
        nsec3: Any = one[0]
        if one.name.parent() == zone and (nsec3.algorithm, nsec3.iterations, nsec3.salt) == parameters:
            records[one.name.labels[0].decode("ascii", "replace").upper()] = nsec3

    def hashed(name: dns.name.Name) -> str:
        return dns.dnssec.nsec3_hash(name, first.salt, first.iterations, first.algorithm)

    if (matching := records.get(hashed(child))) is not None:
        return not _types(matching) & {dns.rdatatype.DS, dns.rdatatype.SOA, dns.rdatatype.CNAME}
    next_closer = child
    while next_closer != zone:
        encloser = next_closer.parent()
        if (matching := records.get(hashed(encloser))) is not None:
            covering = hashed(next_closer)
            return not _ends_here(_types(matching)) and any(
                _covers(owner, nsec3, covering) for owner, nsec3 in records.items()
            )
        next_closer = encloser
    return False


def _covers(owner: str, nsec3: Any, hashed: str) -> bool:
    following = b32hexencode(nsec3.next).decode("ascii").rstrip("=")
    if owner < following:
        return owner < hashed < following
    return hashed > owner or hashed < following  # the last one of the zone


def _types(record: Any) -> set[int]:
    """The types in the bitmap of an NSEC or NSEC3 record (RFC 4034 §4.1.2)."""
    return {
        window * 256 + place * 8 + bit
        for window, bitmap in record.windows
        for place, octet in enumerate(bitmap)
        for bit in range(8)
        if octet & 0x80 >> bit
    }
