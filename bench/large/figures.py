"""From starts to figures: what one zone of a million RRsets costs, and what is wanted of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, NamedTuple

from rich.table import Table

from bench.large.starts import TINY, Start
from bench.servers import SERVERS

BEGIN, END = "<!-- large: begin -->", "<!-- large: end -->"
MOST_TIMES_KNOT = 10.0
MOST_AGAIN = 2.0  # seconds
MOST_TIMES_MEMORY = 2.0


class Row(NamedTuple):
    """One server, from nothing or again: medians."""

    server: str
    how: str
    seconds: float
    lowest: float
    highest: float
    cpu: float
    an_rrset: float
    """Octets of memory for each RRset, over those of the same server with next to none."""
    anonymous: float
    """Of these, in no file."""


class Figure(NamedTuple):
    """What is wanted of one, and what it is; None where it can't be told."""

    what: str
    told: str
    wanted: str
    good: bool


def rows(measured: Sequence[Start], rrsets: int) -> list[Row]:
    """A row for each server and way to start."""
    kinds = dict.fromkeys((start.server, start.how) for start in measured)
    return [_row(server, how, measured, rrsets) for server, how in kinds]


def _row(server: str, how: str, measured: Sequence[Start], rrsets: int) -> Row:
    of_server = [start for start in measured if start.server == server and start.how == how]
    large = [start for start in of_server if start.names != TINY]
    tiny = [start for start in of_server if start.names == TINY]
    times = [start.seconds for start in large]

    def each(of: Callable[[Start], int]) -> float:
        return (median(map(of, large)) - median(map(of, tiny))) / rrsets

    return Row(
        server,
        how,
        median(times),
        min(times),
        max(times),
        median(start.cpu for start in large),
        each(lambda start: start.resident),
        each(lambda start: start.anonymous),
    )


def figures(found: Sequence[Row]) -> list[Figure]:
    """The targets that were measured."""
    known = {(row.server, row.how): row for row in found}
    cold, again, knot = (known.get(key) for key in (("signwright", "cold"), ("signwright", "again"), ("knot", "cold")))
    made = []
    if cold is not None and knot is not None:
        times = cold.seconds / knot.seconds
        told = f"{cold.seconds:.2f} s / {knot.seconds:.2f} s = {times:.1f}"
        made.append(
            Figure("loaded for the first time, × Knot", told, f"≤ {MOST_TIMES_KNOT:g}", times <= MOST_TIMES_KNOT)
        )
    if again is not None:
        told = f"{again.seconds:.2f} s"
        made.append(Figure("started again, from the image", told, f"≤ {MOST_AGAIN:g} s", again.seconds <= MOST_AGAIN))
    for row, what in ((cold, "loaded for the first time"), (again, "started again")):
        if row is not None and knot is not None:
            times = row.an_rrset / knot.an_rrset
            told = f"{row.an_rrset:.0f} / {knot.an_rrset:.0f} octets = {times:.2f}"
            good = times <= MOST_TIMES_MEMORY
            made.append(Figure(f"memory an RRset, {what}, × Knot", told, f"≤ {MOST_TIMES_MEMORY:g}", good))
    return made


def tables(found: Sequence[Row]) -> tuple[Table, Table]:
    """All that was measured, and the targets, for people."""
    shown = Table(title="One large zone", title_justify="left", title_style="bold")
    for number, heading in enumerate(_HEADINGS):
        shown.add_column(heading, justify="left" if number < 2 else "right", no_wrap=True)
    for row in found:
        shown.add_row(*_cells(row))
    targets = Table(title="Targets", title_justify="left", title_style="bold")
    for heading in ("", "measured", "wanted"):
        targets.add_column(heading, no_wrap=True)
    for figure in figures(found):
        targets.add_row(figure.what, figure.told, figure.wanted, style="green" if figure.good else "red")
    return shown, targets


_HEADINGS = ("server", "start", "until it answers", "spread", "CPU time", "memory an RRset", "in no file")


def _cells(row: Row) -> list[str]:
    return [
        SERVERS[row.server].title,
        row.how,
        f"{row.seconds:.2f} s",
        f"{row.lowest:.2f} to {row.highest:.2f}",
        f"{row.cpu:.2f} s",
        f"{row.an_rrset:.0f} octets",
        f"{max(row.anonymous, 0):.0f}",
    ]


def markdown(about: Mapping[str, Any], found: Sequence[Row]) -> str:
    """The same for a document."""
    versions = ", ".join(f"{SERVERS[name].title.partition(',')[0]} {v}" for name, v in about["versions"].items())
    lines = ["", f"{about['started'][:10]} · {about['rrsets']:,} RRsets · {about['rounds']} rounds · {versions}.", ""]
    lines += ["| target | measured | wanted | |", "|---|---|---|---|"]
    for figure in figures(found):
        verdict = "reached" if figure.good else "**short**"
        lines.append(f"| {figure.what} | {figure.told} | {figure.wanted} | {verdict} |")
    lines += ["", f"| {' | '.join(_HEADINGS)} |", "|---|---|" + "---:|" * (len(_HEADINGS) - 2)]
    lines += [f"| {' | '.join(_cells(row))} |" for row in found]
    return "\n".join(lines) + "\n\n"


def as_json(about: Mapping[str, Any], measured: Sequence[Start], found: Sequence[Row]) -> dict[str, Any]:
    """Everything raw and derived, for a file."""
    return {
        "about": dict(about),
        "figures": [figure._asdict() for figure in figures(found)],
        "rows": [row._asdict() for row in found],
        "starts": [asdict(start) for start in measured],
    }
