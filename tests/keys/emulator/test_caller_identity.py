"""STS's GetCallerIdentity through boto3, on the emulator and in front of any other service."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
import pytest
import trio
from botocore.config import Config
from botocore.exceptions import ClientError

from keys.emulator.principals import AccessKey
from keys.emulator.run import Emulator

Make = Callable[[AccessKey], Any]


@pytest.fixture
def sts(emulator: Emulator) -> Iterator[Make]:
    made: list[Any] = []

    def make(key: AccessKey) -> Any:
        config = Config(retries={"total_max_attempts": 1})
        session = boto3.Session(key.id, key.secret, region_name="us-east-1")
        made.append(session.client("sts", endpoint_url=emulator.endpoint, config=config))
        return made[-1]

    yield make
    for client in made:
        client.close()


async def call(client: Any, operation: str = "get_caller_identity", **params: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await trio.to_thread.run_sync(partial(getattr(client, operation), **params))
    return answer


async def refused(client: Any, operation: str = "get_caller_identity", **params: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        await call(client, operation, **params)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


async def test_who_the_principals_are(emulator: Emulator, sts: Make) -> None:
    root = await call(sts(emulator.credentials.root))
    assert (root["Arn"], root["Account"]) == ("arn:aws:iam::000000000000:root", "000000000000")
    assert root["ResponseMetadata"]["RequestId"]
    service = await call(sts(emulator.credentials.service))
    assert service["Arn"].startswith("arn:aws:sts::000000000000:assumed-role/dnssec-route53.amazonaws.com/")


async def test_who_is_refused(emulator: Emulator, sts: Make) -> None:
    key = emulator.credentials.root
    assert (await refused(sts(AccessKey("AKIA" + "X" * 16, key.secret))))[:2] == ("InvalidClientTokenId", 403)
    assert (await refused(sts(AccessKey(key.id, "x" * 40))))[:2] == ("SignatureDoesNotMatch", 403)
    code, status, message = await refused(sts(key), "get_session_token")
    assert (code, status) == ("InvalidAction", 400)
    assert message == "GetSessionToken is not supported: of STS, this server has GetCallerIdentity."
    too_long = await refused(sts(key), "decode_authorization_message", EncodedMessage="x" * 9000)
    assert too_long[:2] == ("RequestEntityTooLarge", 413)


async def test_the_service_behind_it_is_asked_all_else(emulator: Emulator) -> None:
    def healthy() -> bytes:
        with urllib.request.urlopen(f"{emulator.endpoint}/healthz") as response:
            content: bytes = response.read()
        return content

    assert await trio.to_thread.run_sync(healthy) == b"ok\n"
