"""The state database: everything durable about keys, behind one small interface; and room for what others keep.

SQLite in WAL mode with `synchronous = FULL`: what `save` has returned from survives a loss of power. One process opens
it, and every method may be called from any thread. It blocks; an event loop must call it through
`run_blocking`. Reads take no lock, and nobody waits longer than a second for another program (`state_connections`).

    signwright.db   keyrings, encrypted ZSKs, the event log, hosted zones          (0600; `database_schema`)
    state.key       what decrypts the ZSKs                                  (0600; `zsk_encryption`)
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from keys.custody import change_log_table, database_schema, kept_events, state_in_memory
from keys.custody.change_log import (
    Change,
    Committed,
    FileChanged,
    Logged,
    Position,
    SnapshotNeeded,
    ZonesNamed,
)
from keys.custody.change_log_table import Head, LogBroken
from keys.custody.disk_errors import naming
from keys.custody.state_connections import RESTORE, StateBusy, StateDamaged, StateTooNew, StateUnavailable
from keys.custody.state_files import DATABASE, STATE_KEY
from keys.custody.state_opening import Opened, make_private_file, take_up
from keys.custody.stored_keyring import changes_of, columns, decoded, standing_of
from keys.custody.zsk_encryption import (
    Entropy,
    StateError,
    StateKeyWrong,
    bound_to,
    sync_directory,
)
from keys.rules.events import Entry
from keys.rules.keyring import KEYRING_VERSION, Keyring
from keys.rules.zone_standing import Standing

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

RETRY = 2.0
"""Seconds between two tries whether a disk that took no writes takes them again."""

Clock = Callable[[], float]
"""The wall clock, in seconds since the epoch."""


class StateOvertaken(StateError):  # noqa: N818
    """Somebody else has written what this program took for its own. Nothing was changed, and nothing more will be."""


@dataclass(frozen=True)
class Secret:
    """A ZSK's private key on its way into the store; its repr leaves it out."""

    sequence: int
    public_key: bytes
    private_key: bytes = field(repr=False)
    """PKCS #8 DER."""


_NAMED_IN_A_QUERY = 64
"""Zones that one query names; of more, all are read."""


class Keyrings(NamedTuple):
    """The keyrings of all zones, as far as they can be read."""

    good: tuple[Keyring, ...]
    problems: dict[bytes, StateError]
    """Why the keyring of a zone (its origin) can't be read: `StateDamaged` or `StateTooNew`."""


class FileZone(NamedTuple):
    """What a zone that is loaded from a file is served from."""

    origin: bytes
    digest: bytes
    """Of the compiled zone."""
    image: str | None = None
    """The name of its image in the folder of images, where it has one."""


class Transaction:
    """A unit of work under way: all of it is stored, or nothing; with it one row of the change log."""

    connection: Connection

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.signed: dict[bytes, bool] = {}
        """What is known of zones once it is stored."""
        self.head: Head | None = None
        """The end of the change log once it is stored."""

    def note(self, *changes: Change) -> None:
        """Have the change log say what this transaction changes."""
        self.changes += changes


