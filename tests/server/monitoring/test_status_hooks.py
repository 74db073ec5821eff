"""Hooks: a real HTTP server and a real program receive status changes, and never hold anybody up."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from trio.testing import MockClock

from keys.aws.http_server import serve_http
from keys.rules.key_status import StatusChange
from server.monitoring import status_hooks
from server.monitoring.status_hooks import HookFailedError, Hooks, body_of
from server.settings.configuration import HooksConfig

CHANGE = StatusChange(
    at=1_767_225_600, ksk="ksk_1", before="ACTIVE", after="ACTION_NEEDED", reason="Sign: AccessDeniedException: no"
)
BACK = StatusChange(at=1_767_229_200, ksk=None, before="troubled", after="signing", reason=None)
SECRET = "hooks/Z3cr3t"


class Receiver:
    """A webhook's other end, which answers with the statuses that it is given, and then with 204."""

    def __init__(self, statuses: list[int], delay: float = 0) -> None:
        self.statuses = statuses
        self.delay = delay
        self.bodies: list[dict[str, object]] = []
        self.url = ""
        self.news, self._wait = trio.open_memory_channel[int](100)

    async def receive(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/json"
        self.bodies.append(json.loads(await request.body()))
        status = self.statuses.pop(0) if self.statuses else 204
        self.news.send_nowait(status)
        await trio.sleep(self.delay)
        return Response(status_code=status)

    async def received(self, count: int) -> None:
        with trio.fail_after(60):
            for _ in range(count):
                await self._wait.receive()


@asynccontextmanager
async def webhook(*statuses: int, delay: float = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver(list(statuses), delay)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    receiver.url = f"http://127.0.0.1:{sock.getsockname()[1]}/{SECRET}"
    app = Starlette(routes=[Route(f"/{SECRET}", receiver.receive, methods=["POST"])])
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_http, app, sock)
        yield receiver
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(hooks: Hooks) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hooks.run)
        yield
        nursery.cancel_scope.cancel()


def test_what_is_told_has_a_sentence_for_people_and_every_field() -> None:
    assert json.loads(body_of("lab.example.", CHANGE)) == {
        "text": "lab.example. ksk_1 is ACTION_NEEDED (was ACTIVE): Sign: AccessDeniedException: no",
        "zone": "lab.example.",
        "at": 1_767_225_600,
        "ksk": "ksk_1",
        "before": "ACTIVE",
        "after": "ACTION_NEEDED",
        "reason": "Sign: AccessDeniedException: no",
        "about": "status",
    }
    assert json.loads(body_of("lab.example.", BACK))["text"] == "lab.example. is signing (was troubled)"


async def test_a_webhook_is_told_in_order_and_again_where_it_failed() -> None:
    with structlog.testing.capture_logs() as logs:
        async with webhook(503, 204, 204) as receiver:
            hooks = Hooks(HooksConfig(url=receiver.url), pauses=(0.01, 0.01))
            hooks.notify("lab.example.", CHANGE)  # before it runs
            async with running(hooks):
                hooks.notify("lab.example.", BACK)
                await receiver.received(3)
    assert [body["after"] for body in receiver.bodies] == ["ACTION_NEEDED", "ACTION_NEEDED", "signing"]
    (warning,) = [line for line in logs if line["log_level"] == "warning"]
    assert (warning["hook"], warning["error"]) == ("webhook at 127.0.0.1", "HTTP status 503")
    assert SECRET not in str(logs)


async def test_a_webhook_that_hangs_or_is_gone_is_given_up_and_the_log_says_what_was_not_told() -> None:
    with structlog.testing.capture_logs() as logs:
        async with webhook(delay=60) as receiver:
            hooks = Hooks(HooksConfig(url=receiver.url, timeout=1), pauses=())
            async with running(hooks):
                hooks.notify("lab.example.", CHANGE)
                await logged(logs, "error", 1)
            refused = Hooks(HooksConfig(url=_nobodys_url()), pauses=(0.01,))
            async with running(refused):
                refused.notify("lab.example.", CHANGE)
                await logged(logs, "error", 2)
    first, second = [line for line in logs if line["log_level"] == "error"]
    assert first["error"] == "no response within 1 s"
    assert second["error"] == "ConnectError"
    assert json.loads(second["change"])["after"] == "ACTION_NEEDED"
    assert SECRET not in str(logs)


def _nobodys_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return f"http://127.0.0.1:{sock.getsockname()[1]}/{SECRET}"


async def logged(logs: list[structlog.typing.EventDict], level: str, count: int) -> None:
    with trio.fail_after(60):
        while sum(line["log_level"] == level for line in logs) < count:  # noqa: ASYNC110 - a log has no event
            await trio.sleep(0.01)


