"""Who asks together is answered together, and nobody with what was there before."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from server.control.shared_answer import SharedAnswer


async def test_one_computation_for_all_who_wait(autojump_clock: MockClock) -> None:
    made: list[float] = []
    told: list[int] = []

    async def make() -> int:
        made.append(trio.current_time())
        await trio.sleep(2)
        return len(made)

    shared = SharedAnswer(make)

    async def ask(after: float) -> None:
        await trio.sleep(after)
        told.append(await shared.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 0)
        for number in range(50):
            nursery.start_soon(ask, 0.1 + number / 100)
    assert len(made) == 2
    assert made[1] - made[0] == 4  # two seconds, and as long a pause
    assert sorted(told) == [1] + [2] * 50


async def test_what_is_told_was_not_begun_before_it_was_asked_for() -> None:
    value = 0

    async def make() -> int:
        await trio.lowlevel.checkpoint()
        return value

    shared = SharedAnswer(make)
    for value in range(3):
        assert await shared.get() == value
