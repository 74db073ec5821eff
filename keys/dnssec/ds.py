"""The DS record: how a parent zone names a child's KSK (RFC 4034 §5)."""

from __future__ import annotations

import struct
from hashlib import sha256

from keys.dnssec.registry_numbers import DIGEST_SHA256, ECDSAP256SHA256
from keys.dnssec.rrsig import key_tag

_FIXED = struct.Struct("!HBB")


def ds_rdata(owner: bytes, dnskey: bytes) -> bytes:
    """DS rdata with a SHA-256 digest, for a DNSKEY of `owner` (wire form, lower case; RFC 4034 §5.1.4, RFC 4509)."""
    return _FIXED.pack(key_tag(dnskey), ECDSAP256SHA256, DIGEST_SHA256) + sha256(owner + dnskey).digest()


def ds_text(rdata: bytes) -> str:
    """DS rdata as a master file has it (RFC 4034 §5.3): `<key tag> 13 2 <DIGEST>`."""
    tag, algorithm, digest_type = _FIXED.unpack_from(rdata)
    return f"{tag} {algorithm} {digest_type} {rdata[_FIXED.size :].hex().upper()}"
