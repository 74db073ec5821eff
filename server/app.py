"""The composition root: everything that runs, put together in one nursery.

Listeners are critical: one that crashes ends the process. Custodians look after themselves. The order of a start is
state, sockets, zones, KMS, answering, signing, ready; a zone without a valid keyset answers SERVFAIL meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import socket
import ssl
import string
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence, Set
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from itertools import chain
from typing import NamedTuple

import structlog
import trio
from prometheus_client import CollectorRegistry

from keys.aws.http import serve_http
from keys.custody.performer import Services
from keys.custody.store import Store
from keys.dnssec.zsk import generate_private_key
from keys.emulator.model import Site
from server.control.app import control_app, watching_app
from server.control.operations import Outcome, WorkerReport
from server.control.running import Running
from server.control.sockets import bind_control
from server.hosting.answering import Answering, Here
from server.hosting.hosted import HostedZones
from server.hosting.hosting import Change, Hosting, ZoneLoad
from server.hosting.images import Images
from server.hosting.zone_files import ZoneFiles
from server.kms import KmsAccess, open_kms
from server.monitoring import metrics
from server.monitoring.collecting import Aside, setting_aside
from server.monitoring.hooks import Hooks
from server.monitoring.traffic import Traffic
from server.net.addresses import Address
from server.net.listen import Pair, bind, bind_shared, bind_stream
from server.net.tcp import Limits, serve_tcp
from server.net.udp import serve_udp
from server.query.answer import Via, respond
from server.query.fast.hot import Responder
from server.query.fast.memo import Memo
from server.route53.serving import endpoint as route53_endpoint
from server.route53.serving import point_clients, serve_route53, tls_context
from server.settings.config import AUTO, Config, ConfigError
from server.state.statedir import StateDir, open_state
from server.worker.pool import Pool
from zones import names

CONCURRENT_SIGNATURES = 32
"""DNSKEY RRsets that are signed at a time, each by one KMS call after the other."""

_TOKEN = string.ascii_uppercase + string.digits
_log = structlog.get_logger("signwright")

_MOST_NAMED = 3
"""Zones of a state that are named in a message."""


class NothingToServe(Exception):  # noqa: N818 - it names what happened
    """No zone is configured, or none could be loaded; `loads` says why."""

    def __init__(self, loads: Sequence[ZoneLoad]) -> None:
        reasons = "; ".join(load.reason for load in loads if load.reason)
        super().__init__(f"no zone can be served: {reasons}" if reasons else "no zone is configured")
        self.loads = loads


async def run(
    config: Config, reread: Callable[[], Config], on_ready: Callable[[Running], None], log: str = "auto"
) -> Outcome:
    """Serve until a signal or the control socket ends it. `reread` gives the configuration anew, for a reload; `log`
    says how the log of workers looks.

    Raises `ConfigError`, `StateError`, `PortInUse`, `CannotListen`, `KmsError`, `KeystoreError`,
    `CredentialsFileError`, `WorkerFailed` and `NothingToServe` for what a person must mend.
    """
    with ExitStack() as held:
        aside = held.enter_context(setting_aside())
        state = held.enter_context(open_state(config.state))
        sockets = _bind(config, held)
        store = held.enter_context(Store.open(state.path, os.urandom))
        with _single_errors():
            async with trio.open_nursery() as nursery:
                outcome = await _serve(config, reread, on_ready, log, state, sockets, store, aside, nursery)
                nursery.cancel_scope.cancel()
        return outcome


class _Sockets(NamedTuple):
    """All that is listened on, but for the control socket."""

    listened: Sequence[Sequence[Pair]]
    """By address: one pair, or one for each worker."""
    watched: socket.socket | None
    api: socket.socket | None
    tls: ssl.SSLContext | None
    """Of `api`."""


def _bind(config: Config, held: ExitStack) -> _Sockets:
    """Bind what the configuration names; `held` closes it."""
    listened: list[Sequence[Pair]] = []
    for address in config.listen:
        pairs = bind_shared(address, config.workers) if config.workers else (bind(address),)
        listened.append([held.enter_context(_bound(pair)) for pair in pairs])
    watched = api = tls = None
    if config.metrics is not None:
        watched = held.enter_context(bind_stream(config.metrics, "the setting metrics"))
    if config.route53 is not None:
        tls = tls_context(config.route53)
        api = held.enter_context(bind_stream(config.route53.listen, "the setting route53.listen"))
    return _Sockets(listened, watched, api, tls)


async def _serve(
    config: Config,
    reread: Callable[[], Config],
    on_ready: Callable[[Running], None],
    log: str,
    state: StateDir,
    sockets: _Sockets,
    store: Store,
    aside: Aside,
    nursery: trio.Nursery,
) -> Outcome:
    registry = CollectorRegistry()
    limits = Limits(config.tcp.connections, config.tcp.idle)
    pool = None
    if config.workers:
        pool = Pool([*zip(*sockets.listened, strict=True)], config.udp_size, limits, Images(state.images), log)
    async with _hosting(config, state, store, registry, pool or Here(), nursery) as (hosting, zones, changes, kms):
        running = _running(config, reread, state, sockets, store, hosting, kms, pool)
        kept = await zones.load()
        if config.samples:
            await trio.to_thread.run_sync(_refuse_strangers, config, state, store, set(hosting.hosted))
        loads = await hosting.load(config.zones)
        if not kept and (loads or config.route53 is None) and all(load.change is Change.REFUSED for load in loads):
            raise NothingToServe(loads)
        if pool is not None:
            await nursery.start(pool.run)
            traffic = pool.traffic
        else:
            traffic = _answer(config, sockets, limits, hosting, nursery)
        metrics.register(registry, running.status, traffic)
        exposition = partial(metrics.exposition, registry)
        if sockets.watched is not None:
            await nursery.start(serve_http, watching_app(running, exposition), sockets.watched)
        await nursery.start(serve_http, control_app(running, exposition), bind_control(state.control_socket))
        await hosting.sign()
        await _manage(config, state, sockets, hosting, zones, kms, nursery)
        await running.write_trust()
        nursery.start_soon(running.keep_trust_written, changes)
        await nursery.start(_follow_signals, running)
        await hosting.answering.reached()
        _settle(aside)
        on_ready(running)
        return await running.ended()


def _running(
    config: Config,
    reread: Callable[[], Config],
    state: StateDir,
    sockets: _Sockets,
    store: Store,
    hosting: Hosting,
    kms: KmsAccess,
    pool: Pool | None,
) -> Running:
    watching = _with_port(config.metrics, sockets.watched)
    listeners = [pairs[0].address for pairs in sockets.listened]
    api = route53_endpoint(config.route53, sockets.api) if config.route53 and sockets.api else None
    workers: Callable[[], tuple[WorkerReport, ...]] = pool.reports if pool is not None else tuple
    return Running(config, reread, state, store, hosting, listeners, kms.url, watching, api, workers)


def _refuse_strangers(config: Config, state: StateDir, store: Store, hosted: Set[bytes]) -> None:
    """Refuse to serve the samples for want of named zones, where there are keys of zones that somebody named before.

    Those would not be answered any more, and the samples' keys would join theirs.
    """
    samples = {names.from_text(zone.origin) for zone in config.zones}
    strangers = sorted(
        names.to_text(ring.origin) for ring in store.load_rings() if ring.ksks and ring.origin not in samples | hosted
    )
    if strangers:
        told = ", ".join(strangers[:_MOST_NAMED]) + (" and others" if len(strangers) > _MOST_NAMED else "")
        raise ConfigError(
            f"no zone is named, and {state.path} has the keys of {told}: name the zones or --config as before, "
            "or have the sample zones in another state directory (--state)"
        )


def _with_port(address: Address | None, sock: socket.socket | None) -> Address | None:
    return address._replace(port=sock.getsockname()[1]) if address is not None and sock is not None else None


async def _manage(
    config: Config,
    state: StateDir,
    sockets: _Sockets,
    hosting: Hosting,
    zones: HostedZones,
    kms: KmsAccess,
    nursery: trio.Nursery,
) -> None:
    """Serve the Route 53 API, where it is wanted, and lead AWS clients to it and to the emulator."""
    site = Site(account=config.kms.account, region=config.kms.region)

    def ask(wire: bytes) -> bytes | None:
        return respond(wire, hosting.zoneset, int(time.time()), Via.TCP)

    url = None
    if config.route53 is not None and sockets.api is not None:
        url = route53_endpoint(config.route53, sockets.api)
        await nursery.start(serve_route53, config.route53, state.path, site, zones, ask, sockets.api, sockets.tls)
    if url is not None or kms.emulator is not None:
        await trio.to_thread.run_sync(point_clients, state.path, site, kms, config.route53, url)


@asynccontextmanager
async def _hosting(
    config: Config,
    state: StateDir,
    store: Store,
    registry: CollectorRegistry,
    answering: Answering,
    nursery: trio.Nursery,
) -> AsyncIterator[tuple[Hosting, HostedZones, trio.MemoryReceiveChannel[None], KmsAccess]]:
    """The zones with all that their keys need, notice of their changes, and the KMS."""
    announce, changes = trio.open_memory_channel[None](1)

    def changed() -> None:
        # One pending notice stands for any number of changes.
        try:
            announce.send_nowait(None)
        except trio.WouldBlock:
            return

    hooks = Hooks(config.hooks)
    nursery.start_soon(hooks.run)
    async with open_kms(config.kms, state, time.time, nursery, metrics.KmsMeter(registry)) as kms:
        services = Services(
            provisioning=kms.provisioning,
            service=kms.service,
            key_policy=kms.key_policy,
            store=store,
            run_blocking=trio.to_thread.run_sync,
            limit=trio.CapacityLimiter(CONCURRENT_SIGNATURES),
            now=time.time,
            new_token=lambda: kms.provisioning.coin(_new_token()),
            generate_private_key=generate_private_key,
            log=structlog.get_logger("signwright.keys"),
            notify=hooks.notify,
            published=answering.reached,
        )
        files = ZoneFiles(Images(state.images), services.run_blocking)
        hosting = Hosting(services, nursery, changed, answering, files)
        parent = config.route53.parent if config.route53 is not None else AUTO
        yield hosting, HostedZones(hosting, services, policy=config.policy, parent=parent), changes, kms


def _answer(
    config: Config, sockets: _Sockets, limits: Limits, hosting: Hosting, nursery: trio.Nursery
) -> Callable[[], Traffic]:
    """Answer in this process; what tells how much was answered."""
    memo = Memo()
    responder = Responder(lambda: hosting.zoneset, memo, config.udp_size)
    for pair in chain.from_iterable(sockets.listened):
        nursery.start_soon(serve_udp, pair.udp, responder, time.time)
        nursery.start_soon(serve_tcp, pair.tcp, responder, time.time, limits)
    return partial(Traffic.of, responder, memo)


async def _follow_signals(running: Running, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGHUP, signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP:
                try:
                    await running.reload()
                except ConfigError as error:
                    _log.error("not reloaded", reason=str(error))
            else:
                _log.info("stopping", signal=signal.Signals(number).name)
                running.end(Outcome.STOPPED)


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
