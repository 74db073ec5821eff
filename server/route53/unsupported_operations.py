"""What Route 53 has and this server hasn't: lists of it are empty, and all else about it is refused.

Tools list health checks and the like before they do anything; that there are none is the truth.
"""

from __future__ import annotations

from typing import Any

from server.route53.api_call import ApiCall, Handler, Result, bare
from server.route53.api_errors import INVALID_ACTION, INVALID_INPUT, ApiError

HERE = "hosted zones, their record sets, tags and DNSSEC"

_PAGED: Result = {"Marker": "", "IsTruncated": False, "MaxItems": 100}
EMPTY: dict[str, Result] = {
    "GetHealthCheckCount": {"HealthCheckCount": 0},
    "GetTrafficPolicyInstanceCount": {"TrafficPolicyInstanceCount": 0},
    "ListCidrCollections": {"CidrCollections": []},
    "ListHealthChecks": {"HealthChecks": [], **_PAGED},
    "ListHostedZonesByVPC": {"HostedZoneSummaries": [], "MaxItems": 100},
    "ListQueryLoggingConfigs": {"QueryLoggingConfigs": []},
    "ListReusableDelegationSets": {"DelegationSets": [], **_PAGED},
    "ListTrafficPolicies": {
        "TrafficPolicySummaries": [],
        "IsTruncated": False,
        "TrafficPolicyIdMarker": "",
        "MaxItems": 100,
    },
    "ListTrafficPolicyInstances": {"TrafficPolicyInstances": [], "IsTruncated": False, "MaxItems": 100},
    "ListTrafficPolicyInstancesByHostedZone": {"TrafficPolicyInstances": [], "IsTruncated": False, "MaxItems": 100},
    "ListVPCAssociationAuthorizations": {"VPCs": []},
}
_BAD_TOKEN = {
    "ListHostedZonesByVPC": "InvalidPaginationToken",
    "ListQueryLoggingConfigs": "InvalidPaginationToken",
    "ListVPCAssociationAuthorizations": "InvalidPaginationToken",
}
"""The error for a token that no page gave, where it is not InvalidInput."""
_BEGINS_PAGE = ("Marker", "NextToken")
_MISSING = {
    "CollectionId": ("NoSuchCidrCollectionException", "CIDR collection"),
    "HealthCheckId": ("NoSuchHealthCheck", "health check"),
    "DelegationSet": ("NoSuchDelegationSet", "reusable delegation set"),
    "TrafficPolicyId": ("NoSuchTrafficPolicy", "traffic policy"),
    "QueryLoggingConfig": ("NoSuchQueryLoggingConfig", "query logging configuration"),
    "TrafficPolicyInstance": ("NoSuchTrafficPolicyInstance", "traffic policy instance"),
    "TrafficPolicy": ("NoSuchTrafficPolicy", "traffic policy"),
}
"""By what the name of an operation on one resource, or the parameter that names the resource, begins with."""


def _lists_nothing(name: str) -> Handler:
    async def answer(call: ApiCall) -> Result:
        params, result = call.params, dict(EMPTY[name])
        if (zone_id := params.get("HostedZoneId")) is not None:
            zone = await call.zones.zone(bare(zone_id))
            if name == "ListVPCAssociationAuthorizations":
                result["HostedZoneId"] = zone.id
        for parameter, value in params.items():
            if parameter.endswith(_BEGINS_PAGE):
                code = _BAD_TOKEN.get(name, INVALID_INPUT)
                raise ApiError(code, f"The value of {parameter} is from no page of this list: {str(value)[:100]}.")
        return result

    answer.__doc__ = f"{name}: there is nothing to list."
    return answer


HANDLERS: dict[str, Handler] = {name: _lists_nothing(name) for name in EMPTY}


def refusal(name: str, params: dict[str, Any]) -> ApiError:
    """Why this operation is not carried out: the resource that it is about isn't there, or it isn't there itself."""
    verb = next((verb for verb in ("Get", "List", "Update", "Delete", "Change") if name.startswith(verb)), None)
    for begin, (code, kind) in _MISSING.items():
        given = params.get(begin if begin.endswith("Id") else "Id")
        about = begin.endswith("Id") or name.removeprefix(verb or "-").removeprefix("Reusable").startswith(begin)
        if verb is not None and given is not None and about:
            return ApiError(code, f"No {kind} exists with the ID {bare(str(given))}: this server has none.")
    return unknown(name)


def unknown(name: str) -> ApiError:
    """An operation that isn't there."""
    return ApiError(INVALID_ACTION, f"{name} is not supported: this server has {HERE}.", 400)
