"""EDNS(0): the OPT record of a query, and the one of its response (RFC 6891); Extended DNS Errors (RFC 8914)."""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from server.query.cookies import is_well_formed

TYPE_OPT = 41
VERSION = 0
DO = 0x8000  # DNSSEC OK, RFC 3225
CO = 0x4000  # Compact Answers OK, RFC 9824 §5
MINIMUM_SIZE = 512  # octets, RFC 1035 §2.3.4
DEFAULT_SIZE = 1232  # octets: what passes every usual path unfragmented
OPTION_NSID, OPTION_COOKIE, OPTION_KEEPALIVE, OPTION_EXTENDED_ERROR = 3, 10, 11, 15

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
    NOT_SUPPORTED = 21
    INVALID_QUERY_TYPE = 30


class Edns(NamedTuple):
    """What a query's OPT record says."""

    size: int
    """UDP payload size the client takes, at least 512 octets."""
    version: int
    do: bool
    co: bool
    cookie: bytes = b""
    """The data of its COOKIE option (RFC 7873 §4), of a length that is allowed; empty where it has none."""
    nsid: bool = False
    """Whether it asks which server answers (RFC 5001 §2.1)."""
    keepalive: int | None = None
    """Octets of data in its edns-tcp-keepalive option, where it has one: none are allowed, and over UDP none count (RFC
    7828 §3.2.1, §3.3.1)."""


class OptError(ValueError):
    """An OPT record that cannot be read: FORMERR (RFC 6891 §6.1.1)."""


def read_opt(opt_class: int, opt_ttl: int, rdata: bytes) -> Edns:
    """Read an OPT record from its class, TTL and rdata. Unknown options and flags are ignored. Raises `OptError`.

    Of an option that is there twice, the first counts. What an unknown version has for rdata is not looked at.
    """
    edns = edns_without_options(opt_class, opt_ttl)
    if not rdata or edns.version != VERSION:
        return edns
    position, end = 0, len(rdata)
    cookie, nsid, keepalive = b"", False, None
    while position < end:
        if position + 4 > end:
            raise OptError("EDNS option without a length")
        code, size = _OPTION.unpack_from(rdata, position)
        position += 4 + size
        if code == OPTION_COOKIE and not cookie:
            if not is_well_formed(size):
                raise OptError("COOKIE option of an invalid length")
            cookie = rdata[position - size : position]
        elif code == OPTION_NSID:
            nsid = True
        elif code == OPTION_KEEPALIVE and keepalive is None:
            keepalive = size
    if position != end:
        raise OptError("EDNS option longer than the OPT record")
    return edns._replace(cookie=cookie, nsid=nsid, keepalive=keepalive)


def edns_without_options(opt_class: int, opt_ttl: int) -> Edns:
    """What an OPT record says in its class and TTL alone."""
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
