"""Reads that no lock holds up, writes that wait a second and no longer, however many they are."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from keys.custody import state_connections
from keys.custody.state_connections import StateBusy
from keys.custody.state_database import DATABASE, StateUnavailable, Store
from keys.rules.keyring import Keyring
from tests.keys.world import LAB

THREADS = 40


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state", os.urandom) as opened:
        yield opened


@pytest.fixture
def another(store: Store) -> Iterator[sqlite3.Connection]:
    """Another program that has begun to write."""
    with closing(sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def in_threads(number: int, work: Callable[[], object]) -> list[BaseException | None]:
    """What each of so many threads that do `work` at once has raised."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)
        else:
            raised.append(None)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return raised


def test_reads_go_on_while_another_program_holds_the_database(store: Store, another: sqlite3.Connection) -> None:
    assert another.in_transaction
    assert in_threads(THREADS, lambda: store.load_keyring(LAB)) == [None] * THREADS
    assert in_threads(THREADS, store.zone_ids) == [None] * THREADS


def test_a_read_sees_one_moment_and_holds_up_no_write(store: Store) -> None:
    with store.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM hosted_zone")) == 0
        store.ensure_zone_ids([LAB], lambda: "Z1", 5)
        assert connection.scalar(text("SELECT count(*) FROM hosted_zone")) == 0
    assert store.zone_ids() == {LAB: "Z1"}


def test_a_read_can_not_write(store: Store) -> None:
    with pytest.raises(StateUnavailable, match="readonly"), store.reading() as connection:
        connection.execute(text("DELETE FROM hosted_zone"))


def test_writes_are_refused_together_and_say_who_holds_them_up(
    store: Store, another: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty writers wait as long as one; in turns it would be forty times as long."""
    allowed: list[float] = []
    real = state_connections._Turns.taken

    @contextmanager
    def taken(turns: state_connections._Turns) -> Iterator[float]:
        with real(turns) as left:
            allowed.append(left)
            yield left

    monkeypatch.setattr(state_connections._Turns, "taken", taken)
    monkeypatch.setattr(state_connections, "PATIENCE", 0.2)
    raised = in_threads(THREADS, lambda: store.ensure_zone_ids([LAB], lambda: "Z1", 5))
    for error in raised:
        assert isinstance(error, StateBusy)
        assert str(error).startswith(f"{store.path}: another program has held the database for 0.2 s")
    assert len(raised) == THREADS
    assert 0 < sum(allowed) < 0.2 * THREADS / 2
    another.execute("ROLLBACK")
    assert store.ensure_zone_ids([LAB], lambda: "Z1", 5) == {LAB: "Z1"}


def test_who_waited_for_its_turn_waits_so_much_less_for_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, times = state_connections._Turns(tmp_path), iter([10.0, 10.0, 20.0, 20.7])
    monkeypatch.setattr(state_connections, "monotonic", lambda: next(times))
    with turns.taken() as left:
        assert left == state_connections.PATIENCE
        with pytest.raises(OperationalError), turns.beginning():
            raise OperationalError("BEGIN IMMEDIATE", {}, _locked())
    with turns.taken() as left:
        assert left == pytest.approx(state_connections.PATIENCE - 0.7)


def _locked() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


def test_a_write_that_could_not_begin_leaves_the_store_as_it_was(store: Store, another: sqlite3.Connection) -> None:
    keyring = Keyring(LAB, "Z1")
    with pytest.raises(StateBusy):
        store.save(keyring, [])
    another.execute("ROLLBACK")
    store.ensure_zone_ids([LAB], lambda: "Z1", 5)
    assert store.save(keyring, []).revision == 1


def test_who_waits_for_a_slow_write_of_this_process_is_patient_for_longer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_connections, "PATIENCE", 0.05)
    monkeypatch.setattr(state_connections, "LONGEST_TURN", 0.2)
    with store.writing():
        (error,) = in_threads(1, lambda: store.ensure_zone_ids([LAB], lambda: "Z1", 5))
    assert isinstance(error, StateUnavailable)
    assert not isinstance(error, StateBusy)
    assert f"{DATABASE}: an earlier write has not ended for 0.2 s" in str(error)


def test_ids_are_made_by_one_write_for_all_zones_that_lack_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter(f"Z{number}" for number in range(9))
    zones = [b"\x01%d\x00" % number for number in range(3)]
    assert store.ensure_zone_ids(zones[:2], lambda: next(ids), 5) == {zones[0]: "Z0", zones[1]: "Z1"}
    assert store.ensure_zone_ids(zones, lambda: next(ids), 5) == {zones[0]: "Z0", zones[1]: "Z1", zones[2]: "Z2"}
    monkeypatch.delattr(Store, "writing")
    assert store.ensure_zone_ids(zones, lambda: "none", 5) == store.zone_ids()
    assert store.hosted_zone_id(zones[1], lambda: "none", 6) == "Z1"


def test_a_statement_that_fails_takes_the_whole_transaction_back(store: Store) -> None:
    with pytest.raises(StateUnavailable, match="no such table"), store.writing() as transaction:
        transaction.connection.execute(text("INSERT INTO hosted_zone VALUES ('Z1', x'00', 5)"))
        transaction.connection.execute(text("DELETE FROM missing"))
    assert store.zone_ids() == {}
