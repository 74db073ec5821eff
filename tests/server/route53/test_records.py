"""Record sets through boto3: each call, and each error of its model that can occur."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.route53.served import Api


def record(name: str, rrtype: str, *values: str, ttl: int = 60, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": rrtype, "TTL": ttl, "ResourceRecords": [{"Value": v} for v in values], **more}


def batch(*changes: tuple[str, dict[str, Any]], comment: str | None = None) -> dict[str, Any]:
    items = [{"Action": action, "ResourceRecordSet": record_set} for action, record_set in changes]
    return {"Changes": items, **({"Comment": comment} if comment is not None else {})}


async def change(api: Api, zone_id: str, *changes: tuple[str, dict[str, Any]], comment: str | None = None) -> Any:
    return await api("change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch=batch(*changes, comment=comment))


async def listed(api: Api, zone_id: str, **params: Any) -> list[dict[str, Any]]:
    found = await api("list_resource_record_sets", HostedZoneId=zone_id, **params)
    return list(found["ResourceRecordSets"])


async def test_record_sets_of_each_policy_are_told_as_they_were_given(api: Api) -> None:
    zone_id = await api.create()
    alias = {"HostedZoneId": zone_id.rpartition("/")[2], "DNSName": "www.lab.example", "EvaluateTargetHealth": True}
    given = [
        record("www.lab.example", "A", "192.0.2.1", "192.0.2.2", ttl=300),
        record("t.lab.example", "TXT", '"a \\"b\\" <&>" "c"'),
        record("w.lab.example", "A", "192.0.2.3", SetIdentifier="one", Weight=0),
        record("w.lab.example", "A", "192.0.2.4", SetIdentifier="two", Weight=255),
        record("m.lab.example", "AAAA", "2001:db8::1", SetIdentifier="only", MultiValueAnswer=True),
        {"Name": "lab.example", "Type": "A", "AliasTarget": alias},
        record("*.lab.example", "CNAME", "elsewhere.test"),
    ]
    done = await change(api, zone_id, *(("CREATE", one) for one in given), comment="all of it")
    info = done["ChangeInfo"]
    assert (info["Status"], info["Comment"]) == ("PENDING", "all of it")
    assert (await api("get_change", Id=info["Id"]))["ChangeInfo"] == {**info, "Status": "INSYNC"}
    told = {(r["Name"], r["Type"], r.get("SetIdentifier")): r for r in await listed(api, zone_id)}
    assert (await api("get_hosted_zone", Id=zone_id))["HostedZone"]["ResourceRecordSetCount"] == len(told) == 9
    for one in given:
        name = one["Name"].replace("*", r"\052") + "."
        expected = {**one, "Name": name}
        if "AliasTarget" in one:
            expected["AliasTarget"] = {**alias, "DNSName": "www.lab.example."}
        assert told[name, one["Type"], one.get("SetIdentifier")] == expected
    await change(api, zone_id, ("UPSERT", record("www.lab.example", "A", "192.0.2.9")))
    await change(api, zone_id, ("DELETE", record("*.lab.example", "CNAME", "elsewhere.test")))
    after = {(r["Name"], r["Type"]): r for r in await listed(api, zone_id)}
    assert after["www.lab.example.", "A"]["ResourceRecords"] == [{"Value": "192.0.2.9"}]
    assert (r"\052.lab.example.", "CNAME") not in after


async def test_a_batch_is_refused_whole_with_every_reason(api: Api) -> None:
    zone_id = await api.create()
    await change(api, zone_id, ("CREATE", record("a.lab.example", "A", "192.0.2.1")))
    wrong = batch(
        ("CREATE", record("good.lab.example", "A", "192.0.2.1")),
        ("CREATE", record("a.lab.example", "A", "192.0.2.2")),
        ("DELETE", record("b.lab.example", "A", "192.0.2.2")),
        ("CREATE", record("c.other.example", "A", "192.0.2.2")),
        ("CREATE", record("d.lab.example", "A", "300.0.2.2")),
    )
    code, status, message = await api.error("change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch=wrong)
    assert (code, status) == ("InvalidChangeBatch", 400)
    assert message.startswith("[")
    for reason in (
        "Tried to create resource record set [name='a.lab.example.', type='A'] but it already exists",
        "Tried to delete resource record set [name='b.lab.example.', type='A'] but it was not found",
        "RRSet with DNS name c.other.example. is not permitted in zone lab.example.",
        "encountered with '300.0.2.2'",
    ):
        assert reason in message
    assert [r["Name"] for r in await listed(api, zone_id)] == ["lab.example.", "lab.example.", "a.lab.example."]


@pytest.mark.parametrize(
    "policy",
    [
        {"Failover": "PRIMARY"},
        {"Region": "us-east-1"},
        {"GeoLocation": {"CountryCode": "NL"}},
        {"GeoProximityLocation": {"Bias": 1}},
        {"CidrRoutingConfig": {"CollectionId": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "LocationName": "*"}},
    ],
    ids=lambda policy: next(iter(policy)),
)
async def test_policies_that_are_not_here_are_named(api: Api, policy: dict[str, Any]) -> None:
    zone_id = await api.create()
    wrong = batch(("CREATE", record("a.lab.example", "A", "192.0.2.1", SetIdentifier="x", **policy)))
    code, status, message = await api.error("change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch=wrong)
    assert (code, status) == ("InvalidInput", 400)
    assert f"{next(iter(policy))} is not supported by this server" in message


async def test_changes_that_are_no_input(api: Api) -> None:
    zone_id = await api.create()
    for one, part in (
        (("NONSENSE", record("a.lab.example", "A", "192.0.2.1")), "enum value set: [CREATE, DELETE, UPSERT]"),
        (("CREATE", record("a.lab.example", "LOC", "192.0.2.1")), "enum value set: [SOA, A, "),
        (("CREATE", {"Name": "a.lab.example", "Type": "A"}), "Expected exactly one of [AliasTarget, "),
        (("CREATE", record("a.lab.example", "A", "x" * 4001)), "less than or equal to 4000"),
        (("CREATE", record("a.lab.example", "A", "192.0.2.1", Weight=256, SetIdentifier="x")), "or equal to 255"),
    ):
        code, status, message = await api.error(
            "change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch=batch(one)
        )
        assert (code, status) == ("InvalidInput", 400)
        assert part in message


async def test_zones_and_changes_that_are_not_there(api: Api) -> None:
    good = batch(("CREATE", record("a.lab.example", "A", "192.0.2.1")))
    missing = ("NoSuchHostedZone", 404)
    assert (await api.error("change_resource_record_sets", HostedZoneId="Z1", ChangeBatch=good))[:2] == missing
    assert (await api.error("list_resource_record_sets", HostedZoneId="Z1"))[:2] == missing
    asked = {"HostedZoneId": "Z1", "RecordName": "a.example", "RecordType": "A"}
    assert (await api.error("test_dns_answer", **asked))[:2] == missing
    assert await api.error("get_change", Id="C1") == ("NoSuchChange", 404, "Could not find resource with ID: C1")
    assert (await api.error("get_change", Id="C" * 6501))[:2] == ("InvalidInput", 400)


async def test_record_sets_are_listed_in_pages_by_reversed_names(api: Api) -> None:
    zone_id = await api.create()
    names = ["b", "a", "z.a", "*", "c"]
    await change(api, zone_id, *(("CREATE", record(f"{name}.lab.example", "A", "192.0.2.1")) for name in names))
    weighted = [record("b.lab.example", "TXT", '"x"', SetIdentifier=i, Weight=1) for i in ("one", "two")]
    await change(api, zone_id, *(("CREATE", one) for one in weighted))
    everything = await listed(api, zone_id)
    assert [r["Name"].removesuffix("lab.example.") for r in everything] == [
        "", "", r"\052.", "a.", "z.a.", "b.", "b.", "b.", "c.",
    ]  # fmt: skip
    paged: list[dict[str, Any]] = []
    start: dict[str, str] = {}
    while True:
        page = await api("list_resource_record_sets", HostedZoneId=zone_id, MaxItems="2", **start)
        paged += page["ResourceRecordSets"]
        assert page["MaxItems"] == "2"
        if not page["IsTruncated"]:
            break
        parts = ("Name", "Type", "Identifier")
        start = {f"StartRecord{part}": page[f"NextRecord{part}"] for part in parts if f"NextRecord{part}" in page}
    assert paged == everything
    at_b = await listed(api, zone_id, StartRecordName="B.lab.example", StartRecordType="TXT", MaxItems="1")
    assert at_b == [everything[6]]
    assert (await listed(api, zone_id, StartRecordName="*.lab.example"))[0]["Name"] == r"\052.lab.example."


async def test_lists_that_are_refused(api: Api) -> None:
    zone_id = await api.create()
    for params in (
        {"StartRecordType": "A"},
        {"StartRecordIdentifier": "x"},
        {"StartRecordName": "a.lab.example", "StartRecordIdentifier": "x"},
        {"StartRecordName": "a..b"},
        {"StartRecordName": "a.lab.example", "StartRecordType": "LOC"},
        {"MaxItems": "none"},
    ):
        code, status, _ = await api.error("list_resource_record_sets", HostedZoneId=zone_id, **params)
        assert (code, status) == ("InvalidInput", 400)


async def test_an_answer_is_told_before_anybody_asks(api: Api) -> None:
    zone_id = await api.create()
    await change(
        api,
        zone_id,
        ("CREATE", record("www.lab.example", "A", "192.0.2.1", "192.0.2.2")),
        ("CREATE", record("c.lab.example", "CNAME", "www.lab.example")),
        ("CREATE", record("*.w.lab.example", "TXT", '"x"')),
    )

    async def told(name: str, rrtype: str, **params: Any) -> tuple[list[str], str]:
        answer = await api("test_dns_answer", HostedZoneId=zone_id, RecordName=name, RecordType=rrtype, **params)
        assert (answer["Nameserver"], answer["RecordType"], answer["Protocol"]) == ("ns1.test", rrtype, "TCP")
        return sorted(answer["RecordData"]), answer["ResponseCode"]

    assert await told("www.lab.example", "A") == (["192.0.2.1", "192.0.2.2"], "NOERROR")
    assert await told("WWW.lab.example.", "A", ResolverIP="192.0.2.53") == (["192.0.2.1", "192.0.2.2"], "NOERROR")
    assert await told("c.lab.example", "A") == (["192.0.2.1", "192.0.2.2", "www.lab.example."], "NOERROR")
    assert await told("any.w.lab.example", "TXT") == (['"x"'], "NOERROR")
    assert await told("www.lab.example", "AAAA") == ([], "NOERROR")
    assert await told("none.lab.example", "A") == ([], "NXDOMAIN")
    subnet = {"EDNS0ClientSubnetIP": "192.0.2.0", "EDNS0ClientSubnetMask": "24"}
    assert await told("www.lab.example", "A", **subnet) == (["192.0.2.1", "192.0.2.2"], "NOERROR")
    asked = {"HostedZoneId": zone_id, "RecordName": "www.lab.example", "RecordType": "A"}
    for wrong in (
        {"RecordName": "www.other.example"},
        {"RecordName": "a..b"},
        {"RecordType": "LOC"},
        {"ResolverIP": "nowhere"},
        {"EDNS0ClientSubnetMask": "24"},
    ):
        assert (await api.error("test_dns_answer", **{**asked, **wrong}))[:2] == ("InvalidInput", 400)
