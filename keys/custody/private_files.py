"""Private files that survive a crash: 0600 in 0700 directories, replaced whole, on the disk before a write returns."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from keys.custody.disk_errors import naming

TAKES_NO_WRITES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}
)
"""What the operating system says where a file can't be written and may yet be read."""

TEMPORARY = ".new"
"""Suffix of a file that is still being written; one that is left over is of no value."""


class HeldError(Exception):
    """Another process holds a lock: `pid`, or 0 where it does not say."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"held by process {pid}" if pid else "held by another process")
        self.pid = pid


def private_directory(path: Path) -> None:
    """Make `path` a directory for its owner alone (0700), durably; its parents are made where missing.

    One that is there and private is not touched: it may be on a disk that takes no writes.
    """
    if not path.is_dir():
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
            sync_directory(path.parent)
    if stat.S_IMODE(path.stat().st_mode) != 0o700:  # a disk that takes no writes refuses even what changes nothing
        path.chmod(0o700)


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` with `data` as a 0600 file: once this returns it outlives a crash, never there in part.

    Raises `OSError`, which names the file.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    with naming(path):
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold the lock file `lock` with flock(2), which ends with the process; its text is the process id.

    Its directory is held as well: if the disk takes no writes there may be no file, and a process that comes once the
    disk takes them makes one. Raises `HeldError` where another process holds it, and `OSError`.
    """
    with ExitStack() as opened:
        file = _opened_lock(lock)
        if file is not None:
            opened.callback(os.close, file)
        directory = os.open(lock.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, directory)
        try:
            for descriptor in (file, directory):
                if descriptor is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 20, 0).strip() if file is not None else b""
            raise HeldError(int(holder) if holder.isdigit() else 0) from None
        if file is not None:
            with suppress(OSError):  # it is for people, and for who finds it held
                os.truncate(file, 0)
                os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield


def _opened_lock(lock: Path) -> int | None:
    """The lock file, made where it is missing; `None` where it can't be made."""
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in TAKES_NO_WRITES:
            raise
    with suppress(FileNotFoundError):
        return os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    return None


def remove(path: Path) -> None:
    """Remove `path` durably."""
    with naming(path):
        path.unlink(missing_ok=True)
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the entries of a directory on the disk: a rename is durable only then."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
