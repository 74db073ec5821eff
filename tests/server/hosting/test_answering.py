"""A change is in sync once every answer is of it, whoever answers and however long that takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from keys.kms.interface import KeyRequest
from keys.rules.commands import CreateKsk, EnableSigning
from server.hosting.answering import Answering, Here, Reaching
from server.hosting.hosted import HostedZones
from server.hosting.hosting import Hosting
from tests.keys.world import Fuse, World
from zones.recordsets.model import Action, Change, ChangeStatus, InvalidChangeBatchError, RecordSet
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


def put(name: str, value: str, ttl: int = 300) -> Change:
    return Change(Action.UPSERT, RecordSet(name, "A", ttl, (value,)))


async def test_a_change_is_pending_until_every_answer_is_of_it(tmp_path: Path, autojump_clock: object) -> None:
    world, late = World(tmp_path), Late()
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())
            zones = HostedZones(Hosting(services, nursery, lambda: None, late), services)

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
            zones = HostedZones(Hosting(services, nursery, lambda: None, late), services)
            zone, _ = await zones.create_zone("lab.example", "1", SERVERS)
            custodian = await zones.custodian(zone.id)
            await custodian.request(CreateKsk("main", await world.kms.create_key(KeyRequest("a KSK", None, {}))))
            await custodian.request(EnableSigning())
            await trio.sleep(60)
            high = 500_000
            await zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1", high)])
            assert custodian.ring.data_ttl == high
            late.catch_up()
            async with trio.open_nursery() as changing:
                lower = [put("www.lab.example", "192.0.2.1", 60)]
                changing.start_soon(zones.change_record_sets, zone.id, lower)
                await trio.sleep(3600)
                assert custodian.ring.data_ttl == high
                late.catch_up()
            assert custodian.ring.data_ttl < high
            nursery.cancel_scope.cancel()


async def test_in_one_process_every_change_is_everywhere_at_once() -> None:
    here: Answering = Here()
    version = here.follow(ZoneSet())
    assert here.has_reached(version)
    await here.reached()


def test_changes_that_are_everywhere_are_forgotten() -> None:
    late = Late()
    reaching = Reaching(late)
    for number in range(100):
        with reaching.making(str(number)):
            assert str(number) in reaching
            reaching.made(str(number), late.follow(ZoneSet()))
        assert str(number) in reaching
        late.catch_up()
        assert str(number) not in reaching
    assert len(reaching) <= 1
    with pytest.raises(KeyError), reaching.making("x"):
        raise KeyError
    assert "x" not in reaching
    assert len(reaching) <= 1
