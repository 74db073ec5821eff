"""A request as values: URI labels, query string, headers and XML body, each read by the shape the model gives it.

Values are text, `int`, `float`, `bool`, lists and dictionaries by the model's member names; a timestamp is seconds
since the epoch. What the model's limits say of them is `constraints`' to check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element

from botocore.model import ListShape, Shape, StructureShape
from botocore.utils import parse_timestamp

from server.route53.api_errors import INVALID_INPUT, MALFORMED_INPUT, ApiError
from server.route53.service_model import NAMESPACE, Match
from server.route53.strict_xml import parse_xml

MOST_FIELDS = 32
"""Parameters of a query string: more than any operation has."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def parse_request(match: Match, query: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The parameters of a request; `headers` have lower-case names.

    Raises `ApiError` (InvalidInput, MalformedInput).
    """
    operation = match.operation
    fields = _fields(query)
    found: dict[str, Any] = {}
    in_body = {}
    for name, shape in operation.input.members.items():
        location = shape.serialization.get("location")
        wire = shape.serialization.get("name", name)
        if location == "uri":
            found[name] = _scalar(shape, match.labels[wire])
        elif location == "querystring":
            if fields.get(wire):
                found[name] = _scalar(shape, fields[wire])
        elif location == "header":
            if wire.lower() in headers:
                found[name] = _scalar(shape, headers[wire.lower()])
        else:
            in_body[name] = shape
    if in_body and body:  # clients send none where no member is given
        root = parse_xml(body, NAMESPACE)
        if root.tag != operation.root:
            raise ApiError(MALFORMED_INPUT, f"{root.tag} is not valid, expected {operation.root}")
        found |= _structure(in_body, root)
    return found


def _fields(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:  # UnicodeDecodeError is one
        raise ApiError(INVALID_INPUT, "Invalid query string.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ApiError(INVALID_INPUT, "Duplicate parameter in the query string.")
    return fields


def _value(shape: Shape, element: Element) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(shape.members, element)
    if isinstance(shape, ListShape):
        return _list(shape, list(element), element.tag)
    if len(element):
        raise _unexpected(element[0].tag, element.tag)
    return _scalar(shape, element.text or "")


def _structure(members: Mapping[str, Shape], element: Element) -> dict[str, Any]:
    names = {_wire_name(name, shape): name for name, shape in members.items()}
    found: dict[str, Any] = {}
    for child in element:
        name = names.get(child.tag)
        shape = members.get(name) if name is not None else None
        if name is None or shape is None:
            raise _unexpected(child.tag, element.tag, names)
        if isinstance(shape, ListShape) and shape.serialization.get("flattened"):
            found.setdefault(name, []).append(_value(shape.member, child))
        elif name in found:
            raise _unexpected(child.tag, element.tag)
        else:
            found[name] = _value(shape, child)
    _refuse_text(element)
    return found


def _list(shape: ListShape, items: list[Element], within: str) -> list[Any]:
    wanted = shape.member.serialization.get("name", "member")
    for item in items:
        if item.tag != wanted:
            raise _unexpected(item.tag, within, [wanted])
    return [_value(shape.member, item) for item in items]


def _wire_name(name: str, shape: Shape) -> str:
    if isinstance(shape, ListShape) and shape.serialization.get("flattened"):
        name = shape.member.serialization.get("name", name)
    return str(shape.serialization.get("name", name))


def _refuse_text(element: Element) -> None:
    texts = [element.text, *(child.tail for child in element)]
    if any(text and not text.isspace() for text in texts):
        raise ApiError(INVALID_INPUT, f"Invalid XML ; Element '{element.tag}' must have no character content.")


def _unexpected(tag: str, within: str, expected: Any = ()) -> ApiError:
    hint = f" Expected: {', '.join(expected)}." if expected else ""
    return ApiError(
        INVALID_INPUT, f"Invalid XML ; Invalid content was found in '{within}' starting with element '{tag}'.{hint}"
    )


def _scalar(shape: Shape, text: str) -> Any:
    try:
        return _READERS[shape.type_name](text)
    except (ValueError, KeyError):
        raise ApiError(
            INVALID_INPUT, f"Invalid input ; '{text[:100]}' is not a valid value for '{shape.type_name}'."
        ) from None


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError(text)
    return int(text)


def _decimal(text: str) -> float:
    if not _DECIMAL.fullmatch(text.strip()) or not isfinite(float(text)):
        raise ValueError(text)
    return float(text)


def _boolean(text: str) -> bool:
    return _BOOLEANS[text.strip()]


def _timestamp(text: str) -> float:
    return float(parse_timestamp(text).timestamp())


_READERS: Mapping[str, Callable[[str], Any]] = {
    "string": str,
    "integer": _integer,
    "long": _integer,
    "double": _decimal,
    "float": _decimal,
    "boolean": _boolean,
    "timestamp": _timestamp,
}
