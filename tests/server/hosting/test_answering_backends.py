"""A change is in sync once every backend answers with it, however long that takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from keys.custody import members
from keys.custody.change_log import Position, RecordsChanged, advanced, beginning
from keys.custody.members import Lease, Member
from keys.custody.state_database import StateOvertaken, StateUnavailable, Store
from keys.kms.interface import KeyRequest
from keys.rules.commands import CreateKsk, EnableSigning
from server.hosting.answering_backends import ChangesUnderWay, Membership, ThisProcess
from server.hosting.followed_log import Part
from server.hosting.hosted_zones import HostedZones
from server.hosting.zone_registry import ZoneRegistry
from tests.keys.world import LAB, Fuse, World
from zones.recordsets.record_sets import ChangeAction, ChangeStatus, InvalidChangeBatchError, RecordSet, RecordSetChange
from zones.zoneset import ZoneSet

SERVERS = ("ns1.test", "ns2.test")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state", os.urandom) as opened:
        yield opened


def changed(store: Store, *origins: bytes) -> Position:
    """Commit that the data of these zones are others."""
    with store.writing() as transaction:
        transaction.note(*(RecordsChanged(origin, ("www",), b"") for origin in origins))
    return store.position


class Late:
    """Those who answer, told when by the test."""

    def __init__(self) -> None:
        self.on_news: Callable[[], None] = lambda: None
        self.newest: tuple[ZoneSet, Position] | None = None
        self.holds: tuple[ZoneSet, Position] | None = None
        self.sets = 0
        self.told = trio.Event()

    def follow(self, zoneset: ZoneSet, position: Position) -> None:
        is_another = self.newest is None or self.newest[0] is not zoneset
        self.sets += is_another
        if not is_another and self.holds == self.newest:
            self.holds = zoneset, position
        self.newest = zoneset, position

    def members(self) -> Iterable[Member]:
        return [Member("worker 1", self.holds[1] if self.holds is not None else None)]

    async def reached(self) -> None:
        wanted = self.sets
        while self.holds is not self.newest and self.sets == wanted:
            await self.told.wait()

    def catch_up(self) -> None:
        self.holds = self.newest
        self.told.set()
        self.told = trio.Event()
        self.on_news()


def put(name: str, value: str, ttl: int = 300) -> RecordSetChange:
    return RecordSetChange(ChangeAction.UPSERT, RecordSet(name, "A", ttl, (value,)))


async def test_a_change_is_pending_until_every_answer_is_of_it(tmp_path: Path, autojump_clock: object) -> None:
    world, late = World(tmp_path), Late()
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())
            zones = HostedZones(ZoneRegistry(services, nursery, lambda: None, Membership(store, late)), services)

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
            zones = HostedZones(ZoneRegistry(services, nursery, lambda: None, Membership(store, late)), services)
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


async def test_new_keys_count_as_published_once_every_answer_has_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    world, late = World(tmp_path), Late()
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            here = Membership(store, late)
            services = replace(world.services(store, Fuse()), published=here.keys_published)
            zones = HostedZones(ZoneRegistry(services, nursery, lambda: None, here), services)
            zone, _ = await zones.create_zone("lab.example", "1", SERVERS)
            key_manager = await zones.key_manager(zone.id)
            await key_manager.request(CreateKsk("main", await world.kms.create_key(KeyRequest("a KSK", None, {}))))
            await key_manager.request(EnableSigning())
            change = await zones.note_change(settled=key_manager.settling())

            await trio.sleep(86_400)
            assert here.log.reaches(here.log.newest)  # they are answered here
            assert key_manager.keyring.keyset is not None
            assert key_manager.keyring.unconfirmed is not None
            assert (await zones.change(change.id)).status is ChangeStatus.PENDING
            at = int(world.now())
            late.catch_up()
            await trio.sleep(60)
            assert key_manager.keyring.unconfirmed is None
            ready = key_manager.keyring.ksks[0].ready
            assert ready is not None
            assert ready > at  # counted from then on
            late.catch_up()
            await trio.sleep(60)
            assert (await zones.change(change.id)).status is ChangeStatus.INSYNC
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("trouble", ["its ZSK can't be read now", "its keys are frozen", "it is given up"])
async def test_a_zone_whose_keys_can_not_be_published_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    world = World(tmp_path)
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())
            registry = ZoneRegistry(services, nursery, lambda: None)
            zones = HostedZones(registry, services)
            zone, _ = await zones.create_zone("lab.example", "1", SERVERS)
            other, _ = await zones.create_zone("other.example", "2", SERVERS)
            key_manager = await zones.key_manager(zone.id)

            async def fail(*_: object) -> bool:
                if trouble == "it is given up":
                    await trio.sleep_forever()
                raise StateUnavailable("a disk") if "now" in trouble else ValueError("a bug")

            arn = await world.kms.create_key(KeyRequest("a KSK", None, {}))
            await key_manager.request(CreateKsk("main", arn))
            await key_manager.request(EnableSigning())
            before = store.position
            monkeypatch.setattr(key_manager._publisher, "show", fail)
            await trio.sleep(600)
            assert store.position != before
            if trouble == "it is given up":
                assert registry.membership.log.position != store.position
                registry.key_managers.give_up(registry.registered[LAB])
                await trio.sleep(1)
            change = await zones.change_record_sets(other.id, [put("www.other.example", "192.0.2.1")])
            assert (await zones.change(change.id)).status is ChangeStatus.INSYNC
            assert registry.membership.log.position == store.position
            nursery.cancel_scope.cancel()


async def test_waits_that_a_jump_of_the_clock_moves_hold_up_nobody(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())
            registry = ZoneRegistry(services, nursery, lambda: None)
            zones = HostedZones(registry, services)
            zone, _ = await zones.create_zone("lab.example", "1", SERVERS)
            key_manager = await zones.key_manager(zone.id)
            await key_manager.request(CreateKsk("main", await world.kms.create_key(KeyRequest("a KSK", None, {}))))
            await key_manager.request(EnableSigning())
            await trio.sleep(60)
            before, wait, jumps = store.position, trio.Event(), [100]

            async def plan_again(_: object) -> None:
                await wait.wait()

            monkeypatch.setattr(key_manager, "_wait", plan_again)  # no look at what is published in between
            monkeypatch.setattr(key_manager._jumps, "jumped", lambda: jumps.pop() if jumps else 0)
            key_manager.wake()
            await trio.sleep(60)
            assert store.position != before
            assert registry.membership.log.position == store.position
            nursery.cancel_scope.cancel()


async def test_a_change_that_is_stored_and_can_not_be_answered_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())
            registry = ZoneRegistry(services, nursery, lambda: None)
            zones = HostedZones(registry, services)
            zone, _ = await zones.create_zone("lab.example", "1", SERVERS)

            def fail(*_: object) -> None:
                raise ValueError("a bug")

            with monkeypatch.context() as broken, pytest.raises(ValueError, match="a bug"):
                broken.setattr(registry, "change", fail)
                await zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
            with monkeypatch.context() as broken, pytest.raises(ValueError, match="a bug"):
                broken.setattr(registry, "host", fail)
                await zones.create_zone("other.example", "2", SERVERS)
            assert registry.membership.log.position == store.position
            nursery.cancel_scope.cancel()


async def test_in_one_process_every_change_is_everywhere_when_it_is_answered(store: Store) -> None:
    here = Membership(store, ThisProcess())
    position = changed(store, LAB)
    assert not here.is_published(position)
    here.follow(ZoneSet(), [(Part.DATA, LAB)])
    assert here.is_published(position)
    await here.all_published()


async def test_a_worker_has_the_position_of_the_set_that_it_has_acknowledged(store: Store) -> None:
    late = Late()
    here = Membership(store, late)
    here.follow(ZoneSet(), [])
    late.catch_up()
    position = changed(store, LAB)
    here.follow(ZoneSet(), [(Part.DATA, LAB)])
    assert here.log.reaches(position)
    assert not here.is_published(position)
    late.catch_up()
    assert here.is_published(position)
    # What changes nothing that is answered costs no set.
    sets, noted = late.sets, changed(store)
    assert here.is_published(noted)
    assert late.sets == sets


async def test_whoever_waits_is_woken_and_looks_at_nothing_meanwhile(
    store: Store, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late()
    here = Membership(store, late)
    position = changed(store, LAB)
    looked = 0
    is_published = here.is_published

    def counted(wanted: Position) -> bool:
        nonlocal looked
        looked += 1
        return is_published(wanted)

    monkeypatch.setattr(here, "is_published", counted)
    done = trio.Event()

    async def wait() -> None:
        await here.published(position)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(86_400)
        assert looked == 1
        here.follow(ZoneSet(), [(Part.DATA, LAB)])
        await trio.sleep(86_400)
        assert not done.is_set()
        assert looked <= 3
        late.catch_up()
        await done.wait()


async def test_a_member_on_another_machine_is_waited_for_as_long_as_its_lease(
    store: Store, autojump_clock: MockClock
) -> None:
    here = Membership(store, ThisProcess())
    here.leased = members.renewed({}, "node", Lease(30), trio.current_time())
    here.told()
    position = changed(store, LAB)
    here.follow(ZoneSet(), [(Part.DATA, LAB)])
    assert not here.is_published(position)
    asked = trio.current_time()
    await here.published(position)
    assert trio.current_time() == pytest.approx(Lease(30).end_for_grantor(asked))
    # One that is heard of is not waited for.
    here.leased = members.renewed(here.leased, "node", Lease(3600), trio.current_time())
    position = changed(store)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(here.published, position)
        await trio.sleep(10)
        here.leased = members.acknowledged(here.leased, "node", position)
        here.told()
    assert trio.current_time() == began + 10


@pytest.mark.parametrize("what", ["the keys of the zone", "everything"])
async def test_what_is_answered_without_a_write_is_waited_for_by_sets(store: Store, what: str) -> None:
    late = Late()
    here = Membership(store, late)
    here.follow(ZoneSet(), [])
    late.catch_up()
    here.follow(ZoneSet(), [(Part.KEYS, LAB)])  # as keys that are read again
    done = trio.Event()

    async def wait() -> None:
        await (here.all_published() if what == "everything" else here.keys_published(LAB))
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert not done.is_set()
        late.catch_up()
    assert (here.log.beside is None) == (what == "everything")


async def test_what_threads_commit_is_taken_in_order_and_before_they_are_answered(store: Store) -> None:
    here = Membership(store, ThisProcess())

    async def write() -> None:
        await trio.to_thread.run_sync(changed, store)
        assert here.log.position.includes(here.log.newest)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(write)
    assert here.log.stopped is None
    assert here.log.position == store.position


async def test_nothing_is_acknowledged_once_another_program_writes(store: Store, tmp_path: Path) -> None:
    here = Membership(store, ThisProcess())
    position = changed(store)
    assert here.is_published(position)
    with Store.open(store.path.parent, os.urandom), capture_logs() as logs, pytest.raises(StateOvertaken):
        changed(store)
    assert [log["log_level"] for log in logs] == ["critical"]
    assert not here.is_published(position)
    with pytest.raises(StateOvertaken, match="another program"):
        await here.all_published()


async def test_rows_that_every_member_has_may_go(store: Store) -> None:
    late = Late()
    here = Membership(store, late)
    here.follow(ZoneSet(), [])
    assert store.passed() is None  # one has nothing yet
    late.catch_up()
    start = store.position.version
    assert store.passed() == start
    changed(store, LAB)
    here.follow(ZoneSet(), [(Part.DATA, LAB)])
    assert store.passed() == start
    late.catch_up()
    assert store.passed() == start + 1


class Everywhere:
    """Up to which position every answer is."""

    def __init__(self) -> None:
        self.newest = self.everywhere = beginning("log")

    def next(self) -> Position:
        self.newest = advanced(self.newest, b"[]")
        return self.newest

    def is_published(self, position: Position) -> bool:
        return self.everywhere.includes(position)

    def catch_up(self) -> None:
        self.everywhere = self.newest


def test_changes_that_are_everywhere_are_forgotten() -> None:
    late = Everywhere()
    changes_under_way = ChangesUnderWay(late)
    for number in range(100):
        with changes_under_way.making(str(number)):
            assert str(number) in changes_under_way
            changes_under_way.made(str(number), late.next())
        assert str(number) in changes_under_way
        late.catch_up()
        assert str(number) not in changes_under_way
    assert len(changes_under_way) <= 1
    with pytest.raises(KeyError), changes_under_way.making("x"):
        raise KeyError
    assert "x" not in changes_under_way
    assert len(changes_under_way) <= 1


def test_a_change_to_come_is_under_way_until_it_has_come_everywhere() -> None:
    late = Everywhere()
    under_way = ChangesUnderWay(late)
    positions: dict[str, Position] = {}
    for one in ("looked at", "not looked at"):
        under_way.coming(one, lambda one=one: positions.get(one))  # type: ignore[misc]
    late.next()
    late.catch_up()
    assert "looked at" in under_way
    positions = dict.fromkeys(("looked at", "not looked at"), late.next())
    assert "looked at" in under_way
    late.next()
    late.everywhere = positions["looked at"]
    assert "looked at" not in under_way
    # A caller that never asks leaves nothing behind.
    late.catch_up()
    for other in ("other", "another"):
        under_way.made(other, late.next())
        late.catch_up()
    assert len(under_way) == 1
