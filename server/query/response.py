"""A response as octets, without what is the client's own: the ID and the question."""

from __future__ import annotations

import struct

import msgspec

from server.query.edns import ExtendedError, opt_record
from server.query.sections import FOREVER
from server.query.wire import Query, Rcode, response_flags

HEAD = struct.Struct("!5H")
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


def bare_response(
    query: Query, rcode: Rcode, udp_size: int, error: ExtendedError | None = None, until: int = FOREVER
) -> Response:
    """A response without records, but an OPT record where the query had one. `udp_size` (octets) is what we take."""
    opt = opt_record(query.edns, udp_size, rcode, error) if query.edns is not None else b""
    return Response(HEAD.pack(response_flags(query.flags, rcode), 1, 0, 0, bool(opt)), opt, until)
