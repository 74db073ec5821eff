"""The figures as documents: Markdown tables between two marks of docs/performance.md, and the picture beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.plot import bound_text, figure, render_svg, value_text
from bench.report import Row, rows
from bench.rounds import Measured
from bench.servers import SERVERS
from bench.targets import Reached, reached
from bench.workloads import WORKLOADS, Load

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
PICTURE = "performance.svg"


def write_documents(folder: Path, about: Mapping[str, Any], measured: Measured) -> None:
    """Renew the picture, and the part of performance.md between its marks. Raises `ValueError` without them."""
    page = folder / "performance.md"
    results = reached(measured.rounds, measured.limits)
    subtitle = summary(about)
    text = replaced(page.read_text(), markdown(subtitle, results, rows(measured.rounds)))
    (folder / PICTURE).write_text(render_svg(results, subtitle) + "\n")
    page.write_text(text)


def targets_table(results: Sequence[Reached]) -> Table:
    """The targets for people at a terminal."""
    shown = Table(title="Targets", title_justify="left", title_style="bold")
    for heading in ("workload", "over", "measured", "rounds' spread", "target"):
        shown.add_column(heading, justify="left" if heading in {"workload", "over"} else "right", no_wrap=True)
    for result in results:
        spread = "–" if result.value is None else f"{figure(result.lowest)} to {figure(result.highest)}"
        over = f"× {result.target.over}" if result.target.reference else result.target.over
        style = "dim" if result.value is None else "green" if result.is_reached else "red"
        shown.add_row(result.target.title, over, value_text(result), spread, bound_text(result), style=style)
    return shown


def summary(about: Mapping[str, Any]) -> str:
    """What one must know of a run, in a line."""
    versions = about["versions"]
    names = {"nsd": "NSD", "knot": "Knot", "bind": "BIND", "powerdns": "PowerDNS"}
    known = ", ".join(f"{title} {versions[name]}" for name, title in names.items() if name in versions)
    rounds = f"{about['rounds']} rounds of {about['seconds']:g} s"
    return f"{about['started'][:10]} · {about['cpu']} · CPython {about['python']} · {known} · {rounds}"


def replaced(page: str, figures: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with the text between its marks replaced. Raises `ValueError` where they are missing."""
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"no {begin} … {end} in the page")
    return f"{before}{begin}\n{figures}{end}{after}"


def markdown(subtitle: str, results: Sequence[Reached], measured: Sequence[Row]) -> str:
    """The tables: first the targets, then all that was measured."""
    lines = ["", subtitle + ".", "", f"![Each target and how far it is reached]({PICTURE})", ""]
    lines += ["| workload | over | measured | rounds' spread | target | |", "|---|---|---|---|---|---|"]
    for result in results:
        target = result.target
        spread = "–" if result.value is None else f"{figure(result.lowest)} to {figure(result.highest)}"
        verdict = "reached" if result.is_reached else "**short**"
        over = f"× {target.over}" if target.reference else target.over
        lines.append(
            f"| {target.title} | {over} | {value_text(result)} | {spread} | {bound_text(result)} | {verdict} |"
        )
    for workload in dict.fromkeys(row.workload for row in measured):
        lines += ["", *_of_workload(workload, [row for row in measured if row.workload == workload])]
    return "\n".join(lines) + "\n\n"


def _of_workload(workload: str, measured: Sequence[Row]) -> list[str]:
    load = WORKLOADS[workload].load
    latencies = load is Load.PACED
    title = WORKLOADS[workload].title
    heading = "| server | answers/s | spread | × NSD | CPU µs | busy | rounds |"
    lines = [f"**{title[0].upper()}{title[1:]}**", "", heading + (" p50 µs | p99 µs |" if latencies else "")]
    lines.append("|---" * (9 if latencies else 7) + "|")
    for row in measured:
        half = (row.highest - row.lowest) / 2 / row.per_second if row.per_second else 0.0
        ratio = row.ratios.get("nsd")
        cells = [
            SERVERS[row.server].title,
            f"{row.per_second:,.0f}" + ("" if row.counts else " (does not count)"),
            f"± {half:.0%}",
            "–" if ratio is None else f"{ratio:.2f}",
            f"{row.cpu_us:.2f}",
            f"{row.busy:.0%}",
            f"{row.counted}/{row.rounds}",
        ]
        cells += [figure(row.p50_us), figure(row.p99_us)] if latencies else []
        lines.append("| " + " | ".join(cells) + " |")
    return lines
