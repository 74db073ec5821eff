"""The timeline in a terminal: it fits, bars stand where they belong, and colour only goes where it is seen."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from keys.rules.bars import Row, Span, Timeline
from server.display.status_report import WIDE, console_of_one_screen
from server.display.timeline_text import print_timeline
from tests.keys.rules.key_history import DAY, START
from tests.keys.rules.test_timeline import NOW
from tests.server.display.test_timeline_svg import VIEWS, shown


def printed(timeline: Timeline, width: int = 80) -> list[str]:
    to = io.StringIO()
    print_timeline(Console(file=to, width=width, highlight=False), timeline)
    return to.getvalue().splitlines()


def in_ascii(timeline: Timeline) -> str:
    octets = io.BytesIO()
    to = io.TextIOWrapper(octets, encoding="ascii")
    print_timeline(Console(file=to, width=80, highlight=False), timeline)
    to.flush()
    return octets.getvalue().decode()


def test_two_months() -> None:
    assert printed(shown(NOW, 30 * DAY, 60 * DAY)) == [
        "Keys of lab.example.                             15 Jan 2026 to 15 Apr 2026, UTC",
        "                         19 Jan   2 Feb    16 Feb   2 Mar   16 Mar   30 Mar",
        "KSK ksk_1     gone     ████████--",
        "KSK ksk_new   4010        █████████!!███████████████████████████████████████████",
        "DS at parent           ========ksk_new==========================================",
        "KMS ksk_new                        xx",
        "ZSK 1         48337    █",
        "ZSK 2         33254    ██████████",
        "ZSK 3         43333             ██████████▓",
        "ZSK 4         27865                      ███████████",
        "ZSK 5         to come                              ███████████▓",
        "ZSK 6         to come                                        ███████████",
        "ZSK 7         to come                                                  █████████",
        "                                          ▲ now",
        "   valid until 18 Feb 18:00 without the KMS ▲",
        "░ published  █ active  ▓ retired  - inactive  ! action needed  = DS at parent",
        "x KMS outage",
    ]


@pytest.mark.parametrize(("back", "ahead"), VIEWS)
@pytest.mark.parametrize("width", [60, 80, 132])
def test_it_fits_the_terminal_and_breaks_no_line(back: int, ahead: int, width: int) -> None:
    timeline = shown(NOW, back, ahead)
    lines = printed(timeline, width)
    assert max(len(line) for line in lines) <= width
    first = next(number for number, line in enumerate(lines) if line.startswith("KSK "))
    assert first <= 3
    for row, line in zip(timeline.rows, lines[first:], strict=False):
        assert line.startswith(row.name)


@pytest.mark.parametrize(("back", "ahead"), VIEWS)
def test_a_bar_begins_and_ends_in_the_block_of_its_time(back: int, ahead: int) -> None:
    timeline = shown(NOW, back, ahead)
    beside = 7 if any(row.is_key and row.key_tag is None for row in timeline.rows) else 5
    indent = max(len(row.name) for row in timeline.rows) + 2 + beside + 2
    lines = printed(timeline)[2:]
    per_block = (timeline.until - timeline.since) / (80 - indent)
    for row, line in zip(timeline.rows, lines, strict=False):
        assert line.startswith(row.name)
        blocks = line[indent:]
        if not blocks:
            continue
        first = len(blocks) - len(blocks.lstrip())
        assert abs((row.spans[0].start - timeline.since) / per_block - first) <= 1, row.name
        assert abs((row.spans[-1].end - timeline.since) / per_block - len(blocks)) <= 1, row.name


def test_an_outage_has_a_block_however_short_it_is() -> None:
    spans = (Span(START, START + 1, "outage", "X"),)
    lines = printed(Timeline("a.", START - DAY, START, START + 300 * DAY, None, (Row("KMS ksk_1", None, spans),)))
    assert lines[2].split() == ["KMS", "ksk_1", "x"]


def test_colour_for_a_terminal_only() -> None:
    to = io.StringIO()
    print_timeline(
        Console(file=to, width=80, force_terminal=True, color_system="standard", highlight=False),
        shown(NOW, 30 * DAY, 60 * DAY),
    )
    assert "\x1b[32m" in to.getvalue()
    assert "\x1b" not in "".join(printed(shown(NOW, 30 * DAY, 60 * DAY)))


def test_a_terminal_that_takes_ascii_only() -> None:
    text = in_ascii(shown(NOW, 30 * DAY, 60 * DAY))
    assert "#########!!####" in text
    assert "^ now" in text
    assert "# active" in text


def test_long_names_are_cut() -> None:
    rows = (Row("KSK " + "x" * 128, 65535, (Span(NOW - DAY, NOW + DAY, "ACTIVE"),)),)
    lines = printed(Timeline("x" * 63 + "." + "y" * 63 + ".", NOW - DAY, NOW, NOW + DAY, NOW, rows))
    assert max(len(line) for line in lines) <= 80
    assert any(line.startswith("KSK xxxxxxxxxxxxxxx…  65535  ████") for line in lines)
    assert lines[0].endswith("…")


def test_where_there_is_no_terminal_it_is_80_columns_wide_or_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, width in ((None, 80), ("100", 100), ("", 80), ("0", 80), (str(WIDE), 80), ("wide", 80)):
        if columns is None:
            monkeypatch.delenv("COLUMNS", raising=False)
        else:
            monkeypatch.setenv("COLUMNS", columns)
        assert console_of_one_screen().width == width


def test_a_zone_without_keys() -> None:
    assert printed(Timeline("a.", START, START, START + DAY, None, ()))[0].startswith("Keys of a. ")
