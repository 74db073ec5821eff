"""Past and planned rollovers and outages, a row each: "ZSK 2: published 3 Dec, signs 5 Dec, ZSK 1 leaves 7 Dec"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from keys.rules.bars import OUTAGE, PARENT, Row, Span, Timeline
from keys.rules.events import Entry
from keys.rules.keyring import KskStatus, ZskPhase
from keys.rules.ksk_bars import MADE, PUBLISHED
from keys.rules.moments import told
from keys.rules.terms import term, with_terms
from keys.rules.timeline import rows_of_log
from server.control.server_operations import Planned
from server.display.columns import broken
from server.display.time_axis import day, moment

_ALONE: Final = {
    "RolloverRequested",
    "ZskLost",
    "SigningEnabled",
    "SigningDisabled",
    "SigningConfigured",
    "ServedUnsigned",
    "DsWithdrawn",
    "DsOffered",
    "ClockJumped",
    "ClockTrusted",
}
"""Events outside a rollover, an outage or a refresh: each has a row of its own."""
_STATUSES: Final = {
    MADE: "not in the DNSKEY RRset from",
    PUBLISHED: "published",
    KskStatus.ACTIVE.value: "active from",
    KskStatus.INACTIVE.value: "inactive from",
    KskStatus.DELETING.value: "being deleted from",
    KskStatus.ACTION_NEEDED.value: "needs action from",
}
_INDENT: Final = 4


class RolloverRow(NamedTuple):
    """One row; `text` says what happens to `subject`, and when."""

    subject: str
    text: str
    moments: tuple[int, ...]
    """When, in seconds since the epoch."""
    is_bad: bool = False


class _Step(NamedTuple):
    at: int
    past: str
    future: str


def planned_rows(timeline: Timeline, planned: Sequence[Planned]) -> list[RolloverRow]:
    """The rows with something to come, the next one first, and that of the regular refreshes last. `planned` is every
    action until the end of the timeline, `timeline` goes back to the beginning of what is still under way.
    """
    now = timeline.now
    ours = [row for row in timeline.rows if row.name != PARENT]
    rows = [row for row in _rows(ours, now, timeline.until) if row.moments[-1] > now or row.is_bad]
    rows.sort(key=lambda row: min((at for at in row.moments if at > now), default=now))
    signed = [action.at for action in planned if action.action == "SignKeyset"]
    if signed:
        each = f"{_times(len(signed))}, next" if len(signed) > 1 else "next"
        last = f", last {_dated(signed[-1], now)}" if len(signed) > 1 else ""
        text = f"signed by the KMS {each} {_dated(signed[0], now)}{last}"
        rows.append(RolloverRow("DNSKEY RRset", text, tuple(signed)))
    return rows


def past_rows(past: Sequence[Entry], since: int, now: int) -> list[RolloverRow]:
    """The rows with something that happened from `since` on, as each began; `past` is the whole log."""
    rows = [row for row in _rows(rows_of_log(past, now), now, now) if row.moments[-1] >= since]
    for entry in past:
        if entry.kind in _ALONE and entry.at >= since:
            text = f"{_dated(entry.at, now)} ({with_terms(entry.reason)})"
            rows.append(RolloverRow(term(entry.kind), text, (entry.at,)))
    rows.sort(key=lambda row: row.moments[0])
    signed = [entry.at for entry in past if entry.kind == "KeysetSigned" and entry.at >= since]
    if signed:
        text = f"signed by the KMS {_times(len(signed))}, last {_dated(signed[-1], now)}"
        rows.append(RolloverRow("DNSKEY RRset", text, tuple(signed)))
    return rows


def print_rows(console: Console, rows: Sequence[RolloverRow]) -> None:
    """Each row, broken between words where the terminal is too narrow."""
    for row in rows:
        first, *others = broken(console, f"{row.subject}: {row.text}", 0, _INDENT)
        line = Text(first)
        line.stylize("bold red" if row.is_bad else "bold", 0, len(row.subject) + 1)
        console.print(line, soft_wrap=True)
        for other in others:
            console.print(Text(" " * _INDENT + other), soft_wrap=True)


# --- rows of a timeline


def _rows(rows: Sequence[Row], now: int, until: int) -> Iterator[RolloverRow]:
    for row in rows:
        if row.name == PARENT:
            yield _parent_row(row, now, until)
        elif row.name.startswith("KMS "):
            yield from (_outage(row.name, span, now, until) for span in row.spans if span.phase == OUTAGE)
        else:
            steps = _zsk_steps(row, rows, until) if row.name.startswith("ZSK ") else _ksk_steps(row, until)
            if steps:
                yield RolloverRow(row.name, _told(steps, now), tuple(step.at for step in steps))


def _zsk_steps(row: Row, rows: Sequence[Row], until: int) -> list[_Step]:
    published = next((span.start for span in row.spans if span.phase != ZskPhase.GENERATED.value), None)
    active = next((span.start for span in row.spans if span.phase == ZskPhase.ACTIVE.value), None)
    if published is None:
        return [_Step(row.spans[0].start, "generated", "generated")]
    if active == published:
        return [_Step(published, "published and signs from", "published and signs")]
    steps = [_Step(published, "published", "published")]
    if active is not None:
        steps.append(_Step(active, "signs from", "signs"))
        before = next((other for other in rows if _retired(other) == active), None)
        if before is not None and before.spans[-1].end < until:
            steps.append(_Step(before.spans[-1].end, f"{before.name} left", f"{before.name} leaves"))
    return steps


def _retired(row: Row) -> int | None:
    """When the ZSK of a row stopped signing."""
    return next((span.start for span in row.spans if span.phase == ZskPhase.RETIRED.value), None)


def _ksk_steps(row: Row, until: int) -> list[_Step]:
    steps: list[_Step] = []
    before = ""
    for span in row.spans:
        said, at = _STATUSES.get(span.phase, span.phase), span.start
        if not steps:
            said = "created inactive" if span.phase == KskStatus.INACTIVE.value else "created"
        elif before == PUBLISHED and span.phase == KskStatus.ACTIVE.value:
            said, at = "DS may be added from", at + -at % 60  # never a minute that begins too early
        steps.append(_Step(at, said, said))
        before = span.phase
    if row.spans[-1].end < until:
        steps.append(_Step(row.spans[-1].end, "deleted", "deleted"))
    return steps


def _parent_row(row: Row, now: int, until: int) -> RolloverRow:
    """What the DS named, and from when on."""
    steps: list[_Step] = []
    end = row.spans[0].start
    for span in row.spans:
        if span.start > end:
            steps.append(_Step(end, "absent from", "absent from"))
        said = f"{'' if steps else 'names '}{span.label.replace(', ', ' and ')} from"
        steps.append(_Step(span.start, said, said))
        end = span.end
    if end < until:
        steps.append(_Step(end, "absent from", "absent from"))
    return RolloverRow(PARENT, _told(steps, now), tuple(step.at for step in steps))


def _outage(name: str, span: Span, now: int, until: int) -> RolloverRow:
    start, code = _dated(span.start, now), f" ({span.label})" if span.label else ""
    if span.end >= until:
        return RolloverRow(name, f"outage since {start}{code}", (span.start, span.end), is_bad=True)
    return RolloverRow(name, f"outage from {start} to {_dated(span.end, now)}{code}", (span.start, span.end))


# --- words


def _told(steps: Sequence[_Step], now: int) -> str:
    """The steps with their days; with the time of day where two are on one day."""
    days = [told(step.at, "%Y-%m-%d") for step in steps]
    exactly = len(set(days)) < len(days)
    said = []
    for number, step in enumerate(steps):
        same = number > 0 and days[number] == days[number - 1]
        when = told(step.at, "%H:%M") if same else _dated(step.at, now, exactly=exactly)
        said.append(f"{step.past if step.at <= now else step.future} {when}")
    return ", ".join(said)


def _dated(at: int, now: int, *, exactly: bool = True) -> str:
    """`3 Dec`, or `3 Dec 14:05`; with the year where it is another one than now."""
    year = told(at, " %Y") if told(at, "%Y") != told(now, "%Y") else ""
    if not exactly:
        return f"{day(at)}{year}"
    return f"{day(at)}{year} {told(at, '%H:%M')}" if year.strip().isdigit() else moment(at)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
