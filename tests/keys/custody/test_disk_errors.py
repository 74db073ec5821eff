"""A disk that takes no writes: each error says which file, and what to do."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from keys.custody.disk_errors import naming
from keys.custody.private_files import private_directory, remove, write_private
from keys.custody.state_connections import StateUnavailable, translated
from keys.custody.zsk_encryption import make_state_key
from server.control.control_client import new_private_file
from server.hosting.zone_image_files import Images
from server.state import restore_swap


def new_file(path: Path) -> None:
    with new_private_file(path) as file:
        file.write(b"x")


def restored(path: Path) -> None:
    folder = path.parent / "partial-1"
    folder.mkdir()
    (folder / path.name).write_bytes(b"x")
    restore_swap.decide(folder)


def image(path: Path) -> None:
    Images(path.parent).write(b"\x03lab\x00", [bytes(100)])


WRITERS: dict[str, Callable[[Path], None]] = {
    "private file": lambda path: write_private(path, b"x"),
    "folder": private_directory,
    "removal": remove,
    "state key": lambda path: make_state_key(path, os.urandom),
    "backup": new_file,
    "restore": restored,
    "image": image,
}


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (errno.ENOSPC, r"No space left on device: free some space on the disk of {}"),
        (errno.EDQUOT, r"Disk quota exceeded: free some space on the disk of {}, or raise this user's quota there"),
        (errno.EROFS, r"Read-only file system: mount the disk of {} for writing"),
    ],
)
@pytest.mark.parametrize("writer", WRITERS)
def test_each_writer_names_the_file_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, number: int, way_out: str
) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=re.escape(str(tmp_path))) as caught:
        WRITERS[writer](tmp_path / "state")
    assert str(caught.value.filename).startswith(str(tmp_path))
    # Of a folder that was just made, it is the disk of that folder; of any other file, of the folder that it is in.
    disk = re.escape(str(tmp_path)) + r"[^ ,]*"
    assert re.fullmatch(way_out.format(disk), str(caught.value.strerror)), caught.value.strerror
    assert caught.value.errno == number


def test_a_full_device_is_named_by_who_writes_to_it() -> None:
    with pytest.raises(OSError, match="free some space on the disk of /dev") as caught, naming(Path("/dev/full")):
        descriptor = os.open("/dev/full", os.O_WRONLY)
        try:
            os.write(descriptor, b"x")
        finally:
            os.close(descriptor)
    assert caught.value.filename == "/dev/full"


def test_what_is_not_about_the_disk_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="x") as caught, naming(tmp_path / "y"):
        raise OSError(errno.EACCES, "Permission denied", "x")
    assert (caught.value.filename, caught.value.strerror) == ("x", "Permission denied")


def test_a_database_that_is_full_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "signwright.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with (
            pytest.raises(StateUnavailable, match=f"full: free some space on the disk of {tmp_path}$"),
            translated(path),
        ):
            connection.execute("CREATE TABLE t (x)")
