"""The composition root: everything that runs, put together in one nursery.

Listeners are critical: one that crashes ends the process. Key managers look after themselves, and all else is
supervised (`server.supervised`). The order of a start is state, sockets, KMS, zones, their stored keys, answering,
signing, ready; a zone without a valid keyset answers SERVFAIL meanwhile. The order of the end: key managers, their KMS,
listeners, state.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import socket
import ssl
import string
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence, Set
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from itertools import chain
from typing import NamedTuple

import structlog
import trio
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from keys.aws.http_limits import Limits as HttpLimits
from keys.aws.http_server import serve_http
from keys.custody.action_executor import Services
from keys.custody.state_database import Store
from keys.custody.zsk_encryption import StateError
from keys.dnssec.p256 import generate_private_key
from keys.emulator.aws_files import CredentialsFileError
from keys.emulator.key_records import Site
from keys.timekeeping.clock import Clock
from keys.timekeeping.system_clocks import SYSTEM
from server.control.control_api import control_app, watching_app
from server.control.control_socket import LIMITS as CONTROL_LIMITS
from server.control.control_socket import bind_control
from server.control.running_server import RunningServer
from server.control.server_operations import RequestOutcome, WorkerReport
from server.display.screens import ForPeople
from server.hosting import state_snapshots
from server.hosting.answering_backends import Backends, Membership, ThisProcess
from server.hosting.hosted_zones import HostedZones
from server.hosting.registered_zone import LoadedChange, ZoneLoad
from server.hosting.state_snapshots import StateSnapshots
from server.hosting.zone_files import ZoneFiles
from server.hosting.zone_image_files import Images
from server.hosting.zone_registry import ZoneRegistry
from server.kms_connection import SIGNERS, KmsAccess, open_kms
from server.monitoring import metrics
from server.monitoring.flood_log import log_flood
from server.monitoring.gc_tuning import Aside, setting_aside
from server.monitoring.query_failures import log_failure
from server.monitoring.query_stats import QueryStats, counting
from server.monitoring.state_watch import watch_state
from server.monitoring.status_hooks import Hooks
from server.net import late_addresses
from server.net.addresses import Address
from server.net.descriptors import HTTP, fit_connections
from server.net.limited_responses import LimitedResponses
from server.net.listen import Pair, bind, bind_shared, bind_stream
from server.net.passed_sockets import KMS, METRICS, ROUTE53, Claims, PassedSocket
from server.net.tcp import serve_tcp
from server.net.tcp_load import Limits, TcpLoad
from server.net.udp import serve_udp
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from server.route53.serve_api import endpoint as route53_endpoint
from server.route53.serve_api import point_clients, serve_route53, tls_context
from server.service_manager import keep_alive, notify
from server.settings.configuration import AUTO, Config, ConfigError, ZoneConfig
from server.signals import FAILS_WITHIN, Signals, hearing
from server.state import server_file
from server.state.directory import StateDir, open_state
from server.supervised import Supervisor, failure_of, said, trace_of
from server.watching.process_watch import ProcessWatch
from server.watching.top_lease import TopLease
from server.worker.answering_settings import AnsweringSettings
from server.worker.pool import Pool
from zones import names

FILE_THREADS = 1000
"""Threads that read zone files: one at a time works, the others hang with the disk of their folder."""

_TOKEN = string.ascii_uppercase + string.digits
_log = structlog.get_logger("signwright")

_FAILED = 1
"""The exit code of a server that fails, or is to run again, and can't end because something hangs."""
_KEYS_WITHIN = 2
"""Seconds in which stored keys are taken up before anything is answered: those of thousands of zones take longer."""
_LOOK_AT_LOG = 2  # seconds
_MOST_NAMED = 3
"""Zones of a state that are named in a message."""


class NothingToServe(Exception):  # noqa: N818 - it names what happened
    """No zone is configured, or none could be loaded; `loads` says why."""

    def __init__(self, loads: Sequence[ZoneLoad]) -> None:
        reasons = "; ".join(load.reason for load in loads if load.reason)
        super().__init__(f"no zone can be served: {reasons}" if reasons else "no zone is configured")
        self.loads = loads


