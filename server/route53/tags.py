"""The operations on tags. Hosted zones have them; the other kind of resource that could, a health check, isn't here."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from server.route53.api_call import ApiCall, Handler, Result
from server.route53.api_errors import INVALID_INPUT, ApiError

MOST_TAGS = 50
"""Tags of one hosted zone."""
_HEALTH_CHECK = "healthcheck"
_PUNCTUATION = frozenset("_.:/=+-@")
_CATEGORIES = frozenset("LNZ")
"""The first letters of the Unicode categories of letters, numbers and blanks."""


async def change(call: ApiCall) -> Result:
    """ChangeTagsForResource."""
    params = call.params
    zone_id = _zone_ids(params["ResourceType"], [params["ResourceId"]])[0]
    if "AddTags" not in params and "RemoveTagKeys" not in params:
        raise ApiError(INVALID_INPUT, "Give AddTags, RemoveTagKeys or both.")
    put: dict[str, str] = {}
    for tag in params.get("AddTags", []):
        key = tag.get("Key", "")
        if not key:
            raise ApiError(INVALID_INPUT, "A tag has no key.")
        if key.lower().startswith("aws:"):
            raise ApiError(INVALID_INPUT, f"Tag keys must not begin with aws:, found '{key}'.")
        if key in put:
            raise ApiError(INVALID_INPUT, f"Duplicate tag key '{key}'.")
        put[key] = tag.get("Value", "")
    removed = params.get("RemoveTagKeys", [])
    _check_characters([*put, *put.values(), *removed])
    if both := put.keys() & set(removed):
        raise ApiError(INVALID_INPUT, f"The tag key '{min(both)}' is in both AddTags and RemoveTagKeys.")
    present = (await call.zones.tags([zone_id]))[zone_id]
    if len((present.keys() - set(removed)) | put.keys()) > MOST_TAGS:
        raise ApiError(INVALID_INPUT, f"A resource can have at most {MOST_TAGS} tags.")
    await call.zones.change_tags(zone_id, put, removed)
    return {}


async def list_one(call: ApiCall) -> Result:
    """ListTagsForResource."""
    params = call.params
    return {"ResourceTagSet": (await _tag_sets(call, params["ResourceType"], [params["ResourceId"]]))[0]}


async def list_several(call: ApiCall) -> Result:
    """ListTagsForResources."""
    params = call.params
    return {"ResourceTagSets": await _tag_sets(call, params["ResourceType"], params["ResourceIds"])}


async def _tag_sets(call: ApiCall, resource_type: str, resource_ids: list[str]) -> list[Result]:
    zone_ids = _zone_ids(resource_type, resource_ids)
    found = await call.zones.tags(zone_ids)
    return [
        {
            "ResourceType": resource_type,
            "ResourceId": zone_id,
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(found[zone_id].items())],
        }
        for zone_id in zone_ids
    ]


def _zone_ids(resource_type: str, resource_ids: Iterable[str]) -> list[str]:
    """The ids of hosted zones, each once. Unlike other calls, those on tags take no id with a path before it."""
    found = list(dict.fromkeys(resource_ids))
    if resource_type == _HEALTH_CHECK:
        raise ApiError("NoSuchHealthCheck", f"No health check exists with the ID {', '.join(found)}.")
    for resource_id in found:
        if not (resource_id.isascii() and resource_id.isalnum()):
            raise ApiError(INVALID_INPUT, f"Invalid resource id '{resource_id}': expected the id alone, such as Z0123.")
    return found


def _check_characters(texts: Iterable[str]) -> None:
    """Refuse a key or value with a character that tags can't have. Raises `ApiError` (InvalidInput)."""
    for text in texts:
        for character in text:
            if character not in _PUNCTUATION and unicodedata.category(character)[0] not in _CATEGORIES:
                raise ApiError(
                    INVALID_INPUT,
                    f"Invalid character {character!a} in the tag text '{text}': "
                    "letters, numbers, blanks and _ . : / = + - @ are allowed.",
                )


HANDLERS: dict[str, Handler] = {
    "ChangeTagsForResource": change,
    "ListTagsForResource": list_one,
    "ListTagsForResources": list_several,
}
