"""The server that chaos is made of: the real program with workers, its emulator, and the files that it reads."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.configloader import load_config
from botocore.credentials import Credentials

from server.control.control_client import ControlClient
from server.state.directory import StateDir

SOA = "@ 60 SOA ns host 1 7200 3600 1209600 60\n@ 60 NS ns\nns 60 A 192.0.2.53\nwww 60 A 192.0.2.80\n"
PARENT, CHILD, BETWEEN, LEAF = "example.", "child.example.", "mid.example.", "leaf.mid.example."
FLIP, VICTIM, HOSTED = "flip.test.", "victim.test.", "hosted.test."
STEADY = (PARENT, CHILD, LEAF)
"""Signed throughout, and delegated: what is asked all along."""
LONGEST_STOP = 10.0
"""Seconds within which a server that was told to end has ended; on a machine that does other things as well."""
LONGEST_START = 90.0


@dataclass
class ZoneSetting:
    """One zone of the configuration."""

    text: str = SOA
    signed: bool = True
    more: str = ""


def delegation(label: str) -> str:
    """The delegation of a zone to a name server in it."""
    return f"{label} 60 NS ns.{label}\nns.{label} 60 A 192.0.2.53\n"


@dataclass
class Stage:
    """One server, which may be ended and started again on the same state and ports."""

    folder: Path
    workers: int = 2
    zones: dict[str, ZoneSetting] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    log: deque[str] = field(default_factory=lambda: deque(maxlen=400))
    objections: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        ports = _free_ports(3)
        self.dns, self.route53_port, self.kms_port = ports
        text = SOA + delegation("child") + delegation("leaf.mid")
        self.zones |= {PARENT: ZoneSetting(text), CHILD: ZoneSetting(), LEAF: ZoneSetting()}
        self.zones |= {FLIP: ZoneSetting(), VICTIM: ZoneSetting()}

    # Its configuration

    def write(self) -> None:
        """Write the configuration and all zone files."""
        lines = [
            f'listen = ["127.0.0.1:{self.dns}"]',
            f"workers = {self.workers}",
            f'[kms]\nemulator = "127.0.0.1:{self.kms_port}"',
            f'[route53]\nlisten = "127.0.0.1:{self.route53_port}"',
        ]
        for origin, zone in self.zones.items():
            self._file(origin).write_text(zone.text)
            signed = "" if zone.signed else "signed = false\n"
            lines.append(f'[[zones]]\norigin = "{origin}"\nfile = "{self._file(origin)}"\n{signed}{zone.more}')
        (self.folder / "signwright.toml").write_text("\n".join(lines) + "\n")

    def _file(self, origin: str) -> Path:
        return self.folder / f"{origin}zone"

    # Its life

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.write()
        command = [sys.executable, "-m", "server.cli", "serve", "--config", str(self.folder / "signwright.toml")]
        environment = {**os.environ, "NO_COLOR": "1", "AWS_EC2_METADATA_DISABLED": "true"}
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        ready = threading.Event()
        threading.Thread(target=self._read, args=(self.process, ready), daemon=True).start()
        deadline = time.monotonic() + LONGEST_START
        while not ready.wait(0.1):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.object(f"it did not start (status {self.process.poll()})")
                return

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.log.append(line.rstrip())
                if line.startswith("Ready"):
                    ready.set()

    def end(self, number: int) -> None:
        """End it by a signal, and make sure that it ends in time."""
        process = self.process
        if process is None:
            return
        self.check()
        self.process = None
        with suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            process.wait(LONGEST_STOP)
        except subprocess.TimeoutExpired:
            self.object(f"it ran on for {LONGEST_STOP} s after {signal.Signals(number).name}")
            process.kill()
            process.wait()

    def check(self) -> bool:
        """Whether it runs; that it doesn't, though nobody ended it, is an objection."""
        if self.process is None:
            return False
        status = self.process.poll()
        if status is not None:
            self.process = None
            self.object(f"it ended by itself, with status {status}")
        return status is None

    def object(self, what: str) -> None:
        """Something that must not be, with what the server said last."""
        self.objections.append("\n    ".join([what, *list(self.log)[-25:]]))

    def worker_pids(self) -> list[int]:
        """The processes that answer."""
        if self.process is None:
            return []
        try:
            status = ControlClient(StateDir(self.state)).status()
        except Exception:
            return []
        return [worker.pid for worker in status.workers if worker.pid is not None]

    # Those who speak to it

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def control(self) -> ControlClient:
        return ControlClient(StateDir(self.state))

    def credentials(self) -> tuple[str, str]:
        profile = load_config(str(self.state / "aws" / "credentials"))["profiles"]["default"]
        return profile["aws_access_key_id"], profile["aws_secret_access_key"]

    def client(self, service: str) -> Any:
        """A client that says at once what came of a call."""
        port = self.route53_port if service == "route53" else self.kms_port
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=8)
        session = boto3.Session(*self.credentials(), region_name="us-east-1")
        return session.client(service, endpoint_url=f"http://127.0.0.1:{port}", config=config)

    def kms_fault(self, fault: dict[str, Any] | None) -> None:
        """Order a fault of the emulator, or end them all."""
        method, body = ("DELETE", b"") if fault is None else ("POST", json.dumps(fault).encode())
        request = AWSRequest(method, f"http://127.0.0.1:{self.kms_port}/_faults", data=body)
        SigV4Auth(Credentials(*self.credentials()), "kms", "us-east-1").add_auth(request)
        connection = HTTPConnection("127.0.0.1", self.kms_port, timeout=5)
        try:
            connection.request(method, "/_faults", body or None, dict(request.headers))
            connection.getresponse().read()
        finally:
            connection.close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports
