"""A hosted zone that is made is stored and answered, or neither; what is stored keeps no server from starting."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import dns.rcode
import pytest
import trio
from trio.testing import MockClock

from keys.custody.state_database import DATABASE, StateUnavailable
from keys.rules.commands import CreateKsk, DeactivateKsk, DeleteKsk
from tests.keys.world import KillableStore, World
from tests.lab import wire_name
from tests.server.hosting.test_hosted_zones import put, running
from zones.recordsets.record_sets import ChangeStatus, ZoneRequestError


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
            with pytest.raises(
                ZoneRequestError, match=r"InvalidDomainName: Cannot create an SOA record .* DomainNameTooLong"
            ):
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
        hosted = process.registry.registered[wire_name("lab.example")]
        world.slow = 1.0  # whatever blocks takes a second
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.zones.delete_zone, zone.id)
            for _ in range(30):
                await trio.sleep(0.1)
                await process.registry.sign()
        assert not process.registry.registered
        assert hosted.key_manager is None


DAMAGE = {
    "its row": "UPDATE kept_zone SET document = X'00' WHERE id = '{id}'",
    "its SOA": "UPDATE record_set SET document = X'00' WHERE zone = '{id}' AND type = 'SOA'",
    "its keys": "UPDATE ring SET document = X'00', standing = NULL WHERE origin = X'036c6162076578616d706c6500'",
}


def damage(world: World, statement: str) -> None:
    with closing(sqlite3.connect(world.directory / DATABASE)) as connection:
        assert connection.execute(statement).rowcount == 1
        connection.commit()


@pytest.mark.parametrize("what", DAMAGE)
async def test_a_damaged_zone_is_deleted_and_replaced(world: World, autojump_clock: MockClock, what: str) -> None:
    async with running(world) as process:
        zone, other = await process.create(), await process.create("other.example")
        if what != "its keys":  # records that can't be read can't be taken away one by one
            await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
    damage(world, DAMAGE[what].format(id=zone.id))
    async with running(world) as process:
        assert process.answer("lab.example", "SOA")[0] == dns.rcode.SERVFAIL
        hosted = process.registry.registered[wire_name("lab.example")]
        assert "can't be read" in (hosted.problem or hosted.keys_problem or "")
        gone = await process.zones.delete_zone(zone.id)
        assert (await process.zones.change(gone.id)).status is ChangeStatus.INSYNC
        assert process.answer("lab.example", "SOA")[0] == dns.rcode.REFUSED
        again = await process.create()
        assert again.id != zone.id
        await process.zones.change_record_sets(again.id, [put("www.lab.example", "192.0.2.2")])
        assert process.answer("www.lab.example") == (0, ["192.0.2.2"])
    async with running(world) as process:
        assert process.answer("www.lab.example") == (0, ["192.0.2.2"])
        assert {one.id for one in await process.zones.zones(None, 5)} == {again.id, other.id}


async def test_a_damaged_zone_with_keys_that_can_be_read_is_not_deleted(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as process:
        zone = await process.create()
        key_manager = await process.zones.key_manager(zone.id)
        await key_manager.request(CreateKsk("main", await process.key(zone)))
    damage(world, DAMAGE["its row"].format(id=zone.id))
    async with running(world) as process:
        with pytest.raises(ZoneRequestError, match=r"HostedZoneNotEmpty: .* Key Signing Keys"):
            await process.zones.delete_zone(zone.id)
        key_manager = await process.zones.key_manager(zone.id)
        await trio.sleep(10)
        await key_manager.request(DeactivateKsk("main", force=True))
        await key_manager.request(DeleteKsk("main", force=True))
        await trio.sleep(10)
        await process.zones.delete_zone(zone.id)
        await process.create()
