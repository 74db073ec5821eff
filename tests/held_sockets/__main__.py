"""`python -m tests.held_sockets`: restarts under load, with the sample zones, and an interpreter of its own each time.

Ends with 1 where a query was lost, or where one waited for longer than `--longest` seconds.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from server.settings.configuration import samples
from tests.held_sockets.holder import Holder, Started
from tests.held_sockets.load import put_on

CONFIG = """\
listen = ["{address}"]
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = "127.0.0.1:0"
"""
_QUIET = 2.0
"""Seconds of load before the first restart, and after each."""


def questions(origins: Sequence[str]) -> list[tuple[str, str]]:
    """What is asked of each zone: names that exist, and some that do not."""
    found = []
    for origin in origins:
        found += [(origin, rrtype) for rrtype in ("SOA", "NS", "DNSKEY")]
        found += [(f"www.{origin}", "A"), *((f"absent-{n}.{origin}", "A") for n in range(10))]
    return found


def main() -> None:
    """As the command line says."""
    parser = argparse.ArgumentParser("python -m tests.held_sockets")
    parser.add_argument("--rate", type=float, default=1000, help="queries a second")
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--longest", type=float, default=2, help="seconds that a query may wait")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--metrics", action="store_true", help="print the server's counts in the end")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Holder() as holder:
        folder, zones = Path(name), samples()
        (folder / "s.toml").write_text(CONFIG.format(address=holder.address))
        files = [str(zone.file) for zone in zones]
        command = ["serve", "--config", "s.toml", "--workers", str(arguments.workers), *files]
        gaps: list[float] = []
        over = threading.Event()
        with (folder / "log").open("w") as log:
            server = holder.start(command, folder, log)
            server.wait_until_ready()

            def restart() -> None:
                nonlocal server
                for _ in range(arguments.restarts):
                    time.sleep(_QUIET)
                    began = time.monotonic()
                    server.stop()
                    server = _started(holder, command, folder, log)
                    gaps.append(time.monotonic() - began)
                time.sleep(_QUIET)
                over.set()

            restarting = threading.Thread(target=restart)
            restarting.start()
            load = put_on(holder.address, questions([zone.origin for zone in zones]), arguments.rate, over.is_set)
            restarting.join()
            if arguments.metrics:
                print(_metrics(folder / "state"))
            status = server.stop()
    longest = max(load.delays)
    print(
        f"{load.asked} queries, {load.lost} lost, {len(load.wrong)} with a wrong answer {sorted(set(load.wrong))}; "
        f"the longest waited {longest:.2f} s; restarts (SIGTERM to ready) took "
        f"{', '.join(f'{gap:.2f}' for gap in gaps)} s"
    )
    sys.exit(1 if load.lost or load.wrong or longest > arguments.longest or status else 0)


def _metrics(state: Path) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(state / "control.sock"))
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with sock.makefile() as lines:
            return "".join(line for line in lines if line.startswith("signwright_") and "queries" in line)


def _started(holder: Holder, command: Sequence[str], folder: Path, log: object) -> Started:
    server = holder.start(command, folder, log)  # type: ignore[arg-type]
    server.wait_until_ready()
    return server


if __name__ == "__main__":
    main()
