"""Ticks on the calendar's own steps, and headings of minutes, hours and years."""

from __future__ import annotations

from itertools import pairwise

import pytest

from keys.rules.moments import FIRST, LAST
from server.display.time_axis import day, moment, period, ticks

DAY = 86400
START = 1_767_225_600  # 2026-01-01 00:00:00 UTC, a Thursday


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (3600, ["00:05", "00:10"]),
        (12 * 3600, ["01:00", "02:00"]),
        (2 * DAY, ["06:00", "12:00"]),
        (10 * DAY, ["2 Jan", "3 Jan"]),
        (60 * DAY, ["5 Jan", "12 Jan"]),
        (200 * DAY, ["Feb 2026", "Mar 2026"]),
        (3 * 365 * DAY, ["Jul 2026", "Jan 2027"]),
        (10 * 365 * DAY, ["2027", "2028"]),
        (400 * 365 * DAY, ["2050", "2100"]),
    ],
)
def test_ticks(length: int, labels: list[str]) -> None:
    found = ticks(START + 1, START + 1 + length, 13)
    assert [tick.label for tick in found[:2]] == labels
    assert 2 <= len(found) <= 13
    assert all(before.at < after.at and before.label != after.label for before, after in pairwise(found))


def test_midnight_is_told_as_a_day() -> None:
    labels = [tick.label for tick in ticks(START + 12 * 3600, START + 36 * 3600, 9)]
    assert labels == ["12:00", "15:00", "18:00", "21:00", "2 Jan", "03:00", "06:00", "09:00"]


def test_the_heading_fits_hours_as_well_as_years() -> None:
    assert period(START, START + 7200) == "1 Jan 2026, 00:00 to 02:00 UTC"
    assert period(START, START + 2 * DAY) == "1 Jan 2026 00:00 to 3 Jan 2026 00:00 UTC"
    assert period(START, START + 40 * DAY) == "1 Jan 2026 to 10 Feb 2026, UTC"
    assert period(START, START + 3653 * DAY) == "1 Jan 2026 to 2 Jan 2036, UTC"


@pytest.mark.parametrize("at", [FIRST - 1, LAST + 1, 2**64])
def test_times_that_no_calendar_has(at: int) -> None:
    assert ticks(START, at, 13) == ticks(at, START, 13) == []
    assert str(at) in period(START, at)
    assert day(at) == moment(at) == f"second {at}"


def test_all_the_years_that_there_are() -> None:
    assert 2 <= len(ticks(FIRST, LAST, 13)) <= 13
