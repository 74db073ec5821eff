"""Types of RFC 4034 §6.2 that dnspython does not know: the names in their rdata become lower case.

Their canonical form, which is signed, has lower-case names (RFC 4034 §6.2 item 3, RFC 6840 §5.1). Not every validator
knows that of each (unbound lower-cases no A6), so they are answered in lower case as well: then all validators agree.
Their rdata is written in the form of RFC 3597, so its octets may be anything.
"""

from __future__ import annotations

from zones.masterfile.formerly_valid import NoLongerValidError
from zones.names import MAXIMUM_LABEL, MAXIMUM_NAME

_MD, _MF, _MB, _MG, _MR, _MINFO, _NXT, _A6 = 3, 4, 7, 8, 9, 14, 30, 38
_NAMES = {_MD: 1, _MF: 1, _MB: 1, _MG: 1, _MR: 1, _MINFO: 2, _NXT: 1, _A6: 1}
"""How many names each has (RFC 1035 §3.3, RFC 2535 §5.1, RFC 2874 §3.1)."""
OLD_TYPES = frozenset(_NAMES)
_ADDRESS_BITS = 128


def in_lower_case(rrtype: int, rdata: bytes) -> bytes:
    """The rdata of one of `OLD_TYPES` with lower-case names.

    Raises `NoLongerValidError` for malformed rdata, which earlier versions took as it was. What follows the name of an
    NXT is not looked at.
    """
    at, count = 0, _NAMES[rrtype]
    if rrtype == _A6:
        at, count = _behind_suffix(rdata), 1 if rdata[0] else 0
    start = at
    for _ in range(count):
        at = _behind_name(rdata, at)
    if at < len(rdata) and rrtype != _NXT:
        raise NoLongerValidError("octets follow the end of the rdata")
    return rdata[:start] + rdata[start:at].lower() + rdata[at:]  # the lengths of labels are not letters


def _behind_suffix(rdata: bytes) -> int:
    """Where the prefix name of an A6 begins: behind the prefix length and the rest of the address (RFC 2874 §3.1)."""
    if not rdata:
        raise NoLongerValidError("the rdata ends before its prefix length")
    if rdata[0] > _ADDRESS_BITS:
        raise NoLongerValidError(f"expected a prefix length of 0 to {_ADDRESS_BITS}, found {rdata[0]}")
    end = 1 + (_ADDRESS_BITS - rdata[0] + 7) // 8
    if end > len(rdata):
        raise NoLongerValidError("the rdata ends within its address suffix")
    return end


def _behind_name(rdata: bytes, start: int) -> int:
    at = start
    while True:
        if at >= len(rdata):
            raise NoLongerValidError("the rdata ends within a name")
        length = rdata[at]
        if length > MAXIMUM_LABEL:
            raise NoLongerValidError(f"a label of {length} octets, or a compressed name, in the rdata")
        at += 1 + length
        if at - start > MAXIMUM_NAME:
            raise NoLongerValidError(f"a name of more than {MAXIMUM_NAME} octets in the rdata")
        if not length:
            return at
