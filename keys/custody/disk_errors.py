"""A disk that takes no writes: each error names the file, and what to do about it.

write(2) and fsync(2) say what is wrong and not with which file. So all code that writes a file of the state does it
within `naming`, and all that shows an error shows its `filename` and its `strerror`.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WAYS_OUT = {
    errno.ENOSPC: "free some space on the disk of {}",
    errno.EDQUOT: "free some space on the disk of {}, or raise this user's quota there",
    errno.EROFS: "mount the disk of {} for writing",
}
_OF_SQLITE = {sqlite3.SQLITE_FULL: errno.ENOSPC}


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an `OSError` name `path` where it names no file, and say what to do where its disk takes no writes."""
    try:
        yield
    except OSError as error:
        if error.filename is None or isinstance(error.filename, int):  # a descriptor
            error.filename = str(path)
        way = way_out(error.errno, path)
        if error.strerror is not None and way not in error.strerror:
            error.strerror += way
        raise


def way_out(number: int | None, path: Path) -> str:
    """What to do about an error with this number at `path`, behind its text; empty where that is not about the disk."""
    way = _WAYS_OUT.get(number or 0)
    return f": {way.format(path if path.is_dir() else path.parent)}" if way is not None else ""


def way_out_of_sqlite(code: int, path: Path) -> str:
    """The same for an error code of SQLite about the database `path`."""
    return way_out(_OF_SQLITE.get(code), path)
