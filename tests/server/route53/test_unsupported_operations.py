"""What Route 53 has and this server hasn't: empty lists, clear refusals, and every operation accounted for."""

from __future__ import annotations

from server.route53 import unsupported_operations
from server.route53.api import HANDLERS
from server.route53.service_model import load_model
from tests.server.route53.served import Api


async def test_what_is_not_here_is_listed_as_nothing(api: Api) -> None:
    assert (await api("list_health_checks"))["HealthChecks"] == []
    assert (await api("get_health_check_count"))["HealthCheckCount"] == 0
    assert (await api("list_traffic_policies"))["TrafficPolicySummaries"] == []
    assert (await api("list_reusable_delegation_sets"))["DelegationSets"] == []
    assert (await api("list_cidr_collections"))["CidrCollections"] == []


async def test_what_lists_of_a_zone_have_is_nothing(api: Api) -> None:
    zone_id = (await api.create()).removeprefix("/hostedzone/")
    for operation, member in (
        ("list_vpc_association_authorizations", "VPCs"),
        ("list_traffic_policy_instances_by_hosted_zone", "TrafficPolicyInstances"),
        ("list_query_logging_configs", "QueryLoggingConfigs"),
    ):
        assert (await api(operation, HostedZoneId=zone_id))[member] == [], operation
        assert (await api.error(operation, HostedZoneId="Z0"))[:2] == ("NoSuchHostedZone", 404), operation
    assert (await api("list_hosted_zones_by_vpc", VPCId="vpc-1", VPCRegion="us-east-1"))["HostedZoneSummaries"] == []


async def test_a_token_that_no_page_gave_is_an_error(api: Api) -> None:
    vpc = {"VPCId": "vpc-1", "VPCRegion": "us-east-1"}
    for operation, params, code in (
        ("list_health_checks", {"Marker": "x"}, "InvalidInput"),
        ("list_reusable_delegation_sets", {"Marker": "x"}, "InvalidInput"),
        ("list_traffic_policies", {"TrafficPolicyIdMarker": "1" * 36}, "InvalidInput"),
        ("list_traffic_policy_instances", {"HostedZoneIdMarker": "Z0"}, "InvalidInput"),
        ("list_cidr_collections", {"NextToken": "x"}, "InvalidInput"),
        ("list_query_logging_configs", {"NextToken": "x"}, "InvalidPaginationToken"),
        ("list_hosted_zones_by_vpc", {**vpc, "NextToken": "x"}, "InvalidPaginationToken"),
        ("list_hosted_zones", {"Marker": "Z0"}, "InvalidInput"),
    ):
        assert (await api.error(operation, **params))[:2] == (code, 400), operation


async def test_limits_are_above_the_counts_which_are_true(api: Api) -> None:
    zone_id = (await api.create()).removeprefix("/hostedzone/")
    zones = await api("get_account_limit", Type="MAX_HOSTED_ZONES_BY_OWNER")
    assert (zones["Count"], zones["Limit"]["Value"] > 10_000) == (2, True)
    checks = await api("get_account_limit", Type="MAX_HEALTH_CHECKS_BY_OWNER")
    assert (checks["Count"], checks["Limit"]) == (0, {"Type": "MAX_HEALTH_CHECKS_BY_OWNER", "Value": 200})
    records = await api("get_hosted_zone_limit", Type="MAX_RRSETS_BY_ZONE", HostedZoneId=zone_id)
    assert records["Count"] == 2
    assert (await api("get_checker_ip_ranges"))["CheckerIpRanges"] == []
    for operation, params, code, status in (
        ("get_hosted_zone_limit", {"Type": "MAX_RRSETS_BY_ZONE", "HostedZoneId": "Z0"}, "NoSuchHostedZone", 404),
        (
            "get_hosted_zone_limit",
            {"Type": "MAX_VPCS_ASSOCIATED_BY_ZONE", "HostedZoneId": zone_id},
            "HostedZoneNotPrivate",
            400,
        ),
        (
            "get_reusable_delegation_set_limit",
            {"Type": "MAX_ZONES_BY_REUSABLE_DELEGATION_SET", "DelegationSetId": "N1"},
            "NoSuchDelegationSet",
            400,
        ),
        ("get_account_limit", {"Type": "MAX_OF_NOTHING"}, "InvalidInput", 400),
    ):
        assert (await api.error(operation, **params))[:2] == (code, status), operation


async def test_what_is_asked_for_by_its_id_is_not_there(api: Api) -> None:
    collection = "00000000-0000-0000-0000-000000000000"
    for operation, params, code, status in (
        ("get_health_check", {"HealthCheckId": "1"}, "NoSuchHealthCheck", 404),
        ("delete_health_check", {"HealthCheckId": "1"}, "NoSuchHealthCheck", 404),
        ("get_traffic_policy", {"Id": "1" * 36, "Version": 1}, "NoSuchTrafficPolicy", 404),
        ("get_traffic_policy_instance", {"Id": "1"}, "NoSuchTrafficPolicyInstance", 404),
        ("get_reusable_delegation_set", {"Id": "N1"}, "NoSuchDelegationSet", 400),
        ("get_query_logging_config", {"Id": "1"}, "NoSuchQueryLoggingConfig", 404),
        ("list_cidr_locations", {"CollectionId": collection}, "NoSuchCidrCollectionException", 404),
    ):
        assert (await api.error(operation, **params))[:2] == (code, status), operation


async def test_what_cannot_be_made_says_what_can(api: Api) -> None:
    zone_id = await api.create()
    for operation, params in (
        ("create_health_check", {"CallerReference": "1", "HealthCheckConfig": {"Type": "TCP"}}),
        ("create_reusable_delegation_set", {"CallerReference": "1"}),
        ("create_query_logging_config", {"HostedZoneId": zone_id, "CloudWatchLogsLogGroupArn": "a"}),
        ("associate_vpc_with_hosted_zone", {"HostedZoneId": zone_id, "VPC": {"VPCId": "vpc-1"}}),
        ("create_cidr_collection", {"Name": "a", "CallerReference": "1"}),
    ):
        code, status, message = await api.error(operation, **params)
        assert (code, status) == ("InvalidAction", 400), operation
        assert message.endswith("is not supported: this server has hosted zones, their record sets, tags and DNSSEC.")


def test_every_operation_that_is_answered_is_one() -> None:
    known = load_model().operations.keys()
    assert HANDLERS.keys() <= known
    assert unsupported_operations.HANDLERS.keys() <= HANDLERS.keys()
