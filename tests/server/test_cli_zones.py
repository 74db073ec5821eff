"""Several zones as people see them, a parent and its children among them: a real server, and what commands print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.processes import run, serving

ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""
PARENT = ZONE + "child 300 NS ns1.child\nns1.child 300 A 192.0.2.1\n"
CONFIG = """\
listen = ["127.0.0.1:0"]
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = "127.0.0.1:0"
"""


def configure(folder: Path, *origins: str) -> None:
    zones = "".join(f'[[zones]]\nfile = "{origin}.zone"\n' for origin in origins)
    (folder / "quick.toml").write_text(CONFIG + zones)
    for origin in origins:
        file = folder / f"{origin}.zone"
        if not file.exists():
            file.write_text(PARENT if origin == "lab.example" else ZONE)


def zones(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("status", "--json", cwd=folder).stdout)["zones"]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    configure(tmp_path, "zz.example", "child.lab.example", "lab.example", "b.zz.example")
    return tmp_path


def test_zones_stand_in_canonical_order_and_children_below_their_parents(folder: Path) -> None:
    with serving(folder) as server:
        order = ["lab.example.", "child.lab.example.", "zz.example.", "b.zz.example."]
        assert [zone["origin"] for zone in zones(folder)] == order
        assert ", ".join(order) in run("ds", "other.example", cwd=folder).stderr
        config = (folder / "state/trust/unbound.conf").read_text()
        assert [line.split('"')[1] for line in config.splitlines() if line.startswith("    name:")] == order
        assert "Traceback" not in server.log


def test_the_times_of_events_never_go_back(folder: Path) -> None:
    with serving(folder):
        events = json.loads(run("events", "lab.example", "--json", cwd=folder).stdout)
    times = [event["at"] for event in events]
    assert len(times) > 5
    assert times == sorted(times)


def test_a_reload_says_what_was_added(folder: Path) -> None:
    configure(folder, "lab.example", "bad.example")
    file = folder / "bad.example.zone"
    file.write_text("no zone\n")
    with serving(folder):
        configure(folder, "lab.example", "bad.example", "child.lab.example")
        said = run("reload", cwd=folder)
        assert (said.returncode, said.stdout.splitlines()[::2]) == (
            4,
            ["lab.example. unchanged serial 1", "child.lab.example. added serial 1"],
        )
        configure(folder, "bad.example", "child.lab.example")
        file.write_text(ZONE)
        assert run("reload", cwd=folder).stdout.splitlines() == [
            "lab.example. removed",
            "bad.example. added serial 1",
            "child.lab.example. unchanged serial 1",
        ]
        (folder / "child.lab.example.zone").write_text(ZONE.replace(" 1 ", " 2 "))
        assert run("reload", cwd=folder).stdout.splitlines()[-1] == "child.lab.example. replaced serial 2"
