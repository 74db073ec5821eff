"""The targets as a picture (SVG): how far each is reached, on one scale, with the spread of the rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import drawsvg

from bench.targets import Reached

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 1060, 400, 130, 78, 26
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_INK, _FAINT, _GRID = "#1f2933", "#66727f", "#e3e8ed"
_REACHED, _SHORT = "#2e7d32", "#c62828"
_LEAST, _MOST = 0.4, 10.0
_TICKS = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


def render_svg(results: Sequence[Reached], subtitle: str) -> str:
    """The picture as text. To the right of the line is better: where less is, the scale is turned round."""
    height = _TOP + _ROW * len(results) + 44
    drawing = drawsvg.Drawing(_WIDTH, height, font_family=_FONT)
    drawing.append(drawsvg.Rectangle(0, 0, _WIDTH, height, fill="#ffffff"))
    drawing.append(_text("Signwright beside its targets", 24, 32, 18, weight="600"))
    drawing.append(_text(subtitle, 24, 52, 12, _FAINT))
    bottom = _TOP + _ROW * len(results)
    for tick in _TICKS:
        x = _x(tick)
        line = _INK if tick == 1 else _GRID
        drawing.append(drawsvg.Line(x, _TOP - 8, x, bottom, stroke=line, stroke_width=1.2 if tick == 1 else 1))
        drawing.append(_text(f"{tick:g}", x, bottom + 16, 11, _FAINT, anchor="middle"))
    drawing.append(_text("multiples of the target: right of the line it is reached", _x(1), bottom + 34, 11, _FAINT))
    for number, result in enumerate(results):
        _draw(drawing, result, _TOP + _ROW * number + _ROW // 2)
    return str(drawing.as_svg())


def value_text(result: Reached) -> str:
    """The value for people: a ratio, or the measure itself with its unit."""
    if result.value is None:
        return "–"
    return figure(result.value) + ("" if result.target.reference else result.target.measure.unit)


def bound_text(result: Reached) -> str:
    """The bound likewise."""
    target = result.target
    return f"{'≤' if target.at_most else '≥'} {figure(target.bound)}" + (
        "" if target.reference else target.measure.unit
    )


def figure(value: float) -> str:
    """Three digits or so."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _draw(drawing: drawsvg.Drawing, result: Reached, y: int) -> None:
    target = result.target
    title = f"{target.title} · {'× ' if target.reference else ''}{target.over}"
    drawing.append(_text(title, _LEFT - 16, y + 4, 12, anchor="end"))
    if result.value is None:
        drawing.append(_text("no round counts", _x(1) + 8, y + 4, 11, _SHORT))
        return
    colour = _REACHED if result.is_reached else _SHORT
    ends = sorted(_x(_multiple(result, value)) for value in (result.lowest, result.highest))
    drawing.append(drawsvg.Line(ends[0], y, ends[1], y, stroke=colour, stroke_width=2, stroke_opacity=0.5))
    dot = drawsvg.Circle(_x(_multiple(result, result.value)), y, 5, fill=colour)
    dot.append_title(f"{value_text(result)}, {figure(result.lowest)} to {figure(result.highest)}")
    drawing.append(dot)
    text = f"{value_text(result)}  ({bound_text(result)})"
    drawing.append(_text(text, _WIDTH - 24, y + 4, 12, colour, anchor="end"))


def _multiple(result: Reached, value: float) -> float:
    if not value:
        return _MOST if result.target.at_most else _LEAST
    return result.target.bound / value if result.target.at_most else value / result.target.bound


def _x(multiple: float) -> float:
    share = math.log(min(max(multiple, _LEAST), _MOST) / _LEAST) / math.log(_MOST / _LEAST)
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT - 40)


def _text(
    text: str, x: float, y: float, size: int, fill: str = _INK, *, anchor: str = "start", weight: str = "400"
) -> drawsvg.Text:
    return drawsvg.Text(text, size, x, y, fill=fill, text_anchor=anchor, font_weight=weight)
