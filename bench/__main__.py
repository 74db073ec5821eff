"""The command: `scripts/bench` or `python -m bench`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.check import WrongAnswerError
from bench.limit import measure_limit
from bench.load import LoadOptions
from bench.report import as_json, faults, rows, table
from bench.rounds import LOAD_CORE, SERVER_CORE, Bench, Measured, Running
from bench.servers import SERVERS, Server
from bench.workloads import WORKLOADS, Workload
from bench.zone import write_zone

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "bench"
WIDTH = 120
"""Columns of the table where no terminal says how many it has."""
SAMPLE = 64
"""Answers checked of each server under each workload."""


class Names(click.ParamType[list[str]]):
    """Names of a table's rows, separated by commas."""

    name = "NAME,…"

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        names = value if isinstance(value, list) else value.split(",")
        for name in names:
            if name not in self.known:
                self.fail(f"{name!r} is none of {', '.join(self.known)}", param, ctx)
        return names


@click.command()
@click.option(
    "--servers", type=Names(list(SERVERS)), default=",".join(SERVERS), help="Which servers.", show_default=True
)
@click.option("--workloads", type=Names(list(WORKLOADS)), default="hot,nxdomain", help="Of: " + ", ".join(WORKLOADS))
@click.option("--rounds", type=click.IntRange(1, 1000), help="Rounds of each server that must count (5).")
@click.option("--seconds", type=click.FloatRange(0.2, 600), help="Measured time of a round (3).")
@click.option(
    "--warm", type=click.FloatRange(0, 600), default=0.5, help="Load before that, in seconds.", show_default=True
)
@click.option("--quick", is_flag=True, help="3 rounds of 1 second, where not told otherwise.")
@click.option("--names", type=click.IntRange(1, 100_000), default=10_000, help="Names in the zone.", show_default=True)
@click.option("--window", type=click.IntRange(4, 1024), default=192, help="Outstanding queries.", show_default=True)
@click.option("--seed", type=int, default=1, help="Chooses the names that are asked for.", show_default=True)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all results here.")
@click.option("--svg", "svg_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the table here.")
def main(
    servers: list[str],
    workloads: list[str],
    rounds: int | None,
    seconds: float | None,
    warm: float,
    quick: bool,
    names: int,
    window: int,
    seed: int,
    json_file: Path | None,
    svg_file: Path | None,
) -> None:
    """Measure Signwright beside other servers: the server on one core, the load on the other, rounds interleaved."""
    console = Console(record=svg_file is not None, width=None if sys.stdout.isatty() else WIDTH)
    if (os.cpu_count() or 1) < 2:
        raise click.ClickException("This needs two cores: one for the server, one for the load.")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, _interrupt)
    rounds, seconds = rounds or (3 if quick else 5), seconds or (1.0 if quick else 3.0)
    options = LoadOptions(warm, seconds, window - window % 4)
    chosen, asked = [SERVERS[name] for name in servers], [WORKLOADS[name] for name in workloads]
    BUILD.mkdir(parents=True, exist_ok=True)
    started = datetime.now(UTC)
    try:
        with tempfile.TemporaryDirectory(dir=BUILD, prefix="run-") as directory:
            zone = write_zone(Path(directory), names)
            bench = Bench(Path(directory), BUILD / "load", zone, options, seed)
            measured = _measure(bench, chosen, asked, rounds, console)
    except (RuntimeError, WrongAnswerError) as error:
        raise click.ClickException(str(error)) from None
    for workload in asked:
        of_workload = [row for row in rows(measured.rounds) if row.workload == workload.name]
        console.print(table(workload.name, of_workload, measured.limits))
    if json_file:
        about = _about(started, chosen, options, names, seed)
        json_file.write_text(json.dumps(as_json(about, measured.rounds, measured.limits), indent=1) + "\n")
    if svg_file:
        console.save_svg(str(svg_file), title="scripts/bench")


def _measure(
    bench: Bench, servers: Sequence[Server], workloads: Sequence[Workload], rounds: int, console: Console
) -> Measured:
    """Start all servers, check their answers, and measure until enough rounds of each count.

    Of a server whose rounds don't count, twice as many are measured at most.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    steps = len(servers) * (1 + len(workloads) * (rounds + 2))
    measured = Measured([], [])
    with Progress(*columns, console=console, transient=True, refresh_per_second=2) as progress:
        task = progress.add_task("", total=steps)

        def step(text: str) -> None:
            progress.update(task, advance=1, description=text)
            progress.refresh()

        with bench.start(servers, lambda title: step(f"starting {title}")) as running:
            for workload in workloads:
                _check(bench, running, workload, console, step)
                queries = bench.write_queries(workload)
                missing = dict.fromkeys((each.server.name for each in running), rounds)
                for number in range(2 * rounds + 1):
                    left = [each for each in running if missing[each.server.name]]
                    if number > rounds:
                        progress.update(task, total=(steps := steps + len(left)))
                    if workload.fresh and left and number:
                        measured.limits.append(measure_limit(SERVER_CORE, min(1.0, bench.options.seconds)))
                    for each in left:
                        step(f"{workload.name}: {each.server.title}")
                        result = bench.round(each, workload, number, queries)
                        if number == 0:  # it only warms the caches
                            continue
                        measured.rounds.append(result)
                        missing[each.server.name] -= not faults(result)
    return measured


def _check(
    bench: Bench, running: Sequence[Running], workload: Workload, console: Console, step: Callable[[str], None]
) -> None:
    for each in running:
        step(f"{workload.name}: checking {each.server.title}")
        checked = bench.check(each, workload, SAMPLE)
        sizes = f"{checked.smallest} to {checked.largest} octets"
        seen = f"{checked.answers} answers right, {checked.signatures} signatures verified, {sizes}"
        console.print(f"[green]✓[/] {workload.name}: {each.server.title}: {seen}")


def _about(started: datetime, servers: Sequence[Server], options: LoadOptions, names: int, seed: int) -> dict[str, Any]:
    """What one must know to judge or repeat a run."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "started": started.isoformat(timespec="seconds"),
        "cpu": cpu.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "zone": {"names": names, "seed": seed},
        "seconds": options.seconds,
        "warm": options.warm,
        "window": options.window,
        "versions": {server.name: server.version() for server in servers},
    }


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the run as Ctrl-C does: with all servers ended."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    for tool in ("taskset", "setpriv"):
        if not shutil.which(tool):
            raise SystemExit(f"scripts/bench needs {tool} (Linux, util-linux).")
    main(prog_name="scripts/bench")
