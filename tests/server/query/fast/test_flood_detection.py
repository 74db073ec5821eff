"""When a zone is denied by its chain and when no more, and what that changes: the zone's denials and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import count, pairwise

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.rdatatype import RdataType

from server.query.edns import CO
from server.query.fast import flood_detection
from server.query.fast.answer_caches import Caches
from server.query.fast.flood_detection import (
    OFF_AFTER,
    OFF_BELOW,
    ON_ABOVE,
    ON_AFTER,
    Flood,
    FloodDetection,
    after,
    wants_own_signature,
)
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, datagrams, query, served, signed, surprised, wire_name
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.zone import Zone
from zones.zoneset import ZoneSet

_TEXT = """\
@ 300 SOA ns host 1 2 3 4 60
@ 300 NS ns
ns 60 A 192.0.2.53
a.ent 60 A 192.0.2.1
*.wild 60 A 192.0.2.2
*.named 60 CNAME ns
old 60 DNAME ent
out 60 DNAME elsewhere.test.
child 60 NS ns.elsewhere.test.
"""
LAB, OTHER = wire_name("lab.example"), wire_name("other.example")


def in_order(flood: Flood, counts: list[int]) -> Flood:
    return reduce(after, counts, flood)


def test_a_flood_begins_with_seconds_in_a_row() -> None:
    busy = [ON_ABOVE + 1] * (ON_AFTER - 1)
    assert not in_order(Flood(), [ON_ABOVE] * 100).is_on
    assert not in_order(Flood(), [*busy, ON_ABOVE] * 10).is_on
    assert in_order(Flood(), [*busy, ON_ABOVE + 1]) == Flood(True)


def test_a_flood_ends_with_many_quiet_seconds_in_a_row() -> None:
    quiet = [OFF_BELOW - 1] * (OFF_AFTER - 1)
    assert in_order(Flood(True), [OFF_BELOW] * 1000).is_on
    assert in_order(Flood(True), [*quiet, OFF_BELOW] * 10).is_on
    assert in_order(Flood(True), [*quiet, 0]) == Flood()
    assert after(Flood(True), 0, OFF_AFTER) == Flood()


def test_a_load_near_either_bound_does_not_go_to_and_fro() -> None:
    for level in (OFF_BELOW, ON_ABOVE):
        states, flood = [], Flood()
        for second in range(600):
            flood = after(flood, level + (50 if second % 7 < 3 else -50))
            states.append(flood.is_on)
        assert sum(one is not other for one, other in pairwise(states)) <= 1


def labelled(number: int, under: bytes = LAB) -> bytes:
    return b"\x08%08d" % number + under


def two_zones() -> ZoneSet:
    zoneset = served(_TEXT, "lab.example", flood_denial=DenialMode.NSEC)
    return signed(parse_zone(_TEXT, "other.example"), others=zoneset)


def lab(zoneset: ZoneSet) -> Zone:
    found = zoneset.get(LAB)
    assert found is not None
    return found.zone


class Flooded:
    """A detection that sees so many names a second of one zone."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, bool]] = []
        self.zoneset = two_zones()
        self.detection = FloodDetection(lambda *heard: self.heard.append(heard))
        self.now = NOW
        self.detection.answered(self.zoneset, self.now)

    def see(self, count: int, seconds: int = 1) -> DenialMode:
        """How the zone is denied after so many names in a second, or one in many."""
        names = self.detection.names(lab(self.zoneset))
        assert names is not None
        for number in range(count):
            names.note(labelled(number))
        self.now += seconds
        return lab(self.detection.answered(self.zoneset, self.now)).denial.mode


def test_a_zone_is_answered_by_its_chain_as_long_as_it_is_flooded() -> None:
    flooded = Flooded()
    modes = [flooded.see(count) for count in (5000, 5000, 5000, 300, 300)]
    assert modes == [DenialMode.COMPACT, *[DenialMode.NSEC] * 4]
    answered = flooded.detection.answered(flooded.zoneset, flooded.now)
    assert answered is flooded.detection.answered(flooded.zoneset, flooded.now)
    other = answered.get(OTHER)
    assert other is flooded.zoneset.get(OTHER)
    modes = [flooded.see(10) for _ in range(OFF_AFTER)]
    assert modes == [*[DenialMode.NSEC] * (OFF_AFTER - 1), DenialMode.COMPACT]
    assert flooded.detection.answered(flooded.zoneset, flooded.now).get(LAB) is flooded.zoneset.get(LAB)
    assert flooded.heard == [(LAB, True), (LAB, False)]
    assert flooded.detection.states() == {LAB: False}


