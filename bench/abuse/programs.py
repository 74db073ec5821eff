"""The programs of a load: each reads its order as JSON, works until it is stopped, and prints what it saw."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Any, Self

STOPS_WITHIN = 20.0
"""Seconds in which a program has to say what it saw."""
_DESCRIPTORS = 65536


class Program:
    """A module of this package at work, on the core of this process. It ends with the block at the latest.

    The constructor returns once it is at work. Raises `RuntimeError` with its words where it fails.
    """

    def __init__(self, module: str, order: Mapping[str, Any]) -> None:
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", f"bench.abuse.{module}"]
        self._module = module
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when the block ends
        with tempfile.TemporaryFile() as ordered:
            ordered.write(json.dumps(order).encode())
            ordered.seek(0)
            # Unbuffered, so that nothing behind the first line is read before it is waited for.
            self._process = subprocess.Popen(
                command, stdin=ordered, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
            )
        assert self._process.stdout
        if self._process.stdout.readline().strip() != b"ready":
            self._process.kill()
            self._process.wait()
            raise self._failure("did not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.at_work:
            self._process.kill()
        self._process.wait()
        self._errors.close()

    @property
    def at_work(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float) -> dict[str, Any]:
        """What it saw, once it has stopped by itself. Raises `RuntimeError`."""
        try:
            said, _ = self._process.communicate(timeout=seconds)  # what it says may be more than a pipe holds
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"bench.abuse.{self._module} does not stop") from None
        if self._process.returncode:
            raise self._failure(f"ended with {self._process.returncode}")
        seen: dict[str, Any] = json.loads(said.splitlines()[-1])
        return seen

    def stop(self) -> dict[str, Any]:
        """Have it stop; what it saw. Raises `RuntimeError`."""
        if self.at_work:
            self._process.send_signal(signal.SIGTERM)
        return self.wait(STOPS_WITHIN)

    def _failure(self, what: str) -> RuntimeError:
        self._errors.seek(0)
        return RuntimeError(f"bench.abuse.{self._module} {what}: {self._errors.read().strip()}")


class Told:
    """Whether this program has been told to stop."""

    def __init__(self) -> None:
        self.to_stop = False
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.to_stop = True


def work(main: Callable[[dict[str, Any], Told], Mapping[str, Any]]) -> None:
    """What each program does: read the order, do it, print what was seen."""
    told = Told()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, _DESCRIPTORS), limit))
    seen = main(json.load(sys.stdin), told)
    print(json.dumps(seen), flush=True)


def ready() -> None:
    """Say that the load has begun."""
    print("ready", flush=True)


def go_first() -> bool:
    """Run before all other programs of this core; whether we may (sched(7))."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    return True
