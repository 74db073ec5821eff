"""The real program with every listener, and what must still be true of it after each chunk of hostile cases."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session

from tests.lab import query

STARTS_WITHIN = 120.0
ANSWERS_WITHIN = 10.0
ZONE = "fuzz.test"
_TEXT = f"""$TTL 60
@ SOA ns host 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.1
*.w TXT "any"
alias CNAME q.w
child NS ns.child
ns.child A 192.0.2.9
big TXT {" ".join(f'"{"x" * 250}"' for _ in range(8))}
"""
_TRACES = re.compile(r"Traceback|^\S*Error: |level=critical", re.MULTILINE)


@dataclass
class Program:
    """`signwright serve`, running."""

    folder: Path
    pid: int
    dns: int
    http: dict[str, int]
    """The port of each listener: emulator, route53, metrics."""
    hosted: str = ""
    """The id of a hosted zone."""
    key: str = ""
    """The ARN of a key in the emulator."""
    _read: int = field(default=0, repr=False)

    def resident(self) -> int:
        """Octets of memory."""
        found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def complaints(self) -> list[str]:
        """Broken rules: it is gone or does not answer, or has logged what no stranger may cause."""
        found = []
        with (self.folder / "log").open(errors="replace") as log:
            log.seek(self._read)
            text = log.read()
            self._read = log.tell()
        if trace := _TRACES.search(text):
            found.append(f"the log has {text[max(0, trace.start() - 200) : trace.end() + 1500]}")
        return found if self.answers() else [*found, "no answer to a query for a name that exists"]

    def answers(self) -> bool:
        """Whether it answers an ordinary query, over UDP."""
        asked = query(f"www.{ZONE}", "A")
        deadline = time.monotonic() + ANSWERS_WITHIN
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self.dns))
            sock.settimeout(0.5)
            while time.monotonic() < deadline:
                try:
                    sock.send(asked)
                    if sock.recv(4096)[:2] == asked[:2]:
                        return True
                except ConnectionRefusedError:
                    time.sleep(0.1)
                except TimeoutError:
                    continue
        return False

    def access_key(self) -> tuple[str, str]:
        """The id and the secret of the account's root."""
        parser = ConfigParser()
        parser.read(self.folder / "state" / "aws" / "credentials")
        return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]

    def client(self, service: str) -> Any:
        """botocore's client."""
        key_id, secret = self.access_key()
        port = self.http["emulator" if service == "kms" else service]
        return botocore.session.Session().create_client(
            service, "us-east-1", endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=key_id, aws_secret_access_key=secret,
        )  # fmt: skip

    def furnish(self) -> None:
        """Make the hosted zone and the key that requests name."""
        made = self.client("route53").create_hosted_zone(Name="hosted.test.", CallerReference="fuzz")
        self.hosted = made["HostedZone"]["Id"].rpartition("/")[2]
        self.key = self.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]


def configure(folder: Path) -> tuple[int, dict[str, int], Path]:
    """Write zone and configuration; the port of DNS, those of HTTP, and the configuration's path."""
    (folder / f"{ZONE}.zone").write_text(_TEXT)
    dns, *others = _free_ports(4)
    http = dict(zip(("emulator", "route53", "metrics"), others, strict=True))
    config = folder / "fuzz.toml"
    config.write_text(
        f'listen = ["127.0.0.1:{dns}"]\nstate = "state"\nmetrics = "127.0.0.1:{http["metrics"]}"\n'
        f'[kms]\nemulator = "127.0.0.1:{http["emulator"]}"\n'
        f'[route53]\nlisten = "127.0.0.1:{http["route53"]}"\nrate = 1000000\n'
        f'[[zones]]\nfile = "{ZONE}.zone"\n'
    )
    return dns, http, config


@contextmanager
def running(folder: Path) -> Iterator[Program]:
    """The program, ready and furnished; ended with the block. Raises `RuntimeError` where it doesn't start."""
    dns, http, config = configure(folder)
    # With the process that started it ends the program, too, however that ends.
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "server.cli", "serve", "--config", str(config)]
    with (folder / "log").open("w") as log, (folder / "banner").open("w") as banner:
        process = subprocess.Popen(command, stdout=banner, stderr=log, cwd=folder.parent)
    try:
        program = Program(folder, process.pid, dns, http)
        deadline = time.monotonic() + STARTS_WITHIN
        while "\nReady" not in f"\n{(folder / 'banner').read_text()}":
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it doesn't start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        program.furnish()
        yield program
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
