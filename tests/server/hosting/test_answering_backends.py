"""A change is in sync once every answer is of it, whoever answers and however long that takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from keys.kms.interface import KeyRequest
from keys.rules.commands import CreateKsk, EnableSigning
from server.hosting.answering_backends import Backends, ChangesUnderWay, ThisProcess
from server.hosting.hosted_zones import HostedZones
from server.hosting.zone_registry import ZoneRegistry
from tests.keys.world import Fuse, World
from zones.recordsets.record_sets import ChangeAction, ChangeStatus, InvalidChangeBatchError, RecordSet, RecordSetChange
from zones.zoneset import ZoneSet

SERVERS = ("ns1.test", "ns2.test")


class Late:
    """Those who answer, told when by the test."""

    def __init__(self) -> None:
        self.newest = 0
        self.everywhere = 0
        self.told = trio.Event()

    def follow(self, _: ZoneSet) -> int:
        self.newest += 1
        return self.newest

    def has_reached(self, version: int) -> bool:
        return version <= self.everywhere

    async def reached(self) -> None:
        wanted = self.newest
        while self.everywhere < wanted:
            await self.told.wait()

    def catch_up(self) -> None:
        self.everywhere = self.newest
        self.told.set()
        self.told = trio.Event()


def put(name: str, value: str, ttl: int = 300) -> RecordSetChange:
    return RecordSetChange(ChangeAction.UPSERT, RecordSet(name, "A", ttl, (value,)))


async def test_a_change_is_pending_until_every_answer_is_of_it(tmp_path: Path, autojump_clock: object) -> None:
    world, late = World(tmp_path), Late()
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())
            zones = HostedZones(ZoneRegistry(services, nursery, lambda: None, late), services)

            async def status(change_id: str) -> ChangeStatus:
                return (await zones.change(change_id)).status

            zone, made = await zones.create_zone("lab.example", "1", SERVERS)
            assert await status(made.id) is ChangeStatus.PENDING
            late.catch_up()
            assert await status(made.id) is ChangeStatus.INSYNC
            first = await zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
            late.catch_up()
            second = await zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.2")])
            noted = await zones.note_change("it follows from that")
            assert [await status(change.id) for change in (first, second, noted)] == [
                ChangeStatus.INSYNC,
                ChangeStatus.PENDING,
                ChangeStatus.PENDING,
            ]
            with pytest.raises(InvalidChangeBatchError):
                await zones.change_record_sets(zone.id, [put("elsewhere.test", "192.0.2.2")])
            late.catch_up()
            assert [await status(change.id) for change in (second, noted)] == [ChangeStatus.INSYNC] * 2
            gone = await zones.delete_zone((await zones.create_zone("other.example", "2", SERVERS))[0].id)
            assert await status(gone.id) is ChangeStatus.PENDING
            late.catch_up()
            assert await status(gone.id) is ChangeStatus.INSYNC
            nursery.cancel_scope.cancel()


async def test_a_lower_ttl_counts_once_every_answer_has_it(tmp_path: Path, autojump_clock: object) -> None:
    world, late = World(tmp_path), Late()
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())
            zones = HostedZones(ZoneRegistry(services, nursery, lambda: None, late), services)
            zone, _ = await zones.create_zone("lab.example", "1", SERVERS)
            key_manager = await zones.key_manager(zone.id)
            await key_manager.request(CreateKsk("main", await world.kms.create_key(KeyRequest("a KSK", None, {}))))
            await key_manager.request(EnableSigning())
            await trio.sleep(60)
            high = 500_000
            await zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1", high)])
            assert key_manager.keyring.data_ttl == high
            late.catch_up()
            async with trio.open_nursery() as changing:
                lower = [put("www.lab.example", "192.0.2.1", 60)]
                changing.start_soon(zones.change_record_sets, zone.id, lower)
                await trio.sleep(3600)
                assert key_manager.keyring.data_ttl == high
                late.catch_up()
            assert key_manager.keyring.data_ttl < high
            nursery.cancel_scope.cancel()


async def test_in_one_process_every_change_is_everywhere_at_once() -> None:
    here: Backends = ThisProcess()
    version = here.follow(ZoneSet())
    assert here.has_reached(version)
    await here.reached()


def test_changes_that_are_everywhere_are_forgotten() -> None:
    late = Late()
    changes_under_way = ChangesUnderWay(late)
    for number in range(100):
        with changes_under_way.making(str(number)):
            assert str(number) in changes_under_way
            changes_under_way.made(str(number), late.follow(ZoneSet()))
        assert str(number) in changes_under_way
        late.catch_up()
        assert str(number) not in changes_under_way
    assert len(changes_under_way) <= 1
    with pytest.raises(KeyError), changes_under_way.making("x"):
        raise KeyError
    assert "x" not in changes_under_way
    assert len(changes_under_way) <= 1


def test_a_change_to_come_is_under_way_until_it_has_come_everywhere() -> None:
    late = Late()
    under_way = ChangesUnderWay(late)
    versions: dict[str, int] = {}
    for one in ("looked at", "not looked at"):
        under_way.coming(one, lambda one=one: versions.get(one))  # type: ignore[misc]
    late.follow(ZoneSet())
    late.catch_up()
    assert "looked at" in under_way
    versions = dict.fromkeys(("looked at", "not looked at"), late.follow(ZoneSet()))
    assert "looked at" in under_way
    late.follow(ZoneSet())
    late.everywhere = versions["looked at"]
    assert "looked at" not in under_way
    # Whoever never asks leaves nothing behind.
    late.catch_up()
    for other in ("other", "another"):
        under_way.made(other, late.follow(ZoneSet()))
        late.catch_up()
    assert len(under_way) == 1
