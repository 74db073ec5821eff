"""Tasks that fail are retried after growing pauses, are reported, and end no other task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
import trio.lowlevel
from structlog.testing import capture_logs
from trio.testing import MockClock

from server.supervised import FIRST_PAUSE, LONGEST_PAUSE, SETTLED, Supervisor

EPOCH = 1_800_000_000


@asynccontextmanager
async def supervising() -> AsyncIterator[Supervisor]:
    async with trio.open_nursery() as nursery:
        yield Supervisor(nursery, lambda: EPOCH + trio.current_time())
        nursery.cancel_scope.cancel()


async def test_a_task_that_fails_is_tried_again_after_growing_pauses_and_told(autojump_clock: MockClock) -> None:
    tried: list[float] = []

    async def task() -> None:
        tried.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        raise ValueError(f"number {len(tried)}")

    with capture_logs() as logs:
        async with supervising() as supervisor:
            supervisor.start_soon("hooks", task)
            await trio.sleep(600)
            (trouble,) = supervisor.troubles()
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert max(pauses) == LONGEST_PAUSE
    assert (trouble.what, trouble.since, trouble.reason) == ("hooks", EPOCH, f"ValueError: number {len(tried)}")
    assert "in task" in logs[0]["traceback"]


async def test_the_same_reason_is_logged_once_and_an_error_of_the_system_without_a_traceback(
    autojump_clock: MockClock,
) -> None:
    async def task() -> None:
        raise OSError(28, "No space left on device", "/s/x")

    with capture_logs() as logs:
        async with supervising() as supervisor:
            supervisor.start_soon("files", task)
            await trio.sleep(600)
    (line,) = logs
    assert line["reason"] == "/s/x: No space left on device"
    assert "traceback" not in line


async def test_a_task_that_runs_again_is_well_after_a_minute(autojump_clock: MockClock) -> None:
    tries = 0

    async def task() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError("once")
        await trio.sleep_forever()

    async with supervising() as supervisor:
        supervisor.start_soon("hooks", task)
        await trio.sleep(FIRST_PAUSE + SETTLED - 1)
        assert supervisor.troubles()
        await trio.sleep(2)
        assert not supervisor.troubles()


async def test_what_was_well_for_a_minute_begins_with_the_first_pause_again(autojump_clock: MockClock) -> None:
    tried: list[float] = []

    async def task() -> None:
        tried.append(trio.current_time())
        if len(tried) > 4:
            await trio.sleep(SETTLED)
        raise ValueError("no")

    async with supervising() as supervisor:
        supervisor.start_soon("hooks", task)
        await trio.sleep(200)
        assert tried[5] - tried[4] == SETTLED + FIRST_PAUSE


async def test_a_failure_while_cancelled_ends_nobody() -> None:
    with capture_logs():
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(nursery, lambda: EPOCH)

            async def task() -> None:
                async with trio.open_nursery() as inner:
                    inner.start_soon(trio.sleep_forever)
                    try:
                        await trio.sleep_forever()
                    finally:
                        raise ValueError("while it was cancelled")

            supervisor.start_soon("hooks", task)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


async def test_what_fails_before_it_has_started_was_never_there_and_later_it_is_tried_again(
    autojump_clock: MockClock,
) -> None:
    starts = 0

    async def task(*, task_status: trio.TaskStatus[int]) -> None:
        nonlocal starts
        starts += 1
        if starts in (1, 3):
            raise ValueError("at the start")
        task_status.started(starts)
        await trio.sleep(5)
        raise OSError("later")

    with capture_logs():
        async with supervising() as supervisor:
            with pytest.raises(ValueError, match="at the start"):
                await supervisor.start("emulator", task)
            assert await supervisor.start("emulator", task) == 2
            await trio.sleep(60)
            assert starts > 4
            (trouble,) = supervisor.troubles()
    assert trouble.since == EPOCH + 5


async def test_the_first_attempt_is_waited_for_and_others_are_not(autojump_clock: MockClock) -> None:
    attempts = 0

    async def task() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise OSError("full")

    with capture_logs():
        async with supervising() as supervisor:
            await supervisor.attempt("files", task)
            assert attempts == 1
            assert supervisor.troubles()
            await trio.sleep(600)
            assert attempts == 3
            assert not supervisor.troubles()


async def test_a_task_that_tries_again_by_itself_tells_only_news() -> None:
    with capture_logs() as logs:
        async with supervising() as supervisor:
            for reason in ("full", "full", None, None):
                supervisor.report("trust files", reason)
    assert [line["event"] for line in logs] == ["failed; will retry", "works again"]
    assert not supervisor.troubles()


async def test_a_start_that_is_not_refused_goes_on_and_it_is_tried_again(autojump_clock: MockClock) -> None:
    starts = 0

    async def task(*, task_status: trio.TaskStatus[int]) -> None:
        nonlocal starts
        starts += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            if starts == 1:
                raise OSError("full")
            task_status.started(starts)
            await trio.sleep_forever()

    with capture_logs():
        async with supervising() as supervisor:
            assert await supervisor.start("control socket", task, refused=(KeyError,)) is None
            assert supervisor.troubles()
            await trio.sleep(SETTLED + FIRST_PAUSE)
            assert (starts, supervisor.troubles()) == (2, ())
            with pytest.raises(ExceptionGroup, match="Exceptions from Trio nursery"):
                starts = 0
                await supervisor.start("control socket", task, refused=(OSError,))
