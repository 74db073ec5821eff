"""What is measured: tasks that operators of every server have, and the command that does each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.servers import knot, powerdns, run_tool, signwright
from bench.zone import ORIGIN

START = {"signwright": signwright, "knot": knot, "powerdns": powerdns}
"""The servers, by what sets each up."""
TITLES = {"python": "python -c pass", "signwright": "signwright", "knot": "knotc", "powerdns": "pdnsutil"}
"""The programs, the one that all are compared with first."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a person wants of a server, and the command for it by server."""

    title: str
    commands: Mapping[str, Sequence[str]]


class Cost(NamedTuple):
    """What a command took, in seconds."""

    cpu: float
    """Processor time of the command; that of the server it asks is not in it."""
    waited: float
    """Until it had ended."""


def tasks(sites: Mapping[str, Path]) -> list[Task]:
    """The tasks, for servers that run in these directories.

    pdnsutil reads PowerDNS's files where knotc and signwright ask the server that runs.
    """
    python = [sys.executable, "-c", "pass"]
    own, state = [sys.executable, "-m", "server.cli"], ["--state", str(sites["signwright"] / "state")]
    knotc = ["knotc", "-s", str(sites["knot"] / "knot.sock")]
    pdnsutil = ["pdnsutil", f"--config-dir={sites['powerdns']}"]
    named = {
        "help": ([*own, "--help"], ["knotc", "--help"], ["pdnsutil", "--help"]),
        "state of all zones": ([*own, "status", *state], [*knotc, "zone-status"], [*pdnsutil, "list-all-zones"]),
        "state of one zone": (
            [*own, "status", ORIGIN, *state],
            [*knotc, "zone-status", ORIGIN],
            [*pdnsutil, "show-zone", ORIGIN],
        ),
        "DS records": ([*own, "ds", ORIGIN, *state], None, [*pdnsutil, "export-zone-ds", ORIGIN]),
        "read changed zones": (
            [*own, "reload", *state],
            [*knotc, "-b", "zone-reload", ORIGIN],
            ["pdns_control", f"--config-dir={sites['powerdns']}", "rediscover"],
        ),
    }
    return [
        Task(title, {"python": python} | {name: each for name, each in zip(START, commands, strict=True) if each})
        for title, commands in named.items()
    ]


def check(task: Task) -> None:
    """Run each of its commands once, so that only what works is timed. Raises `RuntimeError` with what it said."""
    for command in task.commands.values():
        run_tool(command)


def cost(command: Sequence[str]) -> Cost:
    """Run a command to its end and say what it took. Raises `RuntimeError` where it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, taken)
