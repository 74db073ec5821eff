"""The change log in the database, and the fence in front of it: one row says who writes, and how far.

Each process that opens the state takes the next epoch. The first statement of each writing transaction raises the
version of that row where the epoch is still its own; once another process has opened the state there is no such row,
and nothing is written. Versions come from that row, without gaps: a rowid would begin again once the table is
pruned to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec import MsgspecError
from sqlalchemy import Connection, delete, func, select, update

from keys.custody import database_schema
from keys.custody.change_log import (
    Change,
    Logged,
    Position,
    SnapshotNeeded,
    WriterBegan,
    advanced,
    beginning,
    encode,
    follow,
)
from keys.custody.state_connections import StateDamaged, driver

KEPT = 24 * 3600
"""Seconds for which a row is kept. A member that was away for longer reads a snapshot instead."""
KEPT_OCTETS = 16 << 20
"""Octets of documents that are kept, at most."""
PRUNED_EVERY = 64
"""Versions between two times that old rows are removed."""
_AT_ONCE = 1000
_MARK_BYTES = 16


# For the driver itself: every write pays for these, and SQLAlchemy costs more than they do.
_FENCE = (
    "UPDATE log SET version = version + 1 WHERE epoch = ? "
    "RETURNING id, version - 1, (SELECT digest FROM change WHERE change.version = log.version - 1)"
)
_APPEND = "INSERT INTO change (version, at, octets, document, digest) VALUES (?, ?, ?, ?, ?)"


class Head(NamedTuple):
    """The end of the log, as its only writer knows it."""

    position: Position
    octets: int
    """Of all documents that were ever appended to this log."""


class Begun(NamedTuple):
    """What a writer begins with."""

    before: Position
    """The end of the log until now."""
    head: Head


class LogBroken(StateDamaged):
    """The end of the log is not what its only writer wrote: rows were removed or changed, or the state restored."""


class Late(NamedTuple):
    """Transactions that were reported as failed, and are stored."""

    head: Head
    changes: tuple[Change, ...]


def begin_epoch(connection: Connection, entropy: Callable[[int], bytes], at: int) -> tuple[int, Begun]:
    """Become the only writer: the epoch to write in, and the end of the log. `at` is seconds since the epoch.

    A new state begins a log, and so does a restored one, whose id was taken out when the backup was made.
    """
    log = database_schema.log
    epoch = connection.execute(update(log).values(epoch=log.c.epoch + 1).returning(log.c.epoch)).scalar_one()
    found = None if connection.scalar(select(log.c.id)) is None else _head(connection)
    newest = connection.scalar(select(func.max(database_schema.change.c.version)))
    if found is None or found.position.version != newest:  # new, restored, or its end was damaged
        return epoch, begin_log(connection, epoch, entropy, at)
    connection.execute(update(log).values(version=log.c.version + 1))
    mark = WriterBegan(epoch, entropy(_MARK_BYTES))
    return epoch, Begun(found.position, append(connection, found, at, [mark]))


def begin_log(connection: Connection, epoch: int, entropy: Callable[[int], bytes], at: int) -> Begun:
    """Begin another log, since the present one can't be followed to its end: every follower takes a snapshot."""
    connection.execute(delete(database_schema.change))
    found = Head(beginning(entropy(_MARK_BYTES).hex()), 0)
    connection.execute(update(database_schema.log).values(id=found.position.log_id, version=1))
    return Begun(found.position, append(connection, found, at, [WriterBegan(epoch, entropy(_MARK_BYTES))]))


def fenced(connection: Connection, epoch: int, known: Head) -> Head | Late | None:
    """Take the next version, as the first statement of each write: the end of the log before it, `known` as a rule.

    `None` where another epoch has begun. Raises `LogBroken` where the end of the log is not what was written.
    """
    rows = driver(connection).execute(_FENCE, (epoch,)).fetchall()
    if not rows:
        return None
    end = Position(*rows[0])
    return known if end == known.position else _late(connection, known, end)


