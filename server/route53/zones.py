"""The operations on hosted zones."""

from __future__ import annotations

from server.route53.api_call import ApiCall, Handler, Result, bare, change_info, maximum_items
from server.route53.api_errors import INVALID_INPUT, ApiError
from zones.recordsets.record_sets import NO_SUCH_ZONE, HostedZone, ZoneRequestError
from zones.recordsets.route53_names import NameSpellingError, normalised

MOST_ZONES = 100
"""Zones on a page."""
FILES = "files.signwright"
"""The service that a zone belongs to whose records are changed in its file."""


async def create(call: ApiCall) -> Result:
    """CreateHostedZone."""
    params = call.params
    config = params.get("HostedZoneConfig", {})
    if "VPC" in params:
        raise ApiError("InvalidVPCId", "This server has no VPCs: its hosted zones are public.")
    if config.get("PrivateZone"):
        raise ApiError(INVALID_INPUT, "This server has no private hosted zones.")
    _refuse_delegation_set(call)
    comment = config.get("Comment", "")
    zone, change = await call.zones.create_zone(params["Name"], params["CallerReference"], call.name_servers, comment)
    return {
        "HostedZone": hosted_zone(zone),
        "ChangeInfo": change_info(change),
        "DelegationSet": _delegation_set(zone),
        "Location": f"{call.base}/hostedzone/{zone.id}",
    }


async def get(call: ApiCall) -> Result:
    """GetHostedZone."""
    zone = await call.zones.zone(bare(call.params["Id"]))
    return {"HostedZone": hosted_zone(zone), "DelegationSet": _delegation_set(zone)}


async def list_all(call: ApiCall) -> Result:
    """ListHostedZones."""
    params = call.params
    _refuse_delegation_set(call)
    limit = maximum_items(params, MOST_ZONES)
    marker = params.get("Marker")
    if params.get("HostedZoneType"):
        found: tuple[HostedZone, ...] = ()  # the only type that can be asked for is private
    else:
        found = await _from(call, marker, limit + 1)
    return {
        "HostedZones": [hosted_zone(zone) for zone in found[:limit]],
        "Marker": marker,
        "IsTruncated": len(found) > limit,
        "NextMarker": found[limit].id if len(found) > limit else None,
        "MaxItems": limit,
    }


async def list_by_name(call: ApiCall) -> Result:
    """ListHostedZonesByName: in the order of reversed labels."""
    params = call.params
    name, zone_id = params.get("DNSName"), params.get("HostedZoneId")
    if zone_id is not None and name is None:
        raise ApiError(INVALID_INPUT, "HostedZoneId requires DNSName: together they say where a page begins.")
    limit = maximum_items(params, MOST_ZONES)
    start = bare(zone_id) if zone_id is not None else None
    found = await call.zones.zones_by_name(_first(name), start, limit + 1)
    following = found[limit] if len(found) > limit else None
    return {
        "HostedZones": [hosted_zone(zone) for zone in found[:limit]],
        "DNSName": name,
        "HostedZoneId": zone_id,
        "IsTruncated": following is not None,
        "NextDNSName": following.name if following is not None else None,
        "NextHostedZoneId": following.id if following is not None else None,
        "MaxItems": limit,
    }


async def count(call: ApiCall) -> Result:
    """GetHostedZoneCount."""
    return {"HostedZoneCount": await call.zones.zone_count()}


async def delete(call: ApiCall) -> Result:
    """DeleteHostedZone."""
    return {"ChangeInfo": change_info(await call.zones.delete_zone(bare(call.params["Id"])))}


async def comment_on(call: ApiCall) -> Result:
    """UpdateHostedZoneComment: without a comment, it has none any more."""
    zone = await call.zones.comment_zone(bare(call.params["Id"]), call.params.get("Comment", ""))
    return {"HostedZone": hosted_zone(zone)}


def hosted_zone(zone: HostedZone) -> Result:
    """A hosted zone as responses tell it."""
    linked = {"ServicePrincipal": FILES, "Description": "Loaded from a zone file; change it there."}
    return {
        "Id": f"/hostedzone/{zone.id}",
        "Name": zone.name,
        "CallerReference": zone.caller_reference,
        "Config": {"Comment": zone.comment or None, "PrivateZone": False},
        "ResourceRecordSetCount": zone.record_set_count,
        "LinkedService": linked if zone.read_only else None,
    }


async def _from(call: ApiCall, marker: str | None, limit: int) -> tuple[HostedZone, ...]:
    try:
        return await call.zones.zones(bare(marker) if marker is not None else None, limit)
    except ZoneRequestError as error:
        if error.code != NO_SUCH_ZONE:
            raise
        # The operation has no error for a zone that is not there.
        raise ApiError(INVALID_INPUT, f"The marker is not a hosted zone: {error.message}") from None


def _delegation_set(zone: HostedZone) -> Result:
    return {"NameServers": list(zone.name_servers)}


def _first(name: str | None) -> str | None:
    try:
        return normalised(name) if name is not None else None
    except NameSpellingError as error:
        raise ApiError("InvalidDomainName", str(error)) from None


def _refuse_delegation_set(call: ApiCall) -> None:
    given = call.params.get("DelegationSetId")
    if given is not None:
        raise ApiError("NoSuchDelegationSet", f"No reusable delegation set found with ID: {bare(given)}")


HANDLERS: dict[str, Handler] = {
    "CreateHostedZone": create,
    "GetHostedZone": get,
    "ListHostedZones": list_all,
    "ListHostedZonesByName": list_by_name,
    "GetHostedZoneCount": count,
    "DeleteHostedZone": delete,
    "UpdateHostedZoneComment": comment_on,
}
