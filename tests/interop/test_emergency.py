"""The emergency that the service's operators are told to watch for: a KMS key is disabled, noticed, and mended."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import pytest

from keys.kms.policy_document import dnssec_key_policy
from tests.interop.programs import Lab
from tests.processes import Serving, run, serving

pytestmark = pytest.mark.interop

CONFIG = """\
listen = ["127.0.0.1:0"]
metrics = "127.0.0.1:0"
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = "127.0.0.1:0"
[policy]
refresh = "2s"
[hooks]
command = ["sh", "-c", "cat >> told; echo >> told"]
"""
ZONE = "shop.test."


class World:
    """A server, and what its operator has at hand."""

    def __init__(self, folder: Path, server: Serving) -> None:
        self.folder = folder
        self.lab = Lab(folder / "state", server)
        aws = ConfigParser()
        aws.read([folder / "state" / "aws" / "config", folder / "state" / "aws" / "credentials"])
        text = (folder / "state" / "aws" / "config").read_text()
        session = boto3.Session(
            aws_access_key_id=aws["default"]["aws_access_key_id"],
            aws_secret_access_key=aws["default"]["aws_secret_access_key"],
            region_name="us-east-1",
        )
        urls = {name: re.search(rf"{name} =\s+endpoint_url = (\S+)", text) for name in ("kms", "route_53")}
        assert all(urls.values()), text
        self.kms: Any = session.client("kms", endpoint_url=urls["kms"][1])  # type: ignore[index]
        self.route53: Any = session.client("route53", endpoint_url=urls["route_53"][1])  # type: ignore[index]

    def signed_zone(self) -> tuple[str, str]:
        """The id of a zone that is signed, and the ARN of its key."""
        zone: str = self.route53.create_hosted_zone(Name=ZONE, CallerReference="1")["HostedZone"]["Id"]
        address = {"Name": f"www.{ZONE}", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
        self.route53.change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": address}]}
        )
        arn: str = self.kms.create_key(
            KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Policy=dnssec_key_policy("000000000000")
        )["KeyMetadata"]["Arn"]
        self.route53.create_key_signing_key(
            CallerReference="1",
            HostedZoneId=zone,
            KeyManagementServiceArn=arn,
            Name="shop_ksk",
            Status="ACTIVE",
        )
        self.route53.enable_hosted_zone_dnssec(HostedZoneId=zone)
        return zone, arn

    def is_valid(self) -> bool:
        """Whether delv says so."""
        answer = self.lab.delv(f"www.{ZONE}", "A", root=ZONE.rstrip("."))
        return "; fully validated" in answer

    def metric(self, name: str) -> float:
        """A metric of the zone."""
        address = json.loads(run("status", "--json", cwd=self.folder).stdout)["metrics"]
        with urlopen(address, timeout=10) as response:
            text = response.read().decode()
        value = re.search(rf'^{name}{{hosted_zone="[^}}]+}} (\S+)$', text, re.MULTILINE)
        assert value, text
        return float(value[1])

    def keys(self) -> dict[str, Any]:
        """What status says of the zone's keys."""
        zones = json.loads(run("status", "--json", cwd=self.folder).stdout)["zones"]
        (keys,) = [zone["keys"] for zone in zones if zone["origin"] == ZONE]
        assert isinstance(keys, dict)
        return keys

    def told(self) -> list[dict[str, Any]]:
        """What the hook was told."""
        file = self.folder / "told"
        return [json.loads(line) for line in file.read_text().splitlines() if line] if file.exists() else []


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_disabled_key_is_an_alarm_and_not_an_outage(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text(CONFIG)
    with serving(tmp_path) as server:
        world = World(tmp_path, server)
        zone, arn = world.signed_zone()

        def ksk() -> dict[str, Any]:
            (found,) = world.route53.get_dnssec(HostedZoneId=zone)["KeySigningKeys"]
            assert isinstance(found, dict)
            return found

        until(world.is_valid)
        assert world.metric("dnssec_key_signing_keys_needing_action") == 0

        world.kms.disable_key(KeyId=arn)
        until(lambda: ksk()["Status"] == "ACTION_NEEDED")
        assert "DisabledException" in ksk()["StatusMessage"]
        assert world.route53.get_dnssec(HostedZoneId=zone)["Status"]["ServeSignature"] == "ACTION_NEEDED"
        assert world.metric("dnssec_key_signing_keys_needing_action") == 1
        assert world.metric("dnssec_key_signing_key_max_needing_action_age_seconds") >= 0
        until(lambda: any(one["after"] == "ACTION_NEEDED" for one in world.told()))
        assert run("status", cwd=tmp_path).returncode > 0
        assert world.is_valid()

        # Rotation is asked for, and stands still.
        assert run("rollover", ZONE, cwd=tmp_path).returncode == 0
        time.sleep(3)
        keys = world.keys()
        assert keys["suspended_since"] is not None
        assert "suspended until shop_ksk can sign again" in keys["rollover"]
        assert len(keys["zsks"]) == 1
        assert world.is_valid()

        world.kms.enable_key(KeyId=arn)
        world.route53.activate_key_signing_key(HostedZoneId=zone, Name="shop_ksk")
        until(lambda: ksk()["Status"] == "ACTIVE")
        assert world.route53.get_dnssec(HostedZoneId=zone)["Status"]["ServeSignature"] == "SIGNING"
        assert world.metric("dnssec_key_signing_keys_needing_action") == 0
        until(lambda: len(world.keys()["zsks"]) == 2)
        assert world.keys()["suspended_since"] is None
        until(lambda: any(one["before"] == "ACTION_NEEDED" for one in world.told()))
        assert world.is_valid()
