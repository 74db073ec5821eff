"""Two kinds of denial of the same data, in turns: caches that mix them never believe what is not so."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import pytest
from dns.name import Name
from dns.rdatatype import RdataType
from hypothesis import given, settings
from hypothesis import strategies as st

from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, anchor, datagrams, query, served, signed, surprised, wire_name
from tests.oracle import Kind, Oracle
from tests.strategies import MadeQuery, MadeZone, scenarios
from tests.validator import Verdict, judge
from tests.validator.aggressive_cache import AggressiveCache
from tests.validator.signatures import Keys
from zones.denial import DenialMode
from zones.zoneset import ZoneSet

_PROBED = (RdataType.A, RdataType.TXT, RdataType.DS, RdataType.NS, RdataType.AAAA)
_SAYS = {Kind.NODATA: Verdict.NODATA, Kind.NXDOMAIN: Verdict.NXDOMAIN, Kind.POSITIVE: Verdict.POSITIVE}


def in_turns(zone: MadeZone) -> list[ZoneSet]:
    """The zone without a flood, and in one."""
    zoneset = served(zone.text, zone.origin.to_text(), flood_denial=DenialMode.NSEC)
    return [zoneset, zoneset.in_flood(list(zoneset))]


def probes(zone: MadeZone, queries: list[MadeQuery]) -> list[Name]:
    """Names of which a cache may have learnt something: all that exist, what was asked, and what is around both."""
    names = [*zone.names, *(made.qname for made in queries)]
    names += [name.parent() for name in names if name != zone.origin]
    names += [Name((label, *name.labels)) for name in names for label in (b"*", b"a", b"\x00") if len(name) < 5]
    return [name for name in dict.fromkeys(names) if len(name.to_wire() or b"") <= 255]


@given(scenarios(most=8), st.data())
@settings(max_examples=25)
def test_what_exists_is_never_denied_by_a_cache_that_mixes_both(
    scenario: tuple[MadeZone, list[MadeQuery]], data: st.DataObject
) -> None:
    zone, queries = scenario
    turns, oracle = in_turns(zone), Oracle(zone.text, zone.origin, signed=True)
    dnskeys = anchor(wire_name(zone.origin.to_text()))
    oracle.add(dnskeys)
    cache = AggressiveCache(Keys(dnskeys, NOW))
    for made in queries:
        wire = query(made.qname, made.qtype, co=made.co)
        response = respond(wire, turns[data.draw(st.booleans())], NOW, Via.TCP)
        assert response is not None
        if not dns.message.from_wire(response).flags & dns.flags.TC:
            cache.learn(judge(response, made.qname, made.qtype, dnskeys, NOW, co=made.co))
    for name in probes(zone, queries):
        for rdtype in _PROBED:
            verdict = cache.concludes(name, rdtype)
            if verdict is not None and name.is_subdomain(zone.origin):
                truth = oracle.answer(name, rdtype)
                alias = Verdict.ALIAS if truth.answer and truth.final != name else None
                assert verdict in (_SAYS.get(truth.kind) if alias is None else None, alias), (name, rdtype, truth)


@given(scenarios(), st.data())
@settings(max_examples=25)
def test_the_fast_path_says_in_a_flood_what_the_general_way_says(
    scenario: tuple[MadeZone, list[MadeQuery]], data: st.DataObject
) -> None:
    zone, queries = scenario
    turns = in_turns(zone)
    current = [turns[0]]
    responder = Responder(lambda: current[0], Caches(), surprised)
    wires = [query(m.qname, m.qtype, do=m.do, co=m.co, edns=m.edns, size=m.size) for m in queries]
    for turn in data.draw(st.lists(st.booleans(), min_size=2, max_size=5)):
        current[0] = turns[turn]
        for _ in range(2):
            assert datagrams(responder, wires, NOW) == [respond(wire, current[0], NOW, Via.UDP) for wire in wires]
            assert responder.messages(wires, NOW) == [respond(wire, current[0], NOW, Via.TCP) for wire in wires]


_TEXT = """\
@ 300 SOA ns host 1 2 3 4 60
@ 300 NS ns
a.ent 60 A 192.0.2.1
*.wild 60 A 192.0.2.2
named.wild 60 A 192.0.2.3
old 60 DNAME ent
child 60 NS ns.elsewhere.test.
"""


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_a_cache_concludes_from_both(order: tuple[int, int]) -> None:
    """The model of a cache is worth its name: it denies what is asked for in either mode, and what lies in a gap."""
    zone = MadeZone(_TEXT, dns.name.from_text("lab.example."), [])
    turns, dnskeys = in_turns(zone), anchor(wire_name("lab.example"))
    cache = AggressiveCache(Keys(dnskeys, NOW))
    for turn in order:
        for owner in (f"asked{turn}", "ent", "x.wild", f"y{turn}.wild", "child"):
            name = dns.name.from_text(f"{owner}.lab.example.")
            response = respond(query(name, "A"), turns[turn], NOW, Via.TCP)
            assert response is not None
            cache.learn(judge(response, name, RdataType.A, dnskeys, NOW))
    wanted = {
        "asked0": Verdict.NXDOMAIN,
        "asked1": Verdict.NXDOMAIN,
        "asked11": Verdict.NXDOMAIN,  # in the gap
        "other.x.wild": Verdict.POSITIVE,
        "ent": Verdict.NODATA,
        "a.ent": None,
        "x.old": None,
        "x.child": None,
        "named.wild": None,
    }
    found = {owner: cache.concludes(dns.name.from_text(f"{owner}.lab.example."), RdataType.A) for owner in wanted}
    assert found == wanted


def test_two_zones_share_no_flood() -> None:
    zoneset = served(_TEXT, "lab.example", flood_denial=DenialMode.NSEC)
    both = signed_beside(zoneset)
    flooded = both.in_flood([wire_name("lab.example")])
    modes = [served_zone.zone.denial.mode for origin in flooded if (served_zone := flooded.get(origin)) is not None]
    assert modes == [DenialMode.NSEC, DenialMode.COMPACT]


def signed_beside(zoneset: ZoneSet) -> ZoneSet:
    """Another zone beside those of a set."""
    other = served(_TEXT, "other.example", flood_denial=DenialMode.NSEC).get(wire_name("other.example"))
    assert other is not None
    return signed(other.loaded, others=zoneset)
