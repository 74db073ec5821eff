"""The service manager's part: a UDP and a TCP socket that outlive the server which answers from them."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

from server.net.addresses import Address
from server.net.listen import bind

FIRST = 3
"""The descriptor of the first socket that is passed."""
_HIGH = 100


class Holder:
    """Both sockets, which are to be passed."""

    def __init__(self) -> None:
        pair = bind(Address("127.0.0.1", 0))
        self.address = pair.address
        self.sockets = (pair.udp, pair.tcp)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self.sockets:
            sock.close()

    def environment(self) -> dict[str, str]:
        """What says that they are passed, but for the process."""
        return {"LISTEN_FDS": str(len(self.sockets)), "LISTEN_FDNAMES": ":".join("dns" for _ in self.sockets)}

    def start(self, arguments: Sequence[str], cwd: Path, log: IO[Any]) -> Started:
        """`signwright` with the sockets, by an interpreter of its own."""
        environment = {**os.environ, **self.environment(), "PYTHONPATH": str(Path(__file__).parents[2])}
        readable, writable = os.pipe()
        high = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, _HIGH) for one in self.sockets]
        actions: list[tuple[int, int, int]] = [
            (os.POSIX_SPAWN_DUP2, writable, 1),
            (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
            *((os.POSIX_SPAWN_DUP2, one, FIRST + n) for n, one in enumerate(high)),
        ]
        # The shell's process id is that of the program which takes its place.
        command = shlex.join([sys.executable, "-m", "server.cli", *arguments])
        script = f"cd {shlex.quote(str(cwd))} && LISTEN_PID=$$ exec {command}"
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], environment, file_actions=actions)
        for descriptor in (writable, *high):
            os.close(descriptor)
        return Started(pid, os.fdopen(readable, encoding="utf-8"))


class Started:
    """A server that runs."""

    def __init__(self, pid: int, stdout: IO[str]) -> None:
        self.pid = pid
        self._stdout = stdout
        self._ended: int | None = None

    def wait_until_ready(self) -> None:
        """Raises `RuntimeError` where it ends before."""
        for line in self._stdout:
            if line.startswith("Ready"):
                return
        raise RuntimeError("it ended before it was ready")

    def stop(self) -> int:
        """As a service manager does; the exit status."""
        if self._ended is None:
            os.kill(self.pid, signal.SIGTERM)
            deadline = time.monotonic() + 60
            while (done := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
                if time.monotonic() > deadline:
                    os.kill(self.pid, signal.SIGKILL)
                time.sleep(0.005)
            self._stdout.close()
            self._ended = os.waitstatus_to_exitcode(done[1])
        return self._ended
