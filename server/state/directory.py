"""The state directory: who may use it, who uses it, and where in it everything is.

It is for its owner alone (0700) and for one server at a time: `lock` is held with flock(2), which ends with the
process, however it ends. `version` says in which form all the rest is written, so that an older program does not touch
what it cannot read. A restored backup waits as `restore-…` and takes its place when the directory is next opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog

from keys.custody.private_files import TAKES_NO_WRITES, HeldError, held, private_directory, write_private
from keys.custody.state_database import StateTooNew
from keys.custody.state_files import StateError
from server.state import restore_swap
from server.state.paths import SOCKET_PATH_LIMIT, StateDir, check_socket_path

__all__ = [
    "SOCKET_PATH_LIMIT",
    "StateDir",
    "StateLocked",
    "check_socket_path",
    "check_usable",
    "check_version",
    "finish_restore",
    "locked",
    "open_state",
    "prepare_state",
    "read_version",
]

_log = structlog.get_logger("signwright.state")

VERSION = 1
"""The form in which this program writes the state."""

_MARK = "signwright state "
_OURS = ("lock", "version", "version.new")
"""What is in a directory in which a first start was cut short."""


class StateLocked(StateError):  # noqa: N818 - it names what happened
    """Another process uses it: `pid`, or 0 where it does not say."""

    def __init__(self, path: Path, pid: int) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{path} is in use by {who}: stop it first, or choose another state directory")
        self.pid = pid


@contextmanager
def open_state(path: Path) -> Iterator[StateDir]:
    """Make the directory where it is missing, and hold it for one server. Raises `StateError` and its subclasses."""
    state = StateDir(path.absolute())
    check_socket_path(state.control_socket)
    with ExitStack() as holding:
        with _declared(state.path):
            _prepare(state)
            holding.enter_context(locked(state.lock, state.path))
            with _readable_all_the_same(state):
                _finish_restore(state)
            with _readable_all_the_same(state):
                check_version(state)
            with _readable_all_the_same(state):
                private_directory(state.images)
        yield state


@contextmanager
def _readable_all_the_same(state: StateDir) -> Iterator[None]:
    """If the state can be read, continue without what can't be written; the log says what is not done.

    Raises `OSError` where there is no database yet, and for whatever else is wrong.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in TAKES_NO_WRITES or not state.database.is_file():
            raise
        _log.error(
            "the state directory is not writable; the server serves what it can read",
            file=error.filename,
            reason=error.strerror,
        )


def check_usable(path: Path) -> None:
    """Raises the `StateError` of `open_state`, as far as it can be told without making or locking anything."""
    state = StateDir(path.absolute())
    check_socket_path(state.control_socket)
    with _declared(state.path):
        if state.path.exists() and not state.path.is_dir():
            raise StateError(f"{state.path} cannot be the state directory: it is a file; choose another path")
        _refuse_strangers(state)
        if state.version.exists():
            check_version(state)


def prepare_state(path: Path) -> StateDir:
    """Make the directory where it is missing, for an emulator on its own, which holds `kms`. Raises `StateError`."""
    state = StateDir(path.absolute())
    with _declared(state.path):
        _prepare(state)
        check_version(state)
    return state


@contextmanager
def locked(lock: Path, what: Path) -> Iterator[None]:
    """Hold `lock`, which stands for `what`. Raises `StateLocked`, which names the process that holds it."""
    with ExitStack() as holding:
        try:
            holding.enter_context(held(lock))
        except HeldError as error:
            raise StateLocked(what, error.pid) from None
        yield


def check_version(state: StateDir) -> None:
    """Write the version if there is none yet. Raises `StateTooNew`, and `StateError` if it is not a version."""
    try:
        version = read_version(state.version.read_text(errors="replace"), str(state.path))
    except FileNotFoundError:
        write_private(state.version, f"{_MARK}{VERSION}\n".encode())
        return
    if version > VERSION:
        raise StateTooNew(
            f"{state.path} has state version {version}, and this program reads versions up to {VERSION}: "
            "run the newer Signwright that wrote it"
        )


def read_version(text: str, what: str) -> int:
    """The number in a `version` file's text. Raises `StateError`, which calls the state `what`."""
    number = text.removeprefix(_MARK).strip()
    if not text.startswith(_MARK) or not number.isascii() or not number.isdigit():
        raise StateError(f"{what} has a version file that Signwright did not write")
    return int(number)


def finish_restore(state: StateDir) -> list[str]:
    """Put a restored backup in its place, where one waits. The caller holds the state; raises `StateError` like it.

    Returns the names under which the old content was kept.
    """
    with _declared(state.path):
        return _finish_restore(state)


def _finish_restore(state: StateDir) -> list[str]:
    with ExitStack() as holding:
        if restore_swap.pending(state.path) and state.kms.is_dir():
            holding.enter_context(locked(state.kms_lock, state.kms))
        return restore_swap.finish(state.path)


def _prepare(state: StateDir) -> None:
    """A directory with our mark or nothing in it: the home folder that someone names by mistake is left as it is."""
    _refuse_strangers(state)
    private_directory(state.path)


def _refuse_strangers(state: StateDir) -> None:
    path = state.path
    if path.is_dir() and not state.version.exists():
        strangers = [entry.name for entry in path.iterdir() if entry.name not in _OURS]
        if strangers:
            raise StateError(
                f"{path} is not a state directory: it contains other files ({min(strangers)}) "
                "and no version file; choose another"
            )


@contextmanager
def _declared(path: Path) -> Iterator[None]:
    """What the operating system refuses, as a `StateError`."""
    try:
        yield
    except OSError as error:
        raise StateError(f"cannot use {path} as the state directory: {error.strerror} ({error.filename})") from None
