"""Denials of names one label below an apex, as most random names are: all that they share is made once.

An object serves one zone with its keys, and queries alike in all but name, type and ID. What then remains, beside the
signature (µs, CPython 3.11): for compact denial 0.9, where `server.query.fast.fresh_denial`, which works out each part
anew, takes 2.5; for a chain 0.7 instead of 2.3. Longer names and what is rare are left to it. The octets are the same;
a test compares them.
"""

from __future__ import annotations

import struct
from typing import Final
from zlib import crc32

from keys.dnssec.numbers import ECDSAP256SHA256
from keys.dnssec.rrsig import CLASS_IN
from keys.dnssec.zone_keys import ZoneKeys
from server.query.compose import signed_negative_soa
from server.query.fast.caches import Caches, Response
from server.query.fast.fresh_denial import (
    QUESTION_POINTER,
    RECORD,
    SIGNATURE_SIZE,
    WILDCARD_KEY,
    DenialShape,
    apex_pointer,
    chain_denial,
    chain_denial_key,
    denial_head,
)
from server.query.wire import HEADER_SIZE, Rcode
from zones.denial import NO_SUCH_NAME
from zones.names import MAXIMUM_LABEL, MAXIMUM_NAME, canonical_key
from zones.zone import TYPE_NSEC, TYPE_RRSIG, Denial
from zones.zoneset import ServedZone

_BEFORE_TIMES = struct.Struct("!HBBI")
_TIMES = struct.Struct("!IIH")
_OWNER_AND_OCTET = b"\x01\x00"
"""What the next name begins with: a label of a zero octet, then the owner (`zones.names.successor`)."""


class CompactBelow:
    """Compact denial (RFC 9824 §3.1)."""

    __slots__ = (
        "_before_times",
        "_caches",
        "_head",
        "_keys",
        "_origin",
        "_quantum",
        "_reach",
        "_rrsig",
        "_shape",
        "_signer",
        "_sized",
        "_soa",
        "_until",
        "nodes",
        "served",
        "valid_from",
        "valid_until",
    )
    remembers: Final = False
    """Whether `deny` itself remembers its responses."""

    def __init__(self, served: ServedZone, keys: ZoneKeys, shape: DenialShape, caches: Caches) -> None:
        zone = served.zone
        self.served, self.nodes = served, zone.nodes
        self.valid_from, self.valid_until = served.valid_from, served.valid_until
        self._keys, self._shape, self._caches, self._origin = keys, shape, caches, zone.origin
        self._signer = keys.signers[0].signer if len(keys.signers) == 1 else None
        self._quantum = keys.policy.window
        self._reach = zone.negative_ttl + keys.policy.margin
        self._head = denial_head(shape.flags, Rcode.NXDOMAIN if shape.co else Rcode.NOERROR, 4)
        self._before_times = _BEFORE_TIMES.pack(TYPE_NSEC, ECDSAP256SHA256, zone.apex_labels + 1, zone.negative_ttl)
        rdata_size = _BEFORE_TIMES.size + _TIMES.size + len(zone.origin) + SIGNATURE_SIZE
        rrsig = RECORD.pack(TYPE_RRSIG, CLASS_IN, zone.negative_ttl, rdata_size)
        self._rrsig = NO_SUCH_NAME + QUESTION_POINTER + rrsig
        self._soa: tuple[bytes, ...] = ()
        self._until = 0
        self._sized: dict[int, tuple[bytes, bytes]] = {}
        """By the length of a name: what stands between the question and the NSEC record, and that up to its owner."""

    def deny(self, owner: bytes, now: int) -> Response | None:
        """The response where `owner`, one label below the apex, does not exist; None where it must be made otherwise.

        The zone's keyset must serve at `now`.
        """
        if now >= self._until:
            self._renew(now)
        sized = self._sized.get(len(owner)) or self._size(len(owner))
        if sized is None:
            return None
        before, nsec = sized
        window = now - (now - crc32(owner)) % self._quantum  # as `keys.dnssec.windows.live_start`
        end = window + self._quantum
        signer = self._signer or self._keys.signer_at(window)
        times = _TIMES.pack(
            (end + self._reach) & 0xFFFFFFFF, (window - self._keys.policy.margin) & 0xFFFFFFFF, signer.key_tag
        )
        prefix = b"".join((self._before_times, times, self._origin))
        signature = signer.sign(b"".join((prefix, owner, nsec, owner, NO_SUCH_NAME)))
        body = b"".join((before, nsec, owner, self._rrsig, prefix, signature, self._shape.opt))
        return Response(self._head, body, end if end < self._until else self._until)

    def _renew(self, now: int) -> None:
        """Show the SOA with the RRSIG of now."""
        self._soa, until = signed_negative_soa(self.served.zone, self._keys, now, self._caches)
        self._until = min(until, self.served.valid_until)
        self._sized = {}

    def _size(self, size: int) -> tuple[bytes, bytes] | None:
        label = size - len(self._origin) - 1
        # A wildcard counts fewer labels, and so is no name like others; each other name of this length has the next.
        if not 1 < label <= MAXIMUM_LABEL or size + len(_OWNER_AND_OCTET) > MAXIMUM_NAME:
            return None
        pointer, (soa, rrsig) = apex_pointer(size, self._origin), self._soa
        before = b"".join((pointer, soa, pointer, rrsig, QUESTION_POINTER))
        rdata_size = len(_OWNER_AND_OCTET) + size + len(NO_SUCH_NAME)
        nsec = RECORD.pack(TYPE_NSEC, CLASS_IN, self.served.zone.negative_ttl, rdata_size) + _OWNER_AND_OCTET
        signed = _BEFORE_TIMES.size + _TIMES.size + len(self._origin) + SIGNATURE_SIZE
        whole = HEADER_SIZE + size + 4 + len(before) + len(nsec) + size + len(self._rrsig) + signed
        if whole + len(self._shape.opt) > self._shape.limit:
            return None
        self._sized[size] = before, nsec
        return before, nsec


