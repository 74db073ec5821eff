"""A zone is read from regular files: nothing waits for what may never come."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from zones.masterfile.load import ZoneFileError, load_zone
from zones.masterfile.regular_files import open_regular

SOA = "@ 300 SOA ns host 1 7200 3600 1209600 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n"


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


KINDS: list[tuple[Callable[[Path], object], str]] = [
    (os.mkfifo, "it is a FIFO, not a regular file"),
    (make_socket, "it is a socket, not a regular file"),
    (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a regular file"),
    (Path.mkdir, "Is a directory"),
]


@pytest.mark.parametrize(("make", "reason"), KINDS)
def test_whatever_else_is_refused_at_once(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    make(tmp_path / "x")
    with pytest.raises(ZoneFileError) as refused:
        load_zone(tmp_path / "x", "lab.example")
    assert str(refused.value) == f"{tmp_path}/x: cannot be read: {reason}"
    (tmp_path / "lab.zone").write_text(f"{SOA}$INCLUDE x\n")
    with pytest.raises(ZoneFileError) as refused:
        load_zone(tmp_path / "lab.zone", "lab.example")
    place = f"{tmp_path}/lab.zone:4: cannot include"
    outside = f"{place} x: it is not below {tmp_path}; "  # the device is, wherever the link stands
    if (tmp_path / "x").is_symlink():
        assert str(refused.value).startswith(outside)
    else:
        assert str(refused.value) == f"{place} {tmp_path}/x: {reason}"


def test_a_fifo_that_takes_the_place_of_a_file_meanwhile_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "x")
    monkeypatch.setattr("zones.masterfile.regular_files.refuse_irregular", lambda _: None)
    with pytest.raises(OSError, match="it is a FIFO"):
        open_regular(tmp_path / "x")


def test_a_link_to_a_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "lab.zone").write_text(SOA)
    (tmp_path / "link").symlink_to("lab.zone")
    assert load_zone(tmp_path / "link", "lab.example").serial == 1
