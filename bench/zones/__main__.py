"""The command: `scripts/bench-zones` or `python -m bench.zones`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.api.served import WrongFigureError
from bench.documents import replaced
from bench.rounds import LOAD_CORE
from bench.zones import many
from bench.zones.figures import BEGIN, END, as_json, markdown, of_many, table

BUILD = Path(__file__).parents[2] / "build" / "bench"
WIDTH = 120
"""Columns of the table where no terminal says how many it has."""
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--zones", type=click.IntRange(2, 100_000), default=10_000, show_default=True, help="Zones to serve.")
@click.option("--json", "json_file", type=FILE, help="Write all results here.")
@click.option("--docs", type=FOLDER, help="Renew the figures in performance.md of this folder.")
def main(zones: int, json_file: Path | None, docs: Path | None) -> None:
    """Measure many small zones: start, memory, a refresh of all. Ends with 1 where a figure falls short."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if (os.cpu_count() or 1) < 2:
        raise click.ClickException("This needs two cores: one for the server, one for the KMS.")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    about = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load at the start": os.getloadavg(),
        "zones": zones,
    }
    BUILD.mkdir(parents=True, exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    try:
        with (
            tempfile.TemporaryDirectory(dir=BUILD, prefix="zones-") as folder,
            Progress(*columns, console=console, refresh_per_second=2) as progress,
        ):
            measured = many.measure(Path(folder), zones, _Steps(progress))
    except (RuntimeError, WrongFigureError) as error:
        raise click.ClickException(str(error)) from None
    about["load at the end"] = os.getloadavg()
    figures = of_many(measured)
    console.print(table(figures))
    if json_file:
        json_file.write_text(json.dumps(as_json(about, figures, measured), indent=1) + "\n")
    if docs:
        page = docs / "performance.md"
        page.write_text(replaced(page.read_text(), markdown(about, figures), BEGIN, END))
    if any(figure.good is False for figure in figures):
        raise SystemExit(1)


class _Steps:
    """A bar for each step; the one before is done when the next begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._what = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        if what != self._what:
            self.finish()
            self._what, self._task = what, self._progress.add_task(what, total=total)
        assert self._task is not None
        self._progress.update(self._task, completed=done)

    def finish(self) -> None:
        """The last step is done."""
        if self._task is not None:
            total = self._progress.tasks[self._progress.task_ids.index(self._task)].total
            self._progress.update(self._task, completed=total)


if __name__ == "__main__":
    for tool in ("taskset", "setpriv"):
        if not shutil.which(tool):
            raise SystemExit(f"scripts/bench-zones needs {tool} (Linux, util-linux).")
    main(prog_name="scripts/bench-zones")
