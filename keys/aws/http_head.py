"""The octets of an HTTP/1.1 request's line and headers, found and checked before h11 reads them.

h11 reads a header with a regular expression that takes quadratic time where many blanks stand before an octet that no
header may have (8 kB: half a second), so such an octet is refused here, in linear time (RFC 9110 §5.5, RFC 9112 §2.2).
"""

from __future__ import annotations

import re
from http import HTTPStatus

import h11

from keys.aws.http_limits import MOST_HEADERS

_VERSIONS = (b"1.0", b"1.1")
_FORBIDDEN = bytes({*range(0x20), 0x7F} - set(b"\t\r\n"))
"""Control characters: none has a place in a request's line or headers."""
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
"""What stands before the path where a client writes a whole URL, as it does to a proxy."""


class BadRequestError(Exception):
    """A request that is refused before the application sees it; its connection ends with it."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def head_end(received: bytearray, looked_at: int) -> int:
    """Where the line and the headers in `received` end, behind the empty line; 0: that is not here yet.

    `looked_at` is how many octets there were when it was asked last, so that none is looked at again.
    """
    start = max(looked_at - 3, 0)
    ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := received.find(mark, start)) >= 0]
    return min(ends, default=0)


def read_head(connection: h11.Connection, head: bytes) -> h11.Request:
    """The request whose line and headers are `head`, as `connection` reads them. Raises `BadRequestError`."""
    if _has_forbidden(head):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "control character in the headers")
    try:
        connection.receive_data(head)
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise BadRequestError(HTTPStatus(error.error_status_hint), str(error)[:200]) from None
    if not isinstance(request, h11.Request):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "invalid request line")
    if request.http_version not in _VERSIONS:
        raise BadRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are supported")
    if len(request.headers) > MOST_HEADERS:
        raise BadRequestError(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request has more than {MOST_HEADERS} headers"
        )
    return request


def header(request: h11.Request, name: bytes) -> bytes | None:
    """The first value of a header; `name` in lower case."""
    return next((value for given, value in request.headers if given == name), None)


def target_of(request: h11.Request) -> bytes:
    """Path and query, also of a request whose target is a URL, which every server must understand (RFC 9112 §3.2.2)."""
    url = _ABSOLUTE.match(request.target)
    if url is None:
        return request.target
    rest = request.target[url.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def host_of(request: h11.Request) -> bytes:
    """By what name the server is called: a URL counts, and not the Host header beside it (RFC 9112 §3.2.2)."""
    url = _ABSOLUTE.match(request.target)
    return url[1] if url is not None else header(request, b"host") or b""


def _has_forbidden(head: bytes) -> bool:
    """Whether there is a control character, or a carriage return that ends no line."""
    return head.translate(None, _FORBIDDEN) != head or head.count(b"\r") != head.count(b"\r\n")
