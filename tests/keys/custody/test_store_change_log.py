"""The store's fence and change log: one writer, versions without gaps, digests that part where histories do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from keys.custody import change_log_table, database_schema
from keys.custody.change_log import (
    Committed,
    FileChanged,
    KeysChanged,
    Logged,
    Position,
    SignednessChanged,
    SnapshotNeeded,
    WriterBegan,
    ZonesNamed,
    beginning,
    follow,
)
from keys.custody.state_database import DATABASE, STATE_KEY, FileZone, Secret, StateOvertaken, StateUnavailable, Store
from keys.custody.state_protocols import Events, Feed, Keys, Units
from keys.rules.events import Entry
from keys.rules.keyring import Keyring
from tests.keys.rules.test_next_action import SIGNED
from tests.keys.world import LAB
from zones.recordsets.record_protocol import Records
from zones.recordsets.record_store import RecordStore

PRIVATE = b"a private key, which is nobody else's business"
NOW = 1_900_000_000.5


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store.open(tmp_path / "state", os.urandom, clock) as opened:
        yield opened


def named(store: Store, number: int) -> bytes:
    """Make one small change."""
    origin = b"\x03%03d\x00" % number
    store.ensure_zone_ids([origin], lambda: f"Z{number}", 5)
    return origin


def rows_after(store: Store, position: Position, most: int = 1000) -> tuple[Logged, ...]:
    rows = store.changes_after(position, most)
    assert not isinstance(rows, SnapshotNeeded), rows
    return rows


def test_the_store_is_what_the_protocols_ask_for(store: Store) -> None:
    """A type checker holds the signatures; here, that no name is missing."""
    units: Units = store
    keys: Keys = store
    events: Events = store
    feed: Feed = store
    records: Records = RecordStore(store)
    for protocol, kept in ((Units, units), (Keys, keys), (Events, events), (Feed, feed), (Records, records)):
        assert {name for name in vars(protocol) if not name.startswith("_")} <= set(dir(kept))


# The fence


def test_of_two_stores_on_one_file_the_one_that_was_opened_later_writes(tmp_path: Path, store: Store) -> None:
    origin = named(store, 1)
    with Store.open(tmp_path / "state", os.urandom) as later:
        for _ in range(2):
            with pytest.raises(StateOvertaken, match="another program has opened this state since"):
                named(store, 2)
        with pytest.raises(StateOvertaken):
            store.save(Keyring(origin, "Z1"), [Entry(5, "lost", "")], [Secret(1, b"public", PRIVATE)])
        assert later.zone_ids() == store.zone_ids() == {origin: "Z1"}  # it may still read
        named(later, 3)
        assert later.save(Keyring(origin, "Z1"), []).revision == 1


def test_who_is_overtaken_within_a_transaction_has_committed_before(tmp_path: Path, store: Store) -> None:
    """The other one can't take its epoch before: the fence is a write, and holds the database until the commit."""
    with store.writing() as transaction:
        transaction.connection.execute(text("INSERT INTO setting VALUES ('a', 'b')"))
        with pytest.raises(StateUnavailable, match="another program has held the database"):
            Store.open(tmp_path / "state", os.urandom)
    with Store.open(tmp_path / "state", os.urandom) as later, later.reading() as connection:
        assert connection.scalar(text("SELECT value FROM setting WHERE name = 'a'")) == "b"


def test_what_fails_takes_no_version(store: Store) -> None:
    start = store.position
    with pytest.raises(RuntimeError), store.writing():
        raise RuntimeError
    assert store.position == start
    named(store, 1)
    assert store.position.version == start.version + 1
    assert follow(start, rows_after(store, start)) == store.position


# The log


def test_a_new_state_begins_a_log(store: Store) -> None:
    (row,) = rows_after(store, beginning(store.position.log_id))
    (change,) = row.changes
    assert isinstance(change, WriterBegan)
    assert (row.version, row.at, change.epoch) == (1, int(NOW), 1)
    assert len(bytes.fromhex(store.position.log_id)) == 16


