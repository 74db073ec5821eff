"""The embedded emulator: what ends it is an outage of the KMS, and never the end of the server."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from keys.emulator.run import run_emulator
from server import kms_connection
from server.kms_connection import open_kms
from server.net.listen import bind_stream
from server.settings.configuration import load_config
from server.state.directory import open_state
from server.supervised import Supervisor


async def test_an_emulator_that_ends_is_a_trouble_and_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [trio.Event(), trio.Event()]

    async def mortal(*arguments: Any, task_status: trio.TaskStatus[Any], **options: Any) -> None:
        async with trio.open_nursery() as nursery:
            running: Any = partial(run_emulator, *arguments, **options)
            task_status.started(await nursery.start(running))
            await ends.pop(0).wait()
            raise RuntimeError("a bug of the emulator")

    monkeypatch.setattr(kms_connection, "run_emulator", mortal)
    monkeypatch.setattr("server.supervised.FIRST_PAUSE", 0.01)
    (tmp_path / "s.toml").write_text('[kms]\nemulator = "127.0.0.1:0"\n')
    config = load_config(tmp_path / "s.toml")
    first = ends[0]
    sock = bind_stream(config.kms.emulator)
    with sock, open_state(tmp_path / "state") as state, capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(nursery, lambda: 0.0)
            async with open_kms(config.kms, state, sock, lambda: 0.0, supervisor) as kms:
                assert await answers(kms.url)
                first.set()
                with trio.fail_after(60):
                    while ends or not supervisor.troubles():  # noqa: ASYNC110
                        await trio.sleep(0.01)
                assert supervisor.troubles()[0].what == "KMS emulator"
                assert await answers(kms.url)
            nursery.cancel_scope.cancel()
    assert "a bug of the emulator" in str(logs)


async def answers(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with trio.fail_after(60):
        while True:
            with suppress(OSError):
                async with await trio.open_tcp_stream(host, int(port)) as stream:
                    await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    if (await stream.receive_some()).startswith(b"HTTP/1.1 200"):
                        return True
            await trio.sleep(0.01)
