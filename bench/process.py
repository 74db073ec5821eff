"""Children on one core: started, timed by /proc, and ended by their process ids."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """A core's clocks at one moment (proc(5), /proc/stat), in ticks."""

    work: int
    """User, nice and system time: what processes used."""
    interrupts: int
    steal: int
    idle: int

    @property
    def total(self) -> int:
        return self.work + self.interrupts + self.steal + self.idle


def parse_core_times(text: str, core: int) -> CoreTimes:
    """A core's line in /proc/stat. Raises `ValueError` where there is none."""
    for line in text.splitlines():
        label, *fields = line.split()
        if label == f"cpu{core}":
            user, nice, system, idle, waiting, hard, soft, steal, *_ = map(int, fields)
            return CoreTimes(user + nice + system, hard + soft, steal, idle + waiting)
    raise ValueError(f"no core {core} in /proc/stat")


def core_times(core: int) -> CoreTimes:
    """A core's clocks now."""
    return parse_core_times((PROC / "stat").read_text(), core)


def parse_stat(text: str) -> tuple[int, int]:
    """From a /proc/PID/stat: the parent's id, and the CPU ticks of all the process's threads."""
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return int(fields[1]), int(fields[11]) + int(fields[12])


def memory(pid: int, name: str) -> int:
    """Octets of a process's memory, by the name of a line in /proc/PID/status such as VmRSS. Raises `RuntimeError`."""
    status = (PROC / str(pid) / "status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no {name} of process {pid}")
    return int(found[1]) * 1024


def prefer(pid: int | str = "self") -> None:
    """Put a process's session before all other programs (sched(7), autogroup). Raises `OSError` where we may not."""
    (PROC / str(pid) / "autogroup").write_text("-19")


class Child:
    """A program pinned to one core, with all that it starts; what it prints goes to a file.

    It is in a session of its own, so that Ctrl-C reaches it only through `close`; the kernel ends it when we die.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int,
        cwd: Path,
        log: Path,
        patience: float = 5.0,
        preferred: bool = False,
    ) -> None:
        self.log = log
        self.patience = patience
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), *command],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if preferred:
            prefer(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def pids(self) -> list[int]:
        """The program and its descendants."""
        children: dict[int, list[int]] = {}
        for entry in PROC.iterdir():
            if entry.name.isdigit() and (found := _read_stat(int(entry.name))):
                children.setdefault(found[0], []).append(int(entry.name))
        family = [self._process.pid]
        for pid in family:
            family += children.get(pid, [])
        return family

    def cpu_seconds(self, pids: Sequence[int]) -> float:
        """CPU time that those of its processes have used, in all their threads."""
        return sum(found[1] for pid in pids if (found := _read_stat(pid))) / TICKS

    def last_words(self) -> str:
        """The last lines that it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])

    def close(self) -> None:
        """End it, kindly first; what still runs after `patience` seconds is killed."""
        family = self.pids() if self.alive else []
        if self.alive:
            self._process.terminate()
        try:
            self._process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        deadline = time.monotonic() + self.patience
        left = [pid for pid in family[1:] if _in_session(pid, self._process.pid)]
        while left and time.monotonic() < deadline:
            time.sleep(0.05)
            left = [pid for pid in left if _in_session(pid, self._process.pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)


def _read_stat(pid: int) -> tuple[int, int] | None:
    try:
        return parse_stat((PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def _in_session(pid: int, session: int) -> bool:
    """Whether that process still is one of ours: an id may have been given away again."""
    try:
        return os.getsid(pid) == session
    except ProcessLookupError:
        return False
