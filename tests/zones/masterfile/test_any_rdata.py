"""Whatever stands in a master file, loading it gives a zone or a `ZoneFileError`, never what a library raises."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import dns.rdata
import pytest
from dns.rdatatype import RdataType
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.hosting.listed_file_records import listed
from tests.rdata_examples import EXAMPLES, known_types
from zones.dnspython_errors import interruption
from zones.masterfile.load import ZoneFileError, load_zone, parse_zone
from zones.masterfile.obsolete_types import OLD_TYPES
from zones.recordsets.record_values import ValueRefusedError, rdata_of

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n"
LINE = 4

_ODD = [
    *"\"\\();$@.\r\n\t é-+_#'=,:/!*٣",
    "1e400",
    "1e3m",
    "nan",
    "-1",
    "99999999999999999999",
    "0x",
    "\\#",
    "\\000",
    "",
]


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """A text with a few words or characters of it replaced."""
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            words = text.split(" ")
            words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(_ODD) | st.text(max_size=5))
            text = " ".join(words)
        else:
            at = draw(st.integers(0, len(text)))
            text = text[:at] + draw(st.sampled_from(_ODD)) + text[at + draw(st.integers(0, 2)) :]
    return text


def of_type(text: str) -> st.SearchStrategy[str]:
    """Rdata near a valid one: damaged, any text, or any octets in the form of RFC 3597."""
    octets = st.binary(max_size=40).map(lambda data: f"\\# {len(data)} {data.hex()}")
    return damaged(text) | damaged(text) | st.text(max_size=20) | octets


@st.composite
def records(draw: st.DrawFn) -> str:
    """A record of any type, or a $GENERATE or another directive of such text."""
    rrtype = draw(st.sampled_from(sorted(EXAMPLES) + [f"TYPE{number}" for number in sorted(OLD_TYPES)]))
    rdata = draw(of_type(EXAMPLES.get(rrtype, "\\# 3 016100")))
    directives = [
        f"$GENERATE 1-2 g$ {rrtype} {rdata}",
        f"$GENERATE {rdata}",
        f"$ORIGIN {rdata}",
        f"$TTL {rdata}",
        f"$UNICODE {rdata}",
    ]
    return draw(st.sampled_from([f"x {rrtype} {rdata}"] * 15 + directives))


def test_every_known_type_has_an_example() -> None:
    assert set(EXAMPLES) == known_types()


@given(records(), st.booleans(), st.booleans())
@example("x LOC 10 0 0 N 20 0 0 E 50000000m", True, True)
@example("x LOC 10 0 0 N 20 0 0 E 1e400", False, True)
@example("x LOC 10 0 0 N 20 0 0 E -100000.01m", False, True)
@example("$GENERATE 1-2 g$ LOC 10", False, True)
@settings(max_examples=800)
def test_a_record_is_read_or_refused(text: str, lenient: bool, signed: bool) -> None:
    try:
        zone = parse_zone(f"{APEX}{text}\n", "lab.example", file="zone", lenient=lenient, signed=signed)
    except ZoneFileError as error:
        assert error.file == "zone"
        assert error.reason
    else:
        listed(zone, None, 100)


@given(st.text() | st.binary().map(lambda octets: octets.decode("latin-1")))
@example("\ud800")
def test_an_origin_is_read_or_refused(origin: str) -> None:
    with suppress(ZoneFileError):
        parse_zone(APEX, origin)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x LOC 10 0 0 N 20 0 0 E 50000000m", "LOC: expected an altitude of -100000.00 to 42849672.95 m"),
        ("x LOC 10 0 0 N 20 0 0 E 1e400", 'found "1e400"'),
        ("x LOC 10 N 20 E 1m 1e400", 'LOC: expected a size of 0.00 to 90000000.00 m, such as 12.50m, found "1e400"'),
        ("$GENERATE 1-2 g$ TYPE29 x", "LOC: "),
    ],
)
def test_it_is_told_with_its_line_and_type(text: str, reason: str) -> None:
    with pytest.raises(ZoneFileError) as caught:
        parse_zone(f"{APEX}{text}\n", "lab.example", file="zone")
    assert caught.value.line == LINE
    assert reason in caught.value.reason


class Raising(dns.rdata.GenericRdata):
    """Rdata of a library that raises what nobody expects: as octets, or only in its canonical form."""

    error: type[BaseException] = ZeroDivisionError
    only_canonical = False

    def _to_wire(
        self, file: object, compress: object = None, origin: object = None, canonicalize: bool = False
    ) -> None:
        if canonicalize or not self.only_canonical:
            raise self.error("odd")


@pytest.mark.parametrize("only_canonical", [False, True])
def test_what_nobody_expects_is_the_lines_fault(monkeypatch: pytest.MonkeyPatch, only_canonical: bool) -> None:
    monkeypatch.setattr(Raising, "only_canonical", only_canonical)
    monkeypatch.setattr(dns.rdata, "GenericRdata", Raising)
    monkeypatch.setitem(dns.rdata._rdata_classes, (dns.rdataclass.IN, RdataType.make(65280)), Raising)
    with pytest.raises(ZoneFileError) as caught:
        parse_zone(f"{APEX}x TYPE65280 \\# 1 00\n", "lab.example", file="zone")
    assert (caught.value.line, caught.value.reason) == (
        LINE,
        "TYPE65280: invalid rdata of 1 octets",
    )


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("in_text", [False, True])
def test_what_interrupts_is_no_fault_of_a_line(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException], in_text: bool
) -> None:
    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(dns.rdata.GenericRdata, "from_text" if in_text else "_to_wire", raising)
    with pytest.raises(error):
        parse_zone(f"{APEX}x TYPE65280 \\# 1 00\n", "lab.example")


def test_an_interruption_is_found_behind_an_error() -> None:
    assert interruption(ValueError("x"), None) is None
    assert isinstance(interruption(MemoryError(), None), MemoryError)


class CancelledForTest(BaseException):
    """As `trio.Cancelled` is: no `Exception`."""


def test_what_was_handled_when_the_library_was_called_is_no_interruption() -> None:
    def cancel() -> None:
        raise CancelledForTest

    try:
        cancel()
    except CancelledForTest:
        with pytest.raises(ZoneFileError, match="zone:4: A: "):
            parse_zone(f"{APEX}x A 1\n", "lab.example", file="zone")
        with pytest.raises(ValueRefusedError):
            rdata_of("A", "1")


def test_a_path_that_no_file_can_have() -> None:
    with pytest.raises(ZoneFileError, match="cannot be read"):
        load_zone(Path("a\0b"), "lab.example")
