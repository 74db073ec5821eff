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
import string
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
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
from server.control.server_operations import RequestOutcome
from server.display.screens import ForPeople
from server.hosting import state_snapshots
from server.hosting.answering_backends import Membership
from server.hosting.hosted_zones import HostedZones
from server.hosting.state_snapshots import StateSnapshots
from server.hosting.zone_files import ZoneFiles
from server.hosting.zone_image_files import Images
from server.hosting.zone_registry import ZoneRegistry
from server.kms_connection import SIGNERS, KmsAccess, open_kms
from server.monitoring import metrics
from server.monitoring.gc_tuning import Aside, setting_aside
from server.monitoring.query_failures import log_failure
from server.monitoring.state_watch import watch_state
from server.monitoring.status_hooks import Hooks
from server.net import late_addresses
from server.net.passed_sockets import Claims, PassedSocket
from server.query.respond import Via, respond
from server.route53.serve_api import point_clients, serve_route53
from server.service_manager import keep_alive, notify
from server.settings.configuration import AUTO, Config, ConfigError
from server.signals import FAILS_WITHIN, Signals, hearing
from server.start.answering import Answering, answering_as
from server.start.bound_sockets import BoundSockets, bind_sockets
from server.start.first_load import begin_load
from server.state import server_file
from server.state.directory import StateDir, open_state
from server.supervised import Supervisor, failure_of, said, trace_of
from server.watching.top_lease import TopLease

FILE_THREADS = 1000
"""Threads that read zone files: one at a time works, the others hang with the disk of their folder."""

_TOKEN = string.ascii_uppercase + string.digits
_log = structlog.get_logger("signwright")

_FAILED = 1
"""The exit code of a server that fails, or is to run again, and can't end because something hangs."""
_KEYS_WITHIN = 2
"""Seconds in which stored keys are taken up before anything is answered: those of thousands of zones take longer."""
_LOOK_AT_LOG = 2  # seconds


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
                sockets = bind_sockets(config, held, Claims(passed))
                clock = Clock(SYSTEM)
                store = held.enter_context(Store.open(state.path, os.urandom, clock.now))
                outcome = RequestOutcome.STOPPED
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(keep_alive)
                    parts = _Parts(
                        config,
                        state,
                        sockets,
                        store,
                        clock,
                        answering_as(config, state, sockets, store, clock, log),
                        CollectorRegistry(),
                        nursery,
                        Supervisor(nursery, clock.now),
                    )
                    try:
                        with signals.serving:
                            outcome = await _serve(parts, reread, on_ready, aside, signals)
                    finally:
                        if not signals.is_stopped:
                            signals.end_soon(_FAILED, FAILS_WITHIN)
                    nursery.cancel_scope.cancel()
            return RequestOutcome.STOPPED if signals.is_stopped else outcome


class _Parts(NamedTuple):
    """What there is from the first moment of a start on."""

    config: Config
    state: StateDir
    sockets: BoundSockets
    store: Store
    clock: Clock
    answering: Answering
    collectors: CollectorRegistry
    """Of the metrics."""
    nursery: trio.Nursery
    """Of what ends the server if it fails."""
    supervisor: Supervisor
    """Of all else."""


