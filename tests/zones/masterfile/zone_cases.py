r"""The cases of `cases.txt`: text of a zone file, whether it is a zone, and what its records are.

Read by the tests beside this file, and by the one that asks other programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from zones import names
from zones.masterfile.load import load_zone
from zones.masterfile.warnings import ZoneWarning
from zones.masterfile.zone_rules import ZoneFileError

FILE = Path(__file__).with_name("cases.txt")
ORIGIN = "t.test."
HEAD = b"""\
@ 60 IN SOA ns hostmaster 1 3600 600 86400 60
@ 60 IN NS ns
ns 60 IN A 192.0.2.53
"""
_OCTET = re.compile(rb"\\x([0-9a-f]{2})")
_HEAD_RECORDS = {("t.test.", 6), ("t.test.", 2)}

Records = frozenset[tuple[str, int, bytes]]
"""Owner, type, and rdata in canonical form."""


class ZoneCase(NamedTuple):
    """One line of the table."""

    line: int
    verdict: str
    """ok, warned or refused."""
    differs: str
    """Where most other programs say something else: the word by which docs/answers.md says so."""
    text: bytes
    """What follows `HEAD`."""

    @property
    def source(self) -> bytes:
        """The whole zone file."""
        return HEAD + self.text + b"\n"


def zone_cases() -> Iterator[ZoneCase]:
    """All of them."""
    for number, line in enumerate(FILE.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line:
            continue
        verdict, _, text = line.partition("\t")
        verdict, _, differs = verdict.partition("! ")
        octets = text.replace("\\t", "\t").replace("⏎", "\n").encode()
        yield ZoneCase(number, verdict, differs, _OCTET.sub(lambda found: bytes.fromhex(found[1].decode()), octets))


def ours(path: Path) -> tuple[str, Records, str]:
    """Our verdict of a zone file, its records but for SOA and NS of the apex, and what we say of it."""
    warned: list[ZoneWarning] = []
    try:
        zone = load_zone(path, ORIGIN, signed=False, warned=warned.extend)
    except ZoneFileError as error:
        return "refused", frozenset(), str(error)
    records = frozenset(
        (names.to_text(owner), rrtype, rdata)
        for owner, node in zone.nodes.items()
        for rrtype, rrset in node.rrsets.items()
        for rdata in rrset.canonical
        if (names.to_text(owner), rrtype) not in _HEAD_RECORDS
    )
    return "warned" if warned else "ok", records, "\n".join(map(str, warned))
