"""Values as a response: XML in the service's namespace with elements in the model's order, headers, and a status."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from botocore.model import ListShape, Shape, StructureShape

from keys.rules.moments import FIRST, LAST
from server.route53.service_model import NAMESPACE, Operation

CONTENT_TYPE = "text/xml"
SLICE = 256
"""Parts of a document between two pauses: half a millisecond of work."""
_SERVER_ERRORS = 500
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_QUOTED = {'"': "&quot;"}
"""As Route 53 writes text: clients that read a response without an XML parser split it at quotation marks."""
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NO_CHARACTERS = re.compile("[\ufffe\uffff]")


class Rendered(NamedTuple):
    """A response without the connection around it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def render(operation: Operation, result: Mapping[str, Any]) -> Rendered:
    """The response of an operation; `result` has the model's member names, and timestamps in seconds since the epoch.

    Members that are `None` are left out. A member that the model doesn't have is a bug: `KeyError`.
    """
    return joined(operation, result, parts(operation, result))


async def render_in_slices(
    operation: Operation, result: Mapping[str, Any], pause: Callable[[], Awaitable[None]]
) -> Rendered:
    """As `render`, with a `pause` after each `SLICE` parts: a page of a listing takes longer than a query may wait."""
    made: list[str] = []
    for part in parts(operation, result):
        made.append(part)
        if len(made) % SLICE == 0:
            await pause()
    return joined(operation, result, made)


def joined(operation: Operation, result: Mapping[str, Any], made: Iterable[str]) -> Rendered:
    """The response whose document consists of these parts."""
    headers = {
        shape.serialization.get("name", name): _text(shape, result[name])
        for name, shape in operation.output.members.items()
        if _is_header(shape) and result.get(name) is not None
    }
    return Rendered(operation.status, headers, "".join(made).encode(errors="replace"))


def parts(operation: Operation, result: Mapping[str, Any]) -> Iterator[str]:
    """The document of `result`, element by element."""
    for name in result:
        if name not in operation.output.members:
            raise KeyError(f"{operation.name} has no result {name}")
    yield _DECLARATION
    root = f"{operation.name}Response"
    content = _members(
        {name: shape for name, shape in operation.output.members.items() if not _is_header(shape)}, result
    )
    yield from _enclosed(root, content, f' xmlns="{NAMESPACE}"')


def render_error(status: int, code: str, message: str, request_id: str) -> Rendered:
    """An error response, InvalidChangeBatch among them: Route 53 gives it no shape of its own any more."""
    kind = "Receiver" if status >= _SERVER_ERRORS else "Sender"
    error = (_element(tag, text) for tag, text in (("Type", kind), ("Code", code), ("Message", _sendable(message))))
    content = (*_enclosed("Error", error), _element("RequestId", request_id))
    document = (_DECLARATION, *_enclosed("ErrorResponse", content, f' xmlns="{NAMESPACE}"'))
    return Rendered(status, {}, "".join(document).encode())


def timestamp(seconds: float) -> str:
    """A time as the API tells it, in milliseconds: `2013-04-01T00:00:00.000Z`."""
    within = min(max(seconds, FIRST), LAST)  # a time of a damaged state becomes the nearest valid one
    return datetime.fromtimestamp(within, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _is_header(shape: Shape) -> bool:
    return bool(shape.serialization.get("location") == "header")


def _members(members: Mapping[str, Shape], value: Mapping[str, Any]) -> Iterator[str]:
    """The members of a structure that `value` has."""
    for name, shape in members.items():
        if value.get(name) is not None:
            yield from _member(name, shape, value[name])


def _member(name: str, shape: Shape, value: Any) -> Iterator[str]:
    wire = shape.serialization.get("name", name)
    if isinstance(shape, StructureShape):
        yield from _enclosed(wire, _members(shape.members, value))
    elif isinstance(shape, ListShape):
        flat = shape.serialization.get("flattened")
        item = shape.member.serialization.get("name", wire if flat else "member")
        items = _items(item, shape.member, value)
        yield from items if flat else _enclosed(wire, items)
    else:
        yield _element(wire, _text(shape, value))


def _items(name: str, shape: Shape, values: Iterable[Any]) -> Iterator[str]:
    """The items of a list, each as a member `name`."""
    if isinstance(shape, StructureShape):
        members = shape.members
        for value in values:
            yield from _enclosed(name, _members(members, value))
    else:
        for value in values:
            yield from _member(name, shape, value)


def _enclosed(tag: str, content: Iterable[str], attributes: str = "") -> Iterator[str]:
    """An element around others."""
    inner = iter(content)
    first = next(inner, None)
    if first is None:
        yield f"<{tag}{attributes} />"
        return
    yield f"<{tag}{attributes}>{first}"
    yield from inner
    yield f"</{tag}>"


def _element(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text, _QUOTED)}</{tag}>" if text else f"<{tag} />"


def _text(shape: Shape, value: Any) -> str:
    if shape.type_name == "timestamp":
        return timestamp(value)
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return _sendable(str(value))


def _sendable(text: str) -> str:
    """The text without what XML can't carry (XML 1.0 §2.2)."""
    return text if text.isalnum() else _NOT_IN_XML.sub("\ufffd", _NO_CHARACTERS.sub("", text))
