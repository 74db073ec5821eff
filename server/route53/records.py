"""The operations on record sets, and on what became of a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from server.route53.api_call import ApiCall, Handler, Result, bare, change_info, maximum_items
from server.route53.api_errors import INTERNAL, INVALID_INPUT, ApiError
from zones.recordsets.record_sets import AliasTarget, ChangeAction, Position, RecordSet, RecordSetChange
from zones.recordsets.route53_names import NameSpellingError, from_text, normalised

MOST_RECORD_SETS = 300
"""Record sets on a page."""
LARGEST_PAGE = 512 << 10
"""Octets of a page, about: one of 300 record sets with 400 values each would have 7 MB, and take half a second."""
_OVERHEAD = 60
"""Octets of the elements around a value."""
LONGEST_ENTRY = 512
"""Characters that TestDNSAnswer tells of one record."""
_UNSUPPORTED = (
    "Failover",
    "Region",
    "GeoLocation",
    "GeoProximityLocation",
    "CidrRoutingConfig",
    "HealthCheckId",
    "TrafficPolicyInstanceId",
)


async def change(call: ApiCall) -> Result:
    """ChangeResourceRecordSets."""
    batch = call.params["ChangeBatch"]
    _refuse_health_checks(batch["Changes"])
    changes = [given_change(item) for item in batch["Changes"]]
    zone_id = bare(call.params["HostedZoneId"])
    return {"ChangeInfo": change_info(await call.zones.change_record_sets(zone_id, changes, batch.get("Comment", "")))}


async def list_all(call: ApiCall) -> Result:
    """ListResourceRecordSets."""
    params = call.params
    limit = maximum_items(params, MOST_RECORD_SETS)
    found = await call.zones.record_sets(bare(params["HostedZoneId"]), _start(params), limit + 1)
    shown = _fitting(found[:limit])
    following = found[shown] if len(found) > shown else None
    return {
        "ResourceRecordSets": [_told(record_set) for record_set in found[:shown]],
        "IsTruncated": following is not None,
        "NextRecordName": following.name if following is not None else None,
        "NextRecordType": following.type if following is not None else None,
        "NextRecordIdentifier": following.set_identifier if following is not None else None,
        "MaxItems": limit,
    }


async def get_change(call: ApiCall) -> Result:
    """GetChange."""
    return {"ChangeInfo": change_info(await call.zones.change(bare(call.params["Id"])))}


async def test_answer(call: ApiCall) -> Result:
    """TestDNSAnswer: the server's own answer. Where the resolver is makes no difference to it."""
    params = call.params
    if "EDNS0ClientSubnetMask" in params and "EDNS0ClientSubnetIP" not in params:
        raise ApiError(INVALID_INPUT, "EDNS0ClientSubnetMask requires EDNS0ClientSubnetIP.")
    zone = await call.zones.zone(bare(params["HostedZoneId"]))
    try:
        owner = from_text(params["RecordName"])
    except NameSpellingError as error:
        raise ApiError(INVALID_INPUT, str(error)) from None
    name, apex = (dns.name.from_wire(wire, 0)[0] for wire in (owner, from_text(zone.name)))
    if not name.is_subdomain(apex):
        raise ApiError(INVALID_INPUT, f"{params['RecordName']} is not in the hosted zone {zone.name}")
    query = dns.message.make_query(name, params["RecordType"], id=0)
    answer = call.ask(query.to_wire())
    if answer is None:
        raise ApiError(INTERNAL, "The name server did not answer.", 500)
    response = dns.message.from_wire(answer)
    wanted = dns.rdatatype.from_text(params["RecordType"])
    found = [rdata for rrset in response.answer for rdata in rrset if rrset.rdtype in (wanted, dns.rdatatype.CNAME)]
    return {
        "Nameserver": zone.name_servers[0] if zone.name_servers else "",
        "RecordName": normalised(params["RecordName"]),
        "RecordType": params["RecordType"],
        "RecordData": [rdata.to_text()[:LONGEST_ENTRY] for rdata in found],
        "ResponseCode": dns.rcode.to_text(response.rcode()),
        "Protocol": "TCP",
    }


def _refuse_health_checks(changes: list[dict[str, Any]]) -> None:
    for item in changes:
        given = item["ResourceRecordSet"].get("HealthCheckId")
        if given is not None and item["Action"] != ChangeAction.DELETE.value:
            raise ApiError("NoSuchHealthCheck", f"No health check exists with the ID {given}: this server has none.")


def given_change(item: Mapping[str, Any]) -> RecordSetChange:
    """One change of a batch, as the model allows it."""
    given = item["ResourceRecordSet"]
    alias = given.get("AliasTarget")
    record_set = RecordSet(
        name=given["Name"],
        type=given["Type"],
        ttl=given.get("TTL"),
        values=tuple(record["Value"] for record in given.get("ResourceRecords", ())),
        set_identifier=given.get("SetIdentifier"),
        weight=given.get("Weight"),
        multivalue=given.get("MultiValueAnswer"),
        alias=AliasTarget(bare(alias["HostedZoneId"]), alias["DNSName"], alias["EvaluateTargetHealth"])
        if alias is not None
        else None,
        unsupported=tuple(element for element in _UNSUPPORTED if element in given),
    )
    return RecordSetChange(ChangeAction(item["Action"]), record_set)


def _told(record_set: RecordSet) -> Result:
    alias = record_set.alias
    return {
        "Name": record_set.name,
        "Type": record_set.type,
        "SetIdentifier": record_set.set_identifier,
        "Weight": record_set.weight,
        "MultiValueAnswer": record_set.multivalue,
        "TTL": record_set.ttl,
        "ResourceRecords": [{"Value": value} for value in record_set.values] or None,
        "AliasTarget": {
            "HostedZoneId": alias.hosted_zone_id,
            "DNSName": alias.dns_name,
            "EvaluateTargetHealth": alias.evaluate_target_health,
        }
        if alias is not None
        else None,
    }


def _fitting(found: Sequence[RecordSet]) -> int:
    """How many record sets, from the first on, make no page larger than `LARGEST_PAGE`; one does in any case."""
    size = 0
    for number, record_set in enumerate(found):
        size += _OVERHEAD + sum(_OVERHEAD + len(value) for value in record_set.values)
        if size > LARGEST_PAGE and number:
            return number
    return len(found)


def _start(params: Mapping[str, Any]) -> Position | None:
    name, rrtype = params.get("StartRecordName"), params.get("StartRecordType")
    identifier = params.get("StartRecordIdentifier")
    if name is None:
        if rrtype is not None or identifier is not None:
            raise ApiError(INVALID_INPUT, "StartRecordType and StartRecordIdentifier require StartRecordName.")
        return None
    if identifier is not None and rrtype is None:
        raise ApiError(INVALID_INPUT, "StartRecordIdentifier requires StartRecordType.")
    try:
        return Position(normalised(name), rrtype or "", identifier or "")
    except NameSpellingError as error:
        raise ApiError(INVALID_INPUT, str(error)) from None


HANDLERS: dict[str, Handler] = {
    "ChangeResourceRecordSets": change,
    "ListResourceRecordSets": list_all,
    "GetChange": get_change,
    "TestDNSAnswer": test_answer,
}
