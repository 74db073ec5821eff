"""Queries as octets: what of one could be read, and the header of what answers it (RFC 1035 §4.1)."""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from server.query.edns import TYPE_OPT, Edns, ExtendedError, OptError, edns_without_options, opt_record, read_opt

HEADER_SIZE = 12
ID_SIZE = 2
QR, AA, TC, RD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0010
_OPCODE = 0x7800
_KEPT = RD | CD  # copied from the query; AD is never set by an authority, RA never by a server that does not recurse

_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")


class Rcode(enum.IntEnum):
    """Response codes (RFC 6895 §2.3)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    BADVERS = 16
    BADCOOKIE = 23


class Query(NamedTuple):
    """A query that could be read."""

    flags: int
    """The header's second 16 bits."""
    qname: bytes
    """Wire form, lower case."""
    qtype: int
    qclass: int
    question_end: int
    """Where the question ends, counted from the start of the message."""
    edns: Edns | None


class Unanswerable(Exception):  # noqa: N818 (it is an outcome as much as an error)
    """A message that deserves silence: no query, or too short to be one."""


class Rejected(Exception):  # noqa: N818
    """A message that is answered with an error and nothing else, but an OPT record where it has one (RFC 6891 §7)."""

    def __init__(
        self, rcode: Rcode, question_end: int = HEADER_SIZE, edns: Edns | None = None, *, cookie_wanted: bool = False
    ) -> None:
        super().__init__(rcode.name)
        self.rcode = rcode
        self.question_end = question_end
        self.edns = edns
        """What could be read of its OPT record."""
        self.cookie_wanted = cookie_wanted
        """Whether it is a query for a server cookie and for nothing else: an error only to who has none to give."""


def read_query(wire: bytes, *, over_tcp: bool = False) -> Query:
    """Read a query of opcode QUERY. Raises `Unanswerable` and `Rejected`, and nothing else."""
    if len(wire) < HEADER_SIZE:
        raise Unanswerable
    _, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(wire)
    if flags & QR:
        raise Unanswerable
    if flags & _OPCODE:
        raise _not_implemented(wire, questions, answers + authorities, additionals)
    if questions != 1:  # RFC 9619
        raise _without_question(wire, questions, answers + authorities, additionals)
    qname, position = _read_question_name(wire)
    if position + 4 > len(wire):
        raise Rejected(Rcode.FORMERR)
    qtype, qclass = int.from_bytes(wire[position : position + 2]), int.from_bytes(wire[position + 2 : position + 4])
    end = position + 4
    edns = None
    if answers or authorities or additionals:
        edns = _read_records(wire, end, answers + authorities, additionals)
        if over_tcp and edns is not None and edns.keepalive:  # it has data (RFC 7828 §3.2.1)
            raise Rejected(Rcode.FORMERR, end, edns)
    elif end != len(wire):
        raise Rejected(Rcode.FORMERR, end)
    return Query(flags, qname, qtype, qclass, end, edns)


def _not_implemented(wire: bytes, questions: int, passed_over: int, additionals: int) -> Rejected:
    """What a message of another opcode gets: with an OPT record where it has one that can be read as a query's."""
    try:
        if questions == 1 and additionals:
            end = _read_question_name(wire)[1] + 4
            edns = _read_records(wire, end, passed_over, additionals)
            if edns is not None:
                return Rejected(Rcode.NOTIMP, end, edns)
    except Rejected:
        pass  # other opcodes may have other forms (RFC 8490 §5.4)
    return Rejected(Rcode.NOTIMP)


def _without_question(wire: bytes, questions: int, passed_over: int, additionals: int) -> Rejected:
    """What a query without one question gets: perhaps it asks for a server cookie (RFC 7873 §5.4)."""
    if questions or not additionals:
        return Rejected(Rcode.FORMERR)
    try:
        edns = _read_records(wire, HEADER_SIZE, passed_over, additionals)
    except Rejected as rejected:
        return rejected
    wanted = edns is not None and bool(edns.cookie) and not passed_over
    return Rejected(Rcode.FORMERR, HEADER_SIZE, edns, cookie_wanted=wanted)


def _read_question_name(wire: bytes) -> tuple[bytes, int]:
    """The question's name in lower case, and where it ends. There is nothing yet that it could point to."""
    position, size = HEADER_SIZE, len(wire)
    while True:
        if position >= size:
            raise Rejected(Rcode.FORMERR)
        length = wire[position]
        position += 1
        if not length:
            break
        if length > 63:
            raise Rejected(Rcode.FORMERR)
        position += length
    if position - HEADER_SIZE > 255:
        raise Rejected(Rcode.FORMERR)
    # Lengths are below 64 and so never taken for capitals.
    return wire[HEADER_SIZE:position].lower(), position


def _read_records(wire: bytes, question_end: int, passed_over: int, additionals: int) -> Edns | None:
    """Walk the records behind the question; the OPT record among the additional ones, if any."""
    position, size = question_end, len(wire)
    edns = None
    for number in range(passed_over + additionals):
        start = position
        position = _skip_name(wire, position)
        if position + 10 > size:
            raise Rejected(Rcode.FORMERR, question_end, edns)
        rrtype, rrclass, ttl, length = _FIXED.unpack_from(wire, position)
        rdata_start = position + 10
        position = rdata_start + length
        if position > size:
            raise Rejected(Rcode.FORMERR, question_end, edns)
        if rrtype != TYPE_OPT:
            continue
        # One OPT, owned by the root, in the additional section (RFC 6891 §6.1.1).
        if edns is not None or wire[start] or number < passed_over:
            raise Rejected(Rcode.FORMERR, question_end, edns)
        try:
            edns = read_opt(rrclass, ttl, wire[rdata_start:position])
        except OptError:
            raise Rejected(Rcode.FORMERR, question_end, edns_without_options(rrclass, ttl)) from None
    if position != size:
        raise Rejected(Rcode.FORMERR, question_end, edns)
    return edns


def _skip_name(wire: bytes, position: int) -> int:
    """Where a name ends; past the end of the message where it does not."""
    size = len(wire)
    while position < size:
        length = wire[position]
        if not length:
            return position + 1
        if length >= 0xC0:
            return position + 2
        if length > 63:
            break
        position += length + 1
    return size + 1


def response_flags(query_flags: int, rcode: int, *, authoritative: bool = False, truncated: bool = False) -> int:
    """The flags of a response: opcode, RD and CD as the query had them (RFC 1035 §4.1.1, RFC 4035 §3.1.6)."""
    flags = QR | query_flags & (_OPCODE | _KEPT) | rcode & 0xF
    return flags | (AA if authoritative else 0) | (TC if truncated else 0)


def error_response(wire: bytes, rejected: Rejected, udp_size: int, rcode: Rcode | None = None) -> bytes:
    """The answer to a message that was rejected: its header, its question where that could be read, and an OPT record
    where it had one. `udp_size` (octets) is what we accept. With another `rcode`, it was not an error after all.
    """
    edns, given = rejected.edns, rejected.rcode if rcode is None else rcode
    error = ExtendedError.NOT_SUPPORTED if given is Rcode.NOTIMP else None
    opt = opt_record(edns, udp_size, given, error) if edns is not None else b""
    questions = int(rejected.question_end > HEADER_SIZE)
    head = struct.pack("!5H", response_flags(int.from_bytes(wire[2:4]), given), questions, 0, 0, bool(opt))
    return b"".join((wire[:2], head, wire[HEADER_SIZE : rejected.question_end], opt))
