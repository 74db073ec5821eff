"""Where the change log can't be followed, what is stored is answered from: rows gone, changed, late, restored."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import dns.rcode
import pytest
import trio

from keys.custody.state_connections import StateUnavailable
from keys.custody.state_database import DATABASE, Store
from keys.rules.commands import CreateKsk, EnableSigning
from keys.rules.keyring import Keyring
from server.hosting.state_snapshots import LOOKED_AT, StateSnapshots
from server.settings.configuration import ZoneConfig
from tests.keys.world import Fuse, World
from tests.lab import wire_name
from tests.server.hosting.test_hosted_zones import FILE, RunningServer, put
from zones.recordsets.record_sets import ChangeInfo, ChangeStatus
from zones.recordsets.record_store import RecordStore

REMOVED = "DELETE FROM change WHERE version = (SELECT max(version) FROM change)"
FALSIFIED = "UPDATE change SET digest = zeroblob(32) WHERE version = (SELECT max(version) FROM change)"
SKIPPED = "UPDATE log SET version = version + 5"
OTHER_DATA = "UPDATE record_set SET document = CAST(replace(CAST(document AS TEXT), '192.0.2.1', '192.0.2.9') AS BLOB)"


class Followed(RunningServer):
    """A process with hosted zones that takes snapshots."""

    def __init__(self, world: World, store: Store, nursery: trio.Nursery) -> None:
        super().__init__(world, store, nursery)
        self.store = store
        self.snapshots = StateSnapshots(self.registry, self.zones, world.services(store, Fuse()))

    def edit(self, *statements: str) -> None:
        """As another program, which takes no heed of the fence."""
        with closing(sqlite3.connect(self.store.path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def restore(self, backup: Path) -> None:
        """As another program that puts a backup over the running server's state."""
        with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(self.store.path)) as target:
            source.backup(target)

    async def write(self) -> ChangeInfo:
        """Write something that concerns no zone's data, by which this process learns of the log."""
        return await self.zones.note_change("a write")

    async def followed(self, change: ChangeInfo) -> None:
        """The snapshot is taken, and stands for all that is stored."""
        with trio.fail_after(60):
            await self.registry.membership.all_published()
        assert (await self.zones.change(change.id)).status is ChangeStatus.INSYNC
        assert not self.registry.membership.log.lost
        assert self.registry.membership.log.position == self.store.position
        with self.store.reading() as connection:
            assert self.store.position_in(connection) == self.store.position


@asynccontextmanager
async def following(world: World, *, taking: bool = True) -> AsyncIterator[Followed]:
    """Such a process; `taking`: it takes snapshots by itself."""
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            process = Followed(world, store, nursery)
            await process.zones.load()
            await process.registry.sign()
            if taking:
                nursery.start_soon(process.snapshots.run)
            yield process
            nursery.cancel_scope.cancel()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def signed_zone(process: Followed) -> str:
    zone = await process.create("signed.example")
    key_manager = await process.zones.key_manager(zone.id)
    await key_manager.request(CreateKsk("main", await process.key(zone)))
    await key_manager.request(EnableSigning())
    await trio.sleep(3700)
    process.valid("signed.example", "SOA", "signed.example")
    return zone.id


def keyring_of(process: Followed, origin: str) -> Keyring:
    key_manager = process.registry.registered[wire_name(origin)].key_manager
    assert key_manager is not None
    return key_manager.keyring


@pytest.mark.parametrize("statement", [REMOVED, FALSIFIED, SKIPPED])
async def test_what_a_lost_row_may_have_told_is_read(world: World, autojump_clock: object, statement: str) -> None:
    async with following(world) as process:
        zone = await process.create()
        await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
        signed = await signed_zone(process)
        key_manager = process.registry.registered[wire_name("signed.example")].key_manager
        before, zoneset = process.store.position, process.registry.zoneset
        process.edit(OTHER_DATA, statement)
        change = await process.write()
        assert process.store.position.log_id != before.log_id  # nobody can follow the one before
        await process.followed(change)
        assert process.registry.zoneset is not zoneset
        assert process.answer("www.lab.example") == (0, ["192.0.2.9"])
        assert (
            process.registry.registered[wire_name("signed.example")].key_manager is key_manager
        )  # its keys are the same
        await process.zones.change_record_sets(signed, [put("www.signed.example", "192.0.2.1")])
        process.valid("www.signed.example", "A", "signed.example")


