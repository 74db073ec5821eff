"""A signed zone is answered while its DNSKEY RRset has a valid RRSIG, and says what is wrong at other times."""

from __future__ import annotations

import dns.message
import msgspec
import pytest

from keys.dnssec.zone_keys import ZoneKeys
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, datagrams, query, surprised, wire_name, zone_keys
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.zoneset import ZoneSet

LAB = wire_name("lab.example")
TEXT = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\nwww 86400 A 192.0.2.1\n*.w 60 A 192.0.2.3\n"
YEAR = 365 * 86400
ASKED = [
    ("www.lab.example", "A"),
    ("lab.example", "DNSKEY"),
    ("no.lab.example", "A"),
    ("a.no.lab.example", "A"),
    ("x.w.lab.example", "A"),
    ("www.lab.example", "TXT"),
    ("lab.example", "SOA"),
]
EXPIRED, NOT_YET = 7, 8


def leapt() -> ZoneKeys:
    """Keys whose keyset has slots from now on, and others a year later."""
    early, late = zone_keys(LAB, NOW), zone_keys(LAB, NOW + YEAR)
    signatures = late.keyset.signatures + early.keyset.signatures
    return early._replace(keyset=msgspec.structs.replace(early.keyset, signatures=signatures))


def span(now: int) -> tuple[int, int]:
    signatures = zone_keys(LAB, now).keyset.signatures
    return min(s.inception for s in signatures), max(s.expiration for s in signatures)


FIRST, SECOND = span(NOW), span(NOW + YEAR)
TIMES = [
    (FIRST[0] - YEAR, NOT_YET),
    (FIRST[0] - 1, NOT_YET),
    (FIRST[0], None),
    (FIRST[1] - 1, None),
    (FIRST[1], EXPIRED),
    (SECOND[0] - 1, EXPIRED),
    (SECOND[0], None),
    (SECOND[1] - 1, None),
    (SECOND[1], EXPIRED),
]


def error_of(wire: bytes) -> int | None:
    message = dns.message.from_wire(wire)
    codes = [option.code for option in message.options if option.otype == 15]
    assert (message.rcode() == 2) == bool(codes)
    return codes[0] if codes else None


@pytest.mark.parametrize("denial", list(DenialMode))
@pytest.mark.parametrize(("name", "qtype"), ASKED)
def test_it_is_answered_in_both_spans_and_nowhere_else(denial: DenialMode, name: str, qtype: str) -> None:
    zoneset = ZoneSet().with_zone(parse_zone(TEXT, "lab.example", denial=denial)).with_keys(LAB, leapt())
    for now, error in TIMES:
        assert error_of(respond(query(name, qtype), zoneset, now, Via.UDP) or b"") == error, now


@pytest.mark.parametrize("denial", list(DenialMode))
def test_nothing_that_is_remembered_is_served_beyond_the_end_of_a_span(denial: DenialMode) -> None:
    zoneset = ZoneSet().with_zone(parse_zone(TEXT, "lab.example", denial=denial)).with_keys(LAB, leapt())
    responder = Responder(lambda: zoneset, Caches(), surprised)
    wires = [query(name, qtype) for name, qtype in ASKED for _ in range(3)]
    for now, _ in [*TIMES, *TIMES]:
        for wire, answer in zip(wires, datagrams(responder, wires, now), strict=True):
            assert answer == respond(wire, zoneset, now, Via.UDP), now


def test_a_keyset_in_one_piece_has_no_gaps() -> None:
    served = ZoneSet().with_zone(parse_zone(TEXT, "lab.example")).with_keys(LAB, zone_keys(LAB, NOW)).get(LAB)
    assert served is not None
    assert (served.valid_from, served.valid_until, served.gaps) == (*FIRST, ())
