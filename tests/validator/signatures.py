"""RRsets out of a message's sections, and the RRSIGs over them (RFC 4035 §5.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

import dns.name
import dns.rdatatype
import dns.rrset
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from dns.name import Name
from dns.rdatatype import RdataType

SKEW = 3600
"""Seconds by which a validator's clock may be wrong."""


class Bogus(Exception):  # noqa: N818 (the term of RFC 4033 §5)
    """A response that a validator refuses."""


class Verified(NamedTuple):
    """An RRset whose signatures hold."""

    rrset: dns.rrset.RRset
    encloser: Name | None
    """Where it was expanded from a wildcard: the name right above that wildcard."""


class Section:
    """The RRsets of one section; what is taken out has been accounted for."""

    def __init__(self, records: Iterable[dns.rrset.RRset]) -> None:
        """`records` as dnspython parses them with `one_rr_per_rrset`."""
        self.rrsets: dict[tuple[Name, int], dns.rrset.RRset] = {}
        self.rrsigs: dict[tuple[Name, int], dns.rrset.RRset] = {}
        last = None
        for record in records:
            rdata = record[0]
            is_signature = record.rdtype == RdataType.RRSIG
            covered = rdata.type_covered if is_signature else record.rdtype
            held = self.rrsigs if is_signature else self.rrsets
            key = (record.name, int(covered))
            place = (*key, is_signature)
            if key not in held:
                held[key] = dns.rrset.RRset(record.name, record.rdclass, record.rdtype, rdata.covers())
            elif place != last:
                raise Bogus(f"the records of {record.name} {record.rdtype} are apart")
            rrset = held[key]
            if rdata in rrset:
                raise Bogus(f"{record.name} {dns.rdatatype.to_text(record.rdtype)} holds a record twice")
            if len(rrset) and record.ttl != rrset.ttl:
                raise Bogus(f"{record.name} {record.rdtype} has two TTLs")
            rrset.add(rdata, record.ttl)
            last = place

    def take(self, name: Name, rdtype: int) -> tuple[dns.rrset.RRset, dns.rrset.RRset | None] | None:
        """The RRset with its RRSIGs, if it is there."""
        rrset = self.rrsets.pop((name, int(rdtype)), None)
        if rrset is None:
            return None
        return rrset, self.rrsigs.pop((name, int(rdtype)), None)

    def must_be_empty(self, title: str) -> None:
        """Raise `Bogus` when something was not needed."""
        for rrset in (*self.rrsets.values(), *self.rrsigs.values()):
            raise Bogus(f"{title} section: nobody needs {rrset}")


