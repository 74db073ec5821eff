"""The command: `scripts/mutants` or `python -m tests.mutants`."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
COPIED = ("keys", "zones", "server", "tests", "docs", "scripts", "pyproject.toml", "README.md")
"""What tests need of the checkout."""
LONGEST = 600
"""Seconds after which a mutant's tests are ended: one that makes them hang is found."""
_ALL_PASSED, _SOME_FAILED = 0, 1


class Verdict(NamedTuple):
    """What came of a mutant."""

    mutant: Mutant
    survives: str | None
    """Why it is not found; `None`: it is."""
    seconds: float


@click.command(context_settings={"show_default": True})
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Mutants at the same time.")
@click.option("-k", "words", default="", help="Only mutants whose name or file has this in it.")
def main(*, jobs: int, words: str) -> None:
    """Apply each mutant to a copy of the sources and run its tests, of which one has to fail.

    The checkout is not changed. Ends with 1 if a mutant survives, or if its text is not found exactly once.
    """
    console = Console(width=None if sys.stdout.isatty() else 120)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    wanted = [mutant for mutant in MUTANTS if words in mutant.name or words in mutant.file]
    if not wanted:
        raise click.UsageError(f"no mutant has {words!r} in its name or file")
    jobs = min(jobs, len(wanted))
    with TemporaryDirectory(prefix="signwright-mutants-") as folder, _progress(console) as progress:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            copies.put(copied(ROOT, Path(folder) / str(number)))
        bar = progress.add_task("tests without a mutant", total=1)
        tests = list(dict.fromkeys(test for mutant in wanted for test in mutant.tests))
        copy = copies.get()
        if (code := run(copy, tests, shown=True)) != _ALL_PASSED:
            raise click.ClickException(f"the tests fail without a mutant (pytest ended with {code})")
        copies.put(copy)
        progress.update(bar, description="mutants", total=len(wanted))
        verdicts = []
        with ThreadPoolExecutor(jobs) as threads:
            for done in as_completed([threads.submit(judge, mutant, copies) for mutant in wanted]):
                verdicts.append(done.result())
                progress.advance(bar)
                if verdicts[-1].survives is not None:
                    progress.console.print(f"[red]survives[/]: {verdicts[-1].mutant.name}")
    _report(console, sorted(verdicts, key=lambda one: wanted.index(one.mutant)))
    sys.exit(any(verdict.survives is not None for verdict in verdicts))


def copied(root: Path, to: Path) -> Path:
    """A copy of the sources below `root` in the new folder `to`, which is returned."""
    to.mkdir()
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
        else:
            shutil.copy2(source, to / name)
    return to


def judge(mutant: Mutant, copies: queue.SimpleQueue[Path]) -> Verdict:
    """Run the tests of a mutant in one of the copies, which is then as it was."""
    began, copy = monotonic(), copies.get()
    file = copy / mutant.file
    source = file.read_text()
    try:
        if (found := source.count(mutant.old)) != 1:
            return Verdict(mutant, f"its text stands there {found} times", 0.0)
        file.write_text(source.replace(mutant.old, mutant.new))
        code = run(copy, mutant.tests)
    finally:
        file.write_text(source)
        copies.put(copy)
    reasons = {_SOME_FAILED: None, _ALL_PASSED: "its tests pass"}
    return Verdict(mutant, reasons.get(code, f"its tests did not run (pytest ended with {code})"), monotonic() - began)


def run(copy: Path, tests: Sequence[str], *, shown: bool = False) -> int:
    """The exit code of pytest in a copy, until the first failure. A hang is a failure. `shown` prints what it says."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    output = None if shown else subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=copy, env=environment, stdout=output, stderr=output, start_new_session=True
    ) as process:
        try:
            return process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            return _SOME_FAILED
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console)


def _report(console: Console, verdicts: Sequence[Verdict]) -> None:
    table = Table("mutant", "file", "verdict", "seconds")
    for mutant, survives, seconds in verdicts:
        said = "found" if survives is None else f"[red]survives[/]: {survives}"
        table.add_row(mutant.name, mutant.file, said, f"{seconds:.0f}")
    console.print(table)
    found = sum(verdict.survives is None for verdict in verdicts)
    console.print(f"{found} of {len(verdicts)} mutants are found")


if __name__ == "__main__":
    main()
