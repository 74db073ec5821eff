"""EDNS(0): the OPT record of a query, and the one of its response (RFC 6891); Extended DNS Errors (RFC 8914)."""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

TYPE_OPT = 41
VERSION = 0
DO = 0x8000  # DNSSEC OK, RFC 3225
CO = 0x4000  # Compact Answers OK, RFC 9824 §5
MINIMUM_SIZE = 512  # octets, RFC 1035 §2.3.4
DEFAULT_SIZE = 1232  # octets: what passes every usual path unfragmented
OPTION_EXTENDED_ERROR = 15

_OPT = struct.Struct("!BHHBBHH")
_OPTION = struct.Struct("!HH")


class ExtendedError(enum.IntEnum):
    """INFO-CODEs that we send (RFC 8914 §4 and its registry)."""

    OTHER = 0
    SIGNATURE_EXPIRED = 7
    SIGNATURE_NOT_YET_VALID = 8
    NOT_READY = 14
    PROHIBITED = 18
    NOT_AUTHORITATIVE = 20
    INVALID_QUERY_TYPE = 30


class Edns(NamedTuple):
    """What a query's OPT record says."""

    size: int
    """UDP payload size the client takes, at least 512 octets."""
    version: int
    do: bool
    co: bool


class OptError(ValueError):
    """An OPT record that cannot be read: FORMERR (RFC 6891 §6.1.1)."""


def read_opt(opt_class: int, opt_ttl: int, rdata: bytes) -> Edns:
    """Read an OPT record from its class, TTL and rdata. Unknown options and flags are ignored. Raises `OptError`."""
    position, end = 0, len(rdata)
    while position < end:
        if position + 4 > end:
            raise OptError("option without a length")
        position += 4 + int.from_bytes(rdata[position + 2 : position + 4])
    if position != end:
        raise OptError("option longer than the record")
    return Edns(max(opt_class, MINIMUM_SIZE), opt_ttl >> 16 & 0xFF, bool(opt_ttl & DO), bool(opt_ttl & CO))


def opt_record(edns: Edns, size: int, rcode: int = 0, error: ExtendedError | None = None, text: str = "") -> bytes:
    """The OPT record of a response: our version and `size`, DO and CO as the query had them (RFC 3225 §3, RFC 9824 §5).

    `rcode` is the whole extended RCODE; its upper eight bits go here.
    """
    options = b""
    if error is not None:
        data = error.to_bytes(2) + text.encode()
        options = _OPTION.pack(OPTION_EXTENDED_ERROR, len(data)) + data
    # CO means something only together with DO.
    flags = (DO if edns.do else 0) | (CO if edns.do and edns.co else 0)
    return _OPT.pack(0, TYPE_OPT, size, rcode >> 4, VERSION, flags, len(options)) + options
