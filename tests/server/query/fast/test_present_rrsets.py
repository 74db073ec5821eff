"""Answers joined from bytes say octet by octet what the general composition says, first and when remembered."""

from __future__ import annotations

import itertools

import pytest

from keys.dnssec.signing_policy import HOUR
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, datagrams, query, served, surprised, wire_name
from zones.denial import DenialMode
from zones.node import Node, RRset
from zones.routing_policy import Weighted
from zones.zoneset import ZoneSet

_ZONE = """
@ 300 SOA ns host 1 2 3 4 60
@ 300 NS ns
@ 300 MX 10 Mail
ns 60 A 192.0.2.1
www 60 A 192.0.2.1
www 60 A 192.0.2.2
www 90 AAAA 2001:db8::1
alias 60 CNAME Www
a.b.c 60 TXT deep
*.wild 60 A 192.0.2.3
child NS ns.child
ns.child A 192.0.2.9
child DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
dname 60 DNAME other.example.
""" + "".join(f"big 60 TXT {number:03}{'x' * 200}\n" for number in range(8))
_NAMES = (
    "@", "ns", "www", "alias", "b.c", "a.b.c", "*.wild", "x.wild", "child", "x.child", "dname", "x.dname", "big",
    "drawn",
)  # fmt: skip
_TYPES = ("A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "DNAME", "DS", "NSEC", "RRSIG", "DNSKEY", "ANY")


def zones(denial: DenialMode, *, sign: bool = True) -> ZoneSet:
    zoneset = served(_ZONE, "lab.example", denial=denial, sign=sign)
    (zone,) = (made.zone for origin in zoneset if (made := zoneset.get(origin)))
    options = [(1, RRset(1, 60, [bytes([192, 0, 2, last])])) for last in (7, 8)]
    zone.nodes[wire_name("drawn.lab.example")] = Node({1: Weighted(options)})  # type: ignore[index]
    return zoneset


@pytest.mark.parametrize("denial", DenialMode)
@pytest.mark.parametrize("size", [512, 1232])
def test_every_name_and_type_at_every_time(denial: DenialMode, size: int) -> None:
    zoneset = zones(denial)
    responder = Responder(lambda: zoneset, Caches(), surprised)
    asked = [
        query("lab.example" if name == "@" else f"{name}.lab.example", rdtype, size=size)
        for name, rdtype in itertools.product(_NAMES, _TYPES)
    ]
    for now in (NOW, NOW + 1, NOW + 3 * HOUR, NOW + 8 * HOUR, NOW + 8 * HOUR):
        assert datagrams(responder, asked, now) == [respond(wire, zoneset, now, Via.UDP) for wire in asked]
        assert responder.messages(asked, now) == [respond(wire, zoneset, now, Via.TCP) for wire in asked]


def test_what_stands_there_is_joined_once_its_shape_is_known() -> None:
    zoneset, caches = zones(DenialMode.COMPACT), Caches()
    responder = Responder(lambda: zoneset, caches, surprised)
    for name, composed in (("alias", 1), ("www", 1), ("ns", 1), ("*.wild", 1), ("x.wild", 1), ("drawn", 2)):
        datagrams(responder, [query(f"{name}.lab.example", "A")], NOW)
        assert len(caches.answers) == composed, name


def test_nothing_unsigned_is_joined() -> None:
    zoneset = zones(DenialMode.COMPACT, sign=False)
    responder = Responder(lambda: zoneset, Caches(), surprised)
    for _ in range(3):
        wire = query("www.lab.example", "A")
        assert datagrams(responder, [wire], NOW) == [respond(wire, zoneset, NOW, Via.UDP)]
