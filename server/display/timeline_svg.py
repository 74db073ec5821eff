"""The timeline as a picture (SVG): one lane a key, its phases in colour, the slots that its KMS signs below it. A lane
for the parent's DS, and one for the outages of each KSK's KMS.

A picture is laid out before it is drawn, so text is measured here: by the widest of the fonts that it may be shown in.
"""

from __future__ import annotations

from typing import NamedTuple

import drawsvg

from keys.rules.bars import DS, FOREIGN, OUTAGE, PARENT, PLANNED, SERVED, STORED, Row, Slot, Span, Timeline
from server.display.time_axis import moment, period, ticks

_WIDTH = 1200
_LEFT, _RIGHT, _TOP = 236, 28, 84
_MARGIN = 24
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
    "INTERNAL_FAILURE": "#e53935",
    "DELETING": "#8d6e63",
    DS: "#5c6bc0",
    FOREIGN: "#ad1457",
    OUTAGE: "#d84315",
}
_DARK = {"ready", "ACTIVE", "active", "ACTION_NEEDED", "INTERNAL_FAILURE", "DELETING", DS, FOREIGN, OUTAGE}
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
    ("being deleted", "DELETING"),
    ("DS at parent", DS),
    ("foreign DS", FOREIGN),
    ("KMS outage", OUTAGE),
)
_TICKS = 13
_EMS = {
    **dict.fromkeys("fijlrtI.,:;'|!()[] ", 0.42),
    **dict.fromkeys("ABCDEFGHKNOQRUXVYZ", 0.79),
    **dict.fromkeys("mwMW@%—…", 1.0),
}
"""Widths of letters of DejaVu Sans, the widest of the fonts, rounded up."""
_OTHER_EMS, _BOLD = 0.64, 1.1


class _Scale(NamedTuple):
    """Time to pixels."""

    since: int
    until: int

    def x(self, at: int) -> float:
        return _LEFT + (at - self.since) / max(1, self.until - self.since) * (_WIDTH - _LEFT - _RIGHT)


def render_svg(timeline: Timeline) -> str:
    """The picture as text."""
    bottom = _TOP + sum(_lane(row) for row in timeline.rows)
    height = bottom + 84
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
    _legend(drawing, height - 38)
    return str(drawing.as_svg())


def text_width(text: str, size: int, *, bold: bool = False) -> float:
    """Pixels that a text takes at most, in a font of that size."""
    ems = sum(_EMS.get(letter, _OTHER_EMS if letter <= "~" else 1.0) for letter in text)
    return ems * size * (_BOLD if bold else 1)


def _fitting(text: str, size: int, room: float, *, bold: bool = False) -> str:
    """The text, or as much of it as has room, and then "…"."""
    if text_width(text, size, bold=bold) <= room:
        return text
    while text and text_width(text + "…", size, bold=bold) > room:
        text = text[:-1]
    return text + "…"


def _lane(row: Row) -> int:
    return _BAR + _GAP + (_SLOT + 3 if row.slots else 0)


def _heading(drawing: drawsvg.Drawing, timeline: Timeline) -> None:
    when = period(timeline.since, timeline.until)
    room = _WIDTH - _MARGIN - _RIGHT - text_width(when, 12) - 20
    title = _text(_fitting(f"Keys of {timeline.zone}", 18, room, bold=True), _MARGIN, 32, 18, weight="600")
    title.append_title(timeline.zone)
    drawing.append(title)
    drawing.append(_text(when, _WIDTH - _RIGHT, 32, 12, _FAINT, anchor="end"))


def _axis(drawing: drawsvg.Drawing, timeline: Timeline, scale: _Scale, bottom: int) -> None:
    x = scale.x(min(max(timeline.now, scale.since), scale.until))
    drawing.append(drawsvg.Rectangle(x, _TOP - 10, scale.x(scale.until) - x, bottom - _TOP + 10, fill=_FUTURE))
    for at, label in ticks(scale.since, scale.until, _TICKS):
        x = scale.x(at)
        drawing.append(drawsvg.Line(x, _TOP - 10, x, bottom, stroke=_GRID, stroke_width=1))
        middle = min(x, _WIDTH - text_width(label, 11) / 2)
        drawing.append(_text(label, middle, bottom + 16, 11, _FAINT, anchor="middle"))


