"""Requests checked against the service's own model, as botocore ships it: members, types, lengths, enums, patterns.

botocore checks before it sends only what is missing, of another type or too short; AWS checks the rest on arrival.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

from keys.emulator.aws_errors import AwsError
from keys.emulator.strict_json import read_json


class Requests:
    """The shapes of the requests of KMS."""

    def __init__(self) -> None:
        model = Loader().load_service_model("kms", "service-2", "2014-11-01")
        self._service = ServiceModel(model, "kms")
        self._validator = ParamValidator()

    def parse(self, operation: str, body: bytes) -> dict[str, Any]:
        """The parameters of a request, blobs decoded. Raises `AwsError` for what is not in the operation's shape."""
        try:
            params = read_json(body.decode() or "{}")
        except ValueError:
            raise AwsError("SerializationException", "The request is not JSON.") from None
        if not isinstance(params, dict):
            raise AwsError("SerializationException", "The request is not a JSON object.")
        given = {name: value for name, value in params.items() if value is not None}
        shape = self._service.operation_model(operation).input_shape
        report = self._validator.validate(given, shape)
        if report.has_errors():
            raise AwsError("ValidationException", report.generate_report()[:1000])
        return {name: _checked(value, shape.members[name], name) for name, value in given.items()}


def _checked(value: Any, shape: Shape, name: str) -> Any:
    if shape.type_name == "blob":
        value = _blob(value, name)
    if shape.type_name == "list":
        value = [_checked(item, shape.member, name) for item in value]
    if shape.type_name == "structure":
        value = {member: _checked(item, shape.members[member], member) for member, item in value.items()}
    _check_limits(value, shape, name)
    return value


def _check_limits(value: Any, shape: Shape, name: str) -> None:
    limits = shape.metadata
    size = value if isinstance(value, int) else len(value)
    if "max" in limits and size > limits["max"]:
        raise _invalid(name, f"Member must have a length or value less than or equal to {limits['max']}")
    if "min" in limits and size < limits["min"]:
        raise _invalid(name, f"Member must have a length or value greater than or equal to {limits['min']}")
    if "enum" in limits and value not in limits["enum"]:
        raise _invalid(name, f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
    if "pattern" in limits and isinstance(value, str) and not re.fullmatch(_pattern(limits["pattern"]), value):
        raise _invalid(name, f"Member must satisfy regular expression pattern: {limits['pattern']}")


def _pattern(pattern: str) -> str:
    return pattern.removeprefix("^").removesuffix("$")


def _blob(value: Any, name: str) -> bytes:
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise AwsError("SerializationException", f"{name} is not base64.") from None


def _invalid(name: str, constraint: str) -> AwsError:
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value at '{name}' failed to satisfy constraint: {constraint}",
    )
