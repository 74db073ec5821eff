"""Was this request signed by who it says? AWS Signature Version 4, checked by signing it again.

The request is rebuilt from what the client says it signed (SignedHeaders, timestamp, credential scope), signed by
botocore with the secret of that access key, and the two signatures are compared in constant time. Nothing here knows a
service: the KMS emulator and the Route 53 API both check their requests so, and name refusals in their way. What the
headers alone say (`claim_of`) is checked before a body is waited for; the signature, which covers it, after that
(`verify_claim`). All of it takes linear time.

Source: AWS documentation, "Create a signed AWS API request".
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = 5 * 60
"""Seconds by which a request's timestamp may differ from our clock, where a service says nothing else."""

_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_BETWEEN_FIELDS = re.compile(r"[,\s]+")


class Refusal(Enum):
    """Why a request is refused; each service has its own name for these."""

    MISSING = auto()
    """No credentials in the request."""
    INCOMPLETE = auto()
    """An Authorization header or timestamp that can't be read."""
    UNKNOWN_KEY = auto()
    """An access key nobody has, or a session token (none are given out here)."""
    INVALID = auto()
    """Wrong signature or scope."""
    EXPIRED = auto()
    """A time too far from ours, in either direction."""


class SignatureRefusedError(Exception):
    """A request that was not signed as it must be; `refusal` says in what respect."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.message = message


class Received(NamedTuple):
    """A request as it came: path and query as they stood in the request line, headers in order, the whole body."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes


class Verified(NamedTuple):
    """Who signed, and the headers that the signature covers (lower-case names): no other header may be believed."""

    access_key_id: str
    headers: Mapping[str, str]
    signature: str
    """In hexadecimal: no two requests have the same."""


