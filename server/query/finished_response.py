"""Changes to a response that is finished: options for its OPT record, and its answer taken out with TC set.

Of ours alone: each has at most one question, and its OPT record, if any, comes last. Responses are without their IDs.
"""

from __future__ import annotations

from server.query.read_query import HEADER_SIZE, ID_SIZE, TC

QUESTION_AT = HEADER_SIZE - ID_SIZE
_NO_RECORDS = bytes(4)
_OPT_FIXED = 11  # octets of an OPT record without options
_FLAG_TC = TC >> 8


def with_options(response: bytes, options: bytes) -> bytes:
    """`response`, which has an OPT record, with these octets behind the options that it has."""
    if response[4:8] == _NO_RECORDS:  # perhaps an error with an Extended DNS Error
        begin = question_end(response) + _OPT_FIXED
        size = len(response) - begin + len(options)
        return b"".join((response[: begin - 2], size.to_bytes(2), response[begin:], options))
    return b"".join((response[:-2], len(options).to_bytes(2), options))


def truncated(response: bytes) -> bytes:
    """`response` with TC set and nothing in it but its question and its OPT record (RFC 2181 §9, RFC 6891 §7)."""
    end = question_end(response)
    opt = opt_of(response, end)
    flags = bytes((response[0] | _FLAG_TC, response[1]))
    return b"".join(
        (flags, response[2:4], _NO_RECORDS, b"\x00\x01" if opt else b"\x00\x00", response[QUESTION_AT:end], opt)
    )


def question_end(response: bytes) -> int:
    """Where the question ends."""
    position = QUESTION_AT
    if response[3]:
        while length := response[position]:
            position += length + 1
        position += 5
    return position


def opt_of(response: bytes, end: int) -> bytes:
    """The OPT record, empty where there is none; `end` is where the question ends."""
    if not response[9] and not response[8]:
        return b""
    position = end
    if response[4:8] != _NO_RECORDS or response[9] > 1 or response[8]:
        records = sum(int.from_bytes(response[at : at + 2]) for at in (4, 6, 8))
        for _ in range(records - 1):
            position = _record_end(response, position)
    return response[position:] if response[position : position + 3] == b"\x00\x00\x29" else b""


def _record_end(response: bytes, position: int) -> int:
    while length := response[position]:
        if length >= 0xC0:
            position += 1
            break
        position += length + 1
    position += 9
    return position + 2 + int.from_bytes(response[position : position + 2])
