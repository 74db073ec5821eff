"""The state database: everything durable about keys, behind one small interface; and room for what others keep.

SQLite in WAL mode with `synchronous = FULL`: what `save` has returned from survives a loss of power. One process opens
it, and every method may be called from any thread. It blocks; whoever runs an event loop calls it through
`run_blocking`. Reads take no lock, and nobody waits longer than a second for another program (`state_connections`).

    signwright.db   keyrings, encrypted ZSKs, the event log, hosted zones          (0600; `database_schema`)
    state.key       what decrypts the ZSKs                                  (0600; `zsk_encryption`)
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from keys.custody import database_schema
from keys.custody.state_connections import RESTORE, Connections, StateDamaged, StateUnavailable
from keys.custody.zsk_encryption import (
    Entropy,
    StateError,
    StateKeyWrong,
    ZskCipher,
    bound_to,
    make_state_key,
    read_state_key,
    sync_directory,
)
from keys.rules.events import Entry
from keys.rules.keyring import KEYRING_VERSION, Keyring

__all__ = [
    "DATABASE",
    "STATE_KEY",
    "Secret",
    "StateDamaged",
    "StateOvertaken",
    "StateTooNew",
    "StateUnavailable",
    "Store",
]

DATABASE = "signwright.db"
STATE_KEY = "state.key"

_FINGERPRINT = "state key"


class StateTooNew(StateError):  # noqa: N818 - it names what happened
    """A newer version wrote the state; this one leaves it alone."""


class StateOvertaken(StateError):  # noqa: N818
    """The keyring was stored by somebody else since it was loaded. Nothing was changed."""


@dataclass(frozen=True)
class Secret:
    """A ZSK's private key on its way into the store; its repr leaves it out."""

    sequence: int
    public_key: bytes
    private_key: bytes = field(repr=False)
    """PKCS #8 DER."""


class Transaction(NamedTuple):
    """A unit of work under way: all of it is stored, or nothing."""

    connection: Connection


