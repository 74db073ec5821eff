"""The API put together: its users, its listener with or without TLS, and the file that leads AWS clients to it."""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from pathlib import Path

import trio

from keys.aws.caller_identity import CallerIdentity
from keys.aws.http_limits import Limits
from keys.aws.http_server import serve_http
from keys.emulator import aws_files
from keys.emulator.key_records import Site
from server.hosting.zone_operations import ZoneOperations
from server.kms_connection import KmsAccess
from server.net.addresses import Address
from server.route53.api import SKEW, Clocks, Route53App
from server.route53.api_call import Ask
from server.route53.api_users import Access, load_users
from server.route53.service_model import load_model
from server.settings.configuration import ConfigError, Route53Config

KMS, ROUTE_53, STS = "kms", "route_53", "sts"
"""What AWS's configuration files call the services."""

_TABLE = "route53"


def tls_context(config: Route53Config) -> ssl.SSLContext | None:
    """What encrypts connections, where they are encrypted. Raises `ConfigError`."""
    if config.tls is None:
        return None
    certificate, key = config.tls
    _check_pem(certificate, b"CERTIFICATE-----", "tls_certificate", "certificate")
    _check_pem(key, b" KEY-----", "tls_key", "private key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password=b"")  # never asks for one
    except ssl.SSLError as error:
        alien = error.reason == "KEY_VALUES_MISMATCH"
        reason = "the key does not belong to the certificate" if alien else error.reason or str(error)
        raise ConfigError(
            f"{certificate} and {key} cannot be used for TLS: {reason}", key=f"{_TABLE}.tls_key"
        ) from None
    return context


def _check_pem(file: Path, mark: bytes, setting: str, what: str) -> None:
    """Raise `ConfigError` for a file that can't be read or does not hold `what`: OpenSSL says not which of two."""
    try:
        content = file.read_bytes()
    except OSError as error:
        reason = f"{file} cannot be read: {error.strerror}"
    else:
        if mark not in content:
            reason = f"{file} contains no {what} (PEM)"
        elif b"-----BEGIN ENCRYPTED" in content or b",ENCRYPTED" in content:
            reason = f"{file} is encrypted: give a key without a passphrase"
        else:
            return
    raise ConfigError(reason, key=f"{_TABLE}.{setting}")


def endpoint(config: Route53Config, sock: socket.socket) -> str:
    """The URL of the API on `sock`."""
    scheme = "https" if config.tls is not None else "http"
    return f"{scheme}://{Address(config.listen.host, sock.getsockname()[1])}"


def point_clients(state: Path, site: Site, kms: KmsAccess, config: Route53Config | None, url: str | None) -> None:
    """Write STATE/aws/config, so that AWS clients find the emulator and, where it listens, the API. Blocks.

    Any other KMS does not know the credentials beside it. One that is there already is that of an emulator which runs
    on this state by itself.
    """
    users = list(config.users) if config is not None else []
    endpoints = {ROUTE_53: url}
    if kms.emulator is not None or aws_files.endpoint_of(state, KMS) != kms.url.rstrip("/"):
        endpoints[KMS] = kms.url if kms.emulator is not None else None
    endpoints[STS] = url or endpoints.get(KMS)  # the API knows the users, the emulator the root alone
    aws_files.write_config(state, site.region, endpoints, users)


async def serve_route53(
    config: Route53Config,
    state: Path,
    site: Site,
    operations: ZoneOperations,
    ask: Ask,
    sock: socket.socket,
    tls: ssl.SSLContext | None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the API on `sock` (bound and listening; closed here) until cancelled. Raises `CredentialsFileError`."""
    with sock:
        configured = {name: Access(access) for name, access in config.users.items()}
        users = await trio.to_thread.run_sync(load_users, state, site, configured, secrets.token_bytes)
        api = Route53App(
            await trio.to_thread.run_sync(load_model),
            operations,
            users,
            config.name_servers,
            ask,
            rate=config.rate,
            clocks=Clocks(time.time, time.monotonic),
            random_bytes=secrets.token_bytes,
        )
        app = CallerIdentity(api, users.secret_of, users.identity, time.time, secrets.token_bytes, SKEW)
        # A client that signs may call it as it likes; a browser that was led here may not.
        limits = Limits(hosts=frozenset())
        await serve_http(app, sock, tls=tls, limits=limits, task_status=task_status)
