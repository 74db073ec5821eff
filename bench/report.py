"""From rounds to figures: which rounds count, their medians, the ratios, and how people and programs read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.table import Table

from bench.rounds import Round
from bench.servers import SERVERS
from bench.workloads import WORKLOADS, Expect, Load

LEAST_BUSY = 0.95
"""A round counts only where the server's core was busy in this share of the time: else the load was measured.

Not where queries come at a rate.
"""
MOST_STEAL = 0.03
MOST_FOREIGN = 0.05
MOST_LOSS = 0.01
LEAST_OF_RATE = 0.98
"""Of a rate that was asked for."""
REFERENCES = ("nsd", "powerdns")
"""Servers in whose multiples the others are given."""


@dataclass(frozen=True, slots=True)
class Row:
    """One server under one workload: medians over the rounds that count, or over all where none does."""

    workload: str
    server: str
    rounds: int
    counted: int
    per_second: float
    lowest: float
    highest: float
    cpu_us: float
    busy: float
    steal: float
    loss: float
    size: float
    p50_us: float
    p99_us: float
    evenness: float
    """The least tenth of a second over the mean, where they were counted apart."""
    beside_p99_us: float
    """Of the hot queries beside it, where there were some."""
    faults: tuple[str, ...]
    """Why rounds do not count, the most frequent reason first."""
    ratios: Mapping[str, float | None]
    """answers/s over those of each reference; None where one of both has no round that counts."""

    @property
    def counts(self) -> bool:
        return self.counted > 0


def faults(measured: Round) -> list[str]:
    """Why a round does not count; nothing where it does."""
    load, workload = measured.load, WORKLOADS[measured.workload]
    right = {"0"} if workload.expect is Expect.ANSWER else {"0", "3"}
    found = [
        (load.answers == 0, "no answers"),
        (bool(set(load.rcodes) - right) or len(load.rcodes) > 1, "wrong rcodes"),
        (load.truncated > 0, "truncated answers"),
        (load.loss > MOST_LOSS, f"loss over {MOST_LOSS:.0%}"),
        (measured.steal > MOST_STEAL, f"steal over {MOST_STEAL:.0%}"),
        (measured.foreign > MOST_FOREIGN, f"others on its core over {MOST_FOREIGN:.0%}"),
        (load.per_second < LEAST_OF_RATE * measured.rate, f"below {LEAST_OF_RATE:.0%} of the rate"),
        (not measured.rate and measured.busy < LEAST_BUSY, f"core below {LEAST_BUSY:.0%} busy"),
    ]
    return [reason for is_so, reason in found if is_so]


def rows(rounds: Iterable[Round]) -> list[Row]:
    """One row for each workload and server, in the order in which they were measured first."""
    groups: dict[tuple[str, str], list[Round]] = {}
    for measured in rounds:
        groups.setdefault((measured.workload, measured.server), []).append(measured)
    speeds = {key: _speed(group) for key, group in groups.items()}
    return [_row(key, group, speeds) for key, group in groups.items()]


def table(workload: str, of_workload: Sequence[Row], limits: Sequence[float] = ()) -> Table:
    """The rows of one workload for people; `limits` are signatures a second of a bare loop."""
    shown = Table(title=WORKLOADS[workload].title, title_justify="left", title_style="bold")
    shown.add_column("server", no_wrap=True)
    references = [f"× {SERVERS[name].title.split(',')[0]}" for name in REFERENCES]
    load = WORKLOADS[workload].load
    latencies = ("p50 µs", "p99 µs") if load is Load.PACED else ()
    evenness = ("least 0.1 s",) if load is Load.STEADY else ()
    measures = ("CPU µs", *latencies, *evenness, "busy", "steal", "loss", "octets", "rounds")
    for heading in ("answers/s", "spread", *references, *measures):
        shown.add_column(heading, justify="right", no_wrap=True)
    remarks = []
    for row in of_workload:
        half = (row.highest - row.lowest) / 2 / row.per_second if row.per_second else 0.0
        ratios = (row.ratios.get(name) for name in REFERENCES)
        shown.add_row(
            SERVERS[row.server].title,
            f"{row.per_second:,.0f}",
            f"± {half:.0%}",
            *("–" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
            f"{row.cpu_us:.2f}",
            *((f"{row.p50_us:.0f}", f"{row.p99_us:.0f}") if latencies else ()),
            *((f"{row.evenness:.2f}",) if evenness else ()),
            f"{row.busy:.0%}",
            f"{row.steal:.1%}",
            f"{row.loss:.2%}",
            f"{row.size:.0f}",
            f"{row.counted}/{row.rounds}",
            style="" if row.counts else "dim",
        )
        if row.faults:
            verdict = "some rounds do not count" if row.counts else "[red]does not count[/]"
            remarks.append(f"{SERVERS[row.server].title}: {verdict}: {'; '.join(row.faults)}")
    if limits and WORKLOADS[workload].fresh:
        limit = median(limits)
        live = [row for row in of_workload if row.counts and SERVERS[row.server].live]
        shares = (f"{SERVERS[row.server].title} {row.per_second / limit:.2f}" for row in live)
        remarks.append(f"P-256 signatures in a bare loop: {limit:,.0f}/s. Multiples of it: {'; '.join(shares)}")
    if load is Load.FIRST:
        remarks += [f"Hot queries beside it, 99 %: {row.beside_p99_us / 1e3:.1f} ms" for row in of_workload]
    shown.caption = "\n".join(remarks)
    shown.caption_justify = "left"
    return shown


def as_json(about: Mapping[str, Any], rounds: Sequence[Round], limits: Sequence[float] = ()) -> dict[str, Any]:
    """Everything raw and derived, for a file."""
    return {
        "about": dict(about),
        "signatures_per_second": list(limits),
        "rows": [asdict(row) for row in rows(rounds)],
        "rounds": [asdict(each) | {"cpu_us": each.cpu_us, "faults": faults(each)} for each in rounds],
    }


def _speed(group: Sequence[Round]) -> float | None:
    """Median answers/s of the rounds that count, None where there are none."""
    speeds = [each.load.per_second for each in group if not faults(each)]
    return median(speeds) if speeds else None


def _row(key: tuple[str, str], group: Sequence[Round], speeds: Mapping[tuple[str, str], float | None]) -> Row:
    workload, server = key
    good = [each for each in group if not faults(each)]
    used = good or group

    def middle(value: Callable[[Round], float]) -> float:
        return median(map(value, used))

    reasons = Counter(reason for each in group for reason in faults(each))
    own = speeds[key]
    ratios: dict[str, float | None] = {}
    for name in REFERENCES:
        other = speeds.get((workload, name))
        ratios[name] = own / other if own and other else None
    return Row(
        workload, server, len(group), len(good),
        per_second=middle(lambda each: each.load.per_second),
        lowest=min(each.load.per_second for each in used),
        highest=max(each.load.per_second for each in used),
        cpu_us=middle(lambda each: each.cpu_us),
        busy=middle(lambda each: each.busy),
        steal=middle(lambda each: each.steal),
        loss=middle(lambda each: each.load.loss),
        size=middle(lambda each: each.load.mean_size),
        p50_us=middle(lambda each: each.load.p50_us),
        p99_us=middle(lambda each: each.load.p99_us),
        evenness=middle(lambda each: each.load.evenness),
        beside_p99_us=middle(lambda each: each.load.beside.p99_us if each.load.beside else 0.0),
        faults=tuple(reason for reason, _ in reasons.most_common()),
        ratios=ratios,
    )  # fmt: skip
