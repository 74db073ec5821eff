"""Taking up a state database: is it ours, whole, of our time, and is its state key the right one?"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from keys.custody import change_log_table, database_schema
from keys.custody.change_log_table import Begun
from keys.custody.state_connections import RESTORE, Connections, StateDamaged, StateTooNew, too_new
from keys.custody.state_files import DATABASE, STATE_KEY
from keys.custody.stored_keyring import fill_columns
from keys.custody.zsk_encryption import (
    Entropy,
    StateKeyWrong,
    ZskCipher,
    make_state_key,
    read_state_key,
    sync_directory,
)

_FINGERPRINT = "state key"


class Opened(NamedTuple):
    """A state that was taken up."""

    connections: Connections
    cipher: ZskCipher
    epoch: int
    begun: Begun
    """The end of the change log, and where it stood before."""


def take_up(path: Path, shown: Path, entropy: Entropy, clock: Callable[[], float]) -> Opened:
    """Open the database `path`, bring it to the present form, and become its only writer. Errors name it as `shown`.

    The state key lies beside `shown`. `clock` gives seconds since the epoch.
    Raises `StateTooNew`, `StateDamaged`, `StateUnavailable`, `StateKeyLost`, `StateKeyWrong` and `OSError`.
    """
    key_path = shown.with_name(STATE_KEY)
    connections = Connections(path, shown)
    try:
        with connections.writing() as connection:
            recognise(connection, shown, key_path)
            database_schema.migrate(connection)
        with connections.writing() as connection:
            cipher = open_cipher(connection, key_path, entropy)
            epoch, begun = change_log_table.begin_epoch(connection, entropy, int(clock()))
            fill_columns(connection, shown)
    except BaseException:
        connections.close()
        raise
    return Opened(connections, cipher, epoch, begun)


def make_private_file(path: Path) -> None:
    """Have a file at `path` that is for its owner alone (0600), with the directories above it. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        path.chmod(0o600)
    else:
        sync_directory(path.parent)


def recognise(connection: Connection, path: Path, key_path: Path) -> None:
    """Refuse what is not our database, not whole, or not of our time."""
    version, owner = database_schema.version(connection), database_schema.application_id(connection)
    tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
    if owner != (database_schema.APPLICATION_ID if version else 0) or (tables and not version):
        raise StateDamaged(f"{path}: not a Signwright database: move it away, or {RESTORE}")
    if version > len(database_schema.MIGRATIONS):
        raise StateTooNew(too_new(path, f"schema {version}, known here: {len(database_schema.MIGRATIONS)}"))
    if not version and key_path.exists():
        raise StateDamaged(
            f"{path}: empty or missing, although {key_path} exists: {RESTORE}; "
            f"or, to start with new keys, move {key_path} away: every zone with a published DS then becomes bogus"
        )
    verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if verdict != "ok":
        raise StateDamaged(f"{path}: damaged ({' '.join(verdict.split())}): {RESTORE}")


def open_cipher(connection: Connection, key_path: Path, entropy: Entropy) -> ZskCipher:
    """What decrypts the ZSKs; the first time its key is made. Raises `StateKeyLost` and `StateKeyWrong`."""
    table = database_schema.setting
    known = connection.scalar(select(table.c.value).where(table.c.name == _FINGERPRINT))
    if known is None:
        make_state_key(key_path, entropy)
    cipher = read_state_key(key_path, entropy)
    if known is None:
        connection.execute(insert(table).values(name=_FINGERPRINT, value=cipher.fingerprint))
    elif known != cipher.fingerprint:
        raise StateKeyWrong(
            f"{key_path}: this is state key {cipher.fingerprint}, but {DATABASE} was encrypted with {known}: "
            "restore that state key from its backup"
        )
    return cipher
