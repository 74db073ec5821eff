"""No field of a request costs more than its length: 8 times the octets, at most 12 times the time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import h11
import pytest

from keys.aws.http_head import BadRequestError, head_end, read_head
from keys.aws.http_limits import may_be_called
from keys.aws.sigv4_check import Received, SignatureRefusedError, verify
from keys.emulator.aws_errors import AwsError
from keys.emulator.key_policy import MalformedPolicyError, parse_policy
from keys.emulator.request_shapes import Requests
from server.route53.api_errors import ApiError
from server.route53.constraints import check_constraints
from server.route53.requests import parse_request
from tests.growth import growth
from tests.server.route53.served import model
from zones.recordsets.record_values import ValueRefusedError, rdata_of
from zones.recordsets.route53_names import NameSpellingError, normalised

MOST = 12
SMALL, LARGE = 1800, 14400
"""Octets, about."""
REFUSALS = (
    MalformedPolicyError,
    BadRequestError,
    SignatureRefusedError,
    ApiError,
    AwsError,
    ValueRefusedError,
    NameSpellingError,
)
ALGORITHM = "AWS4-HMAC-SHA256 "
CREDENTIAL = "Credential=AKID/20260101/us-east-1/kms/aws4_request"
NOW = 1767225600.0


def assert_linear(work: Callable[[int], Callable[[], object]], repeat: int = 1) -> None:
    def run(size: int) -> Callable[[], object]:
        made = work(size)

        def runs() -> None:
            for _ in range(repeat):
                with suppress(*REFUSALS):
                    made()

        return runs

    assert growth(run(SMALL), run(LARGE)) <= MOST


HEADS: dict[str, Callable[[int], bytes]] = {
    "blanks, and what no header has": lambda n: b"a:" + b" " * n + b"\x00",
    "blanks, and a form feed": lambda n: b"a:" + b"\t" * n + b"\x0c",
    "words, and what no header has": lambda n: b"a:" + b" a" * (n // 2) + b"\x00",
    "blanks behind a word": lambda n: b"a: a" + b" " * n,
    "folded": lambda n: b"a: a" + b"\r\n a" * (n // 4),
    "carriage returns": lambda n: b"a: " + b"\r" * n,
    "Connection": lambda n: b"Connection: " + b"a," * (n // 2),
    "Content-Length": lambda n: b"Content-Length: " + b"0," * (n // 2) + b"0",
    "Transfer-Encoding": lambda n: b"Transfer-Encoding: " + b"chunked," * (n // 8),
    "no colon": lambda n: b"a" * n,
}


@pytest.mark.parametrize("kind", HEADS)
def test_headers(kind: str) -> None:
    def work(size: int) -> Callable[[], object]:
        head = b"GET / HTTP/1.1\r\nHost: x\r\n" + HEADS[kind](size) + b"\r\n\r\n"
        return lambda: read_head(h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20), head)

    assert_linear(work, repeat=2)


def test_a_head_that_comes_octet_by_octet() -> None:
    def work(size: int) -> Callable[[], object]:
        def received() -> None:
            octets, looked_at = bytearray(), 0
            while len(octets) < size:
                octets += b"a"
                assert not head_end(octets, looked_at)
                looked_at = len(octets)

        return received

    assert_linear(work)


@pytest.mark.parametrize("host", ["a", ":", "[", "]", "1.", "1", "."])
def test_host(host: str) -> None:
    assert_linear(lambda size: lambda: may_be_called(host * size, frozenset()), repeat=4)


AUTHORIZATIONS: dict[str, Callable[[int], str]] = {
    "letters": lambda n: "a" * n,
    "equals signs": lambda n: "=" * n,
    "fields": lambda n: "a=b," * (n // 4),
    "blanks": lambda n: " " * n,
    "scope": lambda n: f"Credential={'/' * n}, SignedHeaders=a, Signature=b",
    "key": lambda n: f"Credential={'a' * n}/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=b",
    "signed headers": lambda n: f"{CREDENTIAL}, SignedHeaders={';' * n}, Signature=b",
    "names of signed headers": lambda n: (
        f"{CREDENTIAL}, SignedHeaders={';'.join(map(str, range(n // 5)))}, Signature=b"
    ),
    "signature": lambda n: f"{CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature={'a' * n}",
}


@pytest.mark.parametrize("kind", AUTHORIZATIONS)
def test_authorization(kind: str) -> None:
    def work(size: int) -> Callable[[], object]:
        extra = [(f"X-Amz-{number}", "a") for number in range(90)]
        headers = [("Host", "x"), ("X-Amz-Date", "20260101T000000Z"), *extra]
        headers.append(("Authorization", ALGORITHM + AUTHORIZATIONS[kind](size)))
        received = Received("GET", "/", "", headers, b"")
        return lambda: verify(received, service="kms", region=None, now=NOW, secret_of=lambda _: "secret")

    assert_linear(work, repeat=2)


@pytest.mark.parametrize("path", ["/", "%2f", "%", "a", "a/../", "?"])
def test_path_and_query(path: str) -> None:
    headers = [("Host", "x"), ("X-Amz-Date", "20260101T000000Z")]
    headers.append(("Authorization", f"{ALGORITHM}{CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature=b"))

    def work(size: int) -> Callable[[], object]:
        text = path * (size // len(path))

        def run() -> None:
            for received in (Received("GET", "/" + text, "", headers, b""), Received("GET", "/", text, headers, b"")):
                with suppress(SignatureRefusedError):
                    verify(received, service="kms", region=None, now=NOW, secret_of=lambda _: "secret")
            model().match("GET", "/" + text)

        return run

    assert_linear(work)


@pytest.mark.parametrize("query", ["a=b&", "a", "&", "%41", "=", "name=a&"])
def test_query_of_an_operation(query: str) -> None:
    match = model().match("GET", "/2013-04-01/hostedzone")
    assert match is not None
    assert_linear(lambda size: lambda: parse_request(match, query * (size // len(query)), {}, b""), repeat=2)


ROOT = "ChangeResourceRecordSetsRequest"
CHANGE = (
    "<Change><Action>UPSERT</Action><ResourceRecordSet><Name>a.b</Name><Type>A</Type><TTL>60</TTL><ResourceRecords>"
    "<ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change>"
)
DOCUMENTS: dict[str, Callable[[int], str]] = {
    "changes": lambda n: f"<{ROOT}><ChangeBatch><Changes>{CHANGE * (n // 20)}</Changes></ChangeBatch></{ROOT}>",
    "siblings": lambda n: f"<{ROOT}>{'<a/>' * n}</{ROOT}>",
    "depth": lambda n: "<a>" * n,
    "attributes": lambda n: f"<{ROOT} " + " ".join(f"a{i}=''" for i in range(n)) + "/>",
    "namespaces": lambda n: f"<{ROOT} " + " ".join(f"xmlns:a{i}='b'" for i in range(n // 4)) + "/>",
    "text": lambda n: f"<{ROOT}>{'a' * 8 * n}</{ROOT}>",
    "references": lambda n: f"<{ROOT}>{'&lt;' * n}</{ROOT}>",
    "a comment": lambda n: f"<{ROOT}><!--{' -' * n}--></{ROOT}>",
    "a comment that never ends": lambda n: f"<{ROOT}><!--" + "- " * 4 * n,
    "sections": lambda n: f"<{ROOT}>{'<![CDATA[]]>' * n}</{ROOT}>",
    "lines": lambda n: f"<{ROOT}>" + "\r\n" * 4 * n,
    "a name": lambda n: f"<{'a' * 8 * n}/>",
    "an attribute": lambda n: f'<{ROOT} a="{"a " * 4 * n}"/>',
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_xml(kind: str) -> None:
    match = model().match("POST", "/2013-04-01/hostedzone/Z1/rrset")
    assert match is not None

    def work(size: int) -> Callable[[], object]:
        body = DOCUMENTS[kind](size // 8).encode()
        return lambda: check_constraints(match.operation.input, parse_request(match, "", {}, body))

    assert_linear(work)


VALUES: dict[str, Callable[[int], str]] = {
    "a string that never ends": lambda n: '"' + '\\"' * (n // 2),
    "strings": lambda n: '"" ' * (n // 3),
    "blanks": lambda n: " " * n + '"',
    "backslashes": lambda n: "\\" * n,
    "dots": lambda n: "a." * (n // 2),
    "brackets": lambda n: "(" * n,
    "digits": lambda n: "1" * n,
}


@pytest.mark.parametrize("type_", ["TXT", "SVCB", "CNAME", "NAPTR"])
@pytest.mark.parametrize("kind", VALUES)
def test_record_values(kind: str, type_: str) -> None:
    assert_linear(lambda size: lambda: rdata_of(type_, VALUES[kind](size)))


@pytest.mark.parametrize("piece", ["a.", "a", "\\", "\\052", ".", "*", "é", "a-"])
def test_names(piece: str) -> None:
    assert_linear(lambda size: lambda: normalised(piece * (size // len(piece))), repeat=3)


BODIES: dict[str, Callable[[int], str]] = {
    "depth": lambda n: "[" * n,
    "quotation marks": lambda n: '"' * n,
    "escapes": lambda n: '{"a":"' + '\\"' * (n // 2),
    "members": lambda n: "{" + ",".join(f'"a{i}":1' for i in range(n // 8)) + "}",
    "siblings": lambda n: '{"Tags":[' + ",".join(['{"TagKey":"a","TagValue":"b"}'] * (n // 30)) + "]}",
    "digits": lambda n: '{"Limit":' + "1" * n + "}",
    "a fraction": lambda n: '{"Limit":0.' + "1" * n + "}",
    "blanks": lambda n: " " * n,
    "base64": lambda n: '{"KeyId":"a","SigningAlgorithm":"ECDSA_SHA_256","Message":"' + "QUFB" * (n // 4) + '"}',
    "wildcards": lambda n: '{"KeyId":"' + "*a" * (n // 2) + '"}',
}


@pytest.mark.parametrize("kind", BODIES)
def test_json(kind: str) -> None:
    requests = Requests()

    def work(size: int) -> Callable[[], object]:
        body = BODIES[kind](2 * size).encode()

        def run() -> None:
            for operation in ("Sign", "CreateKey"):
                with suppress(AwsError):
                    requests.parse(operation, body)

        return run

    assert_linear(work)


POLICIES: dict[str, Callable[[int], str]] = {
    "statements": lambda n: '{"Version":"2012-10-17","Statement":[' + ",".join(["{}"] * (n // 8)) + "]}",
    "actions": lambda n: '{"Statement":[{"Action":[' + ",".join(['"kms:*"'] * n) + "]}]}",
    "depth": lambda n: '{"Statement":' + "[" * n,
    "a principal": lambda n: '{"Statement":[{"Principal":{"AWS":"arn:aws:iam::' + "1" * n + '"}}]}',
}


@pytest.mark.parametrize("kind", POLICIES)
def test_policies(kind: str) -> None:
    assert_linear(lambda size: lambda: parse_policy(POLICIES[kind](size)), repeat=3)
