"""The change log as values: what a transaction changed, where a follower stands, and how it knows that it has it all.

Each transaction that writes appends one row with the next version. A row's digest covers its predecessor's, so equal
positions mean equal histories: two that parted, as a state and a copy of it that both went on, never have a position in
common again. A follower takes the next version with the right digest, and for anything else a snapshot. Rows say what
has changed and not all of what it is now; that is read from the state. Private keys never stand in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

_FIRST = b"signwright change log/"


class Position(NamedTuple):
    """How far a log was followed. Who has it has every change up to `version`."""

    log_id: str
    """Of the log; a restored state begins another one."""
    version: int
    digest: bytes
    """Of the row with that version."""

    def includes(self, other: Position) -> bool:
        """Whether who is here has all that `other` has, as far as the numbers tell."""
        return self.log_id == other.log_id and self.version >= other.version


class RecordsChanged(msgspec.Struct, frozen=True, tag=True):
    """Record sets of a hosted zone changed."""

    origin: bytes
    """The apex in wire form, lower case; so in all that follows."""
    names: tuple[str, ...]
    """Owners, as the API spells them."""
    digest: bytes
    """SHA-256 of what was stored and removed: two changes of the same names differ in it."""


class ZoneCreated(msgspec.Struct, frozen=True, tag=True):
    """A hosted zone was made."""

    origin: bytes
    zone_id: str


class ZoneDeleted(msgspec.Struct, frozen=True, tag=True):
    """A hosted zone was deleted together with its keys."""

    origin: bytes
    zone_id: str


class ZonesNamed(msgspec.Struct, frozen=True, tag=True):
    """Zones were given ids."""

    ids: dict[str, bytes]
    """Origins by id."""


class TagsChanged(msgspec.Struct, frozen=True, tag=True):
    """The tags or the comment of a hosted zone changed."""

    zone_id: str


class KeysChanged(msgspec.Struct, frozen=True, tag=True):
    """A zone's keyring was stored. `keyset` and `policy` tell followers which part of it changed."""

    origin: bytes
    revision: int
    digest: bytes
    """SHA-256 of the stored keyring."""
    signed: bool
    """Whether the zone is served signed."""
    keyset: bytes | None
    """SHA-256 of the signed DNSKEY RRset, if there is one."""
    policy: bool
    """Whether the recorded TTLs, live window or propagation changed."""


class SignednessChanged(msgspec.Struct, frozen=True, tag=True):
    """A zone switched between being served signed and unsigned."""

    origin: bytes
    signed: bool


class FileChanged(msgspec.Struct, frozen=True, tag=True):
    """The file of a zone has new contents, or (`digest` is `None`) the zone is no longer loaded from a file."""

    origin: bytes
    digest: bytes | None
    """Of the compiled zone."""
    image: str | None
    """The name of its image in the folder of images, where there is one."""


class WriterBegan(msgspec.Struct, frozen=True, tag=True):
    """A process opened the state and became its only writer."""

    epoch: int
    mark: bytes
    """Random, so that the histories of a state and of a copy of it diverge here at the latest."""


Change = (
    RecordsChanged
    | ZoneCreated
    | ZoneDeleted
    | ZonesNamed
    | TagsChanged
    | KeysChanged
    | SignednessChanged
    | FileChanged
    | WriterBegan
)


class Logged(NamedTuple):
    """One row: what one transaction changed."""

    version: int
    at: int
    """When it was written, in seconds since the epoch, by the writer's clock."""
    document: bytes
    digest: bytes

    @property
    def changes(self) -> tuple[Change, ...]:
        """What was changed. Raises `msgspec.MsgspecError` for what a newer version wrote."""
        return decode(self.document)


class Committed(NamedTuple):
    """One committed transaction, as reported to followers in the process that wrote it."""

    before: Position
    """The position of the previous report."""
    position: Position
    """The position after this transaction."""
    changes: tuple[Change, ...]
    is_late: bool = False
    """Whether the writer took this write for failed: no answer includes it, so it must be read from the state."""


class SnapshotNeeded(NamedTuple):
    """The log cannot be followed from this position: read a snapshot of the state and follow from there."""

    reason: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[Change, ...])


def encode(changes: Iterable[Change]) -> bytes:
    """The document of a row."""
    return _encoder.encode(tuple(changes))


def decode(document: bytes) -> tuple[Change, ...]:
    """The changes again. Raises `msgspec.MsgspecError`."""
    return _decoder.decode(document)


def beginning(log_id: str) -> Position:
    """Where a log stands before its first row."""
    return Position(log_id, 0, sha256(_FIRST + log_id.encode()).digest())


def advanced(position: Position, document: bytes) -> Position:
    """Where the log stands after the next row, which holds `document`."""
    version = position.version + 1
    return Position(position.log_id, version, sha256(position.digest + version.to_bytes(8) + document).digest())


def follow(position: Position, rows: Sequence[Logged]) -> Position | SnapshotNeeded:
    """Where a follower at `position` stands with these rows: it takes all of them or none."""
    for row in rows:
        following = advanced(position, row.document)
        if row.version != following.version:
            return SnapshotNeeded(f"version {following.version} is missing: version {row.version} comes next")
        if row.digest != following.digest:
            return SnapshotNeeded(f"version {row.version} belongs to another history")
        position = following
    return position