def test_each_transaction_appends_one_row(store: Store) -> None:
    start = store.position
    origins = [named(store, number) for number in range(3)]
    named(store, 0)  # it has an id: nothing is written
    rows = rows_after(store, start)
    assert [row.changes for row in rows] == [(ZonesNamed({f"Z{n}": origin}),) for n, origin in enumerate(origins)]
    assert follow(start, rows) == store.position
    assert rows_after(store, start, most=2) == rows[:2]
    assert rows_after(store, store.position) == ()
    with store.reading() as connection:
        assert store.position_in(connection) == store.position


def test_keys_are_told_by_what_follows_from_them_and_never_themselves(store: Store, tmp_path: Path) -> None:
    zone_id = store.ensure_zone_ids([LAB], lambda: "Z1", 5)[LAB]
    start = store.position
    unsigned = store.save(Keyring(LAB, zone_id, signing=False), [])
    again = store.save(unsigned, [])
    signed = SIGNED.__class__(**{**{f: getattr(SIGNED, f) for f in SIGNED.__struct_fields__}, "revision": 2})
    store.save(signed, [Entry(5, "Observed", "why")], [Secret(1, b"public", PRIVATE)])
    rows = rows_after(store, start)
    told = [row.changes for row in rows]
    keys = [changes[0] for changes in told]
    assert all(isinstance(change, KeysChanged) for change in keys)
    assert [(k.revision, k.signed, k.policy) for k in keys if isinstance(k, KeysChanged)] == [
        (1, False, False),
        (2, False, False),
        (3, True, True),
    ]
    assert [changes[1:] for changes in told] == [
        (SignednessChanged(LAB, signed=False),),
        (),
        (SignednessChanged(LAB, signed=True),),
    ]
    assert again.revision == 2
    for row in rows:
        assert PRIVATE not in row.document
        assert b"business" not in row.document


def test_a_zone_of_a_file_is_told_when_its_contents_change(store: Store) -> None:
    start = store.position
    store.note_files([FileZone(LAB, b"one"), FileZone(b"\x00", b"root", "root.image")])
    store.note_files([FileZone(LAB, b"one")])
    store.note_files([FileZone(LAB, b"two", "lab.image")], gone=[b"\x00", b"\x01x\x00"])
    assert [row.changes for row in rows_after(store, start)] == [
        (FileChanged(LAB, b"one", None), FileChanged(b"\x00", b"root", "root.image")),
        (FileChanged(LAB, b"two", "lab.image"), FileChanged(b"\x00", None, None)),
    ]


def test_a_commit_is_told_at_once(store: Store) -> None:
    told: list[Committed] = []
    store.on_commit.append(told.append)
    start = store.position
    origin = named(store, 1)
    with pytest.raises(RuntimeError), store.writing():
        raise RuntimeError
    assert told == [Committed(start, store.position, (ZonesNamed({"Z1": origin}),))]
    assert store.zone_ids()


def test_commits_are_told_in_order_whoever_writes(store: Store) -> None:
    told: list[Committed] = []
    store.on_commit.append(told.append)
    before = store.position
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: named(store, number), range(64)))
    assert len(told) == 64
    for one in told:
        assert one.before == before
        assert follow(before, store.changes_after(before, 1)) == one.position  # type: ignore[arg-type]
        before = one.position


def test_a_commit_that_was_reported_as_failed_is_told_before_the_next(store: Store) -> None:
    told: list[Committed] = []
    store.on_commit.append(told.append)
    named(store, 1)
    known = store._head
    lost = named(store, 2)
    store._head = known  # as where the disk says at last that nothing was stored
    (late,) = rows_after(store, known.position)
    with pytest.raises(ZeroDivisionError), store.writing():  # whatever becomes of the next
        raise ZeroDivisionError
    assert told[-1] == Committed(known.position, store.position, (ZonesNamed({"Z2": lost}),), is_late=True)
    assert (store.position.version, store.position.digest) == (late.version, late.digest)
    named(store, 3)
    assert (told[-1].before, told[-1].is_late) == (told[-2].position, False)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM change WHERE version = (SELECT max(version) FROM change)",
        "UPDATE change SET digest = zeroblob(32) WHERE version = (SELECT max(version) FROM change)",
        "UPDATE change SET digest = 'text' WHERE version = (SELECT max(version) FROM change)",
        "UPDATE log SET version = version + 1",
        "UPDATE log SET id = NULL",
        "UPDATE log SET id = 'another'",
    ],
)
def test_a_log_whose_end_is_not_what_was_written_ends_and_another_begins(store: Store, damage: str) -> None:
    told: list[Committed] = []
    store.on_commit.append(told.append)
    named(store, 1)
    before = store.position
    with store.writing() as transaction:
        pass
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute(damage)
        connection.commit()
    with pytest.raises(ZeroDivisionError), store.writing() as transaction:  # whatever becomes of the next
        assert transaction.connection is not None
        raise ZeroDivisionError
    assert told[-1].before == beginning(store.position.log_id)
    assert store.position.log_id != before.log_id
    assert isinstance(store.changes_after(before), SnapshotNeeded)
    (began,) = rows_after(store, told[-1].before)
    assert isinstance(began.changes[0], WriterBegan)
    named(store, 2)
    assert follow(told[-2].position, rows_after(store, told[-2].position)) == store.position


