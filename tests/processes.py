"""Signwright as people run it: real processes on free ports, ended with the test."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import dns.message
import dns.query
import pytest

from server.net.addresses import Address, parse_address
from tests.warm import Process

QUICK = {**os.environ, "NO_COLOR": "1", "AWS_EC2_METADATA_DISABLED": "true"}


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = list(map(str, arguments))
    with (
        TemporaryFile("w+", encoding="utf-8") as stdout,
        TemporaryFile("w+", encoding="utf-8") as stderr,
        Process(command, cwd, QUICK, stderr, stdout) as process,
    ):
        try:
            process.wait(60)
        finally:
            process.kill()
        for output in (stdout, stderr):
            output.seek(0)
        return subprocess.CompletedProcess(command, process.wait(), stdout.read(), stderr.read())


def runs(pid: int) -> bool:
    """Whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Serving:
    """A running server."""

    def __init__(self, process: Process, banner: list[str], log: Path) -> None:
        self.process = process
        self.banner = banner
        self._log = log

    @property
    def address(self) -> Address:
        found = re.search(r" on (\S+?),? ", self.banner[-1])
        assert found
        return parse_address(found[1])

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.log:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def serial(self, zone: str) -> int:
        query = dns.message.make_query(zone, "SOA", want_dnssec=True)
        response = dns.query.udp(query, self.address.host, port=self.address.port, timeout=60)
        return int(response.answer[0][0].serial)


def ready(process: Process) -> list[str]:
    """The lines that it prints, to the one that says that it is ready."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith("Ready"):
            return lines
    pytest.fail("\n".join(["it ended:", *lines]))


@contextmanager
def serving(folder: Path, *arguments: object) -> Iterator[Serving]:
    """`signwright serve` on free ports, killed at the end where it still runs."""
    config = folder / "quick.toml"
    if not config.exists():
        config.write_text(
            'listen = ["127.0.0.1:0"]\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = "127.0.0.1:0"\n'
        )
    command = ["serve", "--config", str(config), *map(str, arguments)]
    log = folder / "log"
    with (
        log.open("w") as stderr,
        Process(command, folder, QUICK, stderr) as process,
    ):
        try:
            yield Serving(process, ready(process), log)
        finally:
            process.kill()
