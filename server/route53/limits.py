"""The operations that tell limits, of which this server has none that a client would meet.

Tools ask before they create something, and compare a count with a limit: so the counts are true, and the limits of what
is here are higher than any count. Of what this server does not have, they are those that Amazon gives an account.
"""

from __future__ import annotations

from server.route53.api_call import ApiCall, Handler, Result, bare
from server.route53.api_errors import ApiError

UNLIMITED = 1_000_000
"""More than one server holds."""
_OF_NOTHING = {
    "MAX_HEALTH_CHECKS_BY_OWNER": 200,
    "MAX_REUSABLE_DELEGATION_SETS_BY_OWNER": 100,
    "MAX_TRAFFIC_POLICIES_BY_OWNER": 50,
    "MAX_TRAFFIC_POLICY_INSTANCES_BY_OWNER": 5,
}


async def of_account(call: ApiCall) -> Result:
    """GetAccountLimit."""
    kind = call.params["Type"]
    if kind in _OF_NOTHING:
        return _limit(kind, _OF_NOTHING[kind], 0)
    return _limit(kind, UNLIMITED, await call.zones.zone_count())


async def of_zone(call: ApiCall) -> Result:
    """GetHostedZoneLimit."""
    zone = await call.zones.zone(bare(call.params["HostedZoneId"]))
    kind = call.params["Type"]
    if kind == "MAX_VPCS_ASSOCIATED_BY_ZONE":
        message = f"The hosted zone {zone.id} is public: only a private one can be associated with VPCs."
        raise ApiError("HostedZoneNotPrivate", message)
    return _limit(kind, UNLIMITED, zone.record_set_count)


async def of_delegation_set(call: ApiCall) -> Result:
    """GetReusableDelegationSetLimit: there is no such set."""
    given = bare(call.params["DelegationSetId"])
    raise ApiError("NoSuchDelegationSet", f"No reusable delegation set found with ID: {given}")


async def checkers(_: ApiCall) -> Result:
    """GetCheckerIpRanges: nothing here checks the health of others."""
    return {"CheckerIpRanges": []}


def _limit(kind: str, value: int, count: int) -> Result:
    return {"Limit": {"Type": kind, "Value": value}, "Count": count}


HANDLERS: dict[str, Handler] = {
    "GetAccountLimit": of_account,
    "GetHostedZoneLimit": of_zone,
    "GetReusableDelegationSetLimit": of_delegation_set,
    "GetCheckerIpRanges": checkers,
}
