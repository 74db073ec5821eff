"""ACME challenges set by a client in shell, which reads the API's XML with sed: two for one name, and none is lost."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import dns.message
import dns.query
import pytest

from signwright.testing import RunningServer, running_server

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl"),
]

SCRIPT = Path(__file__).with_name("challenges.sh")
NAME = "_acme-challenge.www.shop.test"


def shell(server: RunningServer, action: str, value: str) -> None:
    credentials = configparser.ConfigParser(interpolation=None)
    credentials.read(server.state / "aws" / "credentials")
    root = credentials["default"]
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT), action, server.env["AWS_ENDPOINT_URL_ROUTE_53"], NAME, value],
        env={
            **server.env,
            "AWS_ACCESS_KEY_ID": root["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": root["aws_secret_access_key"],
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def challenges(server: RunningServer) -> set[bytes]:
    host, port = server.dns
    answer = dns.query.udp(dns.message.make_query(NAME, "TXT"), host, port=port, timeout=10)
    return {rdata.strings[0] for rrset in answer.answer for rdata in rrset}


def test_two_challenges_come_and_go() -> None:
    with running_server() as server:
        for zone in ("test", "shop.test", "op.test"):
            server.route53.create_hosted_zone(Name=zone, CallerReference=zone)
        shell(server, "add", "first-value_0123456789")
        assert challenges(server) == {b"first-value_0123456789"}
        shell(server, "add", "second value of \\\\ kinds")
        assert challenges(server) == {b"first-value_0123456789", b"second value of \\ kinds"}
        shell(server, "remove", "first-value_0123456789")
        assert challenges(server) == set()
