"""The DS record: what a parent zone says of a KSK (RFC 4034 §5)."""

from __future__ import annotations

import struct
from hashlib import sha256

from keys.model import DIGEST_SHA256, ECDSAP256SHA256
from keys.rrsig import key_tag


def ds_rdata(owner: bytes, dnskey: bytes) -> bytes:
    """DS rdata with a SHA-256 digest (RFC 4034 §5.1.4, RFC 4509) for the DNSKEY rdata of a KSK.

    `owner` is the apex of the child zone in wire form, lower case.
    """
    return struct.pack("!HBB", key_tag(dnskey), ECDSAP256SHA256, DIGEST_SHA256) + sha256(owner + dnskey).digest()


def ds_text(rdata: bytes) -> str:
    """DS rdata as a zone file and Route 53 spell it: `<tag> 13 2 <DIGEST>`."""
    tag, algorithm, digest_type = struct.unpack_from("!HBB", rdata)
    return f"{tag} {algorithm} {digest_type} {rdata[4:].hex().upper()}"
