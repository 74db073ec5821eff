"""Which types have lower-case names in their canonical form: RFC 4034 §6.2 item 3 and RFC 6840 §5.1, each type once."""

from __future__ import annotations

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import NOW, anchor, ask, served, wire_name
from tests.rdata_examples import EXAMPLES
from tests.validator import judge
from zones import names
from zones.masterfile.formerly_valid import NoLongerValidError
from zones.masterfile.load import ZoneFileError, ZoneWarning, parse_zone
from zones.masterfile.obsolete_types import OLD_TYPES, in_lower_case
from zones.masterfile.zone_rules import _MADE_BY_SIGNING

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
ORIGIN = wire_name("lab.example.")
OWNER = names.from_text("x.lab.example")

LOWER = set(
    "NS MD MF CNAME SOA MB MG MR PTR MINFO MX RP AFSDB RT SIG PX NXT NAPTR KX SRV DNAME A6 RRSIG".split()  # noqa: SIM905
)
"""RFC 4034 §6.2 item 3 without HINFO, which has no names, and NSEC (RFC 6840 §5.1)."""

NAME = b"\x04Mail\x07Example\x04TEST\x00"
OLD = {
    "MD": NAME,
    "MF": NAME,
    "MB": NAME,
    "MG": NAME,
    "MR": NAME,
    "MINFO": NAME + b"\x04Resp\x00",
    "NXT": NAME + b"\x40ABC",
    "A6": b"\x40ABCDEFGH" + NAME,
}
NO_NAME = {"A6": b"\x00ABCDEFGHIJKLMNOP"}


def generic(rdata: bytes) -> str:
    return f"\\# {len(rdata)} {rdata.hex()}"


def rdata_of(rrtype: str, text: str) -> tuple[bytes, bytes]:
    """As it is answered, and as it is signed."""
    owner = {"SOA": "@", "DNSKEY": "@", "DS": "x NS ns\nx", "NS": "x"}.get(rrtype, "x")
    apex = APEX.replace("@ SOA ns host 1 2 3 4 5\n", "") if rrtype == "SOA" else APEX
    zone = parse_zone(f"{apex}{owner} {rrtype} {text}\n", "lab.example", signed=False)
    rrset = zone.nodes[zone.origin if owner == "@" else OWNER].rrsets[dns.rdatatype.from_text(rrtype)]
    return rrset.rdatas()[0], rrset.canonical[0]


def test_the_old_types_are_those_of_the_list_that_dnspython_does_not_know() -> None:
    assert {RdataType.make(number).name for number in OLD_TYPES} == LOWER - set(EXAMPLES) == set(OLD)


@pytest.mark.parametrize("form", ["text", "generic"])
@pytest.mark.parametrize("rrtype", sorted(set(EXAMPLES) - {RdataType.make(t).name for t in _MADE_BY_SIGNING}))
def test_names_are_lower_case_only_in_the_types_of_the_list(rrtype: str, form: str) -> None:
    text = EXAMPLES[rrtype]
    rdtype = dns.rdatatype.from_text(rrtype)
    given = dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, origin=dns.name.root, relativize=False).to_wire()
    assert given is not None
    answered, canonical = rdata_of(rrtype, text if form == "text" else generic(given))
    assert answered == given
    assert (canonical == answered) == (rrtype not in LOWER)
    if rrtype in LOWER:
        assert b"xample" in canonical
        assert b"Example." not in canonical
        assert canonical.lower() == answered.lower()


@pytest.mark.parametrize("rrtype", sorted(OLD))
def test_the_old_types_are_answered_and_signed_in_lower_case(rrtype: str) -> None:
    given = OLD[rrtype]
    kept = {"NXT": (len(NAME), 99), "A6": (0, 9)}.get(rrtype, (0, 0))
    answered, canonical = rdata_of(rrtype, generic(given))
    assert answered == canonical
    assert answered[kept[0] : kept[1]] == given[kept[0] : kept[1]]  # the bitmap, the address
    names_of = given.replace(given[kept[0] : kept[1]], b"") if any(kept) else given
    assert names_of.lower() in answered
    assert len(answered) == len(given)


def test_an_a6_without_a_prefix_has_no_name() -> None:
    assert rdata_of("A6", generic(NO_NAME["A6"])) == (NO_NAME["A6"], NO_NAME["A6"])


@pytest.mark.parametrize("rrtype", sorted(OLD))
def test_they_are_valid_for_who_knows_the_list_and_who_does_not(rrtype: str) -> None:
    zoneset = served(f"{APEX}x TYPE{RdataType[rrtype].value} {generic(OLD[rrtype])}\n", "lab.example.")
    wire = ask(zoneset, "x.lab.example.", RdataType[rrtype])
    # The validator has its own list, and knows both ways.
    judge(wire, dns.name.from_text("x.lab.example."), RdataType[rrtype], anchor(ORIGIN), NOW)


MALFORMED = [
    ("MD", b"", "ends within a name"),
    ("MF", b"\x03a", "ends within a name"),
    ("MB", b"\x01a", "ends within a name"),
    ("MG", b"\x01a\x00x", "octets follow the end"),
    ("MR", b"\xc0\x00", "a label of 192 octets, or a compressed name"),
    ("MR", b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 3 + b"\x00", "a name of more than 255 octets"),
    ("MINFO", b"\x01a\x00", "ends within a name"),
    ("NXT", b"\x01a", "ends within a name"),
    ("A6", b"", "ends before its prefix length"),
    ("A6", b"\x81\x01a\x00", "expected a prefix length of 0 to 128, found 129"),
    ("A6", b"\x00abc", "ends within its address suffix"),
    ("A6", b"\x80", "ends within a name"),
    ("A6", NO_NAME["A6"] + NAME, "octets follow the end"),
]


@pytest.mark.parametrize(("rrtype", "rdata", "reason"), MALFORMED)
def test_malformed_rdata_is_an_error_for_check_and_left_out_by_a_server(rrtype: str, rdata: bytes, reason: str) -> None:
    text = f"{APEX}x TYPE{RdataType[rrtype].value} {generic(rdata)}\n"
    with pytest.raises(ZoneFileError, match=f"zone:5: {rrtype}: .*{reason}"):
        parse_zone(text, "lab.example", file="zone")
    warned: list[ZoneWarning] = []
    zone = parse_zone(text, "lab.example", file="zone", lenient=True, warned=warned.extend)
    assert OWNER not in zone.nodes
    assert [warning.line for warning in warned] == [5]
    assert reason in warned[0].reason


@given(st.sampled_from(sorted(OLD_TYPES)), st.binary(max_size=60))
def test_any_octets_are_in_lower_case_or_malformed(rrtype: int, rdata: bytes) -> None:
    try:
        found = in_lower_case(rrtype, rdata)
    except NoLongerValidError:
        return
    assert found.lower() == rdata.lower()
    assert in_lower_case(rrtype, found) == found
