"""The event log of each zone in the database, and the rule by which it is pruned.

An event is kept for `KEPT` seconds; of one zone at most the newest `OF_ZONE`, of all zones at most the newest `IN_ALL`.
They go with their zone. A quiet zone makes about 500 a year, of 500 octets each: most of that are the request ids of a
refresh.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select

from keys.custody import database_schema
from keys.rules.events import Entry

KEPT = 400 * 24 * 3600
"""Seconds: a year, and the month in which somebody compares with the year before."""
OF_ZONE = 1000
IN_ALL = 1_000_000
"""About 0.6 GB with their index: seventy days of 10,000 quiet zones."""
LONGEST_REASON = 1000
"""Characters of a reason that are kept: what a KMS says may be as long as it likes."""
MOST_REQUEST_IDS = 100
PRUNED_EVERY = 16
"""Versions of the change log between two times that old events are removed."""
_AT_ONCE = 500
"""Rows that one transaction removes by age or by number, so that none takes long."""


def add(connection: Connection, origin: bytes, entries: Sequence[Entry]) -> None:
    """Append a zone's events."""
    rows = [
        {
            "at": entry.at,
            "origin": origin,
            "kind": entry.kind,
            "reason": entry.reason[:LONGEST_REASON],
            "request_ids": " ".join(entry.request_ids[:MOST_REQUEST_IDS]),
        }
        for entry in entries
    ]
    if rows:
        connection.execute(insert(database_schema.event), rows)


def read(connection: Connection, origin: bytes, since: int, most: int) -> tuple[Entry, ...]:
    """The newest `most` events of a zone from `since` on (seconds since the epoch), oldest first."""
    table = database_schema.event
    newest = select(table).where(table.c.origin == origin, table.c.at >= since).order_by(table.c.id.desc()).limit(most)
    rows = connection.execute(newest).all()[::-1]
    return tuple(Entry(row.at, row.kind, row.reason, tuple(row.request_ids.split())) for row in rows)


def remove(connection: Connection, origin: bytes) -> None:
    """Remove all events of a zone, which goes."""
    table = database_schema.event
    connection.execute(delete(table).where(table.c.origin == origin))


def prune(connection: Connection, origin: bytes, now: int) -> None:
    """Remove what is too old or too much: of the zone `origin`, and some of all zones."""
    table = database_schema.event
    of_zone = select(table.c.id).where(table.c.origin == origin).order_by(table.c.id.desc()).offset(OF_ZONE)
    # The oldest have the lowest ids: no index by time is kept, which each event would pay for.
    first = select(table.c.id).order_by(table.c.id).limit(_AT_ONCE)
    old = select(table.c.id).where(table.c.id.in_(first), table.c.at < now - KEPT)
    # Ids grow with each row: what lies so far behind the newest is not among the newest so many.
    last = select(func.max(table.c.id)).scalar_subquery()
    surplus = select(table.c.id).where(table.c.id <= last - IN_ALL).order_by(table.c.id).limit(_AT_ONCE)
    for ids in (of_zone.limit(_AT_ONCE), old, surplus):
        connection.execute(delete(table).where(table.c.id.in_(ids)))
