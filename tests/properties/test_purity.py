"""Answering is a function: caches, spellings and what was asked before change nothing but the speed."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st

from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.read_query import HEADER_SIZE
from server.query.respond import Via, respond
from tests.lab import NOW, anchor, datagrams, query, served, surprised, wire_name, zone_keys
from tests.oracle import Oracle
from tests.properties.test_answers import has_the_content
from tests.strategies import MadeQuery, MadeZone, scenarios
from tests.validator import judge
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.zoneset import ZoneSet


def as_bytes(made: MadeQuery, ident: int = 0x4D53) -> bytes:
    return query(made.qname, made.qtype, do=made.do, co=made.co, edns=made.edns, size=made.size, ident=ident)


def limit(made: MadeQuery) -> int:
    """Octets that a response by UDP may have."""
    return min(max(made.size, 512), 1232) if made.edns else 512


def respelled(wire: bytes, ident: int) -> bytes:
    """The same question with another ID and every letter of its name in the other case (0x20 encoding)."""
    name_end = HEADER_SIZE
    spelled = bytearray(wire)
    spelled[:2] = ident.to_bytes(2)
    while wire[name_end]:
        for position in range(name_end + 1, name_end + 1 + wire[name_end]):
            if wire[position : position + 1].isalpha():
                spelled[position] ^= 0x20
        name_end += wire[name_end] + 1
    return bytes(spelled)


@pytest.mark.parametrize("denial", list(DenialMode))
@given(scenarios())
def test_caches_change_nothing(denial: DenialMode, scenario: tuple[MadeZone, list[MadeQuery]]) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text(), denial=denial)
    wires = [as_bytes(made) for made in queries]
    plain = [respond(wire, zoneset, NOW, Via.UDP) for wire in wires]
    hot = Responder(lambda: zoneset, Caches(), surprised)
    small = Responder(lambda: zoneset, Caches(budget=20_000), surprised)
    for responder in (hot, hot, small):
        assert datagrams(responder, wires, NOW) == plain
        assert datagrams(responder, wires[::-1], NOW) == plain[::-1]
        others = [respelled(wire, number) for number, wire in enumerate(wires)]
        assert datagrams(responder, others, NOW) == [respond(other, zoneset, NOW, Via.UDP) for other in others]
        for wire in wires:
            assert responder.messages([wire], NOW) == [respond(wire, zoneset, NOW, Via.TCP)]


@given(scenarios(most=2))
def test_no_two_ways_of_asking_share_an_answer(scenario: tuple[MadeZone, list[MadeQuery]]) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text())
    responder = Responder(lambda: zoneset, Caches(), surprised)
    wires = []
    for made in queries:
        ways = [(True, True, True), (True, True, False), (True, False, False), (False, False, False)]
        for edns, do, co in ways:
            for size in (512, 1232):
                wire = as_bytes(made._replace(edns=edns, do=do, co=co, size=size))
                # RD and CD come back, the other flags of a query say nothing.
                wires += [wire[:2] + bytes(flags) + wire[4:] for flags in ((0, 0), (1, 0), (0, 16), (1, 0x30), (4, 0))]
    for _ in range(2):
        assert datagrams(responder, wires, NOW) == [respond(wire, zoneset, NOW, Via.UDP) for wire in wires]


@given(scenarios(), st.integers(60, 90), st.lists(st.integers(-9 * 3600, 9 * 3600), min_size=1, max_size=6))
def test_time_changes_answers_with_and_without_caches_alike(
    scenario: tuple[MadeZone, list[MadeQuery]], hours: int, steps: list[int]
) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text())
    responder = Responder(lambda: zoneset, Caches(), surprised)
    keys = anchor(wire_name(zone.origin.to_text()))
    wires = [as_bytes(made) for made in queries]
    now = latest = NOW + hours * 3600
    for step in (0, *steps, 1, -1, -599, 599):
        now += step
        responses = datagrams(responder, wires, now)
        if now >= latest or now < latest - 600:
            assert responses == [respond(wire, zoneset, now, Via.UDP) for wire in wires]
            latest = now
        for made, response in zip(queries, responses, strict=True):
            assert response is not None
            if made.do:
                # A clock that steps back a little may meet answers made for a little later: valid all the same.
                judge(response, made.qname, made.qtype, keys, now, co=made.co, skew=3000)


@given(scenarios())
def test_an_answer_lasts_to_the_last_second_of_its_window(scenario: tuple[MadeZone, list[MadeQuery]]) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text())
    keys = anchor(wire_name(zone.origin.to_text()))
    for made in queries:
        caches = Caches()
        wire = as_bytes(made)
        responder = Responder(lambda: zoneset, caches, surprised)
        (first,) = responder.messages([wire], NOW)
        until = min(
            (kept.until for cache in (caches.answers, caches.denials) for kept in cache.young.values()), default=0
        )
        if not NOW < until < NOW + 9 * 3600:
            continue  # nothing in it changes with time
        assert respond(wire, zoneset, until - 1, Via.TCP) == first
        for now in (until - 1, until):
            (response,) = responder.messages([wire], now)
            assert response is not None
            assert response == respond(wire, zoneset, now, Via.TCP)
            if made.do:
                judge(response, made.qname, made.qtype, keys, now, co=made.co)


@pytest.mark.parametrize("denial", list(DenialMode))
@given(scenarios())
def test_a_datagram_never_passes_its_limit_and_says_so(
    denial: DenialMode, scenario: tuple[MadeZone, list[MadeQuery]]
) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text(), denial=denial)
    for made in queries:
        wire = as_bytes(made)
        short, whole = respond(wire, zoneset, NOW, Via.UDP), respond(wire, zoneset, NOW, Via.TCP)
        assert short is not None
        assert whole is not None
        assert len(short) <= limit(made)
        assert len(whole) <= 65535
        assert short[:2] == wire[:2]
        assert short[HEADER_SIZE:].startswith(wire[HEADER_SIZE : HEADER_SIZE + len(made.qname.to_wire() or b"") + 4])
        truncated = bool(short[2] & 0x02)
        if truncated:
            assert len(whole) > limit(made) or whole[2] & 0x02
            assert struct.unpack("!HH", short[6:10]) == (0, 0)
        elif short != whole:
            # Only glue of sibling delegations may be left out in silence.
            shorter, longer = dns.message.from_wire(short), dns.message.from_wire(whole)
            assert (shorter.answer, shorter.authority) == (longer.answer, longer.authority)
            assert len(whole) > limit(made)


@given(scenarios())
def test_without_do_and_without_signing_the_content_is_the_same(scenario: tuple[MadeZone, list[MadeQuery]]) -> None:
    zone, queries = scenario
    signed = served(zone.text, zone.origin.to_text())
    unsigned = served(zone.text, zone.origin.to_text(), sign=False)
    oracle, signed_oracle = (Oracle(zone.text, zone.origin, signed=sign) for sign in (False, True))
    signed_oracle.add(anchor(wire_name(zone.origin.to_text())))
    for made in (made._replace(do=False, co=False) for made in queries):
        for zoneset, truth_of in ((signed, signed_oracle), (unsigned, oracle)):
            response = respond(as_bytes(made), zoneset, NOW, Via.TCP)
            assert response is not None
            if response[2] & 0x02:
                continue
            has_the_content(response, made, truth_of.answer(made.qname, made.qtype), truth_of, compact=True)
            if made.qtype not in (RdataType.RRSIG, RdataType.NSEC):
                sections = dns.message.from_wire(response).sections
                assert not any(
                    r.rdtype in (RdataType.RRSIG, RdataType.NSEC) for section in sections[1:] for r in section
                )


@given(scenarios(), st.booleans())
def test_a_zone_without_valid_signatures_gives_nothing_away(
    scenario: tuple[MadeZone, list[MadeQuery]], never_signed: bool
) -> None:
    zone, queries = scenario
    made_zone = parse_zone(zone.text, zone.origin.to_text())
    zoneset = ZoneSet().with_zone(made_zone)
    if not never_signed:
        zoneset = zoneset.with_keys(made_zone.origin, zone_keys(made_zone.origin, NOW - 30 * 24 * 3600))
    responder = Responder(lambda: zoneset, Caches(), surprised)
    for made in queries:
        wire = as_bytes(made)
        for response in (respond(wire, zoneset, NOW, Via.UDP), *datagrams(responder, [wire, wire], NOW)):
            assert response is not None
            message = dns.message.from_wire(response)
            assert message.rcode() == dns.rcode.SERVFAIL
            assert not message.answer
            assert not message.authority
            assert not message.additional
            if made.edns:
                assert [option.code for option in message.options] == [14 if never_signed else 7]
