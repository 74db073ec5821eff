"""A zone that changes name by name while it is asked: what was remembered before a change never shows after it."""

from __future__ import annotations

from random import Random

import pytest

from keys.dnssec.signing_policy import Policy
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, datagrams, query, surprised, wire_name, zone_keys
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.node import RRset
from zones.storage.zone_contents import Contents
from zones.zoneset import ZoneSet

ORIGIN = "lab.example"
FIXED = "@ 300 SOA ns host {serial} 2 3 4 60\n@ 300 NS ns\n"
NAMES = ("a", "b", "*", "sub", "a.sub", "b.a.sub", "*.sub", "ns")
LINES = (
    "60 A 192.0.2.{n}",
    "60 A 198.51.100.{n}\n{name} 60 TXT two",
    "60 CNAME a",
    "60 CNAME a.sub",
    "60 CNAME elsewhere.test.",
    "60 NS ns",
    "60 NS a.sub\n{name} 60 DS 1 13 2 {n:064x}",
    "60 MX {n} b",
)
ASKED = (*NAMES, "@", "none", "none.sub", "a.b")
TYPES = ("A", "TXT", "MX", "CNAME", "NS", "DS", "SOA", "NSEC", "RRSIG", "DNSKEY", "ANY")


def contents(told: dict[str, str], serial: int) -> dict[bytes, dict[int, RRset]]:
    """The RRsets of a zone with these lines, by owner: occluded ones, too."""
    found: dict[bytes, dict[int, RRset]] = {}
    lines = {"@": FIXED.format(serial=serial), **{name: f"{name} {line}\n" for name, line in told.items()}}
    for name, text in lines.items():
        alone = text if name == "@" else FIXED.format(serial=serial) + text
        zone = parse_zone(alone, ORIGIN)
        owner = wire_name(ORIGIN if name == "@" else f"{name}.{ORIGIN}")
        found[owner] = dict(zone.nodes[owner].rrsets)
    return found


@pytest.mark.parametrize("denial", list(DenialMode))
@pytest.mark.parametrize("seed", range(4))
def test_answers_after_a_change_are_those_of_the_zone_as_it_is(denial: DenialMode, seed: int) -> None:
    dice = Random(seed)
    told: dict[str, str] = {}
    origin = wire_name(ORIGIN)
    rrsets = contents(told, 1)
    held = Contents.of(origin, rrsets)
    keys = zone_keys(origin, NOW - 13 * Policy().slot)
    current = ZoneSet().with_zone(held.zone(denial=denial)).with_keys(origin, keys)
    caches = Caches()
    responder = Responder(lambda: current, caches, surprised)
    wires = [
        query(ORIGIN if name == "@" else f"{name}.{ORIGIN}", rrtype, do=do)
        for name in ASKED
        for rrtype in TYPES
        for do in (True, False)
    ]
    survived = 0
    for turn in range(2, 30):
        for name in dice.sample(NAMES, dice.choice((1, 1, 2))):
            if name in told and dice.random() < 0.4:
                del told[name]
            else:
                lines = [line for line in LINES if "NS " not in line or not name.startswith("*")]
                told[name] = dice.choice(lines).format(n=dice.randrange(1, 200), name=name)
        after = contents(told, turn)
        changes = {
            owner: after.get(owner)
            for owner in rrsets.keys() | after.keys()
            if _told(rrsets, owner) != _told(after, owner)
        }
        held, replaced = held.changed(changes)
        current, rrsets = current.with_nodes(origin, replaced), after
        if turn % 3 == 0:  # the DNSKEY RRset is signed for more slots
            current = current.with_keys(origin, zone_keys(origin, NOW - (13 - turn // 3) * Policy().slot))
        caches.for_zoneset(current, NOW)
        survived += len(caches.packets)
        for now in (NOW, NOW + 1):
            wanted = [respond(wire, current, now, Via.UDP) for wire in wires]
            for _ in range(2):
                assert datagrams(responder, wires, now) == wanted
        streamed = [respond(wire, current, NOW, Via.TCP) for wire in wires]
        assert responder.messages(wires, NOW) == streamed
    assert survived


def _told(rrsets: dict[bytes, dict[int, RRset]], owner: bytes) -> object:
    return {rrtype: (rrset.ttl, rrset.canonical) for rrtype, rrset in rrsets.get(owner, {}).items()}
