"""Mutated HTTP to the real program: bad framing, requests cut short, pipelined, with signatures that were right once.

And bodies with a right signature (`bodies`), so that XML and JSON are read: deep, huge, doubled, of wrong types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.fuzz.findings import Broken, Finding, dice_of
from tests.fuzz.mutations import mutated
from tests.fuzz.real_program import Program
from tests.fuzz.streams import exchanged

HTTP, BODIES = "http", "bodies"
AT_ONCE = 8
"""Clients."""
_PATH = "/2013-04-01/hostedzone"
_CHANGE = """<?xml version="1.0"?>
<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes><Change>\
<Action>UPSERT</Action><ResourceRecordSet><Name>a.hosted.test</Name><Type>A</Type><TTL>60</TTL><ResourceRecords>\
<ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change></Changes>\
</ChangeBatch></ChangeResourceRecordSetsRequest>"""
_CREATE = """<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>hosted.test.</Name>\
<CallerReference>fuzz</CallerReference></CreateHostedZoneRequest>"""
_TOKENS = [
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff",
    b":",
    b" ",
    b"%00",
    b"%",
    b"/../",
    b"?",
    b"&",
    b"=",
    b"Content-Length: 0\r\n",
    b"Content-Length: 99999999999\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: evil.test\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Upgrade: h2c\r\n",
    b"ffffffffffffffff\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"Authorization: AWS4-HMAC-SHA256 ",
    b"Credential=",
    b"Signature=",
    b"SignedHeaders=",
    b",",
    b"a" * 9000,
    b"x-amz-date: 19700101T000000Z\r\n",
    b" obs-fold\r\n",
    b"GET http://a/ HTTP/1.1\r\n",
]
_BODY_TOKENS = [
    b"<",
    b">",
    b"</",
    b"]]>",
    b"&amp;",
    b"&#0;",
    b"&x;",
    b"<!DOCTYPE a [<!ENTITY x 'y'>]>",
    b"<a>" * 3000,
    b"{" * 3000,
    b"[" * 3000,
    b"]",
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"1e999",
    b"-0",
    b"9" * 400,
    b"true",
    b'{"KeyId":1}',
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\0",
    b"x" * 5000,
    b"<Change>",
    b"<Name>" + b"a." * 200 + b"</Name>",
    b"<TTL>-1</TTL>",
    b"<TTL>99999999999</TTL>",
    b"<Type>SOA</Type>",
    b"<Type>TXT</Type>",
    b"<Action>DELETE</Action>",
    b"<Weight>256</Weight>",
    b"\\052",
    b"*",
    b'"\\"',
]


class Requests:
    """Requests to one running program; the same number gives the same request but for what was made with it."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._credentials = Credentials(*program.access_key())

    def http(self, seed: int, number: int) -> tuple[int, bytes]:
        """A case of `HTTP`: the port, and what is sent to it."""
        dice = dice_of(HTTP, seed, number)
        listener = dice.choice(("emulator", "route53", "route53", "metrics"))
        port = self._program.http[listener]
        request = b"".join(self._valid(listener, dice) for _ in range(dice.choice((1, 1, 1, 2, 5))))
        if dice.random() < 0.1:
            return port, request
        changed = mutated(request, dice, _TOKENS)
        return port, (changed[: dice.randrange(len(changed) + 1)] if dice.random() < 0.1 else changed) or b"\r\n"

    def body(self, seed: int, number: int) -> tuple[int, bytes]:
        """A case of `BODIES`, with a right signature."""
        dice = dice_of(BODIES, seed, number)
        listener = dice.choice(("emulator", "route53"))
        method, target, body, headers = self._call(listener, dice)
        changed = mutated(body, dice, _BODY_TOKENS, most=6) if dice.random() < 0.95 else body
        if method == "GET":
            method = "POST"
        return self._program.http[listener], self._signed(listener, method, target, changed, headers)

    def _valid(self, listener: str, dice: Random) -> bytes:
        if listener == "metrics":
            path = dice.choice(("/metrics", "/healthz", "/"))
            return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        method, target, body, headers = self._call(listener, dice)
        return self._signed(listener, method, target, b"" if method == "GET" else body, headers)

    def _call(self, listener: str, dice: Random) -> tuple[str, str, bytes, dict[str, str]]:
        """Method, target, body and headers of a request that reads, or that changes little."""
        if listener == "emulator":
            key = self._program.key
            operation, body = dice.choice(
                [
                    ("DescribeKey", f'{{"KeyId":"{key}"}}'),
                    ("GetPublicKey", f'{{"KeyId":"{key}"}}'),
                    ("ListKeys", '{"Limit":5}'),
                    ("ListAliases", f'{{"KeyId":"{key}","Limit":5}}'),
                    ("GetKeyPolicy", f'{{"KeyId":"{key}","PolicyName":"default"}}'),
                    ("Sign", f'{{"KeyId":"{key}","Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}}'),
                    ("TagResource", f'{{"KeyId":"{key}","Tags":[{{"TagKey":"a","TagValue":"b"}}]}}'),
                ]
            )
            headers = {"X-Amz-Target": f"TrentService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
            return "POST", "/", body.encode(), headers
        zone = f"{_PATH}/{self._program.hosted}"
        method, target, text = dice.choice(
            [
                ("GET", _PATH, _CREATE),
                ("GET", f"{_PATH}?maxitems=2", _CREATE),
                ("GET", f"{zone}/rrset", _CHANGE),
                ("GET", f"{zone}/rrset?name=a.hosted.test&type=A", _CHANGE),
                ("POST", f"{zone}/rrset", _CHANGE),
                ("POST", f"{zone}/rrset", _CHANGE),
                ("POST", _PATH, _CREATE),
            ]
        )
        return method, target, text.encode(), {"Content-Type": "application/xml"}

    def _signed(self, listener: str, method: str, target: str, body: bytes, headers: dict[str, str]) -> bytes:
        host = f"127.0.0.1:{self._program.http[listener]}"
        request = AWSRequest(method, f"http://{host}{target}", {"Host": host, **headers}, body)
        SigV4Auth(self._credentials, "kms" if listener == "emulator" else "route53", "us-east-1").add_auth(request)
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def run(program: Program, kind: str, seed: int, numbers: Sequence[int]) -> list[Finding]:
    """Send these, several at a time, and check what comes back."""
    requests = Requests(program)
    make = requests.http if kind == HTTP else requests.body

    def one(number: int) -> Finding | None:
        return _case(make, kind, seed, number)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [found for found in pool.map(one, numbers) if found is not None]


def _case(make: Callable[[int, int], tuple[int, bytes]], kind: str, seed: int, number: int) -> Finding | None:
    port, request = make(seed, number)
    try:
        check(request, exchanged(port, request)[0], whole=kind == BODIES)
    except (Broken, OSError) as error:
        return Finding(kind, seed, number, f"{type(error).__name__}: {error}", request.hex())
    return None


_ANSWERS_OF_5XX = (b"HTTP/1.1 501", b"HTTP/1.1 503", b"HTTP/1.1 505")
"""What a client may get that is not our failure: no such transfer coding, too busy, another version of HTTP."""


def check(request: bytes, answer: bytes, *, whole: bool) -> None:
    """The rules. Raises `Broken`. A `whole` request must be answered."""
    if not answer:
        if whole:
            raise Broken("a whole request without an answer")
        return
    if not answer.startswith(b"HTTP/1.1 "):
        raise Broken(f"no HTTP/1.1: {answer[:60]!r}")
    if answer[9:10] == b"5" and not answer.startswith(_ANSWERS_OF_5XX):
        raise Broken(f"a failure of our own: {answer[:600]!r}")
    if len(answer) > 100_000 + 100 * len(request):
        raise Broken(f"{len(answer)} octets for {len(request)}")
