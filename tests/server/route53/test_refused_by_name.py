"""The table of docs/route53.md: what Route 53 has and this server lacks is refused, each call by the error there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.server.route53.served import Api

PAGE = Path(__file__).parents[3] / "docs" / "route53.md"
UUID = "00000000-0000-0000-0000-000000000000"
VPC = {"VPC": {"VPCId": "vpc-1", "VPCRegion": "us-east-1"}}
OF_CALL: dict[str, tuple[str, dict[str, Any]]] = {
    "CreateHealthCheck": ("create_health_check", {"CallerReference": "1", "HealthCheckConfig": {"Type": "TCP"}}),
    "GetHealthCheck": ("get_health_check", {"HealthCheckId": "1"}),
    "CreateReusableDelegationSet": ("create_reusable_delegation_set", {"CallerReference": "1"}),
    "GetReusableDelegationSet": ("get_reusable_delegation_set", {"Id": "N1"}),
    "CreateHostedZone with DelegationSetId": (
        "create_hosted_zone",
        {"Name": "a.test", "CallerReference": "1", "DelegationSetId": "N1"},
    ),
    "CreateHostedZone with VPC": ("create_hosted_zone", {"Name": "a.test", "CallerReference": "1", **VPC}),
    "CreateHostedZone with PrivateZone": (
        "create_hosted_zone",
        {"Name": "a.test", "CallerReference": "1", "HostedZoneConfig": {"PrivateZone": True}},
    ),
    "AssociateVPCWithHostedZone": ("associate_vpc_with_hosted_zone", {"HostedZoneId": "{zone}", **VPC}),
    "CreateTrafficPolicy": ("create_traffic_policy", {"Name": "a", "Document": "{}"}),
    "GetTrafficPolicy": ("get_traffic_policy", {"Id": UUID, "Version": 1}),
    "CreateTrafficPolicyInstance": (
        "create_traffic_policy_instance",
        {"HostedZoneId": "{zone}", "Name": "a", "TTL": 1, "TrafficPolicyId": UUID, "TrafficPolicyVersion": 1},
    ),
    "CreateQueryLoggingConfig": (
        "create_query_logging_config",
        {"HostedZoneId": "{zone}", "CloudWatchLogsLogGroupArn": "a"},
    ),
    "CreateCidrCollection": ("create_cidr_collection", {"Name": "a", "CallerReference": "1"}),
    "ListCidrLocations": ("list_cidr_locations", {"CollectionId": UUID}),
    "ListGeoLocations": ("list_geo_locations", {}),
    "GetGeoLocation": ("get_geo_location", {"CountryCode": "FR"}),
}
OF_RECORD: dict[str, dict[str, Any]] = {
    "HealthCheckId": {"HealthCheckId": UUID},
    "Failover": {"Failover": "PRIMARY"},
    "Region": {"Region": "us-east-1"},
    "GeoLocation": {"GeoLocation": {"CountryCode": "FR"}},
    "GeoProximityLocation": {"GeoProximityLocation": {"AWSRegion": "us-east-1"}},
    "CidrRoutingConfig": {"CidrRoutingConfig": {"CollectionId": UUID, "LocationName": "*"}},
}


def table() -> list[tuple[str, str]]:
    """Call or member, and error."""
    section = PAGE.read_text(encoding="utf-8").partition("## What is refused")[2].partition("\n## ")[0]
    return re.findall(r"^\| [^|]* \| `([^`]+)` \| `(\w+)` \|$", section, re.MULTILINE)


@pytest.mark.parametrize(("asked", "code"), table(), ids=str)
async def test_a_row(api: Api, asked: str, code: str) -> None:
    zone_id = (await api.create()).removeprefix("/hostedzone/")
    member = asked.removeprefix("ChangeResourceRecordSets with ")
    if member != asked:
        record = {
            "Name": "a.lab.example",
            "Type": "A",
            "TTL": 60,
            "SetIdentifier": "one",
            "ResourceRecords": [{"Value": "192.0.2.1"}],
            **OF_RECORD[member],
        }
        batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        found = await api.error("change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch=batch)
    else:
        operation, params = OF_CALL[asked]
        params = {name: zone_id if value == "{zone}" else value for name, value in params.items()}
        found = await api.error(operation, **params)
    assert found[0] == code, found


def test_the_table_is_whole() -> None:
    rows = [asked.removeprefix("ChangeResourceRecordSets with ") for asked, _ in table()]
    assert sorted(rows) == sorted([*OF_CALL, *OF_RECORD])
