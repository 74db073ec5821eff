"""The DS record: how a parent zone names a child's KSK (RFC 4034 §5)."""

from __future__ import annotations

import struct
from hashlib import sha1, sha256, sha384

from keys.dnssec.registry_numbers import DIGEST_SHA256, ECDSAP256SHA256
from keys.dnssec.rrsig import key_tag

_FIXED = struct.Struct("!HBB")
_DIGESTS = {1: sha1, DIGEST_SHA256: sha256, 4: sha384}
"""By digest type (RFC 4034, RFC 4509, RFC 6605): what a parent may hold, whatever is made here."""


def ds_rdata(owner: bytes, dnskey: bytes) -> bytes:
    """DS rdata with a SHA-256 digest, for a DNSKEY of `owner` (wire form, lower case; RFC 4034 §5.1.4, RFC 4509)."""
    return _FIXED.pack(key_tag(dnskey), ECDSAP256SHA256, DIGEST_SHA256) + sha256(owner + dnskey).digest()


def names_key(ds: bytes, owner: bytes, dnskey: bytes) -> bool:
    """Whether DS rdata names a DNSKEY of `owner` (wire form, lower case), by whichever digest the parent has chosen.

    A digest type that is not known here counts as the key's where key tag and algorithm are: that a key is named must
    not be overlooked.
    """
    if len(ds) < _FIXED.size:
        return False
    tag, algorithm, digest_type = _FIXED.unpack_from(ds)
    if (tag, algorithm) != (key_tag(dnskey), ECDSAP256SHA256):
        return False
    digest = _DIGESTS.get(digest_type)
    return digest is None or digest(owner + dnskey).digest() == ds[_FIXED.size :]


def ds_text(rdata: bytes) -> str:
    """DS rdata as a master file has it (RFC 4034 §5.3): `<key tag> 13 2 <DIGEST>`."""
    tag, algorithm, digest_type = _FIXED.unpack_from(rdata)
    return f"{tag} {algorithm} {digest_type} {rdata[_FIXED.size :].hex().upper()}"