async def test_a_row_that_is_gone_is_a_loss_whatever_is_written_next(world: World, autojump_clock: object) -> None:
    """The fence finds it before the transaction, which may fail for a reason of its own."""
    async with following(world) as process:
        zone = await process.create()
        await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
        process.edit(OTHER_DATA, REMOVED)
        with pytest.raises(ZeroDivisionError), process.store.writing():
            raise ZeroDivisionError
        await trio.testing.wait_all_tasks_blocked()
        assert process.answer("www.lab.example") == (0, ["192.0.2.9"])
        assert process.registry.membership.log.position == process.store.position


async def test_a_state_that_is_restored_under_a_running_server_is_answered(
    world: World, autojump_clock: object, tmp_path: Path
) -> None:
    backup = tmp_path / DATABASE
    async with following(world) as process:
        await signed_zone(process)
        kept, gone = await process.create("kept.example"), await process.create("gone.example")
        await process.zones.change_record_sets(kept.id, [put("www.kept.example", "192.0.2.1")])
        process.store.backup(backup)
        backed_up = keyring_of(process, "signed.example")
        await process.zones.delete_zone(gone.id)
        await process.create("new.example")
        lost = await process.zones.change_record_sets(kept.id, [put("www.kept.example", "192.0.2.2")])
        await trio.sleep(3 * 86400)  # refreshes, which the backup has not
        frozen = process.registry.registered[wire_name("signed.example")].key_manager
        assert keyring_of(process, "signed.example").revision > backed_up.revision
        process.restore(backup)
        await process.followed(await process.write())
        assert process.answer("www.kept.example") == (0, ["192.0.2.1"])
        assert process.answer("gone.example", "SOA")[0] == dns.rcode.NOERROR
        assert process.answer("new.example", "SOA")[0] == dns.rcode.REFUSED
        assert process.registry.registered[wire_name("signed.example")].key_manager is not frozen
        process.valid("signed.example", "SOA", "signed.example")
        with pytest.raises(Exception, match="NoSuchChange"):
            await process.zones.change(lost.id)
        await process.zones.change_record_sets(gone.id, [put("www.gone.example", "192.0.2.3")])
        assert process.answer("www.gone.example") == (0, ["192.0.2.3"])
        await trio.sleep(20 * 86400)  # its keys are kept, too
        process.valid("signed.example", "SOA", "signed.example")
        assert not process.registry.membership.log.lost


async def test_a_state_that_is_restored_is_noticed_though_nobody_writes(
    world: World, autojump_clock: object, tmp_path: Path
) -> None:
    backup = tmp_path / DATABASE
    async with following(world) as process:
        zone = await process.create()
        await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
        process.store.backup(backup)
        await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.2")])
        process.restore(backup)
        await trio.sleep(2 * LOOKED_AT)
        assert process.answer("www.lab.example") == (0, ["192.0.2.1"])
        assert process.registry.membership.log.position == process.store.position
        before = process.store.position
        await trio.sleep(3600)
        assert process.store.position == before  # to look writes nothing


async def test_a_key_manager_finds_that_the_state_was_restored(
    world: World, autojump_clock: object, tmp_path: Path
) -> None:
    """Nobody else writes: it is overtaken by the stored keyring, and another one takes that up."""
    backup = tmp_path / DATABASE
    async with following(world) as process:
        await signed_zone(process)
        process.store.backup(backup)
        await trio.sleep(3 * 86400)
        overtaken = process.registry.registered[wire_name("signed.example")].key_manager
        process.restore(backup)
        await trio.sleep(20 * 86400)
        assert process.registry.registered[wire_name("signed.example")].key_manager is not overtaken
        process.valid("signed.example", "SOA", "signed.example")
        assert process.registry.membership.log.position == process.store.position


