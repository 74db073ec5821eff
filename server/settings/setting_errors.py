"""What may stand at a setting, in words, made from the types of `server.settings.schema`: for errors."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

from keys.dnssec.signing_policy import PolicyError

KeyPath = tuple[str | int, ...]
"""Where a value stands: ("zones", 1, "denial")."""

_Kind = TypeVar("_Kind", bound=inspect.Type)
_GUARDED = "hooks"
"""A webhook's URL and a program's arguments may hold secrets, and what is wrong with a configuration is logged."""
_LONG = 60
"""Characters of a value beyond which it is cut short."""


class Wrong(NamedTuple):
    """What is wrong, and where."""

    path: KeyPath
    reason: str


def explain(error: msgspec.ValidationError, raw: Any, kind: type[msgspec.Struct]) -> Wrong:
    """Why `raw` is not a valid `kind`, in our words: what was found, and what is valid there."""
    path, info = _walk(error, raw, inspect.type_info(kind))
    cause = error.__cause__
    if cause is not None:  # values that don't go together: their own type says why
        if isinstance(cause, PolicyError) and _has(raw, (*path, cause.field)):
            return Wrong((*path, cause.field), cause.reason)
        return Wrong(path, str(cause))
    value = _at(raw, path)
    struct = _of_kind(info, inspect.StructType)
    if struct is not None and isinstance(value, dict):
        lacking = next(field for field in struct.fields if field.required and field.name not in value)
        return Wrong(path, f"{lacking.name} is missing; give {_words(lacking.type)}")
    found = "this value" if path[:1] == (_GUARDED,) else _shown(value)
    return Wrong(path, f"{found} is not valid; {_instead(info, path)}")


def _instead(info: inspect.Type, path: KeyPath) -> str:
    name = ".".join(part for part in path if isinstance(part, str))
    sequence = _of_kind(info, inspect.VarTupleType)
    if _of_kind(info, inspect.StructType) is not None and not (path and isinstance(path[-1], int)):
        return f"write [{name}], with its settings on the lines below"
    if _of_kind(sequence.item_type if sequence else info, inspect.StructType) is not None:
        return f"write [[{name}]], with its settings on the lines below, for each one"
    return f"give {_words(info)}"


def _words(info: inspect.Type) -> str:
    """What is of a type, after "give"."""
    match info:
        case inspect.UnionType(types=types):
            return ", or ".join(_words(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.Metadata(extra_json_schema={"description": str(described)}):
            return described
        case inspect.Metadata(type=inner):
            return _words(inner)
        case inspect.EnumType(cls=choices):
            return _either(one.value for one in choices)
        case inspect.LiteralType(values=values):
            return _either(values)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=None):
            return "an integer"
        case inspect.IntType(ge=low, le=high):
            return f"an integer from {low} to {high}"
        case inspect.StrType():
            return "a string in quotes"
        case inspect.VarTupleType(item_type=item):
            return f"a list, as in [{_example(item)}, …]"
    return "a table"


def _example(info: inspect.Type) -> str:
    described = _words(info)
    quoted = re.search(r'"[^"]*"', described)
    return quoted[0] if quoted else '"…"'


def _either(values: Iterable[Any]) -> str:
    return " or ".join(json.dumps(value) for value in values)


def _shown(value: Any) -> str:
    """A value as the file has it."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, datetime.date | datetime.time):
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


# Where it stands


def _walk(error: msgspec.ValidationError, raw: Any, info: inspect.Type) -> tuple[KeyPath, inspect.Type]:
    """The path that the error ends with, as in `$.zones[1].signed`, and the type of what it leads to."""
    where = str(error).rpartition(" - at `$")[2] if " - at `$" in str(error) else ""
    path: list[str | int] = []
    for name, index in re.findall(r"\.([A-Za-z0-9_-]+)|\[(\d+|\.\.\.)\]", where):
        if name and (struct := _of_kind(info, inspect.StructType)):
            path.append(name)
            info = next(field.type for field in struct.fields if field.name == name)
        elif index == "..." and (table := _of_kind(info, inspect.DictType)):
            info = table.value_type
            path.append(next(key for key, value in _at(raw, path).items() if not _fits(value, info)))
        elif sequence := _of_kind(info, inspect.VarTupleType):
            path.append(int(index))
            info = sequence.item_type
    return tuple(path), info


def _of_kind(info: inspect.Type, kind: type[_Kind]) -> _Kind | None:
    """The type itself, or what it is among other things, if that is of a kind."""
    return next((one for one in _alternatives(info) if isinstance(one, kind)), None)


def _alternatives(info: inspect.Type) -> Iterator[inspect.Type]:
    match info:
        case inspect.Metadata(type=inner):
            yield from _alternatives(inner)
        case inspect.UnionType(types=types):
            for one in types:
                yield from _alternatives(one)
        case _:
            yield info


def _fits(value: Any, info: inspect.Type) -> bool:
    """Whether a value in a table of values is of their type: a choice, or a number."""
    match info:
        case inspect.LiteralType(values=values):
            return value in values
        case inspect.IntType():
            return type(value) is int
    return isinstance(value, str)


def _at(raw: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        raw = raw[part]
    return raw


def _has(raw: Any, path: KeyPath) -> bool:
    try:
        _at(raw, path)
    except (LookupError, TypeError):
        return False
    return True
