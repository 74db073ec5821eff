"""The load generator as a child: built by the script, run on a core of its own, and what it reports."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How hard and how long. Times in seconds."""

    warm: float = 0.5
    seconds: float = 3.0
    window: int = 192
    """Queries outstanding at most. So many small packets fit into a socket's buffer of the kernel's default size."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the generator counted in the measured time."""

    seconds: float
    sent: int
    answers: int
    lost: int
    stray: int
    truncated: int
    bytes: int
    idle: float
    """Share of the time in which the generator had nothing to do: at 0 it may be the limit itself."""
    smallest: int
    largest: int
    p50_us: float
    p90_us: float
    p99_us: float
    slowest_us: float
    rcodes: dict[str, int]
    intervals: list[int] = field(default_factory=list)
    """Answers in each whole interval of the measured time, where intervals were asked for."""
    beside: LoadResult | None = None
    """The flow beside it, where there was one."""

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds

    @property
    def mean_size(self) -> float:
        """Octets of the mean answer."""
        return self.bytes / self.answers if self.answers else 0.0

    @property
    def evenness(self) -> float:
        """The least of the intervals over their mean; 0 where there are none."""
        return min(self.intervals) * len(self.intervals) / max(sum(self.intervals), 1) if self.intervals else 0.0

    @property
    def loss(self) -> float:
        """Share of the queries that had no answer in time."""
        return self.lost / self.sent if self.sent else 0.0


def parse_result(line: str) -> LoadResult:
    """The generator's last line. Raises `ValueError` or `TypeError` where it is something else."""
    values = json.loads(line)
    if beside := values.pop("beside", None):
        return LoadResult(**values, beside=LoadResult(**beside))
    return LoadResult(**values)


def run_load(
    generator: Path,
    core: int,
    port: int,
    queries: Path,
    options: Sequence[str],
    at_edge: Callable[[], None],
) -> LoadResult:
    """Load 127.0.0.1:`port`; call `at_edge` as the measured time begins and again as it ends, under load both times.

    Raises `RuntimeError` with the generator's words when it fails.
    """
    command = ["taskset", "-c", str(core), str(generator), *options, "127.0.0.1", str(port), str(queries)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        try:
            last = ""
            for line in process.stdout:
                last = line.strip()
                if last in {"go", "end"}:
                    at_edge()
            words = process.stderr.read().strip()
        finally:
            if process.poll() is None and not last.startswith("{"):
                process.terminate()
    if process.returncode or not last.startswith("{"):
        raise RuntimeError(words or "the load generator ended early")
    return parse_result(last)
