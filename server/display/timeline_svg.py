"""The timeline as a picture (SVG): one lane a key, its phases in colour, the slots that its KMS signs below it."""

from __future__ import annotations

from typing import NamedTuple

import drawsvg

from keys.rules.moments import calendar, told
from keys.rules.timeline import PLANNED, SERVED, STORED, Row, Slot, Span, Timeline

_WIDTH = 1200
_LEFT, _RIGHT, _TOP = 190, 28, 84
_BAR, _SLOT, _GAP = 20, 9, 16
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_INK, _FAINT, _GRID, _FUTURE = "#1f2933", "#66727f", "#e3e8ed", "#f5f7f9"
_NOW, _END = "#1f2933", "#c62828"

_COLOURS = {
    "made": "#cfd8dc",
    "generated": "#cfd8dc",
    "published": "#90caf9",
    "ready": "#42a5f5",
    "ACTIVE": "#43a047",
    "active": "#43a047",
    "retired": "#ffb74d",
    "INACTIVE": "#b0bec5",
    "ACTION_NEEDED": "#e53935",
    "DELETING": "#8d6e63",
}
_DARK = {"ready", "ACTIVE", "active", "ACTION_NEEDED", "DELETING"}
"""Phases whose colour wants white letters."""
_SLOTS = {SERVED: "#7e9d8c", STORED: "#26a69a", PLANNED: "#ffffff"}
_LEGEND = (
    ("made, generated", "made"),
    ("published", "published"),
    ("ready", "ready"),
    ("active", "active"),
    ("retired", "retired"),
    ("inactive", "INACTIVE"),
    ("action needed", "ACTION_NEEDED"),
)
_STEPS = tuple(
    hours * 3600 for hours in (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344, 2688, 5376)
)  # from one tick to the next
_MONDAY = 4 * 86400  # the first one since the epoch
_TICKS = 13
_NAME = 13  # letters that fit beside a bar


class _Scale(NamedTuple):
    """Time to pixels."""

    since: int
    until: int

    def x(self, at: int) -> float:
        return _LEFT + (at - self.since) / max(1, self.until - self.since) * (_WIDTH - _LEFT - _RIGHT)


def render_svg(timeline: Timeline) -> str:
    """The picture as text."""
    bottom = _TOP + sum(_lane(row) for row in timeline.rows)
    height = bottom + 66
    scale = _Scale(timeline.since, timeline.until)
    drawing = drawsvg.Drawing(_WIDTH, height, font_family=_FONT)
    drawing.append(drawsvg.Rectangle(0, 0, _WIDTH, height, fill="#ffffff"))
    _heading(drawing, timeline)
    _axis(drawing, timeline, scale, bottom)
    y = _TOP
    for row in timeline.rows:
        _draw_row(drawing, row, scale, y, timeline.now)
        y += _lane(row)
    _moments(drawing, timeline, scale, bottom)
    _legend(drawing, height - 20)
    return str(drawing.as_svg())


def _lane(row: Row) -> int:
    return _BAR + _GAP + (_SLOT + 3 if row.slots else 0)


def _heading(drawing: drawsvg.Drawing, timeline: Timeline) -> None:
    drawing.append(_text(f"Keys of {timeline.zone}", 24, 32, 18, weight="600"))
    period = f"{_day(timeline.since)} to {_day(timeline.until)}, UTC"
    drawing.append(_text(period, _WIDTH - _RIGHT, 32, 12, _FAINT, anchor="end"))


def _axis(drawing: drawsvg.Drawing, timeline: Timeline, scale: _Scale, bottom: int) -> None:
    now = min(max(timeline.now, scale.since), scale.until)
    drawing.append(
        drawsvg.Rectangle(
            scale.x(now), _TOP - 10, scale.x(scale.until) - scale.x(now), bottom - _TOP + 10, fill=_FUTURE
        )
    )
    step = next((s for s in _STEPS if (scale.until - scale.since) / s <= _TICKS), _STEPS[-1])
    first = scale.since + (_MONDAY - scale.since) % step
    for at in range(first, scale.until, step):
        x = scale.x(at)
        drawing.append(drawsvg.Line(x, _TOP - 10, x, bottom, stroke=_GRID, stroke_width=1))
        label = told(at, "%H:%M") if step < 86400 and at % 86400 else _day(at, year=False)
        drawing.append(_text(label, x, bottom + 16, 11, _FAINT, anchor="middle"))