async def test_a_program_reads_the_change(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = tmp_path / "hook"
    script.write_text(f'#!/bin/sh\ncat >>"{told}.part"; echo "$1" >>"{told}.part"; mv "{told}.part" "{told}"\n')
    script.chmod(0o755)
    hooks = Hooks(HooksConfig(command=(str(script), "urgent")))
    async with running(hooks):
        hooks.notify("lab.example.", CHANGE)
        with trio.fail_after(60):
            while not told.exists():  # noqa: ASYNC110 - a file has no event
                await trio.sleep(0.01)
    body, _, argument = told.read_text().rpartition("}")
    assert json.loads(body + "}")["ksk"] == "ksk_1"
    assert argument == "urgent\n"


@pytest.mark.parametrize(
    ("script", "seconds", "error"),
    [
        ("#!/bin/sh\necho out of paper >&2; exit 3\n", 60, "exit status 3: out of paper"),
        ("#!/bin/sh\nexec sleep 600\n", 1, "killed: it ran longer than 1 s"),
        (None, 60, "cannot run it: No such file or directory"),
    ],
)
async def test_a_program_that_fails(tmp_path: Path, script: str | None, seconds: int, error: str) -> None:
    program = tmp_path / "hook"
    if script is not None:
        program.write_text(script)
        program.chmod(0o755)
    with structlog.testing.capture_logs() as logs:
        hooks = Hooks(HooksConfig(command=(str(program),), timeout=seconds), pauses=())
        async with running(hooks):
            hooks.notify("lab.example.", CHANGE)
            await logged(logs, "error", 1)
    assert logs[-1]["error"] == error


async def test_one_hook_does_not_wait_for_the_other(tmp_path: Path) -> None:
    program = tmp_path / "hook"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    async with webhook() as receiver:
        hooks = Hooks(HooksConfig(url=receiver.url, command=(str(program),), timeout=60))
        async with running(hooks):
            hooks.notify("lab.example.", CHANGE)
            hooks.notify("lab.example.", BACK)
            await receiver.received(2)


@pytest.mark.parametrize(("name", "value"), [("ALL_PROXY", "socks5://127.0.0.1:1"), ("SSL_CERT_FILE", "/none/here")])
async def test_a_client_that_cannot_be_made_is_a_failure_like_others(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    troubles: list[tuple[str, str | None]] = []
    async with webhook() as receiver:
        hooks = Hooks(HooksConfig(url=receiver.url), lambda *trouble: troubles.append(trouble), pauses=(0.01,) * 6000)
        with monkeypatch.context() as patched, structlog.testing.capture_logs() as logs:
            patched.setenv(name, value)
            async with running(hooks):
                hooks.notify("lab.example.", CHANGE)
                await logged(logs, "warning", 2)
                patched.delenv(name)
                await receiver.received(1)
                with trio.fail_after(60):
                    while troubles[-1] != ("webhook at 127.0.0.1", None):  # noqa: ASYNC110 - a list has no event
                        await trio.sleep(0.01)
    assert troubles[0][1]
    assert SECRET not in str(logs)


async def test_of_thousands_of_zones_that_change_at_once_each_is_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def tell(_: object, body: bytes) -> None:
        await trio.sleep(0.1)
        told.append(json.loads(body)["zone"])

    monkeypatch.setattr(status_hooks._Webhook, "__call__", tell)
    hooks = Hooks(HooksConfig(url="http://127.0.0.1:1/x"))
    async with running(hooks):
        for number in range(5000):
            hooks.notify(f"z{number}.", CHANGE)
        await trio.sleep(1000)
    assert told == [f"z{number}." for number in range(5000)]


async def test_what_could_not_be_told_for_hours_is_told_in_the_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    works = False

    async def tell(_: object, body: bytes) -> None:
        if not works:
            raise HookFailedError("no network")
        told.append(json.loads(body)["zone"])

    monkeypatch.setattr(status_hooks._Webhook, "__call__", tell)
    hooks = Hooks(HooksConfig(url="http://127.0.0.1:1/x"))
    with structlog.testing.capture_logs():
        async with running(hooks):
            for zone in ("a.", "b.", "c."):
                hooks.notify(zone, CHANGE)
            await trio.sleep(24 * 3600)
            works = True
            await trio.sleep(1801)
    assert sorted(told) == ["a.", "b.", "c."]


async def test_without_hooks_there_is_nothing_to_run() -> None:
    hooks = Hooks(HooksConfig())
    hooks.notify("lab.example.", CHANGE)
    await hooks.run()
