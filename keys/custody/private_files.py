"""Private files that survive a crash: 0600 in 0700 directories, replaced whole, on the disk before anyone is told."""

from __future__ import annotations

import os
import stat
from pathlib import Path

TEMPORARY = ".new"
"""Suffix of a file that is still being written; one that is left over is of no value."""


def private_directory(path: Path) -> None:
    """Make `path` a directory for its owner alone (0700), durably; its parents are made where missing."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
        sync_directory(path.parent)
    if stat.S_IMODE(path.stat().st_mode) != 0o700:  # a disk that takes no writes refuses even what changes nothing
        path.chmod(0o700)


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` with `data` as a 0600 file: once this returns it outlives a crash, never there in part."""
    temporary = path.with_name(path.name + TEMPORARY)
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove `path` durably."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the entries of a directory on the disk: a rename is durable only then."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
