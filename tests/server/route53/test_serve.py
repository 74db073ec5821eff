"""The API of `signwright serve`: boto3 in a process of its own, which knows the two AWS files and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest

from tests.processes import Serving, serving
from tests.server.route53.served import certificate

CONFIG = """\
listen = ["127.0.0.1:0"]
[kms]
emulator = "127.0.0.1:0"
region = "eu-west-1"
[route53]
listen = "127.0.0.1:0"
name_servers = ["NS.Hosting.Example."]
[route53.users]
audit = "read-only"
deploy = "full"
"""
MAKE = """
import boto3, json, sys
from botocore.exceptions import ClientError
client = boto3.Session(profile_name=sys.argv[1]).client("route53")
try:
    made = client.create_hosted_zone(Name=sys.argv[2], CallerReference=sys.argv[2])
    address = {"Name": "www." + sys.argv[2], "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": address}]}
    client.change_resource_record_sets(HostedZoneId=made["HostedZone"]["Id"], ChangeBatch=batch)
except ClientError as error:
    print(json.dumps(error.response["Error"]["Code"]))
else:
    print(json.dumps(made["DelegationSet"]["NameServers"]))
client.close()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "quick.toml").write_text(CONFIG)
    return tmp_path


def make(folder: Path, profile: str, zone: str, **variables: str) -> Any:
    aws = folder / "state" / "aws"
    assert (aws / "credentials").stat().st_mode & 0o777 == 0o600
    environment = {
        "AWS_CONFIG_FILE": str(aws / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(aws / "credentials"),
        "PATH": os.environ["PATH"],
        **variables,
    }
    run = subprocess.run(
        [sys.executable, "-c", MAKE, profile, zone], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def address_of(server: Serving, name: str) -> list[str]:
    query = dns.message.make_query(name, "A")
    response = dns.query.udp(query, server.address.host, port=server.address.port, timeout=60)
    return [rdata.to_text() for rrset in response.answer for rdata in rrset]


def test_a_zone_is_made_by_who_may_and_answered(folder: Path) -> None:
    with serving(folder) as server:
        url = next(line.strip() for line in server.banner if re.fullmatch(r"  http://127\.0\.0\.1:\d+", line))
        assert url in (folder / "state" / "aws" / "config").read_text()
        assert make(folder, "default", "one.example") == ["ns.hosting.example"]
        assert make(folder, "deploy", "two.example") == ["ns.hosting.example"]
        assert make(folder, "audit", "three.example") == "AccessDenied"
        assert make(folder, "signwright-service", "three.example") == "InvalidClientTokenId"
        assert address_of(server, "www.one.example") == address_of(server, "www.two.example") == ["192.0.2.1"]
        secrets = re.findall(r"aws_secret_access_key = (\S+)", (folder / "state" / "aws" / "credentials").read_text())
        assert len(secrets) == 4
        assert not any(secret in server.log for secret in secrets)
    with serving(folder) as server:
        assert address_of(server, "www.one.example") == ["192.0.2.1"]
        assert make(folder, "deploy", "three.example") == ["ns.hosting.example"]


def test_over_tls(folder: Path) -> None:
    files = certificate(folder)
    text = CONFIG.replace("[route53]", f'[route53]\ntls_certificate = "{files[0].name}"\ntls_key = "{files[1].name}"')
    (folder / "quick.toml").write_text(text)
    with serving(folder) as server:
        assert any(line.startswith("  https://127.0.0.1:") for line in server.banner)
        made = make(folder, "deploy", "one.example", AWS_CA_BUNDLE=str(files[0]))
        assert made == ["ns.hosting.example"]
        assert address_of(server, "www.one.example") == ["192.0.2.1"]


def test_switched_off_it_is_not_there(folder: Path) -> None:
    with serving(folder):
        assert "route_53" in (folder / "state" / "aws" / "config").read_text()
    text = CONFIG.partition("[route53]")[0] + "[route53]\nlisten = false\n"
    (folder / "quick.toml").write_text(text)
    zone = folder / "lab.example.zone"
    zone.write_text("@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n")
    with serving(folder, zone) as server:
        assert not any("Route 53" in line for line in server.banner)
        assert "route_53" not in (folder / "state" / "aws" / "config").read_text()
