"""A server on a disk of its own, which fills up or becomes read-only while it is down: run in namespaces of its own.

    unshare --user --map-root-user --mount python -m tests.server.state.on_small_disk FOLDER full|read-only

Prints as JSON what was seen.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

SIZE = 16 << 20
PATIENCE = 60
ZONE = "@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n"


class Server:
    """One life of the program."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder, self._log = folder, log
        command = [sys.executable, "-m", "server.cli", "serve", "--config", str(folder / "server.toml")]
        with log.open("w") as out:
            self.process = subprocess.Popen(command, cwd=Path.cwd(), stdout=out, stderr=out)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def answers(self, port: int) -> tuple[str, bool]:
        """The RCODE of an answer, and whether it is signed; waits until it is NOERROR or the server has ended."""
        query = dns.message.make_query("lab.example.", dns.rdatatype.SOA, want_dnssec=True)
        found = ("none", False)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError, dns.exception.DNSException):
                answer = dns.query.udp(query, "127.0.0.1", port=port, timeout=1)
                signed = any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in answer.answer)
                found = (dns.rcode.to_text(answer.rcode()), signed)
                if found == ("NOERROR", True):
                    break
            time.sleep(0.1)
        return found

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()


@contextmanager
def spoiled(disk: Path, kind: str) -> Iterator[None]:
    """While the disk takes no writes."""
    filler = disk / "filler"
    if kind == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    else:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 12))
    yield
    if kind == "read-only":
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    else:
        filler.unlink()


def main(folder: Path, kind: str, port: int) -> dict[str, object]:
    """One life on a good disk, killed; one on a spoiled disk that is mended."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)], check=True)
    (folder / "lab.example.zone").write_text(ZONE)
    (folder / "server.toml").write_text(
        f'listen = ["127.0.0.1:{port}"]\nstate = "{disk}/state"\nmetrics = "127.0.0.1:0"\n'
        '[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = "127.0.0.1:0"\n'
        f'[[zones]]\norigin = "lab.example"\nfile = "{folder}/lab.example.zone"\n'
    )
    seen: dict[str, object] = {}
    server = Server(folder, folder / "log.before")
    seen["before"] = server.answers(port)
    server.process.kill()  # so that much is in the WAL alone
    server.process.wait()
    seen["wal"] = (disk / "state" / "signwright.db-wal").stat().st_size > 0
    with spoiled(disk, kind):
        server = Server(folder, folder / "log.spoiled")
        seen["spoiled"] = server.answers(port)
        deadline = time.monotonic() + PATIENCE
        while "Ready" not in server.log and time.monotonic() < deadline and server.process.poll() is None:
            time.sleep(0.1)
        seen["log"] = server.log
        seen["copies"] = _copies(server)
    deadline = time.monotonic() + PATIENCE
    while (_copies(server) or not _is_reached(disk)) and time.monotonic() < deadline:
        time.sleep(0.1)
    seen["copies afterwards"], seen["reached"] = _copies(server), _is_reached(disk)
    seen["mended"] = server.answers(port)
    seen["exit"] = server.end()
    seen["last"] = server.log
    return seen


def _is_reached(disk: Path) -> bool:
    """Whether commands reach the server."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(disk / "state" / "control.sock"))
        except OSError:
            return False
        return True


def _copies(server: Server) -> int:
    """How many copies of the state the server has in memory."""
    beginning = f"signwright-state-{server.process.pid}-"
    return sum(path.name.startswith(beginning) for path in Path("/dev/shm").iterdir())


if __name__ == "__main__":
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
