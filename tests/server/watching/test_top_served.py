"""The real program with workers: dig asks, `top` tells who asked, and each line of the query log is there."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from server.control.control_client import ControlClient
from server.state.directory import StateDir
from tests.processes import Serving, run, serving

ZONE = "@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n"
CONFIG = """\
listen = ["127.0.0.1:0"]
workers = 2
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = "127.0.0.1:0"
[query_log]
file = "queries.json"
mode = "0640"
[[zones]]
file = "lab.example.zone"
"""


def dig(server: Serving, *words: str) -> None:
    place = [f"@{server.address.host}", "-p", str(server.address.port)]
    subprocess.run(["dig", *place, "+tries=3", *words], check=True, capture_output=True)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_who_asks_for_what(tmp_path: Path) -> None:
    (tmp_path / "lab.example.zone").write_text(ZONE)
    (tmp_path / "quick.toml").write_text(CONFIG)
    log = tmp_path / "queries.json"
    with serving(tmp_path) as server:
        client = ControlClient(StateDir(tmp_path / "state"))
        until(lambda: client.top(5).seconds > 2)  # both workers count
        for _ in range(4):
            dig(server, "ns1.lab.example", "A", "+dnssec")
        dig(server, "no.lab.example", "TXT", "+tcp")
        until(lambda: len(lines(log)) == 5)
        until(lambda: client.top(5).queries == 5)
        top = json.loads(run("top", "--once", "--json", "--minutes", 5, cwd=tmp_path).stdout)
        found = {table: {row["key"]: row["at_least"] for row in top[table]} for table in ("names", "clients", "types")}
        assert found == {
            "names": {"ns1.lab.example.": 4, "no.lab.example.": 1},
            "clients": {"127.0.0.0/24": 5},
            "types": {"A": 4, "TXT": 1},
        }
        plain = run("top", "--by", "rcodes", cwd=tmp_path)
        assert "NXDOMAIN" in plain.stdout
        assert "\x1b" not in plain.stdout

        log.rename(tmp_path / "queries.json.1")
        assert run("reload", cwd=tmp_path).returncode == 0
        until(log.exists)
        dig(server, "ns1.lab.example", "A")
        until(lambda: len(lines(log)) == 1)
    moved = lines(tmp_path / "queries.json.1")
    assert [line["name"] for line in moved].count("ns1.lab.example.") == 4
    assert {line["client"] for line in moved} == {"127.0.0.1"}
    assert (tmp_path / "queries.json").stat().st_mode & 0o777 == 0o640
