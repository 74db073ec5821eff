"""Compact denials of names one label below an apex, as most random names are: what they share is made once.

An object serves one zone with its keys, and queries alike in all but name, type and ID. Beside the signature a
denial then costs 5 µs, where `absent_names`, which looks up and works out each part anew, takes 13 (CPython 3.11, with
all that is around it). Longer names and what is rare are left to that. The octets are the same; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable

from keys.dnssec.rrsig import TYPE_RRSIG, record, rrsig_prefix
from keys.dnssec.signature_validity import live_times
from keys.dnssec.zone_keys import ZoneKeys
from server.query.emit_to_size import QUESTION_POINTER, Response, apex_pointer, head_of
from server.query.fast.answer_caches import Caches
from server.query.fast.flood_detection import Names
from server.query.fast.query_shapes import SignedShape
from server.query.fast.signed_parts import negative_soa
from server.query.read_query import HEADER_SIZE, Rcode
from zones.denial_compact import NO_SUCH_NAME, absent_rdata
from zones.names import MAXIMUM_LABEL, MAXIMUM_NAME
from zones.rrtypes import TYPE_NSEC
from zones.zoneset import ServedZone

_SIGNATURE_SIZE = 64
_BEYOND_NAME = 2
"""Octets that the next name has more than the name denied (`zones.names.successor`)."""

Unsigned = tuple[Callable[[bytes], bytes], bytes, bytes, bytes, int]
"""What signs, and what; the response's body up to the RRSIG; the RRSIG's rdata up to its signature; until when it is
good, in seconds since the epoch."""


class CompactBelowApex:
    """What denies names one label below the apex of one zone (RFC 9824 §3.1)."""

    __slots__ = (
        "_caches",
        "_head",
        "_keys",
        "_labels",
        "_origin",
        "_rrsig",
        "_rrsig_size",
        "_shape",
        "_sized",
        "_soa",
        "_ttl",
        "_until",
        "names",
        "served",
        "valid_from",
        "valid_until",
    )
    remembers = False
    """Whether `deny` itself remembers its responses."""

    def __init__(self, served: ServedZone, keys: ZoneKeys, shape: SignedShape, caches: Caches) -> None:
        zone = served.zone
        self.served = served
        self.valid_from, self.valid_until = served.valid_from, served.valid_until
        self.names: Names | None = None
        """Where the names are counted that are denied, if they are."""
        self._keys, self._shape, self._caches = keys, shape, caches
        self._ttl, self._labels = zone.negative_ttl, zone.apex_labels + 1
        self._head = head_of(shape.flags, Rcode.NXDOMAIN if shape.co else Rcode.NOERROR, 4)
        self._origin = zone.origin
        sample = rrsig_prefix(TYPE_NSEC, self._labels, self._ttl, 0, 0, 0, zone.origin) + bytes(_SIGNATURE_SIZE)
        self._rrsig_size = len(sample)
        self._rrsig = QUESTION_POINTER + record(TYPE_RRSIG, self._ttl, sample)[: -len(sample)]
        """What stands between the NSEC record and the RRSIG's rdata."""
        self._soa: tuple[bytes, ...] = ()
        self._until = 0
        self._sized: dict[int, tuple[bytes, bytes]] = {}
        """By the length of a name: what stands between the question and the NSEC record, and that up to its owner."""

    def deny(self, owner: bytes, now: int) -> Response | None:
        """The response where `owner`, one label below the apex, does not exist; None where it must be made otherwise.

        The zone's keyset must serve at `now`.
        """
        unsigned = self.prepare(owner, now)
        return None if unsigned is None else self.complete(unsigned, unsigned[0](unsigned[1]))

    def prepare(self, owner: bytes, now: int) -> Unsigned | None:
        """As `deny`, all but the signature and what comes after."""
        if now >= self._until:
            self._renew(now)
        sized = self._sized.get(len(owner)) or self._size(len(owner))
        if sized is None:
            return None
        before, nsec_up_to_owner = sized
        keys = self._keys
        start, end, inception, expiration = live_times(owner, self._ttl, now, keys.policy)
        signer = keys.signer_at(start)
        prefix = rrsig_prefix(TYPE_NSEC, self._labels, self._ttl, inception, expiration, signer.key_tag, self._origin)
        nsec = b"".join((nsec_up_to_owner, owner, NO_SUCH_NAME))
        # One record in canonical form is its owner and the record as it is sent (RFC 4034 §3.1.8.1).
        data = b"".join((prefix, owner, nsec))
        return signer.sign, data, before + nsec, prefix, end if end < self._until else self._until

    def complete(self, unsigned: Unsigned, signature: bytes) -> Response:
        """The response that was prepared, with its signature."""
        _, _, before, prefix, until = unsigned
        body = b"".join((before, self._rrsig, prefix, signature, self._shape.opt))
        return Response(self._head, body, until)

    def _renew(self, now: int) -> None:
        """Show the SOA with the RRSIG of now."""
        soa, until = negative_soa(self.served.zone, self._keys, now, self._caches)
        self._soa = tuple(soa.records)
        self._until = min(until, self.served.valid_until)
        self._sized = {}

    def _size(self, size: int) -> tuple[bytes, bytes] | None:
        zone = self.served.zone
        label = size - len(zone.origin) - 1
        # A wildcard counts fewer labels, so it differs from other names; each other name of this length has the next.
        if not 1 < label <= MAXIMUM_LABEL or size + _BEYOND_NAME > MAXIMUM_NAME:
            return None
        pointer, (soa, rrsig) = apex_pointer(size, zone.origin), self._soa
        before = b"".join((pointer, soa, pointer, rrsig, QUESTION_POINTER))
        sample = label.to_bytes(1) + b"x" * label + zone.origin
        nsec = record(TYPE_NSEC, self._ttl, absent_rdata(zone, sample))
        rest = len(self._rrsig) + self._rrsig_size + len(self._shape.opt)
        if HEADER_SIZE + size + 4 + len(before) + len(nsec) + rest > self._shape.limit:
            return None
        self._sized[size] = before, nsec[: nsec.index(sample)]
        return self._sized[size]
