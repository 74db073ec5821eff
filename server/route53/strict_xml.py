"""XML from a stranger: no document type, so no entity that could grow or lead elsewhere, and no depth without end."""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from server.route53.api_errors import MALFORMED_INPUT, ApiError

MAXIMUM_DEPTH = 32
"""Elements within elements: more than any request has."""
_SEPARATOR = " "


def parse_xml(body: bytes, namespace: str) -> Element:
    """The root of a document whose elements are in `namespace` or in none; tags are local names.

    Raises `ApiError` (MalformedInput).
    """
    reader = _Reader(namespace)
    try:
        reader.parser.Parse(body, True)
    except expat.ExpatError as error:
        where = f"lineNumber: {error.lineno}; columnNumber: {error.offset + 1}"
        raise _malformed(f"{where}; {expat.ErrorString(error.code)}") from None
    except (LookupError, ValueError):
        raise _malformed("unsupported encoding") from None
    return reader.builder.close()


class _Reader:
    """Builds the tree as expat reads."""

    def __init__(self, namespace: str) -> None:
        self.builder = TreeBuilder()
        self.parser = parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self._namespace = namespace
        self._depth = 0
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self.builder.data
        parser.StartDoctypeDeclHandler = _refuse_doctype

    def _start(self, tag: str, _: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAXIMUM_DEPTH:
            raise _malformed("nested too deeply")
        self.builder.start(self._local(tag), {})

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self.builder.end(self._local(tag))

    def _local(self, tag: str) -> str:
        namespace, _, local = tag.rpartition(_SEPARATOR)
        if namespace not in ("", self._namespace):
            raise _malformed(f"element '{local}' is in the namespace {namespace}, not in {self._namespace}")
        return local


def _refuse_doctype(*_: object) -> None:
    raise _malformed("document type declarations are not allowed")


def _malformed(reason: str) -> ApiError:
    return ApiError(MALFORMED_INPUT, f"Invalid XML ; {reason}")
