"""The client against a server that misbehaves: every way to go wrong is one declared error, after one request."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx2
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from trio.testing import MockClock

from keys.kms.interface import KeyRequest
from keys.kms.kms_client import KmsClient, TimeOuts
from keys.kms.kms_errors import CONNECTION_FAILED, MALFORMED_ANSWER, TIMED_OUT, KmsError, KmsRefused, KmsUnavailable
from tests.keys.kms.conftest import QUICK, client
from tests.keys.kms.servers import (
    Scripted,
    Turn,
    answer,
    answer_bytes,
    drip,
    flood,
    half_an_answer,
    hang_up,
    no_http,
    silence,
)
from tests.keys.world import run_directly

ARN = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
ANOTHER = ARN.replace("1111", "9999")
ZONE = "Z0123456789ABCDEFGHIJ"
DER = "MAYCAQECAQE="  # SEQUENCE { INTEGER 1, INTEGER 1 }
SIGNED = {"KeyId": ARN, "Signature": DER, "SigningAlgorithm": "ECDSA_SHA_256"}


@pytest.fixture
async def kms(server: Scripted) -> AsyncIterator[KmsClient]:
    async with client(server.url) as opened:
        yield opened


def error(code: object, status: int = 400, **more: object) -> Turn:
    return answer({"__type": code, "message": "why", **more}, status)


WAYS_TO_GO_WRONG: dict[str, tuple[Turn, type[KmsError], str]] = {
    "no answer": (silence, KmsUnavailable, TIMED_OUT),
    "a byte now and then": (drip, KmsUnavailable, TIMED_OUT),
    "closed without a byte": (hang_up, KmsUnavailable, CONNECTION_FAILED),
    "half an answer": (half_an_answer, KmsUnavailable, CONNECTION_FAILED),
    "another protocol": (no_http, KmsUnavailable, CONNECTION_FAILED),
    "no end": (flood, KmsUnavailable, MALFORMED_ANSWER),
    "throttling": (error("ThrottlingException"), KmsUnavailable, "ThrottlingException"),
    "unknown code, 429": (error("NewException", 429), KmsUnavailable, "NewException"),
    "a fault": (error("KMSInternalException", 500), KmsUnavailable, "KMSInternalException"),
    "unknown code, 5xx": (error("NewException", 503), KmsUnavailable, "NewException"),
    "5xx without JSON": (answer_bytes(b"<h1>Bad gateway</h1>", 502), KmsUnavailable, "Http502"),
    "5xx without a byte": (answer_bytes(b"", 500), KmsUnavailable, "Http500"),
    "access denied": (error("AccessDeniedException"), KmsRefused, "AccessDeniedException"),
    "unknown code, 4xx": (error("NewException"), KmsRefused, "NewException"),
    "code with a namespace": (error("com.amazonaws.kms#DisabledException"), KmsRefused, "DisabledException"),
    "code with an address": (error("NotFoundException:http://x/"), KmsRefused, "NotFoundException"),
    "4xx without JSON": (answer_bytes(b"<h1>Proxy</h1>", 407), KmsUnavailable, MALFORMED_ANSWER),
    "4xx without a code": (answer({"message": "why"}, 400), KmsUnavailable, MALFORMED_ANSWER),
    "a code that is not text": (error(["DisabledException"]), KmsUnavailable, MALFORMED_ANSWER),
    "a redirection": (answer_bytes(b"", 302, "location: /\r\n"), KmsUnavailable, MALFORMED_ANSWER),
    "no JSON": (answer_bytes(b"{"), KmsUnavailable, MALFORMED_ANSWER),
    "no byte": (answer_bytes(b""), KmsUnavailable, MALFORMED_ANSWER),
    "no UTF-8": (answer_bytes(b'{"KeyId":"\xff"}'), KmsUnavailable, MALFORMED_ANSWER),
    "nested too deep": (answer_bytes(b'{"x":' + b"[" * 100_000), KmsUnavailable, MALFORMED_ANSWER),
    "a list": (answer([]), KmsUnavailable, MALFORMED_ANSWER),
    "a field missing": (answer({"KeyId": ARN}), KmsUnavailable, MALFORMED_ANSWER),
    "a field null": (answer({**SIGNED, "Signature": None}), KmsUnavailable, MALFORMED_ANSWER),
    "no base64": (answer({**SIGNED, "Signature": "%%%"}), KmsUnavailable, MALFORMED_ANSWER),
    "no DER": (answer({**SIGNED, "Signature": "AAAA"}), KmsUnavailable, MALFORMED_ANSWER),
    # SEQUENCE { INTEGER -1, INTEGER 1 }
    "a negative number": (answer({**SIGNED, "Signature": "MAYCAf8CAQE="}), KmsUnavailable, MALFORMED_ANSWER),
    "another key": (answer({**SIGNED, "KeyId": ANOTHER}), KmsUnavailable, MALFORMED_ANSWER),
}


@pytest.mark.parametrize("way", WAYS_TO_GO_WRONG)
async def test_whatever_goes_wrong_is_one_declared_error_after_one_request(server: Scripted, way: str) -> None:
    turn, kind, code = WAYS_TO_GO_WRONG[way]
    async with client(server.url, time_outs=QUICK if code == TIMED_OUT else TimeOuts()) as kms:
        server.script = [turn]
        with trio.fail_after(60), pytest.raises(KmsError) as caught:
            await kms.sign(ARN, ZONE, b"m")
        assert (type(caught.value), caught.value.code) == (kind, code)
        assert len(server.requests) == 1
        # And the client is as good as new.
        server.script = [answer(SIGNED)]
        assert (await kms.sign(ARN, ZONE, b"m")).value == (b"\0" * 31 + b"\1") * 2


async def test_what_an_error_says(server: Scripted, kms: KmsClient) -> None:
    server.script = [answer({"__type": "DisabledException", "Message": "it\x1b is\nsecond line"}, 400, "r-7")]
    with pytest.raises(KmsRefused) as caught:
        await kms.sign(ARN, ZONE, b"m")
    assert caught.value.request_id == "r-7"
    assert str(caught.value) == "DisabledException: it� is (request r-7)"


async def test_nobody_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, so that nobody else takes the port
        async with client(f"http://127.0.0.1:{sock.getsockname()[1]}") as kms:
            with pytest.raises(KmsUnavailable) as caught:
                await kms.sign(ARN, ZONE, b"m")
    assert caught.value.code == CONNECTION_FAILED


async def test_a_connection_that_does_not_come_about_times_out() -> None:
    with socket.socket() as sock, socket.socket() as waiting:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        waiting.connect(sock.getsockname())  # the queue of connections not yet accepted is full
        times = TimeOuts(connect=0.05, read=30, total=30)
        async with client(f"http://127.0.0.1:{sock.getsockname()[1]}", time_outs=times) as kms:
            with pytest.raises(KmsUnavailable) as caught:
                await kms.sign(ARN, ZONE, b"m")
    assert (caught.value.code, caught.value.message) == (TIMED_OUT, "ConnectTimeout")


async def test_each_time_out_by_itself(server: Scripted) -> None:
    async with client(server.url, time_outs=TimeOuts(30, 0.05, 30)) as kms:
        server.script = [silence]
        with trio.fail_after(60), pytest.raises(KmsUnavailable, match="ReadTimeout"):
            await kms.sign(ARN, ZONE, b"m")
    async with client(server.url, time_outs=TimeOuts(30, 30, 0.05)) as kms:
        server.script = [drip]
        with trio.fail_after(60), pytest.raises(KmsUnavailable, match=r"got no response within 0\.05 s"):
            await kms.sign(ARN, ZONE, b"m")


async def test_a_connection_is_kept_and_one_that_was_closed_meanwhile_is_not_used(
    server: Scripted, kms: KmsClient
) -> None:
    closed = trio.Event()

    async def answer_and_close(stream: trio.SocketStream) -> None:
        await answer(SIGNED)(stream)
        await trio.aclose_forcefully(stream)
        closed.set()

    server.script = [answer(SIGNED), answer_and_close, answer(SIGNED)]
    await kms.sign(ARN, ZONE, b"m")
    await kms.sign(ARN, ZONE, b"m")
    assert server.connections == 1
    await closed.wait()
    await kms.sign(ARN, ZONE, b"m")
    assert server.connections == 2


async def test_connections_are_bounded_and_more_calls_wait(server: Scripted) -> None:
    async def take_a_moment(stream: trio.SocketStream) -> None:
        await trio.sleep(0.02)
        await answer(SIGNED)(stream)

    server.script = [take_a_moment] * 20
    async with client(server.url, connections=3) as kms, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(kms.sign, ARN, ZONE, b"m")
    assert len(server.requests) == 20
    assert server.most_open == 3


async def test_no_time_runs_for_calls_that_wait_for_a_connection(server: Scripted) -> None:
    async def take_a_moment(stream: trio.SocketStream) -> None:
        await trio.sleep(0.2)
        await answer(SIGNED)(stream)

    server.script = [take_a_moment] * 15
    # All that wait take longer than one call may.
    async with client(server.url, connections=1, time_outs=TimeOuts(total=2)) as kms, trio.open_nursery() as nursery:
        for _ in range(15):
            nursery.start_soon(kms.sign, ARN, ZONE, b"m")
    assert len(server.requests) == 15


@pytest.mark.parametrize(("seconds", "signers"), [(2.8, 32), (9.9, 151)])
async def test_a_slow_kms_is_slow_and_does_not_time_out(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, seconds: float, signers: int
) -> None:
    """By a virtual clock: the client as it is, and an answer to each request after so many seconds."""
    in_flight: list[httpx2.Request] = []
    most = 0

    async def slowly(request: httpx2.Request) -> httpx2.Response:
        nonlocal most
        in_flight.append(request)
        most = max(most, len(in_flight))
        await trio.sleep(seconds)
        in_flight.remove(request)
        return httpx2.Response(200, content=pieces())

    async def pieces() -> AsyncIterator[bytes]:
        yield json.dumps(SIGNED).encode()

    outcomes: list[tuple[str, float]] = []
    plain = partial(client, "http://127.0.0.1:1", run_blocking=run_directly, now=lambda: 0.0, connections=8)
    told = partial(plain, monotonic=trio.current_time, on_call=lambda _, *how: outcomes.append(how))
    async with told() as kms:
        assert kms._http is not None
        await kms._http.aclose()
        monkeypatch.setattr(kms, "_http", httpx2.AsyncClient(transport=httpx2.MockTransport(slowly)))

        async def sign_all() -> None:
            for _ in range(4):
                await kms.sign(ARN, ZONE, b"m")

        async with trio.open_nursery() as nursery:
            for _ in range(signers):
                nursery.start_soon(sign_all)
    assert {outcome for outcome, _ in outcomes} == {"ok"}
    assert {round(took, 1) for _, took in outcomes} == {seconds}
    assert (len(outcomes), most) == (4 * signers, 8)


async def test_a_call_that_is_cancelled_leaves_the_connection_to_nobody(server: Scripted) -> None:
    calls: list[tuple[str, str, float]] = []
    async with client(server.url, connections=1, on_call=lambda *call: calls.append(call)) as kms:
        asked = trio.Event()

        async def silent(stream: trio.SocketStream) -> None:
            asked.set()
            await silence(stream)

        server.script = [silent, answer(SIGNED)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kms.sign, ARN, ZONE, b"m")
            await asked.wait()
            nursery.cancel_scope.cancel()
        await kms.sign(ARN, ZONE, b"m")
    assert [call[:2] for call in calls] == [("Sign", "cancelled"), ("Sign", "ok")]
    assert server.connections == 2


async def test_calls_are_told_with_their_outcome_and_time(server: Scripted) -> None:
    calls: list[tuple[str, str, float]] = []
    clock = iter([10.0, 10.5, 20.0, 22.0])
    told = partial(client, server.url, monotonic=lambda: next(clock), on_call=lambda *call: calls.append(call))
    async with told() as kms:
        server.script = [answer(SIGNED), error("DisabledException")]
        await kms.sign(ARN, ZONE, b"m")
        with pytest.raises(KmsRefused):
            await kms.get_public_key(ARN, ZONE)
    assert calls == [("Sign", "ok", 0.5), ("GetPublicKey", "DisabledException", 2.0)]


async def test_a_probe_signs_nothing_and_is_counted_apart(server: Scripted) -> None:
    calls: list[tuple[str, str]] = []
    async with client(server.url, on_call=lambda *call: calls.append(call[:2])) as kms:
        server.script = [error("DryRunOperationException"), error("DisabledException"), answer(SIGNED)]
        await kms.probe(ARN, ZONE)
        with pytest.raises(KmsRefused) as caught:
            await kms.probe(ARN, ZONE)
        assert caught.value.code == "DisabledException"
        await kms.probe(ARN, ZONE)  # signed by one that minds no DryRun
    assert {request.operation for request in server.requests} == {"Sign"}
    assert all(request.parameters["DryRun"] is True for request in server.requests)
    assert calls == [("SignDryRun", "ok"), ("SignDryRun", "DisabledException"), ("SignDryRun", "ok")]


@pytest.mark.parametrize("code", ["UnsupportedOperationException", "ValidationException"])
@pytest.mark.parametrize(
    ("state", "refused"),
    [("Enabled", None), ("Disabled", "DisabledException"), ("PendingDeletion", "KMSInvalidStateException")],
)
async def test_where_a_dry_run_is_not_known_the_state_of_the_key_is_asked_for(
    server: Scripted, kms: KmsClient, code: str, state: str, refused: str | None
) -> None:
    server.script = [error(code), answer({"KeyMetadata": {"Arn": ARN, "KeyState": state}})]
    if refused is None:
        await kms.probe(ARN, ZONE)
    else:
        with pytest.raises(KmsRefused) as caught:
            await kms.probe(ARN, ZONE)
        assert caught.value.code == refused
        assert ARN in caught.value.message
    assert [request.operation for request in server.requests] == ["Sign", "DescribeKey"]


async def test_a_signature_that_is_answered_as_a_dry_run_is_refused(server: Scripted, kms: KmsClient) -> None:
    server.script = [error("DryRunOperationException")]
    with pytest.raises(KmsRefused):
        await kms.sign(ARN, ZONE, b"m")


async def test_create_key_asks_for_a_p256_key_that_signs(server: Scripted, kms: KmsClient) -> None:
    made = answer({"KeyMetadata": {"Arn": ARN, "KeyState": "Enabled"}})
    server.script = [made, made]
    assert await kms.create_key(KeyRequest("KSK", "{}", {"a": "b", "c": "d"})) == ARN
    await kms.create_key(KeyRequest("KSK", None, {}))
    with_policy, without = (request.parameters for request in server.requests)
    assert with_policy == {
        "KeyUsage": "SIGN_VERIFY",
        "KeySpec": "ECC_NIST_P256",
        "Description": "KSK",
        "Tags": [{"TagKey": "a", "TagValue": "b"}, {"TagKey": "c", "TagValue": "d"}],
        "Policy": "{}",
    }
    assert "Policy" not in without


def page(*arns: str, marker: str | None = None) -> Turn:
    more: dict[str, Any] = {"Truncated": True, "NextMarker": marker} if marker else {"Truncated": False}
    return answer({"Keys": [{"KeyId": arn[-36:], "KeyArn": arn} for arn in arns], **more})


def tags(marker: str | None = None, **tags: str) -> Turn:
    more: dict[str, Any] = {"Truncated": True, "NextMarker": marker} if marker else {"Truncated": False}
    return answer({"Tags": [{"TagKey": key, "TagValue": value} for key, value in tags.items()], **more})


def state(arn: str, key_state: str) -> Turn:
    return answer({"KeyMetadata": {"Arn": arn, "KeyState": key_state}})


async def test_find_key_turns_every_page(server: Scripted, kms: KmsClient) -> None:
    server.script = [
        page(ANOTHER, marker="keys-2"),
        page(ARN),
        tags("tags-2", other="one"),
        tags(intent="another"),
        tags(intent="one"),
        state(ARN, "Enabled"),
    ]
    assert await kms.find_key("intent", "one") == ARN
    asked = [(request.operation, request.parameters.get("Marker")) for request in server.requests]
    assert asked == [
        ("ListKeys", None),
        ("ListKeys", "keys-2"),
        ("ListResourceTags", None),
        ("ListResourceTags", "tags-2"),
        ("ListResourceTags", None),
        ("DescribeKey", None),
    ]


@pytest.mark.parametrize("code", ["AccessDeniedException", "NotFoundException"])
async def test_find_key_passes_by_keys_that_are_not_ours(server: Scripted, kms: KmsClient, code: str) -> None:
    server.script = [page(ANOTHER, ARN), error(code), tags(intent="one"), state(ARN, "Disabled")]
    assert await kms.find_key("intent", "one") == ARN


async def test_find_key_does_not_say_no_when_it_could_not_look(server: Scripted, kms: KmsClient) -> None:
    for code, kind in (("ThrottlingException", KmsUnavailable), ("UnrecognizedClientException", KmsRefused)):
        server.script = [page(ANOTHER, ARN), error(code)]
        with pytest.raises(kind, match=code):
            await kms.find_key("intent", "one")
    server.script = [error("AccessDeniedException")]
    with pytest.raises(KmsRefused, match="AccessDeniedException"):
        await kms.find_key("intent", "one")


async def test_a_list_that_does_not_end_or_go_on_is_malformed(server: Scripted, kms: KmsClient) -> None:
    server.script = [page(marker="again")] * 200
    with pytest.raises(KmsUnavailable, match="does not end"):
        await kms.find_key("intent", "one")
    server.script = [answer({"Keys": [], "Truncated": True})]
    with pytest.raises(KmsUnavailable, match="no marker for its next page"):
        await kms.find_key("intent", "one")


async def test_a_public_key_that_is_none_is_malformed(server: Scripted, kms: KmsClient) -> None:
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    spki = p384.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    said = {"KeyId": ARN, "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
    for wrong in (b"", b"\x30\x00", spki):
        server.script = [answer({**said, "PublicKey": b64encode(wrong).decode()})]
        with pytest.raises(KmsUnavailable, match=MALFORMED_ANSWER):
            await kms.get_public_key(ARN, ZONE)
    server.script = [answer({**said, "KeySpec": None, "PublicKey": b64encode(spki).decode()})]
    with pytest.raises(KmsUnavailable, match="has no KeySpec"):
        await kms.get_public_key(ARN, ZONE)


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await client("http://127.0.0.1:1").sign(ARN, ZONE, b"m")
