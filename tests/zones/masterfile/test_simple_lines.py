"""Plain lines read fast, and all lines read by dnspython, give the same records and the same errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dns.name
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import strategies
from zones.masterfile.load import ZoneFileError, load_zone, parse_zone
from zones.masterfile.master_file_reader import Reader, Reading
from zones.masterfile.simple_lines import Record, State, read_plain

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n"

_LONG, _TOO_LONG = "x" * 63, "x" * 64
_OWNERS = [
    "",
    "",
    "@",
    "a",
    "A.b",
    "*.c",
    "_x._tcp",
    "a.Zone.Example.",
    "b.other.",
    _LONG,
    _TOO_LONG,
    ".".join("y" * 99),
    "y." * 2000,
]
_HEADS = [
    "",
    "",
    "60 ",
    "0 ",
    "IN ",
    "in ",
    "60 IN ",
    "IN 61 ",
    "1h ",
    "Ch ",
    "IN IN ",
    "6 6 ",
    "4294967296 ",
    "6 in\t",
]
_TARGETS = [
    "@",
    ".",
    "a",
    "Mail.b",
    "B.Zone.Example.",
    "ns1",
    "a..b",
    "..",
    _LONG,
    "ns.other.test.",
    ".".join(["z" * 62] * 4),
    ".".join("z" * 2000),
]
_ADDRESSES = [
    "192.0.2.1",
    "192.0.2.256",
    "192.0.2.01",
    "192.0.2",
    "192.0.2.1.",
    "2001:db8::1",
    "::",
    "::1",
    "1::",
    "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "1::2::3",
    ":::",
    ":1",
    "1:",
    "::ffff:192.0.2.1",
    "12345::",
    "g::",
    "1:2:3:4:5:6:7",
    "A:b::C",
    "1:2:3:4::5:6:7:8",
    "1:2:3:4:5:6:7:8:9",
    "::1%1",
    "1:::2",
]
_SHA256 = "AB" * 32
_DATA = [
    *(f"{'AAAA' if ':' in address else 'A'} {address}" for address in _ADDRESSES),
    *("A", "A 192.0.2.1 2", "AAAA 192.0.2.1", "A \\# 4 01020304", "TYPE1234 \\# 1 00", "BOGUS x", "HTTPS 1 . alpn=h2"),
    *("TXT", "TXT x", "txt x y", 'TXT "a;b"', 'TXT "" "a (b"', 'TXT "a""b"', 'TXT x "y"', 'TXT "x" y', 'TXT "a\\"b"'),
    *('TXT "a', 'TXT "a" ; "b"', 'TXT "\t~!"', "TXT @", "TXT \\#", 'TXT "é"', f'TXT "{"x" * 255}"', f"TXT {'x' * 256}"),
    *('CAA 0 issue "ca.test; a=b"', "CAA 128 Issue ca", 'CAA 0 a-b "x"', 'CAA 256 issue "x"', 'CAA 0 issue "x" "y"'),
    *('CAA 0 "issue" x', f"DS 1 13 2 {_SHA256}", f"DS 1 13 2 {_SHA256[:9]} {_SHA256[9:]}", f"DS 65536 13 2 {_SHA256}"),
    *(
        f"DS 1 13 1 {'ab' * 20}",
        f"DS 1 255 4 {'AB' * 48}",
        f"DS 1 RSASHA256 2 {_SHA256}",
        "DS 1 13 2 ABC",
        "DS 1 13 9 AB",
    ),
    *(
        "NS {}",
        "CNAME {}",
        "PTR {}",
        "cname {}",
        "DNAME {}",
        "MX 10 {}",
        "MX 65536 {}",
        "mx 010 {}",
        "MX +5 {}",
        "MX 1_0 {}",
        "SRV 0 1 53 {}",
    ),
    *("SRV 1 2 {}", "SOA ns host 1 2 3 4 5", "SOA ns host (1 2\n 3 4 ; five\n 5)"),
]
_GOOD_DATA = ["A 192.0.2.1", "AAAA A:b::C", 'TXT "a;b" ""', "TXT x", "NS {}", "PTR {}", "MX 010 {}", "SRV 0 1 53 {}"]
_DIRECTIVES = [
    *("$ORIGIN b.zone.example.", "$ORIGIN Zone.Example.", "$ORIGIN c", "$ORIGIN @", "$ORIGIN other.", "$ORIGIN a..b"),
    *(
        "$origin d ; x",
        "$TTL 60",
        "$TTL 1h",
        "$TTL 7 ; (",
        "$TTL 8 ; \r",
        "$TTL",
        "$TTL 1 2",
        " $TTL 5",
        "$UNICODE 2008",
    ),
    *("$GENERATE 1-3 g$ A 192.0.2.$", "$GENERATE 1-2 h$ 5 A 192.0.2.$ x", "$FOO", "$", "$INCLUDE none"),
    *("", " ", "\t; x", '; ("'),
]
_ENDS = ["", "", " ", "; x", " ;é"]
_ODD = [*'"\\();$@.\r\n\t é\x00\x0b\x0c\x7f', "\r\n", "IN", "60", " ; x"]


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A line, right or wrong; mostly right, so that what it means for those that follow is seen."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.sampled_from(_DIRECTIVES))
    if kind == 1:
        owner, head, target = (draw(st.sampled_from(choice)) for choice in (_OWNERS, _HEADS, _TARGETS))
        data = draw(st.sampled_from(_DATA))
    elif kind == 2:
        return draw(
            st.sampled_from(["$ORIGIN b.zone.example.", "$ORIGIN Zone.Example.", "$ORIGIN c", "$TTL 60", "; x"])
        )
    else:
        owner, head, target = (draw(st.sampled_from(choice[:6])) for choice in (_OWNERS, _HEADS, _TARGETS))
        data = draw(st.sampled_from(_GOOD_DATA))
    blank = draw(st.sampled_from([" ", "\t", "  "]))
    return owner + blank + head + data.format(target) + draw(st.sampled_from(_ENDS))


@st.composite
def files(draw: st.DrawFn) -> str:
    """The text of a master file: of lines that are right one by one, mostly, and with a little damage, sometimes."""
    chosen = [
        draw(st.sampled_from([APEX, APEX, APEX, "", "@ 9 SOA ns host 1 2 3 4 5\n"])),
        *draw(st.lists(lines(), max_size=10)),
    ]
    text = "\n".join(chosen) + draw(st.sampled_from(["\n", "\n", ""]))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(_ODD)) + text[at + draw(st.integers(0, 2)) :]
    return text


class Kept:
    """Keeps the records that are read."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, records: Sequence[Record]) -> None:
        """Take the next ones."""
        self.records += records

    def take_outdated(self, record: Record, reason: str) -> None:
        """Leave out a record that is no longer valid."""


