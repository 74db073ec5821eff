"""A hosted zone that is made is stored and answered, or neither; what is stored keeps no server from starting."""

from __future__ import annotations

from pathlib import Path

import dns.rcode
import pytest
import trio
from trio.testing import MockClock

from keys.custody.state_database import StateUnavailable
from keys.rules.commands import CreateKsk
from tests.keys.world import KillableStore, World
from tests.lab import wire_name
from tests.server.hosting.test_hosted_zones import running
from zones.recordsets.record_sets import ZoneRequestError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def name_of(octets: int) -> str:
    """A name of that many octets in wire form."""
    labels = ["a" * 62] * 3
    return ".".join([*labels, "b" * (octets - 3 * 63 - 2)])


@pytest.mark.parametrize(("octets", "taken"), [(244, True), (245, False), (254, False)])
async def test_a_name_too_long_for_its_soa_is_refused_and_nothing_is_stored(
    world: World, autojump_clock: MockClock, octets: int, taken: bool
) -> None:
    async with running(world) as process:
        if taken:
            await process.create(name_of(octets))
        else:
            with pytest.raises(ZoneRequestError, match=r"InvalidDomainName: No SOA record .* DomainNameTooLong"):
                await process.create(name_of(octets))
    async with running(world) as process:
        assert await process.zones.zone_count() == taken
        assert (process.answer(name_of(octets), "SOA")[0] == dns.rcode.NOERROR) == taken


async def test_a_zone_that_can_not_be_answered_now_is_not_stored(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StateUnavailable("the disk is failing")

    async with running(world) as process:
        with monkeypatch.context() as failing:
            failing.setattr(KillableStore, "keyring_within", fail)
            with pytest.raises(StateUnavailable):
                await process.create()
        assert await process.zones.zones(None, 5) == ()
        zone = await process.create()
        assert (await process.zones.zone(zone.id)).name == "lab.example."


async def test_a_zone_whose_keys_are_not_read_yet_is_not_deleted(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(world) as process:
        zone = await process.create()
        key_manager = await process.zones.key_manager(zone.id)
        await key_manager.request(CreateKsk("main", await process.key(zone)))
        await trio.sleep(60)

    def fail(*_: object) -> None:
        raise StateUnavailable("the disk is failing")

    with monkeypatch.context() as failing:
        failing.setattr(KillableStore, "hosted_zone_id", fail)
        async with running(world) as process:
            failing.undo()
            assert not (await process.zones.key_manager(zone.id)).keyring.ksks
            with pytest.raises(ZoneRequestError, match="contains DNSSEC Key Signing Keys"):
                await process.zones.delete_zone(zone.id)


async def test_a_reload_while_a_zone_is_deleted_gives_it_no_key_manager(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as process:
        zone = await process.create()
        await process.zones.key_manager(zone.id)
        hosted = process.registry.hosted[wire_name("lab.example")]
        world.slow = 1.0  # whatever blocks takes a second
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.zones.delete_zone, zone.id)
            for _ in range(30):
                await trio.sleep(0.1)
                await process.registry.sign()
        assert not process.registry.hosted
        assert hosted.key_manager is None
