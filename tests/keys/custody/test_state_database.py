from __future__ import annotations

import itertools
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from keys.custody import database_schema, kept_events
from keys.custody.state_database import (
    DATABASE,
    STATE_KEY,
    Secret,
    StateDamaged,
    StateOvertaken,
    StateTooNew,
    StateUnavailable,
    Store,
)
from keys.custody.zsk_encryption import StateKeyLost, StateKeyWrong
from keys.rules.events import Entry
from keys.rules.keyring import Keyring
from keys.rules.zone_standing import Standing
from tests.keys.rules.test_next_action import SIGNED
from tests.keys.world import LAB

PRIVATE = b"a private key, which is nobody else's business"
SECRET = Secret(1, b"public", PRIVATE)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    with Store.open(directory, os.urandom) as opened:
        yield opened


def begin(store: Store, origin: bytes = LAB) -> Keyring:
    return Keyring(origin, store.hosted_zone_id(origin, lambda: "Z" + origin.hex(), 5))


def test_a_keyring_its_log_and_its_secret_come_back(store: Store, directory: Path) -> None:
    zone_id = begin(store).hosted_zone_id
    keyring = msgspec.structs.replace(SIGNED, hosted_zone_id=zone_id)
    entries = [Entry(5, "KeysetSigned", "why", ("a", "b")), Entry(6, "KmsFailed", "because")]
    saved = store.save(keyring, entries, [SECRET])
    assert saved == msgspec.structs.replace(keyring, revision=1)
    store.close()
    with Store.open(directory, os.urandom) as again:
        assert again.load_keyring(LAB) == saved
        assert again.load_keyrings() == ((saved,), {})
        assert again.load_zsk(LAB, 1) == PRIVATE
        assert again.events(LAB) == tuple(entries)
        assert again.events(LAB, since=6) == (entries[1],)
        assert again.load_keyring(b"\x00") is None


def test_a_hosted_zone_id_is_made_once(store: Store) -> None:
    ids = itertools.count()
    assert store.hosted_zone_id(LAB, lambda: f"Z{next(ids)}", 5) == "Z0"
    assert store.hosted_zone_id(LAB, lambda: f"Z{next(ids)}", 6) == "Z0"
    assert store.hosted_zone_id(b"\x00", lambda: f"Z{next(ids)}", 6) == "Z1"


def test_files_are_private(store: Store, directory: Path, tmp_path: Path) -> None:
    store.save(begin(store), [])
    store.backup(tmp_path / "copy.db")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = [*directory.iterdir(), tmp_path / "copy.db"]
    assert {file.name for file in files} >= {DATABASE, STATE_KEY, DATABASE + "-wal"}
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_database_open_to_others_is_closed_to_them(directory: Path) -> None:
    Store.open(directory, os.urandom).close()
    (directory / DATABASE).chmod(0o644)
    Store.open(directory, os.urandom).close()
    assert stat.S_IMODE((directory / DATABASE).stat().st_mode) == 0o600


def test_commits_are_durable(store: Store) -> None:
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
        with store.writing() as transaction:
            assert transaction.connection.execute(text(f"PRAGMA {pragma}")).scalar_one() == value


def test_a_keyring_that_was_overtaken_is_refused_with_all_that_comes_with_it(store: Store) -> None:
    first = store.save(begin(store), [])
    second = store.save(first, [])
    for stale in (begin(store), first):
        with pytest.raises(StateOvertaken):
            store.save(stale, [Entry(5, "lost", "")], [SECRET])
    assert store.load_keyring(LAB) == second
    assert store.events(LAB) == ()
    with pytest.raises(StateDamaged, match="restore"):
        store.load_zsk(LAB, 1)


