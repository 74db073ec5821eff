"""One request over a Unix socket to our own server, which gives every answer a length: HTTP/1.1, as far as that takes.

Importing `http.client` takes 2.7 times as long as starting Python, since it needs ssl and email, and h11 0.9 times.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO
from urllib.parse import quote

from server.state.paths import StateDir, check_socket_path

_CONNECTS_WITHIN, _ANSWERS_WITHIN = 5, 300
"""Seconds; a reload of large zones takes a while."""
_CHUNK = 1 << 16
_MOST_LINES, _LONGEST_LINE = 100, 1 << 16
"""Of the head of a response."""
_CUT_SHORT = "the connection was closed before the end of the answer"
_MOST_NAMED = 3
"""Zones of a state that are named in a message."""


class ControlError(Exception):
    """The server did not do as asked; the message says why. `code` is the server's name for it, where it has one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class NoServerError(ControlError):
    """No server runs on this state directory."""


class Answer:
    """A success; its body is read once, at once or in pieces."""

    def __init__(self, body: BinaryIO, size: int) -> None:
        """`size` is that of the body, in octets."""
        self._body = body
        self._left = size

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes. Raises `OSError`, also where it is cut short."""
        while self._left:
            piece = self._body.read(min(self._left, _CHUNK))
            if not piece:
                raise ConnectionError(_CUT_SHORT)
            self._left -= len(piece)
            yield piece

    def read(self) -> bytes:
        """All of the body. Raises as `pieces`."""
        return b"".join(self.pieces())


@contextmanager
def asked(state: StateDir, method: str, path: str, content: bytes | Iterable[bytes] = b"") -> Iterator[Answer]:
    """Ask the server that runs on a state directory. Raises `ControlError`, also while the body is read.

    `content` that is not octets is sent in chunks, as it comes.
    """
    with _connected(state) as sock, sock.makefile("rb") as received:
        try:
            # A server may answer before it has read all of the content: what it says is there to be read.
            with suppress(ConnectionError):
                _send(sock, method, path, content)
            status, size = _head(received)
            answer = Answer(received, size)
            if status >= 400:  # RFC 9110 §15
                raise _error(status, answer.read())
            yield answer
        except (ConnectionError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise ControlError(f"the server at {state.control_socket} broke off: {reason}") from None


def path_of(zone: str, *more: str) -> str:
    """The path of a zone, whatever somebody types as its name."""
    return "/".join(("/zones", quoted(zone), *more))


def quoted(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


def _send(sock: socket.socket, method: str, path: str, content: bytes | Iterable[bytes]) -> None:
    size = f"Content-Length: {len(content)}" if isinstance(content, bytes) else "Transfer-Encoding: chunked"
    head = f"{method} {path} HTTP/1.1\r\nHost: signwright\r\nConnection: close\r\n{size}\r\n\r\n".encode("ascii")
    if isinstance(content, bytes):
        sock.sendall(head + content)
        return
    sock.sendall(head)
    for piece in content:  # RFC 9112 §7.1
        sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    sock.sendall(b"0\r\n\r\n")


def _head(received: BinaryIO) -> tuple[int, int]:
    """The status of a response and the size of its body. Raises `ConnectionError` where one of them is missing."""
    status, size = 0, -1
    for number in range(_MOST_LINES):
        line = received.readline(_LONGEST_LINE).decode("latin-1")
        if not line.endswith("\n"):
            break
        name, _, value = line.partition(" " if number == 0 else ":")
        if number == 0:
            status = int(value[:3])
        elif name.lower() == "content-length":
            size = int(value)
        elif not line.strip():
            if size < 0:
                break
            return status, size
    raise ConnectionError(_CUT_SHORT)


@contextmanager
def _connected(state: StateDir) -> Iterator[socket.socket]:
    path, address = state.path, state.control_socket
    check_socket_path(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_CONNECTS_WITHIN)
        try:
            sock.connect(str(address))
        except PermissionError:
            raise ControlError(f"{address} belongs to another user: run this as the user the server runs as") from None
        except FileNotFoundError:
            where = "" if path.is_dir() else " (the directory does not exist)"
            reason = f"no server runs on {path}{where}: nothing listens on {address}"
            raise NoServerError(f"{reason}; {_way_out(state)}") from None
        except OSError as error:
            reason = f"no server runs on {path}: nothing answers on {address} ({error.strerror or error})"
            raise NoServerError(f"{reason}; {_way_out(state)}") from None
        sock.settimeout(_ANSWERS_WITHIN)
        yield sock


def _way_out(state: StateDir) -> str:
    """How to have a server there. No command for a state that is in use: without its zones, it would serve others."""
    if not state.database.exists():
        return f"start one with: signwright serve --state {state.path}"
    zones = sorted(file.stem for file in state.trust.glob("*.ds"))
    more = f" and {len(zones) - _MOST_NAMED} more" if len(zones) > _MOST_NAMED else ""
    keys = f", with its zones ({', '.join(zones[:_MOST_NAMED])}{more})" if zones else ""
    return f"start it again as it was started{keys}"


def _error(status: int, body: bytes) -> ControlError:
    try:
        said = json.loads(body)
        return ControlError(str(said["message"]), str(said["error"]))
    except (ValueError, KeyError, TypeError):
        return ControlError(f"the server answered {status}")