def test_a_late_row_that_does_not_follow_begins_another_log(store: Store) -> None:
    told: list[Committed] = []
    named(store, 1)
    known = store._head
    named(store, 2)
    named(store, 3)
    store._head = known
    store.on_commit.append(told.append)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DELETE FROM change WHERE version = ?", (known.position.version + 1,))
        connection.commit()
    named(store, 4)
    assert told[0].before.version == 0
    assert not any(one.is_late for one in told)


def test_who_is_overtaken_is_told_why(store: Store, tmp_path: Path) -> None:
    told: list[str] = []
    store.on_overtaken.append(told.append)
    with Store.open(tmp_path / "state", os.urandom):
        for _ in range(2):
            with pytest.raises(StateOvertaken):
                named(store, 1)
    assert [reason.endswith("restart the other") for reason in told] == [True]


def test_another_life_goes_on_in_the_same_log(tmp_path: Path, store: Store) -> None:
    named(store, 1)
    before = store.position
    store.close()
    with Store.open(tmp_path / "state", os.urandom) as again:
        (row,) = rows_after(again, before)
        assert row.version == before.version + 1
        assert isinstance(row.changes[0], WriterBegan)
        assert row.changes[0].epoch == 2


# Who needs a snapshot


def copied(store: Store, to: Path) -> Path:
    """A backup that was put in place by hand."""
    to.mkdir()
    store.backup(to / DATABASE)
    (to / STATE_KEY).write_bytes((store.path.parent / STATE_KEY).read_bytes())
    (to / STATE_KEY).chmod(0o600)
    return to


def test_a_restored_state_begins_another_log(store: Store, tmp_path: Path) -> None:
    named(store, 1)
    before = store.position
    with Store.open(copied(store, tmp_path / "restored"), os.urandom) as restored:
        assert restored.position.log_id != before.log_id
        assert restored.position.version == 1
        found = restored.changes_after(before)
        assert isinstance(found, SnapshotNeeded)
        assert "the state was restored" in found.reason
        named(restored, 2)
        assert len(rows_after(restored, beginning(restored.position.log_id))) == 2
        restored.close()
    with Store.open(tmp_path / "restored", os.urandom) as again:  # the new log stays
        assert again.position.version == 3
    assert store.position == before  # and the one that goes on is what it was


def test_a_copy_of_the_files_has_no_later_position_in_common(tmp_path: Path, store: Store) -> None:
    named(store, 1)
    common = store.position
    store.close()
    other = tmp_path / "copy"
    other.mkdir()
    for file in (tmp_path / "state").iterdir():
        (other / file.name).write_bytes(file.read_bytes())
        (other / file.name).chmod(0o600)
    with Store.open(tmp_path / "state", os.urandom) as one, Store.open(other, os.urandom) as two:
        named(one, 2)
        named(two, 2)
        assert one.position.version == two.position.version
        assert rows_after(one, common)
        assert rows_after(two, common)
        found = one.changes_after(two.position)
        assert isinstance(found, SnapshotNeeded)
        assert "belongs to another history" in found.reason


@pytest.mark.parametrize("damage", ["version = version - 1", "version = version + 1", "version = 'x'"])
def test_a_log_whose_end_is_damaged_begins_anew_and_ends_no_start(tmp_path: Path, store: Store, damage: str) -> None:
    for number in range(3):
        named(store, number)
    before = store.position
    with store.writing() as transaction:
        transaction.connection.execute(text(f"UPDATE log SET {damage}"))
    with Store.open(tmp_path / "state", os.urandom) as later:
        assert later.position.log_id != before.log_id
        assert isinstance(later.changes_after(before), SnapshotNeeded)
        named(later, 4)
        assert len(later.zone_ids()) == 4


