"""A server for one case: started on its core, warmed up, its memory watched, and stopped by SIGTERM under load."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.abuse.limits import Ports, Variant, configure
from bench.process import Child, memory
from bench.rounds import SERVER_CORE, free_port, wait_until_ready
from bench.servers import SERVERS, Site
from bench.zone import ZoneFiles

GONE_WITHIN = 30.0
"""Seconds after which a server that got SIGTERM is killed."""
CONTROL_WITHIN = 10.0
_POLL = 0.01


@dataclass(frozen=True, slots=True)
class Stand:
    """A running server."""

    variant: Variant
    child: Child
    port: int
    ports: Ports | None
    directory: Path

    def resident(self) -> int:
        """Octets of memory of all its processes (VmRSS); 0 where it is gone."""
        total = 0
        for pid in self.child.pids():
            try:
                total += memory(pid, "VmRSS")
            except (OSError, RuntimeError):
                continue  # one that ended meanwhile
        return total

    def end(self) -> float:
        """Send it SIGTERM; seconds until it was gone, `GONE_WITHIN` where it had to be killed."""
        began = time.monotonic()
        if self.child.alive:
            os.kill(self.child.pids()[0], signal.SIGTERM)
        while self.child.alive and time.monotonic() - began < GONE_WITHIN:
            time.sleep(_POLL)
        return time.monotonic() - began

    def control(self) -> float:
        """Seconds in which the control socket answers; `CONTROL_WITHIN` where it doesn't."""
        began = time.monotonic()
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(CONTROL_WITHIN)
                sock.connect(str(self.directory / "state" / "control.sock"))
                sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if not sock.recv(64).startswith(b"HTTP/1.1 200"):
                    return CONTROL_WITHIN
        except OSError:
            return CONTROL_WITHIN
        return time.monotonic() - began


@contextmanager
def standing(variant: Variant, zone: ZoneFiles, folder: Path, *, preferred: bool) -> Iterator[Stand]:
    """A server that answers, until the block ends. Raises `RuntimeError` where it does not come up, and `Unbuilt`."""
    directory = Path(tempfile.mkdtemp(dir=folder, prefix=f"{variant.server}-"))
    site = Site(directory, free_port(), zone)
    command, ports = configure(variant, site)
    with Child(command, core=SERVER_CORE, cwd=Path.cwd(), log=directory / "log", preferred=preferred) as child:
        wait_until_ready(SERVERS[variant.server], child, site.port)
        yield Stand(variant, child, site.port, ports, directory)
