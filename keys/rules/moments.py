"""Times for people to read, whatever was stored: a damaged state has times that no calendar has."""

from __future__ import annotations

from datetime import UTC, datetime

FIRST, LAST = -62_135_596_800, 253_402_300_799
"""The first second of the year 1 and the last one of the year 9999, in seconds since the epoch."""


def calendar(at: int) -> datetime | None:
    """A time (seconds since the epoch) in UTC; `None` where it lies outside the years 1 to 9999."""
    return datetime.fromtimestamp(at, UTC) if FIRST <= at <= LAST else None


def told(at: int, form: str) -> str:
    """A time in UTC in the form that `strftime` takes; outside the years 1 to 9999 as `second 9007199254740993`."""
    moment = calendar(at)
    return moment.strftime(form) if moment is not None else f"second {at}"


def duration(seconds: int) -> str:
    """A duration in its two largest units: `4d 23h`, `59m 3s`."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((n for n, (value, _) in enumerate(parts) if value), 3)
    return " ".join(f"{value}{unit}" for value, unit in parts[first : first + 2])
