"""From costs to figures: the table for people, the one for docs/performance.md, the file for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.table import Table

from bench.commands.tasks import TITLES, Cost

BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"
PYTHON = "python"
MOST = 8
"""Times the processor time of `python -c pass` that a command of ours may take."""

Costs = Mapping[str, Mapping[str, Sequence[Cost]]]
"""By task and program."""


@dataclass(frozen=True, slots=True)
class Row:
    """One task done by one program: medians in seconds, and their ratios to Python's in the same rounds."""

    task: str
    program: str
    cpu: float
    waited: float
    cpu_ratio: float
    waited_ratio: float

    @property
    def good(self) -> bool | None:
        """Whether our own is as quick as wanted; None for other programs."""
        return self.cpu_ratio <= MOST if self.program == "signwright" else None


def rows(costs: Costs) -> list[Row]:
    """One for each task and program."""
    found = []
    for task, by_program in costs.items():
        middle = {name: Cost(*map(median, zip(*taken, strict=True))) for name, taken in by_program.items()}
        python = middle[PYTHON]
        for name, (cpu, waited) in middle.items():
            found.append(Row(task, name, cpu, waited, cpu / python.cpu, waited / python.waited))
    return found


def table(found: Sequence[Row]) -> Table:
    """The figures for people at a terminal."""
    shown = Table(title="Commands", title_justify="left", title_style="bold")
    for heading in ("task", "program", "CPU ms", "× Python", "until its end, ms", "× Python"):
        shown.add_column(heading, justify="left" if heading in {"task", "program"} else "right", no_wrap=True)
    styles = {None: "", True: "green", False: "bold red"}
    for row in found:
        shown.add_row(row.task, TITLES[row.program], *_cells(row), style=styles[row.good])
    return shown


def markdown(about: Mapping[str, Any], found: Sequence[Row]) -> str:
    """The figures for the page: a line for each task, ratios alone, since only those mean anything elsewhere."""
    others = [name for name in TITLES if name != PYTHON]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    lines = ["", f"{about['started'][:10]} · CPython {about['python']} · {versions} · {about['rounds']} rounds.", ""]
    lines += ["| task | " + " | ".join(TITLES[name] for name in others) + " |", "|---" * (len(others) + 1) + "|"]
    for task in dict.fromkeys(row.task for row in found):
        by_program = {row.program: row for row in found if row.task == task}
        cells = [
            f"{row.cpu_ratio:.1f} / {row.waited_ratio:.1f}" if (row := by_program.get(name)) else "–" for name in others
        ]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n"


def as_json(about: Mapping[str, Any], costs: Costs) -> dict[str, Any]:
    """Everything raw, for a file."""
    raw = {
        task: {name: [each._asdict() for each in taken] for name, taken in found.items()}
        for task, found in costs.items()
    }
    return {"about": dict(about), "costs": raw}


def _cells(row: Row) -> list[str]:
    return [
        f"{row.cpu * 1000:.1f}",
        f"{row.cpu_ratio:.2f}",
        f"{row.waited * 1000:.1f}",
        f"{row.waited_ratio:.2f}",
    ]
