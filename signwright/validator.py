"""unbound as a validating resolver for the zones of one server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from signwright.trust_files import current

_STARTS_WITHIN = 10.0  # seconds
_TRIES = 5
"""Ports to try: unbound takes no port 0, and one that was free may be another's by the time that it starts."""
_HOST = "127.0.0.1"

_UNTIL_STDIN_ENDS = """\
exec 3<&0
"$1" -d -c "$2" </dev/null &
unbound=$!
{ read -r _ <&3; kill "$unbound"; } 2>/dev/null &
wait "$unbound"
"""
"""unbound ends with its standard input, which is a pipe from this process: however this process ends."""

_CONFIGURATION = """\
server:
    interface: {host}@{port}
    username: ""
    chroot: ""
    directory: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    num-threads: 1
    do-ip6: no
    include: "{trust}"
remote-control:
    control-enable: no
"""


class Validator:
    """A resolver that runs unbound while it is asked for; a context manager, after which it has ended."""

    def __init__(self, state: Path, folder: Path) -> None:
        """For the zones of the server of `state`; `folder` is for files. Raises `RuntimeError` without unbound."""
        self._state = state
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._known: bytes | None = None
        self._port = 0
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
        program = shutil.which("unbound", path=path)
        if program is None:
            raise RuntimeError("a validating resolver needs unbound: install it (apt-get install unbound)")
        self._program = program
        folder.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def pid(self) -> int | None:
        """Of the process that runs unbound, and ends after it; `None` while none does."""
        return self._process.pid if self._process is not None else None

    def address(self) -> tuple[str, int]:
        """Where it answers, with the zones as they are now.

        Raises `RuntimeError` where it can't be started, and what `current` raises.
        """
        present = current(self._state)
        if self._process is None or present != self._known or self._process.poll() is not None:
            self._end()
            for _ in range(_TRIES):
                if self._start(present):
                    break
            else:
                raise RuntimeError(f"unbound does not start:\n{(self._folder / 'log').read_text(errors='replace')}")
        return _HOST, self._port

    def _start(self, trust: bytes) -> bool:
        """Whether it answers, on a port that is free."""
        included, config, log = self._folder / "trust.conf", self._folder / "unbound.conf", self._folder / "log"
        try:
            self._port = _free_port()
        except OSError:
            return False
        included.write_bytes(trust)
        config.write_text(_CONFIGURATION.format(host=_HOST, port=self._port, trust=included), encoding="utf-8")
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603
                ["/bin/sh", "-c", _UNTIL_STDIN_ENDS, "sh", self._program, str(config)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
        self._known = trust
        deadline = time.monotonic() + _STARTS_WITHIN
        while self._process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((_HOST, self._port)) == 0:
                    return True
            time.sleep(0.01)
        self._end()
        return False

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def _free_port() -> int:
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind((_HOST, 0))
        port: int = tcp.getsockname()[1]
        udp.bind((_HOST, port))
        return port
