"""The command line's side of the control protocol."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO

import httpx2
import msgspec

from keys.rules.commands import Command
from keys.rules.events import Entry
from keys.rules.timeline import Timeline
from server.control.server_operations import ClockTrust, DsReport, Planned, ReloadReport, ServerStatus, ZoneReport
from server.state.directory import StateDir, check_socket_path
from server.watching.recent_queries import TopReport

_TIMEOUT = httpx2.Timeout(300, connect=5)
"""Seconds; a reload of large zones takes a while."""

_MOST_NAMED = 3
"""Zones of a state that are named in a message."""


class ControlError(Exception):
    """The server did not do as asked; the message says why. `code` is the server's name for it, where it has one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class NoServerError(ControlError):
    """No server runs on this state directory."""


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
        with self._asked("GET", f"/zones/{zone}") as response:
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
        with self._asked("GET", f"/zones/{zone}/ds") as response:
            return msgspec.json.decode(response.read(), type=DsReport)

    def plan(self, zone: str, ahead: int) -> list[Planned]:
        """Every action to come within `ahead` seconds."""
        with self._asked("GET", f"/zones/{zone}/plan?ahead={ahead}") as response:
            return msgspec.json.decode(response.read(), type=list[Planned])

    def events(self, zone: str, since: int) -> list[Entry]:
        """The event log since a time, oldest first."""
        with self._asked("GET", f"/zones/{zone}/events?since={since}") as response:
            return msgspec.json.decode(response.read(), type=list[Entry])

    def timeline(self, zone: str, back: int, ahead: int) -> Timeline:
        """The keys of a zone from `back` seconds before now to `ahead` after it."""
        with self._asked("GET", f"/zones/{zone}/timeline?back={back}&ahead={ahead}") as response:
            return msgspec.json.decode(response.read(), type=Timeline)

    def request(self, zone: str, command: Command) -> ZoneReport:
        """Have something done to a zone's keys; how the zone is then. A refusal's message begins with its code."""
        try:
            with self._asked("POST", f"/zones/{zone}/commands", msgspec.json.encode(command)) as response:
                return msgspec.json.decode(response.read(), type=ZoneReport)
        except ControlError as error:
            raise ControlError(f"{error.code}: {error}", error.code) if error.code else error from None

    def backup(self, to: Path) -> None:
        """Have it written to `to`, which must not exist. Raises `OSError` too."""
        with self._asked("POST", "/backup") as response, new_private_file(to) as file:
            for chunk in response.iter_raw():
                file.write(chunk)

    def restore(self, archive: BinaryIO) -> str:
        """Have it start again on a backup. Returns the name under which it keeps its present content."""
        chunks = iter(lambda: archive.read(1 << 16), b"")
        with self._asked("POST", "/restore", content=chunks) as response:
            return str(msgspec.json.decode(response.read(), type=dict[str, str])["kept"])

    @contextmanager
    def _asked(
        self, method: str, path: str, content: Iterator[bytes] | bytes | None = None
    ) -> Iterator[httpx2.Response]:
        self._check_server()
        address = self._state.control_socket
        # There is no TLS here, and loading all trusted certificates takes 0.1 s.
        transport = httpx2.HTTPTransport(uds=str(address), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        try:
            with (
                httpx2.Client(transport=transport, base_url="http://signwright", timeout=_TIMEOUT) as client,
                client.stream(method, path, content=content) as response,
            ):
                if response.is_error:
                    raise _error(response)
                yield response
        except httpx2.HTTPError as error:
            raise ControlError(f"the server at {address} broke off: {error or type(error).__name__}") from None

    def _check_server(self) -> None:
        """Connect once for the reason why not: an `OSError` tells more than an HTTP client does."""
        path, address = self._state.path, self._state.control_socket
        check_socket_path(address)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(str(address))
        except PermissionError:
            raise ControlError(f"{address} belongs to another user: run this as the user the server runs as") from None
        except FileNotFoundError:
            where = "" if path.is_dir() else " (there is no such directory)"
            reason = f"no server runs on {path}{where}: nothing listens on {address}"
        except OSError as error:
            reason = f"no server runs on {path}: nothing answers on {address} ({error.strerror})"
        else:
            return
        raise NoServerError(f"{reason}; {_way_out(self._state)}")


@contextmanager
def new_private_file(path: Path) -> Iterator[BinaryIO]:
    """A file (0600) that is at `path` once it is whole and on the disk. Raises `OSError`, also where there is one."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, "there is such a file already", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {path.parent}", str(path))
    try:
        temporary = NamedTemporaryFile(dir=path.parent, prefix=path.name + ".", delete=False)  # noqa: SIM115 - below
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    with temporary as file:
        beside = Path(file.name)
        try:
            yield file  # type: ignore[misc]  # the wrapper has every method of a binary file
            file.flush()
            os.fsync(file.fileno())
            beside.rename(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def _way_out(state: StateDir) -> str:
    """How to have a server there. No command for a state that is in use: without its zones, it would serve others."""
    if not state.database.exists():
        return f"start one with: signwright serve --state {state.path}"
    zones = sorted(file.stem for file in state.trust.glob("*.ds"))
    more = f" and {len(zones) - _MOST_NAMED} more" if len(zones) > _MOST_NAMED else ""
    keys = f", with its zones ({', '.join(zones[:_MOST_NAMED])}{more})" if zones else ""
    return f"start it again as it was started{keys}"


def _error(response: httpx2.Response) -> ControlError:
    try:
        said = msgspec.json.decode(response.read(), type=dict[str, str])
        return ControlError(said["message"], said["error"])
    except (msgspec.MsgspecError, KeyError):
        return ControlError(f"the server answered {response.status_code}")
