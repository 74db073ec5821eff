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
    """Record sets of a hosted zone are others."""

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
    """A hosted zone is no more, nor are its keys."""

    origin: bytes
    zone_id: str


class ZonesNamed(msgspec.Struct, frozen=True, tag=True):
    """Zones have their ids now."""

    ids: dict[str, bytes]
    """Origins by id."""


class TagsChanged(msgspec.Struct, frozen=True, tag=True):
    """Tags or the comment of a hosted zone are others."""

    zone_id: str


class KeysChanged(msgspec.Struct, frozen=True, tag=True):
    """A zone's keyring was stored. `keyset` and `policy` say what of it who answers need."""

    origin: bytes
    revision: int
    digest: bytes
    """SHA-256 of the stored keyring."""
    signed: bool
    """Whether the zone is served signed."""
    keyset: bytes | None
    """SHA-256 of the signed DNSKEY RRset, if there is one."""
    policy: bool
    """Whether what is recorded of TTLs, windows or propagation is other than before."""


class SignednessChanged(msgspec.Struct, frozen=True, tag=True):
    """A zone is served signed from now on, or unsigned."""

    origin: bytes
    signed: bool


class FileChanged(msgspec.Struct, frozen=True, tag=True):
    """A zone is served from other contents of its file, or (`digest` is `None`) from a file no more."""

    origin: bytes
    digest: bytes | None
    """Of the compiled zone."""
    image: str | None
    """The name of its image in the folder of images, where there is one."""


class WriterBegan(msgspec.Struct, frozen=True, tag=True):
    """A program has opened the state and is its only writer from now on."""

    epoch: int
    mark: bytes
    """Drawn at random: the histories of a state and of its copy part here at the latest."""


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
    """When, in seconds since the epoch, by the clock of who wrote."""
    document: bytes
    digest: bytes

    @property
    def changes(self) -> tuple[Change, ...]:
        """What was changed. Raises `msgspec.MsgspecError` for what a newer version wrote."""
        return decode(self.document)


class Committed(NamedTuple):
    """What one transaction has appended, as those are told who follow the log in the process that wrote it."""

    before: Position
    """Where the log stood when they were told last."""
    position: Position
    """Where it stands with this transaction."""
    changes: tuple[Change, ...]
    missed: tuple[Change, ...] = ()
    """Of a transaction before this one that was reported as failed and is stored all the same: nobody here has
    answered from it."""


class SnapshotNeeded(NamedTuple):
    """The log does not lead on from a position: take all that is kept, and follow from there."""

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
