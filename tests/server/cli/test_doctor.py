"""`signwright doctor`: what is found on a host, and the exit code that it has."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from server.cli import host_checks
from server.cli.doctor import doctor
from server.cli.host_checks import buffers, clock, descriptors, disk, permissions, port
from server.cli.socket_units import held_by_systemd
from server.cli.start_check import problems
from server.net.addresses import Address
from server.net.listen import PortInUse
from server.settings.configuration import load_config
from server.state.directory import open_state


def test_a_port_that_is_held(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = Address("127.0.0.1", other.getsockname()[1])
        found = port(address, is_running=False)
        assert (found.level, "in use by another process" in found.text) == ("error", True)
        assert port(address, is_running=True).level == "ok"
    assert port(Address("127.0.0.1", 0), is_running=False).level == "ok"


def test_a_port_that_systemd_holds_for_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = Address("127.0.0.1", other.getsockname()[1])
        (tmp_path / "s.toml").write_text(f'listen = ["{address}"]\nstate = "state"\n')
        config = load_config(tmp_path / "s.toml")
        for service, level in (("other.service", "error"), ("signwright.service", "ok")):
            units = [{"listen": "/run/x", "unit": "x.socket", "activates": "signwright.service"},
                     {"listen": str(address), "unit": "x.socket", "activates": service}]  # fmt: skip
            (tmp_path / "systemctl").write_text(f"#!/bin/sh\necho '{json.dumps(units)}'\n")
            (tmp_path / "systemctl").chmod(0o700)
            monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
            held_by_systemd.cache_clear()
            assert port(address, is_running=False).level == level
            taken = [error for error in problems(tmp_path / "s.toml", config) if isinstance(error, PortInUse)]
            assert bool(taken) == (level == "error")
        (tmp_path / "systemctl").write_text("#!/bin/sh\nexit 1\n")
        held_by_systemd.cache_clear()
        assert held_by_systemd() == frozenset()
    held_by_systemd.cache_clear()


def test_systemd_resolved_is_named_where_it_holds_port_53(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(address: Address) -> None:
        raise PortInUse(f"UDP {address} is in use by another process")

    monkeypatch.setattr(host_checks, "bind", held)
    (tmp_path / "71").mkdir()
    (tmp_path / "71/comm").write_text("systemd-resolve\n")
    assert "DNSStubListener=no" in port(Address("127.0.0.53", 53), is_running=False, proc=tmp_path).text
    assert "DNSStubListener" not in port(Address("127.0.0.53", 5300), is_running=False, proc=tmp_path).text
    (tmp_path / "71/comm").write_text("dnsmasq\n")
    assert "DNSStubListener" not in port(Address("127.0.0.53", 53), is_running=False, proc=tmp_path).text


def test_the_clock() -> None:
    assert [clock(lambda: known).level for known in (True, False, None)] == ["ok", "warning", "warning"]  # noqa: B023


def test_descriptors(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[tcp]\nconnections = 1000\n")
    config = load_config(tmp_path / "s.toml")
    assert [descriptors(config, limit).level for limit in (-1, 65536, 1024)] == ["ok", "ok", "warning"]
    with_workers = msgspec.structs.replace(config, workers=4)
    assert descriptors(with_workers, 1024).level == "ok"  # each has a quarter of the clients


def test_buffers(tmp_path: Path) -> None:
    folder = tmp_path / "sys/net/core"
    folder.mkdir(parents=True)
    (folder / "rmem_max").write_text("212992\n")
    (folder / "wmem_max").write_text("4194304\n")
    low, high = buffers(tmp_path)
    assert (low.level, "sysctl -w net.core.rmem_max=4194304" in low.text, high.level) == ("warning", True, "ok")
    (folder / "rmem_max").unlink()
    assert [found.level for found in buffers(tmp_path)] == ["warning", "ok"]


def test_the_disk(tmp_path: Path) -> None:
    levels = [disk(tmp_path / "not/yet", lambda _: free << 20).level for free in (5000, 500, 50)]  # noqa: B023
    assert levels == ["ok", "warning", "error"]


def test_permissions(tmp_path: Path) -> None:
    zone = tmp_path / "lab.example.zone"
    config = load_config(state=tmp_path / "state", zone_arguments=[])
    assert permissions(config).level == "ok"
    with open_state(tmp_path / "state"):
        pass
    assert permissions(config).level == "ok"
    (tmp_path / "state").chmod(0o755)
    assert "chmod 0700" in permissions(config).text
    (tmp_path / "state").chmod(0o700)
    file = tmp_path / "s.toml"
    file.write_text(f'state = "state"\n[[zones]]\nfile = "{zone}"\n')
    found = permissions(load_config(file))
    assert (found.level, str(zone) in found.text) == ("error", True)


def test_the_command_ends_as_its_worst_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text('listen = ["127.0.0.1:0"]\n')
    done = CliRunner().invoke(doctor, ["--config", "s.toml", "--json"])
    found = json.loads(done.stdout)
    worst = max(("ok", "warning", "error").index(one["level"]) for one in found)
    assert done.exit_code == worst
    assert {one["name"] for one in found} == {"port", "clock", "descriptors", "permissions", "buffers", "disk"}
    lines = CliRunner().invoke(doctor, ["--config", "s.toml"]).stdout.splitlines()
    assert lines[0] == "ok port: 127.0.0.1:0 is free for UDP and TCP"
    with socket.create_server(("127.0.0.1", 0)) as other:
        (tmp_path / "s.toml").write_text(f'listen = ["127.0.0.1:{other.getsockname()[1]}"]\n')
        assert CliRunner().invoke(doctor, ["--config", "s.toml"]).exit_code == 2
