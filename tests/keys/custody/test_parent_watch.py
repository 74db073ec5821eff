"""What the parent has of a zone is watched: a DS that has come, has gone, names no key of ours, or can't be told."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from keys.custody.key_manager import KeyManager
from keys.custody.parent_interface import ParentUnavailable
from keys.custody.parent_watch import ParentWatch
from keys.dnssec.ds import ds_rdata
from keys.dnssec.signing_policy import DAY, HOUR
from keys.rules.commands import DisableSigning, RequestRefusedError
from keys.rules.key_status import Condition
from keys.rules.parent_report import DsState, NameServers, ParentReport
from tests.keys.custody.parent_by_hand import Parent
from tests.keys.world import LAB, World

FOREIGN = bytes.fromhex("12340d02") + bytes(32)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def seen(key_manager: KeyManager) -> ParentReport:
    return key_manager.status.parent_ds


def condition(key_manager: KeyManager) -> Condition:
    return key_manager.status.condition


def told(world: World, about: str = "parent_ds") -> list[tuple[str, str]]:
    return [(change.before, change.after) for change in world.told if change.about == about]


async def test_a_zone_without_a_known_parent_is_unwatched(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        assert seen(key_manager).state is DsState.UNWATCHED


async def test_a_ds_comes_and_goes_and_cannot_be_told(world: World, autojump_clock: MockClock) -> None:
    parent = world.parent = Parent(world)
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        assert seen(key_manager).state is DsState.ABSENT
        assert not seen(key_manager).is_gone
        assert told(world) == []
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),)
        await trio.sleep(2 * HOUR)
        assert seen(key_manager).state is DsState.MATCHES
        assert len(seen(key_manager).records) == 1
        parent.rdatas = ()
        await trio.sleep(2 * HOUR)
        assert seen(key_manager).state is DsState.ABSENT
        assert seen(key_manager).is_gone
        parent.rdatas = None
        await trio.sleep(HOUR)  # one look that failed says nothing yet
        assert seen(key_manager).state is DsState.ABSENT
        await trio.sleep(2 * HOUR)
        assert seen(key_manager).state is DsState.UNKNOWN
        problem = seen(key_manager).problem
        assert problem is not None and "no answer by TCP" in problem
        assert told(world) == [("absent", "matches"), ("matches", "absent"), ("absent", "unknown")]
        lines = [(line["level"], line["after"]) for line in world.log if line["event"] == "the parent's DS has changed"]
        assert lines == [("info", "matches"), ("warning", "absent"), ("warning", "unknown")]


async def test_a_ds_that_is_gone_but_not_for_certain_is_going(world: World, autojump_clock: MockClock) -> None:
    parent = world.parent = Parent(world)
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),)
        await trio.sleep(2 * HOUR)
        assert seen(key_manager).going == ()
        parent.rdatas, parent.is_settled = (), False
        await trio.sleep(2 * HOUR)
        assert seen(key_manager).state is DsState.MATCHES
        assert seen(key_manager).going == ("ksk_1",)
        with pytest.raises(RequestRefusedError, match="Try again in 61 s"):
            await key_manager.request(DisableSigning())


async def test_a_ds_above_a_zone_that_is_served_unsigned_makes_it_bogus(
    world: World, autojump_clock: MockClock
) -> None:
    parent = world.parent = Parent(world)
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(DisableSigning())
        await trio.sleep(HOUR)
        assert condition(key_manager) is Condition.UNSIGNED
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),)
        await trio.sleep(2 * HOUR)
        assert seen(key_manager).state is DsState.FOREIGN
        assert condition(key_manager) is Condition.FAILING
        assert "while the zone is served unsigned" in (key_manager.status.problem or "")
        assert told(world) == [("absent", "foreign")]


async def test_a_zone_that_was_never_signed_is_looked_at_too(world: World, autojump_clock: MockClock) -> None:
    parent = world.parent = Parent(world)
    async with world.life() as key_manager:
        await key_manager.request(DisableSigning())
    parent.rdatas = (FOREIGN,)
    async with world.life() as key_manager:
        await trio.sleep(2 * HOUR)
        assert seen(key_manager).state is DsState.FOREIGN


async def test_name_servers_that_differ_are_told(world: World, autojump_clock: MockClock) -> None:
    parent = world.parent = Parent(world)
    above = ["ns1.lab.example."]

    async def compared() -> NameServers:
        await trio.lowlevel.checkpoint()
        if not above:
            raise ParentUnavailable("no answer")
        return NameServers(tuple(above), ("ns1.lab.example.",))

    async with world.life() as key_manager:
        key_manager._watch = ParentWatch(key_manager, parent, key_manager._services, compared)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(key_manager._watch_parent)
            await trio.sleep(2 * HOUR)
            assert seen(key_manager).parent_ns == ()
            above[:] = ["ns1.lab.example.", "ns2.lab.example."]
            await trio.sleep(2 * HOUR)
            assert seen(key_manager).parent_ns == ("ns1.lab.example.", "ns2.lab.example.")
            assert seen(key_manager).zone_ns == ("ns1.lab.example.",)
            above.clear()  # a failure leaves what was known
            await trio.sleep(2 * HOUR)
            assert seen(key_manager).parent_ns == ("ns1.lab.example.", "ns2.lab.example.")
            assert told(world, "parent_ns") == [("same", "differs")]
            nursery.cancel_scope.cancel()
