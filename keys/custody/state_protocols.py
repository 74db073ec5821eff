"""What the rest asks of the state, whatever database keeps it: keys, events, the change log, and the unit of work.

`keys.custody.state_database.Store` is all of these on SQLite; `zones.recordsets.record_protocol` has that of hosted
zones, over the same unit of work.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection

from keys.custody.change_log import Committed, Logged, Position, SnapshotNeeded
from keys.custody.state_database import FileZone, Keyrings, Secret, Transaction
from keys.rules.events import Entry
from keys.rules.keyring import Keyring
from keys.rules.zone_standing import Standing


class Units(Protocol):
    """Reads of one moment, and writes that are all or nothing."""

    def reading(self) -> AbstractContextManager[Connection]:
        """One snapshot; it takes no lock that a writer holds."""

    def writing(self) -> AbstractContextManager[Transaction]:
        """One unit of work behind the fence: durable when it has ended, with one row of the change log."""


class Keys(Protocol):
    """Keyrings, private keys and ids of zones."""

    def zone_ids(self) -> dict[bytes, str]:
        """The id of each zone that has one, by origin."""

    def ensure_zone_ids(self, origins: Iterable[bytes], make: Callable[[], str], now: int) -> dict[bytes, str]:
        """The ids of these zones; a write makes those that are missing."""

    def standings(self, origins: Collection[bytes] | None = None) -> dict[bytes, Standing]:
        """What must be known of each zone before its keyring is read."""

    def load_keyrings(self) -> Keyrings:
        """Every zone's keyring; one that can't be read concerns its zone alone."""

    def load_keyring(self, origin: bytes) -> Keyring | None:
        """One zone's keyring, if it was ever stored."""

    def save(self, keyring: Keyring, entries: Sequence[Entry], secrets: Sequence[Secret] = ()) -> Keyring:
        """Store a keyring with its events and new private keys, all or nothing."""

    def load_zsk(self, origin: bytes, sequence: int) -> bytes:
        """A ZSK's private key, PKCS #8 DER."""


class Events(Protocol):
    """The event log of each zone."""

    def events(self, origin: bytes, since: int = 0, most: int = ...) -> tuple[Entry, ...]:
        """The newest `most` events from `since` on (seconds since the epoch), oldest first."""


class Feed(Protocol):
    """The change log, for its followers."""

    on_commit: list[Callable[[Committed], None]]
    """Called after each commit of this process, in the order of versions."""
    on_overtaken: list[Callable[[str], None]]
    """Called with the reason once another program is the writer: no commit of this process follows."""
    passed: Callable[[], int | None]
    """The version that every member has: rows below it may go."""

    @property
    def position(self) -> Position:
        """Where the log stands, as far as this process has written it."""

    def position_in(self, connection: Connection) -> Position:
        """Where the log stands in a snapshot that is read."""

    def changes_after(self, position: Position, most: int = ...) -> tuple[Logged, ...] | SnapshotNeeded:
        """The rows that follow a position, oldest first."""

    def note_files(self, zones: Sequence[FileZone], gone: Sequence[bytes] = ()) -> None:
        """Have the log say what the zones of files are served from."""