class Keys:
    """The zone's DNSKEY RRset, trusted."""

    def __init__(self, dnskeys: dns.rrset.RRset, now: int, skew: int = SKEW) -> None:
        self.apex = dnskeys.name
        self.dnskeys = dnskeys
        self.now = now
        self.skew = skew

    def verify(self, taken: tuple[dns.rrset.RRset, dns.rrset.RRset | None]) -> Verified:
        """Check each RRSIG over the RRset; there must be one, and no two may disagree on its origin."""
        rrset, rrsigs = taken
        what = f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}"
        if rrsigs is None:
            raise Bogus(f"{what} is not signed")
        if rrsigs.ttl != rrset.ttl:
            raise Bogus(f"{what}: the RRSIG's TTL {rrsigs.ttl} is not the RRset's {rrset.ttl}")
        enclosers = {self._verify(rrset, rrsig, what) for rrsig in rrsigs}
        if len(enclosers) != 1:
            raise Bogus(f"{what}: RRSIGs of different labels")
        return Verified(rrset, enclosers.pop())

    def _verify(self, rrset: dns.rrset.RRset, rrsig: Any, what: str) -> Name | None:
        name = rrset.name
        if rrsig.signer != self.apex or not name.is_subdomain(self.apex):
            raise Bogus(f"{what}: signed by {rrsig.signer}, which is not {self.apex}")
        if rrsig.original_ttl < rrset.ttl:
            raise Bogus(f"{what}: TTL {rrset.ttl} over the original {rrsig.original_ttl}")
        if not rrsig.inception <= self.now - self.skew:
            raise Bogus(f"{what}: valid only from {rrsig.inception}, now is {self.now}")
        if not self.now + rrset.ttl + self.skew <= rrsig.expiration:
            raise Bogus(f"{what}: expires at {rrsig.expiration}, now is {self.now}, TTL {rrset.ttl}")
        encloser = self._encloser(name, rrsig.labels, what)
        signed_as = name if encloser is None else Name((b"*", *encloser.labels))
        self._check_key(rrset, rrsig, _signed_data(signed_as, rrset, rrsig), what)
        return encloser

    def _encloser(self, name: Name, labels: int, what: str) -> Name | None:
        own = len(name.labels) - 1 - (name.labels[0] == b"*")
        if labels > own:
            raise Bogus(f"{what}: the RRSIG counts {labels} labels, there are {own}")
        return None if labels == own else Name(name.labels[-(labels + 1) :])

    def _check_key(self, rrset: dns.rrset.RRset, rrsig: Any, data: bytes, what: str) -> None:
        for dnskey in self.dnskeys:
            if _key_tag(dnskey.to_wire()) != rrsig.key_tag or dnskey.algorithm != rrsig.algorithm:
                continue
            is_ksk = bool(dnskey.flags & 1)
            if is_ksk != (rrset.rdtype == RdataType.DNSKEY):
                raise Bogus(f"{what}: signed by the {'KSK' if is_ksk else 'ZSK'}")
            if _verifies(dnskey.key, rrsig.signature, data):
                return
        raise Bogus(f"{what}: no key verifies the RRSIG of key tag {rrsig.key_tag}")


def _signed_data(name: Name, rrset: dns.rrset.RRset, rrsig: Any) -> bytes:
    """RFC 4034 §3.1.8.1."""
    parts = [
        struct.pack(
            "!HBBIIIH",
            rrsig.type_covered,
            rrsig.algorithm,
            rrsig.labels,
            rrsig.original_ttl,
            rrsig.expiration,
            rrsig.inception,
            rrsig.key_tag,
        ),
        rrsig.signer.to_digestable(),
    ]
    owner = name.to_digestable()
    for rdata in sorted(_canonical(rdata) for rdata in rrset):
        parts.append(owner + struct.pack("!HHIH", rrset.rdtype, 1, rrsig.original_ttl, len(rdata)) + rdata)
    return b"".join(parts)


_OLD_NAMES = {"MD": 1, "MF": 1, "MB": 1, "MG": 1, "MR": 1, "MINFO": 2, "NXT": 1, "A6": 1}
"""Types of RFC 4034 §6.2 that dnspython does not know, and how many names each has."""


def _canonical(rdata: Any) -> bytes:
    """RFC 4034 §6.2."""
    wire: bytes = rdata.to_digestable()
    mnemonic = RdataType.make(rdata.rdtype).name
    if mnemonic not in _OLD_NAMES:
        return wire
    at = 1 + (128 - wire[0] + 7) // 8 if mnemonic == "A6" else 0
    count = _OLD_NAMES[mnemonic] if mnemonic != "A6" or wire[0] else 0
    canonical = wire[:at]
    for _ in range(count):
        name, used = dns.name.from_wire(wire, at)
        canonical += name.to_digestable()
        at += used
    if canonical + wire[at:] != wire:
        # RFC 4034 and unbound, which knows no A6, would compute different octets.
        raise Bogus(f"{mnemonic} with names in upper case, which not every validator lower-cases")
    return canonical + wire[at:]


def _verifies(public_key: bytes, signature: bytes, data: bytes) -> bool:
    if len(signature) != 64:
        return False
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public_key)
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _key_tag(rdata: bytes) -> int:
    """RFC 4034 appendix B."""
    padded = rdata + b"\x00" * (len(rdata) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    return (total + (total >> 16)) & 0xFFFF
