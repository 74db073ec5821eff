"""Signature Version 4 on a KMS call: botocore's algorithm with a clock that is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from keys.kms.kms_credentials import KmsCredentials


class _Signer(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's `add_auth` reads the wall clock, and logs the canonical request with the session token in it."""

    def sign_at(self, request: AWSRequest, now: float) -> None:
        request.context["timestamp"] = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        self._inject_signature_to_request(request, self.signature(self.string_to_sign(request, canonical), request))


def signed_headers(
    url: str, region: str, headers: Mapping[str, str], body: bytes, credentials: KmsCredentials, now: float
) -> dict[str, str]:
    """`headers` with the date, the signature over all of them and, for temporary credentials, their session token.

    The request is a POST of `body` to `url`; `now` is in seconds since the epoch.
    """
    request = AWSRequest(method="POST", url=url, headers=dict(headers), data=body)
    _Signer(credentials, "kms", region).sign_at(request, now)
    return dict(request.headers.items())
