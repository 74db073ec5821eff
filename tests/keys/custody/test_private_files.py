"""Lock files: one holder at a time, whatever the disk does meanwhile."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from keys.custody.private_files import HeldError, held


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no file be made or opened for writing."""
    real = os.open

    def refusing(path: Any, flags: int, *mode: int) -> int:
        if flags & (os.O_CREAT | os.O_RDWR):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", refusing)


def test_a_lock_has_one_holder_who_is_named(tmp_path: Path) -> None:
    with held(tmp_path / "lock"):
        with pytest.raises(HeldError) as caught, held(tmp_path / "lock"):
            pytest.fail("two at a time")
        assert caught.value.pid == os.getpid()
    with held(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("is_there", [False, True])
def test_what_is_held_on_a_full_disk_is_held_once_that_takes_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    if is_there:
        (tmp_path / "lock").write_text("12\n")
    with monkeypatch.context() as patched:
        full_disk(patched)
        holding = held(tmp_path / "lock")
        holding.__enter__()
        with pytest.raises(HeldError), held(tmp_path / "lock"):
            pytest.fail("two on a full disk")
    with pytest.raises(HeldError), held(tmp_path / "lock"):
        pytest.fail("two at a time")
    holding.__exit__(None, None, None)
    with held(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
