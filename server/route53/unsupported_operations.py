"""What Route 53 has and this server hasn't: lists of it are empty, and all else about it is refused.

Tools list health checks and the like before they do anything; that there are none is the truth.
"""

from __future__ import annotations

from typing import Any

from server.route53.api_call import Result, bare
from server.route53.api_errors import INVALID_ACTION, ApiError

HERE = "hosted zones, their record sets, tags and DNSSEC"

EMPTY: dict[str, Result] = {
    "GetHealthCheckCount": {"HealthCheckCount": 0},
    "GetTrafficPolicyInstanceCount": {"TrafficPolicyInstanceCount": 0},
    "ListCidrCollections": {"CidrCollections": []},
    "ListHealthChecks": {"HealthChecks": [], "Marker": "", "IsTruncated": False, "MaxItems": 100},
    "ListQueryLoggingConfigs": {"QueryLoggingConfigs": []},
    "ListReusableDelegationSets": {"DelegationSets": [], "Marker": "", "IsTruncated": False, "MaxItems": 100},
    "ListTrafficPolicies": {
        "TrafficPolicySummaries": [],
        "IsTruncated": False,
        "TrafficPolicyIdMarker": "",
        "MaxItems": 100,
    },
    "ListTrafficPolicyInstances": {"TrafficPolicyInstances": [], "IsTruncated": False, "MaxItems": 100},
}
_MISSING = {
    "CollectionId": ("NoSuchCidrCollectionException", "CIDR collection"),
    "HealthCheckId": ("NoSuchHealthCheck", "health check"),
    "DelegationSet": ("NoSuchDelegationSet", "reusable delegation set"),
    "QueryLoggingConfig": ("NoSuchQueryLoggingConfig", "query logging configuration"),
    "TrafficPolicyInstance": ("NoSuchTrafficPolicyInstance", "traffic policy instance"),
    "TrafficPolicy": ("NoSuchTrafficPolicy", "traffic policy"),
}
"""By what the name of an operation on one resource, or the parameter that names the resource, begins with."""


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
