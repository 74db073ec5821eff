"""What Terraform's AWS provider calls, in its order: a zone, records of all types, a key, a KSK, DNSSEC, and their end.

Each resource is read after it is written, and again in the next run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import dns.flags
import dns.message
import dns.query
import pytest
from botocore.exceptions import ClientError

from signwright.testing import RunningServer, running_server

pytestmark = pytest.mark.interop

RECORDS = {
    "A": ["192.0.2.1", "192.0.2.2"],
    "AAAA": ["2001:db8::1"],
    "CAA": ['0 issue "ca.test"'],
    "CNAME": ["other.shop.test"],
    "DS": ["1 13 2 " + "0" * 64],
    "HTTPS": ["1 . alpn=h2"],
    "MX": ["10 mail.shop.test"],
    "NAPTR": ['100 10 "u" "E2U+sip" "!^.*$!sip:info@shop.test!" .'],
    "NS": ["ns.other.test"],
    "PTR": ["other.shop.test"],
    "SPF": ['"v=spf1 -all"'],
    "SRV": ["0 5 5060 sip.shop.test"],
    "SSHFP": ["4 2 " + "ab" * 32],
    "SVCB": ["1 svc.shop.test. port=53"],
    "TLSA": ["3 1 1 " + "cd" * 32],
    "TXT": ['"one" "two"'],
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "dnssec-route53.amazonaws.com"},
            "Action": ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"],
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": "dnssec-route53.amazonaws.com"},
            "Action": "kms:CreateGrant",
            "Resource": "*",
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"},
    ],
}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(validator=True) as running:
        yield running


def insync(client: Any, answer: dict[str, Any]) -> None:
    change = answer["ChangeInfo"]["Id"].removeprefix("/change/")
    deadline = time.monotonic() + 60
    while client.get_change(Id=change)["ChangeInfo"]["Status"] != "INSYNC":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def read_zone(client: Any, zone: str) -> None:
    found = client.get_hosted_zone(Id=zone)
    assert found["HostedZone"]["Config"] == {"Comment": "Managed by Terraform", "PrivateZone": False}
    assert len(found["DelegationSet"]["NameServers"]) == 2
    assert client.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone)["ResourceTagSet"]["Tags"] == [
        {"Key": "Environment", "Value": "test"}
    ]


def record(rrtype: str) -> dict[str, Any]:
    name = f"{'_443._tcp.' if rrtype == 'TLSA' else ''}{rrtype.lower()}.shop.test"
    return {"Name": name, "Type": rrtype, "TTL": 300, "ResourceRecords": [{"Value": v} for v in RECORDS[rrtype]]}


def change_record(client: Any, zone: str, action: str, rrset: dict[str, Any]) -> None:
    client.get_hosted_zone(Id=zone)
    batch = {"Comment": "Managed by Terraform", "Changes": [{"Action": action, "ResourceRecordSet": rrset}]}
    insync(client, client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch))


def read_record(client: Any, zone: str, rrset: dict[str, Any]) -> dict[str, Any] | None:
    found = client.list_resource_record_sets(
        HostedZoneId=zone, StartRecordName=rrset["Name"], StartRecordType=rrset["Type"], MaxItems="1"
    )["ResourceRecordSets"]
    same = [one for one in found if (one["Name"].rstrip("."), one["Type"]) == (rrset["Name"], rrset["Type"])]
    return same[0] if same else None


def read_key(kms: Any, key: str) -> None:
    about = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert (about["KeySpec"], about["KeyUsage"], about["Enabled"]) == ("ECC_NIST_P256", "SIGN_VERIFY", True)
    assert json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]) == POLICY
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "Environment", "TagValue": "test"}]


def ksk_of(client: Any, zone: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = client.get_dnssec(HostedZoneId=zone)["KeySigningKeys"]
    return found[0] if found else None


def is_authentic(server: RunningServer, name: str, rrtype: str) -> bool:
    host, port = server.resolver
    query = dns.message.make_query(name, rrtype, flags=dns.flags.RD | dns.flags.AD)
    return bool(dns.query.udp(query, host, port=port, timeout=10).flags & dns.flags.AD)


def test_apply_and_destroy(server: RunningServer) -> None:
    client, kms = server.route53, server.kms
    env = server.env
    credentials = client._request_signer._credentials
    session = boto3.Session(credentials.access_key, credentials.secret_key, region_name="us-east-1")
    sts = session.client("sts", endpoint_url=env["AWS_ENDPOINT_URL_STS"])
    assert sts.get_caller_identity()["Account"] == "000000000000"
    sts.close()

    made = client.create_hosted_zone(
        Name="shop.test",
        CallerReference="terraform-20261201000000000000000001",
        HostedZoneConfig={"Comment": "Managed by Terraform"},
    )
    insync(client, made)
    zone = made["HostedZone"]["Id"].removeprefix("/hostedzone/")
    tags = [{"Key": "Environment", "Value": "test"}]
    client.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=tags)
    read_zone(client, zone)

    delegation = {**record("NS"), "Name": "ds.shop.test"}
    for rrset in [delegation, *map(record, RECORDS)]:
        change_record(client, zone, "CREATE", rrset)
        found = read_record(client, zone, rrset)
        assert found is not None
        assert found["ResourceRecords"] == rrset["ResourceRecords"]

    key = kms.create_key(
        KeySpec="ECC_NIST_P256",
        KeyUsage="SIGN_VERIFY",
        Policy=json.dumps(POLICY),
        BypassPolicyLockoutSafetyCheck=False,
        MultiRegion=False,
        Tags=[{"TagKey": "Environment", "TagValue": "test"}],
    )["KeyMetadata"]
    read_key(kms, key["KeyId"])
    insync(
        client,
        client.create_key_signing_key(
            CallerReference="terraform-20261201000000000000000002",
            HostedZoneId=zone,
            KeyManagementServiceArn=key["Arn"],
            Name="shop_ksk",
            Status="ACTIVE",
        ),
    )
    ksk = ksk_of(client, zone)
    assert ksk is not None
    assert (ksk["Status"], ksk["KmsArn"]) == ("ACTIVE", key["Arn"])
    insync(client, client.enable_hosted_zone_dnssec(HostedZoneId=zone))
    assert client.get_dnssec(HostedZoneId=zone)["Status"]["ServeSignature"] == "SIGNING"
    assert is_authentic(server, "txt.shop.test", "TXT")

    # The next run reads all of it, and finds nothing to do.
    read_zone(client, zone)
    read_key(kms, key["KeyId"])
    assert all(read_record(client, zone, record(rrtype)) is not None for rrtype in RECORDS)

    insync(client, client.disable_hosted_zone_dnssec(HostedZoneId=zone))
    insync(client, client.deactivate_key_signing_key(HostedZoneId=zone, Name="shop_ksk"))
    insync(client, client.delete_key_signing_key(HostedZoneId=zone, Name="shop_ksk"))
    assert ksk_of(client, zone) is None
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "PendingDeletion"
    for rrset in [*map(record, RECORDS), delegation]:
        change_record(client, zone, "DELETE", rrset)
        assert read_record(client, zone, rrset) is None
    client.list_resource_record_sets(HostedZoneId=zone)
    insync(client, client.delete_hosted_zone(Id=zone))
    with pytest.raises(ClientError, match="NoSuchHostedZone"):
        client.get_hosted_zone(Id=zone)
