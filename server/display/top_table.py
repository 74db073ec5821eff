"""What `signwright top` shows of one report: a line of totals, and tables of what is most frequent."""

from __future__ import annotations

from collections.abc import Sequence

from rich.columns import Columns as Beside
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from server.display.columns import print_columns
from server.watching.recent_queries import TopReport, TopRow

TABLES = ("names", "clients", "zones", "types", "rcodes")
_TITLES = {"names": "name", "clients": "client", "zones": "zone", "types": "type", "rcodes": "RCODE"}
_PRINTED = 20
"""Rows of a table that is printed."""
_ALONE_ELSE = 6
"""Lines of a screen that a table does not have."""
_FEWEST, _LONGEST_KEY = 4, 48


def print_top(console: Console, report: TopReport, by: str | None) -> None:
    """Print a report where there is no terminal to draw on: in columns, which programs can take apart too."""
    console.print(_totals(report))
    for table in (by,) if by is not None else TABLES:
        console.print()
        rows = [
            (_rate(row.at_least, report), _share(row.at_least, report), row.key)
            for row in getattr(report, table)[:_PRINTED]
        ]
        print_columns(console, ("q/s", "share", _TITLES[table]), rows)


def top_screen(report: TopReport, by: str | None, height: int) -> RenderableType:
    """A report as a screen of so many lines."""
    room = max(_FEWEST, height - _ALONE_ELSE)
    if by is not None:
        return Group(_totals(report), Text(), _table(report, by, room))
    half = max(_FEWEST, (room - _ALONE_ELSE) // 2)
    above = Beside([_table(report, "names", half), _table(report, "clients", half)], padding=(0, 4))
    below = Beside([_table(report, name, half) for name in ("zones", "types", "rcodes")], padding=(0, 4))
    return Group(_totals(report), Text(), above, Text(), below)


def _table(report: TopReport, name: str, most: int) -> Table:
    rows: Sequence[TopRow] = getattr(report, name)
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("q/s", justify="right")
    table.add_column("share", justify="right")
    lost = max((row.at_most - row.at_least for row in rows), default=0)
    within = f" ± {_rate(lost, report)}" if lost else ""
    table.add_column(_TITLES[name] + within, max_width=_LONGEST_KEY, no_wrap=True, overflow="ellipsis")
    for row in rows[:most]:
        table.add_row(_rate(row.at_least, report), _share(row.at_least, report), Text(row.key))
    return table


def _totals(report: TopReport) -> Text:
    if not report.seconds:
        return Text("Counting begins.")
    parts = [f"{_rate(report.queries, report)} queries/s for {report.seconds:.0f} s"]
    if report.read < report.queries:
        parts.append(f"{100 * report.read / report.queries:.2g} % of them read")
    if report.queries:
        parts.append(f"{report.octets / report.queries:.0f} octets a response")
    parts += [f"{_rate(row.at_least, report)}/s by {row.key.upper()}" for row in report.transports]
    line = Text(", ".join(parts))
    for row in report.outcomes:
        if row.key != "sent":
            line.append(f", {_rate(row.at_least, report)}/s {row.key}", style="bold red")
    return line


def _rate(count: int, report: TopReport) -> str:
    rate = count / report.seconds if report.seconds else 0.0
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _share(count: int, report: TopReport) -> str:
    return f"{100 * count / report.queries:.1f} %" if report.queries else ""
