"""The state that the last version before the change log left: schema 2, keyrings of version 3.

`state_of_schema_2.sql` is its database after 16 days, most events left out. In it are a signed zone with a signed
child, a zone with signing disabled by a person, one that the setting `signed` had turned off, and hosted zones, one of
which was enabled while the KMS was away.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from keys.custody.database_schema import APPLICATION_ID
from keys.custody.state_database import DATABASE, STATE_KEY

SCHEMA = 2
SIGNED = ("example.", "signed.example.", "hosted-signed.test.")
UNSIGNED = ("plain.test.", "off.test.", "was-signed.test.", "hosted.test.", "hosted-enabled.test.")
_DUMP = Path(__file__).parent / "state_of_schema_2.sql"
_STATE_KEY_TEXT = "signwright state key 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\n"


def restore_dump(directory: Path) -> None:
    """Make that state in `directory`, which is not there yet."""
    directory.mkdir(mode=0o700)
    with closing(sqlite3.connect(directory / DATABASE)) as database:
        database.executescript(_DUMP.read_text())
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {SCHEMA}")
    (directory / STATE_KEY).write_text(_STATE_KEY_TEXT)
    (directory / STATE_KEY).chmod(0o600)
