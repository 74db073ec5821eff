"""What systemd hears: datagrams to NOTIFY_SOCKET."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from trio.testing import MockClock

from server.service_manager import keep_alive, notify
from tests.processes import QUICK, serving

UNIT = Path(__file__).parents[2] / "docs" / "signwright.service"


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[socket.socket, str]:
    """A socket that hears, and its address as NOTIFY_SOCKET has it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)
    request.addfinalizer(sock.close)
    if request.param == "abstract":
        name = f"signwright-test-{os.getpid()}"
        sock.bind(f"\0{name}")
        return sock, f"@{name}"
    folder = TemporaryDirectory()
    request.addfinalizer(folder.cleanup)
    path = f"{folder.name}/notify"
    sock.bind(path)
    return sock, path


def heard(sock: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(sock.recv(1000).decode())
        except BlockingIOError:
            return found


def test_it_is_told(manager: tuple[socket.socket, str]) -> None:
    sock, address = manager
    notify("READY=1", {"NOTIFY_SOCKET": address})
    assert heard(sock) == ["READY=1"]


def test_nobody_who_listens_is_no_failure(tmp_path: Path) -> None:
    for address in ("", "relative", str(tmp_path / "gone")):
        notify("READY=1", {"NOTIFY_SOCKET": address})


async def test_signs_of_life(manager: tuple[socket.socket, str], autojump_clock: MockClock) -> None:
    sock, address = manager
    wanted = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"}
    with trio.move_on_after(59):
        await keep_alive(wanted)
    assert heard(sock) == ["WATCHDOG=1"] * 3
    for other in ({"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_PID": "1"}):
        await keep_alive({**wanted, **other})
    assert heard(sock) == []


def test_a_server_says_when_it_is_ready_and_when_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.example.zone").write_text("$TTL 60\n@ SOA ns h 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n")
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"{folder}/notify")
        sock.setblocking(False)
        monkeypatch.setitem(QUICK, "NOTIFY_SOCKET", f"{folder}/notify")
        monkeypatch.setitem(QUICK, "WATCHDOG_USEC", "60000000")
        with serving(tmp_path, "lab.example.zone") as server:
            sock.setblocking(True)
            sock.settimeout(60)
            said = [sock.recv(1000).decode(), sock.recv(1000).decode()]
            assert said == ["WATCHDOG=1", "READY=1"]
            server.process.send_signal(15)
            assert server.process.wait(60) == 0
        sock.setblocking(False)
        assert "STOPPING=1" in heard(sock)


def test_the_unit_waits_for_what_is_sent_and_is_well_shut_in() -> None:
    text = UNIT.read_text()
    for line in ("Type=notify", "WatchdogSec=60", "RestartPreventExitStatus=2 4 5 6 7", "StartLimitIntervalSec=0"):
        assert f"\n{line}\n" in text
    assert "useradd --system" in text
    assert "systemctl enable --now signwright" in text


@pytest.mark.interop
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_the_exposure_of_the_unit() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(UNIT)], capture_output=True, text=True, check=False
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= 2.0


@pytest.mark.interop
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_takes_the_units() -> None:
    units = [str(UNIT), str(UNIT.with_suffix(".socket"))]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    # The program itself is not installed here.
    said = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert [line for line in said if "signwright" in line] == []
