"""Many small zones in files, the KMS emulator and the server as programs, and what is asked of them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.rdatatype

from bench.api.served import WrongFigureError
from bench.process import Child, memory
from bench.rounds import LOAD_CORE, SERVER_CORE

RRSETS = 10
"""In each zone."""
_ZONE = """\
$TTL 3600
@ SOA ns1 hostmaster {serial} 7200 3600 1209600 300
@ NS ns1
@ MX 10 mail
@ TXT "v=spf1 mx -all"
@ A 198.51.100.1
ns1 A 198.51.100.2
mail A 198.51.100.3
www A 198.51.100.4
www AAAA 2001:db8::4
alias CNAME www
"""
LOST = 5.0
"""Seconds after which an answer is not waited for."""
_BANNER = 1 << 16
"""Octets at the end of a log in which the whole banner is."""
_POLL = 0.05
"""Seconds."""


def origin(number: int) -> str:
    """One of the zones."""
    return f"zone{number:05}.example."


@dataclass
class Fleet:
    """The files: zones and configuration in `folder`. `zones` and `dnskey_ttl` are what `configure` wrote last."""

    folder: Path
    endpoint: str
    """Of the KMS."""

    @property
    def config(self) -> Path:
        return self.folder / "signwright.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def write_zones(self, count: int) -> None:
        """Write so many zone files."""
        (self.folder / "zones").mkdir(parents=True)
        for number in range(count):
            self._file(number).write_text(_ZONE.format(serial=1))

    def configure(self, zones: int, dnskey_ttl: int = 3600) -> None:
        """Write the configuration that serves the first `zones`."""
        text = (
            f'listen = ["127.0.0.1:0"]\nstate = "{self.state}"\nmetrics = "127.0.0.1:0"\n'
            f'[kms]\nendpoint = "{self.endpoint}"\n[route53]\nlisten = false\n'
            f"[limits]\nresponses = 0\n[policy]\ndnskey_ttl = {dnskey_ttl}\n"
        )
        self.config.write_text(text + "".join(f'[[zones]]\nfile = "{self._file(n)}"\n' for n in range(zones)))

    def change(self, number: int) -> None:
        """Give one zone another serial."""
        self._file(number).write_text(_ZONE.format(serial=2))

    def _file(self, number: int) -> Path:
        return self.folder / "zones" / f"{origin(number)}zone"


@dataclass(frozen=True)
class Server:
    """A running server, ready."""

    child: Child
    pid: int
    port: int
    metrics: str
    seconds: float
    """From the program's start to the line that says it is ready."""
    cpu: float
    """CPU seconds until then."""
    signed: int
    """Zones that it can answer, by its own word."""

    def cpu_seconds(self) -> float:
        return self.child.cpu_seconds([self.pid])

    def resident(self) -> int:
        """Octets of memory (proc(5), VmRSS)."""
        return memory(self.pid, "VmRSS")

    def reload(self) -> None:
        """Have it read its configuration and all zones again; returns at once."""
        os.kill(self.pid, signal.SIGHUP)


@contextmanager
def emulator(folder: Path) -> Iterator[tuple[Child, str]]:
    """The KMS emulator with its endpoint; AWS clients that are started meanwhile find its credentials."""
    command = [sys.executable, "-m", "server.cli", "kms", "--state", str(folder / "kms"), "--listen", "127.0.0.1:0"]
    with Child(command, core=LOAD_CORE, cwd=Path.cwd(), log=folder / "kms.log") as child:
        line, _ = _ready(child, 60)
        found = re.search(r"on (http://\S+),", line)
        if found is None:
            raise RuntimeError(f"the KMS does not say where it is:\n{line}")
        aws = folder / "kms" / "aws"
        os.environ["AWS_CONFIG_FILE"], os.environ["AWS_SHARED_CREDENTIALS_FILE"] = (
            str(aws / "config"),
            str(aws / "credentials"),
        )
        yield child, found[1]


@contextmanager
def serving(fleet: Fleet, log: str, patience: float) -> Iterator[Server]:
    """The server, ready; ended with the block. Raises `RuntimeError` where it isn't ready within `patience` seconds."""
    command = [sys.executable, "-m", "server.cli", "serve", "--config", str(fleet.config)]
    began = time.monotonic()
    with Child(command, core=SERVER_CORE, cwd=Path.cwd(), log=fleet.folder / log, patience=120) as child:
        line, text = _ready(child, patience)
        seconds, pid = time.monotonic() - began, child.pids()[-1]
        found = re.search(r"^Ready: (\d+)(?: of \d+)? zones? on 127\.0\.0\.1:(\d+)", line)
        metrics = re.search(r"(http://\S+/metrics)", text)
        if found is None or metrics is None:
            raise RuntimeError(f"the server does not say what it serves:\n{line}")
        cpu = child.cpu_seconds([pid])
        yield Server(child, pid, int(found[2]), metrics[1], seconds, cpu, int(found[1]))


def _ready(child: Child, patience: float) -> tuple[str, str]:
    """The line that says that the program is ready, and the last of what it printed before."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and child.alive:
        with child.log.open("rb") as log:
            log.seek(-min(_BANNER, log.seek(0, os.SEEK_END)), os.SEEK_END)
            text = log.read().decode(errors="replace")
        found = re.search(r"^Ready.*\n", text, re.MULTILINE)
        if found is not None:
            return found[0], text
        time.sleep(_POLL)
    raise RuntimeError(f"the program does not start:\n{child.last_words()}")


@contextmanager
def asking(port: int) -> Iterator[Callable[[str, str], dns.message.Message | None]]:
    """What asks the server for a name and type with DO over UDP; None where no answer came within `LOST`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(LOST)

        def ask(name: str, rrtype: str) -> dns.message.Message | None:
            asked = dns.message.make_query(name, rrtype, want_dnssec=True)
            sock.send(asked.to_wire())
            try:
                while (answer := dns.message.from_wire(sock.recv(4096))).id != asked.id:
                    pass  # one that came too late
            except TimeoutError:
                return None
            return answer

        yield ask


def count_signed(port: int, zones: int) -> int:
    """How many zones answer for www with an A RRset and its RRSIG, each asked once."""
    signed = 0
    with asking(port) as ask:
        for number in range(zones):
            answer = ask(f"www.{origin(number)}", "A")
            types = {rrset.rdtype for rrset in answer.answer} if answer is not None else set()
            signed += {dns.rdatatype.A, dns.rdatatype.RRSIG} <= types
    return signed


def status(fleet: Fleet, *options: str) -> tuple[float, str]:
    """`signwright status`: the seconds that it took, and what it printed."""
    command = [sys.executable, "-m", "server.cli", "status", "--config", str(fleet.config), *options]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.startswith(("OK", '{"level":"ok"', '{"level": "ok"')):
        raise WrongFigureError(f"the server is not well: {done.stdout[:200]}{done.stderr[-300:]}")
    return time.monotonic() - began, done.stdout
