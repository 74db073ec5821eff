"""What signals ask for, whatever is under way; `tests/server/cli/test_signals.py` sends them to the real program."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from server import signals as module
from server.app import _reload_on_hangup
from server.settings.configuration import ConfigError
from server.signals import Signals


class Running:
    """A server whose reloads load at once, and then wait for the KMS for ever."""

    def __init__(self) -> None:
        self.loads = 0
        self.failure: Exception | None = None

    async def reload(self, loaded: Callable[[], None]) -> None:
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        self.loads += 1
        loaded()
        await trio.sleep_forever()


async def test_each_signal_is_heard_while_reloads_wait_for_the_kms(monkeypatch: pytest.MonkeyPatch) -> None:
    told, received = trio.open_memory_channel[int](10)
    signals, running = Signals(), Running()
    any_running: Any = running
    monkeypatch.setattr(signals, "end_soon", lambda *_: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signals.follow, received)
        nursery.start_soon(_reload_on_hangup, any_running, signals)
        for loads in (1, 2):
            told.send_nowait(signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked()
            assert running.loads == loads
        running.failure = ConfigError("wrong")
        with capture_logs() as logs:
            told.send_nowait(signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked()
        assert [(log["event"], log["reason"]) for log in logs] == [("not reloaded", "wrong")]
        running.failure = None
        told.send_nowait(signal.SIGHUP)
        await trio.testing.wait_all_tasks_blocked()
        assert running.loads == 3
        with capture_logs() as logs:
            told.send_nowait(signal.SIGTERM)
            told.send_nowait(signal.SIGINT)  # changes nothing
            await trio.testing.wait_all_tasks_blocked()
        assert signals.is_stopped
        assert signals.serving.cancel_called
        assert [log["signal"] for log in logs] == ["SIGTERM"]
        nursery.cancel_scope.cancel()


def test_a_hangup_before_there_was_anyone_to_hear_it_is_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    came = [True, False]
    monkeypatch.setattr(module, "take_hangup", lambda: came.pop(0))
    for expected in (True, False):
        assert Signals()._hangup.is_set() is expected
