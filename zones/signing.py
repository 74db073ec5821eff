"""Live signing: the RRSIG of an RRset at a time, by the ZSK that its window belongs to.

Pure: `now` is an argument, windows are quantised and ECDSA is deterministic, so the same RRset gives the same bytes in
every process for hours. A memo of signatures is therefore only a matter of speed.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple, Protocol

from keys.dnssec.rrsig import TYPE_RRSIG, data_to_sign, label_count, record, rrsig_prefix
from keys.dnssec.windows import live_window
from keys.dnssec.zone_keys import ZoneKeys
from zones.zone import RRset


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
    keys: ZoneKeys, origin: bytes, owner: bytes, rrset: RRset, now: int, caches: SignatureCache | None = None
) -> LiveSignature:
    """The RRSIG over `rrset` at `owner` as served at `now` (RFC 4034 §3, RFC 4035 §2.2).

    For a wildcard answered the classic way, `owner` is the wildcard itself: its labels say that it was expanded.
    """
    window = live_window(owner, rrset.ttl, now, keys.policy)
    signer = keys.signer_at(window.start)
    prefix = rrsig_prefix(
        rrset.type, label_count(owner), rrset.ttl, window.inception, window.expiration, signer.key_tag, origin
    )
    data = data_to_sign(prefix, owner, rrset.type, rrset.ttl, rrset.canonical)
    if caches is None:
        signature = signer.sign(data)
    else:
        # The key's own bytes are mixed in, since key tags collide.
        content = blake2b(data, key=signer.public_key, digest_size=16).digest()
        remembered = caches.get(content)
        if remembered is None:
            remembered = signer.sign(data)
            caches.put(content, remembered)
        signature = remembered
    return LiveSignature(record(TYPE_RRSIG, rrset.ttl, prefix + signature), window.end)
