"""Values as a response: XML in the service's namespace with elements in the model's order, headers, and a status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from botocore.model import ListShape, Shape, StructureShape

from keys.rules.moments import FIRST, LAST
from server.route53.service_model import NAMESPACE, Operation

CONTENT_TYPE = "text/xml"
_SERVER_ERRORS = 500


class Rendered(NamedTuple):
    """A response without the connection around it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def render(operation: Operation, result: Mapping[str, Any]) -> Rendered:
    """The response of an operation; `result` has the model's member names, and timestamps in seconds since the epoch.

    Members that are `None` are left out. A member that the model doesn't have is a bug: `KeyError`.
    """
    for name in result:
        if name not in operation.output.members:
            raise KeyError(f"{operation.name} has no result {name}")
    root = Element(f"{operation.name}Response", {"xmlns": NAMESPACE})
    headers = {}
    for name, shape in operation.output.members.items():
        value = result.get(name)
        if value is None:
            continue
        if shape.serialization.get("location") == "header":
            headers[shape.serialization.get("name", name)] = _text(shape, value)
        else:
            _add(root, name, shape, value)
    return Rendered(operation.status, headers, _document(root))


def render_error(status: int, code: str, message: str, request_id: str) -> Rendered:
    """An error response, InvalidChangeBatch among them: Route 53 gives it no shape of its own any more."""
    root = Element("ErrorResponse", {"xmlns": NAMESPACE})
    error = SubElement(root, "Error")
    SubElement(error, "Type").text = "Receiver" if status >= _SERVER_ERRORS else "Sender"
    SubElement(error, "Code").text = code
    SubElement(error, "Message").text = _sendable(message)
    SubElement(root, "RequestId").text = request_id
    return Rendered(status, {}, _document(root))


def timestamp(seconds: float) -> str:
    """A time as the API tells it, in milliseconds: `2013-04-01T00:00:00.000Z`."""
    within = min(max(seconds, FIRST), LAST)  # what a damaged state holds is told as the nearest time that there is
    return datetime.fromtimestamp(within, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _add(parent: Element, name: str, shape: Shape, value: Any) -> None:
    wire = shape.serialization.get("name", name)
    if isinstance(shape, ListShape) and shape.serialization.get("flattened"):
        for item in value:
            _add(parent, shape.member.serialization.get("name", wire), shape.member, item)
        return
    element = SubElement(parent, wire)
    if isinstance(shape, StructureShape):
        for member, inner in shape.members.items():
            if value.get(member) is not None:
                _add(element, member, inner, value[member])
    elif isinstance(shape, ListShape):
        for item in value:
            _add(element, shape.member.serialization.get("name", "member"), shape.member, item)
    else:
        element.text = _text(shape, value)


def _text(shape: Shape, value: Any) -> str:
    if shape.type_name == "timestamp":
        return timestamp(value)
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return _sendable(str(value))


def _sendable(text: str) -> str:
    """The text without what XML can't carry (XML 1.0 §2.2)."""
    return "".join(c if c >= " " or c in "\t\n\r" else "�" for c in text if c not in "\ufffe\uffff")


def _document(root: Element) -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + bytes(tostring(root, encoding="utf-8"))
