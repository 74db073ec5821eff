"""STS's GetCallerIdentity on the listeners of other services: who somebody is, by the access key that signed.

Tools ask it before anything else, to find out whether their credentials are any good. It is the only operation of STS
here: nothing else of it has a meaning without roles and sessions.

Source: the AWS Security Token Service API reference (the query protocol, version 2011-06-15).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from keys.aws import sigv4_check
from keys.aws.http_server import Dropped, know_client, read_body

SERVICE = "sts"
MAXIMUM_BODY = 4096
"""Octets of a request."""
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_SIGNED_FOR_STS = b"/sts/aws4_request"
_OPERATION = "GetCallerIdentity"
_FORBIDDEN = 403
_REFUSALS = {
    sigv4_check.Refusal.MISSING: "MissingAuthenticationToken",
    sigv4_check.Refusal.INCOMPLETE: "IncompleteSignature",
    sigv4_check.Refusal.UNKNOWN_KEY: "InvalidClientTokenId",
    sigv4_check.Refusal.INVALID: "SignatureDoesNotMatch",
    sigv4_check.Refusal.EXPIRED: "SignatureDoesNotMatch",
}


class Identity(NamedTuple):
    """Who an access key belongs to."""

    arn: str
    account: str
    user_id: str


class CallerIdentity:
    """An ASGI application that answers GetCallerIdentity, and leaves all else to another one."""

    def __init__(
        self,
        app: ASGIApp,
        secret_of: Callable[[str], str | None],
        identity_of: Callable[[str], Identity],
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        skew: int = sigv4_check.SKEW,
    ) -> None:
        """`identity_of` tells of an access key that has a secret. `skew`: as for `sigv4_check.claim_of`."""
        self._app = app
        self._secret_of = secret_of
        self._identity_of = identity_of
        self._now = now
        self._random_bytes = random_bytes
        self._skew = skew

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As any ASGI application."""
        if not _is_for_sts(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        request_id = str(uuid.UUID(bytes=self._random_bytes(16), version=4))
        try:
            response = await self._answered(request, request_id)
        except ClientDisconnect:
            response = Dropped()
        response.headers["x-amzn-requestid"] = request_id
        await response(scope, receive, send)

    async def _answered(self, request: Request, request_id: str) -> Response:
        try:
            claim = sigv4_check.claim_of(
                request.headers.items(),
                service=SERVICE,
                region=None,
                now=self._now(),
                secret_of=self._secret_of,
                skew=self._skew,
            )
            body = await read_body(request, MAXIMUM_BODY)
            if body is None:
                return _error("RequestEntityTooLarge", f"The request exceeds {MAXIMUM_BODY} octets.", 413, request_id)
            path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
            received = sigv4_check.Received(request.method, path, query, request.headers.items(), body)
            verified = sigv4_check.verify_claim(claim, received)
        except sigv4_check.SignatureRefusedError as refused:
            return _error(_REFUSALS[refused.refusal], refused.message, _FORBIDDEN, request_id)
        know_client()
        action = _action(body)
        if action != _OPERATION:
            message = f"{action[:100] or 'The request'} is not supported: of STS, this server has {_OPERATION}."
            return _error("InvalidAction", message, 400, request_id)
        return _identity(self._identity_of(verified.access_key_id), request_id)


def _is_for_sts(scope: Scope) -> bool:
    """Whether a request says that it is signed for STS: the other services are not asked at this path so."""
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and scope["path"] == "/"
        and any(name == b"authorization" and _SIGNED_FOR_STS in value for name, value in scope["headers"])
    )


def _action(body: bytes) -> str:
    fields = parse_qs(body.decode("latin-1"))
    return fields.get("Action", [""])[0]


def _identity(identity: Identity, request_id: str) -> Response:
    result = (
        f"<Arn>{escape(identity.arn)}</Arn><UserId>{escape(identity.user_id)}</UserId>"
        f"<Account>{escape(identity.account)}</Account>"
    )
    metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return _xml(f"{_OPERATION}Response", f"<{_OPERATION}Result>{result}</{_OPERATION}Result>{metadata}", 200)


def _error(code: str, message: str, status: int, request_id: str) -> Response:
    told = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return _xml("ErrorResponse", f"{told}<RequestId>{request_id}</RequestId>", status)


def _xml(root: str, content: str, status: int) -> Response:
    return Response(f'<{root} xmlns="{_NAMESPACE}">{content}</{root}>', status, media_type="text/xml")