def _draw_row(drawing: drawsvg.Drawing, row: Row, scale: _Scale, y: int, now: int) -> None:
    beside = _beside(row, now)
    room = _LEFT - 14 - _MARGIN - (text_width(beside, 11) + 8 if beside else 0)
    name = _text(_fitting(row.name, 13, room, bold=True), _MARGIN, y + 14, 13, weight="600")
    name.append_title(row.name)
    drawing.append(name)
    if beside:
        drawing.append(_text(beside, _LEFT - 14, y + 14, 11, _FAINT, anchor="end"))
    for span in row.spans:
        drawing.append(_bar(span, scale, y, now))
        room = scale.x(span.end) - scale.x(span.start) - 12
        label = span.label or span.phase.replace("_", " ").lower()
        if text_width(label, 11) <= room:
            ink = "#ffffff" if span.phase in _DARK else _INK
            drawing.append(_text(label, scale.x(span.start) + 6, y + 14, 11, ink))
    for slot in row.slots:
        drawing.append(_cell(slot, scale, y + _BAR + 3))


def _beside(row: Row, now: int) -> str:
    """What stands beside the name of a row."""
    if not row.is_key:
        return "" if row.name == PARENT else "outage"
    if row.key_tag is not None:
        return f"tag {row.key_tag}"
    return "to come" if row.spans[0].start >= now else "gone"


def _bar(span: Span, scale: _Scale, y: int, now: int) -> drawsvg.Rectangle:
    x, width = scale.x(span.start), max(1.5, scale.x(span.end) - scale.x(span.start))
    ahead = {"fill_opacity": 0.75, "stroke_dasharray": "3 2"} if span.start >= now else {}
    bar = drawsvg.Rectangle(
        x, y, width, _BAR, rx=2.5, fill=_COLOURS[span.phase], stroke="#ffffff", stroke_width=0.8, **ahead
    )
    what = {DS: f"DS of {span.label}", FOREIGN: "foreign DS", OUTAGE: f"KMS outage ({span.label})"}
    bar.append_title(f"{what.get(span.phase, span.phase)}: {moment(span.start)} to {moment(span.end)}")
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
    cell.append_title(f"RRSIG {slot.state} for the slot from {moment(slot.start)} to {moment(slot.end)}")
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
    drawing.append(_text(f"valid until {moment(end)} without the KMS", at, _TOP - 36, 11, _END, anchor=anchor))


def _legend(drawing: drawsvg.Drawing, y: int) -> None:
    """Phases on one line, slots below it."""
    x = float(_MARGIN)
    for label, phase in _LEGEND:
        drawing.append(drawsvg.Rectangle(x, y - 9, 14, 10, rx=2, fill=_COLOURS[phase]))
        drawing.append(_text(label, x + 19, y, 11, _FAINT))
        x += 28 + text_width(label, 11)
    x = float(_MARGIN)
    for label, state in (("RRSIG served", SERVED), ("RRSIG stored", STORED), ("RRSIG to come", PLANNED)):
        edge = {"stroke": "#b7c3cd", "stroke_width": 0.8} if state == PLANNED else {}
        drawing.append(drawsvg.Rectangle(x, y + 10, 14, 8, fill=_SLOTS[state], **edge))
        drawing.append(_text(label, x + 19, y + 18, 11, _FAINT))
        x += 28 + text_width(label, 11)


def _text(
    text: str, x: float, y: float, size: int, fill: str = _INK, *, anchor: str = "start", weight: str = "400"
) -> drawsvg.Text:
    return drawsvg.Text(text, size, x, y, fill=fill, text_anchor=anchor, font_weight=weight)
