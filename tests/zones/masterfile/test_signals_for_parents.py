"""CDS and CDNSKEY at the apex of a signed zone are left out with a warning; elsewhere they are ordinary data."""

from __future__ import annotations

import dns.name
import pytest
from dns.rdatatype import RdataType

from tests.lab import NOW, anchor, ask, served, wire_name
from tests.validator import judge
from zones import names
from zones.masterfile.load import ZoneWarning, parse_zone
from zones.recordsets.record_sets import TYPES
from zones.zone import Zone

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
SIGNALS = "@ CDS 0 0 0 00\n@ CDNSKEY 0 3 0 AA==\n@ 99 CDS 1 13 2 " + "AB" * 32 + "\n"
ELSEWHERE = "_dsboot.other.example._signal.ns CDS 1 13 2 " + "AB" * 32 + "\n"
CDS, CDNSKEY = RdataType.CDS, RdataType.CDNSKEY


def parse(text: str, *, signed: bool, lenient: bool = False) -> tuple[Zone, list[ZoneWarning]]:
    warned: list[ZoneWarning] = []
    zone = parse_zone(text, "lab.example", file="zone", signed=signed, lenient=lenient, warned=warned.extend)
    return zone, warned


@pytest.mark.parametrize("lenient", [False, True])
def test_they_are_left_out_of_a_signed_apex(lenient: bool) -> None:
    zone, warned = parse(APEX + SIGNALS + ELSEWHERE + "@ MX 10 gone\n", signed=True, lenient=lenient)
    apex = zone.nodes[zone.origin]
    assert not {CDS, CDNSKEY} & apex.rrsets.keys()
    assert apex.bitmap == parse(APEX + "@ MX 10 gone\n", signed=True)[0].nodes[zone.origin].bitmap
    told = "left out: a parent accepts it only with a KSK's signature (RFC 7344 §4.1), which is not supported"
    assert [str(warning).partition(";")[0] for warning in warned] == [
        f"zone:5: lab.example. CDS: {told}",
        f"zone:6: lab.example. CDNSKEY: {told}",
        f"zone:7: lab.example. CDS: {told}",
        "zone:9: lab.example. MX: gone.lab.example. has no records here",
    ]
    assert warned[0].reason.endswith("`signwright ds lab.example.` prints the DS for the parent")


def test_they_are_left_out_where_nobody_wants_to_know() -> None:
    zone = parse_zone(APEX + SIGNALS, "lab.example")
    assert not {CDS, CDNSKEY} & zone.nodes[zone.origin].rrsets.keys()


def test_elsewhere_the_zsk_signs_them() -> None:
    zone, warned = parse(APEX + ELSEWHERE, signed=True)
    assert not warned
    owner = "_dsboot.other.example._signal.ns.lab.example."
    assert CDS in zone.nodes[names.from_text(owner)].rrsets
    wire = ask(served(APEX + ELSEWHERE, "lab.example."), owner, CDS)
    judge(wire, dns.name.from_text(owner), CDS, anchor(wire_name("lab.example.")), NOW)


def test_an_unsigned_zone_keeps_them() -> None:
    zone, warned = parse(APEX + SIGNALS.replace("@ 99", "@ 60"), signed=False)
    assert not warned
    assert len(zone.nodes[zone.origin].rrsets[CDS].records) == 2
    assert CDNSKEY in zone.nodes[zone.origin].rrsets


def test_hosted_zones_have_none() -> None:
    assert not {"CDS", "CDNSKEY"} & set(TYPES)
