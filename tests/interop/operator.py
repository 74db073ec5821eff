"""What an operator of hosted zones has at hand: boto3's clients on the files that the server writes, and delv."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.configloader import load_config

from keys.kms.ksk_key_policy import dnssec_key_policy
from tests.interop.programs import Lab
from tests.processes import Serving

ACCOUNT = "000000000000"


class Operator:
    """The account's root, at one server."""

    def __init__(self, folder: Path, server: Serving) -> None:
        self.lab = Lab(folder / "state", server)
        aws = folder / "state" / "aws"
        services = load_config(str(aws / "config"))["services"]
        (service,) = services.values()
        self.urls: dict[str, str] = {name: service[name]["endpoint_url"] for name in ("kms", "route_53")}
        keys = load_config(str(aws / "credentials"))["profiles"]["default"]
        self.access_key: tuple[str, str] = keys["aws_access_key_id"], keys["aws_secret_access_key"]
        session = boto3.Session(*self.access_key, region_name="us-east-1")
        self.kms: Any = session.client("kms", endpoint_url=self.urls["kms"])
        self.route53: Any = session.client("route53", endpoint_url=self.urls["route_53"])

    def close(self) -> None:
        """End the clients' connections."""
        self.kms.close()
        self.route53.close()

    def zone(self, name: str, **addresses: str) -> str:
        """The id of a new zone with these addresses below its apex."""
        made: str = self.route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
        changes = [
            {
                "Action": "CREATE",
                "ResourceRecordSet": {
                    "Name": f"{label}.{name}",
                    "Type": "A",
                    "TTL": 60,
                    "ResourceRecords": [{"Value": value}],
                },
            }
            for label, value in addresses.items()
        ]
        self.route53.change_resource_record_sets(HostedZoneId=made, ChangeBatch={"Changes": changes})
        return made

    def sign(self, zone_id: str, name: str = "the_ksk") -> str:
        """Have a zone signed with a new KMS key; its ARN."""
        made = self.kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Policy=dnssec_key_policy(ACCOUNT))
        arn: str = made["KeyMetadata"]["Arn"]
        self.route53.create_key_signing_key(
            CallerReference=name, HostedZoneId=zone_id, KeyManagementServiceArn=arn, Name=name, Status="ACTIVE"
        )
        self.route53.enable_hosted_zone_dnssec(HostedZoneId=zone_id)
        return arn

    def is_valid(self, owner: str, rrtype: str, root: str) -> bool:
        """Whether delv validates an answer from the anchor of the zone `root`."""
        return "; fully validated" in self.lab.delv(owner, rrtype, root=root)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what real programs do in their own time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