class ChainBelow:
    """Denial by the NSEC records of a chain (RFC 4035 §3.1.3.2)."""

    __slots__ = (
        "_apex_key",
        "_around",
        "_caches",
        "_kept",
        "_keys",
        "_rest",
        "_second",
        "_shape",
        "nodes",
        "served",
        "valid_from",
        "valid_until",
    )
    remembers: Final = True

    def __init__(self, served: ServedZone, keys: ZoneKeys, shape: DenialShape, caches: Caches) -> None:
        zone = served.zone
        self.served, self.nodes = served, zone.nodes
        self.valid_from, self.valid_until = served.valid_from, served.valid_until
        self._keys, self._shape, self._caches = keys, shape, caches
        self._apex_key = zone.apex_key
        self._around = zone.chain.around
        self._second = zone.chain.around(zone.apex_key + WILDCARD_KEY)
        self._rest = chain_denial_key(self._second, shape, zone)
        self._kept = caches.chain_denials

    def deny(self, owner: bytes, now: int) -> Response | None:
        """As `CompactBelow.deny`."""
        size = len(owner)
        if size > MAXIMUM_NAME or owner[0] > MAXIMUM_LABEL:
            return None  # before it is taken for a name of that length
        label = owner[1 : 1 + owner[0]]
        # Letters and digits are what they are in a canonical key.
        first = self._around(self._apex_key + label + b"\x00" if label.isalnum() else canonical_key(owner))
        key = first[0] + size.to_bytes(1) + self._rest
        known = self._kept.get(key)
        if known is not None and now < known.until:
            return known
        return chain_denial(key, size, first, self._second, self.served, self._keys, now, self._shape, self._caches)


Below = CompactBelow | ChainBelow


def below_apex(served: ServedZone, shape: DenialShape, caches: Caches) -> Below | None:
    """What denies names one label below the apex of a zone; None for a zone that has no simple answer there.

    That is one that is not signed or not ready, or in which a wildcard or a DNAME stands for all names.
    """
    zone, keys = served.zone, served.keys
    if keys is None or not zone.signed or not zone.is_plain_below_apex:
        return None
    return (CompactBelow if zone.denial is Denial.COMPACT else ChainBelow)(served, keys, shape, caches)
