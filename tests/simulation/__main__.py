"""The command: `scripts/simulate` or `python -m tests.simulation`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from hashlib import sha256
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import TextIO

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation.batch import Result, year
from tests.simulation.hash_seed import fix_hash_seed
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.run import objections, shrink
from tests.simulation.schedule import Plan, draw

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build" / "simulation.jsonl"


@click.command(context_settings={"show_default": True})
@click.option("--years", type=click.IntRange(1), default=10, help="Zone-years to run.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the first; the others follow.")
@click.option("--digits", default="0123456789", help="Last digits of the seeds that count: each draws other kinds.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.")
@click.option("--days", type=click.IntRange(60), default=365, help="Length of a zone-year.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=RESULTS,
    help="Where zone-years are noted. What the same sources ran already is left out, so this can be interrupted.",
)
@click.option("--replay", type=click.File(), help="Run one plan, as it is printed for a failure ('-' reads it).")
@click.option("--mutants", is_flag=True, help="Check the judge: each wait, a second too short, must be found.")
def main(
    *, years: int, seed: int, digits: str, jobs: int, days: int, results: Path, replay: TextIO | None, mutants: bool
) -> None:
    """Run zones through years of faults, and have an adversarial resolver judge what was served.

    The same seed gives the same year. A failure is shrunk to the faults that it needs, and printed with its seed. Ends
    with 1 if there was any.
    """
    console = Console(width=None if sys.stdout.isatty() else 120)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that the processes of the pool end too
    if replay is not None:
        found = objections(msgspec.json.decode(replay.read(), type=Plan))
        console.print("\n".join(found) or "nothing to object to")
        sys.exit(bool(found))
    if mutants:
        sys.exit(_check_mutants(console, jobs))
    if not digits or not set(digits) <= set("0123456789"):
        raise click.BadParameter("one or more of the digits 0 to 9, as 45", param_hint="--digits")
    wanted = list(islice((one for one in count(seed) if str(one)[-1] in digits), years))
    chosen, code = frozenset(wanted), digest_of(ROOT)
    done = {r.seed: r for r in _read(results) if (r.days, r.code) == (days, code) and r.seed in chosen}
    started, ran = monotonic(), 0
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("ab") as file, _progress(console) as progress:
        bar = progress.add_task("zone-years", total=years, completed=len(done))
        for result in _run([one for one in wanted if one not in done], days, jobs, code):
            done[result.seed] = result
            ran += 1
            file.write(msgspec.json.encode(result) + b"\n")
            file.flush()
            progress.advance(bar)
            if result.objections:
                progress.console.print(f"[red]seed {result.seed}[/]: {result.objections[0]}")
    _report(console, list(done.values()), ran, monotonic() - started)
    failed = [result for result in done.values() if result.objections]
    for result in failed[:3]:
        plan = shrink(draw(result.seed, days))
        console.print(f"[red]seed {result.seed}[/], shrunk to {len(plan.faults)} faults; give this to --replay:")
        console.print(msgspec.json.encode(plan).decode(), soft_wrap=True, highlight=False)
    sys.exit(bool(failed))


def _run(seeds: list[int], days: int, jobs: int, code: str) -> Iterator[Result]:
    waiting: set[Future[Result]] = set()
    upcoming = iter(seeds)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        while True:
            for one in upcoming:
                waiting.add(pool.submit(year, one, days, code))
                if len(waiting) >= 2 * jobs:
                    break
            if not waiting:
                return
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


def digest_of(root: Path) -> str:
    """What the sources that a run depends on are: it differs when any of them does."""
    digest = sha256()
    for package in (
        "keys",
        "zones",
        "server/query",
        "server/hosting",
        "tests/keys",
        "tests/simulation",
        "tests/validator",
    ):
        for file in sorted((root / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _read(results: Path) -> list[Result]:
    if not results.exists():
        return []
    found = []
    for line in results.read_bytes().splitlines():
        try:
            found.append(msgspec.json.decode(line, type=Result))
        except msgspec.MsgspecError:
            continue  # cut short when it was interrupted
    return found


def _report(console: Console, results: list[Result], ran: int, seconds: float) -> None:
    table = Table(title="Simulation")
    for heading in ("zone-years", "with real signatures", "faults", "objected to", "CPU s a zone-year", "zone-years/h"):
        table.add_column(heading, justify="right")
    total = len(results)
    table.add_row(
        str(total),
        str(sum(result.real for result in results)),
        str(sum(result.faults for result in results)),
        str(sum(bool(result.objections) for result in results)),
        f"{sum(result.seconds for result in results) / max(1, total):.2f}",
        f"{ran * 3600 / seconds:.0f}" if ran else "-",
    )
    console.print(table)


def _check_mutants(console: Console, jobs: int) -> int:
    table = Table("mutant", "module", "seed", "days", "objection", title="Mutants")
    survivors = 0
    with _progress(console) as progress, ThreadPoolExecutor(jobs) as pool:
        bar = progress.add_task("mutants", total=len(MUTANTS))
        for mutant, found in zip(MUTANTS, pool.map(run_mutant, MUTANTS), strict=True):
            progress.advance(bar)
            survivors += not found
            said = found[0].split(": ", 1)[-1] if found else "[red]survives[/]"
            table.add_row(mutant.name, mutant.module, str(mutant.seed), str(mutant.days), said)
    console.print(table)
    console.print(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} found")
    return bool(survivors)


def run_mutant(mutant: Mutant, seed: int | None = None) -> list[str]:
    """What is objected to in the mutant's run, which is made in a process of its own."""
    arguments = [mutant.name, str(mutant.seed if seed is None else seed), str(mutant.days)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.mutation", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )


if __name__ == "__main__":
    fix_hash_seed("tests.simulation")
    main()
