"""Thousands of zones that ask at once: in turn, and together what can be asked together."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from keys.emulator.run import run_emulator
from keys.kms.interface import KeyRequest
from keys.kms.kms_client import KmsClient
from keys.kms.kms_credentials import fixed_session
from keys.kms.kms_errors import KmsUnavailable
from keys.kms.shared_kms import PROBES, SharedKms
from tests.keys.kms.conftest import QUICK, client
from tests.keys.kms.servers import Scripted, answer

ZONE = "Z0123456789ABCDEFGHIJ"


@pytest.fixture
def calls() -> Counter[str]:
    return Counter()


@pytest.fixture
async def kms(tmp_path: Path, calls: Counter[str]) -> AsyncIterator[KmsClient]:
    """A client of an emulator; `calls` counts what it asks."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()

    def count(operation: str, _outcome: str, _seconds: float) -> None:
        calls[operation] += 1

    async with trio.open_nursery() as nursery:
        emulator = await nursery.start(partial(run_emulator, tmp_path, sock, now=time.time))
        root = emulator.credentials.root
        async with client(emulator.endpoint, make_session=fixed_session(root.id, root.secret), on_call=count) as opened:
            yield opened
        nursery.cancel_scope.cancel()


async def create(kms: SharedKms, intent: str) -> str:
    return await kms.create_key(KeyRequest("KSK", None, {"intent": intent}))


async def find_all(kms: SharedKms, intents: list[str]) -> list[str | None]:
    found: dict[str, str | None] = {}

    async def find(intent: str) -> None:
        found[intent] = await kms.find_key("intent", intent)

    async with trio.open_nursery() as nursery:
        for intent in intents:
            nursery.start_soon(find, intent)
    return [found[intent] for intent in intents]


async def test_a_token_that_was_never_sent_is_looked_for_nowhere(kms: KmsClient, calls: Counter[str]) -> None:
    shared = SharedKms(kms)
    assert await shared.find_key("intent", shared.coin("new")) is None
    assert not calls
    arn = await create(shared, "new")
    assert await shared.find_key("intent", "new") == arn
    assert calls["ListKeys"] == 1


async def test_a_token_is_looked_for_though_the_answer_to_its_first_use_was_lost(server: Scripted) -> None:
    async with client(server.url, time_outs=QUICK) as opened:
        shared = SharedKms(opened)
        server.script = [answer({"__type": "KMSInternalException"}, 500)]
        with pytest.raises(KmsUnavailable):
            await create(shared, shared.coin("new"))
        server.script = [answer({"Keys": [], "Truncated": False})]
        assert await shared.find_key("intent", "new") is None
        assert [request.operation for request in server.requests] == ["CreateKey", "ListKeys"]


async def test_all_who_wait_are_answered_by_one_list(kms: KmsClient, calls: Counter[str]) -> None:
    earlier = SharedKms(kms)
    arns = [await create(earlier, f"n{number}") for number in range(12)]
    shared = SharedKms(kms)  # of the next life of the process
    calls.clear()
    assert await find_all(shared, [f"n{number}" for number in range(12)]) == arns
    assert calls == {"ListKeys": 1, "ListResourceTags": 12, "DescribeKey": 12}
    calls.clear()
    assert await find_all(shared, ["n3", "other"]) == [arns[3], None]
    assert calls["ListResourceTags"] == 0


async def test_what_was_made_after_a_list_is_in_the_next(kms: KmsClient) -> None:
    shared = SharedKms(kms)
    assert await shared.find_key("intent", "one") is None
    arn = await create(SharedKms(kms), "one")
    assert await shared.find_key("intent", "one") == arn


async def test_a_list_that_fails_says_no_to_nobody(server: Scripted) -> None:
    refused = answer({"__type": "ThrottlingException"}, 400)
    async with client(server.url) as opened:
        shared = SharedKms(opened)
        failed: list[str] = []

        async def find(intent: str) -> None:
            with pytest.raises(KmsUnavailable, match="ThrottlingException"):
                await shared.find_key("intent", intent)
            failed.append(intent)

        server.script = [refused]
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(find, f"n{number}")
        assert len(failed) == 5
        assert len(server.requests) == 1
        server.script = [answer({"Keys": [], "Truncated": False})]
        assert await shared.find_key("intent", "n1") is None


async def test_calls_wait_for_their_turn_where_no_time_out_runs(server: Scripted) -> None:
    async def slow(stream: trio.SocketStream) -> None:
        await trio.sleep(0.1)
        await answer({"Keys": []}, 503)(stream)

    async with client(server.url, time_outs=QUICK) as opened:
        shared, codes = SharedKms(opened, calls=2), list[str]()

        async def ask() -> None:
            with pytest.raises(KmsUnavailable) as caught:
                await shared.get_public_key("key", ZONE)
            codes.append(caught.value.code)

        server.script = [slow] * 24  # 1.2 s in all, which is over the time-out
        async with trio.open_nursery() as nursery:
            for _ in range(24):
                nursery.start_soon(ask)
        assert codes == ["Http503"] * 24
        assert server.most_open == 2


async def test_probes_that_a_slow_kms_holds_leave_room_for_other_calls(
    kms: KmsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, asked, answered = SharedKms(kms), 0, trio.Event()

    async def slow(_arn: str, _hosted_zone_id: str) -> None:
        nonlocal asked
        asked += 1
        await answered.wait()

    monkeypatch.setattr(kms, "probe", slow)
    arn = await create(shared, "new")
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(shared.probe, arn, ZONE)
        await trio.testing.wait_all_tasks_blocked()
        assert asked == PROBES
        with trio.fail_after(60):
            assert (await shared.get_public_key(arn, ZONE)).arn == arn
        answered.set()
    assert asked == 20
