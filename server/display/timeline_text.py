"""The timeline in a terminal: one line a key, its phases as blocks in colour, each block a period of the same length.

Without colour the blocks differ too, and where the terminal takes ASCII only, they are ASCII.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from keys.rules.bars import DS, FOREIGN, OUTAGE, Row, Span, Timeline
from server.display.columns import broken
from server.display.time_axis import moment, period, ticks

_NARROWEST: Final = 20
"""Blocks of a line in any case."""
_LONGEST_NAME: Final = 20
_BETWEEN: Final = "  "
_PER_TICK: Final = 7


class _Look(NamedTuple):
    block: str
    ascii_block: str
    style: str
    word: str


_UNUSED = _Look("·", ".", "bright_black", "not published")
_PUBLISHED = _Look("░", "+", "bright_blue", "published")
_READY = _Look("▒", "*", "blue", "ready")
_ACTIVE = _Look("█", "#", "green", "active")
_RETIRED = _Look("▓", "%", "yellow", "retired")
_INACTIVE = _Look("-", "-", "bright_black", "inactive")
_BROKEN = _Look("!", "!", "bold red", "action needed")
_LOOKS: Final = {
    "made": _UNUSED,
    "generated": _UNUSED,
    "published": _PUBLISHED,
    "ready": _READY,
    "active": _ACTIVE,
    "ACTIVE": _ACTIVE,
    "retired": _RETIRED,
    "INACTIVE": _INACTIVE,
    "DELETING": _Look("~", "~", "bright_black", "being deleted"),
    "ACTION_NEEDED": _BROKEN,
    "INTERNAL_FAILURE": _BROKEN,
    DS: _Look("=", "=", "magenta", "DS at parent"),
    FOREIGN: _Look("?", "?", "bold red", "foreign DS"),
    OUTAGE: _Look("x", "x", "bold red", "KMS outage"),
}
_NEVER_HIDDEN: Final = {"ACTION_NEEDED", "INTERNAL_FAILURE", FOREIGN, OUTAGE}
"""Phases that get a block however short they are."""


class _Scale(NamedTuple):
    """Time to blocks, of which there are `width`."""

    since: int
    until: int
    width: int

    def column(self, at: int) -> int:
        """The block that holds a time."""
        column = (at - self.since) * self.width // max(1, self.until - self.since)
        return min(max(column, 0), self.width - 1)

    def begin(self, column: int) -> float:
        return self.since + column * (self.until - self.since) / self.width


def print_timeline(console: Console, timeline: Timeline) -> None:
    """As wide as the console, of which no line is broken."""
    unicode = console.encoding.lower().startswith("utf")
    names = [_cut(row.name, _LONGEST_NAME, unicode=unicode) for row in timeline.rows]
    beside = [_beside(row, timeline.now) for row in timeline.rows]
    left = [max([0, *map(cell_len, texts)]) for texts in (names, beside)]
    indent = sum(left) + 2 * len(_BETWEEN)
    scale = _Scale(timeline.since, timeline.until, max(console.width - indent, _NARROWEST))
    _print_heading(console, timeline, indent + scale.width, unicode=unicode)
    _print(console, Text(" " * indent + _tick_line(scale), "bright_black"))
    for row, name, word in zip(timeline.rows, names, beside, strict=True):
        line = Text.assemble((name, "bold"), " " * (left[0] - cell_len(name)) + _BETWEEN, (word, "bright_black"))
        line.append(" " * (left[1] - len(word)) + _BETWEEN)
        _print(console, line.append_text(_blocks(row, scale, timeline.now, unicode=unicode)))
    _print_moments(console, timeline, scale, indent, unicode=unicode)
    _print_legend(console, timeline.rows, unicode=unicode)


def _print(console: Console, line: Text) -> None:
    line.rstrip()
    console.print(line, soft_wrap=True)


def _cut(text: str, most: int, *, unicode: bool) -> str:
    end = "…" if unicode else "..."
    return text if len(text) <= most else text[: most - len(end)] + end


def _beside(row: Row, now: int) -> str:
    if not row.is_key:
        return ""
    if row.key_tag is not None:
        return str(row.key_tag)
    return "to come" if row.spans[0].start >= now else "gone"


def _print_heading(console: Console, timeline: Timeline, width: int, *, unicode: bool) -> None:
    title, when = f"Keys of {timeline.zone}", period(timeline.since, timeline.until)
    if len(title) + 2 + len(when) <= width:
        _print(console, Text.assemble((title, "bold"), " " * (width - len(title) - len(when)), when))
        return
    _print(console, Text(_cut(title, width, unicode=unicode), "bold"))
    _print(console, Text(when))


def _tick_line(scale: _Scale) -> str:
    """Labels, each of which begins where its time is; one that would meet the one before is left out."""
    line = ""
    for at, label in ticks(scale.since, scale.until, max(scale.width // _PER_TICK, 2)):
        column = scale.column(at)
        if column >= len(line) + bool(line) and column + len(label) <= scale.width:
            line = line.ljust(column) + label
    return line


def _blocks(row: Row, scale: _Scale, now: int, *, unicode: bool) -> Text:
    shown = _spans_of_blocks(row.spans, scale)
    letters = [_block(span, unicode=unicode) for span in shown]
    for span in row.spans:
        columns = [column for column, other in enumerate(shown) if other is span]
        if span.label and len(span.label) + 2 <= len(columns):
            letters[columns[1] : columns[1] + len(span.label)] = span.label
    text = Text()
    for column, (letter, taken) in enumerate(zip(letters, shown, strict=True)):
        style = _LOOKS[taken.phase].style if taken is not None else ""
        text.append(letter, f"dim {style}" if style and scale.begin(column) >= now else style)
    return text


def _spans_of_blocks(spans: Sequence[Span], scale: _Scale) -> list[Span | None]:
    """For each block the span that takes most of it, if any does."""
    shown: list[Span | None] = [None] * scale.width
    most = [0.0] * scale.width
    for span in spans:
        for column in range(scale.column(span.start), scale.column(span.end - 1) + 1):
            share = min(span.end, scale.begin(column + 1)) - max(span.start, scale.begin(column))
            if share > most[column]:
                shown[column], most[column] = span, share
    for span in spans:
        if span.phase in _NEVER_HIDDEN and not any(other is span for other in shown):
            shown[scale.column(span.start)] = span
    return shown


def _block(span: Span | None, *, unicode: bool) -> str:
    if span is None:
        return " "
    return _LOOKS[span.phase].block if unicode else _LOOKS[span.phase].ascii_block


def _print_moments(console: Console, timeline: Timeline, scale: _Scale, indent: int, *, unicode: bool) -> None:
    """Now, and the end of the runway, each on a line of its own."""
    mark = "▲" if unicode else "^"
    told = [(timeline.now, "now", "bold")]
    end = timeline.valid_until
    if end is not None and scale.since <= end < scale.until:
        told.append((end, f"valid until {moment(end)} without the KMS", "red"))
    for at, words, style in told:
        column = indent + scale.column(at)
        if column + 2 + len(words) <= indent + scale.width:
            _print(console, Text(" " * column + f"{mark} {words}", style))
        elif column > len(words):
            _print(console, Text(f"{words} {mark}".rjust(column + 1), style))
        else:
            _print(console, Text(" " * column + mark, style))
            _print(console, Text(words, style))


def _print_legend(console: Console, rows: Sequence[Row], *, unicode: bool) -> None:
    """What the blocks mean that occur."""
    occur = {span.phase for row in rows for span in row.spans}
    looks = dict.fromkeys(look for phase, look in _LOOKS.items() if phase in occur)
    parts = [f"{look.block if unicode else look.ascii_block} {look.word}".replace(" ", "\xa0") for look in looks]
    for line in broken(console, "  ".join(parts), 0) if parts else ():
        _print(console, Text(line.replace("\xa0", " "), "bright_black"))
