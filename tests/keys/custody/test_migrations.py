"""Databases of earlier versions: each released schema, and a whole state as a released program left it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from keys.custody import database_schema
from keys.custody.database_schema import APPLICATION_ID, MIGRATIONS
from keys.custody.state_database import DATABASE, STATE_KEY, StateUnavailable, Store
from keys.custody.zsk_encryption import make_state_key
from keys.dnssec.ds import ds_rdata
from keys.dnssec.zone_signer import load_signer
from keys.rules.keyring import Keyring
from keys.rules.zone_standing import AT_ONCE, DelegatedDs, Standing
from tests.keys.rules.test_next_action import SIGNED
from tests.keys.world import LAB
from tests.lab import wire_name
from tests.upgrade import dumped
from tests.upgrade.dumped import restore_dump

OTHER = b"\x05other\x00"
RELEASED = {1: "96ba633d", 2: "110cc426"}
"""The first digits of a digest of what has been released."""


def made_by_statements(directory: Path, schema: int) -> sqlite3.Connection:
    """A database of that schema, with two zones; one has a keyring."""
    directory.mkdir()
    make_state_key(directory / STATE_KEY, os.urandom)
    connection = sqlite3.connect(directory / DATABASE, isolation_level=None)
    for statements in MIGRATIONS[:schema]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema}")
    for number, origin in enumerate((LAB, OTHER)):
        connection.execute("INSERT INTO hosted_zone VALUES (?, ?, 5)", (f"Z{number}", origin))
    stored = msgspec.structs.replace(SIGNED, hosted_zone_id="Z0", revision=7)
    connection.execute("INSERT INTO ring VALUES (?, 7, ?)", (LAB, msgspec.json.encode(stored)))
    for origin in (LAB, b"\x04gone\x00"):
        row = (origin, "KeysetSigned", "why", "")
        connection.execute("INSERT INTO event (at, origin, kind, reason, request_ids) VALUES (5, ?, ?, ?, ?)", row)
    return connection


@pytest.mark.parametrize("schema", RELEASED)
def test_a_released_migration_never_changes(schema: int) -> None:
    statements = "\n".join(MIGRATIONS[schema - 1])
    assert sha256(statements.encode()).hexdigest()[:8] == RELEASED[schema]


@pytest.mark.parametrize("schema", [1, 2])
def test_each_schema_becomes_the_present_one(tmp_path: Path, schema: int) -> None:
    made_by_statements(tmp_path / "state", schema).close()
    with Store.open(tmp_path / "state", os.urandom) as store:
        assert store.zone_ids() == {LAB: "Z0", OTHER: "Z1"}
        (keyring,) = store.load_keyrings().good
        assert (keyring.origin, keyring.revision) == (LAB, 7)
        assert store.standings()[LAB].signed is True
        assert store.position.version == 1
        with store.reading() as connection:
            assert database_schema.version(connection) == len(MIGRATIONS)
            assert connection.scalar(text("SELECT count(*) FROM kept_zone")) == 0
            # What a deleted zone left would show up in the next one of its name.
            assert connection.execute(text("SELECT origin FROM event")).scalars().all() == [LAB]
        assert store.save(keyring, []).revision == 8


def test_a_keyring_that_can_not_be_read_is_no_hindrance(tmp_path: Path) -> None:
    with closing(made_by_statements(tmp_path / "state", 2)) as connection:
        connection.execute("INSERT INTO ring VALUES (?, 1, x'7b')", (OTHER,))
    with Store.open(tmp_path / "state", os.urandom) as store:
        standings = store.standings()
        assert standings[LAB].problem is None
        assert (standings[OTHER].signed, standings[OTHER].delegation) == (None, None)
        assert "the keyring of other. can't be read" in (standings[OTHER].problem or "")
        assert list(store.load_keyrings().problems) == [OTHER]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_by_statements(tmp_path / "state", 1).close()
    before = (tmp_path / "state" / DATABASE).read_bytes()
    monkeypatch.setattr(database_schema, "MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE x (y)", "no SQL")))
    with pytest.raises(StateUnavailable, match="syntax error"):
        Store.open(tmp_path / "state", os.urandom)
    with closing(sqlite3.connect(tmp_path / "state" / DATABASE)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'kept_zone'").fetchone() == (0,)
    assert len((tmp_path / "state" / DATABASE).read_bytes()) == len(before)


def test_a_state_of_the_last_schema_keeps_keys_and_says_who_is_signed(tmp_path: Path) -> None:
    restore_dump(tmp_path / "state")
    origin = wire_name("signed.example")
    with Store.open(tmp_path / "state", os.urandom) as store:
        keyring = store.load_keyring(origin)
        assert keyring is not None
        (ksk,), zsk = keyring.ksks, keyring.active_zsk
        assert zsk is not None
        assert load_signer(store.load_zsk(origin, zsk.sequence)).public_key == zsk.public_key
        standings = store.standings()
        assert standings[origin] == Standing(True, (DelegatedDs(ds_rdata(origin, ksk.rdata), AT_ONCE),))
        assert {one for one, standing in standings.items() if standing.signed} >= set(map(wire_name, dumped.SIGNED))
        assert store.events(origin)
        assert store.save(keyring, []).revision == keyring.revision + 1


def _fill(path: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        change(connection)


def test_what_is_known_beside_a_keyring_is_made_anew_when_it_would_be_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path / "state", os.urandom) as store:
        store.save(Keyring(LAB, store.hosted_zone_id(LAB, lambda: "Z0", 5), signing=False), [])
    _fill(tmp_path / "state" / DATABASE, lambda c: c.execute("UPDATE ring SET signed = 1, standing = 0"))
    with Store.open(tmp_path / "state", os.urandom) as store:
        assert store.standings() == {LAB: Standing(False, ())}
