"""One request on its way to a handler: its parameters, and all that a handler may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from server.hosting.zone_operations import ZoneOperations
from server.route53.api_errors import INVALID_INPUT, ApiError
from zones.recordsets.record_sets import ChangeInfo

Result = dict[str, Any]
"""What an operation answers, by the member names of its output; times in seconds since the epoch."""

Ask = Callable[[bytes], bytes | None]
"""Answers a DNS query as the server does; `None`: silence."""


class ApiCall(NamedTuple):
    """A request that is well-formed and allowed."""

    params: Mapping[str, Any]
    zones: ZoneOperations
    name_servers: tuple[str, ...]
    """The delegation set of zones that are made: names without last dots."""
    ask: Ask
    base: str
    """URL under which the API was called, with its version: what Location headers begin with."""


Handler = Callable[[ApiCall], Awaitable[Result]]


def change_info(change: ChangeInfo) -> Result:
    """A change as responses tell it."""
    return {
        "Id": f"/change/{change.id}",
        "Status": change.status.value,
        "SubmittedAt": change.submitted,
        "Comment": change.comment or None,
    }


def maximum_items(params: Mapping[str, Any], most: int) -> int:
    """How many items a page may have: as asked, at most `most`. Raises `ApiError` (InvalidInput)."""
    text = params.get("MaxItems", str(most))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise ApiError(INVALID_INPUT, f"Value '{text[:20]}' at 'maxItems' is not a number greater than 0.")
    return min(int(text), most)


def bare(resource_id: str) -> str:
    """An id without the path that responses put before it (`/hostedzone/Z…`)."""
    return resource_id.rpartition("/")[2]
