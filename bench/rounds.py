"""The measurement: servers all up, each workload's rounds interleaved over them, each judged by the core's clocks."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.query

from bench.check import Checked, WrongAnswerError, check_answers
from bench.load import LoadOptions, LoadResult, run_load
from bench.process import TICKS, Child, core_times
from bench.servers import Server, Site
from bench.workloads import WORKLOADS, Load, Workload, framed, query
from bench.zone import ORIGIN, ZoneFiles

SERVER_CORE = 0
LOAD_CORE = 1
READY_WITHIN = 120.0
STEADY_SECONDS = 4.5
"""Least time of a round in which every signature rolls."""
BESIDE_RATE = 1000
"""Hot queries a second beside a first pass."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one server under one workload. Shares are of the measured time."""

    workload: str
    server: str
    number: int
    load: LoadResult
    cpu: float
    """CPU time of the server's processes over the measured time: 1.0 is a whole core."""
    busy: float
    """Share in which the server's core was not idle, of the time that the host gave it."""
    steal: float
    """Share in which the host ran something else on the server's core."""
    foreign: float
    """Share in which other processes worked on the server's core."""
    rate: float = 0.0
    """Queries a second where they came at a rate, 0 where as many came as were answered."""

    @property
    def cpu_us(self) -> float:
        """CPU time an answer, in microseconds."""
        return self.cpu * 1e6 / self.load.per_second if self.load.answers else 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run measured."""

    rounds: list[Round]
    limits: list[float]
    """Signatures a second in a bare loop, one for each turn of the workloads that call for fresh signatures."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    server: Server
    child: Child
    port: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What all rounds share."""

    directory: Path
    generator: Path
    zone: ZoneFiles
    options: LoadOptions
    seed: int
    preferred: bool = False
    """Whether servers go before all other programs."""

    @contextmanager
    def start(self, servers: Iterable[Server], told: Callable[[str], None]) -> Iterator[list[Running]]:
        """Start servers one after another, each until it answers; all are ended at the end.

        Raises `RuntimeError` with its last words where one does not come up.
        """
        with ExitStack() as stack:
            running = []
            for server in servers:
                told(server.title)
                directory = Path(tempfile.mkdtemp(dir=self.directory, prefix=f"{server.name}-"))
                site = Site(directory, free_port(), self.zone)
                command = server.set_up(site)
                log = site.directory / "log"
                child = Child(command, core=SERVER_CORE, cwd=Path.cwd(), log=log, preferred=self.preferred)
                stack.enter_context(child)
                wait_until_ready(server, child, site.port)
                running.append(Running(server, child, site.port))
            yield running

    def queries(self, workload: Workload) -> Path:
        """The generator's input for a workload."""
        path = self.directory / f"{workload.name}.queries"
        if not path.exists():
            path.write_bytes(framed(workload.messages(self.zone.names, self.seed)))
        return path

    def check(self, running: Running, workload: Workload, count: int) -> Checked:
        """Check a sample of answers. Raises `WrongAnswerError` with the server's name."""
        try:
            return check_answers(running.port, workload, self.zone.names, self.seed, count)
        except WrongAnswerError as error:
            raise WrongAnswerError(f"{running.server.title}, {workload.title}: {error}") from None

    def warm(self, running: Running, workload: Workload) -> None:
        """Ask every query once. Raises `RuntimeError` where the server died or the generator failed."""
        options = ["-b", "0", "-s", str(READY_WITHIN), "-p", *workload.generator_options(self.options.window)]
        self._load(running, self.queries(workload), options, lambda: None)

    def round(self, running: Running, workload: Workload, number: int, rate: float = 0.0) -> Round:
        """Measure one round. Raises `RuntimeError` where the server died or the generator failed."""
        if workload.load is Load.FIRST:
            with self.start([running.server], lambda _: None) as (fresh,):
                beside = self.queries(WORKLOADS["hot"])
                self.warm(fresh, WORKLOADS["hot"])
                timing = ["-b", "0", "-s", str(READY_WITHIN), "-B", str(beside), "-R", str(BESIDE_RATE)]
                return self._round(fresh, workload, number, timing, 0.0)
        seconds = max(self.options.seconds, STEADY_SECONDS) if workload.load is Load.STEADY else self.options.seconds
        warm = max(self.options.warm, running.server.warm)
        timing = ["-b", str(warm), "-s", str(seconds), "-r", str(rate)]
        return self._round(running, workload, number, timing, rate)

    def _round(self, running: Running, workload: Workload, number: int, timing: Sequence[str], rate: float) -> Round:
        pids = running.child.pids()
        edges: list[tuple[float, float, int, int, int, int]] = []

        def at_edge() -> None:
            core = core_times(SERVER_CORE)
            used = running.child.cpu_seconds(pids)
            edges.append((time.monotonic(), used, core.work, core.interrupts, core.steal, core.idle))

        options = [*timing, *workload.generator_options(self.options.window)]
        load = self._load(running, self.queries(workload), options, at_edge)
        elapsed, used, work, interrupts, steal, idle = (after - before for before, after in zip(*edges, strict=True))
        total = max(work + interrupts + steal + idle, 1)
        return Round(
            workload.name, running.server.name, number, load,
            cpu=used / elapsed,
            busy=(work + interrupts) / max(total - steal, 1),
            steal=steal / total,
            foreign=max(0.0, (work / TICKS - used) / elapsed),
            rate=rate,
        )  # fmt: skip

    def _load(self, running: Running, queries: Path, options: Sequence[str], at_edge: Callable[[], None]) -> LoadResult:
        result = run_load(self.generator, LOAD_CORE, running.port, queries, options, at_edge)
        if not running.child.alive:
            raise RuntimeError(f"{running.server.title} died: {running.child.last_words()}")
        return result


def wait_until_ready(server: Server, child: Child, port: int) -> None:
    """Ask for the SOA record until it comes with its RRSIG. Raises `RuntimeError` when it ends or takes long."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if not child.alive:
            raise RuntimeError(f"{server.title} does not start:\n{child.last_words()}")
        try:
            answer = dns.query.udp(query(ORIGIN, "SOA"), "127.0.0.1", port=port, timeout=0.5)
        except (dns.exception.DNSException, OSError):
            time.sleep(0.1)
            continue
        if any(rrset.rdtype == 46 for rrset in answer.answer):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{server.title} gives no signed answer within {READY_WITHIN:.0f} s:\n{child.last_words()}")


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, over UDP or TCP."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            port: int = udp.getsockname()[1]
            try:
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