SWITCHES_AFTER = 0.0005
"""Seconds after which a thread that computes (a status, metrics, a body, a row) lets the loop that answers run.

With Python's 5 ms, a query takes 10 ms beside one such thread, and 44 ms beside three; so, it takes 1 and 6 ms.
"""


async def run(
    config: Config,
    reread: Callable[[], Config],
    on_ready: Callable[[RunningServer], None],
    log: str = "auto",
    passed: Sequence[PassedSocket] = (),
) -> RequestOutcome:
    """Serve until a signal or the control socket ends it. `reread` gives the configuration anew, for a reload; `log`
    says how the log of workers looks. `passed` are sockets that the service manager holds.

    Raises `ConfigError`, `StateError`, `PortInUse`, `CannotListen`, `PassedSocketError`, `KmsError`, `KeystoreError`,
    `CredentialsFileError`, `WorkerFailed` and `NothingToServe` for what a person must mend.
    """
    sys.setswitchinterval(SWITCHES_AFTER)
    with _single_errors():
        async with hearing() as signals:
            with ExitStack() as held:
                aside = held.enter_context(setting_aside())
                state = held.enter_context(open_state(config.state))
                held.enter_context(server_file.gone_afterwards(state))
                sockets = _bind(config, held, Claims(passed))
                clock = Clock(SYSTEM)
                store = held.enter_context(Store.open(state.path, os.urandom, clock.now))
                outcome = RequestOutcome.STOPPED
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(keep_alive)
                    try:
                        with signals.serving:
                            outcome = await _serve(
                                config, reread, on_ready, log, state, sockets, store, clock, aside, signals, nursery
                            )
                    finally:
                        if not signals.is_stopped:
                            signals.end_soon(_FAILED, FAILS_WITHIN)
                    nursery.cancel_scope.cancel()
            return RequestOutcome.STOPPED if signals.is_stopped else outcome


class _Sockets(NamedTuple):
    """All that is listened on, but for the control socket."""

    listened: Sequence[Sequence[Pair]]
    """By address: one pair, or one for each worker."""
    watched: socket.socket | None
    api: socket.socket | None
    tls: ssl.SSLContext | None
    """Of `api`."""
    emulator: socket.socket | None

    def addresses(self) -> Iterator[Address]:
        """Where it listens."""
        yield from (pairs[0].address for pairs in self.listened)
        yield from (Address(*sock.getsockname()[:2]) for sock in (self.watched, self.api, self.emulator) if sock)


def _bind(config: Config, held: ExitStack, claims: Claims) -> _Sockets:
    """Bind what the configuration names and was not passed; `held` closes all. A run claims what was passed anew."""

    def stream(role: str, address: Address, where: str) -> socket.socket:
        return held.enter_context(claims.stream(role, address) or bind_stream(address, where, late=True))

    listened: list[Sequence[Pair]] = []
    for address in config.listen:
        if (passed := claims.pair(address)) is not None:
            # One socket for all workers: the kernel gives each datagram and each connection to one of them.
            pairs: Sequence[Pair] = [passed] * max(1, config.workers)
        else:
            pairs = bind_shared(address, config.workers, late=True) if config.workers else (bind(address, late=True),)
        listened.append([held.enter_context(_bound(pair)) for pair in pairs])
    watched = api = tls = emulator = None
    if config.metrics is not None:
        watched = stream(METRICS, config.metrics, "the setting metrics")
    if config.route53 is not None:
        tls = tls_context(config.route53)
        api = stream(ROUTE53, config.route53.listen, "the setting route53.listen")
    if config.kms.endpoint is None:
        emulator = stream(KMS, config.kms.emulator, "the setting kms.emulator")
    claims.refuse_the_rest()
    return _Sockets(listened, watched, api, tls, emulator)