def _late(connection: Connection, known: Head, end: Position) -> Late:
    """The rows up to `end` that follow `known`: of commits that were reported as failed. Raises `LogBroken`."""
    if end.log_id != known.position.log_id:
        raise LogBroken("the change log is another one: the state was restored")
    table = database_schema.change
    query = select(table).where(table.c.version > known.position.version, table.c.version <= end.version)
    rows = [_logged(row) for row in connection.execute(query.order_by(table.c.version))]
    found = follow(known.position, rows)
    if isinstance(found, SnapshotNeeded):
        raise LogBroken(f"the change log can't be followed: {found.reason}")
    if found != end:
        what = "is missing" if end.digest is None else "belongs to another history"
        raise LogBroken(f"the change log can't be followed: version {end.version} {what}")
    head = _head(connection, end.version)
    if head is None:
        raise LogBroken(f"the change log can't be followed: version {end.version} is damaged")
    try:
        return Late(head, tuple(change for row in rows for change in row.changes))
    except MsgspecError as error:
        raise LogBroken(f"the change log can't be followed: {error}") from None


def append(connection: Connection, before: Head, at: int, changes: Sequence[Change]) -> Head:
    """Append the row of a transaction; the end of the log with it."""
    document = encode(changes)
    after = Head(advanced(before.position, document), before.octets + len(document))
    _, version, digest = after.position
    driver(connection).execute(_APPEND, (version, at, after.octets, document, digest))
    return after


def position(connection: Connection) -> Position:
    """The position of this snapshot, from which its reader follows the log."""
    found = _head(connection)
    if found is not None:
        return found.position
    row = connection.execute(select(database_schema.log)).one()
    return Position(row.id, row.version, b"")  # the newest row is damaged, so no one can follow from it


def _head(connection: Connection, version: int | None = None) -> Head | None:
    """The row with a version as the end of the log; without one, that with the version of the log's own row."""
    log, table = database_schema.log, database_schema.change
    query = select(log.c.id, table.c.version, table.c.digest, table.c.octets)
    row = connection.execute(
        query.join(table, table.c.version == (log.c.version if version is None else version))
    ).first()
    if row is None or not isinstance(row.digest, bytes) or not isinstance(row.octets, int):
        return None
    return Head(Position(row.id, row.version, row.digest), row.octets)


def changes_after(connection: Connection, since: Position, most: int = _AT_ONCE) -> tuple[Logged, ...] | SnapshotNeeded:
    """At most `most` rows that follow, oldest first; none where `since` is the newest."""
    table, newest = database_schema.change, position(connection)
    if since.log_id != newest.log_id:
        return SnapshotNeeded("the log is another one: the state was restored")
    if since.version > newest.version:
        return SnapshotNeeded(f"version {since.version} is not there: the log ends at {newest.version}")
    known = connection.scalar(select(table.c.digest).where(table.c.version == since.version))
    if since.version == 0:
        known = beginning(newest.log_id).digest
    if known is None:
        return SnapshotNeeded(f"version {since.version} is no longer kept")
    if known != since.digest:
        return SnapshotNeeded(f"version {since.version} belongs to another history")
    query = select(table).where(table.c.version > since.version).order_by(table.c.version).limit(most)
    rows = tuple(_logged(row) for row in connection.execute(query))
    end = follow(since, rows)
    if isinstance(end, SnapshotNeeded):
        return end
    if len(rows) < most and end != newest:
        return SnapshotNeeded(f"the rows end at version {end.version}, and the log at {newest.version}")
    return rows


def prune(connection: Connection, head: Head, passed: int | None, now: int) -> None:
    """Remove the rows below `passed`, which every member has, and of the oldest those that are too old or too many.

    The newest stays, and of those that all have passed the last one: the next row is proved by it.
    """
    table = database_schema.change
    first = passed or 0
    oldest = select(table.c.version, table.c.at, table.c.octets).order_by(table.c.version).limit(2 * PRUNED_EVERY)
    for row in connection.execute(oldest).all():
        if row.at < now - KEPT or head.octets - row.octets >= KEPT_OCTETS:
            first = max(first, row.version + 1)
    connection.execute(delete(table).where(table.c.version < min(first, head.position.version)))


def _logged(row: Any) -> Logged:
    return Logged(row.version, row.at, _octets(row.document), _octets(row.digest))


def _octets(value: object) -> bytes:
    """A column's value: SQLite keeps any type, and a value that is not a BLOB was written by another program."""
    return value if isinstance(value, bytes) else str(value).encode()
