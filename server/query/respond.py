"""From a query to its response: a pure function of the query, the zones and the time.

`respond` is total. What a zone knows is `zones.lookup`, how it says no is `zones.denial`, how it signs is
`zones.signing`; the sections are put together in `server.query.compose`.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from functools import lru_cache

import structlog

from server.query.compose import FOREVER, Composition, compose
from server.query.edns import DEFAULT_SIZE, MINIMUM_SIZE, Edns, ExtendedError, opt_record
from server.query.fast.caches import Caches, Response
from server.query.wire import (
    CD,
    HEADER_SIZE,
    RD,
    Query,
    Rcode,
    Rejected,
    Unanswerable,
    error_response,
    read_query,
    response_flags,
)
from zones.zone import TYPE_ANY, TYPE_DNSKEY, TYPE_NSEC, TYPE_NXNAME, TYPE_RRSIG
from zones.zoneset import ServedZone, ZoneSet

CLASS_IN = 1
TYPE_OPT, TYPE_TKEY, TYPE_TSIG, TYPE_IXFR, TYPE_AXFR = 41, 249, 250, 251, 252
_NO_QUESTION = {0, TYPE_OPT, TYPE_NXNAME, TYPE_TKEY, TYPE_TSIG}
"""Types that stand in messages and are no data to ask for (RFC 6895 §3.1, RFC 9824 §3.5)."""
MAXIMUM_MESSAGE = 0xFFFF

_HEAD = struct.Struct("!5H")
_VARIANT = struct.Struct("!5H")
_log = structlog.get_logger("signwright.answer")


class Via(enum.Enum):
    """How a query came."""

    UDP = "udp"
    TCP = "tcp"


def respond(
    wire: bytes, zoneset: ZoneSet, now: int, via: Via, caches: Caches | None = None, udp_size: int = DEFAULT_SIZE
) -> bytes | None:
    """The response to the message `wire` at `now` (seconds since the epoch), or None where silence is due.

    Never raises, whatever the bytes. `udp_size` is the largest UDP response in octets, and what we say we take.
    """
    try:
        query = read_query(wire)
    except Unanswerable:
        return None
    except Rejected as rejected:
        return error_response(wire, rejected)
    end = query.question_end
    limit = response_limit(query.edns, via, udp_size)
    response, _, _ = remembered(query, variant(query, limit), zoneset, now, limit, caches, udp_size)
    return b"".join((wire[:2], response.head, wire[HEADER_SIZE:end], response.body))


def variant(query: Query, limit: int) -> bytes:
    """All that a response depends on beside name, ID and spelling; the limit stands for transport and size."""
    edns = query.edns
    extension = 0 if edns is None else 1 | edns.do << 1 | edns.co << 2 | (edns.version << 3)
    return _VARIANT.pack(query.qtype, query.qclass, query.flags & (RD | CD), extension, limit)


def remembered(
    query: Query, differing: bytes, zoneset: ZoneSet, now: int, limit: int, caches: Caches | None, udp_size: int
) -> tuple[Response, bool, bool]:
    """The response; whether it is of a name that exists: those are few, and worth keeping; and whether it then follows
    from that name's node and the zone's keys alone.

    `differing` is the query's `variant`. Never raises: what fails is SERVFAIL, and a line in the log.
    """
    if caches is None:
        return _answer(query, zoneset, now, limit, None, udp_size)
    caches.for_zoneset(zoneset, now)
    key = query.qname + differing
    response = caches.answers.get(key)
    if response is not None and now < response.until:
        return response, True, caches.answers.is_alone(key)
    response = caches.denials.get(key)
    if response is not None and now < response.until:
        return response, False, False
    response, exists, alone = _answer(query, zoneset, now, limit, caches, udp_size)
    if response.until and exists:
        caches.answers.keep(b"", query.qname, differing, response, alone=alone)
    elif response.until:
        caches.denials.offer(key, response)
    return response, exists, alone


def response_limit(edns: Edns | None, via: Via, udp_size: int) -> int:
    """The largest response in octets (RFC 6891 §6.2.3 to §6.2.5)."""
    if via is Via.TCP:
        return MAXIMUM_MESSAGE
    return MINIMUM_SIZE if edns is None else min(edns.size, udp_size)


def _answer(
    query: Query, zoneset: ZoneSet, now: int, limit: int, caches: Caches | None, udp_size: int
) -> tuple[Response, bool, bool]:
    try:
        return _answer_or_raise(query, zoneset, now, limit, caches, udp_size)
    except Exception:
        _log.exception("cannot answer", qname=query.qname.hex(), qtype=query.qtype)
        return _bare(query, Rcode.SERVFAIL, udp_size, ExtendedError.OTHER, until=0), False, False


def _answer_or_raise(
    query: Query, zoneset: ZoneSet, now: int, limit: int, caches: Caches | None, udp_size: int
) -> tuple[Response, bool, bool]:
    edns, qtype = query.edns, query.qtype
    if edns is not None and edns.version != 0:
        return _bare(query, Rcode.BADVERS, udp_size), False, False
    if qtype in _NO_QUESTION:
        return _bare(query, Rcode.FORMERR, udp_size, ExtendedError.INVALID_QUERY_TYPE), False, False
    if qtype in (TYPE_AXFR, TYPE_IXFR):
        return _bare(query, Rcode.REFUSED, udp_size, ExtendedError.PROHIBITED), False, False
    served = zoneset.find(query.qname, qtype) if query.qclass == CLASS_IN else None
    if served is None:
        return _bare(query, Rcode.REFUSED, udp_size, ExtendedError.NOT_AUTHORITATIVE), False, False
    failure = failure_of(served, now)
    if failure is not None:
        # Whether this zone can be served is asked again each second.
        return _bare(query, Rcode.SERVFAIL, udp_size, failure, until=now + 1), False, False
    composition = compose(query, served, zoneset, now, caches)
    return _fitted(query, composition, limit, udp_size), composition.exists, composition.alone


@lru_cache(maxsize=8)
def plain_opt(do: bool, co: bool, udp_size: int) -> bytes:
    """The OPT record of a response that has nothing more to say."""
    return opt_record(Edns(MINIMUM_SIZE, 0, do, co), udp_size)


def is_ordinary(qtype: int) -> bool:
    """Whether a type is data that a zone file can have; not so those that signing makes, or that stand in messages."""
    return qtype not in _NO_QUESTION and qtype not in (
        TYPE_AXFR,
        TYPE_IXFR,
        TYPE_ANY,
        TYPE_RRSIG,
        TYPE_NSEC,
        TYPE_DNSKEY,
    )


def failure_of(served: ServedZone, now: int) -> ExtendedError | None:
    """Why a signed zone cannot be answered from: nothing unsigned is served in place of what should be signed."""
    if not served.zone.signed:
        return None
    if served.keys is None:
        return ExtendedError.NOT_READY
    return None if served.valid_from <= now < served.valid_until else ExtendedError.SIGNATURE_EXPIRED


def _fitted(query: Query, composition: Composition, limit: int, udp_size: int) -> Response:
    """The composed response where it fits, else an empty one with TC set (RFC 2181 §9, RFC 9471 §3)."""
    edns, rcode = query.edns, composition.rcode
    opt = plain_opt(edns.do, edns.co, udp_size) if edns is not None else b""
    counts: Sequence[int] = composition.counts
    records, truncated = composition.records, False
    if composition.size + len(opt) > limit:
        size, additionals = composition.required
        if size + len(opt) <= limit:
            counts, records = (*composition.counts[:2], additionals), records[: size - composition.size]
        else:
            counts, records, truncated = (0, 0, 0), b"", True
    flags = response_flags(query.flags, rcode, authoritative=composition.authoritative, truncated=truncated)
    head = _HEAD.pack(flags, 1, counts[0], counts[1], counts[2] + bool(opt))
    return Response(head, records + opt, composition.until)


def _bare(
    query: Query, rcode: Rcode, udp_size: int, error: ExtendedError | None = None, until: int = FOREVER
) -> Response:
    """A response without records."""
    opt = opt_record(query.edns, udp_size, rcode, error) if query.edns is not None else b""
    head = _HEAD.pack(response_flags(query.flags, rcode), 1, 0, 0, bool(opt))
    return Response(head, opt, until)
