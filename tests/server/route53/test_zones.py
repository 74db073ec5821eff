"""Hosted zones through boto3: each call, and each error of its model that can occur."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keys.custody.state_database import DATABASE
from tests.server.route53.served import NAME_SERVERS, Api, served


async def test_a_zone_is_made_told_and_taken_away(api: Api) -> None:
    made = await api(
        "create_hosted_zone", Name="Lab.Example", CallerReference="one", HostedZoneConfig={"Comment": "why <not>"}
    )
    zone = made["HostedZone"]
    zone_id = zone["Id"].removeprefix("/hostedzone/")
    assert zone == {
        "Id": f"/hostedzone/{zone_id}",
        "Name": "lab.example.",
        "CallerReference": "one",
        "Config": {"Comment": "why <not>", "PrivateZone": False},
        "ResourceRecordSetCount": 2,
    }
    assert made["DelegationSet"] == {"NameServers": list(NAME_SERVERS)}
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["Location"] == f"{api.endpoint}/2013-04-01/hostedzone/{zone_id}"
    assert made["ChangeInfo"]["Status"] == "PENDING"
    change = await api("get_change", Id=made["ChangeInfo"]["Id"])
    assert change["ChangeInfo"] == {**made["ChangeInfo"], "Status": "INSYNC"}
    assert (await api("get_hosted_zone", Id=zone_id))["HostedZone"] == zone
    renamed = await api("update_hosted_zone_comment", Id=zone_id, Comment="because")
    assert renamed["HostedZone"]["Config"]["Comment"] == "because"
    renamed = await api("update_hosted_zone_comment", Id=zone_id)
    assert renamed["HostedZone"]["Config"] == {"PrivateZone": False}
    gone = await api("delete_hosted_zone", Id=zone_id)
    assert (await api("get_change", Id=gone["ChangeInfo"]["Id"]))["ChangeInfo"]["Status"] == "INSYNC"
    assert (await api.error("get_hosted_zone", Id=zone_id))[:2] == ("NoSuchHostedZone", 404)


async def test_a_reference_is_used_once_and_a_name_too(api: Api) -> None:
    await api("create_hosted_zone", Name="lab.example", CallerReference="one")
    again = {"Name": "lab.example", "CallerReference": "one"}
    assert (await api.error("create_hosted_zone", **again))[:2] == ("HostedZoneAlreadyExists", 409)
    other = {"Name": "other.example", "CallerReference": "one"}
    assert (await api.error("create_hosted_zone", **other))[:2] == ("HostedZoneAlreadyExists", 409)
    same_name = {"Name": "LAB.example.", "CallerReference": "two"}
    assert (await api.error("create_hosted_zone", **same_name))[:2] == ("ConflictingDomainExists", 400)


@pytest.mark.parametrize(
    ("params", "code", "status"),
    [
        ({"Name": "a..b"}, "InvalidDomainName", 400),
        ({"Name": "."}, "InvalidDomainName", 400),
        ({"Name": "*.example"}, "InvalidDomainName", 400),
        ({"Name": "\\052.example"}, "InvalidDomainName", 400),
        ({"Name": "a*.example"}, "InvalidDomainName", 400),
        ({"Name": "x" * 64 + ".example"}, "InvalidDomainName", 400),
        ({"Name": "a.example", "VPC": {"VPCRegion": "us-east-1", "VPCId": "vpc-1"}}, "InvalidVPCId", 400),
        ({"Name": "a.example", "HostedZoneConfig": {"PrivateZone": True}}, "InvalidInput", 400),
        ({"Name": "a.example", "DelegationSetId": "N1"}, "NoSuchDelegationSet", 400),
        ({"Name": "x" * 1025}, "InvalidInput", 400),
        ({"Name": "a.example", "HostedZoneConfig": {"Comment": "x" * 257}}, "InvalidInput", 400),
    ],
)
async def test_zones_that_are_not_made(api: Api, params: dict[str, object], code: str, status: int) -> None:
    assert (await api.error("create_hosted_zone", CallerReference="r", **params))[:2] == (code, status)


@pytest.mark.parametrize("operation", ["get_hosted_zone", "delete_hosted_zone", "update_hosted_zone_comment"])
async def test_a_zone_that_is_not_there(api: Api, operation: str) -> None:
    code, status, message = await api.error(operation, Id="Z0123456789ABCDEFGHIJ")
    assert (code, status) == ("NoSuchHostedZone", 404)
    assert message == "No hosted zone found with ID: Z0123456789ABCDEFGHIJ"
    code, status, message = await api.error(operation, Id="Z" * 33)
    assert (code, status) == ("InvalidInput", 400)
    assert "Member must have length less than or equal to 32" in message


async def test_a_zone_with_records_or_keys_is_not_deleted(api: Api) -> None:
    zone_id = await api.create()
    record = {"Name": "a.lab.example", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    for action in ("CREATE", "DELETE"):
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        await api("change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch=batch)
        if action == "CREATE":
            assert await api.error("delete_hosted_zone", Id=zone_id) == (
                "HostedZoneNotEmpty",
                400,
                "The specified hosted zone contains non-required resource record sets and so cannot be deleted.",
            )
    await api(
        "create_key_signing_key",
        CallerReference="1",
        HostedZoneId=zone_id,
        KeyManagementServiceArn=await api.key(),
        Name="one",
        Status="INACTIVE",
    )
    assert await api.error("delete_hosted_zone", Id=zone_id) == (
        "HostedZoneNotEmpty",
        400,
        "The specified hosted zone contains DNSSEC Key Signing Keys and so cannot be deleted.",
    )


async def test_zones_are_listed_in_pages(api: Api) -> None:
    made = {await api.create(f"{name}.example") for name in "abcde"}
    assert (await api("get_hosted_zone_count"))["HostedZoneCount"] == 6
    pages: list[list[str]] = []
    marker: dict[str, str] = {}
    while True:
        page = await api("list_hosted_zones", MaxItems="2", **marker)
        assert page["MaxItems"] == "2"
        assert page.get("Marker") == marker.get("Marker")
        pages.append([zone["Id"] for zone in page["HostedZones"]])
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["NextMarker"]}
    assert [len(page) for page in pages] == [2, 2, 2]
    listed = [zone_id for page in pages for zone_id in page]
    assert made < set(listed)
    assert listed == sorted(listed)
    everything = await api("list_hosted_zones")
    assert (everything["IsTruncated"], everything["MaxItems"]) == (False, "100")
    assert [zone["Id"] for zone in everything["HostedZones"]] == listed
    assert (await api("list_hosted_zones", MaxItems="1000"))["MaxItems"] == "100"
    assert (await api("list_hosted_zones", HostedZoneType="PrivateHostedZone"))["HostedZones"] == []


@pytest.mark.parametrize(
    ("params", "code", "status"),
    [
        ({"MaxItems": "x"}, "InvalidInput", 400),
        ({"MaxItems": "0"}, "InvalidInput", 400),
        ({"MaxItems": "-1"}, "InvalidInput", 400),
        ({"MaxItems": "٣"}, "InvalidInput", 400),
        ({"Marker": "Z" * 65}, "InvalidInput", 400),
        ({"DelegationSetId": "N1"}, "NoSuchDelegationSet", 400),
        ({"HostedZoneType": "PublicHostedZone"}, "InvalidInput", 400),
    ],
)
async def test_lists_that_are_refused(api: Api, params: dict[str, str], code: str, status: int) -> None:
    assert (await api.error("list_hosted_zones", **params))[:2] == (code, status)


async def test_zones_are_listed_by_name_from_the_last_label_on(api: Api) -> None:
    for name in ("b.example", "a.example", "example", "z.aaa", "a.b.example"):
        await api.create(name)
    wanted = ["z.aaa.", "example.", "a.example.", "b.example.", "a.b.example.", "file.example."]
    everything = await api("list_hosted_zones_by_name")
    assert [zone["Name"] for zone in everything["HostedZones"]] == wanted
    assert "DNSName" not in everything
    page = await api("list_hosted_zones_by_name", DNSName="A.example", MaxItems="2")
    assert [zone["Name"] for zone in page["HostedZones"]] == wanted[2:4]
    assert (page["DNSName"], page["IsTruncated"], page["NextDNSName"]) == ("A.example", True, wanted[4])
    following = await api(
        "list_hosted_zones_by_name", DNSName=page["NextDNSName"], HostedZoneId=page["NextHostedZoneId"]
    )
    assert [zone["Name"] for zone in following["HostedZones"]] == wanted[4:]
    assert "NextDNSName" not in following


async def test_lists_by_name_that_are_refused(api: Api) -> None:
    assert (await api.error("list_hosted_zones_by_name", DNSName="a..b"))[:2] == ("InvalidDomainName", 400)
    assert (await api.error("list_hosted_zones_by_name", HostedZoneId="Z1"))[:2] == ("InvalidInput", 400)
    assert (await api.error("list_hosted_zones_by_name", MaxItems="many"))[:2] == ("InvalidInput", 400)


async def test_a_zone_of_a_file_is_told_and_not_changed(api: Api) -> None:
    found = (await api("list_hosted_zones_by_name", DNSName="file.example"))["HostedZones"][0]
    assert found["Name"] == "file.example."
    assert found["LinkedService"]["Description"] == "Loaded from a zone file; change it there."
    zone_id = found["Id"]
    told = await api("get_hosted_zone", Id=zone_id)
    assert told["DelegationSet"]["NameServers"] == ["ns.elsewhere.test"]
    listed = (await api("list_resource_record_sets", HostedZoneId=zone_id))["ResourceRecordSets"]
    assert {(r["Name"], r["Type"]) for r in listed} >= {("www.file.example.", "A"), ("file.example.", "NS")}
    record = {"Name": "a.file.example", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    for operation, params in (
        ("change_resource_record_sets", {"HostedZoneId": zone_id, "ChangeBatch": batch}),
        ("delete_hosted_zone", {"Id": zone_id}),
        ("update_hosted_zone_comment", {"Id": zone_id, "Comment": "x"}),
    ):
        code, status, message = await api.error(operation, **params)
        assert (code, status) == ("InvalidInput", 400)
        assert "file" in message and "change it there" in message
    taken = {"Name": "file.example", "CallerReference": "r"}
    assert (await api.error("create_hosted_zone", **taken))[:2] == ("ConflictingDomainExists", 400)


# Tags


async def test_tags_are_put_and_removed(api: Api) -> None:
    zone_id = (await api.create()).removeprefix("/hostedzone/")
    tagged = {"ResourceType": "hostedzone", "ResourceId": zone_id}
    await api("change_tags_for_resource", **tagged, AddTags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": ""}])
    await api("change_tags_for_resource", **tagged, AddTags=[{"Key": "c", "Value": "3"}], RemoveTagKeys=["b", "x"])
    expected = {**tagged, "Tags": [{"Key": "a", "Value": ""}, {"Key": "c", "Value": "3"}]}
    assert (await api("list_tags_for_resource", **tagged))["ResourceTagSet"] == expected
    other = (await api.create("other.example")).removeprefix("/hostedzone/")
    several = await api("list_tags_for_resources", ResourceType="hostedzone", ResourceIds=[other, zone_id])
    assert several["ResourceTagSets"] == [{**tagged, "ResourceId": other, "Tags": []}, expected]


async def test_tags_that_are_refused(api: Api) -> None:
    zone_id = (await api.create()).removeprefix("/hostedzone/")
    tagged = {"ResourceType": "hostedzone", "ResourceId": zone_id}
    one = {"Key": "a", "Value": "1"}
    for params in (
        {},
        {"AddTags": [{"Value": "1"}]},
        {"AddTags": [{"Key": "aws:x", "Value": "1"}]},
        {"AddTags": [one, one]},
        {"AddTags": [one], "RemoveTagKeys": ["a"]},
        {"AddTags": [{"Key": "x" * 129, "Value": "1"}]},
        {"AddTags": [{"Key": "x", "Value": "1" * 257}]},
        {"AddTags": [{"Key": str(n), "Value": ""} for n in range(11)]},
    ):
        assert (await api.error("change_tags_for_resource", **tagged, **params))[:2] == ("InvalidInput", 400)
    for ten in range(5):
        tags = [{"Key": f"{ten}-{n}", "Value": ""} for n in range(10)]
        await api("change_tags_for_resource", **tagged, AddTags=tags)
    assert (await api.error("change_tags_for_resource", **tagged, AddTags=[one]))[0] == "InvalidInput"
    await api("change_tags_for_resource", **tagged, AddTags=[one], RemoveTagKeys=["0-0"])


async def test_tags_have_the_characters_of_aws(api: Api) -> None:
    tagged = {"ResourceType": "hostedzone", "ResourceId": (await api.create()).removeprefix("/hostedzone/")}
    every = {"Key": "Größe 1_.:/=+-@", "Value": "٣ 四\u00a0_.:/=+-@"}
    await api("change_tags_for_resource", **tagged, AddTags=[every])
    assert (await api("list_tags_for_resource", **tagged))["ResourceTagSet"]["Tags"] == [every]
    for wrong in "!\"#$%&'()*,;<>?[\\]^`{|}~\t\U0001f600":
        for params in (
            {"AddTags": [{"Key": f"a{wrong}", "Value": ""}]},
            {"AddTags": [{"Key": "a", "Value": f"{wrong}a"}]},
            {"RemoveTagKeys": [f"a{wrong}"]},
        ):
            code, _, message = await api.error("change_tags_for_resource", **tagged, **params)
            assert code == "InvalidInput" and f"Invalid character {wrong!a}" in message


async def test_ids_in_calls_on_tags_have_no_path(api: Api) -> None:
    zone_id = await api.create()
    one = {"ResourceType": "hostedzone", "ResourceId": zone_id}
    several = {"ResourceType": "hostedzone", "ResourceIds": [zone_id]}
    for operation, params in (
        ("change_tags_for_resource", {**one, "RemoveTagKeys": ["a"]}),
        ("list_tags_for_resource", one),
        ("list_tags_for_resources", several),
    ):
        code, status, message = await api.error(operation, **params)
        assert (code, status) == ("InvalidInput", 400) and zone_id in message


async def test_tags_of_what_is_not_there(api: Api) -> None:
    for kind, code in (("hostedzone", "NoSuchHostedZone"), ("healthcheck", "NoSuchHealthCheck")):
        missing = {"ResourceType": kind, "ResourceId": "Z1"}
        assert (await api.error("list_tags_for_resource", **missing))[:2] == (code, 404)
        assert (await api.error("change_tags_for_resource", **missing, RemoveTagKeys=["a"]))[:2] == (code, 404)
        several = {"ResourceType": kind, "ResourceIds": ["Z1"]}
        assert (await api.error("list_tags_for_resources", **several))[:2] == (code, 404)
    wrong = {"ResourceType": "nonsense", "ResourceId": "Z1"}
    assert (await api.error("list_tags_for_resource", **wrong))[:2] == ("InvalidInput", 400)


async def test_a_damaged_zone_is_deleted_and_made_again(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        zone = await api.create()
    with closing(sqlite3.connect(tmp_path / "world" / "state" / DATABASE)) as connection:
        connection.execute("UPDATE kept_zone SET document = X'00'")
        connection.commit()
    async with served(tmp_path) as api:
        (listed,) = [one for one in (await api("list_hosted_zones"))["HostedZones"] if one["Id"] == zone]
        assert "can't be read" in listed["Config"]["Comment"]
        gone = await api("delete_hosted_zone", Id=zone)
        assert (await api("get_change", Id=gone["ChangeInfo"]["Id"]))["ChangeInfo"]["Status"] == "INSYNC"
        assert await api.create() != zone
