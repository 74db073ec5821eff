"""The state directory: private, one server at a time, one known form."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from keys.custody.state_database import StateTooNew
from keys.custody.zsk_encryption import StateError
from server.state.directory import StateDir, StateLocked, open_state, prepare_state


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "state"
    with open_state(path) as state:
        assert state == StateDir(path)
        assert mode(path) == 0o700
        assert {entry.name: mode(entry) for entry in path.iterdir()} == {
            "lock": 0o600,
            "version": 0o600,
            "zones": 0o700,
        }
        assert state.lock.read_text() == f"{os.getpid()}\n"
        assert state.version.read_text() == "signwright state 1\n"


def test_one_that_others_could_enter_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir(mode=0o755)
    with open_state(path):
        assert mode(path) == 0o700


HOLDER = """
import sys
from pathlib import Path
from server.state.directory import open_state
with open_state(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_that_holds_it_is_named(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(StateLocked, match=f"{tmp_path} is in use by process {holder.pid}: ") as caught,
            open_state(tmp_path),
        ):
            pytest.fail("two at a time")
        assert caught.value.pid == holder.pid
        prepare_state(tmp_path)  # an emulator of its own beside the server
        holder.kill()
    with open_state(tmp_path) as state:  # however the process ended
        assert state.lock.read_text() == f"{os.getpid()}\n"


def test_a_newer_state_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("signwright state 2\n")
    with pytest.raises(StateTooNew, match=r"has state version 2, and this program reads versions up to 1"):
        open_state(tmp_path).__enter__()
    assert (tmp_path / "version").read_text() == "signwright state 2\n"


def test_a_version_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("7\n")
    with pytest.raises(StateError, match="a version file that Signwright did not write"):
        open_state(tmp_path).__enter__()


def test_a_folder_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letters.txt").touch()
    with pytest.raises(StateError, match=r"is not a state directory: it contains other files \(letters.txt\)"):
        open_state(tmp_path).__enter__()
    assert mode(tmp_path) == 0o755
    assert [entry.name for entry in tmp_path.iterdir()] == ["letters.txt"]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StateError, match=r"cannot use .* as the state directory: File exists"):
        open_state(tmp_path / "state").__enter__()


def test_a_path_too_long_for_its_socket(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 60)
    with pytest.raises(StateError, match=r"the path of a Unix socket is limited to 107"):
        open_state(path).__enter__()
    assert not path.exists()


def test_errors_of_what_runs_inside_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_state(tmp_path):
        (tmp_path / "none").read_text()
