"""A disk that takes no writes when the state is opened: what can be read is read, with what is only in the WAL."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from keys.custody import state_database, state_in_memory
from keys.custody.state_database import DATABASE, Secret, StateOvertaken, StateUnavailable, Store
from keys.rules.events import Entry
from keys.rules.keyring import Keyring
from tests.keys.world import LAB

PRIVATE = b"a private key"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A state as a process that was killed left it: its newest keyring is in the WAL alone."""
    with Store.open(tmp_path / "running", os.urandom) as store:
        keyring = store.save(Keyring(LAB, store.hosted_zone_id(LAB, lambda: "Z1", 5)), [])
        with sqlite3.connect(store.path) as raw:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.close()
        store.save(keyring, [Entry(5, "KeysetSigned", "why")], [Secret(1, b"public", PRIVATE)])
        shutil.copytree(tmp_path / "running", tmp_path / "state")
    (tmp_path / "state").chmod(0o700)
    assert (tmp_path / "state" / f"{DATABASE}-wal").stat().st_size > 0
    return tmp_path / "state"


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for a file system in memory."""
    place = tmp_path / "memory"
    place.mkdir()
    monkeypatch.setattr(state_in_memory, "_in_memory", lambda: iter([place]))
    return place


@pytest.fixture
def mend(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the disk take no writes until what is returned is called."""
    real_open, real_check = state_database._taken_up, state_in_memory.check_writable

    def full(*_: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fail(path: Path, *_: object) -> object:
        raise StateUnavailable(f"{path}: database or disk is full")

    def mended() -> None:
        monkeypatch.setattr(state_database, "_taken_up", real_open)
        monkeypatch.setattr(state_in_memory, "check_writable", real_check)

    monkeypatch.setattr(state_database, "_taken_up", fail)
    monkeypatch.setattr(state_in_memory, "check_writable", full)
    monkeypatch.setattr(state_database, "RETRY", 0)
    return mended


def test_all_that_was_committed_is_read(directory: Path, memory: Path, mend: Callable[[], None]) -> None:
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    with Store.open(directory, os.urandom) as store:
        assert "disk is full" in (store.unwritable or "")
        keyring = store.load_keyring(LAB)
        assert keyring is not None
        assert keyring.revision == 2  # a database that is called immutable would say 1
        assert store.load_zsk(LAB, 1) == PRIVATE
        assert len(store.events(LAB)) == 1
        assert store.standings()[LAB].signed is True
        assert store.zone_ids() == {LAB: "Z1"}
        store.backup(directory.parent / "backup.db")
        (folder,) = memory.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(memory.iterdir()) == []
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before


def test_each_write_is_refused_with_the_reason(directory: Path, memory: Path, mend: Callable[[], None]) -> None:
    with Store.open(directory, os.urandom) as store:
        keyring = store.load_keyring(LAB)
        assert keyring is not None
        for write in (
            lambda: store.save(keyring, []),
            lambda: store.ensure_zone_ids([b"\x00"], lambda: "Z2", 5),
            lambda: store.hosted_zone_id(b"\x00", lambda: "Z2", 5),
        ):
            with pytest.raises(
                StateUnavailable, match=r"until the disk takes writes again: .*signwright\.db: No space"
            ):
                write()
        assert store.hosted_zone_id(LAB, lambda: "none", 5) == "Z1"
        assert store.load_keyring(LAB) == keyring


def test_the_real_file_is_taken_up_once_its_disk_takes_writes(
    directory: Path, memory: Path, mend: Callable[[], None]
) -> None:
    with Store.open(directory, os.urandom) as store:
        keyring = store.load_keyring(LAB)
        assert keyring is not None
        with pytest.raises(StateUnavailable):
            store.save(keyring, [])
        mend()
        saved = store.save(keyring, [])
        assert saved.revision == 3
        assert store.unwritable is None
        assert list(memory.iterdir()) == []
        assert store.load_keyring(LAB) == saved
    with Store.open(directory, os.urandom) as again:
        assert again.load_keyring(LAB) == saved
        assert [file.name for file in directory.iterdir() if "probe" in file.name] == []


def test_a_try_is_made_now_and_then_and_not_for_each_write(
    directory: Path, memory: Path, mend: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(directory, os.urandom) as store:
        monkeypatch.setattr(state_database, "RETRY", 1e9)
        for _ in range(2):
            with pytest.raises(StateUnavailable):
                store.ensure_zone_ids([b"\x00"], lambda: "Z2", 5)
            mend()  # the first try has failed, and the next one is far off


def test_who_reads_a_copy_is_not_the_only_writer_of_the_file(
    directory: Path, memory: Path, mend: Callable[[], None]
) -> None:
    with Store.open(directory, os.urandom) as store:
        mend()
        with Store.open(directory, os.urandom) as other:
            store.ensure_zone_ids([b"\x00"], lambda: "Z2", 5)  # it takes up the file, and is the later one
            with pytest.raises(StateOvertaken):
                other.ensure_zone_ids([b"\x01a\x00"], lambda: "Z3", 5)


def test_without_room_for_a_copy_both_reasons_are_told(
    directory: Path, memory: Path, mend: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_in_memory, "_in_memory", lambda: iter(()))
    with pytest.raises(StateUnavailable, match="disk is full; and a copy in memory could not be made: no file system"):
        Store.open(directory, os.urandom)


def test_a_copy_cut_short_is_taken_away(directory: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: Path, to: Path) -> None:
        to.write_bytes(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        state_in_memory.copied(directory / DATABASE)
    assert list(memory.iterdir()) == []


def test_what_a_killed_process_left_is_taken_away(directory: Path, memory: Path) -> None:
    dead, alive, strange = (memory / f"signwright-state-{name}-x" for name in ("4194305", str(os.getpid()), "x"))
    for folder in (dead, alive, strange):
        folder.mkdir()
    copy = state_in_memory.copied(directory / DATABASE)
    assert set(memory.iterdir()) == {alive, strange, copy.parent}
    state_in_memory.discard(copy)
    assert set(memory.iterdir()) == {alive, strange}


def test_a_state_that_was_never_made_is_not_read_from_memory(
    tmp_path: Path, memory: Path, mend: Callable[[], None]
) -> None:
    with pytest.raises(StateUnavailable, match=r"disk is full$"):
        Store.open(tmp_path / "new", os.urandom)
    assert list(memory.iterdir()) == []


def test_there_is_a_file_system_in_memory_here() -> None:
    assert list(state_in_memory._in_memory())


def test_what_fails_to_be_written_is_known_until_a_write_succeeds(
    directory: Path, memory: Path, mend: Callable[[], None]
) -> None:
    with Store.open(directory, os.urandom) as store:
        with pytest.raises(StateUnavailable):
            store.ensure_zone_ids([b"\x00"], lambda: "Z2", 5)
        assert "No space left on device" in (store.failing or "")
        store.try_writing()
        assert "No space left on device" in (store.failing or "")
        mend()
        store.ensure_zone_ids([b"\x00"], lambda: "Z2", 5)
        assert store._write_failed is None
        store.try_writing()
        assert store.failing is None


def test_a_disk_that_fills_up_is_found_before_anything_has_to_be_stored(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(directory, os.urandom) as store:
        store.try_writing()
        assert store.failing is None
        position = store.position

        def full(path: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(state_in_memory, "check_writable", full)
            store.try_writing()
        assert store.failing is not None
        assert store.failing.startswith(f"{store.path}: No space left on device: free some space")
        store.try_writing()
        assert store.failing is None
        assert store.position == position  # a trial is no change


def test_a_database_that_another_program_holds_or_has_opened_cannot_be_written(directory: Path) -> None:
    with Store.open(directory, os.urandom) as store:
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            store.try_writing()
            assert "another program has held the database" in (store.failing or "")
            other.execute("ROLLBACK")
        with Store.open(directory, os.urandom), pytest.raises(StateOvertaken):
            store.ensure_zone_ids([b"\x00"], lambda: "Z2", 5)
        store.try_writing()
        assert "another program has opened this state since" in (store.failing or "")
