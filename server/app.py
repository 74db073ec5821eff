"""The composition root: everything that runs, put together in one nursery.

Listeners are critical: one that crashes ends the process. Custodians look after themselves. The order of a start is
state, sockets, zones, KMS, answering, signing, ready; a zone without a valid keyset answers SERVFAIL meanwhile.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import string
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial

import structlog
import trio
from prometheus_client import CollectorRegistry

from keys.http import serve_http
from keys.performer import Services
from keys.store import Store
from keys.zsk import generate_private_key
from server import metrics
from server.config import Config, ConfigError
from server.control.app import control_app, watching_app
from server.control.sockets import bind_control
from server.hooks import Hooks
from server.hosted import HostedZones
from server.hosting import Change, Hosting, ZoneLoad
from server.hot import Responder
from server.kms import open_kms
from server.listen import Pair, bind, bind_stream
from server.memo import Memo
from server.operations import Outcome
from server.running import Running
from server.statedir import StateDir, open_state
from server.tcp import Limits, serve_tcp
from server.udp import serve_udp

CONCURRENT_SIGNATURES = 32
"""KMS Sign calls in flight, over all zones."""

_TOKEN = string.ascii_uppercase + string.digits
_log = structlog.get_logger("signwright")


class NothingToServe(Exception):  # noqa: N818 - it names what happened
    """No zone is configured, or none could be loaded; `loads` says why."""

    def __init__(self, loads: Sequence[ZoneLoad]) -> None:
        reasons = "; ".join(load.reason for load in loads if load.reason)
        super().__init__(f"no zone can be served: {reasons}" if reasons else "no zone is configured")
        self.loads = loads


async def run(config: Config, reread: Callable[[], Config], on_ready: Callable[[Running], None]) -> Outcome:
    """Serve until a signal or the control socket ends it. `reread` gives the configuration anew, for a reload.

    Raises `StateError`, `PortInUse`, `CannotListen`, `KmsError`, `KeystoreError` and `NothingToServe` for what a person
    must mend.
    """
    with ExitStack() as held:
        state = held.enter_context(open_state(config.state))
        pairs = [held.enter_context(_bound(bind(address))) for address in config.listen]
        watched = None
        if config.metrics is not None:
            watched = held.enter_context(bind_stream(config.metrics, "the setting metrics"))
        store = held.enter_context(Store.open(state.path, os.urandom))
        with _single_errors():
            async with trio.open_nursery() as nursery:
                outcome = await _serve(config, reread, on_ready, state, pairs, watched, store, nursery)
                nursery.cancel_scope.cancel()
        return outcome


async def _serve(
    config: Config,
    reread: Callable[[], Config],
    on_ready: Callable[[Running], None],
    state: StateDir,
    pairs: Sequence[Pair],
    watched: socket.socket | None,
    store: Store,
    nursery: trio.Nursery,
) -> Outcome:
    registry = CollectorRegistry()
    async with _hosting(config, state, store, registry, nursery) as (hosting, hosted, changes, kms):
        port = watched.getsockname()[1] if watched is not None else 0
        watching = config.metrics._replace(port=port) if config.metrics is not None else None
        listeners = [pair.address for pair in pairs]
        running = Running(config, reread, state, store, hosting, listeners, kms, watching)
        kept = await hosted.load()
        loads = await hosting.load(config.zones)
        if not kept and all(load.change is Change.REFUSED for load in loads):
            raise NothingToServe(loads)
        memo = Memo()
        responder = Responder(lambda: hosting.zoneset, memo, config.udp_size)
        _answer(config, pairs, responder, nursery)
        metrics.register(registry, running.status, responder, memo)
        exposition = partial(metrics.exposition, registry)
        if watched is not None:
            await nursery.start(serve_http, watching_app(running, exposition), watched)
        await nursery.start(serve_http, control_app(running, exposition), bind_control(state.control_socket))
        await hosting.sign()
        await running.write_trust()
        nursery.start_soon(running.keep_trust_written, changes)
        await nursery.start(_follow_signals, running)
        on_ready(running)
        return await running.ended()


@asynccontextmanager
async def _hosting(
    config: Config, state: StateDir, store: Store, registry: CollectorRegistry, nursery: trio.Nursery
) -> AsyncIterator[tuple[Hosting, HostedZones, trio.MemoryReceiveChannel[None], str]]:
    """The zones with all that their keys need, notice of their changes, and the URL of the KMS."""
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
            new_token=_new_token,
            generate_private_key=generate_private_key,
            log=structlog.get_logger("signwright.keys"),
            notify=hooks.notify,
        )
        hosting = Hosting(services, nursery, changed)
        yield hosting, HostedZones(hosting, services, policy=config.policy), changes, kms.url


def _answer(config: Config, pairs: Sequence[Pair], responder: Responder, nursery: trio.Nursery) -> None:
    limits = Limits(config.tcp.connections, config.tcp.idle)
    for pair in pairs:
        nursery.start_soon(serve_udp, pair.udp, responder, time.time)
        nursery.start_soon(serve_tcp, pair.tcp, responder, time.time, limits)


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


def _new_token() -> str:
    return "".join(secrets.choice(_TOKEN) for _ in range(20))
