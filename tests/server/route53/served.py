"""The API on a loopback port over real hosted zones, and boto3 as a client that knows nothing of our code."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
import pytest
import trio
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from keys.aws.http_server import serve_http
from keys.emulator.principals import AccessKey, generate_access_key
from keys.kms.interface import KeyRequest
from server.hosting.hosted_zones import HostedZones
from server.hosting.zone_registry import ZoneRegistry
from server.query.respond import Via, respond
from server.route53.api import Clocks, Route53App
from server.route53.api_users import Access, User, Users
from server.route53.service_model import load_model
from server.settings.configuration import ZoneConfig
from tests.keys.world import Fuse, World

NAME_SERVERS = ("ns1.test", "ns2.test")
ROOT, READER, STRANGER = (generate_access_key(os.urandom) for _ in range(3))
USERS = Users(
    {
        ROOT: User("root", "arn:aws:iam::000000000000:root", Access.FULL),
        READER: User("audit", "arn:aws:iam::000000000000:user/audit", Access.READ_ONLY),
    }
)
FILE = "@ 300 SOA ns host 7 2 3 4 60\n@ 300 NS ns.elsewhere.test.\nwww 60 A 192.0.2.7\n"
model = cache(load_model)


@cache
def session(key: AccessKey, region: str) -> boto3.Session:
    """boto3's, kept since each reads the model of the whole API."""
    return boto3.Session(aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=region)


class Api:
    """The API, and its parts for tests that reach behind it."""

    def __init__(self, endpoint: str, world: World, registry: ZoneRegistry, zones: HostedZones) -> None:
        self.endpoint = endpoint
        self.world = world
        self.registry = registry
        self.zones = zones
        self.clients: list[Any] = []
        self.set_back = 0.0
        """Seconds by which the clock of the keys was set back."""
        self.client = self.connect()

    def connect(self, key: AccessKey = ROOT, *, attempts: int = 1, region: str = "us-east-1", **options: Any) -> Any:
        """boto3's client of it."""
        config = BotoConfig(retries={"total_max_attempts": attempts}, connect_timeout=60, read_timeout=60)
        made = session(key, region).client("route53", endpoint_url=self.endpoint, config=config, **options)
        self.clients.append(made)
        return self.clients[-1]

    async def __call__(self, operation: str, client: Any = None, **params: Any) -> Any:
        """The answer of an operation."""
        return await trio.to_thread.run_sync(partial(getattr(client or self.client, operation), **params))

    async def error(self, operation: str, client: Any = None, **params: Any) -> tuple[str, int, str]:
        """The code, HTTP status and message with which an operation is refused."""
        with pytest.raises(ClientError) as caught:
            await self(operation, client, **params)
        response = caught.value.response
        assert response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]

    async def create(self, name: str = "lab.example") -> str:
        """The id of a new zone."""
        made = await self("create_hosted_zone", Name=name, CallerReference=f"{uuid.uuid4()}")  # none is ever free again
        return str(made["HostedZone"]["Id"])

    async def key(self) -> str:
        """The ARN of a new key in the KMS."""
        return await self.world.kms.create_key(KeyRequest("a KSK", None, {}))


@asynccontextmanager
async def served(
    folder: Path,
    *,
    rate: int = 1_000_000,
    now: Callable[[], float] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    tls: Any = None,
) -> AsyncIterator[Api]:
    """The API over a new state in `folder`, with one zone of a file, `file.example`."""
    file = folder / "file.example.zone"
    file.write_text(FILE)
    world = World(folder / "world")
    with world.open_store() as store, listening() as sock:
        opened: list[Api] = []

        def clock() -> float:
            return time.time() - sum(api.set_back for api in opened)

        services = replace(world.services(store, Fuse()), now=clock, run_blocking=trio.to_thread.run_sync)
        async with trio.open_nursery() as nursery:
            registry = ZoneRegistry(services, nursery, lambda: None)
            zones = HostedZones(registry, services)
            await zones.load()
            await registry.load([ZoneConfig(origin="file.example.", file=file)])
            await registry.sign()

            def ask(wire: bytes) -> bytes | None:
                return respond(wire, registry.zoneset, int(time.time()), Via.TCP)

            app = Route53App(
                model(),
                zones,
                USERS,
                NAME_SERVERS,
                ask,
                rate=rate,
                clocks=Clocks(now or time.time, monotonic),
                random_bytes=os.urandom,
            )
            scheme, port = "https" if tls else "http", sock.getsockname()[1]
            await nursery.start(partial(serve_http, app, sock, tls=tls))
            api = Api(f"{scheme}://127.0.0.1:{port}", world, registry, zones)
            opened.append(api)
            try:
                yield api
            finally:
                for client in api.clients:
                    client.close()
                nursery.cancel_scope.cancel()


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket that listens on 127.0.0.1."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock


def certificate(folder: Path) -> tuple[Path, Path]:
    """The files of a certificate for 127.0.0.1, which is its own authority, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "api.pem", folder / "api.key"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files
