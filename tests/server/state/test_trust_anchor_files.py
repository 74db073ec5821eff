"""What is written for validators, and that they read it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dns.rdata
import pytest
import trio
from structlog.testing import capture_logs

from server.control.running_server import RunningServer
from server.net.addresses import Address
from server.settings.configuration import load_config
from server.state.directory import open_state
from server.state.trust_anchor_files import (
    ZoneTrust,
    commands,
    delv_anchors,
    ds_file,
    ds_records,
    reachable,
    trust_files,
    unbound_conf,
    write_trust,
)
from server.supervised import Supervisor
from zones.zoneset import ZoneSet

DS = bytes.fromhex("0102 0d 02") + bytes(range(32))
ZONES = [
    ZoneTrust("lab.example.", (DS, DS[:-1] + b"\xff")),
    ZoneTrust("child.lab.example.", (DS,)),
    ZoneTrust("insecure.lab.example.", signed=False),
    ZoneTrust("plain.example.", signed=False),
    ZoneTrust("new.example."),
    ZoneTrust("lab.test.", (DS,)),
    ZoneTrust("2.0.192.in-addr.arpa.", (DS,)),
    ZoneTrust("0/25.2.0.192.in-addr.arpa.", (DS,)),
]
SERVERS = [Address("127.0.0.1", 5300), Address("::1", 5300)]


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed: scripts/test installs it")
    return path


def test_ds_records_are_those_of_dnspython() -> None:
    line = ds_records(ZONES[0])[0]
    owner, ttl, rdclass, rdtype, text = line.split(None, 4)
    assert (owner, ttl) == ("lab.example.", "3600")
    assert dns.rdata.from_text(rdclass, rdtype, text).to_wire() == DS


def test_the_fragment_for_unbound() -> None:
    text = unbound_conf(ZONES[:4], SERVERS)
    digest = DS[4:].hex().upper()
    assert text == (
        "# Include this file from unbound.conf.\n"
        "server:\n"
        "    # Signwright answers on this host.\n"
        "    do-not-query-localhost: no\n"
        f'    trust-anchor: "lab.example. DS 258 13 2 {digest}"\n'
        f'    trust-anchor: "lab.example. DS 258 13 2 {digest[:-2]}FF"\n'
        f'    trust-anchor: "child.lab.example. DS 258 13 2 {digest}"\n'
        '    domain-insecure: "plain.example."\n'
        + "".join(
            f'\nstub-zone:\n    name: "{zone.origin}"\n    stub-addr: 127.0.0.1@5300\n    stub-addr: ::1@5300\n'
            for zone in ZONES[:4]
        )
        + "\nserver:\n"
    )
    assert 'local-zone: "lab.test." transparent' in unbound_conf(ZONES, SERVERS)
    assert 'local-zone: "2.0.192.in-addr.arpa." transparent' in unbound_conf(ZONES, SERVERS)


@pytest.mark.interop
@pytest.mark.parametrize("where", ["server:\n  include: {}\n  verbosity: 1\n", 'include-toplevel: "{}"\n'])
def test_unbound_reads_the_fragment_wherever_it_is_included(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "trust"
    write_trust(folder, trust_files(folder, ZONES, SERVERS))
    conf = tmp_path / "unbound.conf"
    conf.write_text(where.format(folder / "unbound.conf"))
    check = program("unbound-checkconf")
    for file in (conf, folder / "resolver.conf"):
        done = subprocess.run([check, file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    done = subprocess.run([check, "-o", "trust-anchor", conf], capture_output=True, text=True, check=False)
    assert "lab.example. DS 258 13 2" in done.stdout


@pytest.mark.interop
def test_delv_reads_the_anchors(tmp_path: Path) -> None:
    """Nothing listens where it asks; what counts is that it has no complaint about the file."""
    file = tmp_path / "anchors.delv"
    file.write_text(delv_anchors(ZONES))
    arguments = [program("delv"), "@127.0.0.1", "-p", "1", "-a", str(file), "+root=lab.example", "www.lab.example"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert "connection refused" in done.stdout + done.stderr
    file.write_text(delv_anchors(ZONES).replace("static-ds", "static-dss"))
    broken = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert "anchors.delv:3: 'static-dss' unexpected" in broken.stderr


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "trust"
    first = write_trust(folder, trust_files(folder, ZONES, SERVERS))
    assert {path.name for path in first.changed} == {
        "lab.example.ds",
        "child.lab.example.ds",
        "lab.test.ds",
        "2.0.192.in-addr.arpa.ds",
        "0%2F25.2.0.192.in-addr.arpa.ds",
        "anchors.delv",
        "unbound.conf",
        "resolver.conf",
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert write_trust(folder, trust_files(folder, ZONES, SERVERS)) == ((), ())
    fewer = write_trust(folder, trust_files(folder, [ZONES[1]], SERVERS))
    assert "resolver.conf" not in {path.name for path in fewer.changed}
    assert [path.name for path in folder.glob("*.ds")] == ["child.lab.example.ds"]


def test_the_root_has_a_name_too() -> None:
    assert ds_file(".") == "root.ds"


LONG = [
    ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61]) + ".",  # 253 characters, RFC 1035's most
    ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 60 + "e"]) + ".",
    "\\255" * 63 + ".example.",
    "\\255" * 62 + "\\254.example.",
]


def test_each_zone_has_a_file_of_its_own_whose_name_a_disk_takes(tmp_path: Path) -> None:
    origins = [*LONG, "root.", ".", "a/b.", "a%2Fb.", "%72oot.", "lab.example."]
    files = [ds_file(origin) for origin in origins]
    assert len(set(files)) == len(files)
    written = write_trust(tmp_path, dict.fromkeys(files, "x"))
    assert {path.name for path in written.changed} == set(files)
    assert not written.failed
    assert ds_file("lab.example.") == "lab.example.ds"


def test_a_file_that_cannot_be_written_keeps_no_other_from_being_so(tmp_path: Path) -> None:
    files = trust_files(tmp_path, ZONES, SERVERS)
    (tmp_path / "lab.example.ds").mkdir()
    (tmp_path / "gone.example.ds").mkdir()
    (tmp_path / "lab.test.ds").write_bytes(b"\xff\xfe of a bad disk")
    written = write_trust(tmp_path, files)
    assert {path.name for path, _ in written.failed} == {"lab.example.ds", "gone.example.ds"}
    assert all(reason == "Is a directory" for _, reason in written.failed)
    assert {path.name for path in written.changed} == {*files} - {"lab.example.ds"}
    assert (tmp_path / "lab.test.ds").read_text() == files["lab.test.ds"]


def test_a_folder_whose_path_is_no_utf_8_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"st\xe4te")
    written = write_trust(folder, trust_files(folder, ZONES, SERVERS))
    assert not written.failed
    assert b"st\xe4te/unbound.conf" in (folder / "resolver.conf").read_bytes()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "trust").write_text("in the way")
    written = write_trust(tmp_path / "trust", trust_files(tmp_path, ZONES, SERVERS))
    assert written.changed == ()
    assert [path for path, _ in written.failed] == [tmp_path / "trust"]


def test_commands_ask_the_first_address_as_a_client_names_it() -> None:
    assert reachable([Address("0.0.0.0", 53), Address("::", 53)]) == [Address("127.0.0.1", 53), Address("::1", 53)]
    paste = commands(Path("/var/my state/trust"), "lab.example.", "www.lab.example. A", [Address("::", 5300)])
    assert paste.dig == "dig @::1 -p 5300 +dnssec www.lab.example A"
    assert paste.delv == ("delv @::1 -p 5300 -a '/var/my state/trust/anchors.delv' +root=lab.example www.lab.example A")
    assert paste.unbound == "unbound -d -c '/var/my state/trust/resolver.conf'"
    assert paste.through_unbound == "dig @127.0.0.1 -p 5301 +dnssec www.lab.example A"


async def test_what_the_disk_refused_is_a_trouble_until_it_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.control.running_server._UNTIL_WRITTEN", 0.01)
    with open_state(tmp_path / "state") as state, capture_logs() as logs:
        none: Any = None
        registry: Any = SimpleNamespace(registered={}, zoneset=ZoneSet())
        state.trust.write_text("in the way")
        _, changes = trio.open_memory_channel[None](1)
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(nursery, lambda: 0.0)
            config = load_config(state=state.path)
            running = RunningServer(config, none, state, none, registry, SERVERS, "", supervisor=supervisor)
            assert not await running.write_trust()
            (trouble,) = running.status().troubles
            assert trouble.what == "trust files"
            assert str(state.trust) in trouble.reason
            nursery.start_soon(running.keep_trust_written, changes)  # though nothing changes any more
            state.trust.unlink()
            await until((state.trust / "anchors.delv").exists)
            await until(lambda: not running.status().troubles)
            nursery.cancel_scope.cancel()
    assert [log["event"] for log in logs] == ["failed; will retry", "works again"]


async def until(what: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not what():  # noqa: ASYNC110
            await trio.sleep(0.01)
