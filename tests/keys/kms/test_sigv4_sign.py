"""SigV4 as the client makes it: recomputed here from what came over the wire, by AWS's description alone.

Source: AWS documentation, "Create a signed AWS API request".
"""

from __future__ import annotations

import hmac
import socket
import time
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import trio
from botocore.session import Session

from keys.emulator.run import run_emulator
from keys.kms.interface import KeyRequest
from keys.kms.kms_credentials import fixed_session
from keys.kms.kms_errors import KmsRefused, KmsUnavailable
from tests.keys.kms.conftest import ACCESS_KEY, SECRET_KEY, client
from tests.keys.kms.servers import Received, Scripted, answer

ARN = "arn:aws:kms:eu-central-1:000000000000:key/11111111-2222-3333-4444-555555555555"
ZONE = "Z0123456789ABCDEFGHIJ"
SIGNED = answer({"KeyId": ARN, "Signature": "MAYCAQECAQE="})
NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC).timestamp()


def signature(request: Received, names: list[str], secret: str, date: str, region: str) -> str:
    """The signature that this request should carry."""
    headers = "".join(f"{name}:{request.headers[name]}\n" for name in names)
    canonical = f"POST\n/\n\n{headers}\n{';'.join(names)}\n{sha256(request.body).hexdigest()}"
    scope = f"{date}/{region}/kms/aws4_request"
    hashed = sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{hashed}"
    key = b"AWS4" + secret.encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def session_with_token() -> Session:
    session = Session()
    session.set_credentials(ACCESS_KEY, SECRET_KEY, "a/session+token==")
    return session


@pytest.mark.parametrize("temporary", [False, True])
async def test_every_header_that_matters_is_signed(server: Scripted, temporary: bool) -> None:
    make_session = session_with_token if temporary else fixed_session(ACCESS_KEY, SECRET_KEY)
    options = {"region": "eu-central-1", "source_account": "123456789012", "now": lambda: NOW}
    server.script = [SIGNED]
    async with client(server.url, make_session=make_session, **options) as kms:
        await kms.sign(ARN, ZONE, b"m")
    (request,) = server.requests
    names = ["content-type", "host", "x-amz-date", "x-amz-source-account", "x-amz-source-arn", "x-amz-target"]
    if temporary:
        names = sorted([*names, "x-amz-security-token"])
        assert request.headers["x-amz-security-token"] == "a/session+token=="
    expected = signature(request, names, SECRET_KEY, "20260203", "eu-central-1")
    assert request.headers["x-amz-date"] == "20260203T040506Z"
    assert request.headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260203/eu-central-1/kms/aws4_request, "
        f"SignedHeaders={';'.join(names)}, Signature={expected}"
    )
    assert request.headers["x-amz-source-arn"] == f"arn:aws:route53:::hostedzone/{ZONE}"
    assert request.headers["x-amz-source-account"] == "123456789012"
    assert request.headers["host"] == server.url.removeprefix("http://")


async def test_only_calls_about_a_hosted_zone_name_one(server: Scripted) -> None:
    server.script = [answer({"KeyMetadata": {"Arn": ARN, "KeyState": "Enabled"}}), SIGNED]
    async with client(server.url, source_account="123456789012") as kms:
        await kms.create_key(KeyRequest("KSK", None, {}))
    async with client(server.url) as kms:
        await kms.sign(ARN, ZONE, b"m")
    assert all("x-amz-source-arn" not in request.headers for request in server.requests)


@pytest.mark.parametrize("zone", ["", "Z1\r\nX-Amz-Evil: 1", "z1", "Z1/../*", "Z" * 33])
async def test_a_hosted_zone_id_cannot_carry_anything_else(server: Scripted, zone: str) -> None:
    async with client(server.url, source_account="123456789012") as kms:
        with pytest.raises(ValueError, match="hosted zone ID"):
            await kms.sign(ARN, zone, b"m")
    assert not server.requests


async def test_wrong_secrets_are_refused_and_wrong_clocks_are_unavailable(tmp_path: Path) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    async with trio.open_nursery() as nursery:
        emulator = await nursery.start(partial(run_emulator, tmp_path, sock, now=time.time))
        root = emulator.credentials.root
        good = fixed_session(root.id, root.secret)
        async with client(emulator.endpoint, make_session=good) as kms:
            await kms.find_key("a", "b")
        for session, code in (
            (fixed_session(root.id, root.secret + "x"), "InvalidSignatureException"),
            (fixed_session("AKIDNOBODY", root.secret), "UnrecognizedClientException"),
        ):
            async with client(emulator.endpoint, make_session=session) as kms:
                with pytest.raises(KmsRefused, match=code):
                    await kms.find_key("a", "b")
        for skew in (-3600, 3600):
            async with client(emulator.endpoint, make_session=good, now=lambda: time.time() + skew) as kms:  # noqa: B023
                with pytest.raises(KmsUnavailable, match="InvalidSignatureException"):
                    await kms.find_key("a", "b")
        nursery.cancel_scope.cancel()
