"""A client of the AWS KMS protocol on trio: botocore signs and resolves, httpx2 carries.

Every call is one POST of JSON with an `X-Amz-Target`, signed by SigV4, within a time-out for the whole of it. For calls
that wait for a connection no time runs: a slow KMS is slow, and times nothing out. **There is no retry here**: when to
try again, how often, and whether a lost answer may be asked for once more is the key manager's policy, which knows the
runway. One try is one call in the KMS's audit log.
"""

from __future__ import annotations

import re
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Final, NamedTuple, TypeVar

import httpx2
import msgspec
import trio
from botocore.session import Session

from keys.blocking_calls import RunBlocking
from keys.kms import kms_answers
from keys.kms.interface import KeyRequest, KmsSignature, PublicKey, check_message
from keys.kms.kms_credentials import CredentialChain, Destination, KmsCredentials, SessionFactory, resolve
from keys.kms.kms_errors import (
    CONNECTION_FAILED,
    CREDENTIAL_CODES,
    MALFORMED_ANSWER,
    TIMED_OUT,
    KmsError,
    KmsPermitted,
    KmsRefused,
    KmsUnavailable,
)
from keys.kms.sigv4_sign import signed_headers

T = TypeVar("T")
KmsAnswer = TypeVar("KmsAnswer")

_KEYS_A_PAGE: Final = 1000
_TAGS_A_PAGE: Final = 50
_MOST_PAGES: Final = 100
"""A hundred pages of a thousand keys: an account's quota of KMS keys in a region."""
_LONGEST_ANSWER: Final = 1 << 20
_PLAIN: Final = {"User-Agent": "signwright", "Accept": "application/x-amz-json-1.1", "Accept-Encoding": "identity"}
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_HOSTED_ZONE_ID = re.compile(r"[A-Z0-9]{1,32}")
_NOT_OURS: Final = frozenset({
    "AccessDeniedException", "NotFoundException", "KMSInvalidStateException", "UnsupportedOperationException",
})  # fmt: skip
"""Answers about a key seen in passing that only say that it is not the one looked for."""


_NO_DRY_RUN: Final = frozenset({
    "NotImplementedException", "SerializationException", "UnknownOperationException", "UnsupportedOperationException",
    "ValidationException",
})  # fmt: skip
"""Answers of a KMS that does not know DryRun."""
_NOT_TO_BE_SIGNED: Final = b"Signwright asks whether it may sign"
"""The message of a dry run: a KMS that signs it all the same signs no record of any zone."""
DRY_RUN: Final = "SignDryRun"
"""What a dry run is counted as."""


class TimeOuts(NamedTuple):
    """Limits of one call, in seconds."""

    connect: float = 3.0
    read: float = 5.0
    """Between two pieces of the answer, and of the request."""
    total: float = 10.0
    """For everything from when a connection is free for the call on, with waiting for credentials."""


