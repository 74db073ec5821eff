"""Regular files, opened without waiting: reading a FIFO, a device or a socket may take for ever.

And files below certain folders alone, whatever links lead to them: what a zone file includes is the choice of who
writes it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from io import BufferedReader
from pathlib import Path

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: Path | str) -> BufferedReader:
    """Open `path` for reading. Raises `OSError`, its `strerror` for people, also if it is not a regular file."""
    refuse_irregular(path)
    # Another one may stand there by now: to open it must not wait either.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def real_path(path: Path | str) -> str:
    """The absolute path without links, of what may not be there. Raises `ValueError` for one that no file can have."""
    return os.path.realpath(path)


def is_below(real: str, folders: Sequence[str]) -> bool:
    """Whether a path leads into one of these folders, all given by real paths."""
    return any(os.path.commonpath((real, folder)) == folder for folder in folders)


def open_below(path: str, folders: Sequence[str]) -> BufferedReader | None:
    """Open `path` for reading; None where it is not below one of the `folders` (real paths) once links are resolved.

    Raises as `open_regular`, and `ValueError` for a path that no file can have.
    """
    real = real_path(path)
    if not is_below(real, folders):
        return None
    try:
        file = open_regular(real)
    except OSError as error:
        error.filename = path
        raise
    # Links may have been put there since: then the file that was opened is not the one that stands there.
    if real_path(real) == real and os.path.samestat(os.fstat(file.fileno()), os.lstat(real)):
        return file
    file.close()
    return None


def refuse_irregular(path: Path | str) -> None:
    """Raises `OSError` if `path` is not a regular file."""
    _refuse(os.stat(path).st_mode, path)  # noqa: PTH116 - of a text too, which dnspython hands in


def _refuse(mode: int, path: Path | str) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
    raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
