"""The four ways to name a key: its id, its ARN, `alias/NAME`, and an alias's ARN; and markers, the names of pages."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar

from keys.emulator.aws_errors import AwsError
from keys.emulator.key_records import Site

_KEY_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ALIAS = re.compile(r"alias/[a-zA-Z0-9/_-]+")
_T = TypeVar("_T")


def key_name(key_id: str, site: Site) -> str:
    """`key_id` in any of the four forms as the id of a key or `alias/NAME`. Raises `AwsError`."""
    if not key_id.startswith("arn:"):
        name = key_id
    else:
        parts = key_id.split(":", 5)
        if len(parts) != 6 or parts[:3] != ["arn", "aws", "kms"]:
            raise AwsError("InvalidArnException", f"{key_id} is not a KMS ARN.")
        if parts[3] != site.region:
            raise AwsError("NotFoundException", f"Invalid arn {parts[3]}")
        if parts[4] != site.account:
            raise AwsError(
                "NotFoundException", f"Account {parts[4]} has no keys in this KMS; its account is {site.account}."
            )
        kind, _, rest = parts[5].partition("/")
        name = rest if kind == "key" else parts[5]
    if not _KEY_ID.fullmatch(name) and not is_alias(name):
        raise AwsError("NotFoundException", f"Invalid keyId '{key_id}'")
    return name


def is_alias(name: str) -> bool:
    """Whether this has the form of an alias."""
    return bool(_ALIAS.fullmatch(name))


def check_alias(name: str) -> None:
    """Raise `AwsError` for what can't be made, moved or deleted as an alias."""
    if name.startswith("alias/aws/"):
        raise AwsError("NotAuthorizedException", "Aliases that begin with alias/aws/ belong to AWS.")
    if not name.startswith("alias/"):
        raise AwsError("ValidationException", "Invalid identifier: an alias begins with alias/.")
    if not is_alias(name):
        raise AwsError("InvalidAliasNameException", "An alias is alias/ and letters, digits, /, _ or -.")


def page(
    items: Sequence[_T], name_of: Callable[[_T], str], limit: int, marker: str | None
) -> tuple[list[_T], dict[str, object]]:
    """The items behind `marker`, at most `limit`, and the members of the answer that lead to the next page.

    `items` is in the order of their names, and a marker is the last name of a page, so that items made or deleted
    between two pages neither repeat nor hide another. Raises `AwsError` for a marker that none of ours can be.
    """
    after = _marked(marker) if marker is not None else None
    rest = [item for item in items if after is None or name_of(item) > after]
    shown = rest[:limit]
    if len(rest) <= limit:
        return shown, {"Truncated": False}
    next_marker = urlsafe_b64encode(name_of(shown[-1]).encode()).decode()
    return shown, {"Truncated": True, "NextMarker": next_marker}


def _marked(marker: str) -> str:
    try:
        return urlsafe_b64decode(marker.encode("ascii")).decode()
    except (binascii.Error, UnicodeError):
        raise AwsError("InvalidMarkerException", "Invalid marker.") from None
