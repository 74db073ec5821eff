"""The keys on disk: a private file each, and one file for the aliases.

What is changed is on the disk before it is answered, and in memory only after that, so that no caller ever knows of a
key that a crash could take back. Writers hold `lock` from reading to writing; readers see whole records without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import trio
from cryptography.exceptions import UnsupportedAlgorithm

from keys.blocking_calls import RunBlocking
from keys.custody import private_files
from keys.emulator.key_material import PrivateKey, dump_private, load_private
from keys.emulator.key_records import AliasRecord, KeyRecord

ALIASES = "aliases.json"
_T = TypeVar("_T")


class KeystoreError(Exception):
    """A file of the key store that can't be used; the message names it."""


class StoredKey(NamedTuple):
    """A key with its material; the repr of a private key shows nothing of it."""

    record: KeyRecord
    private: PrivateKey


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    record: KeyRecord
    private_key: bytes
    """PKCS #8 DER (base64 in the file)."""


class _AliasFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    aliases: dict[str, AliasRecord]


class Keystore:
    """The keys and aliases of one directory."""

    def __init__(self, directory: Path, run_blocking: RunBlocking) -> None:
        """Read `directory`, made where missing. Raises `KeystoreError` for a file that can't be used."""
        private_files.private_directory(directory)
        self._directory = directory
        self._run_blocking = run_blocking
        self.lock = trio.Lock()
        self._keys = {key.record.id: key for key in map(_read_key, sorted(directory.glob("*.key")))}
        self._aliases = _read_aliases(directory / ALIASES)
        self._next_deletion = self._soonest()

    def key(self, key_id: str) -> StoredKey | None:
        """The key with this id."""
        return self._keys.get(key_id)

    def key_ids(self) -> list[str]:
        """The ids of all keys, in order."""
        return sorted(self._keys)

    def alias(self, name: str) -> AliasRecord | None:
        """What the alias `alias/…` stands for."""
        return self._aliases.get(name)

    def aliases(self) -> list[tuple[str, AliasRecord]]:
        """All aliases, in order of their names."""
        return sorted(self._aliases.items())

    async def put(self, key: StoredKey) -> None:
        """Make a key, or a change to one, durable and then visible."""
        data = msgspec.json.encode(_KeyFile(1, key.record, dump_private(key.private)))
        await self._run_blocking(partial(private_files.write_private, self._path(key.record.id), data))
        self._keys[key.record.id] = key
        self._next_deletion = self._soonest()

    async def put_alias(self, name: str, alias: AliasRecord | None) -> None:
        """Make an alias, or with `None` its end, durable and then visible."""
        aliases = dict(self._aliases)
        if alias is None:
            del aliases[name]
        else:
            aliases[name] = alias
        await self._write_aliases(aliases)

    async def expire(self, now: float) -> None:
        """Delete for good the keys whose deletion date has come, and their aliases."""
        if now < self._next_deletion:
            return
        async with self.lock:
            due = {
                k.record.id for k in self._keys.values() if k.record.deletion is not None and k.record.deletion <= now
            }
            # Aliases first: after a crash in between, a key without its aliases is deleted as well.
            await self._write_aliases({n: a for n, a in self._aliases.items() if a.key_id not in due})
            for key_id in due:
                await self._run_blocking(partial(private_files.remove, self._path(key_id)))
                del self._keys[key_id]
            self._next_deletion = self._soonest()

    async def _write_aliases(self, aliases: dict[str, AliasRecord]) -> None:
        if aliases != self._aliases:
            data = msgspec.json.encode(_AliasFile(1, aliases))
            await self._run_blocking(partial(private_files.write_private, self._directory / ALIASES, data))
            self._aliases = aliases

    def _path(self, key_id: str) -> Path:
        return self._directory / f"{key_id}.key"

    def _soonest(self) -> float:
        dates: Iterable[float | None] = (key.record.deletion for key in self._keys.values())
        return min((date for date in dates if date is not None), default=math.inf)


def _read_key(path: Path) -> StoredKey:
    file = _decode(path, _KeyFile)
    if path.stem != file.record.id:
        raise KeystoreError(f"{path}: the key in this file does not match the file's name; restore it from a backup")
    try:
        return StoredKey(file.record, load_private(file.private_key, file.record.spec))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says may quote the key.
        raise KeystoreError(f"{path}: damaged: cannot read its private key; restore it from a backup") from None


def _read_aliases(path: Path) -> dict[str, AliasRecord]:
    return _decode(path, _AliasFile).aliases if path.exists() else {}


def _decode(path: Path, kind: type[_T]) -> _T:
    try:
        file = msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, OSError) as error:
        raise KeystoreError(f"{path}: damaged: {error}; restore it from a backup") from None
    if getattr(file, "version", None) != 1:
        raise KeystoreError(f"{path}: written by a newer version of Signwright; run that version")
    return file