async def test_a_commit_that_failed_and_is_stored_is_answered(world: World, autojump_clock: object) -> None:
    async with following(world) as process:
        zone, other = await process.create(), await process.create("other.example")
        log, untouched = process.store.position.log_id, process.registry.registered[wire_name("other.example")].zone
        known, told = process.store._head, process.store.on_commit[:]
        process.store.on_commit.clear()  # as where the disk says at last that nothing was stored
        change = ChangeInfo("C1", ChangeStatus.PENDING, 0)
        RecordStore(process.store).apply(zone.id, [put("www.lab.example", "192.0.2.1")], change)
        process.store._head = known
        process.store.on_commit += told
        await process.followed(await process.write())
        assert process.answer("www.lab.example") == (0, ["192.0.2.1"])
        assert process.store.position.log_id == log
        assert process.registry.registered[wire_name("other.example")].zone is untouched
        assert await process.zones.zone(other.id) == other


async def test_a_change_whose_waits_hold_its_zone_is_no_reason_to_wait_for_ever(
    world: World, autojump_clock: object
) -> None:
    async with following(world) as process:
        zone = await signed_zone(process)
        await process.zones.change_record_sets(zone, [put("www.signed.example", "192.0.2.1", ttl=200_000)])
        process.edit(REMOVED)
        with trio.fail_after(60):
            await process.zones.change_record_sets(zone, [put("www.signed.example", "192.0.2.1", ttl=60)])
        await process.followed(await process.write())
        process.valid("www.signed.example", "A", "signed.example")


async def test_a_zone_that_can_not_be_read_any_more_is_servfail_alone(world: World, autojump_clock: object) -> None:
    async with following(world) as process:
        zone = await process.create()
        await process.create("other.example")
        process.edit(f"UPDATE kept_zone SET document = X'00' WHERE id = '{zone.id}'", REMOVED)
        await process.followed(await process.write())
        assert process.answer("lab.example", "SOA")[0] == dns.rcode.SERVFAIL
        assert process.answer("other.example", "SOA")[0] == dns.rcode.NOERROR
        assert "can't be read" in str(process.registry.registered[wire_name("lab.example")].problem)


async def test_what_zones_of_files_are_served_from_is_noted_again(
    world: World, autojump_clock: object, tmp_path: Path
) -> None:
    backup = tmp_path / DATABASE
    files = [tmp_path / f"{name}.zone" for name in ("plain.example", "file.example")]
    for file in files:
        file.write_text(FILE)
    async with following(world) as process:
        process.store.backup(backup)
        configs = [ZoneConfig(origin=file.stem + ".", file=file, signed=file.stem == "file.example") for file in files]
        await process.registry.load(configs)
        await process.registry.sign()
        noted, ids = process.store.noted_files(), process.store.zone_ids()
        assert len(noted) == 2
        process.restore(backup)
        assert not process.store.noted_files()
        await process.followed(await process.write())
        assert process.store.noted_files() == noted
        assert set(process.store.zone_ids()) == set(ids)
        assert process.answer("plain.example", "SOA")[0] == dns.rcode.NOERROR
        plain = process.store.load_keyring(wire_name("plain.example"))
        assert plain is not None
        assert plain.served_unsigned
        await trio.sleep(10)
        assert process.store.load_keyring(wire_name("file.example")) is not None
        process.valid("file.example", "SOA", "file.example")
        await process.registry.load(configs)


async def test_a_snapshot_that_fails_is_taken_again(world: World, autojump_clock: object) -> None:
    async with following(world, taking=False) as process:
        zone = await process.create()
        await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
        process.edit(OTHER_DATA, REMOVED)
        failures = iter([StateUnavailable("the disk failed")])
        whole = process.store.standings

        def failing(origins: object) -> object:
            for failure in failures:
                raise failure
            return whole(origins)  # type: ignore[arg-type]

        process.store.standings = failing  # type: ignore[assignment, method-assign]
        await process.write()
        with pytest.raises(StateUnavailable):
            await process.snapshots.take(process.registry.membership.log.lost)
        assert process.answer("www.lab.example") == (0, ["192.0.2.1"])
        await process.snapshots.take(process.registry.membership.log.lost)
        assert process.answer("www.lab.example") == (0, ["192.0.2.9"])
        assert process.registry.membership.log.position == process.store.position
