"""Backups of a state directory: one tar.gz with all that cannot be made again.

It holds the database, the state key, and the emulator's keys and credentials, so it is as secret as they are. An
archive is proved before anything is replaced: every member is a plain file with a name of ours, and the state opens.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO

from keys.custody.private_files import TEMPORARY, private_directory
from keys.custody.state_database import DATABASE, STATE_KEY, StateTooNew, Store
from keys.custody.zsk_encryption import StateError
from server.state import restore_swap
from server.state.directory import VERSION, StateDir, read_version

LARGEST = 1 << 30
"""Octets that an archive may unpack to."""

_FOLDERS = ("kms", "aws")
_FILES = ("version", DATABASE, STATE_KEY)


class ArchiveError(StateError):
    """An archive that is not a Signwright backup."""


def write_archive(state: StateDir, copy_database: Callable[[Path], None], to: BinaryIO) -> None:
    """Write a backup of `state`, which may be in use. `copy_database` writes a consistent copy to a path.

    The database is copied first and the emulator's keys after it, so that no key it names is missing. Raises
    `StateError` and `OSError`.
    """
    with TemporaryDirectory(prefix=restore_swap.COPYING, dir=state.path) as folder:
        copy = Path(folder) / DATABASE
        copy_database(copy)
        with tarfile.open(fileobj=to, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
            for path, name in [(state.version, "version"), (copy, DATABASE), (state.state_key, STATE_KEY)]:
                archive.add(path, name, filter=_private)
            for path in _files_below(state):
                archive.add(path, str(path.relative_to(state.path)), filter=_private)


def stage_archive(state: StateDir, source: BinaryIO, now: float) -> str:
    """Unpack a backup beside the content of `state`, prove it, and decide for it; `now` is seconds since the epoch.

    It takes its place when the directory is next opened. Returns the name under which the present content will be
    kept. Raises `StateError`, its subclass `ArchiveError` for what is no backup, `StateTooNew`, and `OSError`.
    """
    partial = restore_swap.begin(state.path, now)
    try:
        try:
            with gzip.GzipFile(fileobj=source) as whole:
                with tarfile.open(fileobj=whole, mode="r:") as archive:
                    _unpack(archive, partial)
                _drain(whole)  # to its end, where its checksum is: a damaged header ends the archive early
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
            raise ArchiveError(f"not a complete Signwright backup: {error}") from None
        _prove(partial)
        return restore_swap.decide(partial)
    except BaseException:
        restore_swap.abandon(partial)
        raise


def _files_below(state: StateDir) -> Iterator[Path]:
    for folder in (state.kms, state.aws):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != TEMPORARY and path != state.kms_lock:
                yield path


def _private(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode = 0o600
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _unpack(archive: tarfile.TarFile, to: Path) -> None:
    total = 0
    for member in archive:
        parts = PurePosixPath(member.name).parts
        ours = member.name in _FILES or (len(parts) > 1 and parts[0] in _FOLDERS and ".." not in parts)
        if not ours or not member.isreg():
            raise ArchiveError(f"not a Signwright backup: it contains {member.name!r}")
        total += member.size
        if total > LARGEST:
            raise ArchiveError(f"the backup exceeds {LARGEST} octets when unpacked")
        content = archive.extractfile(member)
        assert content is not None  # a regular member has content
        path = to.joinpath(*parts)
        private_directory(path.parent)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123
            shutil.copyfileobj(content, file)


def _drain(whole: gzip.GzipFile) -> None:
    total = 0
    while read := len(whole.read(1 << 16)):
        total += read
        if total > LARGEST:
            raise ArchiveError(f"the backup exceeds {LARGEST} octets when unpacked")


def _prove(partial: Path) -> None:
    """Raises unless what was unpacked is a state that this program can open."""
    for name in _FILES:
        if not (partial / name).is_file():
            raise ArchiveError(f"not a complete Signwright backup: it lacks {name}")
    version = read_version((partial / "version").read_text(errors="replace"), "the backup")
    if version > VERSION:
        raise StateTooNew(
            f"the backup has state version {version}, and this program reads versions up to {VERSION}: "
            "run the newer Signwright that wrote it"
        )
    with Store.open(partial, os.urandom) as store:
        for problem in store.load_keyrings().problems.values():
            raise problem
