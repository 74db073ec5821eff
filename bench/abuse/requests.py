"""HTTP requests that cost a server more than their sender, and honest ones with a signature, as octets."""

from __future__ import annotations

from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

LISTENERS = ("emulator", "route53", "metrics")
"""Names of `bench.abuse.limits.Ports`."""
_METHODS = {
    "emulator": ("POST", "/"),
    "route53": ("GET", "/2013-04-01/hostedzone"),
    "metrics": ("GET", "/metrics"),
}
_SERVICES = {"emulator": "kms", "route53": "route53"}
_LONGEST = 60_000
"""Octets of a header: just below the 64 KiB at which an HTTP server gives up."""


def hostile(listener: str) -> dict[str, bytes]:
    """Unsigned requests, by what is wrong with them."""
    method, path = _METHODS[listener]
    host = "Host: 127.0.0.1\r\n"
    start = f"{method} {path} HTTP/1.1\r\n{host}"

    def with_header(name: str, value: str) -> bytes:
        return f"{start}{name}: {value}\r\nContent-Length: 0\r\n\r\n".encode()

    scheme = "AWS4-HMAC-SHA256 "
    body = 2_000_000
    many = "".join(f"x-{number}: {number}\r\n" for number in range(4000))
    chunks = b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n"
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    post = f"POST {path} HTTP/1.1\r\n{host}"
    frames = b"\0\0\0\4\0\0\0\0\0" + b"\0\x40\0\1\0\0\0\0\1" + b"\x40" * 16384  # SETTINGS, HEADERS
    return {
        "authorization, one letter": with_header("Authorization", scheme + "a" * _LONGEST),
        "authorization, fields": with_header("Authorization", scheme + "Credential=a/b/c/d/e, " * (_LONGEST // 22)),
        "authorization, spaces": with_header("Authorization", scheme + " " * _LONGEST + "="),
        "many headers": f"{start}{many}Content-Length: 0\r\n\r\n".encode(),
        "long target": f"GET {path}?{'a=%41&' * (_LONGEST // 6)} HTTP/1.1\r\n{host}\r\n".encode(),
        "chunks of one octet": f"{post}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks,
        "large body": f"{post}Content-Length: {body}\r\n\r\n".encode() + b"x" * body,
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames,
        "WebSocket": f"GET {path} HTTP/1.1\r\n{host}{upgrade}\r\n".encode(),
        "no HTTP": b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + bytes(13),
        "pipelined": f"GET {path} HTTP/1.1\r\n{host}\r\n".encode() * 900,
    }  # fmt: skip


def half(listener: str) -> bytes:
    """A request that isn't whole: its body is announced, and one header never ends."""
    _, path = _METHODS[listener]
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2000000\r\nx-slow: ".encode()


def access_key(state: Path, profile: str = "default") -> tuple[str, str]:
    """An access key of a state directory: its id and its secret. Raises `RuntimeError` where it isn't there."""
    path = state / "aws" / "credentials"
    parser = ConfigParser()
    parser.read(path)
    if profile not in parser:
        raise RuntimeError(f"no profile {profile} in {path}")
    return parser[profile]["aws_access_key_id"], parser[profile]["aws_secret_access_key"]


def signer(state: Path, listener: str, profile: str) -> Callable[[str, str, str], bytes]:
    """What signs requests (method, target, body) with the access key of a profile in the state directory.

    Raises `RuntimeError` where the server has made no such profile.
    """
    auth = SigV4Auth(Credentials(*access_key(state, profile)), _SERVICES[listener], "us-east-1")

    def sign(method: str, target: str, body: str) -> bytes:
        headers = {"Host": "127.0.0.1"}
        if listener == "emulator":
            headers |= {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"}
        request = AWSRequest(method, f"http://127.0.0.1{target}", headers, body)
        auth.add_auth(request)
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        start = [f"{method} {target} HTTP/1.1", *lines, f"Content-Length: {len(body)}"]
        return ("\r\n".join(start) + "\r\n\r\n" + body).encode()

    return sign


def signed(state: Path, listener: str, profile: str = "default") -> bytes:
    """A right request that reads something, signed now: it is taken for some minutes."""
    method, target = _METHODS[listener]
    return signer(state, listener, profile)(method, target, "{}" if method == "POST" else "")
