"""The workers, to the control process: started, fed, watched, replaced on the same sockets when they die.

What comes for a worker that is being replaced waits in its sockets, which stay open here. A worker that says nothing
for twelve seconds is taken for dead, and killed; one that has yet to say its first word, while it is imported beside
others, has a minute and more. Whatever becomes of a worker, or of what is sent to it, never ends this process: only a
start fails, where none ever answers.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import NamedTuple

import msgspec
import structlog
import trio

from keys.custody.change_log import Position
from keys.custody.members import Member
from keys.timekeeping.system_clocks import offset_as_read
from server.child_programs import command, environment
from server.control.server_operations import WorkerReport
from server.hosting.zone_image_files import Images
from server.monitoring.logs import level_now
from server.monitoring.query_stats import QueryStats
from server.net.listen import Pair
from server.net.tcp_load import Limits
from server.supervised import failure_of, said, trace_of
from server.watching.query_counts import QueryCounts
from server.watching.query_log import QueryLogSpec
from server.worker.answering_settings import AnsweringSettings
from server.worker.channel import Channel
from server.worker.messages import (
    PROTOCOL,
    Acknowledged,
    AskedFor,
    ClockMoved,
    Commit,
    Counted,
    Hello,
    LogReopened,
    ToWorker,
    Watch,
    Watched,
    ZoneMapped,
    decode_from_worker,
    encode,
)
from server.worker.updates import updates
from zones import names
from zones.storage.mapped_nodes import MappedNodes
from zones.zoneset import ZoneSet

_SILENT = 6  # looks in a row: a stopped control process looks once, however long it was stopped
_STARTS_WITHIN, _STARTS_LATER = 60, 5
"""Seconds until the first word of a worker, and so many more for each worker there is: they share the cores."""
_TRIES = 3
"""Deaths of a worker after which a start doesn't wait for it."""
_GRACE = 2  # seconds in which a worker may end by itself
_SETTLED = 10  # seconds after which a death is none of starting
_NEITHER_COOKIES_NOR_LIMITS = AnsweringSettings()
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_log = structlog.get_logger("signwright.workers")


class WorkerFailed(Exception):  # noqa: N818 - it names what happened
    """No worker ever answered, each ended several times, so that the server can't start."""


@dataclass
class _Worker:
    """One place among the workers, whichever process fills it."""

    number: int
    pairs: Sequence[Pair]
    pid: int | None = None
    started: int = 0
    holds: int | None = None
    """The oldest version that it may answer from; `None` while it has none."""
    answers: bool = False
    spoke: bool = False
    """Since it was looked at last."""
    has_spoken: bool = False
    """Since it was started."""
    ended: str = ""
    """How the last one in this place ended."""
    restarts: int = 0
    query_stats: QueryStats = field(default_factory=QueryStats)
    past: QueryStats = field(default_factory=QueryStats)
    """Of those who were in its place before."""

    def is_gone(self) -> None:
        self.pid, self.holds, self.answers = None, None, False
        self.past, self.query_stats = self.past + self.query_stats.past(), QueryStats()


class _Told(NamedTuple):
    """What a worker knows beside the zones."""

    clock_moves: int
    watching: bool
    log_openings: int


