"""The class of a response that is predicted is that of the response that is made."""

from __future__ import annotations

import dns.flags
import dns.message
import pytest
from hypothesis import given, settings

from server.query.read_query import read_query
from server.query.respond import Via, respond
from server.query.response_class import ResponseClass, class_ahead, class_of, cut_ahead
from tests.lab import NOW, query, served, wire_name
from tests.strategies import MadeQuery, MadeZone, scenarios
from zones.denial import DenialMode

_ZONE = """\
@ 300 SOA ns host 1 2 3 4 60
@ 300 NS ns
www 60 A 192.0.2.1
*.wild 60 A 192.0.2.2
*.alias 60 CNAME nowhere
old 60 DNAME new
child 60 NS ns.child
"""
_ORIGIN = wire_name("lab.example")
_DENIAL, _ANSWER = (ResponseClass.DENIAL, _ORIGIN), (ResponseClass.ANSWER, b"")


@given(scenarios(most=8))
@settings(max_examples=40)
def test_what_is_told_ahead_is_what_is_made(scenario: tuple[MadeZone, list[MadeQuery]]) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text())
    for made in queries:
        wire = query(made.qname, made.qtype, do=made.do, co=made.co, edns=made.edns)
        key = class_ahead(read_query(wire), zoneset, NOW)
        if key is not None:
            response = respond(wire, zoneset, NOW, Via.TCP)
            assert response is not None
            assert class_of(response[2:]) == key, (made, zone.text)


@pytest.mark.parametrize(
    ("qname", "qtype", "key"),
    [
        ("absent", "A", _DENIAL),
        ("absent", "NSEC", _ANSWER),
        ("absent", "RRSIG", _ANSWER),
        ("absent", "ANY", _DENIAL),
        (".".join(["x" * 60] * 3 + ["y" * 50]), "A", _DENIAL),  # the pointer to its zone takes more than an octet
        ("x.wild", "A", _ANSWER),
        ("x.wild", "MX", _DENIAL),
        ("x.wild", "ANY", _ANSWER),
        ("x.alias", "A", _ANSWER),
        ("x.old", "A", _ANSWER),
        ("www", "A", None),
        ("www", "MX", None),
        ("wild", "A", None),
        ("x.child", "A", None),
        ("absent", "AXFR", None),
    ],
)
def test_names_of_a_clients_making(qname: str, qtype: str, key: tuple[ResponseClass, bytes] | None) -> None:
    wire = query(f"{qname}.lab.example", qtype)
    zoneset = served(_ZONE, "lab.example")
    assert class_ahead(read_query(wire), zoneset, NOW) == key
    response = respond(wire, zoneset, NOW, Via.UDP)
    assert response is not None
    assert key is None or class_of(response[2:]) == key


@pytest.mark.parametrize("edns", [True, False])
def test_what_takes_no_signature_of_its_own_is_made(edns: bool) -> None:
    chained = served(_ZONE, "lab.example", denial=DenialMode.NSEC)
    wire = query("absent.lab.example", "A", do=False, edns=edns)
    assert class_ahead(read_query(query("absent.lab.example", "A")), chained, NOW) is None
    assert class_ahead(read_query(wire), served(_ZONE, "lab.example"), NOW) is None
    assert class_ahead(read_query(query("absent.elsewhere.test", "A")), chained, NOW) is None


def test_what_is_cut_is_the_question_with_tc() -> None:
    wire = query("ABSENT.lab.example", "A")
    cut = cut_ahead(read_query(wire), _DENIAL, wire[12:-11], 1232, b"")
    message = dns.message.from_wire(wire[:2] + cut)
    assert message.flags == dns.flags.QR | dns.flags.AA | dns.flags.TC
    assert message.question == dns.message.from_wire(wire).question
    assert not (message.answer or message.authority or message.additional)
    assert message.edns == 0
    assert len(cut) + 2 == len(wire)
    assert class_of(cut) == _DENIAL