def records_of(text: str, *, plain: bool) -> tuple[list[Record], object]:
    """The records up to the first error, and that error's file, line and reason."""
    kept, origin = Kept(), dns.name.from_text("Zone.Example.")
    try:
        Reader(text.encode(), origin, Reading("zone", None, None, plain=plain), kept).read_all()
    except ZoneFileError as error:
        return kept.records, (error.file, error.line, error.reason)
    return kept.records, None


def zone_of(text: str, origin: str, *, plain: bool) -> object:
    """All that a zone answers from; or the error."""
    try:
        zone = parse_zone(text, origin, plain=plain)
    except ZoneFileError as error:
        return error.file, error.line, error.reason
    return {
        owner: [(t, rrset.ttl, rrset.records, rrset.canonical) for t, rrset in node.rrsets.items()]
        for owner, node in zone.nodes.items()
    }


@given(files())
@example('"open\n')
@example("a 5 A 192.0.2.1\nb A 192.0.2.2\n@ SOA ns host 1 2 3 4 9\nc A 192.0.2.3\n")
@example("; x\ra A 192.0.2.1\n")
@example(' "a" TXT\n')
@example(' "a"\n')
@example("a 60 TXT\n")
@settings(max_examples=600)
def test_the_same_records_and_errors(text: str) -> None:
    records, error = records_of(text, plain=True)
    assert (records, error) == records_of(text, plain=False)
    assert "malformed" not in str(error)  # dnspython's words where it has none


