"""What a query says beside its ID and name: few shapes make up all traffic, so each is read once."""

from __future__ import annotations

import struct
from typing import NamedTuple

from server.query.edns import Edns
from server.query.emit_to_size import plain_opt
from server.query.read_query import CD, RD, Query
from server.query.respond import CLASS_IN, is_ordinary

_VARIANT = struct.Struct("!5H")


class SignedShape(NamedTuple):
    """The shape of a query that wants signatures (DO) of ordinary data of class IN: what the short ways need of it."""

    flags: int
    qtype: int
    co: bool
    """Whether it takes NXDOMAIN from compact denial (RFC 9824 §5)."""
    limit: int
    """The largest response in octets."""
    opt: bytes
    """The response's OPT record."""
    key: bytes
    """All that a response depends on beside the name, but for the type that is asked for."""


class Shape(NamedTuple):
    """All that a query says beside its ID and name."""

    flags: int
    qtype: int
    qclass: int
    edns: Edns | None
    limit: int
    """The largest response in octets; it stands for transport and size."""
    variant: bytes
    """All that a response depends on beside name, ID and spelling."""
    signed: SignedShape | None
    """For the short ways, where it wants signatures of ordinary data."""


def shape_of(query: Query, limit: int, udp_size: int) -> Shape:
    """The shape of a query whose response has at most `limit` octets; `udp_size` is what we say we take."""
    flags, _, qtype, qclass, _, edns = query
    extension = 0 if edns is None else 1 | edns.do << 1 | edns.co << 2 | (edns.version << 3)
    variant = _VARIANT.pack(qtype, qclass, flags & (RD | CD), extension, limit)
    signed = None
    if edns is not None and edns.do and edns.version == 0 and qclass == CLASS_IN and is_ordinary(qtype):
        opt = plain_opt(edns.do, edns.co, udp_size)
        kept = flags & (RD | CD)  # all that a response copies of a query of opcode QUERY
        signed = SignedShape(kept, qtype, edns.co, limit, opt, b"%d %d %d" % (kept, edns.co, limit))
    return Shape(flags, qtype, qclass, edns, limit, variant, signed)
