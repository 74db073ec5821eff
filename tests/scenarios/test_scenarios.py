"""Answers as plain text: zones, queries, and every section of the response, to be read and compared.

    zone lab.example nsec          # or compact (the default); unsigned; unready: signed, without a keyset yet
      www 60 A 192.0.2.1           # its master file, indented; SOA and NS are put in

    query www.lab.example A do     # plain: no EDNS; edns: without DO; do; co: DO and CO; udp; size=N
      …                            # the response; `--rewrite` writes what is answered now

RRSIGs show what they cover, their labels and their signer. What a validator makes of it stands in the last line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from dns.rdatatype import RdataType

from server.query.respond import Via
from tests.lab import NOW, anchor, ask, wire_name, zone_keys
from tests.validator import Bogus, judge
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.zoneset import ZoneSet

FOLDER = Path(__file__).parent
_PROVABLE = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN)
_APEX = "@ 300 SOA ns host 1 7200 3600 1209600 60\n@ 300 NS ns.elsewhere.test.\n"


def shown(wire: bytes, qname: dns.name.Name, qtype: RdataType, options: list[str], zoneset: ZoneSet) -> list[str]:
    """The response as text."""
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    flags = dns.flags.to_text(message.flags & ~dns.flags.QR)
    lines = [f"{dns.rcode.to_text(message.rcode())} {flags}".rstrip()]
    lines += [option.to_text() for option in message.options]
    for title, section in (("answer", message.answer), ("authority", message.authority), ("extra", message.additional)):
        lines += [f"{title:9} {_record(record)}" for record in section]
    if {"do", "co"} & set(options) and message.rcode() in _PROVABLE:
        lines.append(_judged(wire, qname, qtype, "co" in options, zoneset))
    return lines


def _record(record: Any) -> str:
    rdata = record[0]
    if record.rdtype == RdataType.RRSIG:
        covered = dns.rdatatype.to_text(rdata.type_covered)
        text = f"{covered} labels={rdata.labels} ttl={rdata.original_ttl} by {rdata.signer}"
    elif record.rdtype == RdataType.DNSKEY:
        text = f"{rdata.flags} {rdata.protocol} {rdata.algorithm} …"
    else:
        text = rdata.to_text()
        text = text if len(text) < 160 else f"{text[:60]}…{text[-40:]}"
    return f"{record.name} {record.ttl} {dns.rdatatype.to_text(record.rdtype)} {text}"


def _judged(wire: bytes, qname: dns.name.Name, qtype: RdataType, co: bool, zoneset: ZoneSet) -> str:
    served = zoneset.find(wire_name(qname.to_text()), int(qtype))
    if served is None or served.keys is None:
        return "not signed"
    try:
        return f"proved: {judge(wire, qname, qtype, anchor(served.zone.origin), NOW, co=co).verdict.value}"
    except Bogus as bogus:
        return f"BOGUS: {bogus}"


def served_zones(header: list[str], body: list[str], zoneset: ZoneSet) -> ZoneSet:
    """The set with one more zone, from its block."""
    origin, *options = header
    denial = DenialMode.NSEC if "nsec" in options else DenialMode.COMPACT
    text = _APEX + "\n".join(line.strip() for line in body) + "\n"
    zone = parse_zone(text, origin, denial=denial, signed="unsigned" not in options)
    zoneset = zoneset.with_zone(zone)
    return zoneset if "unready" in options else zoneset.with_keys(zone.origin, zone_keys(zone.origin))


def answered(header: list[str], zoneset: ZoneSet) -> list[str]:
    """The response to one query block, as text."""
    name, mnemonic, *options = header
    qname, qtype = dns.name.from_text(name), dns.rdatatype.from_text(mnemonic)
    wire = ask(
        zoneset,
        qname,
        qtype,
        edns="plain" not in options,
        do="do" in options or "co" in options,
        co="co" in options,
        via=Via.UDP if "udp" in options else Via.TCP,
        size=next((int(option[5:]) for option in options if option.startswith("size=")), 1232),
    )
    return shown(wire, qname, qtype, options, zoneset)


def played(text: str) -> str:
    """The scenario with every response as it is now."""
    lines = text.splitlines()
    written: list[str] = []
    zoneset = ZoneSet()
    position = 0
    while position < len(lines):
        line = lines[position]
        written.append(line)
        position += 1
        if not line.startswith(("zone ", "query ")):
            assert not line.strip() or line.startswith("#"), f"line {position}: {line!r}"
            continue
        start = position
        while position < len(lines) and lines[position].startswith("  "):
            position += 1
        kind, *header = line.partition("#")[0].split()
        if kind == "zone":
            written += lines[start:position]
            zoneset = served_zones(header, lines[start:position], zoneset)
        else:
            written += [f"  {shown_line}" for shown_line in answered(header, zoneset)]
    return "\n".join(written) + "\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_scenario(path: Path, matches_transcript: Callable[[Path, str], None]) -> None:
    now = played(path.read_text(encoding="utf-8"))
    matches_transcript(path, now)
    assert "BOGUS" not in now
