"""Signals to the real program: heard in each moment, and after the one that ends it, it ends, whatever hangs."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from server.net.addresses import parse_address
from tests.processes import QUICK, Serving, ready, run, serving
from tests.warm import Process

ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lab.example.zone").write_text(ZONE)
    return tmp_path


def renew(folder: Path, serial: int) -> None:
    (folder / "lab.example.zone").write_text(ZONE.replace("hostmaster 1 ", f"hostmaster {serial} "))


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class DeadKms:
    """A KMS that takes connections; while it is silent it keeps them and never answers, else it closes them."""

    def __init__(self, *, silent: bool) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.silent = silent
        self.taken: list[socket.socket] = []
        self._thread = Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.taken.append(sock)
                if not self.silent:
                    sock.close()

    def be_silent(self) -> None:
        self.taken.clear()
        self.silent = True

    def hang_up(self) -> None:
        self.silent = False
        for sock in self.taken:
            sock.close()

    def __enter__(self) -> DeadKms:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.hang_up()


@contextmanager
def starting(folder: Path, *arguments: str) -> Iterator[tuple[Process, Path]]:
    """`signwright serve`, from its first moment on; and its log."""
    config = folder / "quick.toml"
    config.write_text('listen = ["127.0.0.1:0"]\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = false\n')
    log = folder / "log"
    with (
        log.open("w") as stderr,
        Process(["serve", "--config", str(config), *arguments], folder, ENVIRONMENT, stderr) as process,
    ):
        try:
            yield process, log
        finally:
            process.kill()


ENVIRONMENT = {**QUICK, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


def ended_well(process: Process, log: Path) -> None:
    """It has ended by itself: neither by force nor with what would look like a bug."""
    assert process.wait(60) == 0
    told = log.read_text()
    assert "something hangs" not in told
    assert "bug" not in told
    assert "Traceback" not in told


def test_a_hangup_while_it_starts_is_a_reload_once_it_has_started(folder: Path) -> None:
    with (
        DeadKms(silent=True) as kms,
        starting(folder, "lab.example.zone", "--kms-endpoint", kms.url) as (process, log),
    ):
        until(lambda: bool(kms.taken))
        renew(folder, 2)
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
        kms.hang_up()
        server = Serving(process, ready(process), log)
        until(lambda: server.log.count("zone loaded") == 2 and "reloaded" in server.log)
        process.send_signal(signal.SIGTERM)
        ended_well(process, log)


def test_a_hangup_in_the_first_moment_is_remembered(folder: Path) -> None:
    with starting(folder, "lab.example.zone") as (process, log):
        caught = Path(f"/proc/{process.pid}/status")
        until(lambda: hangup_is_caught(caught.read_text()))
        process.send_signal(signal.SIGHUP)
        server = Serving(process, ready(process), log)
        until(lambda: "reloaded" in server.log)
        process.send_signal(signal.SIGTERM)
        ended_well(process, log)


def hangup_is_caught(status: str) -> bool:
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (signal.SIGHUP - 1) & 1)


def test_the_end_while_it_starts(folder: Path) -> None:
    with (
        DeadKms(silent=True) as kms,
        starting(folder, "lab.example.zone", "--kms-endpoint", kms.url) as (process, log),
    ):
        until(lambda: bool(kms.taken))
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        ended_well(process, log)


def test_the_end_during_a_reload_that_waits_for_the_kms(folder: Path) -> None:
    with DeadKms(silent=False) as kms, starting(folder, str(folder), "--kms-endpoint", kms.url) as (process, log):
        server = Serving(process, ready(process), log)
        kms.be_silent()
        (folder / "new.example.zone").write_text(ZONE)
        process.send_signal(signal.SIGHUP)
        until(lambda: server.log.count("zone loaded") == 2 and bool(kms.taken))
        renew(folder, 2)
        process.send_signal(signal.SIGHUP)  # neither does another reload wait
        until(lambda: server.log.count("zone loaded") == 3)
        process.send_signal(signal.SIGTERM)
        ended_well(process, log)


def test_the_end_though_clients_take_no_answers(folder: Path) -> None:
    (folder / "quick.toml").write_text(
        'listen = ["127.0.0.1:0"]\nmetrics = "127.0.0.1:0"\n[kms]\nemulator = "127.0.0.1:0"\n'
        '[route53]\nlisten = "127.0.0.1:0"\n'
    )
    with serving(folder, "lab.example.zone") as server:
        line = next(line for line in server.banner if "Metrics" in line)
        address = parse_address(line.partition("http://")[2].removesuffix("/metrics"))
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(tuple(address))
            client.settimeout(1)
            with pytest.raises(TimeoutError):
                while True:
                    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0
        assert "something hangs" not in server.log


HANGS = """
import sys, threading, time
import trio
import server.signals

server.signals.STOPS_WITHIN = 0.5

async def main():
    async with server.signals.hearing() as signals:
        with signals.serving:
            print("Ready", flush=True)
            await trio.to_thread.run_sync(threading.Event().wait)

trio.run(main)
"""


def test_a_thread_that_hangs_keeps_no_process_from_its_end() -> None:
    process = subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "Ready\n"
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "exiting without a clean stop" in told


def test_what_a_disk_refuses_beside_the_zones_ends_no_start(folder: Path) -> None:
    with serving(folder, "lab.example.zone"):
        pass
    for path in (folder / "state/trust").iterdir():
        path.unlink()
    (folder / "state/trust").rmdir()
    (folder / "state/trust").write_text("in the way")
    (folder / "state/control.sock").unlink()
    (folder / "state/control.sock").mkdir()
    with serving(folder, "lab.example.zone") as server:
        assert server.serial("lab.example") == 1
        assert 'what="control socket"' in server.log
        (folder / "state/control.sock").rmdir()
        until((folder / "state/control.sock").is_socket)
        told = run("status", cwd=folder)
        assert told.returncode == 1
        assert "trust files: failing for " in told.stdout
        (folder / "state/trust").unlink()
        until((folder / "state/trust/lab.example.ds").exists)
        # (The control socket is called well a minute later: tests/server/test_supervised.py has that.)
        until(lambda: "trust files: failing for " not in run("status", cwd=folder).stdout)


def test_a_banner_that_cannot_be_printed_ends_no_start(folder: Path) -> None:
    """A disk that is full takes no banner: /dev/full refuses each write, as such a disk does."""
    config = folder / "quick.toml"
    config.write_text('listen = ["127.0.0.1:0"]\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = false\n')
    command = ["serve", "--config", str(config), str(folder / "lab.example.zone")]
    log = folder / "log"
    with (
        log.open("w") as stderr,
        Path("/dev/full").open("w") as full,
        Process(command, folder, QUICK, stderr, full) as process,
    ):
        try:
            until(lambda: "the banner could not be printed" in log.read_text())
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_the_end_takes_no_object_apart(tmp_path: Path) -> None:
    """Of thousands of zones, that took seconds, in which nothing bounded the end any more."""
    program = """if True:
        import atexit, sys, server.cli
        class Kept:
            def __del__(self):
                print("taken apart")
        def ended(**_):
            print("ended")
            sys.exit(3)
        server.cli.kept, server.cli.cli, sys.argv = Kept(), ended, ["signwright", "serve"]
        atexit.register(print, "tidied up")
        server.cli.main()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "ended\ntidied up\n", "")
