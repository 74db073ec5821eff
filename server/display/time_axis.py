"""Times as a picture has them: ticks on the calendar's own steps, their labels, and the period in a heading."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from keys.rules.moments import calendar, told

_DAY: Final = 86400
_MONDAY: Final = 4 * _DAY  # the first one since the epoch
_SECONDS: Final = (60, 300, 900, 1800, *(hours * 3600 for hours in (1, 2, 3, 6, 12, 24, 48, 96, 168, 336)))
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000, 12000)
_SHORTEST_MONTH: Final = 28 * _DAY
_HOURS_MATTER: Final = 4 * _DAY
"""Seconds: shorter periods show the time of day."""


class Tick(NamedTuple):
    """A place on the axis; `at` in seconds since the epoch."""

    at: int
    label: str


def ticks(since: int, until: int, most: int) -> list[Tick]:
    """At most `most` of them from `since` until before `until`, closer together as the period is shorter.

    Each label says as much as tells it from the others: `14:00`, `3 Dec`, `Dec 2026`, `2026`. None outside the
    years 1 to 9999.
    """
    if calendar(since) is None or calendar(until) is None or since >= until:
        return []
    for step in _SECONDS:
        if (until - since) / step <= most - 1:
            return [Tick(at, _label(at, step)) for at in range(since + (_MONDAY - since) % step, until, step)]
    for months in _MONTHS:
        if (until - since) / (months * _SHORTEST_MONTH) <= most - 1:
            return [Tick(at, told(at, "%Y" if months % 12 == 0 else "%b %Y")) for at in _months(since, until, months)]
    return []


def _label(at: int, step: int) -> str:
    return told(at, "%H:%M") if step < _DAY and at % _DAY else day(at)


def _months(since: int, until: int, step: int) -> Iterator[int]:
    """The beginnings of every `step`th month, counted from a January."""
    first = datetime.fromtimestamp(since, UTC)
    number = first.year * 12 + first.month - 1
    for month in range(number - number % step, 9999 * 12 + 12, step):
        if month < 12:
            continue
        at = int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())
        if at >= until:
            return
        if at >= since:
            yield at


def day(at: int) -> str:
    """`3 Dec`; a time that no calendar has as it is."""
    moment = calendar(at)
    return f"{moment.day} {moment:%b}" if moment is not None else told(at, "")


def moment(at: int) -> str:
    """`3 Dec 14:05`."""
    return f"{day(at)} {told(at, '%H:%M')}" if calendar(at) is not None else day(at)


def period(since: int, until: int) -> str:
    """A heading's: `3 Dec 2026, 02:00 to 14:00 UTC`, `3 Dec 2026 02:00 to …`, `3 Dec 2026 to 4 Mar 2027, UTC`."""
    if calendar(since) is None or calendar(until) is None:
        return f"{told(since, '')} to {told(until, '')}"
    first, last = (f"{day(at)} {told(at, '%Y')}" for at in (since, until))
    if first == last:
        return f"{first}, {told(since, '%H:%M')} to {told(until, '%H:%M')} UTC"
    if until - since < _HOURS_MATTER:
        return f"{first} {told(since, '%H:%M')} to {last} {told(until, '%H:%M')} UTC"
    return f"{first} to {last}, UTC"
