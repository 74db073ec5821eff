"""What a start refuses, a running server survives: at a reload none of it ends anything, or changes an answer."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest

from tests.processes import Serving, run, runs, serving

ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""
CONFIG = """\
listen = ["127.0.0.1:0"]
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = false
[[zones]]
file = "lab.example.zone"
"""
NEW = '[[zones]]\nfile = "new.example.zone"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("lab", "new"):
        (tmp_path / f"{name}.example.zone").write_text(ZONE)
    (tmp_path / "quick.toml").write_text(CONFIG)
    return tmp_path


def goes_on(server: Serving) -> None:
    assert runs(server.process.pid)
    assert server.serial("lab.example") == 1
    assert "Traceback" not in server.log


BAD = [
    ("no TOML", "not = = toml"),
    ("an unknown setting", CONFIG + 'denail = "nsec"\n'),
    ("a bad policy", CONFIG + '[policy]\nzsk_lifetime = "1 fortnight"\n'),
    ("not UTF-8", CONFIG + "# \udcff\n"),
    ("no file", None),
]


@pytest.mark.parametrize(("what", "text"), BAD, ids=[what for what, _ in BAD])
def test_a_bad_configuration_changes_nothing(folder: Path, what: str, text: str | None) -> None:
    with serving(folder) as server:
        (folder / "quick.toml").unlink()
        if text is not None:
            (folder / "quick.toml").write_bytes(text.encode(errors="surrogateescape"))
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("not reloaded")
        assert run("reload", "--state", "state", cwd=folder).returncode == 1
        goes_on(server)
        # And it is not stuck: the next one that is right is taken.
        (folder / "quick.toml").write_text(CONFIG + NEW)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("event=reloaded")
        assert server.serial("new.example") == 1
        goes_on(server)


def test_an_address_in_use_waits_for_a_restart(folder: Path) -> None:
    with serving(folder) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        changed = CONFIG.replace('listen = ["127.0.0.1:0"]', f'listen = ["{address}"]')
        (folder / "quick.toml").write_text(changed + NEW)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("settings have changed that take a restart")
        told = run("reload", cwd=folder)
        assert told.returncode == 0
        assert "listen: changed, needs a restart" in told.stdout.splitlines()
        assert server.serial("new.example") == 1
        goes_on(server)


def test_a_state_that_no_start_would_take_ends_no_server_that_has_it(folder: Path) -> None:
    """Another one, which is locked, too new, or has another key; and its own, whose files are changed under it."""
    with serving(folder) as server:
        state = folder / "state"
        for number, other in enumerate(("state/kms", "newer", "lab.example.zone"), 1):
            (folder / "newer").mkdir(exist_ok=True)
            (folder / "newer/version").write_text("signwright state 9\n")
            (folder / "quick.toml").write_text(f'state = "{other}"\n{CONFIG}')
            server.process.send_signal(signal.SIGHUP)
            while server.log.count("settings have changed") < number:
                time.sleep(0.02)
        (state / "version").write_text("signwright state 9\n")
        (state / "state.key").write_bytes(bytes(32))
        (folder / "quick.toml").write_text(CONFIG + NEW)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for('event="publication confirmed" zone=new.example.')
        assert server.serial("new.example") == 1
        goes_on(server)
