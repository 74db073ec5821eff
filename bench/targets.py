"""What is to be reached: each target is a row of `TARGETS`, a measure of one server over that of another.

The value is a ratio of medians over the rounds that count. Rounds are interleaved, so the spread is that of the ratios
of rounds that were neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.report import faults
from bench.rounds import Round

Cell = tuple[str, str]
"""A workload and a server."""
LIMIT: Cell = ("limit", "limit")
"""Stands for signatures a second in a bare loop."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What is read from a round."""

    title: str
    of: Callable[[Round], float]
    unit: str = ""


RATE = Measure("answers/s", lambda measured: measured.load.per_second, "/s")
PER_CPU_SECOND = Measure(
    "answers a CPU second", lambda measured: 1e6 / measured.cpu_us if measured.cpu_us else 0.0, "/s"
)
P50 = Measure("median latency", lambda measured: measured.load.p50_us, " µs")
P99 = Measure("99 % latency", lambda measured: measured.load.p99_us, " µs")
BESIDE_P99 = Measure(
    "99 % latency of hot queries", lambda measured: measured.load.beside.p99_us if measured.load.beside else 0.0, " µs"
)
EVENNESS = Measure("least tenth of a second over the mean", lambda measured: measured.load.evenness)


@dataclass(frozen=True, slots=True)
class Target:
    """One row."""

    title: str
    over: str
    """What it is held against, for people."""
    cell: Cell
    reference: Cell | None
    """None: the measure itself is held against the bound."""
    bound: float
    measure: Measure = RATE
    at_most: bool = False
    """Whether less is better."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A target, and what a run has of it: None where no round counts."""

    target: Target
    value: float | None
    lowest: float
    highest: float

    @property
    def is_reached(self) -> bool:
        if self.value is None:
            return False
        return self.value <= self.target.bound if self.target.at_most else self.value >= self.target.bound


def _over(title: str, workload: str, bounds: Mapping[str, float], server: str = "signwright") -> list[Target]:
    """Targets over peers under the same workload."""
    return [Target(title, _PEERS[peer], (workload, server), (workload, peer), bound) for peer, bound in bounds.items()]


_PEERS = {
    "nsd": "NSD",
    "knot": "Knot",
    "powerdns": "PowerDNS, live",
    "bind": "BIND",
    "knot-onlinesign": "Knot, onlinesign",
}
_HOT: Cell = ("hot", "signwright")
_LATENCY: Cell = ("latency", "signwright")
TARGETS = [
    *_over(
        "Hot set", "hot", {"nsd": 0.9, "knot": 1.1, "powerdns": 1.3, "bind": 2.3, "knot-onlinesign": 25}
    ),
    *_over("All RRsets, warm", "uniform", {"nsd": 0.9}),
    Target("All RRsets, each for the first time", "answers/s", ("first", "signwright"), None, 25_000),
    Target("… hot queries meanwhile, 99 %", "µs", ("first", "signwright"), None, 5_000, BESIDE_P99, at_most=True),
    *_over("Random NXDOMAIN, compact denial", "nxdomain", {"powerdns": 1.5, "knot-onlinesign": 3}),
    Target("Random NXDOMAIN, compact denial", "bare signing loop", ("nxdomain", "signwright"), LIMIT, 0.7),
    *_over("Random NXDOMAIN, NSEC chain", "nxdomain", {"nsd": 0.55}, "signwright-nsec"),
    *_over("Random NXDOMAIN, flood_denial", "nxdomain", {"powerdns": 8}, "signwright-flood"),
    Target("Random NXDOMAIN, flood_denial", "own compact denial", ("nxdomain", "signwright-flood"),
           ("nxdomain", "signwright"), 6),
    Target("0x20 spelling at random", "own hot set", ("0x20", "signwright"), _HOT, 0.8),
    Target("A client cookie", "own hot set", ("cookie", "signwright"), _HOT, 0.6),
    Target("An unknown EDNS option", "own hot set", ("options", "signwright"), _HOT, 0.8),
    Target("No EDNS", "own hot set", ("no-edns", "signwright"), _HOT, 0.8),
    Target("Latency at half peak, median", "NSD", _LATENCY, ("latency", "nsd"), 1.5, P50, at_most=True),
    Target("Latency at half peak, 99 %", "NSD", _LATENCY, ("latency", "nsd"), 1.5, P99, at_most=True),
    *_over("TCP, pipelined", "tcp", {"nsd": 0.5}),
    *_over("TCP, a connection for each query", "tcp-once", {"nsd": 0.5}),
    Target("Two workers, answers a CPU second", "one worker", ("workers", "signwright-workers"),
           ("workers", "signwright-worker"), 0.85, PER_CPU_SECOND),
    Target("Every signature rolls: least tenth of a second", "mean", ("windows", "signwright-windows"), None, 0.8,
           EVENNESS),
]  # fmt: skip


def reached(rounds: Iterable[Round], limits: Sequence[float]) -> list[Reached]:
    """Every target whose workloads were measured, in the order of the table."""
    counted: dict[Cell, list[Round]] = {}
    for each in rounds:
        counted.setdefault((each.workload, each.server), []).extend([] if faults(each) else [each])
    known = counted.keys() | ({LIMIT} if limits else set())
    return [
        _reached(target, counted, limits)
        for target in TARGETS
        if target.cell in known and (target.reference is None or target.reference in known)
    ]


def _reached(target: Target, counted: Mapping[Cell, Sequence[Round]], limits: Sequence[float]) -> Reached:
    own = [target.measure.of(each) for each in counted[target.cell]]
    others = [1.0] * len(own)
    if target.reference == LIMIT:
        others = list(limits)
    elif target.reference is not None:
        others = [target.measure.of(each) for each in counted[target.reference]]
    if not own or not others or not median(others):
        return Reached(target, None, 0.0, 0.0)
    value = median(own) / median(others)
    ratios = [one / other for one, other in zip(own, others, strict=False) if other]
    return Reached(target, value, min(value, *ratios), max(value, *ratios))