class KmsClient:
    """A `Kms` reached over HTTP. An async context manager; safe for any number of tasks.

    - `endpoint`, `region`: where the KMS is; `None` leaves each to botocore (see `credentials.resolve`).
    - `make_session`: makes the botocore sessions that configuration and credentials come from.
    - `source_account`: 12 digits. Calls about a hosted zone then say so in signed headers (`x-amz-source-arn`,
      `x-amz-source-account`), by which a KMS that knows us as the DNSSEC service applies a key policy's conditions.
    - `run_blocking`: for reading configuration and credentials. Where it can't abandon what it runs, a credential
      process that hangs holds up a call beyond its time-out.
    - `now`: seconds since the epoch, for SigV4. `monotonic`: seconds, for `on_call`.
    - `on_call`: told of every call: its operation (`DRY_RUN` for a Sign that is one), "ok" or the error's code or
      "cancelled", and the seconds it took, from when it had a connection.
    - `connections`: how many may be open at once; more calls wait, as long as it takes.

    Entering resolves the endpoint, without a connection: raises `KmsRefused` (`InvalidConfiguration`).
    """

    def __init__(
        self,
        *,
        run_blocking: RunBlocking,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        endpoint: str | None = None,
        region: str | None = None,
        make_session: SessionFactory = Session,
        source_account: str | None = None,
        time_outs: TimeOuts = TimeOuts(),  # noqa: B008 - immutable
        connections: int = 8,
        on_call: Callable[[str, str, float], None] | None = None,
    ) -> None:
        self._run_blocking = run_blocking
        self._now = now
        self._monotonic = monotonic
        self._asked = (endpoint, region)
        self._make_session = make_session
        self._source_account = source_account
        self._time_outs = time_outs
        self._connections = connections
        self._turns = trio.CapacityLimiter(connections)
        """A task that holds one finds a connection free."""
        self._on_call = on_call
        self._chain = CredentialChain(make_session)
        self._chain_lock = trio.Lock()
        self._destination: Destination | None = None
        self._http: httpx2.AsyncClient | None = None

    def __repr__(self) -> str:
        where = f"{self._destination.url} ({self._destination.region})" if self._destination else "not open"
        return f"<KmsClient {where}>"

    async def __aenter__(self) -> KmsClient:
        where = await self._run_blocking(lambda: resolve(self._make_session, *self._asked))
        limits = httpx2.Limits(max_connections=self._connections, max_keepalive_connections=self._connections)
        times = self._time_outs
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(times.read, connect=times.connect, pool=None),
            limits=limits,
            # Without TLS no certificate is checked, and loading all trusted ones takes 0.1 s.
            verify=where.tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            # A proxy is for reaching AWS; an endpoint without TLS is a KMS of one's own, nearby.
            trust_env=where.tls is not None,
        )
        self._destination = where
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()
        self._http = self._destination = None

    async def create_key(self, request: KeyRequest) -> str:
        """See `Kms.create_key`."""
        parameters: dict[str, Any] = {
            "KeyUsage": "SIGN_VERIFY",
            "KeySpec": "ECC_NIST_P256",
            "Description": request.description,
            "Tags": [{"TagKey": key, "TagValue": value} for key, value in request.tags.items()],
        }
        if request.policy is not None:
            parameters["Policy"] = request.policy
        answer, _ = await self._call("CreateKey", parameters, kms_answers.CreateKeyAnswer)
        return answer.key_metadata.arn

    async def find_key(self, tag: str, value: str) -> str | None:
        """See `Kms.find_key`. Makes one call per thousand keys and one per key; see `keys.kms.shared_kms`.

        `kms:ListKeys`, `kms:ListResourceTags` and `kms:DescribeKey` must be allowed on our own keys: one whose tags
        may not be read is taken for somebody else's.
        """
        for arn in await self.list_keys():
            tags = await self.tags(arn)
            if tags is not None and tags.get(tag) == value and await self.is_alive(arn):
                return arn
        return None

    async def list_keys(self) -> list[str]:
        """The ARNs of all keys of the account in this region. Raises `KmsError`."""
        found: list[str] = []
        parameters: dict[str, Any] = {"Limit": _KEYS_A_PAGE}
        for _ in range(_MOST_PAGES):
            page, request_id = await self._call("ListKeys", parameters, kms_answers.ListKeysAnswer)
            found += (key.key_arn for key in page.keys)
            if not page.truncated:
                return found
            parameters["Marker"] = kms_answers.next_marker(page, request_id)
        raise KmsUnavailable(MALFORMED_ANSWER, "the list of keys does not end", request_id)

    async def tags(self, arn: str) -> dict[str, str] | None:
        """The tags of a key; `None` for one that is not ours, or not any more. Raises `KmsError`."""
        found: dict[str, str] = {}
        parameters: dict[str, Any] = {"KeyId": arn, "Limit": _TAGS_A_PAGE}
        for _ in range(_MOST_PAGES):
            try:
                page, request_id = await self._call("ListResourceTags", parameters, kms_answers.ListResourceTagsAnswer)
            except KmsRefused as error:
                if error.code in _NOT_OURS:
                    return None
                raise
            found.update((tag.tag_key, tag.tag_value) for tag in page.tags)
            if not page.truncated:
                return found
            parameters["Marker"] = kms_answers.next_marker(page, request_id)
        raise KmsUnavailable(MALFORMED_ANSWER, "the list of tags does not end", request_id)

    async def is_alive(self, arn: str) -> bool:
        """Whether a key is ours and not about to be deleted. Raises `KmsError`."""
        try:
            answer, _ = await self._call("DescribeKey", {"KeyId": arn}, kms_answers.DescribeKeyAnswer)
        except KmsRefused as error:
            if error.code in _NOT_OURS:
                return False
            raise
        return answer.key_metadata.key_state not in {"PendingDeletion", "PendingReplicaDeletion"}

    async def get_public_key(self, arn: str, hosted_zone_id: str) -> PublicKey:
        """See `Kms.get_public_key`."""
        on_behalf = self._on_behalf(hosted_zone_id)
        answer, request_id = await self._call("GetPublicKey", {"KeyId": arn}, kms_answers.GetPublicKeyAnswer, on_behalf)
        return kms_answers.public_key(answer, arn, request_id)

    async def sign(self, arn: str, hosted_zone_id: str, message: bytes) -> KmsSignature:
        """See `Kms.sign`. RAW, so that the KMS hashes: DIGEST is not dependable everywhere."""
        check_message(message)
        on_behalf = self._on_behalf(hosted_zone_id)
        answer, request_id = await self._call("Sign", _to_sign(arn, message), kms_answers.SignAnswer, on_behalf)
        return kms_answers.signature(answer, arn, request_id)

    async def probe(self, arn: str, hosted_zone_id: str) -> None:
        """See `Kms.probe`: Sign with DryRun, which needs the permission to sign and no other. A KMS that does not know
        DryRun is asked for the key's state instead (`kms:DescribeKey`), or has signed a text that cannot be a record.
        """
        on_behalf = self._on_behalf(hosted_zone_id)
        parameters = {**_to_sign(arn, _NOT_TO_BE_SIGNED), "DryRun": True}
        try:
            await self._call("Sign", parameters, kms_answers.SignAnswer, on_behalf, DRY_RUN)
        except KmsPermitted:
            return
        except KmsRefused as error:
            if error.code not in _NO_DRY_RUN:
                raise
        else:
            return
        answer, request_id = await self._call("DescribeKey", {"KeyId": arn}, kms_answers.DescribeKeyAnswer, on_behalf)
        kms_answers.require_enabled(answer, arn, request_id)

    def _on_behalf(self, hosted_zone_id: str) -> dict[str, str]:
        """The headers that say for which hosted zone a key is used."""
        if self._source_account is None:
            return {}
        if not _HOSTED_ZONE_ID.fullmatch(hosted_zone_id):
            raise ValueError("a hosted zone ID must be up to 32 capital letters and digits")
        return {
            "X-Amz-Source-Arn": f"arn:aws:route53:::hostedzone/{hosted_zone_id}",
            "X-Amz-Source-Account": self._source_account,
        }

    async def _call(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        kind: type[KmsAnswer],
        headers: Mapping[str, str] = _NONE,
        counted: str | None = None,
    ) -> tuple[KmsAnswer, str]:
        """One call, in its turn and within its time: the answer and its request id. It is counted as `operation`, or
        as `counted`. Raises `KmsError`.
        """
        async with self._turns:
            return await self._timed(operation, parameters, kind, headers, counted or operation)

    async def _timed(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        kind: type[KmsAnswer],
        headers: Mapping[str, str],
        counted: str,
    ) -> tuple[KmsAnswer, str]:
        if self._http is None or self._destination is None:
            raise RuntimeError("the KMS client is not open")
        began = self._monotonic()
        outcome = "cancelled"
        try:
            with trio.move_on_after(self._time_outs.total):
                answer = await self._exchange(self._http, self._destination, operation, parameters, kind, headers)
                outcome = "ok"
                return answer
            raise KmsUnavailable(TIMED_OUT, f"{operation} got no response within {self._time_outs.total} s")
        except KmsError as error:
            outcome = "ok" if counted == DRY_RUN and isinstance(error, KmsPermitted) else error.code
            if outcome in CREDENTIAL_CODES:
                self._chain.forget()
            raise
        finally:
            if self._on_call is not None:
                self._on_call(counted, outcome, self._monotonic() - began)

    async def _exchange(
        self,
        http: httpx2.AsyncClient,
        where: Destination,
        operation: str,
        parameters: Mapping[str, Any],
        kind: type[KmsAnswer],
        headers: Mapping[str, str],
    ) -> tuple[KmsAnswer, str]:
        credentials = await self._credentials()
        request = self._signed_request(http, where, operation, parameters, headers, credentials)
        status, request_id, body = await _send(http, request)
        body = _without_secrets(body, credentials)
        if status != 200:
            raise kms_answers.error_of(status, body, request_id)
        return kms_answers.parse(body, kind, request_id), request_id

    async def _credentials(self) -> KmsCredentials:
        # A thread for each call would cost more than all else here.
        if (found := self._chain.at_hand()) is not None:
            return found
        async with self._chain_lock:
            found = self._chain.at_hand()
            return found if found is not None else await self._run_blocking(self._chain.load)

    def _signed_request(
        self,
        http: httpx2.AsyncClient,
        where: Destination,
        operation: str,
        parameters: Mapping[str, Any],
        headers: Mapping[str, str],
        credentials: KmsCredentials,
    ) -> httpx2.Request:
        body = msgspec.json.encode(parameters)
        unsigned = {
            "Host": httpx2.URL(where.url).netloc.decode("ascii"),
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"TrentService.{operation}",
            **headers,
        }
        signed = signed_headers(where.url, where.region, unsigned, body, credentials, self._now())
        return http.build_request("POST", where.url, headers={**_PLAIN, **signed}, content=body)


