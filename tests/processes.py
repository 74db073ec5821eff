"""Signwright as people run it: real processes on free ports, ended with the test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import pytest

from server.net.addresses import Address, parse_address

QUICK = {**os.environ, "NO_COLOR": "1", "AWS_EC2_METADATA_DISABLED": "true"}


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "server.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=QUICK, capture_output=True, text=True, timeout=60, check=False)


def runs(pid: int) -> bool:
    """Whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Serving:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], banner: list[str], log: Path) -> None:
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

    def wait_for(self, text: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.log:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def serial(self, zone: str) -> int:
        query = dns.message.make_query(zone, "SOA", want_dnssec=True)
        response = dns.query.udp(query, self.address.host, port=self.address.port, timeout=5)
        return int(response.answer[0][0].serial)


def ready(process: subprocess.Popen[str]) -> list[str]:
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
    command = [sys.executable, "-m", "server.cli", "serve", "--config", str(config), *map(str, arguments)]
    log = folder / "log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, cwd=folder, env=QUICK, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        try:
            yield Serving(process, ready(process), log)
        finally:
            process.kill()