def _draw_row(drawing: drawsvg.Drawing, row: Row, scale: _Scale, y: int, now: int) -> None:
    name = row.name if len(row.name) <= _NAME else row.name[: _NAME - 1] + "…"
    drawing.append(_text(name, 24, y + 14, 13, weight="600"))
    tag = "to come" if row.spans[0].start >= now else "gone"
    if row.key_tag is not None:
        tag = f"tag {row.key_tag}"
    drawing.append(_text(tag, _LEFT - 14, y + 14, 11, _FAINT, anchor="end"))
    for span in row.spans:
        drawing.append(_bar(span, scale, y, now))
        if len(span.phase) * 7 + 8 < scale.x(span.end) - scale.x(span.start):
            ink = "#ffffff" if span.phase in _DARK else _INK
            label = span.phase.replace("_", " ").lower()
            drawing.append(_text(label, scale.x(span.start) + 6, y + 14, 11, ink))
    for slot in row.slots:
        drawing.append(_cell(slot, scale, y + _BAR + 3))


def _bar(span: Span, scale: _Scale, y: int, now: int) -> drawsvg.Rectangle:
    x, width = scale.x(span.start), max(1.5, scale.x(span.end) - scale.x(span.start))
    ahead = {"fill_opacity": 0.75, "stroke_dasharray": "3 2"} if span.start >= now else {}
    bar = drawsvg.Rectangle(
        x, y, width, _BAR, rx=2.5, fill=_COLOURS[span.phase], stroke="#ffffff", stroke_width=0.8, **ahead
    )
    bar.append_title(f"{span.phase}: {_moment(span.start)} to {_moment(span.end)}")
    return bar


def _cell(slot: Slot, scale: _Scale, y: int) -> drawsvg.Rectangle:
    start, end = max(slot.start, scale.since), min(slot.end, scale.until)
    x, width = scale.x(start), scale.x(end) - scale.x(start)
    gap = min(0.8, width / 4)
    cell = drawsvg.Rectangle(
        x + gap / 2,
        y,
        width - gap,
        _SLOT,
        fill=_SLOTS[slot.state],
        **({"stroke": "#b7c3cd", "stroke_width": min(0.7, width / 6)} if slot.state == PLANNED else {}),
    )
    cell.append_title(f"RRSIG {slot.state} for the slot from {_moment(slot.start)} to {_moment(slot.end)}")
    return cell


def _moments(drawing: drawsvg.Drawing, timeline: Timeline, scale: _Scale, bottom: int) -> None:
    """Now, and the end of the runway."""
    x = scale.x(timeline.now)
    drawing.append(drawsvg.Line(x, _TOP - 14, x, bottom, stroke=_NOW, stroke_width=1.2))
    drawing.append(_text("now", x, _TOP - 20, 11, _NOW, anchor="middle", weight="600"))
    end = timeline.valid_until
    if end is None or not scale.since <= end < scale.until:
        return
    x = scale.x(end)
    drawing.append(drawsvg.Line(x, _TOP - 30, x, bottom, stroke=_END, stroke_width=1.2, stroke_dasharray="4 3"))
    anchor, at = ("end", x + 4) if x > _WIDTH / 2 else ("start", x - 4)
    drawing.append(_text(f"valid until {_moment(end)} without the KMS", at, _TOP - 36, 11, _END, anchor=anchor))


def _legend(drawing: drawsvg.Drawing, y: int) -> None:
    x = 24.0
    for label, phase in _LEGEND:
        drawing.append(drawsvg.Rectangle(x, y - 9, 14, 10, rx=2, fill=_COLOURS[phase]))
        drawing.append(_text(label, x + 19, y, 11, _FAINT))
        x += 32 + len(label) * 6.2
    x += 14
    for label, state in (("RRSIG served", SERVED), ("stored", STORED), ("to come", PLANNED)):
        edge = {"stroke": "#b7c3cd", "stroke_width": 0.8} if state == PLANNED else {}
        drawing.append(drawsvg.Rectangle(x, y - 8, 14, 8, fill=_SLOTS[state], **edge))
        drawing.append(_text(label, x + 19, y, 11, _FAINT))
        x += 32 + len(label) * 6.2


def _text(
    text: str, x: float, y: float, size: int, fill: str = _INK, *, anchor: str = "start", weight: str = "400"
) -> drawsvg.Text:
    return drawsvg.Text(text, size, x, y, fill=fill, text_anchor=anchor, font_weight=weight)


def _day(at: int, *, year: bool = True) -> str:
    moment = calendar(at)
    if moment is None:
        return told(at, "")
    return f"{moment.day} {moment:%b}" + (f" {moment.year}" if year else "")


def _moment(at: int) -> str:
    return f"{_day(at, year=False)} {told(at, '%H:%M')}" if calendar(at) is not None else _day(at)
