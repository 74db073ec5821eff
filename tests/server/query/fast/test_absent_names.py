"""Denials joined from bytes say octet by octet what the general composition says, first and when remembered."""

from __future__ import annotations

import itertools

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, datagrams, query, served, signed, surprised, wire_name
from zones.build_zone import build_zone
from zones.denial import DenialMode, DeniedZone, Proof
from zones.denial_compact import CompactDenial
from zones.masterfile.load import parse_zone
from zones.node import RRset
from zones.rrtypes import TYPE_NS, TYPE_SOA
from zones.zoneset import ZoneSet

_PLAIN = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\nns 60 A 192.0.2.2\na.b.c 60 TXT deep\n"
_ZONES = {
    "plain": _PLAIN,
    "wildcard at the apex": _PLAIN + "* 60 TXT any\n",
    "wildcard below": _PLAIN + "*.w 60 A 192.0.2.3\n",
    "DNAME at the apex": "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns.other.example.\n@ 60 DNAME other.example.\n",
    "delegation": _PLAIN + "child NS ns.child\nns.child A 192.0.2.9\nunsigned NS ns.elsewhere.example.\n",
    "an only name": "@ 300 SOA ns.other.example. host 1 2 3 4 60\n@ 300 NS ns.other.example.\n",
}
_LABELS = st.sampled_from(
    [
        b"www",
        b"WWW",
        b"absent",
        b"zzz",
        b"0",
        b"a",
        b"b",
        b"c",
        b"w",
        b"*",
        b"child",
        b"unsigned",
        b"a\x01b",
        b"-",
        b"x" * 63,
    ]
)
_NAMES = st.lists(_LABELS, max_size=3).map(lambda labels: dns.name.Name([*labels, b"lab", b"example", b""]))


def _zoneset(kind: str, denial: DenialMode) -> ZoneSet:
    zoneset = served(_ZONES[kind], "lab.example", denial=denial)
    if kind == "delegation":
        # A child that is served here, and one that its parent knows nothing of.
        for child in ("child.lab.example", "zzz.lab.example"):
            zoneset = signed(parse_zone("@ 5 SOA ns h 1 2 3 4 5\n@ 5 NS ns\nns 5 A 192.0.2.9\n", child), others=zoneset)
    return zoneset


_SETS = {(kind, denial): _zoneset(kind, denial) for kind, denial in itertools.product(_ZONES, DenialMode)}
_RESPONDERS = {key: Responder(lambda zoneset=zoneset: zoneset, Caches(), surprised) for key, zoneset in _SETS.items()}  # type: ignore[misc]


@pytest.mark.parametrize("denial", DenialMode)
@pytest.mark.parametrize("kind", _ZONES)
@given(name=_NAMES, qtype=st.sampled_from(["A", "TXT", "DS", "NSEC", "ANY"]), do=st.booleans(), co=st.booleans())
def test_the_hot_path_says_what_the_general_one_says(
    kind: str, denial: DenialMode, name: dns.name.Name, qtype: str, do: bool, co: bool
) -> None:
    zoneset, responder = _SETS[kind, denial], _RESPONDERS[kind, denial]
    for size in (1232, 512):
        wire = query(name, qtype, do=do, co=co, size=size)
        general = respond(wire, zoneset, NOW, Via.UDP)
        for _ in range(3):
            assert datagrams(responder, [wire], NOW) == [general]
            assert responder.messages([wire], NOW) == [respond(wire, zoneset, NOW, Via.TCP)]


@pytest.mark.parametrize("denial", DenialMode)
def test_what_is_remembered_of_a_gap_ends_with_its_signatures(denial: DenialMode) -> None:
    zoneset = _SETS["plain", denial]
    responder = Responder(lambda: zoneset, Caches(), surprised)
    for number, now in enumerate(range(NOW, NOW + 86_400, 1800)):
        wire = query(f"absent{number % 2}.lab.example", "A")
        assert datagrams(responder, [wire], now) == [respond(wire, zoneset, now, Via.UDP)]


@pytest.mark.parametrize("denial", DenialMode)
def test_below_an_apex_that_begins_with_an_asterisk(denial: DenialMode) -> None:
    # A master file can have none, since NS at a wildcard is refused; a hosted zone can.
    origin, host = wire_name("*.lab.example"), wire_name("ns.test")
    soa = RRset(TYPE_SOA, 300, [host * 2 + b"".join(number.to_bytes(4) for number in (1, 2, 3, 4, 60))])
    zone = build_zone(origin, {origin: {TYPE_SOA: soa, TYPE_NS: RRset(TYPE_NS, 300, [host])}}, denial=denial)
    zoneset = signed(zone)
    responder = Responder(lambda: zoneset, Caches(), surprised)
    wires = [query(name, "A") for name in ("a.*.lab.example", "bar.*.lab.example", "x.y.*.lab.example")]
    for _ in range(3):
        assert datagrams(responder, wires, NOW) == [respond(wire, zoneset, NOW, Via.UDP) for wire in wires]


def test_another_kind_of_denial_takes_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherDenial(CompactDenial):
        mode = None  # type: ignore[assignment]

        def no_name(self, zone: DeniedZone, owner: bytes, closest_encloser: bytes) -> list[Proof]:
            return super().no_name(zone, b"\x05other" + zone.origin, closest_encloser)

    zoneset = served(_ZONES["plain"], "lab.example")
    served_zone = zoneset.get(wire_name("lab.example"))
    assert served_zone is not None
    monkeypatch.setattr(served_zone.zone, "denial", OtherDenial())
    responder = Responder(lambda: zoneset, Caches(), surprised)
    wires = [query(name, "A") for name in ("absent.lab.example", "x.absent.lab.example")]
    for _ in range(3):
        answers = datagrams(responder, wires, NOW)
        assert answers == [respond(wire, zoneset, NOW, Via.UDP) for wire in wires]
        assert all(answer is not None and b"\x05other" in answer for answer in answers)
