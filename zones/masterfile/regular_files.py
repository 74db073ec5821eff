"""Regular files, opened without waiting: reading a FIFO, a device or a socket may take for ever."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: Path | str) -> BufferedReader:
    """Open `path` for reading. Raises `OSError`, its `strerror` for people, also where that is no regular file."""
    refuse_irregular(path)
    # Another one may stand there by now: to open it must not wait either.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path | str) -> bytes:
    """The octets of `path`. Raises as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def refuse_irregular(path: Path | str) -> None:
    """Raises `OSError` where `path` is no regular file."""
    _refuse(os.stat(path).st_mode, path)  # noqa: PTH116 - of a text too, which dnspython hands in


def _refuse(mode: int, path: Path | str) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
    raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
