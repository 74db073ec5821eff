"""KMS over HTTP: the JSON 1.1 protocol of AWS, and the control of faults.

Every answer carries a request id; every error is `{"__type": CODE, "message": TEXT}`, from a failure of our own too.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog
import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from keys.aws import sigv4_check
from keys.aws.http_server import Dropped, know_client, read_body
from keys.emulator.aws_errors import AwsError
from keys.emulator.injected_faults import Faults, OrderedFault, OrderedFaultKind
from keys.emulator.key_policy import Caller
from keys.emulator.key_records import Site
from keys.emulator.principals import Principals, RandomBytes
from keys.emulator.request_handling import Service

MAXIMUM_BODY = 256 * 1024
"""Bytes of a request: more than the largest key policy in JSON can need."""
TARGET = "TrentService."
JSON = "application/x-amz-json-1.1"

_REFUSALS: Mapping[sigv4_check.Refusal, str] = {
    sigv4_check.Refusal.MISSING: "MissingAuthenticationTokenException",
    sigv4_check.Refusal.INCOMPLETE: "IncompleteSignatureException",
    sigv4_check.Refusal.UNKNOWN_KEY: "UnrecognizedClientException",
    sigv4_check.Refusal.INVALID: "InvalidSignatureException",
    sigv4_check.Refusal.EXPIRED: "InvalidSignatureException",
}
_FAULTS: Mapping[OrderedFaultKind, AwsError] = {
    OrderedFaultKind.THROTTLING: AwsError("ThrottlingException", "Rate exceeded (injected fault)"),
    OrderedFaultKind.INTERNAL: AwsError("KMSInternalException", "Internal error (injected fault)"),
    OrderedFaultKind.UNAVAILABLE: AwsError("KeyUnavailableException", "The key is not available (injected fault)"),
    OrderedFaultKind.DEPENDENCY_TIMEOUT: AwsError(
        "DependencyTimeoutException", "A dependency timed out (injected fault)"
    ),
}
_Handler = Callable[[Request, bytes, Caller, Mapping[str, str]], Awaitable[Response]]
_log = structlog.get_logger("signwright.kms")


class Edge:
    """The HTTP edge: who calls, what fault they meet, and the form of the answer."""

    def __init__(
        self,
        site: Site,
        credentials: Principals,
        service: Service,
        faults: Faults,
        now: Callable[[], float],
        random_bytes: RandomBytes,
    ) -> None:
        self._site = site
        self._credentials = credentials
        self._service = service
        self._faults = faults
        self._now = now
        self._random_bytes = random_bytes
        self.calls: Counter[str] = Counter()
        """Signed requests by operation, those that were refused or met a fault included."""
        self.app = Starlette(
            routes=[
                Route("/", self._kms, methods=["POST"]),
                Route("/healthz", _healthy, methods=["GET"]),
                Route("/_faults", self._control, methods=["GET", "POST", "DELETE"]),
            ]
        )

    async def _kms(self, request: Request) -> Response:
        return await self._answered(request, self._perform)

    async def _control(self, request: Request) -> Response:
        return await self._answered(request, self._control_faults)

    async def _answered(self, request: Request, handler: _Handler) -> Response:
        """What `handler` answers, or the error it raised."""
        request_id = str(uuid.UUID(bytes=self._random_bytes(16), version=4))
        try:
            claim = self._claim(request)
            body = await _body(request)
            caller, headers = self._authenticate(claim, request, body)
            know_client()
            response = await handler(request, body, caller, headers)
        except AwsError as error:
            response = _error(error)
        except ClientDisconnect:
            return Dropped()
        except Exception:
            _log.exception("request failed", request_id=request_id)
            response = _error(AwsError("KMSInternalException", "The request failed; see the log of the KMS."))
        response.headers["x-amzn-requestid"] = request_id
        return response

    def _claim(self, request: Request) -> sigv4_check.Claim:
        """What the headers say of the signature. Raises `AwsError`."""
        try:
            return sigv4_check.claim_of(
                request.headers.items(),
                service="kms",
                region=self._site.region,
                now=self._now(),
                secret_of=self._credentials.secret_of,
            )
        except sigv4_check.SignatureRefusedError as refused:
            raise AwsError(_REFUSALS[refused.refusal], refused.message) from None

    def _authenticate(
        self, claim: sigv4_check.Claim, request: Request, body: bytes
    ) -> tuple[Caller, Mapping[str, str]]:
        """Who signed the request, and the headers they signed. Raises `AwsError`."""
        received = sigv4_check.Received(
            request.method,
            request.scope["raw_path"].decode("latin-1"),
            request.scope["query_string"].decode("latin-1"),
            request.headers.items(),
            body,
        )
        try:
            verified = sigv4_check.verify_claim(claim, received)
        except sigv4_check.SignatureRefusedError as refused:
            raise AwsError(_REFUSALS[refused.refusal], refused.message) from None
        return self._credentials.caller(verified.access_key_id, self._site), verified.headers

    async def _perform(self, request: Request, body: bytes, caller: Caller, headers: Mapping[str, str]) -> Response:
        target = headers.get("x-amz-target", "")
        if not target.startswith(TARGET):
            raise AwsError("UnknownOperationException", "X-Amz-Target must be TrentService.OPERATION.")
        parsed = self._service.parse(target.removeprefix(TARGET), body)
        self.calls[parsed.name] += 1
        for fault in self._faults.strike(parsed.key_id, parsed.name):
            if fault.kind is OrderedFaultKind.LATENCY:
                await trio.sleep(fault.seconds)
            elif fault.kind is OrderedFaultKind.REFUSED:
                return Dropped()
            elif fault.kind is OrderedFaultKind.TIMEOUT:
                await _until_disconnected(request, fault.seconds)
                return Dropped()
            else:
                raise _FAULTS[fault.kind]
        answer = await self._service.perform(parsed, caller, headers)
        # Operations without a result answer an empty body.
        return Response(json.dumps(answer) if answer else b"", media_type=JSON)

    async def _control_faults(
        self, request: Request, body: bytes, caller: Caller, _headers: Mapping[str, str]
    ) -> Response:
        """GET: the faults in force. POST: one more. DELETE: the end of all, or of `?number=N`."""
        if caller.is_service:
            raise AwsError("AccessDeniedException", "Only the account's root may control faults.")
        if request.method == "DELETE":
            self._faults.clear(_number(request.query_params.get("number")))
        elif request.method == "POST":
            try:
                fault = msgspec.json.decode(body, type=OrderedFault)
            except msgspec.DecodeError as error:
                raise AwsError("ValidationException", str(error)) from None
            key = None if fault.key is None else self._service.key_id(fault.key)
            self._faults.add(msgspec.structs.replace(fault, key=key))
        rows = [{"number": n, **msgspec.to_builtins(fault)} for n, fault in self._faults.rows().items()]
        return Response(json.dumps({"faults": rows}), media_type="application/json")


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _body(request: Request) -> bytes:
    body = await read_body(request, MAXIMUM_BODY)
    if body is None:
        raise AwsError("RequestEntityTooLargeException", f"The request exceeds {MAXIMUM_BODY} bytes.")
    return body


async def _until_disconnected(request: Request, seconds: float) -> None:
    with trio.move_on_after(seconds):
        while (await request.receive())["type"] != "http.disconnect":
            pass


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        raise AwsError("ValidationException", "number must be an integer.") from None


def _error(error: AwsError) -> Response:
    body = json.dumps({"__type": error.code, "message": error.message})
    return Response(body, error.status, {"x-amzn-errortype": error.code}, JSON)
