"""Rdata that RFCs allow and dnspython refuses: it is written otherwise, read, and mended as octets.

- SVCB and HTTPS in AliasMode with SvcParams, which recipients ignore (RFC 9460 §2.4.2).
- IPSECKEY with algorithm 0, and so without a key (RFC 4025 §2.4, §3.1).
- NID and L64 with groups of fewer than four digits (RFC 6742 §2.1.2, §2.3.2: as in the text of an IPv6 address).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import dns.name
import dns.rdata
import dns.rdataclass
from dns.rdatatype import RdataType

_GROUPS = re.compile(r"[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){3}")


class _Rewritten(NamedTuple):
    """The rdata in other words."""

    text: str
    mend: Callable[[bytes], bytes]
    """Makes the octets meant of those that the text stands for."""


def read_beyond(rrtype: int, words: Sequence[str], origin: dns.name.Name | None) -> tuple[bytes, bytes] | None:
    """Rdata that dnspython has refused, as it goes out and in canonical form; `None` where it is wrong indeed.

    `words` are those of the rdata as they stand in the file, with their quotes and escapes.
    """
    rewrite = _REWRITES.get(rrtype)
    rewritten = rewrite(words) if rewrite is not None else None
    if rewritten is None:
        return None
    rdtype = RdataType.make(rrtype)
    rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, rewritten.text, origin, relativize=False)
    given, canonical = rdata.to_wire(), rdata.to_digestable()
    assert given is not None  # only with a file to write to is there none
    return rewritten.mend(given), rewritten.mend(canonical)


def _alias_mode(words: Sequence[str]) -> _Rewritten | None:
    if len(words) < 3 or words[0] != "0":
        return None
    return _Rewritten(" ".join(("1", *words[1:])), lambda octets: b"\x00\x00" + octets[2:])


def _without_key(words: Sequence[str]) -> _Rewritten | None:
    if len(words) != 4 or words[2] != "0":
        return None
    precedence, kind, _, gateway = words
    return _Rewritten(f"{precedence} {kind} 1 {gateway} AA==", lambda octets: octets[:2] + b"\x00" + octets[3:-1])


def _short_groups(words: Sequence[str]) -> _Rewritten | None:
    if len(words) != 2 or not _GROUPS.fullmatch(words[1]):
        return None
    whole = ":".join(group.rjust(4, "0") for group in words[1].split(":"))
    return _Rewritten(f"{words[0]} {whole}", lambda octets: octets)


_REWRITES: Mapping[int, Callable[[Sequence[str]], _Rewritten | None]] = {
    RdataType.SVCB: _alias_mode,
    RdataType.HTTPS: _alias_mode,
    RdataType.IPSECKEY: _without_key,
    RdataType.NID: _short_groups,
    RdataType.L64: _short_groups,
}
READ_BEYOND = frozenset(rdtype.name for rdtype in map(RdataType.make, _REWRITES))
"""The mnemonics of the types that may have such rdata."""
