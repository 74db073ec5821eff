"""The emulator put together: its state on disk, its HTTP edge, and the files that lead clients to it."""

from __future__ import annotations

import secrets
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

import trio

from keys.aws.caller_identity import CallerIdentity
from keys.aws.http_limits import Limits
from keys.aws.http_server import serve_http
from keys.blocking_calls import RunBlocking
from keys.custody import private_files
from keys.emulator import aws_files
from keys.emulator.injected_faults import Faults
from keys.emulator.key_material import PrivateKey, generate_key
from keys.emulator.key_records import Site
from keys.emulator.keystore import Keystore, KeystoreError
from keys.emulator.kms_http import Edge
from keys.emulator.principals import Principals, RandomBytes
from keys.emulator.request_handling import Service

EXPIRY_INTERVAL = 3600.0
"""Seconds between two looks for keys whose deletion date has come; every request looks too."""
FIRST_RETRY = 10.0
"""Seconds until a look that failed is repeated; twice as long each time, and an hour at most."""
_LIMITS = Limits(hosts=frozenset())
"""A client that signs may call it as it likes; a browser that was led here may not."""


class Emulator(NamedTuple):
    """A running emulator, for the process that it runs in."""

    endpoint: str
    """Its URL, for AWS_ENDPOINT_URL_KMS."""
    site: Site
    credentials: Principals
    faults: Faults
    calls: Counter[str]
    """How many signed requests came, by operation."""


async def run_emulator(
    state: Path,
    sock: socket.socket,
    *,
    now: Callable[[], float],
    site: Site | None = None,
    run_blocking: RunBlocking = trio.to_thread.run_sync,
    random_bytes: RandomBytes = secrets.token_bytes,
    make_key: Callable[[str], PrivateKey] = generate_key,
    report: Callable[[str | None], None] = lambda _: None,
    task_status: trio.TaskStatus[Emulator] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the keys under STATE/kms on `sock` (TCP, bound and listening; closed here) until cancelled.

    Credentials are read from STATE/aws, generated there on first start, and STATE/aws/config is written to point at
    this socket. `now` is the wall clock in seconds since the epoch. Passes an `Emulator` once it answers.
    A disk that refuses writes later does not end it: `report` receives the failure, and None once it is over.
    Raises `KeystoreError` and `CredentialsFileError` for state that can't be used, or that another process uses.
    """
    site = site or Site()
    endpoint = _endpoint(sock)
    with sock, _locked(state / "kms"):
        store = Keystore(state / "kms", run_blocking)
        credentials = aws_files.load_credentials(state, random_bytes)
        faults = Faults()
        service = Service(site, store, now, random_bytes, make_key)
        edge = Edge(site, credentials, service, faults, now, random_bytes)
        app = CallerIdentity(
            edge.app, credentials.secret_of, partial(credentials.identity, site=site), now, random_bytes
        )
        write_config = partial(aws_files.write_config, state, site.region, {"kms": endpoint, "sts": endpoint})
        try:
            write_config()
        except OSError:  # `_keep_up` tells of it
            unwritten: list[Callable[[], None]] = [write_config]
        else:
            unwritten = []
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_http, app, sock, limits=_LIMITS))
            task_status.started(Emulator(endpoint, site, credentials, faults, edge.calls))
            await _keep_up(store, now, unwritten, report)


async def _keep_up(
    store: Keystore,
    now: Callable[[], float],
    unwritten: list[Callable[[], None]],
    report: Callable[[str | None], None],
) -> NoReturn:
    """What the disk is to take in time: keys that are deleted, and at first the configuration of clients."""
    retry = FIRST_RETRY
    while True:
        try:
            await store.expire(now())
            for write in unwritten:
                write()
            unwritten = []
        except OSError as error:
            report(f"cannot delete keys that are due for deletion, or write aws/config: {error}")
            await trio.sleep(retry)
            retry = min(2 * retry, EXPIRY_INTERVAL)
        else:
            report(None)
            retry = FIRST_RETRY
            await trio.sleep(EXPIRY_INTERVAL)


def _endpoint(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if sock.family == socket.AF_INET6 else f"http://{host}:{port}"


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the key store for this process: two that write it would each undo what the other wrote."""
    private_files.private_directory(directory)
    with ExitStack() as holding:
        try:
            holding.enter_context(private_files.held(directory / "lock"))
        except private_files.HeldError:
            raise KeystoreError(f"{directory}: another process uses this key store; stop it first") from None
        yield
