"""LOC records (RFC 1876): exact octets, its ranges, and no form of a number that it does not have."""

from __future__ import annotations

from decimal import Decimal

import dns.rdata
import dns.rdataclass
import pytest
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.LOC import LOC
from hypothesis import example, given
from hypothesis import strategies as st

from zones import names
from zones.masterfile.load import ZoneFileError, ZoneWarning, parse_zone

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
OWNER = names.from_text("x.lab.example")


def location(text: str, *, lenient: bool = False, warned: list[ZoneWarning] | None = None) -> bytes | None:
    """The octets of a LOC record, none where it is left out."""
    take = warned.extend if warned is not None else None
    zone = parse_zone(f"{APEX}x LOC {text}\n", "lab.example", file="zone", lenient=lenient, warned=take)
    node = zone.nodes.get(OWNER)
    if node is None:
        return None
    rrset = node.rrsets[RdataType.LOC]
    assert rrset.canonical == tuple(rrset.rdatas())
    return rrset.canonical[0]


def altitude(octets: bytes | None) -> int:
    """In centimetres."""
    assert octets is not None
    return int.from_bytes(octets[12:]) - 10_000_000


def size(octet: int) -> int:
    """In centimetres: RFC 1876 §2."""
    return (octet >> 4) * int(10 ** (octet & 15))


@given(st.integers(-10_000_000, 4_284_967_295), st.sampled_from(["m", ""]))
@example(529, "m")
@example(-10_000_000, "m")
@example(4_284_967_295, "m")
def test_an_altitude_is_exact(centimetres: int, unit: str) -> None:
    assert altitude(location(f"10 N 20 E {Decimal(centimetres) / 100:.2f}{unit}")) == centimetres


@given(st.integers(0, 9_000_000_000))
@example(7)
@example(29)
@example(0)
@example(9_000_000_000)
def test_a_size_keeps_its_first_digit(centimetres: int) -> None:
    text = f"{Decimal(centimetres) / 100:.2f}m"
    octets = location(f"10 N 20 E 0m {text} {text} {text}")
    assert octets is not None
    first = int(str(centimetres)[0]) * 10 ** (len(str(centimetres)) - 1)
    assert [size(octet) for octet in octets[1:4]] == [first] * 3


@given(st.integers(-324_000_000, 324_000_000), st.integers(-648_000_000, 648_000_000))
def test_a_place_is_exact(latitude: int, longitude: int) -> None:
    def spelled(place: int, hemispheres: str) -> str:
        seconds, thousandths = divmod(abs(place), 1000)
        degrees, seconds = divmod(seconds, 3600)
        return f"{degrees} {seconds // 60} {seconds % 60}.{thousandths:03} {hemispheres[place < 0]}"

    octets = location(f"{spelled(latitude, 'NS')} {spelled(longitude, 'EW')} 0m")
    assert octets is not None
    assert [int.from_bytes(octets[at : at + 4]) - (1 << 31) for at in (4, 8)] == [latitude, longitude]


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("10 N 20 E 5m", "00 12 16 13 82255100 844aa200 00989874"),
        ("10 N 20 E 5m 2m", "00 22 16 13 82255100 844aa200 00989874"),
        ("10 N 20 E +.5 0 .07m 5.", "00 00 70 52 82255100 844aa200 009896b2"),
        ("10 N 20 E 1.999m", "00 12 16 13 82255100 844aa200 00989747"),  # cut off: RFC 1876, appendix A
        ("( 10 N ; north\n 20 E\n -0.01m )", "00 12 16 13 82255100 844aa200 0098967f"),
        (r"\# 16 00 00 99 13 82255100 844aa200 ffffffff", "00 00 99 13 82255100 844aa200 ffffffff"),
    ],
)
def test_its_octets(text: str, octets: str) -> None:
    found = location(text)
    assert found is not None
    assert found.hex() == octets.replace(" ", "")
    assert dns.rdata.from_wire(dns.rdataclass.IN, RdataType.LOC, found, 0, len(found)).to_wire() == found