def test_who_is_ahead_of_the_log_needs_a_snapshot(store: Store) -> None:
    ahead = store.position._replace(version=99)
    assert store.changes_after(ahead) == SnapshotNeeded("version 99 is not there: the log ends at 1")


def test_a_row_that_was_altered_or_taken_out_is_noticed(store: Store) -> None:
    start = store.position
    for number in range(3):
        named(store, number)
    with store.writing() as transaction:
        transaction.connection.execute(text("UPDATE change SET document = '[]' WHERE version = 3"))
    found = store.changes_after(start)
    assert found == SnapshotNeeded("version 3 belongs to another history")
    with store.writing() as transaction:
        transaction.connection.execute(text("DELETE FROM change WHERE version = 3"))
    assert store.changes_after(start) == SnapshotNeeded("version 3 is missing: version 4 comes next")
    with store.writing() as transaction:
        transaction.connection.execute(text("DELETE FROM change WHERE version >= 3"))
    assert isinstance(store.changes_after(start), SnapshotNeeded)


# Pruning


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log_table, "PRUNED_EVERY", 1)


@pytest.mark.usefixtures("often")
def test_what_every_member_has_is_removed_and_versions_go_on(store: Store) -> None:
    for number in range(5):
        named(store, number)
    slow = store.position
    named(store, 5)
    store.passed = lambda: slow.version
    named(store, 6)
    assert [row.version for row in rows_after(store, slow)] == [slow.version + 1, slow.version + 2]
    early = store.changes_after(slow._replace(version=slow.version - 1))
    assert early == SnapshotNeeded(f"version {slow.version - 1} is no longer kept")
    newest = store.position.version
    store.passed = lambda: newest + 99
    named(store, 7)
    with store.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM change")) == 1
    named(store, 8)
    assert store.position.version == newest + 2


@pytest.mark.usefixtures("often")
def test_rows_are_kept_a_day_whoever_needs_them(store: Store, clock: Clock) -> None:
    start = store.position
    store.passed = lambda: 0
    named(store, 1)
    clock.now += change_log_table.KEPT
    named(store, 2)
    assert len(rows_after(store, start)) == 2
    clock.now += 1
    named(store, 3)
    assert isinstance(store.changes_after(start), SnapshotNeeded)


@pytest.mark.usefixtures("often")
def test_rows_are_bounded_in_octets(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log_table, "KEPT_OCTETS", 10_000)
    for number in range(300):
        named(store, number)
    with store.reading() as connection:
        octets = connection.scalar(text("SELECT sum(length(document)) FROM change"))
        assert 9_000 < int(octets or 0) <= 10_100
    oldest = store.changes_after(store.position._replace(version=2))
    assert isinstance(oldest, SnapshotNeeded)


def test_the_log_is_pruned_now_and_then(store: Store) -> None:
    store.passed = lambda: store.position.version
    for number in range(3 * change_log_table.PRUNED_EVERY):
        named(store, number)
    with store.reading() as connection:
        assert int(connection.scalar(text("SELECT count(*) FROM change")) or 0) <= 2 * change_log_table.PRUNED_EVERY


def test_the_log_is_read_by_its_versions(store: Store) -> None:
    """However long it is, a follower's look costs what is new."""
    with store.reading() as connection:
        plan = connection.execute(text("EXPLAIN QUERY PLAN SELECT * FROM change WHERE version > 5 ORDER BY version"))
        assert "SEARCH change USING INTEGER PRIMARY KEY (rowid>?)" in str(plan.all())
    assert database_schema.change.c.version.primary_key


def test_rows_that_end_before_the_log_does_are_no_answer(store: Store) -> None:
    start = store.position
    named(store, 1)
    named(store, 2)
    assert len(rows_after(store, start)) == 2
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DELETE FROM change WHERE version = ?", (store.position.version,))
        connection.commit()
    assert isinstance(store.changes_after(start), SnapshotNeeded)
    assert len(store.changes_after(start, 1)) == 1  # there may be more
