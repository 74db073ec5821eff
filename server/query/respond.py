"""From a query to its response: a pure function of the query, the zones and the time.

`respond` is total: `read_query`, then `decide`, then `emit`. The process that answers does the same with caches in
front (`server.query.fast`), which change nothing but speed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

from server.query.decide_sections import decide
from server.query.edns import DEFAULT_SIZE, MINIMUM_SIZE, Edns, ExtendedError
from server.query.emit_to_size import Response, bare_response, emit, plain_opt
from server.query.finished_response import with_options
from server.query.read_query import (
    HEADER_SIZE,
    ID_SIZE,
    Query,
    Rcode,
    Rejected,
    Unanswerable,
    error_response,
    read_query,
)
from server.query.server_facts import CLASS_CHAOS, SILENT, ServerFacts, chaos, cookie_alone, told
from zones.live_signing import SignatureCache
from zones.rrtypes import TYPE_ANY, TYPE_DNSKEY, TYPE_NSEC, TYPE_NXNAME, TYPE_RRSIG
from zones.zoneset import ServedZone, ZoneSet

CLASS_IN = 1
TYPE_OPT, TYPE_TKEY, TYPE_TSIG, TYPE_IXFR, TYPE_AXFR = 41, 249, 250, 251, 252
_NO_QUESTION = {0, TYPE_OPT, TYPE_NXNAME, TYPE_TKEY, TYPE_TSIG}
"""Types that occur in messages but are not data to query (RFC 6895 §3.1, RFC 9824 §3.5)."""
MAXIMUM_MESSAGE = 0xFFFF

Failed = Callable[[bytes, int], None]
"""Is called while an exception is handled, with name and type of a query that could not be answered. Must not raise."""


class Via(enum.Enum):
    """How a query came."""

    UDP = "udp"
    TCP = "tcp"


class Answered(NamedTuple):
    """A response, and how long it can be remembered."""

    response: Response
    exists: bool = False
    """Whether the queried name is one of the finitely many that the zone holds: those are worth keeping."""
    alone: bool = False
    """Whether all of it follows from that name's node and the zone's keys."""


Wanted = Callable[[bytes], None]
"""Is called with the origin of a zone that is asked for and has no keys yet. Must not raise."""


def ignore(_: bytes, __: int) -> None:
    """Where nobody wants to hear of failures."""


def wait_for_it(_: bytes) -> None:
    """Where keys are loaded in their own time."""


def respond(
    wire: bytes,
    zoneset: ZoneSet,
    now: int,
    via: Via,
    *,
    udp_size: int = DEFAULT_SIZE,
    failed: Failed = ignore,
    client: bytes | None = None,
    facts: ServerFacts = SILENT,
) -> bytes | None:
    """The response to the message `wire` at `now` (seconds since the epoch), or None where silence is due.

    Never raises, whatever the bytes. `udp_size` is the largest UDP response in octets, and what we say we take.
    `client` is the sender's address (4 or 16 octets), None where nobody is to get a cookie. `facts` is what the server
    says of itself.
    """
    try:
        query = read_query(wire, over_tcp=via is Via.TCP)
    except Unanswerable:
        return None
    except Rejected as rejected:
        return rejection(wire, rejected, udp_size, client, now, facts)
    options = told(query.edns, client, now, facts, over_tcp=via is Via.TCP).options
    limit = response_limit(query.edns, via, udp_size) - len(options)
    response = answer(query, zoneset, now, limit, udp_size, failed, facts=facts).response
    whole = message(wire, query, response)
    return wire[:ID_SIZE] + (with_options(whole, options) if options else whole)


def message(wire: bytes, query: Query, response: Response) -> bytes:
    """The response to `wire`, which was read as `query`, behind its ID."""
    return b"".join((response.head, wire[HEADER_SIZE : query.question_end], response.body))


def rejection(
    wire: bytes, rejected: Rejected, udp_size: int, client: bytes | None, now: int, facts: ServerFacts
) -> bytes:
    """The whole response to a message that was rejected. A query for a cookie alone gets one where there are any."""
    edns = rejected.edns
    if rejected.cookie_wanted and edns is not None:
        given = cookie_alone(edns.cookie, client, now, facts)
        if given is not None:
            rcode, cookie = given
            bare = error_response(wire, rejected, udp_size, rcode)
            return bare[:ID_SIZE] + with_options(bare[ID_SIZE:], cookie.option)
    return error_response(wire, rejected, udp_size)


def answer(
    query: Query,
    zoneset: ZoneSet,
    now: int,
    limit: int,
    udp_size: int,
    failed: Failed,
    signatures: SignatureCache | None = None,
    wanted: Wanted = wait_for_it,
    facts: ServerFacts = SILENT,
) -> Answered:
    """What `query` gets, in at most `limit` octets. Never raises: what fails is SERVFAIL, and `failed` is called."""
    try:
        refused = _refused(query, udp_size, facts)
        if refused is not None:
            return Answered(refused)
        served = zoneset.find(query.qname, query.qtype) if query.qclass == CLASS_IN else None
        if served is None:
            return Answered(bare_response(query, Rcode.REFUSED, udp_size, ExtendedError.NOT_AUTHORITATIVE))
        failure = failure_of(served, now)
        if failure is not None:
            if failure is ExtendedError.NOT_READY:
                wanted(served.zone.origin)
            # Whether this zone can be served is asked again each second.
            return Answered(bare_response(query, Rcode.SERVFAIL, udp_size, failure, until=now + 1))
        decision = decide(query, served, zoneset, now)
        if decision.rcode is Rcode.SERVFAIL:
            failed_ds = bare_response(query, Rcode.SERVFAIL, udp_size, ExtendedError.NOT_READY, until=decision.until)
            return Answered(failed_ds)
        edns = query.edns
        opt = plain_opt(edns.do, edns.co, udp_size) if edns is not None else b""
        response = emit(decision, query.qname, query.flags, served, now, opt, limit, signatures)
        return Answered(response, decision.exists, decision.alone)
    except Exception:
        failed(query.qname, query.qtype)
        return Answered(bare_response(query, Rcode.SERVFAIL, udp_size, ExtendedError.OTHER, until=0))


def response_limit(edns: Edns | None, via: Via, udp_size: int) -> int:
    """The largest response in octets (RFC 6891 §6.2.3 to §6.2.5)."""
    if via is Via.TCP:
        return MAXIMUM_MESSAGE
    return MINIMUM_SIZE if edns is None else min(edns.size, udp_size)


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


def is_signed(served: ServedZone, now: int) -> bool:
    """Whether a zone is signed, with a keyset that serves."""
    # A call less: this is asked for each answer that is remembered by its name.
    if not served.zone.signed or served.keys is None or not served.valid_from <= now < served.valid_until:
        return False
    return not served.gaps or served.has_valid_keyset(now)


def failure_of(served: ServedZone, now: int) -> ExtendedError | None:
    """Why a signed zone cannot be answered from: nothing unsigned is served in place of what should be signed."""
    if not served.zone.signed:
        return None
    if served.keys is None:
        return ExtendedError.NOT_READY
    if served.has_valid_keyset(now):
        return None
    # RFC 8914 §4.8 and §4.9: where some have expired, it is that.
    return ExtendedError.SIGNATURE_NOT_YET_VALID if now < served.valid_from else ExtendedError.SIGNATURE_EXPIRED


def _refused(query: Query, udp_size: int, facts: ServerFacts) -> Response | None:
    """What is answered to a query that no zone has to be asked for."""
    if query.edns is not None and query.edns.version != 0:
        return bare_response(query, Rcode.BADVERS, udp_size)
    if query.qtype in _NO_QUESTION:
        return bare_response(query, Rcode.FORMERR, udp_size, ExtendedError.INVALID_QUERY_TYPE)
    if query.qtype in (TYPE_AXFR, TYPE_IXFR):
        return bare_response(query, Rcode.REFUSED, udp_size, ExtendedError.NOT_SUPPORTED)
    if query.qclass == CLASS_CHAOS:
        edns = query.edns
        opt = plain_opt(edns.do, edns.co, udp_size) if edns is not None else b""
        return chaos(query, opt, udp_size, facts)
    return None
