"""From sections to octets: RRSIGs are made, owners compressed, and what does not fit is left out or truncated (TC).

The only place where records become a message. Owners are compressed (RFC 1035 §4.1.4); names in rdata are not.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from server.query.edns import MINIMUM_SIZE, Edns, ExtendedError, opt_record
from server.query.read_query import HEADER_SIZE, Query, Rcode, response_flags
from server.query.sections import FOREVER, Decision
from zones.live_signing import SignatureCache, sign
from zones.node import RRset
from zones.zoneset import ServedZone

QUESTION_POINTER = (0xC000 | HEADER_SIZE).to_bytes(2)
_POINTER = 0xC000
_POINTER_LIMIT = 0x4000
_QUESTION_FIXED = 4  # octets of a question behind its name
_HEAD = struct.Struct("!5H")
"""Flags, and the four counts."""


class Response(msgspec.Struct, frozen=True, gc=False):
    """A response without its ID and its question.

    The collector of cycles, which has nothing to find here, is spared the look at each.
    """

    head: bytes
    """Flags and counts: the ten octets between ID and question."""
    body: bytes
    """All that follows the question."""
    until: int
    """The second from which this must not be served any more, since an RRSIG in it makes room for the next."""


def emit(
    decision: Decision,
    qname: bytes,
    query_flags: int,
    served: ServedZone,
    now: int,
    opt: bytes,
    limit: int,
    signatures: SignatureCache | None = None,
) -> Response:
    """The response of at most `limit` octets to a query for `qname` (wire form, lower case), as served at `now`.

    `opt` is the response's OPT record, empty where the query had none. Where the answer does not fit, sibling glue is
    left out, or all is with TC set (RFC 2181 §9, RFC 9471 §3).
    """
    origin, keys = served.zone.origin, served.keys
    until = decision.until
    if keys is not None and served.zone.signed and (valid_until := served.end_of_validity(now)) < until:
        until = valid_until
    apex = apex_pointer(len(qname), origin)
    pointers = {origin: apex, qname: QUESTION_POINTER}
    size = HEADER_SIZE + len(qname) + _QUESTION_FIXED
    room = limit - len(opt)
    parts: list[bytes] = []
    counts: list[int] = []
    for section in (decision.answer, decision.authority, decision.additional, decision.optional):
        if len(counts) == 3:
            required = size, len(parts)
        count = 0
        for owner, records, signing in section:
            if signing is not None:
                assert keys is not None
                lasting = signatures if signing.is_lasting else None
                rrsig, ended = sign(keys, origin, signing.owner, signing.rrset, now, lasting, signing.ttl)
                until = min(until, ended)
                records = (*records, rrsig)  # noqa: PLW2901
            spelled = pointer = pointers.get(owner, b"")
            if not pointer:
                spelled = pointer = owner[: -len(origin)] + apex
                if size < _POINTER_LIMIT:
                    pointers[owner] = pointer = (_POINTER | size).to_bytes(2)
            joined = spelled + pointer.join(records)
            parts.append(joined)
            size += len(joined)
            count += len(records)
        counts.append(count)
    truncated = False
    if size > room:
        counts[3] = 0
        size, kept = required
        del parts[kept:]
        if size > room:
            truncated, counts, parts = True, [0, 0, 0, 0], []
    parts.append(opt)
    additionals = counts[2] + counts[3] + bool(opt)
    head = _head(query_flags, decision.rcode, decision.authoritative, truncated, counts[0], counts[1], additionals)
    return Response(head, b"".join(parts), until)


def emit_rrset(
    qname: bytes,
    rrset: RRset,
    query_flags: int,
    served: ServedZone,
    now: int,
    opt: bytes,
    limit: int,
    signatures: SignatureCache,
) -> Response | None:
    """As `emit` renders an answer of `rrset` at `qname` with its RRSIG, and no more; None where it does not fit.

    2 µs less, for each RRset that is asked for a first time in its window.
    """
    keys, records = served.keys, rrset.records
    assert keys is not None
    rrsig, until = sign(keys, served.zone.origin, qname, rrset, now, signatures)
    body = b"".join((QUESTION_POINTER, QUESTION_POINTER.join(records), QUESTION_POINTER, rrsig, opt))
    if HEADER_SIZE + len(qname) + _QUESTION_FIXED + len(body) > limit:
        return None
    head = _head(query_flags, Rcode.NOERROR, True, False, len(records) + 1, 0, 1)
    return Response(head, body, min(until, served.end_of_validity(now)))


def emit_compact_denial(
    qname: bytes,
    query_flags: int,
    rcode: Rcode,
    soa: Sequence[bytes],
    nsec: Sequence[bytes],
    origin: bytes,
    until: int,
    opt: bytes,
    limit: int,
) -> Response | None:
    """As `emit` renders a denial of `qname` by the SOA and an NSEC record of its own; None where it does not fit.

    `soa` and `nsec` are each a record and its RRSIG. Random names are all that some clients ask for, and `emit` would
    cost a tenth of such an answer.
    """
    apex = apex_pointer(len(qname), origin)
    body = b"".join((apex, soa[0], apex, soa[1], QUESTION_POINTER, nsec[0], QUESTION_POINTER, nsec[1], opt))
    if HEADER_SIZE + len(qname) + _QUESTION_FIXED + len(body) > limit:
        return None
    return Response(head_of(query_flags, rcode, 4), body, until)


def head_of(query_flags: int, rcode: Rcode, authorities: int) -> bytes:
    """Flags and counts of a denial with an OPT record."""
    return _head(query_flags, rcode, True, False, 0, authorities, 1)


def apex_pointer(size: int, origin: bytes) -> bytes:
    """The pointer to `origin` in a question whose name has `size` octets and lies at or below it (RFC 1035 §4.1.4)."""
    return (_POINTER | HEADER_SIZE + size - len(origin)).to_bytes(2)


def bare_response(
    query: Query, rcode: Rcode, udp_size: int, error: ExtendedError | None = None, until: int = FOREVER
) -> Response:
    """A response without records, but an OPT record where the query had one. `udp_size` (octets) is what we take."""
    opt = opt_record(query.edns, udp_size, rcode, error) if query.edns is not None else b""
    return Response(_HEAD.pack(response_flags(query.flags, rcode), 1, 0, 0, bool(opt)), opt, until)


@lru_cache(maxsize=4096)
def _head(
    query_flags: int,
    rcode: Rcode,
    authoritative: bool,
    truncated: bool,
    answers: int,
    authorities: int,
    additionals: int,
) -> bytes:
    flags = response_flags(query_flags, rcode, authoritative=authoritative, truncated=truncated)
    return _HEAD.pack(flags, 1, answers, authorities, additionals)


@lru_cache(maxsize=8)
def plain_opt(do: bool, co: bool, udp_size: int) -> bytes:
    """The OPT record of a response that has nothing more to say. `udp_size` (octets) is what we take."""
    return opt_record(Edns(MINIMUM_SIZE, 0, do, co), udp_size)