class Pool:
    """All workers: `server.hosting.answering_backends.Backends` by several programs."""

    def __init__(
        self,
        sockets: Sequence[Sequence[Pair]],
        udp_size: int,
        limits: Limits,
        images: Images,
        log: str = "auto",
        *,
        answering: AnsweringSettings = _NEITHER_COOKIES_NOR_LIMITS,
        clock: Callable[[], float] = offset_as_read,
        look: float = 2,
        query_log: QueryLogSpec | None = None,
    ) -> None:
        """`sockets` are each worker's own. `limits` are of all of them together. `images` are those of large
        zones. `log` is how their log looks. `clock` gives the wall clock minus CLOCK_BOOTTIME, as it is believed here.

        Every `look` seconds it is seen whether each worker still speaks.
        """
        self.asked_for: Callable[[bytes], None] = lambda _: None
        """Called for zones that are queried while no worker has their keys yet."""
        self._workers = [_Worker(number, pairs) for number, pairs in enumerate(sockets, 1)]
        self._clock, self._clock_moves = clock, 0
        connections = max(1, limits.connections // len(sockets))
        self._hello = partial(Hello, PROTOCOL, udp_size, connections, limits.idle, answering=answering)
        self._images = images
        self._log = log
        self._query_log = query_log
        self._watching, self._log_openings = False, 0
        self._watched = QueryCounts()
        self._look = look
        starts_within = _STARTS_WITHIN + _STARTS_LATER * len(sockets)
        self._looks_for_first = max(_SILENT, ceil(starts_within / look))
        self._zoneset, self._version = ZoneSet(), 0
        self._positions: dict[int, Position | None] = {0: None}
        """Which position each set of zones stands for, from the oldest on that a worker may answer from."""
        self.on_news: Callable[[], None] = lambda: None
        self._news, self._told = trio.Event(), trio.Event()
        self._is_ready = False
        self._has_answered = False

    def follow(self, zoneset: ZoneSet, position: Position) -> int:
        """As `Backends.follow`; the number of the set. What only moves the position of a set costs no message."""
        if zoneset is not self._zoneset or not self._version:
            self._zoneset, self._version = zoneset, self._version + 1
            self._forget_positions()
            self._news.set()
            self._news = trio.Event()
        self._positions[self._version] = position
        return self._version

    def _forget_positions(self) -> None:
        oldest = min((worker.holds for worker in self._workers if worker.holds is not None), default=self._version)
        while (first := next(iter(self._positions), oldest)) < oldest:
            del self._positions[first]

    def members(self) -> Iterator[Member]:
        """As `Backends.members`. One that is being replaced answers nothing that is older than the newest set."""
        for worker in self._workers:
            if worker.holds is not None:
                yield Member(f"worker {worker.number}", self._positions[worker.holds])

    def clock_moved(self) -> None:
        """Tell them what time it is believed to be, since that has jumped."""
        self._clock_moves += 1
        self._news.set()
        self._news = trio.Event()

    def switch_watching(self, on: bool) -> None:
        """Have them count queries by name and client from now on, or no more."""
        self._watching = on
        self._news.set()
        self._news = trio.Event()

    def drain_watched(self) -> QueryCounts:
        """What they have counted, as they told since the last time."""
        watched, self._watched = self._watched, QueryCounts()
        return watched

    def reopen_log(self) -> None:
        """Have them open the query log's file anew."""
        self._log_openings += 1
        self._news.set()
        self._news = trio.Event()

    def has_reached(self, version: int) -> bool:
        """Whether every answer is of the set with that number by now, or of a later one."""
        return all(worker.holds is None or worker.holds >= version for worker in self._workers)

    async def reached(self) -> None:
        """As `Backends.reached`."""
        version = self._version
        while not self.has_reached(version):
            await self._told.wait()

    def query_stats(self) -> QueryStats:
        """What all of them have answered, as they told at most a second ago."""
        total = QueryStats()
        for worker in self._workers:
            total += worker.past + worker.query_stats
        return total

    def reports(self) -> tuple[WorkerReport, ...]:
        """How they are."""
        return tuple(
            WorkerReport(
                number=worker.number,
                pid=worker.pid,
                started=worker.started,
                version=worker.holds if worker.answers else None,
                is_behind=worker.holds != self._version,
                restarts=worker.restarts,
            )
            for worker in self._workers
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep them until cancelled; then they have ended. Started once each answers from the newest set of zones, but
        for those that died again and again.

        Raises `WorkerFailed` where all do, and none ever answered; and nothing once it has started.
        """
        async with trio.open_nursery() as nursery:
            for worker in self._workers:
                nursery.start_soon(self._keep, worker)
            while not self._has_started():
                await self._told.wait()
            await self.reached()
            self._is_ready = True
            task_status.started()

    def _has_started(self) -> bool:
        """Raises `WorkerFailed`."""
        given_up = [worker for worker in self._workers if worker.restarts >= _TRIES and not worker.answers]
        if len(given_up) == len(self._workers) and not self._has_answered:
            first = given_up[0]
            raise WorkerFailed(
                f"cannot start any worker: worker {first.number} {first.ended} before it answered; see the log"
            )
        answering = sum(worker.answers for worker in self._workers)
        return answering > 0 and answering + len(given_up) == len(self._workers)

    # --- one worker

    async def _keep(self, worker: _Worker) -> None:
        pause = 0.0
        while True:
            began = trio.current_time()
            worker.ended = await self._ended(worker)
            if trio.current_time() - began >= _SETTLED:
                pause = 0.0
            worker.restarts += 1
            _log.error("worker replaced", worker=worker.number, reason=worker.ended, after=pause or None)
            self._tell()
            await trio.sleep(pause)
            pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)

    async def _ended(self, worker: _Worker) -> str:
        """Start a worker, and keep it until it is dead, whatever for; how it ended."""
        ended = ""

        async def live() -> None:
            nonlocal ended
            ended = await self._live(worker)

        failure = await failure_of(live)
        if failure is None:
            return ended
        if isinstance(failure, OSError):  # no memory for another process, or no descriptors: the others go on
            return f"could not start: {failure}"
        _log.error("worker abandoned", worker=worker.number, **trace_of(failure))
        return f"was abandoned: {said(failure)}"

    async def _live(self, worker: _Worker) -> str:
        """Start a worker and keep it until it is dead; how it ended."""
        ours, theirs = socket.socketpair()
        async with Channel(ours) as channel:
            with theirs:
                process = await self._start(worker, theirs)
            worker.pid, worker.started, worker.has_spoken = process.pid, int(time.time()), False
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._feed, worker, channel)
                    nursery.start_soon(self._watch, worker, nursery.cancel_scope)
                    await self._hear(worker, channel)
                    nursery.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True):
                    await channel.aclose()
                    await _end(process)
                worker.is_gone()
                self._tell()
        return _ending(process.returncode)

    async def _start(self, worker: _Worker, channel: socket.socket) -> trio.Process:
        descriptors = [fd for pair in worker.pairs for fd in (pair.udp.fileno(), pair.tcp.fileno())]
        options: dict[str, object] = {"--number": worker.number, "--log": self._log, "--log-level": level_now()}
        options["--channel"] = channel.fileno()
        options["--images"] = self._images.folder
        if self._query_log is not None:
            options["--query-log"] = msgspec.json.encode(self._query_log).decode()
        arguments = [str(part) for option in options.items() for part in option]
        return await trio.lowlevel.open_process(
            [*command("server.worker"), *arguments, *map(str, descriptors)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(channel.fileno(), *descriptors),
            env=environment(),
        )

    async def _feed(self, worker: _Worker, channel: Channel) -> None:
        sent, version = ZoneSet(), None
        try:
            told = _Told(self._clock_moves, False, self._log_openings)
            await channel.send(encode(self._hello(self._clock())))
            while True:
                while version == self._version and told == self._to_be_told():
                    await self._news.wait()
                if (now := self._to_be_told()) != told:
                    for notice in self._notices(told, now):
                        await channel.send(encode(notice))
                    told = now
                    continue
                zoneset, version = self._zoneset, self._version
                if worker.holds is None:
                    worker.holds = version
                for message in updates(sent, zoneset):
                    if isinstance(message, ZoneMapped):
                        await self._provide(zoneset, message.origin)
                    await channel.send(encode(message))
                await channel.send(encode(Commit(version)))
                sent = zoneset
        except trio.BrokenResourceError:
            return  # it is dead, as `_hear` hears

    def _to_be_told(self) -> _Told:
        return _Told(self._clock_moves, self._watching, self._log_openings)

    def _notices(self, told: _Told, now: _Told) -> Iterator[ToWorker]:
        """What tells a worker of what is so now, and was not so when it was told last."""
        if now.clock_moves != told.clock_moves:
            yield ClockMoved(self._clock())
        if now.watching != told.watching:
            yield Watch(now.watching)
        if now.log_openings != told.log_openings:
            yield LogReopened()

    async def _provide(self, zoneset: ZoneSet, origin: bytes) -> None:
        """Have a zone's image where a worker looks for it, also where somebody took it away."""
        served = zoneset.get(origin)
        assert served is not None
        nodes = served.zone.nodes
        assert isinstance(nodes, MappedNodes)
        try:
            if await trio.to_thread.run_sync(self._images.provide, origin, nodes.image, nodes.octets):
                _log.warning("zone image was missing; written again", zone=names.to_text(origin))
        except OSError as error:
            _log.error("zone image is missing and cannot be written", zone=names.to_text(origin), reason=str(error))

    async def _hear(self, worker: _Worker, channel: Channel) -> None:
        while (octets := await channel.receive()) is not None:
            worker.spoke = worker.has_spoken = True
            match decode_from_worker(octets):
                case Acknowledged(version):
                    worker.holds, worker.answers = version, True
                    self._has_answered = True
                    self._tell()
                case Counted(query_stats):
                    worker.query_stats = query_stats
                case AskedFor(origin):
                    self.asked_for(origin)
                case Watched(counts):
                    self._watched.merge(counts)

    async def _watch(self, worker: _Worker, living: trio.CancelScope) -> None:
        silent = 0
        while silent < (_SILENT if worker.has_spoken else self._looks_for_first):
            worker.spoke = False
            await trio.sleep(self._look)
            silent = 0 if worker.spoke else silent + 1
        _log.error("worker does not respond; ending it", worker=worker.number, pid=worker.pid)
        living.cancel()

    def _tell(self) -> None:
        self._told.set()
        self._told = trio.Event()
        self.on_news()


async def _end(process: trio.Process) -> None:
    """Wait for the end of a process that has lost its channel, and make sure of it."""
    with trio.move_on_after(_GRACE):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        number = -status
        known = number in signal.Signals.__members__.values()  # a real-time signal may have no name
        return f"was killed by {signal.Signals(number).name if known else f'signal {number}'}"
    return f"exited with status {status}"