def test_threads_may_share_it(store: Store) -> None:
    keyrings = {number: begin(store, b"\x01%d\x00" % number) for number in range(4)}

    def work(number: int) -> None:
        for _ in range(20):
            keyrings[number] = store.save(keyrings[number], [Entry(1, "x", "")])

    threads = [threading.Thread(target=work, args=(number,)) for number in keyrings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [keyring.revision for keyring in store.load_keyrings().good] == [20] * 4


def test_nothing_private_is_readable_in_the_files_nor_in_reprs(store: Store, directory: Path) -> None:
    store.save(begin(store), [], [SECRET])
    for file in directory.iterdir():
        assert PRIVATE not in file.read_bytes()
    assert "business" not in repr(SECRET)


def test_a_secret_moved_to_another_zone_does_not_open(store: Store) -> None:
    store.save(begin(store), [], [SECRET])
    store.save(begin(store, b"\x00"), [])
    with store.writing() as transaction:
        transaction.connection.exec_driver_sql("UPDATE zsk_secret SET origin = x'00'")
    with pytest.raises(StateKeyWrong, match="restore"):
        store.load_zsk(b"\x00", 1)


def test_a_newer_schema_is_left_alone(directory: Path) -> None:
    Store.open(directory, os.urandom).close()
    with sqlite3.connect(directory / DATABASE) as raw:
        raw.execute(f"PRAGMA user_version = {len(database_schema.MIGRATIONS) + 1}")
    raw.close()
    before = (directory / DATABASE).read_bytes()
    with pytest.raises(StateTooNew, match=r"newer version of Signwright .*run that version"):
        Store.open(directory, os.urandom)
    assert (directory / DATABASE).read_bytes() == before


def test_a_newer_keyring_is_left_alone(store: Store) -> None:
    store.save(begin(store), [])
    with store.writing() as transaction:
        transaction.connection.exec_driver_sql("UPDATE ring SET document = json_set(document, '$.version', 99)")
    with pytest.raises(StateTooNew, match="99"):
        store.load_keyring(LAB)


@pytest.mark.parametrize(
    "damage",
    [
        "document = x'7b'",
        "document = 5",
        "document = 'ÿ'",
        "document = json_set(document, '$.version', 99)",
        "document = json_set(document, '$.of_a_newer_version', 1)",
        "document = json_set(document, '$.revision', 99)",
        "document = json_set(document, '$.keyset', json('{}'))",
        "document = (SELECT document FROM ring WHERE origin = x'00')",
    ],
)
def test_one_keyring_that_can_not_be_read_concerns_its_zone_alone(store: Store, damage: str) -> None:
    store.save(begin(store), [])
    other = store.save(begin(store, b"\x00"), [])
    with store.writing() as transaction:
        transaction.connection.execute(text(f"UPDATE ring SET {damage} WHERE origin = :origin"), {"origin": LAB})
    keyrings = store.load_keyrings()
    assert keyrings.good == (other,)
    assert list(keyrings.problems) == [LAB]
    assert "lab.example." in str(keyrings.problems[LAB])
    assert isinstance(keyrings.problems[LAB], (StateTooNew, StateDamaged))
    assert store.standings()[LAB] == Standing(True, ())  # what is known beside it is whole
    with pytest.raises((StateTooNew, StateDamaged)):
        store.load_keyring(LAB)
    assert store.save(other, []).revision == 2


@pytest.mark.parametrize(
    "damage", ["signed = 2", "signed = NULL", "delegation = x'5b'", "delegation = NULL", "delegation = '[[1]]'"]
)
def test_one_standing_that_can_not_be_read_concerns_its_zone_alone(store: Store, damage: str) -> None:
    store.save(begin(store), [])
    store.save(begin(store, b"\x00"), [])
    with store.writing() as transaction:
        transaction.connection.execute(text(f"UPDATE ring SET {damage} WHERE origin = :origin"), {"origin": LAB})
    standings = store.standings()
    assert standings[b"\x00"] == Standing(True, ())
    assert (standings[LAB].signed, standings[LAB].delegation) == (None, None)
    assert "signwright.db: what is known of lab.example. can't be read" in (standings[LAB].problem or "")


def test_standings_read_no_keyring(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        store.save(begin(store, b"\x01%d\x00" % number), [])
    with store.writing() as transaction:
        transaction.connection.execute(text("UPDATE ring SET document = x'ff'"))
    assert set(store.standings().values()) == {Standing(True, ())}
    assert store.standings([b"\x010\x00", b"\x04none\x00"]) == {b"\x010\x00": Standing(True, ())}
    assert store.standings([]) == {}


def test_events_are_bounded_by_age_by_zone_and_in_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_events, "PRUNED_EVERY", 1)
    keyring = store.save(begin(store), [Entry(5, "old", "")])
    idle = store.save(begin(store, b"\x00"), [Entry(5, "old", "")])
    assert store.events(LAB)[0].kind == "old"
    keyring = store.save(keyring, [Entry(5 + kept_events.KEPT, "x", "")])
    assert store.events(LAB)[0].kind == "old"
    keyring = store.save(keyring, [Entry(6 + kept_events.KEPT, "x", "y" * 5000)])
    assert [entry.kind for entry in store.events(LAB)] == ["x", "x"]
    assert store.events(idle.origin) == ()  # of a zone in which nothing happens, too
    assert len(store.events(LAB)[-1].reason) == kept_events.LONGEST_REASON
    now = 7 + kept_events.KEPT
    monkeypatch.setattr(kept_events, "OF_ZONE", 3)
    keyring = store.save(keyring, [Entry(now, str(number), "") for number in range(9)])
    assert [entry.kind for entry in store.events(LAB)] == ["6", "7", "8"]
    monkeypatch.setattr(kept_events, "IN_ALL", 2)
    store.save(idle, [Entry(now, "idle", "")])
    assert [entry.kind for entry in (*store.events(LAB), *store.events(idle.origin))] == ["8", "idle"]
    assert store.events(LAB, most=0) == ()


def test_only_the_newest_events_are_read(store: Store) -> None:
    entries = [Entry(number, str(number), "") for number in range(9)]
    store.save(begin(store), entries)
    assert store.events(LAB, most=2) == tuple(entries[-2:])
    assert store.events(LAB, since=3, most=4) == tuple(entries[-4:])


def test_events_are_found_by_index(store: Store) -> None:
    with store.reading() as connection:
        plan = connection.execute(
            text("EXPLAIN QUERY PLAN SELECT id FROM event WHERE origin = x'00' AND at >= 5")
        ).all()
    assert "event_by_zone" in str(plan)


@pytest.mark.parametrize("document", [b"{", b"{}", b'{"origin": 5}', b"\xff"])
def test_a_keyring_that_is_no_keyring_is_damage(store: Store, document: bytes) -> None:
    store.save(begin(store), [])
    with store.writing() as transaction:
        transaction.connection.exec_driver_sql("UPDATE ring SET document = ?", (document,))
    with pytest.raises(StateDamaged, match=r"signwright\.db: .*restore"):
        store.load_keyring(LAB)


@pytest.mark.parametrize("damage", ["sealed = 5", "sealed = 'x'", "public_key = 1.5"])
def test_a_private_key_that_is_none_is_damage(store: Store, damage: str) -> None:
    store.save(begin(store), [], [Secret(1, b"p" * 64, b"private")])
    with store.writing() as transaction:
        transaction.connection.exec_driver_sql(f"UPDATE zsk_secret SET {damage}")
    with pytest.raises(StateDamaged, match=r"signwright\.db: .*ZSK 1.*restore"):
        store.load_zsk(LAB, 1)


def test_a_database_overwritten_in_its_middle_is_damage(directory: Path) -> None:
    with Store.open(directory, os.urandom) as store:
        store.save(begin(store), [Entry(1, "x", "y" * 100)] * 1000)
    with (directory / DATABASE).open("r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(20_000))
    with pytest.raises(StateDamaged, match=r"signwright\.db: damaged .*restore"):
        Store.open(directory, os.urandom)


def test_a_file_that_is_no_database_is_damage(directory: Path) -> None:
    directory.mkdir()
    (directory / DATABASE).write_bytes(b"hello" * 1000)
    with pytest.raises(StateDamaged, match=r"signwright\.db: damaged .*restore"):
        Store.open(directory, os.urandom)


def test_somebody_elses_database_is_not_ours(directory: Path) -> None:
    directory.mkdir()
    with sqlite3.connect(directory / DATABASE) as raw:
        raw.execute("CREATE TABLE mine (x)")
    raw.close()
    with pytest.raises(StateDamaged, match="not a Signwright database"):
        Store.open(directory, os.urandom)


@pytest.mark.parametrize("empty", [True, False])
def test_a_lost_database_beside_its_key_is_not_begun_anew(directory: Path, empty: bool) -> None:
    Store.open(directory, os.urandom).close()
    (directory / DATABASE).unlink()
    if empty:
        (directory / DATABASE).touch()
    with pytest.raises(StateDamaged, match=r"state\.key exists: restore"):
        Store.open(directory, os.urandom)


def test_a_lost_state_key_is_not_replaced(directory: Path) -> None:
    Store.open(directory, os.urandom).close()
    (directory / STATE_KEY).unlink()
    with pytest.raises(StateKeyLost, match=r"state\.key.*backup"):
        Store.open(directory, os.urandom)
    assert not (directory / STATE_KEY).exists()


def test_another_state_key_is_noticed(directory: Path, tmp_path: Path) -> None:
    Store.open(directory, os.urandom).close()
    Store.open(tmp_path / "other", os.urandom).close()
    (tmp_path / "other" / STATE_KEY).replace(directory / STATE_KEY)
    with pytest.raises(StateKeyWrong, match="restore that state key"):
        Store.open(directory, os.urandom)


def test_a_start_cut_short_before_the_key_was_noted_goes_on_with_that_key(directory: Path) -> None:
    Store.open(directory, os.urandom).close()
    with sqlite3.connect(directory / DATABASE) as raw:
        raw.execute("DELETE FROM setting")
    raw.close()
    key = (directory / STATE_KEY).read_bytes()
    Store.open(directory, os.urandom).close()
    assert (directory / STATE_KEY).read_bytes() == key


def test_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateUnavailable, match="state"):
        Store.open(tmp_path / "state", os.urandom)


def test_a_backup_is_one_whole_file_that_opens_with_the_key(store: Store, directory: Path, tmp_path: Path) -> None:
    keyring = store.save(begin(store), [Entry(1, "x", "y")], [SECRET])
    other = tmp_path / "restored"
    other.mkdir()
    store.backup(other / DATABASE)
    store.save(keyring, [])
    store.backup(tmp_path / "later.db")
    assert [file.name for file in other.iterdir()] == [DATABASE]
    (other / STATE_KEY).write_bytes((directory / STATE_KEY).read_bytes())
    (other / STATE_KEY).chmod(0o600)
    with Store.open(other, os.urandom) as restored:
        assert restored.load_keyring(LAB) == keyring
        assert restored.load_zsk(LAB, 1) == PRIVATE


def test_a_backup_that_can_not_be_made_leaves_the_last_one(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    store.backup(copy)
    before = copy.read_bytes()
    (tmp_path / "copy.db.new").mkdir()
    store.save(begin(store), [])
    with pytest.raises(StateUnavailable, match=r"copy\.db: no backup was made"):
        store.backup(copy)
    assert copy.read_bytes() == before


def test_a_busy_disk_is_not_damage(store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = store.save(begin(store), [])
    with store.writing() as transaction:
        transaction.connection.exec_driver_sql("PRAGMA max_page_count = 1")  # a full disk, as SQLite sees it
    with pytest.raises(StateUnavailable, match="full"):
        store.save(keyring, [Entry(1, "x", "y" * 900)] * 200)
    with store.writing() as transaction:
        transaction.connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert store.save(keyring, []).revision == 2
