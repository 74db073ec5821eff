"""SigV4: a published vector, requests that botocore signed, and all that may be wrong with one."""

from __future__ import annotations

import calendar
import time
from hashlib import sha256
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keys.aws.sigv4_check import SKEW, Received, Refusal, SignatureRefusedError, verify

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SECRETS = {KEY: SECRET}


def check(received: Received, now: float | None = None, service: str = "kms", region: str | None = "us-east-1") -> Any:
    return verify(
        received, service=service, region=region, now=time.time() if now is None else now, secret_of=SECRETS.get
    )


def refusal(received: Received, **options: Any) -> Refusal:
    with pytest.raises(SignatureRefusedError) as caught:
        check(received, **options)
    assert SECRET not in str(caught.value)
    return caught.value.refusal


def signed(
    body: bytes = b'{"KeyId": "x"}',
    path: str = "/",
    query: str = "",
    secret: str = SECRET,
    headers: dict[str, str] | None = None,
) -> Received:
    """A request as botocore signs it."""
    given = {"Host": "127.0.0.1:4599", "X-Amz-Target": "TrentService.Sign", **(headers or {})}
    url = f"http://127.0.0.1:4599{path}" + (f"?{query}" if query else "")
    request = AWSRequest("POST", url, headers=given, data=body)
    SigV4Auth(Credentials(KEY, secret), "kms", "us-east-1").add_auth(request)
    return Received("POST", path, query, list(request.headers.items()), body)


def edited(received: Received, **headers: str | None) -> Received:
    """The request with headers replaced, added, or (None) removed after it was signed."""
    names = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    kept = [(name, value) for name, value in received.headers if name.lower() not in names]
    return received._replace(headers=kept + [(name, value) for name, value in names.items() if value is not None])


def header(received: Received, name: str) -> str:
    return {n.lower(): v for n, v in received.headers}[name]


def test_the_vector_that_aws_publishes() -> None:
    """get-vanilla of the AWS Signature Version 4 test suite."""
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )
    headers = [
        ("Host", "example.amazonaws.com"),
        ("X-Amz-Date", "20150830T123600Z"),
        ("Authorization", authorization),
    ]
    received = Received("GET", "/", "", headers, b"")
    now = calendar.timegm((2015, 8, 30, 12, 36, 0))
    verified = check(received, now, service="service")
    assert verified.access_key_id == KEY
    assert verified.headers == {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    assert refusal(received._replace(method="POST"), now=now, service="service") is Refusal.INVALID


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/", ""),
        ("/_faults", "number=3"),
        ("/2013-04-01/hostedzone/Z1/dnssec", ""),
        ("/a%20b/c", "b=2&a=1&a=0&empty="),
    ],
)
def test_what_botocore_signs_is_accepted(path: str, query: str) -> None:
    verified = check(signed(path=path, query=query))
    assert verified.headers["x-amz-target"] == "TrentService.Sign"


def test_the_headers_that_are_not_signed_are_not_believed() -> None:
    verified = check(edited(signed(), user_agent="curl", x_forwarded_for="192.0.2.1"))
    assert "user-agent" not in verified.headers
    assert "x-forwarded-for" not in verified.headers


@pytest.mark.parametrize(
    "alter",
    [
        lambda r: r._replace(body=r.body + b" "),
        lambda r: r._replace(body=b""),
        lambda r: r._replace(path="/_faults"),
        lambda r: r._replace(path="/#"),
        lambda r: r._replace(path="/\t"),
        lambda r: r._replace(query="number=1"),
        lambda r: edited(r, x_amz_target="TrentService.DescribeKey"),
        lambda r: edited(r, host="127.0.0.2:4599"),
        lambda r: edited(r, x_amz_target=None),
        lambda r: r._replace(headers=[*r.headers, ("X-Amz-Target", "TrentService.Verify")]),
        lambda r: edited(r, authorization=header(r, "authorization").replace("Signature=", "Signature=0")),
        lambda r: edited(r, authorization=header(r, "authorization").replace("us-east-1", "eu-west-1")),
        lambda r: edited(r, authorization=header(r, "authorization")[:-64] + "é" * 64),
    ],
)
def test_an_altered_request_is_refused(alter: Any) -> None:
    request = signed()
    check(request)
    assert refusal(alter(request)) is Refusal.INVALID


def test_a_wrong_secret_is_refused() -> None:
    assert refusal(signed(secret=SECRET.lower())) is Refusal.INVALID


def test_an_unsigned_source_header_is_refused() -> None:
    arn = "arn:aws:route53:::hostedzone/Z1"
    assert check(signed(headers={"x-amz-source-arn": arn})).headers["x-amz-source-arn"] == arn
    assert refusal(edited(signed(), x_amz_source_arn=arn)) is Refusal.INVALID


def test_host_must_be_signed() -> None:
    request = signed()
    authorization = header(request, "authorization").replace("SignedHeaders=host;", "SignedHeaders=")
    assert refusal(edited(request, authorization=authorization)) is Refusal.INVALID


def test_a_body_hash_in_a_header_is_not_taken_on_trust() -> None:
    body = b"{}"
    check(signed(body, headers={"X-Amz-Content-SHA256": sha256(body).hexdigest()}))
    assert refusal(signed(body, headers={"X-Amz-Content-SHA256": sha256(b"{ }").hexdigest()})) is Refusal.INVALID
    assert refusal(signed(body, headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})) is Refusal.INVALID


def test_the_clock_may_differ_by_five_minutes() -> None:
    request = signed()
    stamp = calendar.timegm(time.strptime(header(request, "x-amz-date"), "%Y%m%dT%H%M%SZ"))
    for off in (-SKEW, 0, SKEW):
        check(request, stamp + off)
    for off in (-SKEW - 1, SKEW + 1, 86400, -86400):
        assert refusal(request, now=stamp + off) is Refusal.EXPIRED


def test_scoped_to_another_service_or_region_is_refused() -> None:
    assert refusal(signed(), service="route53") is Refusal.INVALID
    assert refusal(signed(), region="eu-west-1") is Refusal.INVALID
    assert check(signed(), region=None).access_key_id == KEY


def test_unknown_keys_and_session_tokens() -> None:
    request = signed()
    unknown = edited(request, authorization=header(request, "authorization").replace(KEY, "AKIDOTHER"))
    assert refusal(unknown) is Refusal.UNKNOWN_KEY
    assert refusal(signed(headers={"X-Amz-Security-Token": "t"})) is Refusal.UNKNOWN_KEY


def test_no_credentials() -> None:
    assert refusal(edited(signed(), authorization=None)) is Refusal.MISSING


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic cm9vdDpyb290",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/kms/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/kms/aws4_request, Signature=00",
        "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20150830/kms/aws4_request, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/kms/aws2_request, SignedHeaders=host, Signature=00",
    ],
)
def test_an_authorization_header_that_cannot_be_read(authorization: str) -> None:
    assert refusal(edited(signed(), authorization=authorization)) is Refusal.INCOMPLETE


@pytest.mark.parametrize("date", [None, "yesterday", "2015-08-30T12:36:00Z", ""])
def test_a_timestamp_that_cannot_be_read(date: str | None) -> None:
    assert refusal(edited(signed(), x_amz_date=date)) is Refusal.INCOMPLETE


@pytest.mark.parametrize("path", ["@[", "*", "http://other/[", "#", ""])
def test_a_request_target_that_is_no_path(path: str) -> None:
    assert refusal(signed()._replace(path=path)) is Refusal.INVALID
