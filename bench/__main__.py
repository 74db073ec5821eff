"""The command: `scripts/bench` or `python -m bench`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import click
from rich.console import Console

from bench.check import WrongAnswerError
from bench.documents import targets_table, write_documents
from bench.load import LoadOptions
from bench.process import prefer
from bench.report import as_json, rows, table
from bench.rounds import LOAD_CORE, Bench
from bench.run import Amount, Plan, measure
from bench.servers import SERVERS
from bench.targets import reached
from bench.workloads import WORKLOADS
from bench.zone import write_zone


class Usual(NamedTuple):
    """How much is measured where nothing else is said; times in seconds."""

    rounds: int
    seconds: float
    warm: float
    sample: int
    """Answers checked of each server under each workload."""


ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "bench"
WIDTH = 136
"""Columns of the table where no terminal says how many it has."""
QUICK = Usual(rounds=2, seconds=0.5, warm=0.1, sample=16)
THOROUGH = Usual(rounds=5, seconds=3.0, warm=0.5, sample=64)


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
@click.option("--servers", type=Names(list(SERVERS)), help="Of: " + ", ".join(SERVERS) + " (those of the targets).")
@click.option("--workloads", type=Names(list(WORKLOADS)), help="Of: " + ", ".join(WORKLOADS) + " (all).")
@click.option("--rounds", type=click.IntRange(1, 1000), help="Rounds of each server that must count (5).")
@click.option("--seconds", type=click.FloatRange(0.2, 600), help="Measured time of a round (3).")
@click.option("--warm", type=click.FloatRange(0, 600), help="Load before that, in seconds (0.5).")
@click.option(
    "--quick", is_flag=True, help="All in about two minutes: 2 rounds of 0.5 seconds, where not told otherwise."
)
@click.option("--prefer", "preferred", is_flag=True, help="Put servers and load before all other programs (root).")
@click.option("--names", type=click.IntRange(1, 100_000), default=10_000, help="Names in the zone.", show_default=True)
@click.option("--window", type=click.IntRange(4, 1024), default=192, help="Outstanding queries.", show_default=True)
@click.option("--seed", type=int, default=1, help="Chooses the names that are asked for.", show_default=True)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all results here.")
@click.option("--svg", "svg_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the tables here.")
@click.option(
    "--docs", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Renew the figures of performance.md and performance.svg in this folder.",
)  # fmt: skip
def main(
    servers: list[str] | None,
    workloads: list[str] | None,
    rounds: int | None,
    seconds: float | None,
    warm: float | None,
    quick: bool,
    preferred: bool,
    names: int,
    window: int,
    seed: int,
    json_file: Path | None,
    svg_file: Path | None,
    docs: Path | None,
) -> None:
    """Measure Signwright beside other servers: the server on one core, the load on the other, rounds interleaved."""
    console = Console(record=svg_file is not None, width=None if sys.stdout.isatty() else WIDTH)
    if (os.cpu_count() or 1) < 2:
        raise click.ClickException("This needs two cores: one for the server, one for the load.")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, _interrupt)
    if preferred:
        try:
            prefer()
        except OSError as error:
            raise click.ClickException(f"--prefer needs root, and a kernel with autogroups: {error}") from None
    usual = QUICK if quick else THOROUGH
    rounds = rounds or usual.rounds
    options = LoadOptions(usual.warm if warm is None else warm, seconds or usual.seconds, window)
    plan = {WORKLOADS[name]: servers or WORKLOADS[name].servers for name in workloads or WORKLOADS}
    BUILD.mkdir(parents=True, exist_ok=True)
    started = datetime.now(UTC)
    try:
        with tempfile.TemporaryDirectory(dir=BUILD, prefix="run-") as directory:
            bench = Bench(Path(directory), BUILD / "load", write_zone(Path(directory), names), options, seed, preferred)
            measured = measure(bench, plan, Amount(rounds, usual.sample), console)
    except (RuntimeError, WrongAnswerError) as error:
        raise click.ClickException(str(error)) from None
    for workload in plan:
        of_workload = [row for row in rows(measured.rounds) if row.workload == workload.name]
        console.print(table(workload.name, of_workload, measured.limits))
    console.print(targets_table(reached(measured.rounds, measured.limits)))
    about = _about(started, plan, options, names, seed) | {"rounds": rounds, "preferred": preferred}
    if json_file:
        json_file.write_text(json.dumps(as_json(about, measured.rounds, measured.limits), indent=1) + "\n")
    if svg_file:
        console.save_svg(str(svg_file), title="scripts/bench")
    if docs:
        write_documents(docs, about, measured)


def _about(started: datetime, plan: Plan, options: LoadOptions, names: int, seed: int) -> dict[str, Any]:
    """What one must know to judge or repeat a run."""
    used = {name for names in plan.values() for name in names}
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
        "versions": {name: server.version() for name, server in SERVERS.items() if name in used},
    }


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the run as Ctrl-C does: with all servers ended."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    for tool in ("taskset", "setpriv"):
        if not shutil.which(tool):
            raise SystemExit(f"scripts/bench needs {tool} (Linux, util-linux).")
    main(prog_name="scripts/bench")
