"""The parent's NS records against the zone's own, at a real parent: a server of ours, and NSD."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import pytest

from server.net.addresses import Address
from server.net.listen import bind
from tests.processes import run, serving

SOA = "@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300\n"
PARENT = f"""\
{SOA}@ 300 NS ns1
ns1 300 A 192.0.2.1
child 300 NS ns1.child
child 300 NS NS2.child
ns1.child 300 A 192.0.2.2
ns2.child 300 A 192.0.2.3
"""
CHILD = f"{SOA}@ 300 NS ns1\nns1 300 A 192.0.2.2\nns2 300 A 192.0.2.3\n"
CONFIG = """\
listen = ["127.0.0.1:0"]
[kms]
emulator = "127.0.0.1:0"
[policy]
parent_check = "1s"
[[zones]]
file = "child.lab.example.zone"
parent = "{parent}"
"""
NSD = """\
server:
    ip-address: {address.host}@{address.port}
    zonesdir: "{folder}"
    database: ""
    pidfile: ""
    xfrdfile: "{folder}/xfrd.state"
    zonelistfile: "{folder}/zone.list"
    xfrdir: "{folder}"
    username: ""
    server-count: 1
remote-control:
    control-enable: no
zone:
    name: lab.example
    zonefile: lab.example.zone
"""


@contextmanager
def ours(folder: Path) -> Iterator[Address]:
    with serving(folder, "lab.example.zone") as server:
        yield server.address


@contextmanager
def nsd(folder: Path) -> Iterator[Address]:
    program = shutil.which("nsd") or shutil.which("nsd", path="/usr/sbin")
    if program is None:
        pytest.skip("no nsd on the PATH: apt-get install nsd")
    pair = bind(Address("127.0.0.1", 0))
    pair.udp.close()
    pair.tcp.close()
    (folder / "nsd.conf").write_text(NSD.format(address=pair.address, folder=folder))
    with (folder / "nsd.log").open("w") as log:
        process = subprocess.Popen([program, "-d", "-c", str(folder / "nsd.conf")], stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(pair.address), (folder / "nsd.log").read_text)
        yield pair.address
    finally:
        process.terminate()
        process.wait(60)


def answers(address: Address) -> bool:
    try:
        query = dns.message.make_query("lab.example", "SOA")
        return bool(dns.query.tcp(query, address.host, port=address.port, timeout=5).answer)
    except (OSError, EOFError, dns.exception.DNSException):
        return False


def wait_until(true: Callable[[], bool], otherwise: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.1)


@pytest.mark.parametrize("parent", [ours, pytest.param(nsd, marks=pytest.mark.interop)])
def test_name_servers_that_differ_from_the_parents_are_a_warning_until_they_are_equal(
    tmp_path: Path, parent: Callable[[Path], Any]
) -> None:
    above, below = tmp_path / "parent", tmp_path / "child"
    above.mkdir()
    below.mkdir()
    (above / "lab.example.zone").write_text(PARENT)
    (below / "child.lab.example.zone").write_text(CHILD)
    with parent(above) as address:
        (below / "quick.toml").write_text(CONFIG.format(parent=address))
        with serving(below) as server:

            def status() -> Any:
                return json.loads(run("status", "--json", cwd=below).stdout)

            def codes() -> list[str]:
                return [step["code"] for step in status()["todo"] if step["level"] == "warning"]

            wait_until(lambda: "ns-mismatch" in codes(), status)
            (zone,) = status()["zones"]
            assert zone["parent_ds"]["state"] == "absent"
            assert zone["parent_ds"]["parent_ns"] == ["ns1.child.lab.example.", "ns2.child.lab.example."]
            assert zone["parent_ds"]["zone_ns"] == ["ns1.child.lab.example."]
            told = run("status", cwd=below)
            assert told.returncode == 1
            assert told.stdout.startswith(
                "WARNING: the parent delegates child.lab.example. to ns1.child.lab.example., ns2"
            )
            assert "the parent's NS has changed" in server.log
            (below / "child.lab.example.zone").write_text(CHILD.replace("1 7200", "2 7200") + "@ 300 NS ns2\n")
            assert run("reload", cwd=below).returncode == 0
            wait_until(lambda: codes() == [], status)
            (zone,) = status()["zones"]
            assert (zone["parent_ds"]["parent_ns"], zone["parent_ds"]["zone_ns"]) == ([], [])
            assert "Traceback" not in server.log
