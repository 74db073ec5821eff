"""JSON from a stranger: no member twice, and no deeper than a document here can be."""

from __future__ import annotations

import json
import re
from typing import Any

MAXIMUM_DEPTH = 32
"""Checked before parsing: the parser would recurse as deep as the text nests, up to the interpreter's own limit."""
MAXIMUM_MEMBERS = 256
"""Members of an object, more than any has here: botocore takes a second to say of 14,000 that it does not know them."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
"""A string, or one that never ends: matched as well, so that no text is gone over more than once."""


def read_json(text: str) -> Any:
    """The value of a JSON text. Raises `ValueError`."""
    depth = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            if depth > MAXIMUM_DEPTH:
                raise ValueError("nested too deeply")
        elif character in "]}":
            depth -= 1
    return json.loads(text, object_pairs_hook=_object_without_duplicates)


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAXIMUM_MEMBERS:
        raise ValueError("too many members in an object")
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members
