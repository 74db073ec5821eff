"""What `signwright check` finds before a server would: each with the line of its setting."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path

import pytest

from server.cli.start_check import problems, remarks
from server.net.addresses import Address
from server.net.listen import CannotListen, PortInUse, way_out
from server.settings.configuration import load_config

ZONES = """\
[[zones]]
file = "a.zone"
[[zones]]
file = "b.zone"
"""
DEFAULTS = ("127.0.0.1:5300", "[::1]:5300", "127.0.0.1:5380", "127.0.0.1:5381")
NO_PORT = '[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = "127.0.0.1:0"\n'
"""The defaults may be taken on a machine where tests run."""


def found(folder: Path, text: str) -> list[str]:
    file = folder / "s.toml"
    file.write_text(text)
    before = sorted(folder.rglob("*"))
    config = load_config(file)
    told = [
        str(error)
        for error in problems(file, config)
        if not (isinstance(error, PortInUse) and any(port in str(error) for port in DEFAULTS))
    ]
    assert sorted(folder.rglob("*")) == before  # nothing is made
    return [one.removeprefix(str(folder) + "/") for one in told]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('listen = ["192.0.2.1:53"]\n', "s.toml:1: listen: cannot listen on UDP 192.0.2.1:53: Cannot assign"),
        ('state = "."\n', "s.toml:1: state: {folder} is not a state directory: it contains other files (newer)"),
        (
            'state = "plain"\n',
            "s.toml:1: state: {folder}/plain cannot be the state directory: it is a file; choose another path",
        ),
        ('state = "newer"\n', "s.toml:1: state: {folder}/newer has state version 9"),
        ('state = "%s"\n' % ("x" * 100), "s.toml:1: state: the path of the control socket"),
        (
            '[route53]\ntls_certificate = "c.pem"\ntls_key = "k.pem"\n',
            "s.toml:2: route53.tls_certificate: {folder}/c.pem cannot be read: No such file or directory",
        ),
        (
            '[kms]\nendpoint = "https://kms.example"\nprofile = "nobody"\n',
            "s.toml:3: kms.profile: InvalidConfiguration: ProfileNotFound: ",
        ),
        (
            '[query_log]\nfile = "none/q.json"\n',
            "s.toml:2: query_log.file: folder {folder}/none does not exist; create it",
        ),
        ('[hooks]\ncommand = ["./none"]\n', "s.toml:2: hooks.command: there is no program {folder}/none"),
        ('[hooks]\ncommand = ["./plain"]\n', "s.toml:2: hooks.command: {folder}/plain may not be executed"),
        ('[hooks]\ncommand = ["no-such-program"]\n', "s.toml:2: hooks.command: there is no program no-such-program on"),
    ],
)
def test_a_start_would_fail(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plain").touch(mode=0o600)
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer/version").write_text("signwright state 9\n")
    (told,) = found(tmp_path, text + ZONES)
    assert told.startswith(message.replace("{folder}", str(tmp_path)))


def test_a_start_would_not_fail(tmp_path: Path) -> None:
    assert found(tmp_path, '[hooks]\ncommand = ["sh"]\n' + ZONES) == []


def test_a_lifetime_shorter_than_a_rollover_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('[policy]\nzsk_lifetime = "1m"\n' + ZONES + 'policy = { zsk_lifetime = "9h" }\n')
    general, of_zone = remarks(file, load_config(file))
    assert general.startswith(f"{file}:2: policy.zsk_lifetime: warning: a rollover takes 33000 s and ")
    assert of_zone.startswith(f"{file}:7: zones[1].policy.zsk_lifetime: warning: a rollover takes 33000 s and ")
    file.write_text(ZONES + 'policy = { zsk_lifetime = "10h" }\n')
    assert list(remarks(file, load_config(file))) == []


def test_a_port_that_another_program_has_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        text = f'listen = ["{address}"]\n' + NO_PORT + ZONES
        (told,) = found(tmp_path, text)
        assert told == (
            f"s.toml:1: listen: UDP {address} is in use by another process: "
            "end it, or listen elsewhere with the setting listen"
        )
        # One that the server of this state has is free once it is restarted.
        state = tmp_path / "state"
        state.mkdir()
        (state / "version").write_text("signwright state 1\n")
        (state / "lock").write_text(f"{os.getpid()}\n")
        (state / "server.json").write_text(json.dumps({"pid": os.getpid(), "dns": [address], "kms": None}))
        assert found(tmp_path, text) == []
        (state / "server.json").write_text(json.dumps({"pid": os.getpid(), "dns": ["127.0.0.1:1"]}))
        assert len(found(tmp_path, text)) == 1
        (state / "server.json").unlink()  # of an earlier version, which does not say where it listens
        assert found(tmp_path, text) == []


def test_a_port_that_takes_a_capability_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(address: Address, *, udp: bool, where: str) -> None:
        if not address.port:
            return
        reason = f"cannot listen: {way_out(address, OSError(errno.EACCES, 'Permission denied'), where)}"
        raise CannotListen(reason)

    monkeypatch.setattr("server.cli.start_check.check_free", refused)
    text = 'listen = ["127.0.0.1:53"]\n' + NO_PORT + ZONES
    file = tmp_path / "s.toml"
    file.write_text(text)
    told = next(remarks(file, load_config(file)))
    assert told.startswith(f"{file}:1: listen: warning: cannot listen: : a port below 1024 takes the capability")
    assert [error for error in problems(file, load_config(file)) if isinstance(error, CannotListen)] == []
