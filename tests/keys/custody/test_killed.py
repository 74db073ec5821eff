"""A process that is killed, at every point of its first start and of a refresh, and started again."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from sqlalchemy import func, select
from trio.testing import MockClock

from keys.custody import database_schema
from keys.dnssec.signing_policy import DAY, HOUR
from keys.rules.commands import StartRollover
from tests.keys.world import LAB, POLICY, Crash, Fuse, World, check_dnskey


async def start_until_killed(world: World, kill_at: int, lasting: float = 1) -> Fuse:
    fuse = Fuse(kill_at)
    try:
        async with world.life(fuse=fuse):
            await trio.sleep(lasting)
    except* Crash:
        pass
    return fuse


async def points_of(world: World, lasting: float = 1) -> list[str]:
    fuse = Fuse()
    async with world.life(fuse=fuse):
        await trio.sleep(lasting)
    return fuse.points


def check_one_key_each(world: World) -> None:
    assert len(world.kms.keys) == 1
    with world.open_store() as store:
        keyring = store.load_keyring(LAB)
        with store.reading() as connection:
            secrets = connection.scalar(select(func.count()).select_from(database_schema.zsk_secret))
    assert keyring is not None
    assert [ksk.arn for ksk in keyring.ksks] == [world.arn]
    assert [zsk.sequence for zsk in keyring.zsks] == [1]
    assert secrets == 1


async def test_killed_at_every_point_of_the_first_start(tmp_path: Path, autojump_clock: MockClock) -> None:
    points = await points_of(World(tmp_path / "whole"))
    assert {"before CreateKey", "after CreateKey", "after GetPublicKey", "after Sign"} <= set(points)
    assert points.count("before save") == points.count("after save") == 7
    for kill_at in range(len(points)):
        world = World(tmp_path / str(kill_at))
        fuse = await start_until_killed(world, kill_at)
        assert fuse.points[kill_at] == points[kill_at]
        async with world.life():
            check_dnskey(world.keys, int(world.now()))
        check_one_key_each(world)


@pytest.mark.parametrize("again", [3, 7, 20])
async def test_killed_twice_on_the_way(tmp_path: Path, autojump_clock: MockClock, again: int) -> None:
    for kill_at in range(12):
        world = World(tmp_path / str(kill_at))
        await start_until_killed(world, kill_at)
        await start_until_killed(world, again)
        async with world.life():
            check_dnskey(world.keys, int(world.now()))
        check_one_key_each(world)


async def test_killed_during_a_refresh(tmp_path: Path, autojump_clock: MockClock) -> None:
    whole = World(tmp_path / "whole")
    first = await points_of(whole)
    points = await points_of(whole, 2 * DAY)
    assert points.count("after Sign") == 15
    assert len(first) > len(points)
    for kill_at in range(len(points)):
        world = World(tmp_path / str(kill_at))
        async with world.life():
            before = world.keys.keyset
        await start_until_killed(world, kill_at, 2 * DAY)
        killed = int(world.now())
        async with world.life():
            # What was published last, or its successor, serves at once.
            check_dnskey(world.keys, killed)
            assert world.keys.keyset.rdatas == before.rdatas
            await trio.sleep(DAY)
            check_dnskey(world.keys, int(world.now()))
        check_one_key_each(world)


async def roll_until_killed(world: World, kill_at: int | None) -> Fuse:
    fuse = Fuse(kill_at)
    try:
        async with world.life(fuse=fuse) as key_manager:
            await key_manager.request(StartRollover())
            await trio.sleep(1.5 * DAY)
    except* Crash:
        pass
    return fuse


async def test_killed_during_a_rollover(tmp_path: Path, autojump_clock: MockClock) -> None:
    whole = World(tmp_path / "whole")
    whole.ttl = 2 * HOUR
    points = (await roll_until_killed(whole, None)).points
    for kill_at in range(0, len(points), 4):
        world = World(tmp_path / str(kill_at))
        world.ttl = whole.ttl
        await roll_until_killed(world, kill_at)
        async with world.life() as key_manager:
            if key_manager.keyring.zsks_generated < 2 and key_manager.keyring.rollover_requested is None:
                await key_manager.request(StartRollover())
            await trio.sleep(2 * DAY)
            check_dnskey(world.keys, int(world.now()))
            first, second = key_manager.keyring.zsks
        with_both = [at for at, keys in world.published if len(keys.keyset.rdatas) == 3]
        signing = [at for at, keys in world.published if keys.signers[-1].signer.public_key == second.public_key]
        without = [at for at, keys in world.published if first.rdata not in keys.keyset.rdatas]
        # Each wait is at least as long as it was seen from outside.
        assert signing[0] >= with_both[0] + POLICY.propagation + HOUR, points[kill_at]
        assert without[0] >= signing[0] + POLICY.propagation + POLICY.window + world.ttl, points[kill_at]
