"""Connections to the database file: one that writes, several that read, and no wait for a lock beyond a second.

A read is a transaction of its own on a snapshot (SQLite's WAL): it takes no lock that a writer holds, in this process
or in another program. Writes take turns. While another program holds the database, a writer gives up after `PATIENCE`
seconds, the time that it waited for its turn included, so that a queue of writers is refused as fast as one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy import event as engine_event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.pool import Pool, QueuePool, StaticPool

from keys.custody.disk_errors import way_out_of_sqlite
from keys.custody.zsk_encryption import StateError

PATIENCE = 1.0
"""Seconds to wait for a database that another program has locked; then the request is refused."""
LONGEST_TURN = 10.0
"""Seconds to wait for another write of this process; then the request is refused, because the disk is stuck."""
RESTORE = "restore the last backup (signwright restore)"

_KEPT_READERS = 4
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class StateDamaged(StateError):  # noqa: N818 - it names what happened
    """The database is not what was written."""


class StateTooNew(StateError):  # noqa: N818
    """A newer version wrote the state; this one leaves it alone."""


class StateUnavailable(StateError):  # noqa: N818
    """The disk did not do as asked (full, read-only, failing): another try may succeed. Nothing was changed."""


class StateBusy(StateUnavailable):
    """Another program holds the database."""


class Connections:
    """The connections to one database file; its methods may be called from any thread."""

    def __init__(self, path: Path, shown: Path) -> None:
        """Open the file `path`; errors name it as `shown`. Raises `StateUnavailable` and `StateDamaged`."""
        self.path = path
        self._shown = shown
        self._turns = _Turns(shown)
        self._allowed = PATIENCE
        """Seconds for which the next transaction may wait for another program."""
        self._readers = _engine(path, QueuePool, _BEGIN_READING, pool_size=_KEPT_READERS, max_overflow=-1)
        self._writers = _engine(path, StaticPool, _BEGIN_WRITING)
        try:
            with translated(shown):
                self._writer = self._writers.connect()
        except BaseException:
            self._writers.dispose()
            raise

    def close(self) -> None:
        """Close the file. What was committed is durable already."""
        with self._turns.taken():
            self._readers.dispose()
            self._writer.close()
            self._writers.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot, whatever is written meanwhile. Raises `StateUnavailable` and `StateDamaged`."""
        with translated(self._shown), self._readers.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, committed: Callable[[], None] = lambda: None) -> Iterator[Connection]:
        """One transaction: all or nothing, durable when it has ended. `committed` is called before the next may begin.

        Raises `StateUnavailable` and `StateDamaged`.
        """
        with self._turns.taken() as left, translated(self._shown):
            if left != self._allowed:
                # Set on the driver's connection: on SQLAlchemy's it would begin the transaction.
                driver(self._writer).execute(f"PRAGMA busy_timeout = {int(left * 1000)}")
                self._allowed = left
            with self._turns.beginning():
                transaction = self._writer.begin()
            with transaction:
                yield self._writer
            committed()


class _Turns:
    """Whose turn it is to write."""

    def __init__(self, shown: Path) -> None:
        self._shown = shown
        self._lock = threading.Lock()
        self._locked_since: float | None = None
        """Since when nobody here could begin a transaction; `None` once somebody could."""

    @contextmanager
    def taken(self) -> Iterator[float]:
        """Have the turn: gives the seconds for which the database may be waited for. Raises `StateUnavailable`."""
        came = monotonic()
        if not self._lock.acquire(timeout=LONGEST_TURN):
            raise StateUnavailable(
                f"{self._shown}: an earlier write has not ended for {LONGEST_TURN:g} s: check the disk"
            )
        try:
            # Who waited while others failed to begin has spent its patience with them, and is refused at once.
            yield PATIENCE if self._locked_since is None else max(0.0, PATIENCE - (monotonic() - came))
        finally:
            self._lock.release()

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """While a transaction is begun, which waits for other programs."""
        if self._locked_since is None:
            self._locked_since = monotonic()
        try:
            yield
        except DatabaseError as error:
            if _code(error.orig) not in _HELD:
                self._locked_since = None
            raise
        self._locked_since = None


def held_by_another(path: Path) -> str:
    """What is said of a database that another program has locked."""
    return (
        f"{path}: another program has held the database for {PATIENCE:g} s; nothing was changed: "
        f"end that program (fuser {path} finds it)"
    )


def too_new(path: Path, what: str) -> str:
    """What is said of something newer in the database `path`."""
    return f"{path}: written by a newer version of Signwright ({what}): run that version, or {RESTORE} of this one"


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """What SQLite and the disk refuse of the database `path`, as a `StateError`."""
    try:
        yield
    except (IntegrityError, sqlite3.IntegrityError):
        raise  # a constraint that the code here has broken: a bug
    except (DatabaseError, sqlite3.DatabaseError) as error:
        what = error.orig if isinstance(error, DatabaseError) else error
        if _code(what) in _DAMAGE:
            raise StateDamaged(f"{path}: damaged ({what}): {RESTORE}") from None
        if _code(what) in _HELD:
            raise StateBusy(held_by_another(path)) from None
        raise StateUnavailable(f"{path}: {what}{way_out_of_sqlite(_code(what), path)}") from None


def _code(error: BaseException | None) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


_BEGIN_READING, _BEGIN_WRITING = "BEGIN", "BEGIN IMMEDIATE"
_PRAGMAS = {
    _BEGIN_READING: ("query_only = ON",),
    _BEGIN_WRITING: ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"),
}


def _engine(path: Path, pool: type[Pool], begin: str, **of_pool: Any) -> Engine:
    # Parameters stay out of exceptions: what is bound may be an encrypted key.
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=pool,
        connect_args={"check_same_thread": False, "timeout": PATIENCE},
        hide_parameters=True,
        **of_pool,
    )

    @engine_event.listens_for(engine, "connect")
    def _configure(dbapi: Any, _record: object) -> None:
        # The driver's own idea of when a transaction begins leaves out DDL and reads; ours is below.
        dbapi.isolation_level = None
        for pragma in _PRAGMAS[begin]:
            dbapi.execute(f"PRAGMA {pragma}")

    @engine_event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def driver(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection, for the few statements that each write pays for."""
    found = connection.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found
