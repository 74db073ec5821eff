"""All errors of a zone file at once: each once, those that follow from another left out, in linear time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.growth import growth
from zones.masterfile.check_zone import CheckedZone, check_zone
from zones.masterfile.found_faults import MOST_TOLD
from zones.masterfile.reading_limits import ReadingLimits

APEX = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""
BAD = "bad 300 A 192.0.2.300\n"


def checked(folder: Path, text: str, limits: ReadingLimits | None = None) -> CheckedZone:
    file = folder / "lab.zone"
    file.write_text(APEX + text)
    return check_zone(file, "lab.example.", limits=limits or ReadingLimits())


def lines(folder: Path, text: str) -> list[int]:
    return [error.line for error in checked(folder, text).errors.told()]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (BAD + "ok 300 A 192.0.2.1\n" + BAD, [4, 6]),
        (BAD + "\n; comment\n\n  300 A 192.0.2.1\n" + BAD, [4, 9]),
        ("a..b 300 A 192.0.2.1\n 300 A x\n 300 CNAME y\n$TTL 5\n A x\n" + BAD, [4, 9]),
        ("a 300 MX (\n 10\n x..y )\n" + BAD, [4, 7]),
        ("a 300 MX ( ; )\n 10 ; (\n x..y )\n" + BAD, [4, 7]),
        ('a 300 TXT ( "a\\" (" (\n b\n' + BAD, [4, 6]),
        ('a 300 TXT "a\n"\n' + BAD, [4, 5, 6]),
        ("a 300 A 192.0.2.1 )\n" + BAD, [4, 5]),
        ("$TTL x\na A 192.0.2.1\na 300 A 192.0.2.2\na 301 A 192.0.2.3\n", [4, 7]),
        ("$ORIGIN a..b\nb 300 CNAME x\nb 300 A 192.0.2.2\nc 300 A x\n$ORIGIN lab.example.\n" + BAD, [4, 7, 9]),
        ("$ORIGIN a..b\nb 300 A 192.0.2.2\nb.other. 300 A 192.0.2.2\n", [4, 6]),
        ("c 300 CNAME a\nc 300 A 192.0.2.1\nd 300 CNAME a\nd 300 CNAME b\n", [5, 7]),
        ("a 300 A 192.0.2.1\na 400 A 192.0.2.2\na 500 A 192.0.2.3\n", [5, 6]),
        (BAD.removesuffix("\n"), [4]),
        ("a 300 TXT ( x", [4]),
    ],
)
def test_every_error_is_told_and_none_that_follows(tmp_path: Path, text: str, wrong: list[int]) -> None:
    assert lines(tmp_path, text) == wrong


def test_at_most_a_hundred_of_each_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "part.zone").write_text(BAD * 3)
    found = list(checked(tmp_path, BAD * 150 + "$INCLUDE part.zone\n").errors.told())
    own = [error for error in found if error.file == str(tmp_path / "lab.zone")]
    assert [error.line for error in own] == [*range(4, 4 + MOST_TOLD), 0]
    assert str(own[-1]) == f"{tmp_path}/lab.zone: and 50 more"
    assert [(error.file, error.line) for error in found[len(own) :]] == [
        (str(tmp_path / "part.zone"), line) for line in (1, 2, 3)
    ]


def test_those_with_the_lowest_lines_are_told(tmp_path: Path) -> None:
    # CNAMEs are found when all is read: after more errors than are reported, and before them in the file.
    told = lines(tmp_path, "c 300 CNAME a\nc 300 A 192.0.2.1\n" + BAD * 200)
    assert told == [*range(5, 5 + MOST_TOLD), 0]


def test_an_included_file_of_any_octets_is_read(tmp_path: Path) -> None:
    (tmp_path / "part.zone").write_bytes(b"a 300 TXT \xff\nb 300 A \xff\n")
    errors = list(checked(tmp_path, "$INCLUDE part.zone\n" + BAD).errors.told())
    assert [(error.file, error.line) for error in errors] == [
        (str(tmp_path / "lab.zone"), 5),
        (str(tmp_path / "part.zone"), 2),
    ]


def test_beyond_a_limit_nothing_is_read(tmp_path: Path) -> None:
    found = checked(tmp_path, BAD + "$GENERATE 1-9 a$ A 192.0.2.1\n" + BAD, ReadingLimits(generated=5)).errors.told()
    assert [(error.line, error.code) for error in found] == [(4, "syntax"), (5, "limit")]


def test_a_missing_record_is_not_told_where_it_may_be_the_one_that_is_wrong(tmp_path: Path) -> None:
    text = "@ 300 MX 10 mail\nmail 300 A 192.0.2.300\n"
    assert list(checked(tmp_path, text).warnings.told()) == []
    assert [warning.line for warning in checked(tmp_path, "@ 300 MX 10 mail\n" + BAD).warnings.told()] == [4]
    assert list(checked(tmp_path, "@ 300 MX 10 mail\n$INCLUDE none\n").warnings.told()) == []


@pytest.mark.parametrize("line", [BAD, "a 300 TXT (\n", "a 300 SVCB 0 b. (\n", ' ( " ; )\n'])
def test_it_takes_linear_time(tmp_path: Path, line: str) -> None:
    def work(count: int) -> Callable[[], object]:
        return lambda: checked(tmp_path, line * count)

    assert growth(work(200), work(1600), rounds=3) < 8 * 2