NEVER_SERVED = [
    ("10 N 20 E 50000000m", "altitude"),
    ("10 N 20 E 42849672.96m", "altitude"),
    ("10 N 20 E -100000.01m", "altitude"),
    ("10 N 20 E 1e400", "altitude"),
    ("10 N 20 E nan", "altitude"),
    ("10 N 20 E inf", "altitude"),
    ("10 N 20 E m", "altitude"),
    ("10 N 20 E", "missing field: altitude"),
    ("10 N 20 E 5m -1m", "size"),
    ("10 N 20 E 5m 100000000m", "size"),
    ("10 N 20 E 5m 1m 1e400", "horizontal precision"),
    ("10 N 20 E 5m 1m 1m x", "vertical precision"),
    ("10 N 20 E 5m 1m 1m 1m 1m", "unexpected 1m after the end of the record"),
    ("10 N 20 X 5m", "expected E or W after the longitude"),
    ("10 x N 20 E 5m", "hemisphere"),
    ("91 N 20 E 5m", "degrees not in range"),
]
OUTDATED = [
    ("10 N 20 E 1e3m", 'expected an altitude of -100000.00 to 42849672.95 m, such as 12.50m, found "1e3m"'),
    ("10 N 20 E 1_000m", "altitude"),
    ("10 N 20 E -100000.001m", "altitude"),
    ("10 N 20 E 42849672.951m", "altitude"),
    ("10 N 20 E 5m 1e3m", "size"),
    ("10 N 20 E 5m 1m 90000000.01m", "horizontal precision"),
    ("10 N 20 E 5m 1m 1m -0.001m", "vertical precision"),
    ("90 0 0.001 N 20 E 5m", "expected a latitude of at most 90 degrees"),
    ("10 N 180 30 W 5m", "expected a longitude of at most 180 degrees"),
]


@pytest.mark.parametrize(("text", "reason"), NEVER_SERVED + OUTDATED)
def test_what_is_no_location(text: str, reason: str) -> None:
    with pytest.raises(ZoneFileError) as caught:
        location(text)
    assert caught.value.line == 5
    assert caught.value.reason.startswith("LOC: ")
    assert reason in caught.value.reason


@pytest.mark.parametrize(("text", "reason"), NEVER_SERVED)
def test_what_no_version_served_is_refused_by_a_server_too(text: str, reason: str) -> None:
    with pytest.raises(ZoneFileError):
        location(text, lenient=True)


@pytest.mark.parametrize(("text", "reason"), OUTDATED)
def test_what_was_served_is_left_out_with_a_warning(text: str, reason: str) -> None:
    warned: list[ZoneWarning] = []
    assert location(text, lenient=True, warned=warned) is None
    (warning,) = warned
    assert str(warning).startswith("zone:5: x.lab.example. LOC: left out, because it is no longer valid: ")
    assert reason in warning.reason
    assert location(text, lenient=True) is None  # also where nobody wants to know


def test_others_of_its_rrset_and_behind_it_are_served() -> None:
    text = f"{APEX}x LOC 10 N 20 E 1e3m ; odd\n 60 LOC 10 N 20 E 5m\n TXT x\ny A 192.0.2.1\n"
    zone = parse_zone(text, "lab.example", lenient=True)
    assert {t: len(rrset.records) for t, rrset in zone.nodes[OWNER].rrsets.items()} == {29: 1, 16: 1}
    assert names.from_text("y.lab.example") in zone.nodes


def test_dnspython_reads_its_own_location_elsewhere() -> None:
    assert type(dns.rdata.from_text("IN", "LOC", "10 N 20 E 1m")) is LOC


def test_its_text_is_found_wherever_the_record_stands() -> None:
    long = "; " + "x" * 0x90000
    text = f"$ORIGIN lab.example.\n  ; odd\nx IN 60 LOC 10 N 20 E 0.07m\n 60 IN ( LOC {long}\n 10 N 20 E\n 5.29m )"
    zone = parse_zone(APEX + text, "lab.example")
    assert [altitude(octets) for octets in zone.nodes[OWNER].rrsets[29].rdatas()] == [7, 529]


def test_a_generate_makes_none() -> None:
    for rdata in ("10", r"10\032N\03220\032E\0321m", r"\#"):
        with pytest.raises(ZoneFileError):
            parse_zone(f"{APEX}$GENERATE 1-2 x$ LOC {rdata}\n", "lab.example", lenient=True)
