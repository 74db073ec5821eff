"""The command line's side of the control protocol."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO

import msgspec

from keys.custody.disk_errors import naming
from keys.rules.bars import Timeline
from keys.rules.commands import Command
from keys.rules.events import Entry
from server.control.server_operations import ClockTrust, DsReport, Planned, ReloadReport, ServerStatus, ZoneReport
from server.control.socket_http import Answer, ControlError, NoServerError, asked, path_of
from server.state.paths import StateDir
from server.watching.recent_queries import TopReport

__all__ = ["ControlClient", "ControlError", "NoServerError", "new_private_file"]


class ControlClient:
    """Talks to the server that runs on a state directory. Every method raises `ControlError`."""

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def status(self) -> ServerStatus:
        """How the server is."""
        with self._asked("GET", "/status") as response:
            return msgspec.json.decode(response.read(), type=ServerStatus)

    def zone(self, zone: str) -> ZoneReport:
        """How one zone is."""
        with self._asked("GET", path_of(zone)) as response:
            return msgspec.json.decode(response.read(), type=ZoneReport)

    def top(self, minutes: int) -> TopReport:
        """What was asked in the last so many minutes, as long as it is asked for this every ten seconds."""
        with self._asked("GET", f"/top?minutes={minutes}") as response:
            return msgspec.json.decode(response.read(), type=TopReport)

    def reload(self) -> ReloadReport:
        """Have it read its zone files again."""
        with self._asked("POST", "/reload") as response:
            return msgspec.json.decode(response.read(), type=ReloadReport)

    def trust_clock(self) -> ClockTrust:
        """Have it go by the system clock as it is now, in all zones."""
        with self._asked("POST", "/trust-clock") as response:
            return msgspec.json.decode(response.read(), type=ClockTrust)

    def ds(self, zone: str) -> DsReport:
        """The DS records of a zone, for its parent."""
        with self._asked("GET", path_of(zone, "ds")) as response:
            return msgspec.json.decode(response.read(), type=DsReport)

    def plan(self, zone: str, ahead: int) -> list[Planned]:
        """Every action to come within `ahead` seconds."""
        with self._asked("GET", path_of(zone, f"plan?ahead={ahead}")) as response:
            return msgspec.json.decode(response.read(), type=list[Planned])

    def events(self, zone: str, since: int) -> list[Entry]:
        """The event log since a time, oldest first."""
        with self._asked("GET", path_of(zone, f"events?since={since}")) as response:
            return msgspec.json.decode(response.read(), type=list[Entry])

    def timeline(self, zone: str, back: int, ahead: int) -> Timeline:
        """The keys of a zone from `back` seconds before now to `ahead` after it."""
        with self._asked("GET", path_of(zone, f"timeline?back={back}&ahead={ahead}")) as response:
            return msgspec.json.decode(response.read(), type=Timeline)

    def request(self, zone: str, command: Command) -> ZoneReport:
        """Have something done to a zone's keys; how the zone is then. A refusal's message begins with its code."""
        try:
            with self._asked("POST", path_of(zone, "commands"), msgspec.json.encode(command)) as response:
                return msgspec.json.decode(response.read(), type=ZoneReport)
        except ControlError as error:
            raise ControlError(f"{error.code}: {error}", error.code) if error.code else error from None

    def backup(self, to: Path) -> None:
        """Have it written to `to`, which must not exist. Raises `OSError` too."""
        with self._asked("POST", "/backup") as response, new_private_file(to) as file:
            for chunk in response.pieces():
                file.write(chunk)

    def restore(self, archive: BinaryIO) -> str:
        """Have it start again on a backup. Returns the name under which it keeps its present content."""
        chunks = iter(lambda: archive.read(1 << 16), b"")
        with self._asked("POST", "/restore", content=chunks) as response:
            return str(msgspec.json.decode(response.read(), type=dict[str, str])["kept"])

    def _asked(self, method: str, path: str, content: Iterator[bytes] | bytes = b"") -> AbstractContextManager[Answer]:
        return asked(self._state, method, path, content)


@contextmanager
def new_private_file(path: Path) -> Iterator[BinaryIO]:
    """A file (0600) that is at `path` once it is whole and on the disk. Raises `OSError`, also where there is one."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, "there is such a file already", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"folder {path.parent} does not exist; create it", str(path))
    try:
        temporary = NamedTemporaryFile(dir=path.parent, prefix=path.name + ".", delete=False)  # noqa: SIM115 - below
    except OSError as error:
        error.filename = None  # the temporary one
        with naming(path):
            raise
    with naming(path), temporary as file:
        beside = Path(file.name)
        try:
            yield file  # type: ignore[misc]  # the wrapper has every method of a binary file
            file.flush()
            os.fsync(file.fileno())
            beside.rename(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
