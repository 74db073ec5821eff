"""Queries with EDNS options, alike from the end of the name up to the data of the option: the form is read once.

Responses are remembered as of queries without options. A form says how to make such a query of one, and what its
response gets back.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from server.query.edns import Edns, OptError, read_opt

QUESTION_TAIL = 5  # octets of a question behind its last label: root, type, class
OPT_SIZE = 11  # octets of an OPT record without options
PLAIN_TAIL = QUESTION_TAIL + OPT_SIZE
FORM = PLAIN_TAIL + 4
"""Octets behind a name, up to the data of the first option."""
_OPT = struct.Struct("!xHHIH")
_TYPE_OPT = 41


class Form(NamedTuple):
    """What a query's octets from the end of its name on say."""

    size: int
    """How many they are."""
    bare: bytes
    """The same without options."""
    edns: Edns
    """The OPT record, but for the data of a cookie where that is all of the options."""
    is_cookie: bool
    """Whether a COOKIE option is all of the options."""
    is_single: bool
    """Whether there is one option, so that the beginning is enough to know the form by."""
    asks: bool
    """Whether any option may get something."""


def form_of(tail: bytes) -> Form | None:
    """The form of a query by its octets from the end of the name on, which are more than `PLAIN_TAIL`.

    None where they are anything but a question's end and one OPT record of well-formed options.
    """
    if tail[QUESTION_TAIL] or len(tail) < FORM:
        return None
    rrtype, rrclass, ttl, size = _OPT.unpack_from(tail, QUESTION_TAIL)
    if rrtype != _TYPE_OPT or size != len(tail) - PLAIN_TAIL:
        return None
    try:
        edns = read_opt(rrclass, ttl, tail[PLAIN_TAIL:])
    except OptError:
        return None
    is_single = int.from_bytes(tail[FORM - 2 : FORM]) == len(tail) - FORM
    is_cookie = is_single and bool(edns.cookie)  # not of a version that is not ours: nothing is known of its options
    asks = bool(edns.cookie or edns.nsid or edns.keepalive is not None)
    bare = tail[: PLAIN_TAIL - 2] + b"\x00\x00"
    return Form(len(tail), bare, edns._replace(cookie=b"") if is_cookie else edns, is_cookie, is_single, asks)
