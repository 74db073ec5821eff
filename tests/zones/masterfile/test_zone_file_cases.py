"""What is a zone file and what is none, a case a line: `cases.txt`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.growth import growth
from tests.zones.masterfile.zone_cases import ZoneCase, ours, zone_cases
from zones.masterfile.load import parse_zone
from zones.masterfile.octets_as_text import in_ascii
from zones.masterfile.rdata_rules import broken_rule
from zones.masterfile.zone_rules import ZoneFileError
from zones.rdata_text import rdata_text

APEX = "@ 60 IN SOA ns hostmaster 1 3600 600 86400 60\n@ 60 IN NS ns\nns 60 IN A 192.0.2.53\n"


def rdata(record: str) -> bytes:
    zone = parse_zone(f"{APEX}a 60 IN {record}\n", "t.test.", signed=False)
    (rrset,) = zone.nodes[b"\x01a\x01t\x04test\x00"].rrsets.values()
    return rrset.rdatas()[0]


@pytest.mark.parametrize("case", list(zone_cases()), ids=lambda case: f"line {case.line}")
def test_a_case(case: ZoneCase, tmp_path: Path) -> None:
    path = tmp_path / "t.test.zone"
    path.write_bytes(case.source)
    verdict, _, said = ours(path)
    assert verdict == case.verdict, f"{case.text!r}: {said}"
    if verdict == "refused":
        assert f"{path}:" in said


def test_what_differs_is_in_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "answers.md").read_text(encoding="utf-8")
    section = page.partition("## Zone files")[2].partition("\n## ")[0]
    for case in zone_cases():
        assert case.differs in section, case.differs


@pytest.mark.parametrize(
    ("record", "octets"),
    [
        ("CAA 0 issue caf\\195\\169", b"\x00\x05issuecaf\xc3\xa9"),
        ('HINFO "\\233" "\\200x"', b"\x01\xe9\x02\xc8x"),
        ('NAPTR 1 1 "\\233" "" "" .', b"\x00\x01\x00\x01\x01\xe9\x00\x00\x00"),
        ('URI 1 1 "\\233"', b"\x00\x01\x00\x01\xe9"),
        ("TXT \u00fc", b"\x02\xc3\xbc"),
        ('TXT "\\\u00fc"', b"\x02\xc3\xbc"),
        ("HTTPS 0 b.test. alpn=h2", b"\x00\x00\x01b\x04test\x00\x00\x01\x00\x03\x02h2"),
        ("IPSECKEY 10 1 0 192.0.2.38", b"\n\x01\x00\xc0\x00\x02&"),
        ("IPSECKEY 10 3 0 Gw.Test.", b"\n\x03\x00\x02Gw\x04Test\x00"),
        ("NID 10 14:4fff:ff20:ee64", b"\x00\n\x00\x14O\xff\xff \xeed"),
    ],
)
def test_octets(record: str, octets: bytes) -> None:
    assert rdata(record) == octets


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ("HTTPS 0 b.test. alpn=h2", '0 b.test. alpn="h2"'),
        ("HTTPS 0 b.test.", "0 b.test."),
        ("IPSECKEY 10 1 0 192.0.2.38", "10 1 0 192.0.2.38"),
        ("TXT \u00fc", '"\\195\\188"'),
    ],
)
def test_rdata_as_text_is_read_again(record: str, text: str) -> None:
    octets, rrtype = rdata(record), {"HTTPS": 65, "IPSECKEY": 45, "TXT": 16}[record.split(maxsplit=1)[0]]
    assert rdata_text(rrtype, octets) == text
    assert rdata(f"{record.split(maxsplit=1)[0]} {text}") == octets


def test_after_a_record_that_dnspython_refuses_reading_goes_on() -> None:
    text = f"{APEX}$TTL 9\na 30 HTTPS 0 b.test. (\n alpn=h2 ) ; end\n  A 192.0.2.1\n"
    text += "b SVCB 0 c.test. port=1\n\nc A 192.0.2.300\n"
    with pytest.raises(ZoneFileError, match=r"192\.0\.2\.300") as caught:
        parse_zone(text, "t.test.")
    assert ":10:" in str(caught.value)
    zone = parse_zone(text.replace("192.0.2.300", "192.0.2.3"), "t.test.", signed=False)
    a, b = zone.nodes[b"\x01a\x01t\x04test\x00"], zone.nodes[b"\x01b\x01t\x04test\x00"]
    assert {rrtype: rrset.ttl for rrtype, rrset in a.rrsets.items()} == {65: 30, 1: 9}
    assert b.rrsets[64].ttl == 9


def test_escapes_of_a_file_are_left_alone() -> None:
    assert in_ascii(b'a\\\xc3 "\\\\\xc3" \\195 ; \\\n\xff') == b'a\\195 "\\\\\\195" \\195 ; \\\n\\255'


@pytest.mark.parametrize("text", ["!a!b!", "!(a)(b)!\\2!i", "/[(]x/y/", "!\\(!x!", "!a{2}!!"])
def test_a_substitution(text: str) -> None:
    octets = b"\x00\x01\x00\x01\x00\x00" + bytes([len(text)]) + text.encode() + b"\x00"
    assert broken_rule(35, octets) is None


@pytest.mark.parametrize(
    "line",
    ["a{} 60 HTTPS 0 b.test. port=1\n", "a{} 60 HTTPS 0 b.test. (\n port=1 )\n", "b\u00fc{} 60 TXT \u00fc\u00fc\n"],
)
def test_such_records_take_linear_time(line: str) -> None:
    def work(count: int) -> Callable[[], object]:
        text = APEX + "".join(line.format(number) for number in range(count))
        return lambda: parse_zone(text, "t.test.", signed=False)

    assert growth(work(200), work(1600), rounds=3) < 8 * 2