def test_names_that_come_again_count_once() -> None:
    flooded = Flooded()
    for _ in range(10):
        for _ in range(5):
            flooded.see(ON_ABOVE, seconds=0)
        assert flooded.see(ON_ABOVE) is DenialMode.COMPACT


def test_seconds_in_which_nobody_asks_count() -> None:
    flooded = Flooded()
    flooded.see(5000)
    assert flooded.see(5000, seconds=2) is DenialMode.NSEC  # one of them was a flood
    assert flooded.see(0, seconds=OFF_AFTER - 2) is DenialMode.NSEC
    assert flooded.see(0) is DenialMode.COMPACT


def test_a_clock_that_is_set_back_counts_for_a_second() -> None:
    flooded = Flooded()
    flooded.see(5000)
    assert flooded.see(5000, seconds=-100_000) is DenialMode.NSEC
    assert flooded.see(5000, seconds=-100_000) is DenialMode.NSEC
    assert flooded.see(0, seconds=100_000) is DenialMode.COMPACT


def test_a_zone_whose_setting_goes_is_forgotten() -> None:
    flooded = Flooded()
    flooded.see(5000)
    flooded.see(5000)
    without = lab(flooded.zoneset).answered_as(signed=True, denial=DenialMode.COMPACT, flood_denial=None)
    changed = flooded.zoneset.with_zone(without)
    assert lab(flooded.detection.answered(changed, flooded.now)).denial.mode is DenialMode.COMPACT
    assert flooded.detection.states() == {}
    assert flooded.detection.names(without) is None


def test_what_is_noted_of_a_zone_is_bounded() -> None:
    zone = lab(two_zones())
    names = FloodDetection().names(zone)
    assert names is not None
    for number in range(20_000):
        names.note(labelled(number))
    assert len(names._seen) == ON_ABOVE + 1


@pytest.mark.parametrize(
    ("owner", "rrtype", "wanted"),
    [
        ("absent", "A", True),
        ("x.absent", "NSEC", True),
        ("x.wild", "A", True),
        ("x.wild", "MX", True),
        ("x.named", "A", True),
        ("x.old", "A", True),  # x.ent does not exist
        ("a.old", "A", False),
        ("x.out", "A", False),
        ("x.child", "A", False),
        ("child", "A", False),
        ("ns", "A", False),
        ("ns", "MX", False),
        ("ent", "A", False),
        ("*.wild", "A", False),
    ],
)
def test_what_is_counted_are_names_that_each_need_a_signature(owner: str, rrtype: str, wanted: bool) -> None:
    zone = lab(two_zones())
    assert wants_own_signature(zone, wire_name(f"{owner}.lab.example"), RdataType.from_text(rrtype)) is wanted


def test_a_circle_of_redirects_ends() -> None:
    zone = parse_zone("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\na 60 DNAME b\nb 60 DNAME a\n", "lab.example")
    assert not wants_own_signature(zone, wire_name("x.a.lab.example"), 1)


