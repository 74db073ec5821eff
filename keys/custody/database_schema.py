"""The tables of the state database, and how one version of them becomes the next.

Migrations are numbered from 1 and never change once released: a new version appends one. `PRAGMA user_version` holds
the number of the last one done; it is written in the same transaction, so a migration happens wholly or not at all.
"""

from __future__ import annotations

from sqlalchemy import BLOB, Column, Connection, Integer, MetaData, Table, Text

APPLICATION_ID = 0x53574754
"""`PRAGMA application_id` ("SWGT"): tells our database from any other SQLite file."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    # 1: what signing needs
    (
        "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE hosted_zone (id TEXT PRIMARY KEY, origin BLOB NOT NULL UNIQUE, created INTEGER NOT NULL)",
        "CREATE TABLE ring (origin BLOB PRIMARY KEY REFERENCES hosted_zone (origin),"
        " revision INTEGER NOT NULL, document BLOB NOT NULL)",
        "CREATE TABLE zsk_secret (origin BLOB NOT NULL REFERENCES ring (origin), sequence INTEGER NOT NULL,"
        " public_key BLOB NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (origin, sequence))",
        "CREATE TABLE event (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, origin BLOB NOT NULL, kind TEXT NOT NULL,"
        " reason TEXT NOT NULL, request_ids TEXT NOT NULL)",
        "CREATE INDEX event_by_zone ON event (origin, at)",
    ),
    # 2: zones that are kept here, with their record sets in Route 53's order
    (
        "CREATE TABLE kept_zone (id TEXT PRIMARY KEY REFERENCES hosted_zone (id), position TEXT NOT NULL,"
        " caller_reference TEXT NOT NULL UNIQUE, record_sets INTEGER NOT NULL, document BLOB NOT NULL) WITHOUT ROWID",
        "CREATE UNIQUE INDEX kept_zone_by_name ON kept_zone (position, id)",
        "CREATE TABLE record_set (zone TEXT NOT NULL REFERENCES kept_zone (id), position TEXT NOT NULL,"
        " type TEXT NOT NULL, identifier TEXT NOT NULL, document BLOB NOT NULL,"
        " PRIMARY KEY (zone, position, type, identifier)) WITHOUT ROWID",
        "CREATE TABLE zone_tag (zone TEXT NOT NULL REFERENCES kept_zone (id), name TEXT NOT NULL,"
        " value TEXT NOT NULL, PRIMARY KEY (zone, name)) WITHOUT ROWID",
        "CREATE TABLE zone_change (id TEXT PRIMARY KEY, submitted INTEGER NOT NULL, comment TEXT NOT NULL)"
        " WITHOUT ROWID",
        "CREATE INDEX zone_change_by_time ON zone_change (submitted)",
    ),
    # 3: the change log with its fence; what is known of each zone before its keyring is read
    (
        "CREATE TABLE log (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT, epoch INTEGER NOT NULL,"
        " version INTEGER NOT NULL)",
        "INSERT INTO log VALUES (1, NULL, 0, 0)",
        "CREATE TABLE change (version INTEGER PRIMARY KEY, at INTEGER NOT NULL, octets INTEGER NOT NULL,"
        " document BLOB NOT NULL, digest BLOB NOT NULL)",
        "ALTER TABLE ring ADD COLUMN standing INTEGER",
        "ALTER TABLE ring ADD COLUMN signed INTEGER",
        "ALTER TABLE ring ADD COLUMN delegation BLOB",
        "CREATE TABLE zone_file (origin BLOB PRIMARY KEY, digest BLOB NOT NULL, image TEXT) WITHOUT ROWID",
        "DELETE FROM event WHERE origin NOT IN (SELECT origin FROM hosted_zone)",
    ),
    # 4: the caller references of all zones that were ever created: Route 53 never takes one again
    (
        "CREATE TABLE used_reference (reference TEXT PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO used_reference SELECT caller_reference FROM kept_zone",
    ),
)

_metadata = MetaData()

setting = Table("setting", _metadata, Column("name", Text, primary_key=True), Column("value", Text))
hosted_zone = Table(
    "hosted_zone",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("origin", BLOB),
    Column("created", Integer),
)
keyring = Table(
    "ring",
    _metadata,
    Column("origin", BLOB, primary_key=True),
    Column("revision", Integer),
    Column("document", BLOB),
    # What must be known of a zone before its keyring is read (`keys.rules.zone_standing`).
    Column("standing", Integer),
    Column("signed", Integer),
    Column("delegation", BLOB),
)
zsk_secret = Table(
    "zsk_secret",
    _metadata,
    Column("origin", BLOB, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("public_key", BLOB),
    Column("sealed", BLOB),
)
event = Table(
    "event",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Integer),
    Column("origin", BLOB),
    Column("kind", Text),
    Column("reason", Text),
    Column("request_ids", Text),
)
kept_zone = Table(
    "kept_zone",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("position", Text),
    Column("caller_reference", Text),
    Column("record_sets", Integer),
    Column("document", BLOB),
)
used_reference = Table("used_reference", _metadata, Column("reference", Text, primary_key=True))
record_set = Table(
    "record_set",
    _metadata,
    Column("zone", Text, primary_key=True),
    Column("position", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("identifier", Text, primary_key=True),
    Column("document", BLOB),
)
zone_tag = Table(
    "zone_tag",
    _metadata,
    Column("zone", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text),
)
zone_change = Table(
    "zone_change",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("submitted", Integer),
    Column("comment", Text),
)
log = Table(
    "log",
    _metadata,
    Column("only", Integer, primary_key=True),
    Column("id", Text),
    Column("epoch", Integer),
    Column("version", Integer),
)
change = Table(
    "change",
    _metadata,
    Column("version", Integer, primary_key=True),
    Column("at", Integer),
    # Of all documents up to this one.
    Column("octets", Integer),
    Column("document", BLOB),
    Column("digest", BLOB),
)
zone_file = Table(
    "zone_file",
    _metadata,
    Column("origin", BLOB, primary_key=True),
    Column("digest", BLOB),
    Column("image", Text),
)


def version(connection: Connection) -> int:
    """The number of the last migration done; 0 for a new file."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def application_id(connection: Connection) -> int:
    """Whose database this is; 0 for a new file."""
    return int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())


def migrate(connection: Connection) -> None:
    """Do the migrations that are missing, in the transaction that is open: all of them or none."""
    done = version(connection)
    for statements in MIGRATIONS[done:]:
        for statement in statements:
            connection.exec_driver_sql(statement)
    if done < len(MIGRATIONS):
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {len(MIGRATIONS)}")
