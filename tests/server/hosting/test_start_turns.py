"""Who loads keys first after a start: a few at a time, and those that are asked for before others."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from keys.dnssec.signing_policy import DAY
from server.hosting import key_manager_supervisor
from server.hosting.start_turns import StartTurns
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from tests.keys.world import World
from tests.lab import query, surprised, wire_name
from tests.server.hosting.test_one_truth import serving


async def test_turns_are_few_and_in_order_but_for_those_that_are_asked_for(autojump_clock: MockClock) -> None:
    turns, began, most = StartTurns(2), [], 0

    async def start(name: bytes) -> None:
        nonlocal most
        await turns.take(name)
        began.append(name)
        most = max(most, len(began))
        await trio.sleep(1)
        turns.give_back()

    names = [b"%d" % number for number in range(8)]
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(start, name)
            await trio.testing.wait_all_tasks_blocked()
        assert began == names[:2]
        turns.hurry(b"6")
        turns.hurry(b"nobody")
        await trio.testing.wait_all_tasks_blocked()
        assert began == [*names[:2], b"6"]
        await trio.sleep(1.5)
        # The one that hurried made none of the others come earlier.
        assert set(began) == {*names[:2], b"6", b"2", b"3"}
    assert sorted(began) == names
    assert turns._free == 2


async def test_who_is_given_up_while_it_waits_or_just_when_its_turn_comes_keeps_no_turn(
    autojump_clock: MockClock,
) -> None:
    turns = StartTurns(1)

    async def hold(name: bytes) -> None:
        await turns.take(name)
        try:
            await trio.sleep_forever()
        finally:
            turns.give_back()

    await turns.take(b"first")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, b"second")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, b"third")
        await trio.testing.wait_all_tasks_blocked()
        turns.give_back()
        nursery.cancel_scope.cancel()
    with trio.fail_after(1):
        await turns.take(b"fourth")


async def test_a_zone_that_is_asked_for_is_loaded_before_others(
    world: World, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_manager_supervisor, "_AT_A_TIME", 1)
    origins = [f"z{number}.example." for number in range(12)]
    async with serving(world, tmp_path) as here:
        await here.load(*[here.file(origin) for origin in origins])
        await trio.sleep(DAY)
    async with serving(world, tmp_path) as here:
        await here.registry.load([here.file(origin) for origin in origins])
        responder = Responder(lambda: here.registry.zoneset, Caches(), surprised, wanted=here.registry.asked_for)
        world.slow = 1.0  # whatever blocks takes a second
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.registry.sign)
            await trio.sleep(0.5)
            responder.messages([query("www.z11.example", "A")], int(world.now()))
            await here.registry.key_managers.settled(here.registry.registered[wire_name("z11.example")])
            assert here.rcode("z11.example.") == "NOERROR"
            assert sum(here.rcode(origin) == "SERVFAIL" for origin in origins) >= 9
        assert all(here.rcode(origin) == "NOERROR" for origin in origins)
        assert here.registry.zoneset.get(wire_name("z0.example")) is not None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
