"""Live signing: the RRSIG of an RRset at a time, by the ZSK that its window belongs to.

Pure: `now` is an argument, windows are quantised and ECDSA is deterministic, so the same RRset gives the same bytes in
every process for hours. A cache of signatures is therefore only a matter of speed.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple, Protocol

from keys.dnssec.rrsig import TYPE_RRSIG, canonical_rrset, label_count, record, rrsig_prefix
from keys.dnssec.signature_validity import live_times
from keys.dnssec.zone_keys import ZoneKeys
from zones.node import RRset


class LiveSignature(NamedTuple):
    """An RRSIG record without its owner."""

    record: bytes
    until: int
    """The second from which another one must be served, in seconds since the epoch."""


class SignatureCache(Protocol):
    """Where signatures are remembered by content, so that a change to a zone drops answers but not signatures."""

    def get(self, key: bytes) -> bytes | None:
        """The signature stored under `key`."""

    def put(self, key: bytes, value: bytes) -> None:
        """Store a signature."""


def sign(
    keys: ZoneKeys,
    origin: bytes,
    owner: bytes,
    rrset: RRset,
    now: int,
    cache: SignatureCache | None = None,
    shown_ttl: int | None = None,
) -> LiveSignature:
    """The RRSIG over `rrset` at `owner` as served at `now` (RFC 4034 §3, RFC 4035 §2.2).

    For a wildcard answered the classic way, `owner` is the wildcard itself: its labels say that it was expanded.
    `shown_ttl` (seconds) is the TTL of the RRSIG record, where that is not the RRset's.
    """
    rrtype, ttl = rrset.type, rrset.ttl
    covered = canonical_rrset(owner, rrtype, ttl, rrset.canonical)
    return sign_canonical(keys, origin, owner, rrtype, ttl, covered, now, cache, shown_ttl)


def sign_canonical(
    keys: ZoneKeys,
    origin: bytes,
    owner: bytes,
    rrtype: int,
    ttl: int,
    covered: bytes,
    now: int,
    cache: SignatureCache | None = None,
    shown_ttl: int | None = None,
) -> LiveSignature:
    """As `sign`, of an RRset whose canonical form (`keys.dnssec.rrsig.canonical_rrset`) is at hand."""
    start, end, inception, expiration = live_times(owner, ttl, now, keys.policy)
    signer = keys.signer_at(start)
    prefix = rrsig_prefix(rrtype, label_count(owner), ttl, inception, expiration, signer.key_tag, origin)
    if cache is None:
        signature = signer.sign(prefix + covered)
    else:
        # The key's own bytes are mixed in, since key tags collide.
        content = blake2b(prefix + covered, key=signer.public_key, digest_size=16).digest()
        remembered = cache.get(content)
        if remembered is None:
            remembered = signer.sign(prefix + covered)
            cache.put(content, remembered)
        signature = remembered
    return LiveSignature(record(TYPE_RRSIG, ttl if shown_ttl is None else shown_ttl, prefix + signature), end)
