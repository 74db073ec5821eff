"""Which KMS the keys are in: the emulator in this process, or another one by its endpoint."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import NamedTuple

import trio
from botocore.session import Session

from keys.emulator.key_records import Site
from keys.emulator.run import Emulator, run_emulator
from keys.kms.kms_client import KmsClient
from keys.kms.kms_credentials import fixed_session
from keys.kms.ksk_key_policy import dnssec_key_policy
from keys.kms.shared_kms import OTHER_CALLS, SharedKms
from server.settings.configuration import KmsConfig
from server.state.directory import StateDir
from server.supervised import Supervisor


class KmsAccess(NamedTuple):
    """The KMS as its two callers see it."""

    provisioning: SharedKms
    """As the account: makes and finds keys."""
    service: SharedKms
    """As the DNSSEC service: tells public keys and signs."""
    key_policy: str | None
    """The policy of keys that are made; None leaves it to the KMS's default."""
    emulator: Emulator | None
    url: str


SIGNERS = 8
"""DNSKEY RRsets that are signed at a time. Each has one Sign call after the other in flight, and a connection for it:
with 20 ms a call that is 400 signatures a second, with 3 s it takes 16 hours of a day for 10,000 zones.
"""
CONNECTIONS = SIGNERS + OTHER_CALLS + 1
"""To one KMS, for each identity: one for each signer, one for each other call, and one to list keys."""
CREDENTIAL_THREADS = 40


@asynccontextmanager
async def open_kms(
    config: KmsConfig,
    state: StateDir,
    sock: socket.socket | None,
    now: Callable[[], float],
    supervisor: Supervisor,
    on_call: Callable[[str, str, float], None] | None = None,
) -> AsyncIterator[KmsAccess]:
    """Open what the configuration names; `supervisor` runs an embedded emulator, which `sock` is for. `on_call` is
    called for every call.

    Raises `KmsError` for a configuration that leads nowhere, and what `run_emulator` raises.
    """
    # A credential process that hangs is left behind at the time-out: botocore would wait for it for ever.
    # In threads of its own: no call waits behind the disk, and what hangs takes no thread from others.
    threads = trio.CapacityLimiter(CREDENTIAL_THREADS)
    patient = partial(trio.to_thread.run_sync, abandon_on_cancel=True, limiter=threads)
    connect = partial(
        KmsClient,
        run_blocking=patient,
        now=now,
        monotonic=time.monotonic,
        region=config.region,
        on_call=on_call,
        connections=CONNECTIONS,
    )
    async with AsyncExitStack() as clients:
        if config.endpoint is None:
            assert sock is not None
            emulator = await _embedded(config, state, sock, now, supervisor)
            root, service = emulator.credentials
            provisioning = connect(endpoint=emulator.endpoint, make_session=fixed_session(root.id, root.secret))
            signing = connect(
                endpoint=emulator.endpoint,
                make_session=fixed_session(service.id, service.secret),
                source_account=config.account,
            )
            shared = SharedKms(provisioning), SharedKms(signing)
            access = KmsAccess(*shared, dnssec_key_policy(config.account), emulator, emulator.endpoint)
            await clients.enter_async_context(provisioning)
            await clients.enter_async_context(signing)
        else:
            # One identity for both, that of the credentials. It may use the keys that it creates.
            client = connect(endpoint=config.endpoint, make_session=partial(Session, profile=config.profile))
            both = SharedKms(client)
            access = KmsAccess(both, both, None, None, config.endpoint)
            await clients.enter_async_context(client)
        yield access


async def _embedded(
    config: KmsConfig, state: StateDir, sock: socket.socket, now: Callable[[], float], supervisor: Supervisor
) -> Emulator:
    """The emulator. What ends it later is an outage of the KMS, and it is started again on the same socket."""
    site = Site(account=config.account, region=config.region)
    report = partial(supervisor.report, "KMS emulator's disk")

    async def run(*, task_status: trio.TaskStatus[Emulator]) -> None:
        await run_emulator(state.path, sock.dup(), now=now, site=site, report=report, task_status=task_status)

    emulator = await supervisor.start("KMS emulator", run)
    assert emulator is not None
    return emulator
