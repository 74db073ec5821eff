"""Backups of a state directory: one tar.gz with all that cannot be made again.

It holds the database, the state key, and the emulator's keys and credentials, so it is as secret as they are. Behind
them are the configuration and the zone files: these are not put in the place of others, but into the folder `restored`.
An archive is proved before anything is replaced: every member is a plain file with a name of ours, and the state opens.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from tempfile import SpooledTemporaryFile, TemporaryDirectory
from typing import IO, BinaryIO

import structlog

from keys.custody.disk_errors import naming
from keys.custody.private_files import TEMPORARY, private_directory
from keys.custody.state_database import DATABASE, STATE_KEY, StateTooNew, Store
from keys.custody.zsk_encryption import StateError
from server.state import restore_swap
from server.state.directory import VERSION, StateDir, read_version
from zones.masterfile.regular_files import open_regular

LARGEST = 1 << 30
"""Octets that an archive may unpack to."""

_FOLDERS = ("kms", "aws", restore_swap.RESTORED)
_FILES = ("version", DATABASE, STATE_KEY)


_FOR_HEADERS = 1 << 16
_IN_MEMORY, _CHUNK = 1 << 20, 1 << 16
_log = structlog.get_logger("signwright.state")


class ArchiveError(StateError):
    """An archive that is not a Signwright backup."""


class _LeftOutError(Exception):
    """Why a file is not in a backup."""


def write_archive(
    state: StateDir, copy_database: Callable[[Path], None], to: BinaryIO, configured: Iterable[Path] = ()
) -> None:
    """Write a backup of `state`, which may be in use. `copy_database` writes a consistent copy to a path.

    The database is copied first and the emulator's keys after it, so that no key it names is missing. `configured` are
    absolute paths of the configuration and of zone files; the log names those that can't be read, or are too much.
    Raises `StateError` and `OSError`.
    """
    with TemporaryDirectory(prefix=restore_swap.COPYING, dir=state.path) as folder:
        copy = Path(folder) / DATABASE
        copy_database(copy)
        with tarfile.open(fileobj=to, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
            for path, name in [(state.version, "version"), (copy, DATABASE), (state.state_key, STATE_KEY)]:
                archive.add(path, name, filter=_private)
            for path in _files_below(state):
                archive.add(path, str(path.relative_to(state.path)), filter=_private)
            for path in configured:
                try:
                    _add_configured(archive, path)
                except (_LeftOutError, OSError) as error:
                    reason = error.strerror if isinstance(error, OSError) else str(error)
                    _log.warning("left out of the backup: copy it by yourself", file=str(path), reason=reason)


def stage_archive(state: StateDir, source: BinaryIO, now: float) -> str:
    """Unpack a backup beside the content of `state`, prove it, and decide for it; `now` is seconds since the epoch.

    It takes its place when the directory is next opened. Returns the name under which the present content will be
    kept. Raises `StateError`, its subclass `ArchiveError` if it is not a backup, `StateTooNew`, and `OSError`.
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


def _add_configured(archive: tarfile.TarFile, path: Path) -> None:
    """Raises `_LeftOutError` and `OSError`; then nothing of it is in the archive."""
    parts = path.parts[1:]
    if not all(map(_is_plain, parts)):
        raise _LeftOutError("its path has characters that can't be printed")
    with open_regular(path) as file:
        member = tarfile.TarInfo("/".join((restore_swap.RESTORED, *parts)))
        member.size = os.fstat(file.fileno()).st_size
        if archive.offset + member.size > LARGEST - _FOR_HEADERS:
            raise _LeftOutError(f"the backup would exceed {LARGEST} octets")
        with SpooledTemporaryFile(_IN_MEMORY) as content:  # it may shrink while it is read
            member.size = _copy(file, content, member.size)
            content.seek(0)
            archive.addfile(_private(member), content)


def _copy(file: BinaryIO, to: IO[bytes], most: int) -> int:
    """Copy at most so many octets; how many there were."""
    copied = 0
    while copied < most and (chunk := file.read(min(_CHUNK, most - copied))):
        to.write(chunk)
        copied += len(chunk)
    return copied


def _is_plain(part: str) -> bool:
    """Whether a part of a path can be printed and leads nowhere else."""
    return part not in ("", ".", "..") and part.isprintable()


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
        ours = member.name in _FILES or (len(parts) > 1 and parts[0] in _FOLDERS and all(map(_is_plain, parts)))
        if not ours or not member.isreg():
            raise ArchiveError(f"not a Signwright backup: it contains {member.name!r}")
        total += member.size
        if total > LARGEST:
            raise ArchiveError(f"the backup exceeds {LARGEST} octets when unpacked")
        content = archive.extractfile(member)
        assert content is not None  # a regular member has content
        path = to
        try:
            for part in parts[:-1]:  # each for its owner alone
                path /= part
                private_directory(path)
            path /= parts[-1]
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except (FileExistsError, NotADirectoryError):
            raise ArchiveError(f"not a Signwright backup: {member.name!r} is in it twice, or a folder too") from None
        with naming(path), os.fdopen(descriptor, "wb") as file:
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
