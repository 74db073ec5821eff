"""The HTTP edge of the API: who calls, what they may, how often; and the form of every answer.

In this order: headers that claim a signature by somebody's key for now, a body of bounded size, that signature, a
token, an operation that is there, permission, parameters that the model allows, and then the handler. Each answer has a
request id, and each failure of our own is in the log under it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
import trio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from keys.aws import sigv4_check
from keys.aws.http_server import Dropped, know_client, next_turn, read_body
from keys.custody.state_database import StateOvertaken, StateUnavailable
from keys.custody.zsk_encryption import StateError
from keys.rules.commands import UNAVAILABLE, RequestRefusedError
from server.hosting.zone_operations import ZoneOperations
from server.route53 import dnssec, limits, records, tags, unsupported_operations, zones
from server.route53.api_call import ApiCall, Ask, Handler
from server.route53.api_errors import ACCESS_DENIED, INTERNAL, INVALID_ACTION, THROTTLING, THROTTLING_OF_TAGS, ApiError
from server.route53.api_users import Access, User, Users
from server.route53.constraints import check_constraints
from server.route53.replayed_requests import Replays
from server.route53.requests import parse_request
from server.route53.responses import CONTENT_TYPE, Rendered, render_error, render_in_slices
from server.route53.service_model import VERSION, Match, Model, Operation
from server.route53.throttle import TokenBucket
from zones.recordsets.record_sets import ZoneRequestError

MAXIMUM_BODY = 2 << 20
"""Octets of a request: more than the XML of the largest change batch."""
MOST_AT_ONCE = 8 << 10
"""Octets of a body that is read where queries are answered too; a longer one, which takes milliseconds, in a thread."""
SERVICE = "route53"
"""What signatures must be made for. Their region is us-east-1 at AWS, but an SDK that is pointed at an endpoint signs
for the region of its configuration, so any will do here.
"""
SKEW = 15 * 60
"""Seconds by which the time of a signature may differ from ours."""

HANDLERS: dict[str, Handler] = {
    **zones.HANDLERS,
    **tags.HANDLERS,
    **records.HANDLERS,
    **dnssec.HANDLERS,
    **limits.HANDLERS,
    **unsupported_operations.HANDLERS,
}
"""By the name of the operation."""

_FORBIDDEN = 403
_UNAVAILABLE = 503
"""No operation lists an error for it: SDKs know it by this status, and try again."""
_REFUSALS = {
    sigv4_check.Refusal.MISSING: "MissingAuthenticationToken",
    sigv4_check.Refusal.INCOMPLETE: "IncompleteSignature",
    sigv4_check.Refusal.UNKNOWN_KEY: "InvalidClientTokenId",
    sigv4_check.Refusal.INVALID: "SignatureDoesNotMatch",
    sigv4_check.Refusal.EXPIRED: "RequestExpired",
}
_log = structlog.get_logger("signwright.route53")


class Clocks(NamedTuple):
    """Time, as it is handed in."""

    now: Callable[[], float]
    """Seconds since the epoch."""
    monotonic: Callable[[], float]


class Route53App:
    """The API as an ASGI application."""

    def __init__(
        self,
        model: Model,
        operations: ZoneOperations,
        users: Users,
        name_servers: tuple[str, ...],
        ask: Ask,
        *,
        rate: int,
        clocks: Clocks,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`rate` is the number of requests a second that each user may make."""
        self._model = model
        self._operations = operations
        self._users = users
        self._name_servers = name_servers
        self._ask = ask
        self._rate = rate
        self._clocks = clocks
        self._random_bytes = random_bytes
        self._reading = trio.CapacityLimiter(1)
        self._buckets: dict[str, TokenBucket] = {}
        self._replays = Replays(2 * SKEW, clocks.monotonic())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what is none of HTTP is not answered."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        request_id = str(uuid.UUID(bytes=self._random_bytes(16), version=4))
        try:
            rendered = await self._answered(request, request_id)
        except ClientDisconnect:
            await Dropped()(scope, receive, send)
            return
        response = Response(rendered.body, rendered.status, dict(rendered.headers), CONTENT_TYPE)
        response.headers["x-amzn-RequestId"] = request_id
        await response(scope, receive, send)

    async def _answered(self, request: Request, request_id: str) -> Rendered:
        """What the operation answers, or the error that was raised."""
        try:
            return await self._perform(request)
        except ApiError as error:
            code, message = error.code, error.message
            status = self._model.status(code) if error.status is None else error.status
        except (RequestRefusedError, ZoneRequestError) as error:
            code, message = error.code, error.message
            status = _UNAVAILABLE if code == UNAVAILABLE else self._model.status(code)
        except (StateUnavailable, StateOvertaken) as error:
            _log.error("request failed because of the state", request_id=request_id, reason=str(error))
            code, message, status = UNAVAILABLE, "The server cannot store changes now; see its log.", _UNAVAILABLE
        except StateError as error:
            _log.error("request failed because of the state", request_id=request_id, reason=str(error))
            code, message, status = INTERNAL, "The server cannot use its state now; see its log.", 500
        except ClientDisconnect:
            raise
        except Exception:
            _log.exception("request failed", request_id=request_id)
            code, message, status = INTERNAL, "The request failed; see the server's log.", 500
        return render_error(status, code, message, request_id)

    async def _perform(self, request: Request) -> Rendered:
        claim = self._claim(request)
        body = await read_body(request, MAXIMUM_BODY)
        if body is None:
            raise ApiError("RequestEntityTooLarge", f"The request exceeds {MAXIMUM_BODY} octets.", 413)
        path = request.scope["raw_path"].decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        received = sigv4_check.Received(request.method, path, query, request.headers.items(), body)
        user, signature = self._user(claim, received)
        know_client()
        match = self._model.match(request.method, path)
        self._throttle(user, match)
        if match is None:
            raise ApiError(INVALID_ACTION, f"Unknown operation: {request.method} {path[:200]}.", 400)
        _authorise(user, match.operation)
        if match.operation.writes and not self._replays.is_fresh(signature, self._clocks.monotonic()):
            if self._replays.is_full:
                raise self._throttling(match)
            message = "A request with this signature was already carried out: sign it again."
            raise ApiError(_REFUSALS[sigv4_check.Refusal.EXPIRED], message, _FORBIDDEN)
        return await self._handled(request, match, query, body)

    async def _handled(self, request: Request, match: Match, query: str, body: bytes) -> Rendered:
        operation = match.operation
        handler = HANDLERS.get(operation.name)
        headers = dict(request.headers)
        if len(body) > MOST_AT_ONCE:
            # One after the other: queries share the interpreter with one thread, not with several.
            params = await trio.to_thread.run_sync(_parameters, match, query, headers, body, limiter=self._reading)
        else:
            params = _parameters(match, query, headers, body)
        if handler is None:
            raise unsupported_operations.refusal(operation.name, params)
        base = f"{request.url.scheme}://{request.headers['host']}/{VERSION}"
        call = ApiCall(params, self._operations, self._name_servers, self._ask, base)
        result = await handler(call)
        await next_turn()
        return await render_in_slices(operation, result, next_turn)

    def _claim(self, request: Request) -> sigv4_check.Claim:
        """What the headers say of the signature. Raises `ApiError`."""
        try:
            return sigv4_check.claim_of(
                request.headers.items(),
                service=SERVICE,
                region=None,
                now=self._clocks.now(),
                secret_of=self._users.secret_of,
                skew=SKEW,
            )
        except sigv4_check.SignatureRefusedError as refused:
            raise _refused(refused) from None

    def _user(self, claim: sigv4_check.Claim, received: sigv4_check.Received) -> tuple[User, str]:
        """Who signed the request, and the signature. Raises `ApiError`."""
        try:
            verified = sigv4_check.verify_claim(claim, received)
        except sigv4_check.SignatureRefusedError as refused:
            raise _refused(refused) from None
        return self._users.user(verified.access_key_id), verified.signature

    def _throttle(self, user: User, match: Match | None) -> None:
        now = self._clocks.monotonic()
        bucket = self._buckets.get(user.arn)
        if bucket is None:
            bucket = self._buckets[user.arn] = TokenBucket(self._rate, now)
        if not bucket.take(now):
            raise self._throttling(match)

    @staticmethod
    def _throttling(match: Match | None) -> ApiError:
        own = match is not None and THROTTLING_OF_TAGS in match.operation.errors
        return ApiError(THROTTLING_OF_TAGS if own else THROTTLING, "Rate exceeded", 400)


def _refused(refused: sigv4_check.SignatureRefusedError) -> ApiError:
    return ApiError(_REFUSALS[refused.refusal], refused.message, _FORBIDDEN)


def _parameters(match: Match, query: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """The parameters of a request; of an operation that is carried out, such as the model allows."""
    params = parse_request(match, query, headers, body)
    if match.operation.name in HANDLERS:
        check_constraints(match.operation.input, params)
    return params


def _authorise(user: User, operation: Operation) -> None:
    if operation.writes and user.access is not Access.FULL:
        action = f"route53:{operation.name}"
        raise ApiError(
            ACCESS_DENIED,
            f"User: {user.arn} is not authorized to perform: {action} because its access is {user.access.value}",
            _FORBIDDEN,
        )
