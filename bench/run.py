"""A whole run: every workload's servers started and checked, then its rounds, interleaved over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.limit import measure_limit
from bench.report import faults
from bench.rounds import SERVER_CORE, Bench, Measured, Running
from bench.servers import SERVERS
from bench.workloads import Load, Workload

Plan = Mapping[Workload, Sequence[str]]
"""The names of the servers of each workload."""


class Amount(NamedTuple):
    """How much is measured."""

    rounds: int
    """Of each server that must count."""
    sample: int
    """Answers checked of each server under each workload."""


def measure(bench: Bench, plan: Plan, amount: Amount, console: Console) -> Measured:
    """Start all servers, check their answers, and measure until enough rounds of each count.

    Of a server whose rounds don't count, twice as many are measured at most. Raises `RuntimeError` and
    `WrongAnswerError`.
    """
    needed = [server for server in SERVERS.values() if any(server.name in names for names in plan.values())]
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    measured = Measured([], [])
    with Progress(*columns, console=console, transient=True, refresh_per_second=2) as progress:
        steps = len(needed) + sum(len(names) * (amount.rounds + 2) for names in plan.values())
        task = progress.add_task("", total=steps)

        def step(text: str) -> None:
            progress.update(task, advance=1, description=text)
            progress.refresh()

        with bench.start(needed, lambda title: step(f"starting {title}")) as running:
            by_name = {each.server.name: each for each in running}
            for workload, names in plan.items():
                asked = [by_name[name] for name in names]
                _check(bench, asked, workload, amount.sample, console, step)
                _measure_workload(bench, asked, workload, amount.rounds, measured, step)
    return measured


def _measure_workload(
    bench: Bench,
    asked: Sequence[Running],
    workload: Workload,
    rounds: int,
    measured: Measured,
    step: Callable[[str], None],
) -> None:
    peaks = []
    for each in asked:
        step(f"{workload.name}: warming {each.server.title}")
        if workload.load is not Load.FIRST:
            bench.warm(each, workload)
        if workload.load is Load.PACED:
            peaks.append(bench.round(each, workload, 0).load.per_second)
    rate = min(peaks, default=0.0) / 2
    missing = dict.fromkeys((each.server.name for each in asked), rounds)
    for number in range(1, 2 * rounds + 1):
        left = [each for each in asked if missing[each.server.name] > 0]
        if workload.fresh and left:
            measured.limits.append(measure_limit(SERVER_CORE, min(1.0, bench.options.seconds)))
        for each in left:
            step(f"{workload.name}: {each.server.title}")
            result = bench.round(each, workload, number, rate)
            measured.rounds.append(result)
            missing[each.server.name] -= not faults(result)


def _check(
    bench: Bench,
    asked: Sequence[Running],
    workload: Workload,
    sample: int,
    console: Console,
    step: Callable[[str], None],
) -> None:
    for each in asked:
        step(f"{workload.name}: checking {each.server.title}")
        checked = bench.check(each, workload, sample)
        sizes = f"{checked.smallest} to {checked.largest} octets"
        seen = f"{checked.answers} answers right, {checked.signatures} signatures verified, {sizes}"
        console.print(f"[green]✓[/] {workload.name}: {each.server.title}: {seen}")
