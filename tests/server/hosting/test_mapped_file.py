"""Files that are mapped, and what of a process that takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.hosting.mapped_file import MappedFile


def mapped(path: Path) -> MappedFile:
    with path.open("rb") as file:
        return MappedFile(file)


def is_mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"beginning" + bytes(1 << 20) + b"end")
    return path


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="a system that shows no maps")
def test_it_is_there_as_long_as_somebody_looks_at_it_and_takes_no_descriptor(path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    file = mapped(path)
    part = file.octets[-3:]
    assert len([*Path("/proc/self/fd").iterdir()]) == before
    assert bytes(file.octets[:9]) == b"beginning"
    file.is_not_needed_now()
    path.unlink()
    del file
    assert is_mapped(path)
    assert bytes(part) == b"end"
    del part
    assert not is_mapped(path)


def test_it_is_not_to_be_written(path: Path) -> None:
    octets = mapped(path).octets
    assert octets.readonly
    with pytest.raises(TypeError):
        octets[0] = 0


def test_one_that_is_empty_or_cannot_be_mapped_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        mapped(tmp_path / "empty")
    (tmp_path / "written").write_bytes(b"x")
    with (tmp_path / "written").open("ab") as file, pytest.raises(PermissionError):
        MappedFile(file)