async def _serve(
    parts: _Parts,
    reread: Callable[[], Config],
    on_ready: Callable[[RunningServer], None],
    aside: Aside,
    signals: Signals,
) -> RequestOutcome:
    config, state, store, clock = parts.config, parts.state, parts.store, parts.clock
    answering, nursery, supervisor = parts.answering, parts.nursery, parts.supervisor
    async with _registry(parts) as (registry, zones, changes, kms):
        supervisor.start_soon("the clocks", partial(clock.watch, partial(_clock_moved, registry, answering), _log))
        # A disk that hangs holds one thread, which the end does not wait for.
        patient = partial(trio.to_thread.run_sync, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
        await supervisor.start("watching the state", partial(watch_state, store, supervisor.report, patient))
        load = await begin_load(config, state, store, registry, zones, nursery)
        signed = await _begin_signing(registry, nursery)
        await answering.begin(registry, nursery)
        lease = TopLease(answering.switch_watching, answering.drain_watched)
        running = _running(parts, reread, registry, kms, lease)
        supervisor.start_soon("watching queries", lease.run)
        supervisor.start_soon("the query log", partial(_look_at_log, answering, supervisor))
        supervisor.start_soon("addresses", partial(late_addresses.follow, parts.sockets.addresses(), supervisor.report))
        metrics.register(parts.collectors, running.status, answering.query_stats)
        await _show(parts, running)
        await signed.wait()
        await _manage(parts, registry, zones, kms)
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


async def _show(parts: _Parts, running: RunningServer) -> None:
    """Open what people and their monitoring look at: the metrics and the control socket."""
    exposition = partial(metrics.exposition, parts.collectors)
    if (watched := parts.sockets.watched) is not None:
        limits = HttpLimits(connections=32, hosts=frozenset(parts.config.hosts), signed=False)
        await parts.nursery.start(partial(serve_http, watching_app(running, exposition), watched, limits=limits))
    await parts.supervisor.start(
        "control socket",
        partial(_control, control_app(running, exposition, ForPeople()), parts.state),
        refused=(StateError,),
    )


async def _say_ready(running: RunningServer, on_ready: Callable[[RunningServer], None], supervisor: Supervisor) -> None:
    """Tell programs, people and the service manager, in this order: who waits for one finds what comes before it."""
    await supervisor.attempt("writing server.json", running.write_server_file)
    on_ready(running)
    notify("READY=1")


def _running(
    parts: _Parts, reread: Callable[[], Config], registry: ZoneRegistry, kms: KmsAccess, lease: TopLease
) -> RunningServer:
    running = RunningServer(
        parts.config,
        reread,
        parts.state,
        parts.store,
        registry,
        parts.sockets.listeners,
        kms.url,
        parts.sockets.watched_address(parts.config),
        parts.sockets.api_url(parts.config),
        parts.answering.reports,
        parts.supervisor,
        parts.clock,
        lease.top,
    )
    running.on_reload = parts.answering.reopen_log
    return running


async def _manage(parts: _Parts, registry: ZoneRegistry, zones: HostedZones, kms: KmsAccess) -> None:
    """Serve the Route 53 API, where it is wanted, and lead AWS clients to it and to the emulator."""
    config, state, sockets, supervisor = parts.config, parts.state, parts.sockets, parts.supervisor
    site = Site(account=config.kms.account, region=config.kms.region)

    def ask(wire: bytes) -> bytes | None:
        return respond(wire, registry.zoneset, int(parts.clock.now()), Via.TCP, failed=log_failure)

    url, route53 = sockets.api_url(config), config.route53
    if route53 is not None and sockets.api is not None:
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
    parts: _Parts,
) -> AsyncIterator[tuple[ZoneRegistry, HostedZones, trio.MemoryReceiveChannel[None], KmsAccess]]:
    """The zones with all that their keys need, notice of their changes, and the KMS."""
    config, state, store, clock, supervisor = parts.config, parts.state, parts.store, parts.clock, parts.supervisor
    announce, changes = trio.open_memory_channel[None](1)

    def changed() -> None:
        # One pending notice stands for any number of changes.
        try:
            announce.send_nowait(None)
        except trio.WouldBlock:
            return

    membership = Membership(store, parts.answering, SYSTEM.boot)
    hooks, meter = Hooks(config.hooks, supervisor.report), metrics.KmsMeter(parts.collectors)
    supervisor.start_soon("hooks", hooks.run)
    async with (
        # A request to the KMS is signed with the wall clock as it is: its own clock decides which is right.
        open_kms(config.kms, state, parts.sockets.emulator, time.time, supervisor, meter) as kms,
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


async def _look_at_log(answering: Answering, supervisor: Supervisor) -> None:
    """Say in `status` whether queries can be logged, where they are to be."""
    while True:
        supervisor.report("the query log", answering.log_trouble())
        await trio.sleep(_LOOK_AT_LOG)


async def _control(app: ASGIApp, state: StateDir, *, task_status: trio.TaskStatus[None]) -> None:
    """Serve the control protocol. Raises `StateError` for a path that no socket can have."""
    await serve_http(app, bind_control(state.control_socket), limits=CONTROL_LIMITS, task_status=task_status)


def _clock_moved(registry: ZoneRegistry, answering: Answering) -> None:
    """The time jumped: waits of key managers count by a clock that does not know of it, and workers are to agree."""
    answering.clock_moved()
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
