"""A keyring's row in the database: its document, and the columns that say what must be known before that is read.

Whatever can't be read names its zone, and concerns that zone alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import dns.exception
import msgspec
from sqlalchemy import Connection, select, update

from keys.custody import database_schema
from keys.custody.change_log import Change, KeysChanged, SignednessChanged
from keys.custody.state_connections import RESTORE, StateDamaged, StateTooNew, too_new
from keys.custody.zsk_encryption import StateError
from keys.dnssec.name_text import to_text
from keys.rules.events import Entry, Observed
from keys.rules.keyring import KEYRING_VERSION, Keyring
from keys.rules.signedness import of_earlier_version
from keys.rules.zone_standing import STANDING_FORM, DelegatedDs, Standing, standing


class _Version(msgspec.Struct):
    version: int = 1


# Made here, by one thread: where several decode a type for the first time at once, msgspec 0.22 may end the process
# (SIGSEGV while it makes what it knows of the type).
_version = msgspec.json.Decoder(_Version)
_keyring = msgspec.json.Decoder(Keyring)


def decoded(path: Path, origin: bytes, document: bytes, revision: int) -> Keyring:
    """A stored keyring. Raises `StateDamaged` and `StateTooNew`, which name the zone."""
    try:
        version = _version.decode(document).version
        if version > KEYRING_VERSION:
            raise StateTooNew(
                too_new(path, f"keyring of {_text(origin)}: version {version}, known here: {KEYRING_VERSION}")
            )
        keyring = _keyring.decode(document)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:  # a column may hold something other than a document
        raise StateDamaged(f"{path}: the keyring of {_text(origin)} can't be read ({error}): {RESTORE}") from None
    if keyring.revision != revision or keyring.origin != origin:
        raise StateDamaged(
            f"{path}: the keyring of {_text(keyring.origin)}, revision {keyring.revision}, "
            f"is filed as that of {_text(origin)}, revision {revision}: {RESTORE}"
        )
    keyring = of_earlier_version(keyring)
    return keyring if keyring.keyset is None else msgspec.structs.replace(keyring, keyset=keyring.keyset.sharing())


_delegation = msgspec.json.Decoder(tuple[DelegatedDs, ...])


def columns(keyring: Keyring) -> dict[str, Any]:
    """The columns that say of a keyring what must be known before it is read."""
    known = standing(keyring)
    return {
        "standing": STANDING_FORM,
        "signed": int(bool(known.signed)),
        "delegation": msgspec.json.encode(known.delegation),
    }


def fill_columns(connection: Connection, path: Path) -> None:
    """Fill these columns where an earlier version stored the keyring; one that can't be read stays without."""
    table = database_schema.keyring
    missing = table.c.standing.is_(None) | (table.c.standing != STANDING_FORM)
    rows = connection.execute(select(table.c.origin, table.c.document, table.c.revision).where(missing)).all()
    for origin, document, revision in rows:
        values: dict[str, Any] = {"standing": None}
        with suppress(StateError, ValueError):
            values = columns(decoded(path, origin, document, revision))
        connection.execute(update(table).where(table.c.origin == origin).values(**values))


def standing_of(path: Path, row: Any) -> Standing:
    """What a row says of its zone without its keyring being read."""
    if row.standing != STANDING_FORM:
        return Standing(None, None, f"{path}: the keyring of {_text(row.origin)} can't be read: {RESTORE}")
    try:
        signed = {0: False, 1: True}[row.signed]
        return Standing(signed, _delegation.decode(row.delegation))
    except (msgspec.MsgspecError, KeyError, ValueError, TypeError) as error:
        said = f"{path}: what is known of {_text(row.origin)} can't be read ({error!r}): {RESTORE}"
        return Standing(None, None, said)


def changes_of(stored: Keyring, document: bytes, entries: Sequence[Entry], was_signed: bool | None) -> list[Change]:
    """What the change log says of a keyring that is stored as `document`, with its new events."""
    signed = not stored.served_unsigned
    keyset = None if stored.keyset is None else sha256(msgspec.json.encode(stored.keyset)).digest()
    policy = any(entry.kind == Observed.__name__ for entry in entries)
    changes: list[Change] = [
        KeysChanged(stored.origin, stored.revision, sha256(document).digest(), signed, keyset, policy)
    ]
    if was_signed is not signed:
        changes.append(SignednessChanged(stored.origin, signed))
    return changes


def _text(origin: bytes) -> str:
    """A zone's name for people, or its octets if it is not a valid name."""
    try:
        return to_text(origin)
    except (ValueError, TypeError, dns.exception.DNSException):
        return f"the zone {origin!r}"