_FEW = 40


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood is one already with a few names."""
    monkeypatch.setattr(flood_detection, "ON_ABOVE", _FEW)
    monkeypatch.setattr(flood_detection, "OFF_BELOW", _FEW // 4)


class Answering:
    """A responder for both zones, and the time."""

    def __init__(self) -> None:
        self.zoneset = two_zones()
        self.heard: list[bool] = []
        self.caches = Caches()
        self.responder = Responder(
            lambda: self.zoneset, self.caches, surprised, switched=lambda _, is_on: self.heard.append(is_on)
        )
        self.now = NOW
        self.numbers = count()

    def ask(self, *wires: bytes) -> list[dns.message.Message]:
        """The responses, which are those of the general way in the mode that is in force."""
        responses = datagrams(self.responder, wires, self.now)
        current = self.zoneset.in_flood([LAB]) if self.responder.floods.get(LAB) else self.zoneset
        assert responses == [respond(wire, current, self.now, Via.UDP) for wire in wires]
        return [dns.message.from_wire(response) for response in responses if response is not None]

    def flood(self, name: Callable[[int], str], seconds: int = ON_AFTER, qtype: str = "A") -> None:
        """Other names each second, more of them than `few` allows."""
        for _ in range(seconds):
            datagrams(self.responder, [query(name(next(self.numbers)), qtype) for _ in range(_FEW + 5)], self.now)
            self.now += 1


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("names", "qtype"),
    [
        ("n{}.lab.example", "A"),
        ("n{}.deeper.lab.example", "A"),
        ("n{}.wild.lab.example", "A"),
        ("n{}.lab.example", "ANY"),
    ],
)
def test_a_flood_of_any_kind_is_noticed_within_seconds_and_so_is_its_end(names: str, qtype: str) -> None:
    answering = Answering()
    answering.flood(names.format, qtype=qtype)
    (denied,) = answering.ask(query("absent.lab.example", "A"))
    assert denied.rcode() == dns.rcode.NXDOMAIN
    answering.flood(names.format, qtype=qtype)
    answering.ask(query(names.format("x"), qtype))
    assert answering.heard == [True]
    answering.now += OFF_AFTER + 1
    (denied,) = answering.ask(query("absent.lab.example", "A"))
    assert denied.rcode() == dns.rcode.NOERROR
    assert answering.heard == [True, False]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("names", ["n{}.other.example", "n{}.child.lab.example", "n{}.out.lab.example", "n{}.test"])
def test_what_needs_no_signature_or_is_of_another_zone_is_no_flood(names: str) -> None:
    answering = Answering()
    answering.flood(names.format, seconds=ON_AFTER + 2)
    assert not any(answering.responder.floods.values())


@pytest.mark.usefixtures("few")
def test_a_switch_costs_the_denials_of_the_zone_and_nothing_else() -> None:
    answering = Answering()
    kept = [query(f"{owner}.{zone}.example", "A") for zone in ("lab", "other") for owner in ("ns", "a.ent")]
    kept += [query(f"{owner}.other.example", rrtype) for owner, rrtype in (("ns", "MX"), ("child", "A"), ("no", "A"))]
    kept += [query("lab.example", "SOA"), query("x.wild.other.example", "A")]
    gone = [
        query(f"{owner}.lab.example", rrtype)
        for owner, rrtype in (
            ("ns", "MX"),
            ("child", "A"),
            ("x.wild", "A"),
            ("x.wild", "MX"),
            ("no", "A"),
            ("ent", "A"),
        )
    ]
    for _ in range(3):
        answering.ask(*kept, *gone)
    answering.flood("n{}.lab.example".format)
    assert not any(answering.responder.floods.values())

    def made() -> int:
        caches = answering.caches
        return caches.packets.stored + caches.answers.stored + caches.denials.stored + caches.signatures.stored

    answering.ask(query("ns.lab.example", "A"))  # a second later the flood is known
    assert answering.heard == [True]
    before = made()
    answering.ask(*kept)
    assert made() == before
    answering.ask(*gone)
    assert made() > before


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("in_flood", [False, True])
def test_compact_answers_ok_is_echoed(in_flood: bool) -> None:
    answering = Answering()
    if in_flood:
        answering.flood("n{}.lab.example".format)
    for owner in ("absent", "x.absent", "ns", "x.wild"):
        plain, ok = answering.ask(*(query(f"{owner}.lab.example", "A", co=co) for co in (False, True)))
        assert [bool(response.ednsflags & CO) for response in (plain, ok)] == [False, True]
        assert (ok.rcode() == dns.rcode.NXDOMAIN) == owner.endswith("absent")


@pytest.mark.usefixtures("few")
def test_a_record_that_is_added_in_a_flood_is_there() -> None:
    answering = Answering()
    answering.flood("n{}.lab.example".format)
    (denied,) = answering.ask(query("new.lab.example", "A"))
    assert denied.rcode() == dns.rcode.NXDOMAIN
    node = lab(answering.zoneset).nodes[wire_name("ns.lab.example")]
    answering.zoneset = answering.zoneset.with_nodes(LAB, {wire_name("new.lab.example"): node})
    found, denied = answering.ask(query("new.lab.example", "A"), query("newer.lab.example", "A"))
    assert found.answer
    assert {rrset.name.to_text() for rrset in denied.authority if rrset.rdtype == RdataType.NSEC} == {
        "new.lab.example.",
        "lab.example.",
    }
