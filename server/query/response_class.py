"""The class of a response, by which responses are limited: of one that is made, and of one that is to be made. Pure.

A network that was sent too many denials gets TC in place of the next ones, which takes no signature. So where a
response would cost a signature of its own, a look-up (1 µs beside reading the query, where signing takes 17) tells its
class, so responses can be limited before anything is signed.
"""

from __future__ import annotations

import enum

from server.query.emit_to_size import bare_response
from server.query.finished_response import QUESTION_AT, question_end, with_options
from server.query.read_query import AA, TC, Query, Rcode
from server.query.respond import CLASS_IN, is_ordinary, is_signed
from zones.lookup import Alias, Found, NoData, NoName, Redirect, find
from zones.rrtypes import TYPE_ANY, TYPE_NSEC, TYPE_RRSIG
from zones.zoneset import ZoneSet

_POINTER, _POINTER_BITS = 0xC0, 0x3FFF


class ResponseClass(enum.IntEnum):
    """What is counted apart."""

    ANSWER = 0
    DENIAL = 1
    REFERRAL = 2
    ERROR = 3


Key = tuple[int, bytes]
"""A class, and of a denial the origin of its zone (wire form, lower case)."""
_ANSWER: Key = ResponseClass.ANSWER, b""


class CutAhead(bytes):
    """A response without its ID, with TC set and nothing in it: sent in place of one that nobody has made.

    The rate limit counts it by `key`, as the response that it stands for.
    """

    key: Key


def class_of(response: bytes) -> Key:
    """The class of a response without its ID."""
    if isinstance(response, CutAhead):
        return response.key
    if response[5] or response[4] or response[0] & TC >> 8:
        return _ANSWER
    rcode = response[1] & 0x0F
    if rcode == Rcode.NXDOMAIN or (not rcode and response[0] & AA >> 8):
        return ResponseClass.DENIAL, _zone_of(response)
    if not rcode and (response[7] or response[6]):
        return ResponseClass.REFERRAL, b""
    return ResponseClass.ERROR, b""


def _zone_of(response: bytes) -> bytes:
    """The owner of a denial's first record, its SOA: a pointer into the question."""
    end = question_end(response)
    if len(response) < end + 2 or response[end] < _POINTER:
        return b""
    start = (int.from_bytes(response[end : end + 2]) & _POINTER_BITS) - 2  # counted without the ID
    return response[start : end - 4].lower() if QUESTION_AT <= start < end else b""


def class_ahead(query: Query, zoneset: ZoneSet, now: int) -> Key | None:
    """The class of the response to `query`, where that takes a signature for a name of the client's making; None for
    all else.

    So it is where compact denial says no, and where a wildcard or a DNAME stands for the name. A response that does
    not fit is an answer, whatever this says of it.
    """
    qtype, edns = query.qtype, query.edns
    if edns is None or not edns.do or edns.version or query.qclass != CLASS_IN:
        return None
    if not is_ordinary(qtype) and qtype not in (TYPE_ANY, TYPE_NSEC, TYPE_RRSIG):
        return None
    served = zoneset.find(query.qname, qtype)
    if served is None or not is_signed(served, now) or not served.zone.denial.has_every_name:
        return None
    denial = ResponseClass.DENIAL, served.zone.origin
    match find(served.zone, query.qname, qtype):
        case NoName():
            return _ANSWER if qtype in (TYPE_NSEC, TYPE_RRSIG) else denial
        case NoData(wildcard=bytes()):
            return denial if is_ordinary(qtype) else _ANSWER
        case Found(wildcard=bytes()) | Alias(wildcard=bytes()) | Redirect():
            return _ANSWER
        case _:
            return None


def cut_ahead(query: Query, key: Key, spelled: bytes, udp_size: int, options: bytes) -> CutAhead:
    """What is sent in place of the response to `query`, which would be of the class `key`.

    `spelled` is its question as it was sent, `options` are the EDNS options beside its answer.
    """
    bare = bare_response(query, Rcode.NOERROR, udp_size)
    flags = int.from_bytes(bare.head[:2]) | TC | AA
    whole = b"".join((flags.to_bytes(2), bare.head[2:], spelled, bare.body))
    made = CutAhead(with_options(whole, options) if options else whole)
    made.key = key
    return made
