"""Who answers queries: this process, beside all else that it does, or worker processes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Protocol

import trio

from keys.custody.state_database import Store
from keys.timekeeping.clock import Clock
from server.control.server_operations import WorkerReport
from server.hosting.answering_backends import Backends, ThisProcess
from server.hosting.zone_image_files import Images
from server.hosting.zone_registry import ZoneRegistry
from server.monitoring.flood_log import log_flood
from server.monitoring.query_failures import log_failure
from server.monitoring.query_stats import QueryStats, counting
from server.net.descriptors import HTTP, fit_connections
from server.net.limited_responses import LimitedResponses
from server.net.tcp import serve_tcp
from server.net.tcp_load import Limits, TcpLoad
from server.net.udp import serve_udp
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.settings.configuration import Config
from server.start.bound_sockets import BoundSockets
from server.state.directory import StateDir
from server.watching.process_watch import ProcessWatch
from server.watching.query_counts import QueryCounts
from server.worker.answering_settings import AnsweringSettings
from server.worker.pool import Pool
from zones.zoneset import ZoneSet


class Answering(Backends, Protocol):
    """The backends of a server, and what is to be known of all of them together."""

    async def begin(self, registry: ZoneRegistry, nursery: trio.Nursery) -> None:
        """Answer from now on. Raises `WorkerFailed` where no worker ever does."""

    def query_stats(self) -> QueryStats:
        """How much was answered."""

    def reports(self) -> tuple[WorkerReport, ...]:
        """How the workers are, where there are any."""

    def clock_moved(self) -> None:
        """Follow a clock that has jumped."""

    def switch_watching(self, on: bool) -> None:
        """Count queries by name and client from now on, or no more."""

    def drain_watched(self) -> QueryCounts:
        """What was counted since the last time."""

    def reopen_log(self) -> None:
        """Open the query log's file anew."""

    def log_trouble(self) -> str | None:
        """Why queries can't be logged, where they are to be."""


def answering_as(
    config: Config, state: StateDir, sockets: BoundSockets, store: Store, clock: Clock, log: str
) -> Answering:
    """As the configuration says. `log` says how the log of workers looks."""
    limits = Limits(fit_connections(config.tcp.connections, config.workers, len(config.listen), HTTP), config.tcp.idle)
    settings = AnsweringSettings(
        store.cookie_key if config.edns.cookies else b"",
        config.edns.nsid.encode(),
        config.chaos.version.encode(),
        config.chaos.id.encode(),
        config.limits.responses,
        config.limits.exempt,
    )
    if not config.workers:
        return AnsweringHere(config, sockets, limits, settings, clock)
    return AnsweringWorkers(
        [*zip(*sockets.listened, strict=True)],
        config.udp_size,
        limits,
        Images(state.images),
        log,
        answering=settings,
        clock=lambda: clock.offset,
        query_log=config.query_log,
    )


class AnsweringWorkers(Pool):
    """Worker processes, each with sockets of its own."""

    async def begin(self, registry: ZoneRegistry, nursery: trio.Nursery) -> None:
        """As `Answering.begin`."""
        self.asked_for = registry.asked_for
        await nursery.start(self.run)

    def log_trouble(self) -> str | None:
        """As `Answering.log_trouble`: each worker says that in its log."""
        return None


class AnsweringHere(ThisProcess):
    """This process."""

    def __init__(
        self, config: Config, sockets: BoundSockets, limits: Limits, settings: AnsweringSettings, clock: Clock
    ) -> None:
        super().__init__()
        self._udp_size, self._sockets, self._settings, self._clock = config.udp_size, sockets, settings, clock
        self._registry: ZoneRegistry | None = None
        self._caches, self._load = Caches(), TcpLoad(limits)
        self._rate = settings.limit()
        self._watch = ProcessWatch(self._zoneset, clock.now, log=config.query_log)
        self._count: Callable[[], QueryStats] = QueryStats

    async def begin(self, registry: ZoneRegistry, nursery: trio.Nursery) -> None:
        """As `Answering.begin`."""
        await trio.lowlevel.checkpoint()
        self._registry = registry
        now, watch = self._clock.now, self._watch
        facts = self._settings.facts(lambda: self._load.keepalive)
        responder = Responder(
            lambda: registry.zoneset, self._caches, log_failure, self._udp_size, registry.asked_for, facts, log_flood
        )
        listened = [*chain.from_iterable(self._sockets.listened)]
        streams, datagrams = [pair.tcp for pair in listened], [pair.udp for pair in listened]
        watch.seen.limit = limited = LimitedResponses(self._rate, responder, now)
        nursery.start_soon(serve_udp, datagrams, responder, now, watch.seen, limited.ahead)
        nursery.start_soon(serve_tcp, streams, responder, now, self._load, datagrams, watch.seen.stream)
        watch.start(nursery)
        self._count = counting(responder, self._caches, self._load, self._rate, now, log=watch.log)

    def query_stats(self) -> QueryStats:
        """As `Answering.query_stats`."""
        return self._count()

    def reports(self) -> tuple[WorkerReport, ...]:
        """As `Answering.reports`."""
        return ()

    def clock_moved(self) -> None:
        """As `Answering.clock_moved`: each batch asks for the time."""

    def switch_watching(self, on: bool) -> None:
        """As `Answering.switch_watching`."""
        self._watch.switch_watching(on)

    def drain_watched(self) -> QueryCounts:
        """As `Answering.drain_watched`."""
        return self._watch.drain_watched()

    def reopen_log(self) -> None:
        """As `Answering.reopen_log`."""
        self._watch.reopen_log()

    def log_trouble(self) -> str | None:
        """As `Answering.log_trouble`."""
        return self._watch.log.failure if self._watch.log is not None else None

    def _zoneset(self) -> ZoneSet:
        return self._registry.zoneset if self._registry is not None else ZoneSet()