def _to_sign(arn: str, message: bytes) -> dict[str, Any]:
    """What Sign is called with."""
    return {
        "KeyId": arn,
        "Message": b64encode(message).decode(),
        "MessageType": "RAW",
        "SigningAlgorithm": "ECDSA_SHA_256",
    }


async def _send(http: httpx2.AsyncClient, request: httpx2.Request) -> tuple[int, str, bytes]:
    """Send a request: the status, the request id and the whole answer. Raises `KmsUnavailable`."""
    received = bytearray()
    try:
        response = await http.send(request, stream=True)
        try:
            request_id = kms_answers.one_line(response.headers.get("x-amzn-requestid", ""))
            # Cancelled rather than left, so that the generators below end by themselves.
            with trio.CancelScope() as enough:
                async for piece in response.aiter_raw():
                    received += piece
                    if len(received) > _LONGEST_ANSWER:
                        enough.cancel()
        finally:
            await response.aclose()
    except httpx2.TimeoutException as error:
        raise KmsUnavailable(TIMED_OUT, type(error).__name__) from None
    except httpx2.TransportError as error:
        text = kms_answers.one_line(f"{type(error).__name__}: {error}")
        raise KmsUnavailable(CONNECTION_FAILED, text) from None
    if len(received) > _LONGEST_ANSWER:
        raise KmsUnavailable(MALFORMED_ANSWER, f"the response exceeds {_LONGEST_ANSWER} bytes", request_id)
    return response.status_code, request_id, bytes(received)


def _without_secrets(answer: bytes, credentials: KmsCredentials) -> bytes:
    """The answer without what must not reach a log: some services answer a wrong signature with the request in full."""
    for secret in (credentials.token, credentials.secret_key):
        if secret:
            answer = answer.replace(secret.encode(), b"(redacted)")
    return answer
