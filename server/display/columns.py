"""Rows in columns that break nothing: what stands in them is there to be copied, however narrow the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_BETWEEN = "  "
_NARROWEST = 20
"""Columns of the terminal that are left to a name, or to prose, in any case."""

Cell = str | Text


class Columns:
    """Each column is as wide as the widest of its cells; the last one is not filled up.

    Where rows would be wider than the terminal, either the last column is prose, and broken between words; or a first
    cell that is too long gets a line of its own, and the others stand below it, in their columns.
    """

    def __init__(
        self, console: Console, header: Sequence[str], rows: Iterable[Sequence[Cell]], *, prose: bool = False
    ) -> None:
        """Nothing is printed yet; `rows` are all that will be. `prose` says whether the last column is that."""
        self._console = console
        self._header = header
        self._prose = prose
        every = [header, *rows]
        self._widths = [max(cell_len(str(row[number])) for row in every) for number in range(len(header))]
        self.width = sum(self._widths) + len(_BETWEEN) * (len(header) - 1)
        """Of the widest row, if nothing is broken."""
        if not prose:
            self._widths[0] = min(self._widths[0], max(self._widths[0] + console.width - self.width, _NARROWEST))

    def print_header(self) -> None:
        """The names of the columns."""
        self.print_row([Text(name, style="bold") for name in self._header])

    def print_row(self, cells: Sequence[Cell]) -> None:
        """One row."""
        line = Text()
        for cell, width in zip(cells[:-1], self._widths[:-1], strict=True):
            line.append_text(cell if isinstance(cell, Text) else Text(cell))
            if cell_len(str(cell)) > width:
                self._console.print(line, soft_wrap=True)
                line = Text(" " * width)
            else:
                line.append(" " * (width - cell_len(str(cell))))
            line.append(_BETWEEN)
        last = cells[-1]
        if self._prose and isinstance(last, str):
            indent = cell_len(str(line))
            first, *others = broken(self._console, last, indent)
            self._print(line.append(first))
            for other in others:
                self._print(Text(" " * indent + other))
        else:
            self._print(line.append_text(last if isinstance(last, Text) else Text(last)))

    def _print(self, line: Text) -> None:
        line.rstrip()
        self._console.print(line, soft_wrap=True)


def print_columns(
    console: Console, header: Sequence[str], rows: Sequence[Sequence[Cell]], *, prose: bool = False
) -> None:
    """The header and the rows."""
    columns = Columns(console, header, rows, prose=prose)
    columns.print_header()
    for row in rows:
        columns.print_row(row)


def print_prose(console: Console, text: str, indent: int, style: str = "") -> None:
    """What nobody copies, broken between words."""
    for line in broken(console, text, indent):
        console.print(Text(" " * indent + line, style), soft_wrap=True)


def broken(console: Console, text: str, indent: int, more: int = 0) -> list[str]:
    """The lines of a text, to be indented, those after the first by `more`; a word that is wider stays whole."""
    width = max(console.width - indent, _NARROWEST + more)
    first, *others = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    if not others or not more:
        return [first, *others]
    rest = text[len(first) :].strip()
    return [first, *textwrap.wrap(rest, width - more, break_long_words=False, break_on_hyphens=False)]
