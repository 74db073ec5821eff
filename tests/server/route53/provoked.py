"""How each error of each call is provoked through boto3: `PROVOKED` by operation and code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from tests.lab import wire_name
from tests.server.route53.served import NAME_SERVERS, Api

LONG = "x" * 200

Refused = tuple[str, int, str]
Provocation = Callable[[Api], Awaitable[Refused]]
PROVOKED: dict[tuple[str, str], Provocation] = {}


def provokes(code: str, *operations: str) -> Callable[[Provocation], Provocation]:
    def register(provocation: Provocation) -> Provocation:
        for operation in operations:
            PROVOKED[operation, code] = provocation
        return provocation

    return register


def simple(operation: str, code: str, call: str, **params: Any) -> None:
    """An error of one call, which needs nothing else."""
    PROVOKED[operation, code] = lambda api: api.error(call, **params)


RECORD = {"Name": "a.lab.example", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
BATCH = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": RECORD}]}
NO_TAGS = {"ResourceType": "healthcheck", "ResourceId": "1"}
TAGS = {"ResourceType": "hostedzone", "ResourceId": "Z1"}
ASKED = {"HostedZoneId": "Z1", "RecordName": "a", "RecordType": "A"}
KSK = {"CallerReference": "1", "Name": "one", "Status": "ACTIVE"}
ARN = "arn:aws:kms:us-east-1:000000000000:key/none"
ONE = {"HostedZoneId": "Z1", "Name": "one"}

simple("CreateHostedZone", "InvalidDomainName", "create_hosted_zone", Name="a..b", CallerReference="1")
simple("CreateHostedZone", "InvalidInput", "create_hosted_zone", Name="a", CallerReference=LONG)
simple("CreateHostedZone", "InvalidVPCId", "create_hosted_zone", Name="a", CallerReference="1", VPC={"VPCId": "v"})
simple(
    "CreateHostedZone", "NoSuchDelegationSet", "create_hosted_zone", Name="a", CallerReference="1", DelegationSetId="N"
)
RRSETS = {"Type": "MAX_RRSETS_BY_ZONE"}
OF_SET = {"Type": "MAX_ZONES_BY_REUSABLE_DELEGATION_SET"}
VPC = {"VPCId": "vpc-1", "VPCRegion": "us-east-1"}
BY_ZONE = "list_traffic_policy_instances_by_hosted_zone"
AUTHORIZED = "list_vpc_association_authorizations"
simple("GetAccountLimit", "InvalidInput", "get_account_limit", Type="MAX_OF_NOTHING")
simple("GetHostedZoneLimit", "InvalidInput", "get_hosted_zone_limit", **RRSETS, HostedZoneId=LONG)
simple("GetHostedZoneLimit", "NoSuchHostedZone", "get_hosted_zone_limit", **RRSETS, HostedZoneId="Z1")
simple(
    "GetReusableDelegationSetLimit", "InvalidInput", "get_reusable_delegation_set_limit", **OF_SET, DelegationSetId=LONG
)
simple(
    "GetReusableDelegationSetLimit",
    "NoSuchDelegationSet",
    "get_reusable_delegation_set_limit",
    **OF_SET,
    DelegationSetId="N",
)
simple("ListCidrCollections", "InvalidInput", "list_cidr_collections", NextToken="x")
simple("ListHealthChecks", "InvalidInput", "list_health_checks", Marker="x")
simple("ListHostedZonesByVPC", "InvalidInput", "list_hosted_zones_by_vpc", **{**VPC, "VPCId": LONG * 9})
simple("ListHostedZonesByVPC", "InvalidPaginationToken", "list_hosted_zones_by_vpc", **VPC, NextToken="x")
simple("ListQueryLoggingConfigs", "InvalidInput", "list_query_logging_configs", HostedZoneId=LONG)
simple("ListQueryLoggingConfigs", "InvalidPaginationToken", "list_query_logging_configs", NextToken="x")
simple("ListQueryLoggingConfigs", "NoSuchHostedZone", "list_query_logging_configs", HostedZoneId="Z1")
simple("ListReusableDelegationSets", "InvalidInput", "list_reusable_delegation_sets", Marker="x")
simple("ListTrafficPolicies", "InvalidInput", "list_traffic_policies", TrafficPolicyIdMarker="1" * 36)
simple("ListTrafficPolicyInstances", "InvalidInput", "list_traffic_policy_instances", HostedZoneIdMarker="Z1")
simple("ListTrafficPolicyInstancesByHostedZone", "InvalidInput", BY_ZONE, HostedZoneId=LONG)
simple("ListTrafficPolicyInstancesByHostedZone", "NoSuchHostedZone", BY_ZONE, HostedZoneId="Z1")
simple("ListVPCAssociationAuthorizations", "InvalidInput", AUTHORIZED, HostedZoneId=LONG)
simple("ListVPCAssociationAuthorizations", "NoSuchHostedZone", AUTHORIZED, HostedZoneId="Z1")


@provokes("InvalidPaginationToken", "ListVPCAssociationAuthorizations")
async def _(api: Api) -> Refused:
    return await api.error(AUTHORIZED, HostedZoneId=(await api.create()).removeprefix("/hostedzone/"), NextToken="x")


@provokes("HostedZoneNotPrivate", "GetHostedZoneLimit")
async def _(api: Api) -> Refused:
    zone_id = (await api.create()).removeprefix("/hostedzone/")
    return await api.error("get_hosted_zone_limit", Type="MAX_VPCS_ASSOCIATED_BY_ZONE", HostedZoneId=zone_id)


simple("GetHostedZone", "NoSuchHostedZone", "get_hosted_zone", Id="Z1")
simple("GetHostedZone", "InvalidInput", "get_hosted_zone", Id=LONG)
simple("ListHostedZones", "InvalidInput", "list_hosted_zones", Marker="Z1")
simple("ListHostedZones", "NoSuchDelegationSet", "list_hosted_zones", DelegationSetId="N1")
simple("ListHostedZonesByName", "InvalidInput", "list_hosted_zones_by_name", MaxItems="x")
simple("ListHostedZonesByName", "InvalidDomainName", "list_hosted_zones_by_name", DNSName="a..b")
simple("DeleteHostedZone", "NoSuchHostedZone", "delete_hosted_zone", Id="Z1")
simple("DeleteHostedZone", "InvalidInput", "delete_hosted_zone", Id=LONG)
simple("UpdateHostedZoneComment", "NoSuchHostedZone", "update_hosted_zone_comment", Id="Z1")
simple("UpdateHostedZoneComment", "InvalidInput", "update_hosted_zone_comment", Id="Z1", Comment=LONG * 2)
simple("ChangeTagsForResource", "InvalidInput", "change_tags_for_resource", **TAGS)
simple("ChangeTagsForResource", "NoSuchHealthCheck", "change_tags_for_resource", **NO_TAGS, RemoveTagKeys=["a"])
simple("ChangeTagsForResource", "NoSuchHostedZone", "change_tags_for_resource", **TAGS, RemoveTagKeys=["a"])
simple("ListTagsForResource", "InvalidInput", "list_tags_for_resource", ResourceType="x", ResourceId="1")
simple("ListTagsForResource", "NoSuchHealthCheck", "list_tags_for_resource", **NO_TAGS)
simple("ListTagsForResource", "NoSuchHostedZone", "list_tags_for_resource", **TAGS)
simple("ListTagsForResources", "InvalidInput", "list_tags_for_resources", ResourceType="x", ResourceIds=["1"])
simple(
    "ListTagsForResources",
    "NoSuchHealthCheck",
    "list_tags_for_resources",
    ResourceType="healthcheck",
    ResourceIds=["1"],
)
simple(
    "ListTagsForResources", "NoSuchHostedZone", "list_tags_for_resources", ResourceType="hostedzone", ResourceIds=["1"]
)
simple("GetChange", "NoSuchChange", "get_change", Id="C1")
simple("GetChange", "InvalidInput", "get_change", Id="C" * 7000)
simple("ListResourceRecordSets", "NoSuchHostedZone", "list_resource_record_sets", HostedZoneId="Z1")
simple("ListResourceRecordSets", "InvalidInput", "list_resource_record_sets", HostedZoneId="Z1", MaxItems="x")
simple(
    "ChangeResourceRecordSets", "NoSuchHostedZone", "change_resource_record_sets", HostedZoneId="Z1", ChangeBatch=BATCH
)
simple("ChangeResourceRecordSets", "InvalidInput", "change_resource_record_sets", HostedZoneId=LONG, ChangeBatch=BATCH)
simple("TestDNSAnswer", "NoSuchHostedZone", "test_dns_answer", **ASKED)
simple("TestDNSAnswer", "InvalidInput", "test_dns_answer", **{**ASKED, "RecordType": "LOC"})
simple(
    "CreateKeySigningKey",
    "NoSuchHostedZone",
    "create_key_signing_key",
    **KSK,
    HostedZoneId="Z1",
    KeyManagementServiceArn=ARN,
)
simple(
    "CreateKeySigningKey",
    "InvalidInput",
    "create_key_signing_key",
    **KSK,
    HostedZoneId=LONG,
    KeyManagementServiceArn=ARN,
)
for _operation, _call in (
    ("ActivateKeySigningKey", "activate_key_signing_key"),
    ("DeactivateKeySigningKey", "deactivate_key_signing_key"),
    ("DeleteKeySigningKey", "delete_key_signing_key"),
):
    simple(_operation, "NoSuchKeySigningKey", _call, **ONE)
    simple(_operation, "InvalidInput", _call, **{**ONE, "Name": LONG})
for _operation, _call in (
    ("EnableHostedZoneDNSSEC", "enable_hosted_zone_dnssec"),
    ("DisableHostedZoneDNSSEC", "disable_hosted_zone_dnssec"),
    ("GetDNSSEC", "get_dnssec"),
):
    simple(_operation, "NoSuchHostedZone", _call, HostedZoneId="Z1")
    simple(_operation, "InvalidInput", _call, HostedZoneId=LONG)


@provokes("HostedZoneAlreadyExists", "CreateHostedZone")
async def _(api: Api) -> Refused:
    await api("create_hosted_zone", Name="lab.example", CallerReference="1")
    return await api.error("create_hosted_zone", Name="lab.example", CallerReference="1")


@provokes("ConflictingDomainExists", "CreateHostedZone")
async def _(api: Api) -> Refused:
    await api("create_hosted_zone", Name="lab.example", CallerReference="1")
    return await api.error("create_hosted_zone", Name="lab.example", CallerReference="2")


@provokes("HostedZoneNotEmpty", "DeleteHostedZone")
async def _(api: Api) -> Refused:
    zone_id = await api.create()
    await api("change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch=BATCH)
    return await api.error("delete_hosted_zone", Id=zone_id)


@provokes("InvalidChangeBatch", "ChangeResourceRecordSets")
async def _(api: Api) -> Refused:
    zone_id = await api.create("other.example")
    return await api.error("change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch=BATCH)


@provokes("NoSuchHealthCheck", "ChangeResourceRecordSets")
async def _(api: Api) -> Refused:
    watched = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": {**RECORD, "HealthCheckId": "1"}}]}
    return await api.error("change_resource_record_sets", HostedZoneId=await api.create(), ChangeBatch=watched)


async def ksk(api: Api, zone_id: str, arn: str | None = None, **params: str) -> Any:
    arn = arn or await api.key()
    return await api(
        "create_key_signing_key", **{**KSK, "HostedZoneId": zone_id, "KeyManagementServiceArn": arn, **params}
    )


async def ksk_refused(api: Api, zone_id: str, arn: str | None = None, **params: str) -> Refused:
    arn = arn or await api.key()
    return await api.error(
        "create_key_signing_key", **{**KSK, "HostedZoneId": zone_id, "KeyManagementServiceArn": arn, **params}
    )


@provokes("InvalidKMSArn", "CreateKeySigningKey")
async def _(api: Api) -> Refused:
    return await ksk_refused(api, await api.create(), ARN)


@provokes("InvalidKeySigningKeyStatus", "CreateKeySigningKey")
async def _(api: Api) -> Refused:
    return await ksk_refused(api, await api.create(), Status="SLEEPING")


@provokes("InvalidKeySigningKeyName", "CreateKeySigningKey")
async def _(api: Api) -> Refused:
    return await ksk_refused(api, await api.create(), Name="a-b")


@provokes("KeySigningKeyAlreadyExists", "CreateKeySigningKey")
async def _(api: Api) -> Refused:
    zone_id = await api.create()
    await ksk(api, zone_id)
    return await ksk_refused(api, zone_id)


@provokes("TooManyKeySigningKeys", "CreateKeySigningKey")
async def _(api: Api) -> Refused:
    zone_id = await api.create()
    await ksk(api, zone_id)
    await ksk(api, zone_id, Name="two")
    return await ksk_refused(api, zone_id, Name="three")


@provokes("InvalidKMSArn", "ActivateKeySigningKey")
async def _(api: Api) -> Refused:
    zone_id, arn = await api.create(), await api.key()
    await ksk(api, zone_id, arn, Status="INACTIVE")
    api.world.kms.disable(arn)
    return await api.error("activate_key_signing_key", HostedZoneId=zone_id, Name="one")


@provokes("InvalidKMSArn", "EnableHostedZoneDNSSEC")
async def _(api: Api) -> Refused:
    zone_id, arn = await api.create(), await api.key()
    await ksk(api, zone_id, arn)
    api.world.kms.disable(arn)
    return await api.error("enable_hosted_zone_dnssec", HostedZoneId=zone_id)


@provokes("KeySigningKeyWithActiveStatusNotFound", "EnableHostedZoneDNSSEC")
async def _(api: Api) -> Refused:
    zone_id = await api.create()
    await ksk(api, zone_id, Status="INACTIVE")
    return await api.error("enable_hosted_zone_dnssec", HostedZoneId=zone_id)


@provokes("DNSSECNotFound", "DisableHostedZoneDNSSEC")
async def _(api: Api) -> Refused:
    return await api.error("disable_hosted_zone_dnssec", HostedZoneId=await api.create())


def delegated(*servers: str) -> dict[str, Any]:
    values = [{"Value": server} for server in servers]
    return {
        "Action": "UPSERT",
        "ResourceRecordSet": {"Name": "lab.example", "Type": "NS", "TTL": 60, "ResourceRecords": values},
    }


@provokes("HostedZonePartiallyDelegated", "EnableHostedZoneDNSSEC")
async def _(api: Api) -> Refused:
    parent_id, zone_id = await api.create("example"), await api.create()
    await ksk(api, zone_id)
    other = {"Changes": [delegated("ns1.test", "ns3.test")]}
    await api("change_resource_record_sets", HostedZoneId=parent_id, ChangeBatch=other)
    refused = await api.error("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert refused[2].startswith(
        "The parent delegates lab.example. to ns1.test., ns3.test., and its own name servers are"
    )
    own = {"Changes": [delegated(*NAME_SERVERS)]}
    await api("change_resource_record_sets", HostedZoneId=parent_id, ChangeBatch=own)
    await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    return refused


async def signed(api: Api) -> str:
    """The id of a zone that is signed by one KSK."""
    zone_id = await api.create()
    await ksk(api, zone_id)
    await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    with trio.fail_after(60):
        while (zone := api.registry.zoneset.get(wire_name("lab.example"))) is None or zone.keys is None:  # noqa: ASYNC110
            await trio.sleep(0.01)
    return zone_id


@provokes("KeySigningKeyInUse", "DeactivateKeySigningKey")
async def _(api: Api) -> Refused:
    return await api.error("deactivate_key_signing_key", HostedZoneId=await signed(api), Name="one")


async def named_by_the_parent(api: Api) -> str:
    parent_id, zone_id = await api.create("example"), await signed(api)
    await ksk(api, zone_id, Name="two")
    told = await api("get_dnssec", HostedZoneId=zone_id)
    ds = next(found["DSRecord"] for found in told["KeySigningKeys"] if found["Name"] == "one")
    named = {"Name": "lab.example", "Type": "DS", "TTL": 60, "ResourceRecords": [{"Value": ds}]}
    changes = [delegated(*NAME_SERVERS), {"Action": "CREATE", "ResourceRecordSet": named}]
    await api("change_resource_record_sets", HostedZoneId=parent_id, ChangeBatch={"Changes": changes})
    return zone_id


@provokes("KeySigningKeyInParentDSRecord", "DeactivateKeySigningKey")
async def _(api: Api) -> Refused:
    zone_id = await named_by_the_parent(api)
    return await api.error("deactivate_key_signing_key", HostedZoneId=zone_id, Name="one")


@provokes("KeySigningKeyInParentDSRecord", "DisableHostedZoneDNSSEC")
async def _(api: Api) -> Refused:
    return await api.error("disable_hosted_zone_dnssec", HostedZoneId=await named_by_the_parent(api))


@provokes("InvalidKeySigningKeyStatus", "DeleteKeySigningKey")
async def _(api: Api) -> Refused:
    zone_id = await api.create()
    await ksk(api, zone_id)
    return await api.error("delete_key_signing_key", HostedZoneId=zone_id, Name="one")


async def deleting(api: Api) -> dict[str, str]:
    """A KSK that can't leave the DNSKEY RRset, since the other one, which would have to sign it, can't."""
    zone_id, arn = await signed(api), await api.key()
    await ksk(api, zone_id, arn, Name="two")
    two = {"HostedZoneId": zone_id, "Name": "two"}

    async def one_is(wanted: str) -> None:
        with trio.fail_after(60):
            while wanted not in str(await api("get_dnssec", HostedZoneId=zone_id)):  # noqa: ASYNC110
                await trio.sleep(0.02)

    def both_published() -> bool:
        zone = api.registry.zoneset.get(wire_name("lab.example"))
        return zone is not None and zone.keys is not None and len(zone.keys.keyset.rdatas) == 3

    with trio.fail_after(60):
        while not both_published():  # noqa: ASYNC110
            await trio.sleep(0.02)
    for held in list(api.world.kms.keys):
        if held != arn:
            api.world.kms.disable(held)
    await api("deactivate_key_signing_key", **two)
    await one_is("ACTION_NEEDED")
    await api("delete_key_signing_key", **two)
    await one_is("DELETING")
    return two


@provokes("InvalidKeySigningKeyStatus", "ActivateKeySigningKey")
async def _(api: Api) -> Refused:
    return await api.error("activate_key_signing_key", **await deleting(api))


@provokes("InvalidKeySigningKeyStatus", "DeactivateKeySigningKey")
async def _(api: Api) -> Refused:
    return await api.error("deactivate_key_signing_key", **await deleting(api))


async def frozen(api: Api) -> dict[str, str]:
    """A KSK of a zone whose keys are frozen, since the clock went back."""
    zone_id = await api.create()
    await ksk(api, zone_id)
    api.set_back = 7200
    key_manager = await api.zones.key_manager(zone_id.rpartition("/")[2])
    with trio.fail_after(60):
        while key_manager.status.condition.value != "frozen":
            key_manager.wake()
            await trio.sleep(0.02)
    return {"HostedZoneId": zone_id, "Name": "one"}


@provokes("InvalidSigningStatus", "CreateKeySigningKey")
async def _(api: Api) -> Refused:
    return await ksk_refused(api, (await frozen(api))["HostedZoneId"], Name="two")


@provokes("InvalidSigningStatus", "ActivateKeySigningKey")
async def _(api: Api) -> Refused:
    return await api.error("activate_key_signing_key", **await frozen(api))


@provokes("InvalidSigningStatus", "DeactivateKeySigningKey")
async def _(api: Api) -> Refused:
    return await api.error("deactivate_key_signing_key", **await frozen(api))


@provokes("InvalidSigningStatus", "DeleteKeySigningKey")
async def _(api: Api) -> Refused:
    return await api.error("delete_key_signing_key", **await frozen(api))
