"""Live signing: which ZSK signs which window, and when an RRSIG makes room for the next."""

from __future__ import annotations

import dns.message
import dns.name
import pytest
from dns.rdatatype import RdataType

from keys.dnssec.rrsig import key_tag
from keys.dnssec.signature_validity import live_window
from keys.dnssec.signing_policy import Policy
from server.query.fast.answer_caches import Caches
from server.query.respond import Via
from tests.lab import NOW, anchor, ask, signer, wire_name, zone_keys
from tests.validator import Verdict, judge
from zones.denial import DenialMode
from zones.live_signing import sign
from zones.masterfile.load import parse_zone
from zones.zoneset import ZoneSet

ZONE = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\n*.w 60 A 192.0.2.2\n"
ORIGIN, WWW = wire_name("lab.example"), wire_name("www.lab.example")
OLD, NEW = signer(2001), signer(2002)


def tag_of(wire: bytes) -> int:
    message = dns.message.from_wire(wire)
    return next(int(r[0].key_tag) for r in message.answer + message.authority if r.rdtype == RdataType.RRSIG)


@pytest.mark.parametrize("denial", list(DenialMode))
@pytest.mark.parametrize(
    ("qname", "qtype"), [("www.lab.example", "A"), ("nope.lab.example", "A"), ("q.w.lab.example", "A")]
)
@pytest.mark.parametrize("remembered", [True, False])
def test_a_new_zsk_signs_the_windows_that_begin_after_its_activation(
    denial: DenialMode, qname: str, qtype: str, remembered: bool
) -> None:
    activation = NOW + 1234
    keys = zone_keys(ORIGIN, zsks=((0, 2001), (activation, 2002)))
    zoneset = ZoneSet().with_zone(parse_zone(ZONE, "lab.example", denial=denial)).with_keys(ORIGIN, keys)
    caches = Caches() if remembered else None
    tags = []
    for now in range(NOW, NOW + 2 * 8 * 3600 + 2000, 1800):
        response = ask(zoneset, qname, qtype, now=now, via=Via.UDP, caches=caches)
        judge(response, dns.name.from_text(qname), RdataType.A, anchor(ORIGIN, keys), now)
        tags.append(tag_of(response))
    # Old signatures are used up: the old key serves on for at most one window, and never comes back.
    assert tags[0] == OLD.key_tag
    assert tags[-1] == NEW.key_tag
    assert tags == sorted(tags, key=[OLD.key_tag, NEW.key_tag].index)
    switched = NOW + 1800 * tags.index(NEW.key_tag)
    assert activation <= switched <= activation + 8 * 3600 + 1800


def test_the_window_not_the_moment_chooses_the_key() -> None:
    policy = Policy()
    window = live_window(WWW, 60, NOW, policy)
    zone = parse_zone(ZONE, "lab.example")
    rrset = zone.nodes[WWW].rrsets[1]
    for since, chosen in ((window.start, NEW), (window.start + 1, OLD), (NOW, OLD), (window.end, OLD)):
        keys = zone_keys(ORIGIN, zsks=((0, 2001), (since, 2002)))
        record = sign(keys, ORIGIN, WWW, rrset, NOW).record
        assert int.from_bytes(record[26:28]) == chosen.key_tag == key_tag(chosen.rdata)


def test_an_rrsig_is_the_same_bytes_all_through_its_window() -> None:
    keys, policy = zone_keys(ORIGIN), Policy()
    rrset = parse_zone(ZONE, "lab.example").nodes[WWW].rrsets[1]
    window = live_window(WWW, 60, NOW, policy)
    made = {sign(keys, ORIGIN, WWW, rrset, now) for now in (window.start, NOW, window.end - 1)}
    assert {signature.until for signature in made} == {window.end}
    assert len(made) == 1
    assert sign(keys, ORIGIN, WWW, rrset, window.end) not in made


def test_a_remembered_signature_is_of_the_key_that_made_it() -> None:
    caches = Caches()
    rrset = parse_zone(ZONE, "lab.example").nodes[WWW].rrsets[1]
    tags: dict[int, int] = {}
    number = 1
    while (tag := signer(number).key_tag) not in tags:  # a few hundred keys until two tags collide
        tags[tag] = number
        number += 1
    for holder in (tags[tag], number, tags[tag]):
        keys = zone_keys(ORIGIN, zsks=((0, holder),))
        remembered = sign(keys, ORIGIN, WWW, rrset, NOW, caches.signatures)
        assert remembered == sign(keys, ORIGIN, WWW, rrset, NOW)


def test_all_ksks_sign_the_dnskey_rrset() -> None:
    keys = zone_keys(ORIGIN, ksks=(1001, 1002))
    zoneset = ZoneSet().with_zone(parse_zone(ZONE, "lab.example")).with_keys(ORIGIN, keys)
    response = ask(zoneset, "lab.example", "DNSKEY")
    verdict = judge(response, dns.name.from_text("lab.example"), RdataType.DNSKEY, anchor(ORIGIN, keys), NOW).verdict
    assert verdict is Verdict.POSITIVE
    assert [len(rrset) for rrset in dns.message.from_wire(response).answer] == [3, 2]
