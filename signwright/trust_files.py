"""The files in STATE/trust: a server writes them soon after a change, and here it is waited for."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Iterable
from pathlib import Path

_WITHIN, _LOOK = 30.0, 0.01  # seconds
_ANCHOR = re.compile(r'trust-anchor: "(\S+) DS (.+)"')
_STUB = re.compile(r'stub-zone:\s+name: "(\S+)"')


class _Control(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_WITHIN)
        self._path = path

    def connect(self) -> None:
        """As `HTTPConnection.connect`."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def current(state: Path) -> bytes:
    """STATE/trust/unbound.conf, once it has the zones and DS records of this moment.

    Raises `TimeoutError`, and `OSError` where no server runs on the state directory `state`.
    """
    wanted = _served(state)
    file = state / "trust" / "unbound.conf"
    deadline = time.monotonic() + _WITHIN
    while True:
        content = file.read_bytes() if file.exists() else b""
        if _told(content.decode()) == wanted:
            return content
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file} does not have the zones of the server after {_WITHIN:g} s")
        time.sleep(_LOOK)


def _served(state: Path) -> tuple[set[str], set[tuple[str, str]]]:
    """The zones that the server has, and the DS rdata of each."""
    connection = _Control(state / "control.sock")
    try:
        connection.request("GET", "/status")
        status = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    zones: Iterable[dict[str, list[str]]] = status["zones"]
    anchors = {(str(zone["origin"]), line.partition(" DS ")[2]) for zone in zones for line in zone["ds"]}
    return {str(zone["origin"]) for zone in zones}, anchors


def _told(text: str) -> tuple[set[str], set[tuple[str, str]]]:
    return set(_STUB.findall(text)), set(_ANCHOR.findall(text))