class Store:
    """The open state. Make it with `Store.open`; close it, or use it as a context manager."""

    def __init__(self, path: Path, connections: Connections, cipher: ZskCipher) -> None:
        self.path = path
        self._connections = connections
        self._cipher = cipher

    @classmethod
    def open(cls, directory: Path, entropy: Entropy) -> Self:
        """Open the state in `directory`, or make it (0700, with a new state key drawn from `entropy`).

        Raises `StateTooNew`, `StateDamaged`, `StateUnavailable`, `StateKeyLost` and `StateKeyWrong`.
        """
        path, key_path = directory / DATABASE, directory / STATE_KEY
        try:
            _make_private_file(path)
            connections = Connections(path, path)
            try:
                with connections.writing() as connection:
                    _recognise(connection, path, key_path)
                    database_schema.migrate(connection)
                with connections.writing() as connection:
                    cipher = _open_cipher(connection, key_path, entropy)
            except BaseException:
                connections.close()
                raise
            return cls(path, connections, cipher)
        except OSError as error:
            raise StateUnavailable(f"{error.filename or path}: {error.strerror}") from None

    def close(self) -> None:
        """Close the database. What was saved is durable already."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def zone_ids(self) -> dict[bytes, str]:
        """The id of each zone that has one, by origin."""
        table = database_schema.hosted_zone
        with self.reading() as connection:
            return {row.origin: row.id for row in connection.execute(select(table.c.origin, table.c.id))}

    def ensure_zone_ids(self, origins: Iterable[bytes], make: Callable[[], str], now: int) -> dict[bytes, str]:
        """The ids of these zones; those that are missing are made and stored, all at once."""
        wanted, known = tuple(origins), self.zone_ids()
        if any(origin not in known for origin in wanted):
            with self.writing() as transaction:
                known = self._ensure_zone_ids(transaction, wanted, make, now)
        return {origin: known[origin] for origin in wanted}

    def _ensure_zone_ids(
        self, transaction: Transaction, wanted: Sequence[bytes], make: Callable[[], str], now: int
    ) -> dict[bytes, str]:
        table, connection = database_schema.hosted_zone, transaction.connection
        known = {row.origin: row.id for row in connection.execute(select(table.c.origin, table.c.id))}
        new = {origin: make() for origin in dict.fromkeys(wanted) if origin not in known}
        if new:
            rows = [{"id": made, "origin": origin, "created": now} for origin, made in new.items()]
            connection.execute(insert(table), rows)
        return known | new

    def hosted_zone_id(self, origin: bytes, make: Callable[[], str], now: int) -> str:
        """The id of a zone whose keys are about to be kept, made and stored when it is first seen.

        It may write: what only looks asks `zone_ids`.
        """
        table = database_schema.hosted_zone
        with self.reading() as connection:
            found = connection.scalar(select(table.c.id).where(table.c.origin == origin))
        return str(found) if found is not None else self.ensure_zone_ids((origin,), make, now)[origin]

    def load_keyrings(self) -> tuple[Keyring, ...]:
        """Every zone's keyring. Raises `StateDamaged` and `StateTooNew`."""
        with self.reading() as connection:
            rows = connection.execute(
                select(database_schema.keyring.c.document, database_schema.keyring.c.revision)
            ).all()
        return tuple(self._decoded(document, revision) for document, revision in rows)

    def load_keyring(self, origin: bytes) -> Keyring | None:
        """One zone's keyring, if it was ever stored. Raises `StateDamaged` and `StateTooNew`."""
        table = database_schema.keyring
        with self.reading() as connection:
            row = connection.execute(select(table.c.document, table.c.revision).where(table.c.origin == origin)).first()
        return None if row is None else self._decoded(*row)

    def save(self, keyring: Keyring, entries: Sequence[Entry], secrets: Sequence[Secret] = ()) -> Keyring:
        """Store the keyring, its log entries and new private keys, all or nothing; the keyring with its new revision.

        Raises `StateOvertaken` when the stored keyring is not the one that `keyring` was made from, and
        `StateUnavailable`.
        """
        stored = msgspec.structs.replace(keyring, revision=keyring.revision + 1, version=KEYRING_VERSION)
        document = msgspec.json.encode(stored)
        with self.writing() as transaction:
            connection = transaction.connection
            self._store_keyring(connection, stored, document)
            for secret in secrets:
                bound = bound_to(keyring.origin, secret.sequence, secret.public_key)
                connection.execute(
                    insert(database_schema.zsk_secret).values(
                        origin=keyring.origin,
                        sequence=secret.sequence,
                        public_key=secret.public_key,
                        sealed=self._cipher.encrypt(secret.private_key, bound),
                    )
                )
            table, gone = database_schema.zsk_secret, [zsk.sequence for zsk in keyring.zsks if zsk.removed is not None]
            if gone:
                # A key that signs nothing any more is only there to be stolen.
                connection.execute(delete(table).where(table.c.origin == keyring.origin, table.c.sequence.in_(gone)))
            if entries:
                connection.execute(insert(database_schema.event), [_row(keyring.origin, entry) for entry in entries])
        return stored

    def load_zsk(self, origin: bytes, sequence: int) -> bytes:
        """A ZSK's private key, PKCS #8 DER. Raises `StateDamaged` where there is none, `StateKeyWrong`."""
        table = database_schema.zsk_secret
        query = select(table.c.public_key, table.c.sealed).where(table.c.origin == origin, table.c.sequence == sequence)
        with self.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise StateDamaged(f"{self.path}: the private key of ZSK {sequence} is missing: {RESTORE}")
        try:
            return self._cipher.decrypt(row.sealed, bound_to(origin, sequence, row.public_key))
        except StateKeyWrong as error:
            raise StateKeyWrong(f"{self.path}: ZSK {sequence}: {error}: {RESTORE}") from None

    def events(self, origin: bytes, since: int = 0) -> tuple[Entry, ...]:
        """The zone's event log from `since` on, oldest first."""
        table = database_schema.event
        query = select(table).where(table.c.origin == origin, table.c.at >= since).order_by(table.c.id)
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(Entry(row.at, row.kind, row.reason, tuple(row.request_ids.split())) for row in rows)

    def backup(self, to: Path) -> None:
        """A consistent copy of the database, 0600, in one durable file; it replaces what was there, at once or not.

        The state key is not in it and needs a backup of its own. Raises `StateUnavailable`.
        """
        beside = to.with_name(to.name + ".new")
        try:
            beside.unlink(missing_ok=True)
            _make_private_file(beside)
            with (
                closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(beside)) as target,
            ):
                source.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.rename(to)
            sync_directory(to.parent)
        except (OSError, sqlite3.Error) as error:
            with suppress(OSError):
                beside.unlink()
            raise StateUnavailable(f"{to}: no backup was made: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot of all that is kept; it can't write, and nobody who writes waits for it.

        Raises `StateUnavailable` and `StateDamaged`.
        """
        with self._connections.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """One unit of work: all or nothing, and durable when it has ended.

        Raises `StateUnavailable` and `StateDamaged`.
        """
        with self._connections.writing() as connection:
            yield Transaction(connection)

    def _store_keyring(self, connection: Connection, stored: Keyring, document: bytes) -> None:
        table = database_schema.keyring
        before = stored.revision - 1
        if before == 0:
            try:
                connection.execute(
                    insert(table).values(origin=stored.origin, revision=stored.revision, document=document)
                )
            except IntegrityError:
                raise StateOvertaken(f"{self.path}: the keyring of {stored.hosted_zone_id} is stored already") from None
            return
        done = connection.execute(
            update(table)
            .where(table.c.origin == stored.origin, table.c.revision == before)
            .values(revision=stored.revision, document=document)
        )
        if done.rowcount != 1:
            raise StateOvertaken(f"{self.path}: the keyring of {stored.hosted_zone_id} is no longer revision {before}")

    def _decoded(self, document: bytes, revision: int) -> Keyring:
        try:
            version = msgspec.json.decode(document, type=_Version).version
            if version > KEYRING_VERSION:
                raise StateTooNew(_too_new(self.path, f"keyring version {version}, known here: {KEYRING_VERSION}"))
            keyring = msgspec.json.decode(document, type=Keyring)
        except msgspec.MsgspecError as error:
            raise StateDamaged(f"{self.path}: a keyring can't be read ({error}): {RESTORE}") from None
        if keyring.revision != revision:
            raise StateDamaged(
                f"{self.path}: a keyring of revision {keyring.revision} is filed as {revision}: {RESTORE}"
            )
        return keyring if keyring.keyset is None else msgspec.structs.replace(keyring, keyset=keyring.keyset.sharing())


class _Version(msgspec.Struct):
    version: int = 1


def _row(origin: bytes, entry: Entry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "origin": origin,
        "kind": entry.kind,
        "reason": entry.reason,
        "request_ids": " ".join(entry.request_ids),
    }


def _make_private_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        path.chmod(0o600)
    else:
        sync_directory(path.parent)


def _recognise(connection: Connection, path: Path, key_path: Path) -> None:
    """Refuse what is not our database, not whole, or not of our time."""
    version, owner = database_schema.version(connection), database_schema.application_id(connection)
    tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
    if owner != (database_schema.APPLICATION_ID if version else 0) or (tables and not version):
        raise StateDamaged(f"{path}: not a Signwright database: move it away, or {RESTORE}")
    if version > len(database_schema.MIGRATIONS):
        raise StateTooNew(_too_new(path, f"schema {version}, known here: {len(database_schema.MIGRATIONS)}"))
    if not version and key_path.exists():
        raise StateDamaged(
            f"{path}: empty or gone, although {key_path} is there: {RESTORE}; "
            f"or move {key_path} away to begin with new keys, which makes every zone bogus whose DS is published"
        )
    verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if verdict != "ok":
        raise StateDamaged(f"{path}: damaged ({' '.join(verdict.split())}): {RESTORE}")


def _too_new(path: Path, what: str) -> str:
    return f"{path}: written by a newer version of Signwright ({what}): run that version, or {RESTORE} of this one"


def _open_cipher(connection: Connection, key_path: Path, entropy: Entropy) -> ZskCipher:
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
            "put that one back from its backup"
        )
    return cipher
