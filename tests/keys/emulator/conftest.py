"""A running emulator on 127.0.0.1, and boto3 as a client that knows nothing of our code."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import trio
from botocore.config import Config
from botocore.exceptions import ClientError

from keys.emulator.principals import AccessKey
from keys.emulator.run import Emulator, run_emulator


class Clock:
    """The wall clock of the emulator and of boto3, which a test can set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def as_datetime(self) -> datetime:
        """The time as botocore asks for it when it signs."""
        return datetime.fromtimestamp(self(), UTC).replace(tzinfo=None)


def listening_socket() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("botocore.auth.get_current_datetime", made.as_datetime)
    return made


@pytest.fixture
async def emulator(tmp_path: Path, clock: Clock) -> AsyncIterator[Emulator]:
    async with trio.open_nursery() as nursery:
        yield await nursery.start(partial(run_emulator, tmp_path, listening_socket(), now=clock))
        nursery.cancel_scope.cancel()


class Boto:
    """boto3's KMS client, each call in a thread."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def __call__(self, operation: str, **params: Any) -> Any:
        """The answer of an operation."""
        return await trio.to_thread.run_sync(partial(getattr(self.client, operation), **params))

    async def error(self, operation: str, **params: Any) -> tuple[str, int]:
        """The error code and HTTP status with which an operation is refused."""
        with pytest.raises(ClientError) as caught:
            await self(operation, **params)
        response = caught.value.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def client(
    endpoint: str,
    key: AccessKey,
    *,
    source: dict[str, str] | None = None,
    region: str = "us-east-1",
    patience: float = 60,
) -> Boto:
    """boto3 with these credentials, sending (and signing) the headers `source` with each request.

    It waits `patience` seconds for an answer.
    """
    config = Config(retries={"total_max_attempts": 1}, read_timeout=patience, connect_timeout=60)
    made = boto3.client(
        "kms",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=config,
    )

    def add_source(request: Any, **_: Any) -> None:
        for name, value in (source or {}).items():
            request.headers[name] = value

    made.meta.events.register("before-sign.kms", add_source)
    return Boto(made)


@pytest.fixture
def listening() -> Callable[[], socket.socket]:
    """Makes sockets that listen on 127.0.0.1."""
    return listening_socket


@pytest.fixture
def make_client() -> Iterator[Callable[..., Boto]]:
    """Makes clients of any endpoint; closes them."""
    made: list[Boto] = []

    def make(endpoint: str, key: AccessKey, **options: Any) -> Boto:
        made.append(client(endpoint, key, **options))
        return made[-1]

    yield make
    for boto in made:
        boto.client.close()


@pytest.fixture
def connect(emulator: Emulator, make_client: Callable[..., Boto]) -> Callable[..., Boto]:
    """Makes clients of the emulator, by default with the account root's credentials."""

    def make(key: AccessKey = emulator.credentials.root, **options: Any) -> Boto:
        return make_client(emulator.endpoint, key, **options)

    return make


@pytest.fixture
def root(connect: Callable[..., Boto]) -> Boto:
    return connect()


@pytest.fixture
def as_service(emulator: Emulator, connect: Callable[..., Boto]) -> Callable[..., Boto]:
    """Makes clients with the service principal's credentials, acting for `arn` and `account` where given."""

    def make(**source: str) -> Boto:
        headers = {f"x-amz-source-{name}": value for name, value in source.items()}
        return connect(emulator.credentials.service, source=headers)

    return make
