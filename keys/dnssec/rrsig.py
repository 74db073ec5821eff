"""The RRSIG record as bytes: what is signed (RFC 4034 §3.1.8.1), and what is served (RFC 4034 §3.1).

Owners and signers are names in wire form, uncompressed and lower case (RFC 4034 §6.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from keys.dnssec.registry_numbers import DNSKEY_PROTOCOL, ECDSAP256SHA256

TYPE_RRSIG = 46
CLASS_IN = 1

_FIXED = struct.Struct("!HBBIIIH")
_RECORD = struct.Struct("!HHIH")


def label_count(owner: bytes) -> int:
    """The value of the labels field: neither the root nor a leading `*` counts (RFC 4034 §3.1.3)."""
    count = position = 0
    while owner[position]:
        count += 1
        position += owner[position] + 1
    return count - 1 if owner.startswith(b"\x01*") else count


def rrsig_prefix(
    covered: int,
    labels: int,
    ttl: int,
    inception: int,
    expiration: int,
    key_tag: int,
    signer: bytes,
) -> bytes:
    """RRSIG rdata without its signature.

    `ttl` is the original TTL in seconds; times are reduced modulo 2³² (RFC 4034 §3.1.5).
    """
    return (
        _FIXED.pack(
            covered,
            ECDSAP256SHA256,
            labels,
            ttl,
            expiration & 0xFFFFFFFF,
            inception & 0xFFFFFFFF,
            key_tag,
        )
        + signer
    )


def data_to_sign(prefix: bytes, owner: bytes, covered: int, ttl: int, canonical: Sequence[bytes]) -> bytes:
    """What the signature is made over: the prefix and the RRset in canonical form and order (RFC 4034 §3.1.8.1, §6.3).

    `canonical` is the rdata in canonical form and already in canonical order, without duplicates.
    """
    return prefix + canonical_rrset(owner, covered, ttl, canonical)


def canonical_rrset(owner: bytes, rrtype: int, ttl: int, canonical: Sequence[bytes]) -> bytes:
    """An RRset in canonical form and order, as the prefix stands before it when it is signed (RFC 4034 §6.2, §6.3).

    A single record in canonical form is its owner and the record as it is served.
    """
    return b"".join([owner + record(rrtype, ttl, rdata) for rdata in canonical])


def record(rrtype: int, ttl: int, rdata: bytes) -> bytes:
    """A record of class IN without its owner: type, class, TTL, RDLENGTH, rdata (RFC 1035 §3.2.1)."""
    return _RECORD.pack(rrtype, CLASS_IN, ttl, len(rdata)) + rdata


def canonical_order(rdatas: Iterable[bytes]) -> tuple[bytes, ...]:
    """Rdata in canonical form, sorted as left-justified unsigned octets, duplicates dropped (RFC 4034 §6.3)."""
    return tuple(sorted(set(rdatas)))


def dnskey_rdata(flags: int, public_key: bytes) -> bytes:
    """DNSKEY rdata for an ECDSA P-256 key; `public_key` is x‖y, 64 bytes (RFC 6605 §4)."""
    return struct.pack("!HBB", flags, DNSKEY_PROTOCOL, ECDSAP256SHA256) + public_key


def key_tag(dnskey: bytes) -> int:
    """The key tag of DNSKEY rdata (RFC 4034 appendix B). Tags collide: never identify a key by its tag alone."""
    total = 0
    for position, octet in enumerate(dnskey):
        total += octet if position & 1 else octet << 8
    return (total + (total >> 16)) & 0xFFFF
