"""The command: `scripts/bench-commands` or `python -m bench.commands`."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.__main__ import BUILD, WIDTH
from bench.commands.figures import BEGIN, END, Costs, as_json, markdown, rows, table
from bench.commands.tasks import START, Cost, Task, check, cost, tasks
from bench.documents import replaced
from bench.process import Child
from bench.rounds import LOAD_CORE, SERVER_CORE, free_port, wait_until_ready
from bench.servers import SERVERS, Site
from bench.zone import write_zone

NAMES = 100
"""Names in the zone: none of these commands should depend on how many."""


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=21, show_default=True, help="Runs of each command.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all results here.")
@click.option(
    "--docs", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Renew the figures of performance.md in this folder.",
)  # fmt: skip
def main(rounds: int, json_file: Path | None, docs: Path | None) -> None:
    """Measure the commands that operators type, beside knotc and pdnsutil: all run in turns, each asking its server.

    Ends with 1 where one of ours takes more than eight times what Python alone takes.
    """
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if (os.cpu_count() or 1) < 2:
        raise click.ClickException("This needs two cores: one for the servers, one for the commands.")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    about: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": rounds,
        "python": sys.version.split()[0],
        "versions": {name: SERVERS[name].version() for name in START},
    }
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=BUILD, prefix="commands-") as directory, ExitStack() as children:
            costs = _measure(tasks(_started(Path(directory), children)), rounds, console)
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None
    found = rows(costs)
    console.print(table(found))
    if json_file:
        json_file.write_text(json.dumps(as_json(about, costs), indent=1) + "\n")
    if docs:
        page = docs / "performance.md"
        page.write_text(replaced(page.read_text(), markdown(about, found), BEGIN, END))
    if any(row.good is False for row in found):
        raise SystemExit(1)


def _started(directory: Path, children: ExitStack) -> dict[str, Path]:
    """Start the servers, all with the same small zone; the directory of each."""
    zone = write_zone(directory, NAMES)
    sites = {}
    for name, set_up in START.items():
        site = Site(directory / name, free_port(), zone)
        site.directory.mkdir()
        command = set_up(site)
        log = directory / f"{name}.log"
        child = children.enter_context(Child(command, core=SERVER_CORE, cwd=Path.cwd(), log=log))
        wait_until_ready(SERVERS[name], child, site.port)
        sites[name] = site.directory
    return sites


def _measure(found: list[Task], rounds: int, console: Console) -> Costs:
    costs: dict[str, dict[str, list[Cost]]] = {task.title: defaultdict(list) for task in found}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        shown = progress.add_task("commands run", total=rounds * len(found))
        for task in found:
            check(task)
        for _ in range(rounds):
            for task in found:
                for name, command in task.commands.items():
                    costs[task.title][name].append(cost(command))
                progress.advance(shown)
    return costs


if __name__ == "__main__":
    main(prog_name="scripts/bench-commands")
