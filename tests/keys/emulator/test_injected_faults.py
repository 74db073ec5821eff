"""The table of faults, and what a client sees of each."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
import trio
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from keys.emulator.injected_faults import Faults, OrderedFault, OrderedFaultKind

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
P256 = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}


def kinds(faults: Faults, key: str | None = KEY, operation: str = "Sign") -> list[OrderedFaultKind]:
    return [fault.kind for fault in faults.strike(key, operation)]


def test_a_fault_strikes_its_key_and_operation_only() -> None:
    faults = Faults()
    faults.add(
        OrderedFault(OrderedFaultKind.INTERNAL, key=f"arn:aws:kms:us-east-1:000000000000:key/{KEY}", operation="Sign")
    )
    assert kinds(faults) == [OrderedFaultKind.INTERNAL]
    assert kinds(faults, operation="DescribeKey") == []
    assert kinds(faults, key="other") == []
    assert kinds(faults, key=None) == []


def test_a_fault_for_all_strikes_requests_without_a_key() -> None:
    faults = Faults()
    number = faults.add(OrderedFault(OrderedFaultKind.THROTTLING))
    assert kinds(faults, None, "ListKeys") == [OrderedFaultKind.THROTTLING]
    faults.clear(number)
    faults.clear(number)
    assert kinds(faults, None, "ListKeys") == []


def test_a_count_runs_out() -> None:
    faults = Faults()
    number = faults.add(OrderedFault(OrderedFaultKind.REFUSED, count=2))
    assert kinds(faults) == [OrderedFaultKind.REFUSED]
    assert faults.rows()[number].count == 1
    assert kinds(faults) == [OrderedFaultKind.REFUSED]
    assert faults.rows() == {}
    assert kinds(faults) == []


def test_latency_lets_the_next_fault_through_and_that_one_ends_it() -> None:
    faults = Faults()
    for kind in (OrderedFaultKind.LATENCY, OrderedFaultKind.THROTTLING, OrderedFaultKind.INTERNAL):
        faults.add(OrderedFault(kind, count=1))
    assert kinds(faults) == [OrderedFaultKind.LATENCY, OrderedFaultKind.THROTTLING]
    assert kinds(faults) == [OrderedFaultKind.INTERNAL]


@pytest.mark.parametrize("values", [{"count": 0}, {"seconds": -1}, {"seconds": 1e9}, {"seconds": float("nan")}])
def test_a_fault_without_meaning(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        OrderedFault(OrderedFaultKind.LATENCY, **values)


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        (OrderedFaultKind.THROTTLING, "ThrottlingException", 400),
        (OrderedFaultKind.INTERNAL, "KMSInternalException", 500),
        (OrderedFaultKind.UNAVAILABLE, "KeyUnavailableException", 500),
        (OrderedFaultKind.DEPENDENCY_TIMEOUT, "DependencyTimeoutException", 503),
    ],
)
async def test_errors_reach_the_client_until_cleared(
    root: Any, emulator: Any, kind: OrderedFaultKind, code: str, status: int
) -> None:
    key_id = (await root("create_key", **P256))["KeyMetadata"]["KeyId"]
    other = (await root("create_key", **P256))["KeyMetadata"]["KeyId"]
    emulator.faults.add(OrderedFault(kind, key=key_id))
    await root("create_alias", AliasName="alias/other", TargetKeyId=other)
    for _ in range(2):
        assert await root.error("get_public_key", KeyId=key_id) == (code, status)
    await root("get_public_key", KeyId=other)
    await root("list_keys")
    emulator.faults.clear()
    await root("get_public_key", KeyId=key_id)
    assert emulator.calls["GetPublicKey"] == 4


async def test_a_fault_meets_a_key_by_its_alias(root: Any, emulator: Any) -> None:
    key_id = (await root("create_key", **P256))["KeyMetadata"]["KeyId"]
    await root("create_alias", AliasName="alias/ksk", TargetKeyId=key_id)
    emulator.faults.add(OrderedFault(OrderedFaultKind.THROTTLING, key=key_id, count=1))
    assert (await root.error("describe_key", KeyId="alias/ksk"))[0] == "ThrottlingException"
    await root("describe_key", KeyId="alias/ksk")


async def test_a_refused_connection_gets_no_byte(root: Any, emulator: Any) -> None:
    number = emulator.faults.add(OrderedFault(OrderedFaultKind.REFUSED))
    for _ in range(2):
        with pytest.raises(ConnectionClosedError):
            await root("list_keys")
    assert emulator.faults.rows()[number].kind is OrderedFaultKind.REFUSED
    emulator.faults.clear()
    await root("list_keys")


async def test_a_refused_connection_is_closed_at_once(emulator: Any, connect: Any) -> None:
    """Seen on the socket itself: the end of the stream, and nothing before it."""
    emulator.faults.add(OrderedFault(OrderedFaultKind.REFUSED))
    caught: list[bytes] = []
    boto = connect()
    boto.client.meta.events.register("before-send.kms", lambda request, **_: caught.append(raw(request)))
    with pytest.raises(ConnectionClosedError):
        await boto("list_keys")
    stream = await trio.open_tcp_stream("127.0.0.1", int(emulator.endpoint.rpartition(":")[2]))
    async with stream:
        await stream.send_all(caught[0])
        with trio.fail_after(60):
            assert await stream.receive_some() == b""


def raw(request: Any) -> bytes:
    """A request as it goes over the wire."""
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    host = request.url.split("/")[2]
    lines = [f"POST / HTTP/1.1\r\nHost: {host}\r\n", *(f"{name}: {value}\r\n" for name, value in headers.items())]
    return "".join(lines).encode() + b"\r\n" + bytes(request.body)


async def test_a_time_out_holds_the_connection(root: Any, connect: Any, emulator: Any) -> None:
    emulator.faults.add(OrderedFault(OrderedFaultKind.TIMEOUT, count=1))
    with pytest.raises(ReadTimeoutError):
        await connect(patience=0.1)("list_keys")
    await root("list_keys")


async def test_a_time_out_ends_by_itself(root: Any, emulator: Any) -> None:
    emulator.faults.add(OrderedFault(OrderedFaultKind.TIMEOUT, count=1, seconds=0.05))
    with pytest.raises(ConnectionClosedError):
        await root("list_keys")


async def test_latency_delays_the_answer(root: Any, connect: Any, emulator: Any) -> None:
    emulator.faults.add(OrderedFault(OrderedFaultKind.LATENCY, count=1, seconds=3600))
    with pytest.raises(ReadTimeoutError):
        await connect(patience=0.1)("list_keys")
    emulator.faults.add(OrderedFault(OrderedFaultKind.LATENCY, count=1, seconds=0.01))
    await root("list_keys")


async def control(emulator: Any, method: str, target: str, body: str = "", key: Any = None) -> tuple[int, Any]:
    """The answer to a request signed by botocore."""
    key = key or emulator.credentials.root
    request = AWSRequest(method, emulator.endpoint + target, data=body.encode())
    SigV4Auth(Credentials(key.id, key.secret), "kms", "us-east-1").add_auth(request)
    return await trio.to_thread.run_sync(send, emulator.endpoint, method, target, body, dict(request.headers.items()))


def send(endpoint: str, method: str, target: str, body: str, headers: dict[str, str]) -> tuple[int, Any]:
    connection = HTTPConnection(endpoint.removeprefix("http://"), timeout=60)
    with closing(connection):
        connection.request(method, target, body.encode(), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


async def test_faults_are_set_listed_and_cleared_over_http(emulator: Any, root: Any) -> None:
    key_id = (await root("create_key", **P256))["KeyMetadata"]["KeyId"]
    await root("create_alias", AliasName="alias/ksk", TargetKeyId=key_id)
    fault = '{"kind": "throttling", "key": "alias/ksk", "count": 3}'
    expected = {"number": 1, "kind": "throttling", "key": key_id, "operation": None, "count": 3, "seconds": 60.0}
    assert await control(emulator, "POST", "/_faults", fault) == (200, {"faults": [expected]})
    assert (await root.error("get_public_key", KeyId=key_id))[0] == "ThrottlingException"
    assert (await control(emulator, "GET", "/_faults"))[1]["faults"][0]["count"] == 2
    assert await control(emulator, "DELETE", "/_faults?number=1") == (200, {"faults": []})
    await root("get_public_key", KeyId=key_id)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ('{"fault": "throttling"}', "ValidationException"),
        ('{"kind": "earthquake"}', "ValidationException"),
        ('{"kind": "latency", "count": 0}', "ValidationException"),
        ("", "ValidationException"),
        (json.dumps({"kind": "internal", "key": KEY}), "NotFoundException"),
    ],
)
async def test_a_fault_that_can_not_be_set(emulator: Any, fault: str, code: str) -> None:
    status, answer = await control(emulator, "POST", "/_faults", fault)
    assert (status, answer["__type"]) == (400, code)
    assert emulator.faults.rows() == {}


async def test_only_the_root_controls_faults(emulator: Any) -> None:
    status, answer = await control(emulator, "GET", "/_faults", key=emulator.credentials.service)
    assert (status, answer["__type"]) == (400, "AccessDeniedException")
    status, answer = await trio.to_thread.run_sync(send, emulator.endpoint, "DELETE", "/_faults", "", {})
    assert (status, answer["__type"]) == (400, "MissingAuthenticationTokenException")