class Claim(NamedTuple):
    """What a request's headers say of its signature."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed: Mapping[str, None]
    """Names of the headers under it, in order; each once, and found at once."""
    signature: str
    timestamp: str
    secret: str
    """Of the access key."""
    headers: Mapping[str, list[str]]
    """All of them, by lower-case names."""

    def __repr__(self) -> str:
        return f"Claim({self.access_key_id!r})"  # a secret has no place in a log


def verify(
    received: Received,
    *,
    service: str,
    region: str | None,
    now: float,
    secret_of: Callable[[str], str | None],
    skew: int = SKEW,
) -> Verified:
    """Who signed `received`: `claim_of` its headers, then `verify_claim`. Raises `SignatureRefusedError`."""
    claim = claim_of(received.headers, service=service, region=region, now=now, secret_of=secret_of, skew=skew)
    return verify_claim(claim, received)


def claim_of(
    given: Iterable[tuple[str, str]],
    *,
    service: str,
    region: str | None,
    now: float,
    secret_of: Callable[[str], str | None],
    skew: int = SKEW,
) -> Claim:
    """What the headers `given` claim of a request's signature, as of `now` (seconds since the epoch).

    It is by a key that somebody has, for this service and for now: nothing else is a reason to wait for a body.
    `service` and `region` are those the signature must be made for; with `None`, any region will do. `secret_of` gives
    the secret of an access key id, `None` for one that does not exist. `skew` is the number of seconds by which the
    signature's time may differ from ours. Raises `SignatureRefusedError`.
    """
    headers: dict[str, list[str]] = {}
    for name, value in given:
        headers.setdefault(name.lower(), []).append(value)
    claim = _claim(headers, secret_of)
    _check_time(claim, now, skew)
    _check_scope(claim, service, region)
    return claim


def verify_claim(claim: Claim, received: Received) -> Verified:
    """Who signed `received`, whose headers made `claim`. Raises `SignatureRefusedError`."""
    headers = claim.headers
    _check_coverage(claim, received.body)
    expected = _sign_again(received, claim, {name: headers[name] for name in claim.signed})
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise SignatureRefusedError(
            Refusal.INVALID,
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )
    signed = {name: ",".join(headers[name]) for name in claim.signed}
    return Verified(claim.access_key_id, signed, claim.signature)


def _claim(headers: Mapping[str, list[str]], secret_of: Callable[[str], str | None]) -> Claim:
    """What the Authorization and X-Amz-Date headers say, and the secret of the key that they name."""
    if "authorization" not in headers:
        raise SignatureRefusedError(Refusal.MISSING, "Missing Authentication Token")
    algorithm, _, rest = ",".join(headers["authorization"]).partition(" ")
    if algorithm != ALGORITHM:
        raise SignatureRefusedError(Refusal.INCOMPLETE, f"Authorization header must begin with {ALGORITHM}.")
    fields = _fields(rest)
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if name not in fields]
    if missing:
        text = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        raise SignatureRefusedError(Refusal.INCOMPLETE, text)
    scope = fields["Credential"].split("/")
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise SignatureRefusedError(
            Refusal.INCOMPLETE, "Credential must be ACCESS_KEY_ID/DATE/REGION/SERVICE/aws4_request."
        )
    timestamps = headers.get("x-amz-date", [])
    if len(timestamps) != 1:
        raise SignatureRefusedError(Refusal.INCOMPLETE, "Authorization header requires existence of one X-Amz-Date.")
    signed = dict.fromkeys(fields["SignedHeaders"].lower().split(";"))
    access_key_id, date, region, service = scope[:4]
    secret = None if "x-amz-security-token" in headers else secret_of(access_key_id)
    if secret is None:
        raise SignatureRefusedError(Refusal.UNKNOWN_KEY, "The security token included in the request is invalid.")
    signature, timestamp = fields["Signature"], timestamps[0]
    return Claim(access_key_id, date, region, service, signed, signature, timestamp, secret, headers)


def _fields(text: str) -> dict[str, str]:
    """`NAME=VALUE` between commas and blanks; of two with the same name, the last."""
    pairs = (piece.partition("=") for piece in _BETWEEN_FIELDS.split(text))
    return {name: value for name, _, value in pairs if value}


def _check_time(claim: Claim, now: float, skew: int) -> None:
    """The signature is for now: else one could be replayed for ever."""
    try:
        signed_at = datetime.strptime(claim.timestamp, _TIMESTAMP).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise SignatureRefusedError(
            Refusal.INCOMPLETE, "X-Amz-Date must be in the ISO-8601 basic format YYYYMMDD'T'HHMMSS'Z'."
        ) from error
    if signed_at < now - skew:
        text = f"Signature expired: {claim.timestamp} is more than {skew} s before {_stamp(now)}."
    elif signed_at > now + skew:
        text = f"Signature not yet current: {claim.timestamp} is more than {skew} s after {_stamp(now)}."
    else:
        return
    raise SignatureRefusedError(Refusal.EXPIRED, text)


def _check_scope(claim: Claim, service: str, region: str | None) -> None:
    """The signature is for here: else one made for another service could be replayed."""
    if claim.date != claim.timestamp[:8]:
        text = "Date in Credential scope does not match that of X-Amz-Date."
    elif region is not None and claim.region != region:
        text = f"Credential should be scoped to a valid region, not '{claim.region}'."
    elif claim.service != service:
        text = f"Credential should be scoped to correct service: '{service}'."
    else:
        return
    raise SignatureRefusedError(Refusal.INVALID, text)


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime(_TIMESTAMP)


def _check_coverage(claim: Claim, body: bytes) -> None:
    """All that changes a request's meaning is under the signature: Host, every X-Amz header, and the body."""
    headers = claim.headers
    absent = [name for name in claim.signed if name not in headers]
    unsigned = [name for name in headers if name.startswith("x-amz-") and name not in claim.signed]
    if absent:
        text = f"SignedHeaders names headers that are not there: {', '.join(absent)}."
    elif "host" not in claim.signed:
        text = "'Host' must be a 'SignedHeader' in the AWS Authorization."
    elif unsigned:
        text = f"There were headers present in the request which were not signed: {', '.join(unsigned)}."
    else:
        # Where a client sends the body's hash, botocore signs that header's value instead of hashing the body.
        claimed = headers.get("x-amz-content-sha256")
        if claimed is None or claimed == [sha256(body).hexdigest()]:
            return
        text = "The value of X-Amz-Content-SHA256 is not the hash of the body."
    raise SignatureRefusedError(Refusal.INVALID, text)


class _Resigner(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs over exactly the headers of the request it is given, where a client's signer chooses among them."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers


def _sign_again(received: Received, claim: Claim, signed: Mapping[str, list[str]]) -> str:
    if not received.path.startswith("/"):
        # Anything else would run into the host of the URL below.
        raise SignatureRefusedError(Refusal.INVALID, "The request target is not a path and a query.")
    target = received.path + ("?" + received.query if received.query else "")
    # Any host will do in this URL: the one signed is the Host header.
    request = AWSRequest(received.method, "http://host" + target, data=received.body)
    split = urlsplit(request.url)
    if (split.path, split.query) != (received.path, received.query):
        # A fragment or a control character would be dropped here, and so not be signed.
        raise SignatureRefusedError(Refusal.INVALID, "The request target is not a path and a query.")
    for name, values in signed.items():
        for value in values:
            request.headers.add_header(name, value)
    request.context["timestamp"] = claim.timestamp
    signer = _Resigner(Credentials(claim.access_key_id, claim.secret), claim.service, claim.region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return str(signer.signature(text, request))