class Store:
    """The open state. Make it with `Store.open`; close it, or use it as a context manager."""

    def __init__(self, path: Path, opened: Opened, entropy: Entropy, clock: Clock) -> None:
        self.path = path
        self.on_commit: list[Callable[[Committed], None]] = []
        """Called after each commit, by the thread that wrote and in the order of versions. It must neither block, write
        nor raise."""
        self.on_overtaken: list[Callable[[str], None]] = []
        """Called with the reason once somebody else has opened the state; likewise."""
        self.passed: Callable[[], int | None] = lambda: None
        """The version of the change log that every member has, if that is known: rows below it go."""
        self._entropy, self._clock = entropy, clock
        self._connections, self._cipher, self._epoch, (self._before, self._head) = opened
        self._signed: dict[bytes, bool] = {}
        """Whether a zone's stored keyring says that it is signed, where that is known here."""
        self._overtaken: str | None = None
        self._unwritable: str | None = None
        self._write_failed: str | None = None
        self._trial_failed: str | None = None
        self._copy: Path | None = None
        """In memory, while the disk takes no writes."""
        self._retrying = threading.Lock()
        self._retry_at = 0.0

    @classmethod
    def open(cls, directory: Path, entropy: Entropy, clock: Clock = time.time) -> Self:
        """Open the state in `directory`, or make it (0700, with a new state key drawn from `entropy`).

        It is the only writer from then on: a `Store` that was opened before stops writing. `clock` gives
        the time of rows of the change log, in seconds since the epoch.

        Where the disk takes no writes, what can be read is read, and `unwritable` says why no more is done.

        Raises `StateTooNew`, `StateDamaged`, `StateUnavailable`, `StateKeyLost` and `StateKeyWrong`.
        """
        path = directory / DATABASE
        try:
            return cls(path, _taken_up(path, entropy, clock), entropy, clock)
        except StateBusy:
            raise
        except StateUnavailable as error:
            if not path.is_file():
                raise
            return cls._reading_only(path, error, entropy, clock)

    @classmethod
    def _reading_only(cls, path: Path, why: StateUnavailable, entropy: Entropy, clock: Clock) -> Self:
        """A store on a copy in memory. Raises what `open` raises; `why` where there is no room for a copy."""
        try:
            copy = state_in_memory.copied(path)
        except OSError as error:
            raise StateUnavailable(f"{why}; and a copy in memory could not be made: {error}") from None
        try:
            with _declared(path):
                opened = take_up(copy, path, entropy, clock)
        except BaseException:
            state_in_memory.discard(copy)
            raise
        store = cls(path, opened, entropy, clock)
        store._copy, store._unwritable = copy, str(why)
        return store

    def close(self) -> None:
        """Close the database. What was saved is durable already."""
        self._connections.close()
        if self._copy is not None:
            state_in_memory.discard(self._copy)

    @property
    def unwritable(self) -> str | None:
        """Why nothing can be stored since this was opened: the disk is full, or read-only. `None`: it can.

        Each write tries whether the disk takes them again, and goes on with the real file then.
        """
        return self._unwritable

    @property
    def failing(self) -> str | None:
        """Why the latest write, or the latest `try_writing`, failed; `None`: neither did."""
        return self._write_failed or self._trial_failed

    @property
    def cookie_key(self) -> bytes:
        """The secret of DNS cookies, 32 octets: it follows from the state key, and so is the same after a restart."""
        return self._cipher.cookie_key

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
            transaction.note(ZonesNamed({made: origin for origin, made in new.items()}))
        return known | new

    def hosted_zone_id(self, origin: bytes, make: Callable[[], str], now: int) -> str:
        """The id of a zone whose keys are about to be kept, made and stored when it is first seen.

        It may write: what only looks asks `zone_ids`.
        """
        table = database_schema.hosted_zone
        with self.reading() as connection:
            found = connection.scalar(select(table.c.id).where(table.c.origin == origin))
        return str(found) if found is not None else self.ensure_zone_ids((origin,), make, now)[origin]

    def load_keyrings(self) -> Keyrings:
        """Every zone's keyring; one that can't be read concerns its zone alone."""
        table = database_schema.keyring
        with self.reading() as connection:
            rows = connection.execute(select(table.c.origin, table.c.document, table.c.revision)).all()
        return self._read(rows)

    def standings(self, origins: Collection[bytes] | None = None) -> dict[bytes, Standing]:
        """Of each of these zones that has a keyring (of all, where none are named), whether it is signed and which DS
        it has; no keyring is read for it.

        A zone that can't be reported says so; the others are reported.
        """
        table = database_schema.keyring
        query = select(table.c.origin, table.c.standing, table.c.signed, table.c.delegation)
        if origins is not None and len(origins) <= _NAMED_IN_A_QUERY:
            query = query.where(table.c.origin.in_(origins))
        with self.reading() as connection:
            rows = connection.execute(query).all()
        wanted = None if origins is None else frozenset(origins)
        return {row.origin: standing_of(self.path, row) for row in rows if wanted is None or row.origin in wanted}

    def load_keyring(self, origin: bytes) -> Keyring | None:
        """One zone's keyring, if it was ever stored. Raises `StateDamaged` and `StateTooNew`."""
        table = database_schema.keyring
        with self.reading() as connection:
            row = connection.execute(select(table.c.document, table.c.revision).where(table.c.origin == origin)).first()
        return None if row is None else decoded(self.path, origin, *row)

    def save(self, keyring: Keyring, entries: Sequence[Entry], secrets: Sequence[Secret] = ()) -> Keyring:
        """Store the keyring, its log entries and new private keys, all or nothing; the keyring with its new revision.

        Raises `StateOvertaken` when the stored keyring is not the one that `keyring` was made from, and
        `StateUnavailable`.
        """
        stored = msgspec.structs.replace(keyring, revision=keyring.revision + 1, version=KEYRING_VERSION)
        document = msgspec.json.encode(stored)
        with self.writing() as transaction:
            connection = transaction.connection
            was_signed = self._store_keyring(connection, stored, document)
            transaction.signed[stored.origin] = not stored.served_unsigned
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
            kept_events.add(connection, keyring.origin, entries)
            if entries and self._head.position.version % kept_events.PRUNED_EVERY == 0:
                kept_events.prune(connection, keyring.origin, entries[-1].at)
            transaction.note(*changes_of(stored, document, entries, was_signed))
        return stored

    def keyring_within(self, transaction: Transaction, origin: bytes) -> Keyring | None:
        """As `load_keyring`, within a unit of work."""
        table = database_schema.keyring
        query = select(table.c.document, table.c.revision).where(table.c.origin == origin)
        row = transaction.connection.execute(query).first()
        return None if row is None else decoded(self.path, origin, *row)

    def save_within(self, transaction: Transaction, keyring: Keyring, entries: Sequence[Entry]) -> Keyring:
        """As `save` without secrets, within a unit of work that has more to do."""
        stored = msgspec.structs.replace(keyring, revision=keyring.revision + 1, version=KEYRING_VERSION)
        document = msgspec.json.encode(stored)
        was_signed = self._store_keyring(transaction.connection, stored, document)
        transaction.signed[stored.origin] = not stored.served_unsigned
        kept_events.add(transaction.connection, keyring.origin, entries)
        transaction.note(*changes_of(stored, document, entries, was_signed))
        return stored

    def hosted_zone_id_within(self, transaction: Transaction, origin: bytes, make: Callable[[], str], now: int) -> str:
        """As `hosted_zone_id`, within a unit of work."""
        table, connection = database_schema.hosted_zone, transaction.connection
        found = connection.scalar(select(table.c.id).where(table.c.origin == origin))
        if found is None:
            found = make()
            connection.execute(insert(table).values(id=found, origin=origin, created=now))
            transaction.note(ZonesNamed({found: origin}))
        return str(found)

    def load_unsigned(self, origins: Collection[bytes]) -> Keyrings:
        """The keyrings of those of these zones that are served unsigned; they are small, and read by one query."""
        table = database_schema.keyring
        query = select(table.c.origin, table.c.document, table.c.revision).where(table.c.signed == 0)
        if len(origins) <= _NAMED_IN_A_QUERY:
            query = query.where(table.c.origin.in_(origins))
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return self._read(rows)

    def _read(self, rows: Iterable[Any]) -> Keyrings:
        good, problems = [], {}
        for origin, document, revision in rows:
            try:
                good.append(decoded(self.path, origin, document, revision))
            except StateError as error:
                problems[origin] = error
        return Keyrings(tuple(good), problems)

    def load_zsk(self, origin: bytes, sequence: int) -> bytes:
        """A ZSK's private key, PKCS #8 DER. Raises `StateDamaged` where there is none, `StateKeyWrong`."""
        table = database_schema.zsk_secret
        query = select(table.c.public_key, table.c.sealed).where(table.c.origin == origin, table.c.sequence == sequence)
        with self.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise StateDamaged(f"{self.path}: the private key of ZSK {sequence} is missing: {RESTORE}")
        if not isinstance(row.sealed, bytes) or not isinstance(row.public_key, bytes):
            raise StateDamaged(f"{self.path}: the private key of ZSK {sequence} is damaged: {RESTORE}")
        try:
            return self._cipher.decrypt(row.sealed, bound_to(origin, sequence, row.public_key))
        except StateKeyWrong as error:
            raise StateKeyWrong(f"{self.path}: ZSK {sequence}: {error}: {RESTORE}") from None

    def events(self, origin: bytes, since: int = 0, most: int = kept_events.OF_ZONE) -> tuple[Entry, ...]:
        """The newest `most` events of the zone's log from `since` on, oldest first."""
        with self.reading() as connection:
            return kept_events.read(connection, origin, since, most)

    def noted_files(self, origins: Collection[bytes] | None = None) -> dict[bytes, FileZone]:
        """What these zones (all, where none are named) are served from, as it was noted last."""
        table = database_schema.zone_file
        query = select(table)
        if origins is not None and len(origins) <= _NAMED_IN_A_QUERY:
            query = query.where(table.c.origin.in_(origins))
        with self.reading() as connection:
            return {row.origin: FileZone(row.origin, row.digest, row.image) for row in connection.execute(query)}

    def note_files(self, zones: Sequence[FileZone], gone: Sequence[bytes] = ()) -> None:
        """Note what the zones of files are served from now, and which are served from files no more (`gone`).

        What is noted already costs nothing.
        """
        table = database_schema.zone_file
        known = self.noted_files([*(zone.origin for zone in zones), *gone])
        new = [zone for zone in zones if known.get(zone.origin) != zone]
        left = [origin for origin in gone if origin in known]
        if not new and not left:
            return
        with self.writing() as transaction:
            connection = transaction.connection
            connection.execute(delete(table).where(table.c.origin.in_([*left, *(zone.origin for zone in new)])))
            if new:
                connection.execute(insert(table), [zone._asdict() for zone in new])
            transaction.note(
                *(FileChanged(*zone) for zone in new), *(FileChanged(origin, None, None) for origin in left)
            )

    @property
    def position(self) -> Position:
        """Where the change log stands: every change up to there is stored."""
        return self._head.position

    def position_in(self, connection: Connection) -> Position:
        """Where the change log stands in a snapshot of `reading`: what is read there is all up to this position."""
        return change_log_table.position(connection)

    def changes_after(self, position: Position, most: int = 1000) -> tuple[Logged, ...] | SnapshotNeeded:
        """At most `most` rows of the change log that follow `position`, oldest first; none where it is the newest."""
        with self.reading() as connection:
            return change_log_table.changes_after(connection, position, most)

    def look_at_log(self) -> None:
        """Find out whether the stored log still ends as this process wrote it; if not, tell the followers.

        A read of one row, which takes no lock: only where that differs, the fence has the last word, as it has for each
        write. Raises what `writing` raises.
        """
        with self.reading() as connection:
            found = self.position_in(connection)
        if found != self._head.position:
            with self.writing():
                pass  # another thread of this process wrote meanwhile: nothing is lost

    def backup(self, to: Path) -> None:
        """A consistent copy of the database, 0600, in one durable file; it replaces what was there, at once or not.

        The state key is not in it and needs a backup of its own. Raises `StateUnavailable`.
        """
        beside = to.with_name(to.name + ".new")
        try:
            beside.unlink(missing_ok=True)
            make_private_file(beside)
            with (
                closing(sqlite3.connect(f"{self._connections.path.absolute().as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(beside)) as target,
            ):
                source.backup(target)
                # A process that opens the copy begins its own log, because this one continues with other changes.
                target.execute("UPDATE log SET id = NULL")
                target.commit()
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
        """One unit of work: all or nothing, and durable when it has ended, with its row of the change log.

        Raises `StateOvertaken` once somebody else has opened the state, `StateUnavailable` and `StateDamaged`.
        """
        if self._overtaken is not None:
            raise StateOvertaken(self._overtaken)
        try:
            self.take_up_again()
            with self._transaction() as transaction:
                yield transaction
        except StateUnavailable as error:
            self._write_failed = str(error)
            raise
        self._write_failed = None

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        transaction = Transaction()

        def committed() -> None:
            assert transaction.head is not None
            told = Committed(self._head.position, transaction.head.position, tuple(transaction.changes))
            self._head = transaction.head
            self._signed |= transaction.signed
            self._tell(told)

        with ExitStack() as stack:
            try:
                connection = transaction.connection = self._fenced(stack, committed)
            except LogBroken:
                self._begin_log()
                connection = transaction.connection = self._fenced(stack, committed)
            yield transaction
            at = int(self._clock())
            head = transaction.head = change_log_table.append(connection, self._head, at, transaction.changes)
            if head.position.version % change_log_table.PRUNED_EVERY == 0:
                change_log_table.prune(connection, head, self.passed(), at)

    def _fenced(self, stack: ExitStack, committed: Callable[[], None]) -> Connection:
        """Begin a transaction behind the fence, which `stack` ends. Raises what `writing` raises, and `LogBroken`."""
        with ExitStack() as begun:
            connection = begun.enter_context(self._connections.writing(committed))
            found = change_log_table.fenced(connection, self._epoch, self._head)
            if found is None:
                self._overtaken = (
                    f"{self.path}: another program has opened this state since, so this one stopped writing: "
                    "stop one of them, then restart the other"
                )
                for overtaken in self.on_overtaken:
                    overtaken(self._overtaken)
                raise StateOvertaken(self._overtaken)
            if isinstance(found, change_log_table.Late):
                # Told whatever becomes of this transaction: a key manager that wrote it can't write again before.
                known, self._head = self._head, found.head
                self._tell(Committed(known.position, found.head.position, found.changes, is_late=True))
            stack.enter_context(begun.pop_all())
        return connection

    def _begin_log(self) -> None:
        """Begin another log in a transaction of its own, as at a start: what the present one lost is not known.

        A follower finds that its first row is not the next one, and reads the state again.
        """
        begun: list[change_log_table.Begun] = []

        def committed() -> None:
            ((before, head),) = begun
            self._head = head
            self._signed.clear()
            self._tell(Committed(before, head.position, ()))

        with self._connections.writing(committed) as connection:
            begun.append(change_log_table.begin_log(connection, self._epoch, self._entropy, int(self._clock())))

    def _tell(self, committed: Committed) -> None:
        for told in self.on_commit:
            told(committed)

    def try_writing(self) -> None:
        """Find out whether anything can be stored: `failing` then says why not. Raises nothing of that.

        A full disk is found by a file of its own, since a database has room for a while in what it has written before.
        """
        if self._overtaken is not None:
            self._trial_failed = self._overtaken
            return
        try:
            self.take_up_again()
            with _declared(self.path), naming(self.path):
                state_in_memory.check_writable(self.path.parent)
            with self._connections.writing():
                pass  # no other program holds the database
        except StateError as error:
            self._trial_failed = str(error)
        else:
            self._trial_failed = self._write_failed = None

    def take_up_again(self) -> None:
        """Go on with the real file, where its disk took no writes and takes them now. Raises what `open` raises."""
        if self._unwritable is None:
            return
        with self._retrying:
            if self._unwritable is None:
                return
            if time.monotonic() < self._retry_at:
                raise StateUnavailable(_said(self._unwritable))
            self._retry_at = time.monotonic() + RETRY
            try:
                with _declared(self.path), naming(self.path):
                    state_in_memory.check_writable(self.path.parent)
                opened = _taken_up(self.path, self._entropy, self._clock)
            except StateUnavailable as error:
                self._unwritable = str(error)
                raise StateUnavailable(_said(self._unwritable)) from None
            copied, copy, known, base = self._connections, self._copy, self._head.position, self._before
            self._connections, self._cipher, self._epoch, (self._before, self._head) = opened
            self._unwritable = self._copy = None
            # If nothing was written meanwhile, a backend that answers from the copy has all that the file has.
            self._tell(Committed(known if base == self._before else self._before, self._head.position, ()))
            copied.close()
            if copy is not None:
                state_in_memory.discard(copy)

    def _store_keyring(self, connection: Connection, stored: Keyring, document: bytes) -> bool | None:
        """Store the row; whether the zone was signed before, `None` where that is not known."""
        table = database_schema.keyring
        before = stored.revision - 1
        values = {"revision": stored.revision, "document": document, **columns(stored)}
        if before == 0:
            try:
                connection.execute(insert(table).values(origin=stored.origin, **values))
            except IntegrityError:
                raise StateOvertaken(f"{self.path}: the keyring of {stored.hosted_zone_id} is stored already") from None
            return None
        is_before = (table.c.origin == stored.origin) & (table.c.revision == before)
        was_signed = self._signed.get(stored.origin)
        if was_signed is None:
            was_signed = bool(connection.scalar(select(table.c.signed).where(is_before)))
        if connection.execute(update(table).where(is_before).values(**values)).rowcount != 1:
            raise StateOvertaken(f"{self.path}: the keyring of {stored.hosted_zone_id} is no longer revision {before}")
        return was_signed


def _taken_up(path: Path, entropy: Entropy, clock: Clock) -> Opened:
    with _declared(path):
        make_private_file(path)
        return take_up(path, path, entropy, clock)


def _said(reason: str) -> str:
    return f"nothing can be stored until the disk takes writes again: {reason}"


@contextmanager
def _declared(path: Path) -> Iterator[None]:
    """What the operating system refuses, as a `StateUnavailable` that names the file."""
    try:
        yield
    except OSError as error:
        raise StateUnavailable(f"{error.filename or path}: {error.strerror}") from None
