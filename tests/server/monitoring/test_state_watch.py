"""Whether the state can be written is looked at before a key has to be stored, and told until it can."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio
from trio.testing import MockClock

from server.control.server_operations import STATE_TROUBLE
from server.monitoring.state_watch import FAILED_TRIAL, LOOK, TRIAL, watch_state
from tests.keys.world import run_directly

T = TypeVar("T")


class Disk:
    """Stands for a store."""

    def __init__(self) -> None:
        self.full = False
        self.failing: str | None = None
        self.trials = 0

    def try_writing(self) -> None:
        self.trials += 1
        self.failing = "full" if self.full else None


class Reported:
    """What `status` would say."""

    reason: str | None = None

    def __call__(self, what: str, reason: str | None) -> None:
        assert what == STATE_TROUBLE
        self.reason = reason


async def test_a_full_disk_is_found_and_told_until_there_is_room(autojump_clock: MockClock) -> None:
    disk, reported = Disk(), Reported()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(watch_state, disk, reported, run_directly))
        assert (disk.trials, reported.reason) == (1, None)
        disk.full = True
        await trio.sleep(TRIAL + LOOK)
        assert reported.reason == "full"
        disk.full = False
        await trio.sleep(FAILED_TRIAL + LOOK)
        assert reported.reason is None
        assert disk.trials == 3
        nursery.cancel_scope.cancel()


async def test_a_write_that_failed_is_told_at_once(autojump_clock: MockClock) -> None:
    disk, reported = Disk(), Reported()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(watch_state, disk, reported, run_directly))
        await trio.sleep(1.5 * LOOK)
        disk.failing = "another program holds it"
        await trio.sleep(LOOK)
        assert reported.reason == "another program holds it"
        disk.failing = None
        await trio.sleep(LOOK)
        assert reported.reason is None
        nursery.cancel_scope.cancel()


async def test_a_disk_that_hangs_is_told_too(autojump_clock: MockClock) -> None:
    disk, reported, slow = Disk(), Reported(), [0.0]

    async def blocking(function: Callable[[], T]) -> T:
        await trio.sleep(slow[0])
        return function()

    async with trio.open_nursery() as nursery:
        await nursery.start(partial(watch_state, disk, reported, blocking))
        slow[0] = 3600
        await trio.sleep(TRIAL + 40)
        assert "within 30 s" in (reported.reason or "")
        slow[0] = 0
        await trio.sleep(FAILED_TRIAL + 40)
        assert reported.reason is None
        nursery.cancel_scope.cancel()
