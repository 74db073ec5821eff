"""What the model's limits say of a request's values: required, length, range, pattern, enumeration. In AWS's words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import ListShape, Shape, StructureShape

from server.route53.api_errors import INVALID_INPUT, ApiError

LONGEST_SHOWN = 100
"""Characters of a value that a message repeats."""
MOST_SHOWN = 20
"""Problems that one message tells."""


def check_constraints(shape: StructureShape, params: Mapping[str, Any]) -> None:
    """Raise `ApiError` (InvalidInput) with all that is wrong."""
    problems = list(_structure(shape, params, ""))
    if problems:
        errors = "error" if len(problems) == 1 else "errors"
        text = "; ".join(problems[:MOST_SHOWN])
        raise ApiError(INVALID_INPUT, f"{len(problems)} validation {errors} detected: {text}")


def _structure(shape: StructureShape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if name not in value:
            yield _problem(None, _under(path, name), "Member must not be null")
    for name, given in value.items():
        yield from _any(shape.members[name], given, _under(path, name))


def _any(shape: Shape, value: Any, path: str) -> Iterator[str]:
    yield from _limits(shape, value, path)
    if isinstance(shape, StructureShape):
        yield from _structure(shape, value, path)
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value, 1):
            yield from _any(shape.member, item, f"{path}.{number}.member")


def _limits(shape: Shape, value: Any, path: str) -> Iterator[str]:
    limits = shape.metadata
    is_number = isinstance(value, int | float)
    size = value if is_number else len(value)
    what = "value" if is_number else "length"
    if "min" in limits and size < limits["min"]:
        yield _problem(value, path, f"Member must have {what} greater than or equal to {limits['min']}")
    if "max" in limits and size > limits["max"]:
        yield _problem(value, path, f"Member must have {what} less than or equal to {limits['max']}")
    if "enum" in limits and value not in limits["enum"]:
        yield _problem(value, path, f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
    if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
        yield _problem(value, path, f"Member must satisfy regular expression pattern: {limits['pattern']}")


def _problem(value: Any, path: str, constraint: str) -> str:
    shown = "null" if value is None else f"'{str(value)[:LONGEST_SHOWN]}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"


def _under(path: str, name: str) -> str:
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name
