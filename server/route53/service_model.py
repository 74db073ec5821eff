"""The service's own model: which operation a request line names, the shapes of both directions, each error's status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, StructureShape

VERSION = "2013-04-01"
NAMESPACE = f"https://route53.amazonaws.com/doc/{VERSION}/"
_ORDINARY = 200
_BAD_REQUEST = 400


class Operation(NamedTuple):
    """One operation of the service."""

    name: str
    method: str
    segments: tuple[str, ...]
    """Of its path: literal, or a label as `{Id}`."""
    status: int
    """Of a response that is none of an error."""
    root: str | None
    """The root element of a request with a body."""
    input: StructureShape
    output: StructureShape
    errors: frozenset[str]
    """Names of the errors that are its own; there are those of every operation beside them."""

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return not self.name.startswith(("Get", "List", "Test"))


class Match(NamedTuple):
    """An operation that a request line names, and what stands in place of its labels."""

    operation: Operation
    labels: Mapping[str, str]


class Model:
    """All operations and errors of a service that speaks rest-xml."""

    def __init__(self, service: ServiceModel) -> None:
        self.operations = {name: _operation(service.operation_model(name)) for name in service.operation_names}
        self._statuses = {
            shape.name: int(shape.metadata.get("error", {}).get("httpStatusCode", _BAD_REQUEST))
            for shape in service.error_shapes
        }
        self._routes: dict[tuple[str, int], list[Operation]] = {}
        for operation in self.operations.values():
            self._routes.setdefault((operation.method, len(operation.segments)), []).append(operation)
        for candidates in self._routes.values():
            candidates.sort(key=lambda operation: sum(map(_is_label, operation.segments)))

    def match(self, method: str, path: str) -> Match | None:
        """The operation that `method` and `path`, as it stood in the request line, name; `None`: there is none.

        A literal segment goes before a label. Empty segments and `..` name nothing: SigV4 signs a path without them.
        """
        segments = tuple(path.removeprefix("/").removesuffix("/").split("/"))
        if not path.startswith("/") or any(segment in ("", ".", "..") for segment in segments):
            return None
        for operation in self._routes.get((method, len(segments)), ()):
            labels = dict(_labels(operation.segments, segments))
            if len(labels) == sum(map(_is_label, operation.segments)) and all(
                _is_label(wanted) or wanted == given for wanted, given in zip(operation.segments, segments, strict=True)
            ):
                return Match(operation, labels)
        return None

    def status(self, code: str) -> int:
        """The HTTP status of an error."""
        return self._statuses.get(code, _BAD_REQUEST)


def load_model() -> Model:
    """Route 53's model, from botocore's data."""
    return Model(ServiceModel(Loader().load_service_model("route53", "service-2", VERSION), "route53"))


def _operation(model: OperationModel) -> Operation:
    http, shape = model.http, model.input_shape
    segments = tuple(http["requestUri"].strip("/").split("/"))
    root = shape.serialization.get("name")
    status = int(http.get("responseCode", _ORDINARY))
    errors = frozenset(error.name for error in model.error_shapes)
    return Operation(model.name, http["method"], segments, status, root, shape, model.output_shape, errors)


def _labels(wanted: tuple[str, ...], given: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for segment, value in zip(wanted, given, strict=True):
        if _is_label(segment):
            yield segment.strip("{}"), unquote(value)


def _is_label(segment: str) -> bool:
    return segment.startswith("{")
