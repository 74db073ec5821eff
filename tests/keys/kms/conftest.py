"""The servers as fixtures, and a client that points at one."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio

from keys.kms.kms_client import KmsClient, TimeOuts
from keys.kms.kms_credentials import fixed_session
from tests.keys.kms.servers import Scripted, moto_server, scripted

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ACCOUNT = "000000000000"
QUICK = TimeOuts(connect=0.5, read=0.5, total=0.8)
"""For servers that are to be found too slow; all others may take the time that a busy machine makes them take."""


def client(url: str | None, **options: Any) -> KmsClient:
    """A client of the KMS at `url`, with credentials that no server of these tests knows unless told."""
    defaults: dict[str, Any] = {
        "run_blocking": trio.to_thread.run_sync,
        "now": time.time,
        "monotonic": time.monotonic,
        "endpoint": url,
        "region": "us-east-1",
        "make_session": fixed_session(ACCESS_KEY, SECRET_KEY),
    }
    return KmsClient(**{**defaults, **options})


@pytest.fixture(autouse=True)
def no_aws_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The environment of the tests says nothing about AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    nowhere = tmp_path_factory.mktemp("aws")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted() as running:
        yield running


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_server(tmp_path_factory.mktemp("moto")) as url:
        yield url
