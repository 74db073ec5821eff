"""A restart on sockets that the service manager holds: every query that comes meanwhile is answered.

How long it may take is not said here: `scripts/restarts` measures that, with an interpreter of its own each time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.held_sockets.holder import Holder
from tests.held_sockets.load import Load, put_on
from tests.processes import QUICK, Serving, ready
from tests.warm import Process

ZONE = "$TTL 60\n@ SOA ns h 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\nwww A 192.0.2.1\n"
CONFIG = '[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = false\n'
QUESTIONS = [("lab.example", "SOA"), ("www.lab.example", "A"), *((f"absent-{n}.lab.example", "A") for n in range(8))]


@contextmanager
def serving(folder: Path, holder: Holder, *arguments: str) -> Iterator[Serving]:
    """A server on the sockets of `holder`."""
    command = ["serve", "--config", "s.toml", "lab.example.zone", *arguments]
    with (folder / "log").open("a") as stderr:
        env = {**QUICK, **holder.environment()}
        with Process(command, folder, env, stderr, passed=holder.sockets) as process:
            try:
                yield Serving(process, ready(process), folder / "log")
            finally:
                process.kill()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_restart_loses_no_query(tmp_path: Path, workers: str) -> None:
    with Holder() as holder:
        (tmp_path / "lab.example.zone").write_text(ZONE)
        (tmp_path / "s.toml").write_text(f'listen = ["{holder.address}"]\n{CONFIG}')
        begun, over, all_answered = (threading.Event() for _ in range(3))
        loads: list[Load] = []

        def ask() -> None:
            begun.set()
            loads.append(put_on(holder.address, QUESTIONS, 200, over.is_set))
            all_answered.set()

        asking = threading.Thread(target=ask)
        with serving(tmp_path, holder, "--workers", workers) as server:
            asking.start()
            assert begun.wait(60)
            time.sleep(0.1)  # so that some queries are under way
            server.process.terminate()
            assert server.process.wait(60) == 0
        with serving(tmp_path, holder, "--workers", workers):
            over.set()
            assert all_answered.wait(60)
        asking.join()
    assert (loads[0].lost, loads[0].wrong) == (0, ())
    assert loads[0].asked > 20


def test_a_socket_that_no_setting_wants_is_named(tmp_path: Path) -> None:
    with Holder() as holder, Holder() as other:
        (tmp_path / "lab.example.zone").write_text(ZONE)
        (tmp_path / "s.toml").write_text(f'listen = ["{other.address}"]\n{CONFIG}')
        with (tmp_path / "log").open("w") as stderr:
            command = ["serve", "--config", "s.toml", "--state", "state", "lab.example.zone"]
            for sock in other.sockets:
                sock.close()
            with Process(command, tmp_path, {**QUICK, **holder.environment()}, stderr, passed=holder.sockets) as server:
                assert server.wait(60) == 5
    assert (
        f"passes UDP {holder.address} (dns), which does not belong to the setting listen"
        in (tmp_path / "log").read_text()
    )
