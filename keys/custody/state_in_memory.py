"""A database whose disk takes no writes: a copy of it in memory, to be read there.

SQLite can't read a database in WAL mode without files that it writes beside it; told that the file never changes
(`immutable`) it would leave out the WAL, and give older rows: a ZSK that was removed, keys that have left caches. So
the database is copied with its WAL to a private folder of a file system that is in memory, and opened there as ever.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PREFIX = "signwright-state-"
_MOUNTS = Path("/proc/self/mounts")
_FIRST = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
_PROBE = ".probe"
_PROBE_OCTETS = 1 << 16


def copied(database: Path) -> Path:
    """A copy of the database and its WAL, in memory: the path of the database in a folder of its own (0700).

    The caller holds the state, so that nobody writes meanwhile. `discard` takes it away. Raises `OSError`.
    """
    failed: OSError | None = None
    for place in _in_memory():
        with suppress(OSError):
            _discard_leftovers(place)
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        except OSError as error:
            failed = failed or error
            continue
        try:
            for name in (database.name, f"{database.name}-wal"):
                with suppress(FileNotFoundError):
                    shutil.copyfile(database.with_name(name), folder / name)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            failed = failed or error
            continue
        return folder / database.name
    raise failed or OSError("no file system in memory was found for a copy")


def discard(copy: Path) -> None:
    """Take a copy away, with its folder."""
    shutil.rmtree(copy.parent, ignore_errors=True)


def check_writable(directory: Path) -> None:
    """Raises `OSError` where the disk of `directory` takes no writes now."""
    probe = directory / _PROBE
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(bytes(_PROBE_OCTETS))
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        with suppress(OSError):
            probe.unlink()


def _in_memory() -> Iterator[Path]:
    """File systems in memory, the usual one first."""
    places = [_FIRST]
    with suppress(OSError):
        for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split(" ")
            if len(fields) > 2 and fields[2] == "tmpfs":
                places.append(Path(fields[1]))
    for place in dict.fromkeys(places):
        if place.is_dir() and os.access(place, os.W_OK):
            yield place


def _discard_leftovers(place: Path) -> None:
    """Take away what processes left that were killed."""
    for folder in place.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists() and folder.stat().st_uid == os.geteuid():
            shutil.rmtree(folder, ignore_errors=True)