async def _serve(
    config: Config,
    reread: Callable[[], Config],
    on_ready: Callable[[RunningServer], None],
    log: str,
    state: StateDir,
    sockets: _Sockets,
    store: Store,
    clock: Clock,
    aside: Aside,
    signals: Signals,
    nursery: trio.Nursery,
) -> RequestOutcome:
    supervisor = Supervisor(nursery, clock.now)
    collectors = CollectorRegistry()
    fitting = fit_connections(config.tcp.connections, config.workers, len(config.listen), HTTP)
    limits = Limits(fitting, config.tcp.idle)
    answering = _answering_settings(config, store)
    pool = _pool(config, state, sockets, limits, answering, clock, log) if config.workers else None
    async with _registry(config, state, sockets, store, collectors, pool or ThisProcess(), clock, supervisor) as (
        registry,
        zones,
        changes,
        kms,
    ):
        watch = pool or ProcessWatch(lambda: registry.zoneset, clock.now, log=config.query_log)
        lease = TopLease(watch.switch_watching, watch.drain_watched)
        running = _running(config, reread, state, sockets, store, registry, kms, pool, lease, supervisor, clock)
        supervisor.start_soon("the clocks", partial(clock.watch, partial(_clock_moved, registry, pool), _log))
        # A disk that hangs holds one thread, which the end does not wait for.
        patient = partial(trio.to_thread.run_sync, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
        await supervisor.start("watching the state", partial(watch_state, store, supervisor.report, patient))
        load = await _begin_load(config, state, store, registry, zones, nursery)
        signed = await _begin_signing(registry, nursery)
        if pool is not None:
            pool.asked_for = registry.asked_for
            await nursery.start(pool.run)
            query_stats = pool.query_stats
        else:
            query_stats = _answer(config, answering, sockets, limits, registry, watch, clock, nursery)
        _watch(watch, lease, running, supervisor)
        supervisor.start_soon("addresses", partial(late_addresses.follow, sockets.addresses(), supervisor.report))
        metrics.register(collectors, running.status, query_stats)
        await _show(config, state, sockets, running, collectors, supervisor, nursery)
        await signed.wait()
        await _manage(config, state, sockets, registry, zones, kms, clock, supervisor)
        await supervisor.attempt("writing trust files", running.write_trust)
        supervisor.start_soon("writing trust files", partial(running.keep_trust_written, changes))
        supervisor.start_soon("reloads", partial(_reload_on_hangup, running, signals))
        if await load.ended():
            await registry.sign()
            await supervisor.attempt("writing trust files", running.write_trust)
        await registry.membership.all_published()
        _settle(aside)
        await _say_ready(running, on_ready, supervisor)
        return await running.ended()


async def _begin_signing(registry: ZoneRegistry, nursery: trio.Nursery) -> trio.Event:
    """Have keys taken up, and wait a moment for those that are stored; the event says that all are.

    What waits in sockets that were held is then answered, and not with SERVFAIL.
    """
    signed = trio.Event()

    async def sign(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await registry.sign()
        signed.set()

    await nursery.start(sign)
    with trio.move_on_after(_KEYS_WITHIN):
        await trio.lowlevel.checkpoint()  # all key managers have begun then
        await registry.stored_keys_published()
    return signed


async def _show(
    config: Config,
    state: StateDir,
    sockets: _Sockets,
    running: RunningServer,
    collectors: CollectorRegistry,
    supervisor: Supervisor,
    nursery: trio.Nursery,
) -> None:
    """Open what people and their monitoring look at: the metrics and the control socket."""
    exposition = partial(metrics.exposition, collectors)
    if sockets.watched is not None:
        watched = HttpLimits(connections=32, hosts=frozenset(config.hosts), signed=False)
        await nursery.start(partial(serve_http, watching_app(running, exposition), sockets.watched, limits=watched))
    await supervisor.start(
        "control socket",
        partial(_control, control_app(running, exposition, ForPeople()), state),
        refused=(StateError,),
    )


async def _say_ready(running: RunningServer, on_ready: Callable[[RunningServer], None], supervisor: Supervisor) -> None:
    """Tell programs, people and the service manager, in this order: who waits for one finds what comes before it."""
    await supervisor.attempt("writing server.json", running.write_server_file)
    on_ready(running)
    notify("READY=1")


class _Load:
    """The first load of the zones of files. Quick ones are answered while others are still being read."""

    def __init__(self, registry: ZoneRegistry, configs: Sequence[ZoneConfig], *, may_be_none: bool) -> None:
        """`may_be_none` tells whether it is all right that no zone of a file is one."""
        self._registry = registry
        self._configs = configs
        self._may_be_none = may_be_none
        self._failure: Exception | None = None
        self._loads: list[ZoneLoad] = []
        self._all = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Load them. It has started once all quick ones are loaded; what fails is raised by `ended`."""
        went_on = False

        def go_on() -> None:
            nonlocal went_on
            went_on = True
            task_status.started()

        try:
            self._loads = await self._registry.load(self._configs, go_on)
        except Exception as error:
            self._failure = error
        finally:
            self._all.set()
        if not went_on:
            task_status.started()

    @property
    def has_ended(self) -> bool:
        """Whether all are read."""
        return self._all.is_set()

    async def ended(self) -> bool:
        """Wait for all; whether some had to be waited for. Raises what loading raised, and `NothingToServe`."""
        is_late = not self.has_ended
        await self._all.wait()
        if self._failure is not None:
            raise self._failure
        if not self._may_be_none and all(load.change is LoadedChange.REFUSED for load in self._loads):
            raise NothingToServe(self._loads)
        return is_late


async def _begin_load(
    config: Config, state: StateDir, store: Store, registry: ZoneRegistry, zones: HostedZones, nursery: trio.Nursery
) -> _Load:
    """Take up hosted zones and those of files, as far as these are quickly read.

    Raises `NothingToServe` and, for the samples, `ConfigError`.
    """
    kept = await zones.load()
    if config.samples:
        await trio.to_thread.run_sync(_refuse_strangers, config, state, store, set(registry.registered))
    load = _Load(registry, config.zones, may_be_none=bool(kept) or not (config.zones or config.route53 is None))
    await nursery.start(load.run)
    if load.has_ended:
        await load.ended()
    return load


def _running(
    config: Config,
    reread: Callable[[], Config],
    state: StateDir,
    sockets: _Sockets,
    store: Store,
    registry: ZoneRegistry,
    kms: KmsAccess,
    pool: Pool | None,
    lease: TopLease,
    supervisor: Supervisor,
    clock: Clock,
) -> RunningServer:
    watching = _with_port(config.metrics, sockets.watched)
    listeners = [pairs[0].address for pairs in sockets.listened]
    api = route53_endpoint(config.route53, sockets.api) if config.route53 and sockets.api else None
    workers: Callable[[], tuple[WorkerReport, ...]] = pool.reports if pool is not None else tuple
    return RunningServer(
        config, reread, state, store, registry, listeners, kms.url, watching, api, workers, supervisor, clock, lease.top
    )


def _refuse_strangers(config: Config, state: StateDir, store: Store, hosted: Set[bytes]) -> None:
    """Refuse to serve the samples for want of named zones, where there are keys of zones that somebody named before.

    Those would not be answered any more, and the samples' keys would join theirs.
    """
    samples = {names.from_text(zone.origin) for zone in config.zones}
    strangers = sorted(
        names.to_text(keyring.origin)
        for keyring in store.load_keyrings().good
        if keyring.ksks and keyring.origin not in samples | hosted
    )
    if strangers:
        told = ", ".join(strangers[:_MOST_NAMED]) + (" and others" if len(strangers) > _MOST_NAMED else "")
        raise ConfigError(
            f"no zone is given, but {state.path} has the keys of {told}: give the zones or --config as before, "
            "or use another state directory (--state) for the sample zones"
        )


def _with_port(address: Address | None, sock: socket.socket | None) -> Address | None:
    return address._replace(port=sock.getsockname()[1]) if address is not None and sock is not None else None


async def _manage(
    config: Config,
    state: StateDir,
    sockets: _Sockets,
    registry: ZoneRegistry,
    zones: HostedZones,
    kms: KmsAccess,
    clock: Clock,
    supervisor: Supervisor,
) -> None:
    """Serve the Route 53 API, where it is wanted, and lead AWS clients to it and to the emulator."""
    site = Site(account=config.kms.account, region=config.kms.region)

    def ask(wire: bytes) -> bytes | None:
        return respond(wire, registry.zoneset, int(clock.now()), Via.TCP, failed=log_failure)

    url, route53 = None, config.route53
    if route53 is not None and sockets.api is not None:
        url = route53_endpoint(route53, sockets.api)
        api, tls = sockets.api, sockets.tls

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            await serve_route53(route53, state.path, site, zones, ask, api.dup(), tls, task_status=task_status)

        # Without its users, whose credentials a full disk may not take yet, there is no API.
        await supervisor.start("Route 53 API", serve, refused=(CredentialsFileError,))
    if url is not None or kms.emulator is not None:
        point = partial(trio.to_thread.run_sync, point_clients, state.path, site, kms, config.route53, url)
        await supervisor.attempt("files for AWS clients", point)


@asynccontextmanager
async def _registry(
    config: Config,
    state: StateDir,
    sockets: _Sockets,
    store: Store,
    collectors: CollectorRegistry,
    backends: Backends,
    clock: Clock,
    supervisor: Supervisor,
) -> AsyncIterator[tuple[ZoneRegistry, HostedZones, trio.MemoryReceiveChannel[None], KmsAccess]]:
    """The zones with all that their keys need, notice of their changes, and the KMS."""
    announce, changes = trio.open_memory_channel[None](1)

    def changed() -> None:
        # One pending notice stands for any number of changes.
        try:
            announce.send_nowait(None)
        except trio.WouldBlock:
            return

    membership = Membership(store, backends, SYSTEM.boot)
    hooks = Hooks(config.hooks, supervisor.report)
    supervisor.start_soon("hooks", hooks.run)
    async with (
        # A request to the KMS is signed with the wall clock as it is: its own clock decides which is right.
        open_kms(config.kms, state, sockets.emulator, time.time, supervisor, metrics.KmsMeter(collectors)) as kms,
        _ended_first() as key_managers,
    ):
        services = Services(
            provisioning=kms.provisioning,
            service=kms.service,
            key_policy=kms.key_policy,
            store=store,
            run_blocking=trio.to_thread.run_sync,
            limit=trio.CapacityLimiter(SIGNERS),
            now=clock.now,
            new_token=lambda: kms.provisioning.coin(_new_token()),
            generate_private_key=generate_private_key,
            log=structlog.get_logger("signwright.keys"),
            notify=hooks.notify,
            published=membership.keys_published,
        )
        # A file that hangs must not hold up the end: its thread is left behind, and takes none from others.
        patient = partial(trio.to_thread.run_sync, abandon_on_cancel=True, limiter=trio.CapacityLimiter(FILE_THREADS))
        files = ZoneFiles(Images(state.images), patient)
        registry = ZoneRegistry(services, key_managers, changed, membership, files, supervisor.report)
        supervisor.start_soon("noting zones of files", registry.noted_files.keep_noting)
        parent = config.route53.parent if config.route53 is not None else AUTO
        zones = HostedZones(registry, services, policy=config.policy, parent=parent, flood_denial=config.flood_denial)
        supervisor.start_soon(state_snapshots.WHAT, StateSnapshots(registry, zones, services).run)
        yield registry, zones, changes, kms


def _pool(
    config: Config,
    state: StateDir,
    sockets: _Sockets,
    limits: Limits,
    answering: AnsweringSettings,
    clock: Clock,
    log: str,
) -> Pool:
    """The workers that answer, each with sockets of its own."""
    pairs, images = [*zip(*sockets.listened, strict=True)], Images(state.images)
    return Pool(
        pairs,
        config.udp_size,
        limits,
        images,
        log,
        answering=answering,
        clock=lambda: clock.offset,
        query_log=config.query_log,
    )


def _answering_settings(config: Config, store: Store) -> AnsweringSettings:
    return AnsweringSettings(
        store.cookie_key if config.edns.cookies else b"",
        config.edns.nsid.encode(),
        config.chaos.version.encode(),
        config.chaos.id.encode(),
        config.limits.responses,
        config.limits.exempt,
    )


def _answer(
    config: Config,
    settings: AnsweringSettings,
    sockets: _Sockets,
    limits: Limits,
    registry: ZoneRegistry,
    watch: ProcessWatch | Pool,
    clock: Clock,
    nursery: trio.Nursery,
) -> Callable[[], QueryStats]:
    """Answer in this process; what tells how much was answered."""
    assert isinstance(watch, ProcessWatch)
    caches, load, rate = Caches(), TcpLoad(limits), settings.limit()
    facts = settings.facts(lambda: load.keepalive)
    responder = Responder(
        lambda: registry.zoneset, caches, log_failure, config.udp_size, registry.asked_for, facts, log_flood
    )
    listened = [*chain.from_iterable(sockets.listened)]
    streams, datagrams = [pair.tcp for pair in listened], [pair.udp for pair in listened]
    watch.seen.limit = limited = LimitedResponses(rate, responder, clock.now)
    nursery.start_soon(serve_udp, datagrams, responder, clock.now, watch.seen, limited.ahead)
    nursery.start_soon(serve_tcp, streams, responder, clock.now, load, datagrams, watch.seen.stream)
    watch.start(nursery)
    return counting(responder, caches, load, rate, clock.now, log=watch.log)


def _watch(watch: ProcessWatch | Pool, lease: TopLease, running: RunningServer, supervisor: Supervisor) -> None:
    """Have queries counted while somebody looks, and the query log looked at and opened anew."""
    running.on_reload = watch.reopen_log
    supervisor.start_soon("watching queries", lease.run)
    if isinstance(watch, ProcessWatch):
        supervisor.start_soon("the query log", partial(_look_at_log, watch, supervisor))


async def _look_at_log(watch: ProcessWatch, supervisor: Supervisor) -> None:
    """Say in `status` whether queries can be logged, where they are to be."""
    while watch.log is not None:
        supervisor.report("the query log", watch.log.failure)
        await trio.sleep(_LOOK_AT_LOG)


async def _control(app: ASGIApp, state: StateDir, *, task_status: trio.TaskStatus[None]) -> None:
    """Serve the control protocol. Raises `StateError` for a path that no socket can have."""
    await serve_http(app, bind_control(state.control_socket), limits=CONTROL_LIMITS, task_status=task_status)


def _clock_moved(registry: ZoneRegistry, pool: Pool | None) -> None:
    """The time jumped: waits of key managers count by a clock that does not know of it, and workers are to agree."""
    if pool is not None:
        pool.clock_moved()
    for hosted in registry.registered.values():
        if hosted.key_manager is not None:
            hosted.key_manager.wake()


@asynccontextmanager
async def _ended_first() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks have ended when the context has: what they use is closed after them."""
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()


async def _reload_on_hangup(running: RunningServer, signals: Signals) -> None:
    """Reload when a signal asks for it. One that waits for the KMS keeps no later one waiting."""

    async def reload(loaded: trio.Event) -> None:
        failure = await failure_of(partial(running.reload, loaded.set))
        if isinstance(failure, ConfigError):
            _log.error("not reloaded", reason=str(failure))
        elif failure is not None:
            _log.error("not reloaded", reason=said(failure), **trace_of(failure))
        loaded.set()

    async with trio.open_nursery() as nursery:
        while True:
            await signals.hangup()
            loaded = trio.Event()
            nursery.start_soon(reload, loaded)
            await loaded.wait()


@contextmanager
def _bound(pair: Pair) -> Iterator[Pair]:
    with pair.udp, pair.tcp:
        yield pair


@contextmanager
def _single_errors() -> Iterator[None]:
    """What went wrong alone is raised alone, not as a group of one."""
    try:
        yield
    except BaseExceptionGroup as group:
        alone: BaseException = group
        while isinstance(alone, BaseExceptionGroup) and len(alone.exceptions) == 1:
            alone = alone.exceptions[0]
        if alone is group:
            raise
        raise alone from None


def _settle(aside: Aside) -> None:
    """Give back what the start needed and what serves doesn't.

    Of what is freed, the C library keeps 5 of 41 kB a zone, with 9,000 zones.
    """
    aside.look_at_all()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # of glibc
        trim(0)


def _new_token() -> str:
    return "".join(secrets.choice(_TOKEN) for _ in range(20))
