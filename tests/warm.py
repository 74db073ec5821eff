"""Commands of `signwright` as processes that have imported everything already: `python -m tests.warm SOCKET`.

A new interpreter takes most of a second to import what a server needs, and the tests start hundreds. This process has
done that, and forks one for each connection to SOCKET: which is sent the arguments, the folder and the environment
with the three standard streams, and told the process id and in the end how it ended. All end with this process, and
this with its standard input.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Self

_STREAMS, _MOST_DESCRIPTORS = 3, 16
_HIGH = 100
_LONGEST = 1 << 20
_USED = ["sqlalchemy.dialects.sqlite", "server.app", "server.cli.exit_codes"]
"""What is imported only when a command runs."""


class Process:
    """A command that runs. What of it is here is as in `subprocess.Popen`."""

    def __init__(
        self,
        arguments: list[str],
        cwd: Path,
        env: Mapping[str, str],
        stderr: IO[Any],
        stdout: IO[Any] | None = None,
        passed: Sequence[socket.socket] = (),
    ) -> None:
        """With a pipe in the place of `stdout`, where that is None. `passed` are passed as a service manager does."""
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._told.connect(_warm())
        request = json.dumps([arguments, str(cwd), dict(env)]).encode()
        writable = None
        if stdout is None:
            readable, writable = os.pipe()
            self.stdout = os.fdopen(readable, encoding="utf-8")
        with Path(os.devnull).open() as stdin:
            output = writable if writable is not None else stdout.fileno()  # type: ignore[union-attr]
            socket.send_fds(self._told, [request], [stdin.fileno(), output, stderr.fileno(), *map(_number, passed)])
        if writable is not None:
            os.close(writable)
        self.pid = int(self._told.recv(_LONGEST))

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = int(self._told.recv(_LONGEST))
            except TimeoutError:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing, where it has ended."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            self.wait()

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.stdout is not None:
            self.stdout.close()
        self.wait()
        self._told.close()


def _number(sock: socket.socket) -> int:
    return sock.fileno()


@cache
def _warm() -> str:
    """Where the process listens that forks, started for the first who asks."""
    folder = tempfile.TemporaryDirectory(prefix="warm-")
    path = f"{folder.name}/socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", path],
        cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def end() -> None:
        stdin.close()
        process.wait(60)
        stdout.close()
        folder.cleanup()

    assert stdout.read(1), "it ended"
    atexit.register(end)
    return path


def set_imported_aside() -> None:
    """Have no process that is forked go over what was imported before, which would copy all of it."""
    gc.collect()
    gc.freeze()
    gc.unfreeze = lambda: None


def _serve(listener: socket.socket) -> list[str] | None:
    """Fork until the standard input ends; in each process that was forked, its arguments."""
    running: dict[int, tuple[int, socket.socket]] = {}
    poll = select.poll()
    for descriptor in (0, listener.fileno()):
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == 0:
                for pid, _ in running.values():
                    os.kill(pid, signal.SIGKILL)
                return None
            if descriptor in running:
                pid, connection = running.pop(descriptor)
                poll.unregister(descriptor)
                os.close(descriptor)
                _tell(connection, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                connection.close()
                continue
            connection, _ = listener.accept()
            request, streams, _, _ = socket.recv_fds(connection, _LONGEST, _MOST_DESCRIPTORS)
            arguments, cwd, env = json.loads(request)
            pid = os.fork()
            if not pid:
                listener.close()
                for of_another, (_, other) in running.items():
                    os.close(of_another)
                    other.close()
                connection.close()
                _become(streams, cwd, env)
                return list(arguments)
            for stream in streams:
                os.close(stream)
            ended = os.pidfd_open(pid)
            running[ended] = pid, connection
            poll.register(ended, select.POLLIN)
            _tell(connection, pid)


def _tell(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # where nobody waits for it any more
        connection.send(str(number).encode())


def _become(streams: list[int], cwd: str, env: dict[str, str]) -> None:
    high = [fcntl.fcntl(stream, fcntl.F_DUPFD, _HIGH) for stream in streams]
    for stream in streams:
        os.close(stream)
    for number, stream in enumerate(high):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    if len(streams) > _STREAMS:
        os.environ["LISTEN_PID"] = str(os.getpid())


def main() -> None:
    import server.cli

    for module in [*_USED, *(module for module, _ in server.cli.COMMANDS.values())]:
        import_module(module)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(sys.argv[1])
    listener.listen(100)
    set_imported_aside()
    os.write(1, b".")
    arguments = _serve(listener)
    if arguments is not None:
        sys.argv = ["signwright", *arguments]
        server.cli.main()


if __name__ == "__main__":
    main()