_DOUBTFUL = [
    *(f"a {data.format('b')}" for data in _DATA),
    *(f"a {head}A 192.0.2.1" for head in _HEADS),
    *(f"a {rrtype}{target}" for target in _TARGETS for rrtype in ("NS ", "MX 7 ", "TXT ")),
    *(f"{owner} A 192.0.2.1" for owner in _OWNERS),
]


@pytest.mark.parametrize("line", _DOUBTFUL + _DIRECTIVES)
def test_the_same_of_each_line(line: str) -> None:
    text = f"$TTL 8\nc A 192.0.2.1\n{line}\nd A 192.0.2.1\n A 192.0.2.2\n"
    assert records_of(text, plain=True) == records_of(text, plain=False)


@given(files())
def test_the_same_zones_and_refusals(text: str) -> None:
    assert zone_of(text, "Zone.Example.", plain=True) == zone_of(text, "Zone.Example.", plain=False)


@given(strategies.zones())
def test_the_same_of_valid_zones(made: strategies.MadeZone) -> None:
    origin = made.origin.to_text()
    assert isinstance(zone_of(made.text, origin, plain=True), dict)
    assert zone_of(made.text, origin, plain=True) == zone_of(made.text, origin, plain=False)


_PLAIN = [
    *(
        "A 192.0.2.1",
        "AAAA 2001:db8::1",
        "AAAA ::",
        "NS a",
        "CNAME a.b",
        "PTR @",
        "MX 0 .",
        "SRV 1 2 3 a.test.",
        "TXT a b",
    ),
    *('TXT "a;b" ""', 'CAA 0 issue "ca.test"', "CAA 0 issue ca", f"DS 1 13 2 {_SHA256}", "a 192.0.2.1 ; comment"),
]


@pytest.mark.parametrize("data", _PLAIN)
@pytest.mark.parametrize("head", ["", "60 ", "IN ", "60 IN ", "IN 60 "])
def test_what_is_plain(data: str, head: str) -> None:
    text = f"$ORIGIN c\n$TTL 5\n\nb {head}{data}\n\t{head}{data}"
    state, records = State(b"\x01d\x00"), list[Record]()
    assert read_plain(text.encode().split(b"\n"), state, records, "zone", 7) == 5
    assert [(record[0], record[1], record[6]) for record in records] == [
        (b"\x01b\x01c\x01d\x00", 60 if "60" in head else 5, line) for line in (10, 11)
    ]


def test_a_line_in_doubt_changes_nothing() -> None:
    state, records = State(b"\x01d\x00"), list[Record]()
    assert read_plain([b"a 5 A 192.0.2.1", b"b 6 A 192.0.2.256"], state, records, "zone", 1) == 1
    assert (state.owner, state.last_ttl, len(records)) == (b"\x01a\x01d\x00", 5, 1)


def test_octets_that_are_no_utf_8_are_read_and_lines_counted(tmp_path: Path) -> None:
    path = tmp_path / "zone"
    path.write_bytes(APEX.encode() + b'; \xc3\xa9\r\n; \xe4\r\na TXT "\xe4"\r\nb A \xe4\r\n')
    with pytest.raises(ZoneFileError, match="expected an IPv4 address") as caught:
        load_zone(path, "lab.example")
    assert caught.value.line == 7


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    path, included = tmp_path / "zone", tmp_path / "included"
    included.write_text("".join(f"h{number} A 192.0.2.1\n" for number in range(10_000)))
    path.write_text(APEX + "$INCLUDE included\nlast TXT (\n x )\n")
    told: list[tuple[int, int]] = []
    load_zone(path, "lab.example", progress=lambda *octets: told.append(octets))
    size = path.stat().st_size + included.stat().st_size
    assert told[-1] == (size, size)
    assert told == sorted(told)
    assert len(told) >= size // 0x11000
