"""Queries as octets: what of one could be read, and the header of what answers it (RFC 1035 §4.1)."""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from server.query.edns import TYPE_OPT, Edns, OptError, read_opt

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
    """A message that is answered with an error and nothing else."""

    def __init__(self, rcode: Rcode, question_end: int = HEADER_SIZE) -> None:
        super().__init__(rcode.name)
        self.rcode = rcode
        self.question_end = question_end


def read_query(wire: bytes) -> Query:
    """Read a query of opcode QUERY. Raises `Unanswerable` and `Rejected`, and nothing else."""
    if len(wire) < HEADER_SIZE:
        raise Unanswerable
    _, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(wire)
    if flags & QR:
        raise Unanswerable
    if flags & _OPCODE:
        raise Rejected(Rcode.NOTIMP)
    if questions != 1:  # RFC 9619
        raise Rejected(Rcode.FORMERR)
    qname, position = _read_question_name(wire)
    if position + 4 > len(wire):
        raise Rejected(Rcode.FORMERR)
    qtype, qclass = int.from_bytes(wire[position : position + 2]), int.from_bytes(wire[position + 2 : position + 4])
    end = position + 4
    edns = None
    if answers or authorities or additionals:
        edns = _read_records(wire, end, answers + authorities, additionals)
    elif end != len(wire):
        raise Rejected(Rcode.FORMERR, end)
    return Query(flags, qname, qtype, qclass, end, edns)


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
        position = _skip_name(wire, position, question_end)
        if position + 10 > size:
            raise Rejected(Rcode.FORMERR, question_end)
        rrtype, rrclass, ttl, length = _FIXED.unpack_from(wire, position)
        rdata_start = position + 10
        position = rdata_start + length
        if position > size:
            raise Rejected(Rcode.FORMERR, question_end)
        if rrtype != TYPE_OPT:
            continue
        # One OPT, owned by the root, in the additional section (RFC 6891 §6.1.1).
        if edns is not None or wire[start] or number < passed_over:
            raise Rejected(Rcode.FORMERR, question_end)
        try:
            edns = read_opt(rrclass, ttl, wire[rdata_start:position])
        except OptError:
            raise Rejected(Rcode.FORMERR, question_end) from None
    if position != size:
        raise Rejected(Rcode.FORMERR, question_end)
    return edns


def _skip_name(wire: bytes, position: int, question_end: int) -> int:
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
    raise Rejected(Rcode.FORMERR, question_end)


def response_flags(query_flags: int, rcode: int, *, authoritative: bool = False, truncated: bool = False) -> int:
    """The flags of a response: opcode, RD and CD as the query had them (RFC 1035 §4.1.1, RFC 4035 §3.1.6)."""
    flags = QR | query_flags & (_OPCODE | _KEPT) | rcode & 0xF
    return flags | (AA if authoritative else 0) | (TC if truncated else 0)


def error_response(wire: bytes, rejected: Rejected) -> bytes:
    """The answer to a message that was rejected: its header, and its question where that could be read."""
    flags = response_flags(int.from_bytes(wire[2:4]), rejected.rcode)
    questions = int(rejected.question_end > HEADER_SIZE)
    return wire[:2] + struct.pack("!5H", flags, questions, 0, 0, 0) + wire[HEADER_SIZE : rejected.question_end]
