"""What every KMS promises the key manager, asked of three: the fake, the emulator (also with calls in turn) and moto.

The two servers are reached by the client, and boto3, which knows nothing of our code, does there what an operator does.
Where one is known to behave otherwise, `DIFFERENCES` says how and why, and the test asserts just that.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest
import trio
from botocore.config import Config

from keys.dnssec.p256 import verify
from keys.emulator.run import run_emulator
from keys.kms.fake_kms import FakeKms
from keys.kms.interface import MAXIMUM_MESSAGE, KeyRequest, Kms
from keys.kms.kms_credentials import fixed_session
from keys.kms.kms_errors import WRONG_KEY, KmsRefused
from keys.kms.ksk_key_policy import dnssec_key_policy
from keys.kms.shared_kms import SharedKms
from tests.keys.kms.conftest import ACCOUNT, client

ZONE = "Z0123456789ABCDEFGHIJ"
MOTO_ACCOUNT = "123456789012"

SIGNS_ANYWAY = "moto keeps a key's state but looks at it neither in Sign nor in GetPublicKey"
DIFFERENCES = {
    ("moto", "disabled"): SIGNS_ANYWAY,
    ("moto", "pending deletion"): SIGNS_ANYWAY,
    ("moto", "malformed policy"): "moto keeps any text as a key policy",
    ("fake", "malformed policy"): "the fake has no policies; faults on order stand for them",
}


class Operator(Protocol):
    """What a person does to keys behind our back."""

    async def disable(self, arn: str) -> None: ...
    async def enable(self, arn: str) -> None: ...
    async def schedule_deletion(self, arn: str) -> None: ...
    async def cancel_deletion(self, arn: str) -> None: ...
    async def make_wrong_key(self) -> str: ...


@dataclass
class BackEnd:
    name: str
    provisioning: Kms
    """As the account sees it: makes and finds keys."""
    service: Kms
    """As the DNSSEC service sees it: uses them on behalf of hosted zones."""
    operator: Operator
    account: str

    async def create(self, **tags: str) -> str:
        return await self.provisioning.create_key(
            KeyRequest("KSK of lab.example.", dnssec_key_policy(self.account), tags)
        )


class FakeOperator:
    def __init__(self, kms: FakeKms) -> None:
        self.kms = kms

    async def disable(self, arn: str) -> None:
        self.kms.disable(arn)

    async def enable(self, arn: str) -> None:
        self.kms.enable(arn)

    async def schedule_deletion(self, arn: str) -> None:
        self.kms.schedule_deletion(arn)

    async def cancel_deletion(self, arn: str) -> None:
        self.kms.disable(arn)

    async def make_wrong_key(self) -> str:
        return self.kms.make_wrong_key()


class BotoOperator:
    def __init__(self, url: str, access_key: str, secret_key: str, account: str, wrong_spec: str) -> None:
        self.account = account
        self.wrong_spec = wrong_spec
        self.client = boto3.client(
            "kms",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    async def _do(self, operation: str, **parameters: Any) -> Any:
        # moto's DisableKey fails on an ARN; both know the id.
        if "KeyId" in parameters:
            parameters["KeyId"] = parameters["KeyId"].rpartition("/")[2]
        return await trio.to_thread.run_sync(partial(getattr(self.client, operation), **parameters))

    async def disable(self, arn: str) -> None:
        await self._do("disable_key", KeyId=arn)

    async def enable(self, arn: str) -> None:
        await self._do("enable_key", KeyId=arn)

    async def schedule_deletion(self, arn: str) -> None:
        await self._do("schedule_key_deletion", KeyId=arn, PendingWindowInDays=7)

    async def cancel_deletion(self, arn: str) -> None:
        await self._do("cancel_key_deletion", KeyId=arn)

    async def make_wrong_key(self) -> str:
        """A key that signs, but not on P-256; with the policy of a KSK, so that nothing else is wrong."""
        policy = dnssec_key_policy(self.account)
        answer = await self._do("create_key", KeyUsage="SIGN_VERIFY", KeySpec=self.wrong_spec, Policy=policy)
        arn: str = answer["KeyMetadata"]["Arn"]
        return arn


@pytest.fixture(params=["fake", "emulator", "shared", pytest.param("moto", marks=pytest.mark.interop)])
async def back_end(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BackEnd]:
    if request.param == "fake":
        fake = FakeKms(account=ACCOUNT)
        yield BackEnd("fake", fake, fake, FakeOperator(fake), ACCOUNT)
    elif request.param == "moto":
        url = request.getfixturevalue("moto")
        operator = BotoOperator(url, "AKIDEXAMPLE", "secret", MOTO_ACCOUNT, "ECC_NIST_P384")
        async with client(url) as provisioning, client(url, source_account=MOTO_ACCOUNT) as service:
            yield BackEnd("moto", provisioning, service, operator, MOTO_ACCOUNT)
    else:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        async with trio.open_nursery() as nursery:
            emulator = await nursery.start(partial(run_emulator, tmp_path, sock, now=time.time))
            root, dnssec, url = emulator.credentials.root, emulator.credentials.service, emulator.endpoint
            operator = BotoOperator(url, root.id, root.secret, ACCOUNT, "ECC_NIST_EDWARDS25519")
            async with (
                client(url, make_session=fixed_session(root.id, root.secret)) as provisioning,
                client(url, make_session=fixed_session(dnssec.id, dnssec.secret), source_account=ACCOUNT) as service,
            ):
                if request.param == "shared":
                    yield BackEnd("shared", SharedKms(provisioning), SharedKms(service), operator, ACCOUNT)
                else:
                    yield BackEnd("emulator", provisioning, service, operator, ACCOUNT)
            nursery.cancel_scope.cancel()


async def assert_signs(back_end: BackEnd, arn: str) -> None:
    point = (await back_end.service.get_public_key(arn, ZONE)).point
    assert verify(point, (await back_end.service.sign(arn, ZONE, b"message")).value, b"message")
    await back_end.service.probe(arn, ZONE)


async def assert_refused(back_end: BackEnd, arn: str, code: str) -> None:
    service = back_end.service
    for call in (service.sign(arn, ZONE, b"message"), service.probe(arn, ZONE), service.get_public_key(arn, ZONE)):
        with pytest.raises(KmsRefused) as caught:
            await call
        assert caught.value.code == code
        assert caught.value.request_id


async def test_a_key_that_was_made_signs(back_end: BackEnd) -> None:
    arn = await back_end.create()
    assert arn.startswith(f"arn:aws:kms:us-east-1:{back_end.account}:key/")
    key = await back_end.service.get_public_key(arn, ZONE)
    assert key.arn == arn
    assert len(key.point) == 64
    for message in (b"m", b"x" * MAXIMUM_MESSAGE):
        signature = await back_end.service.sign(arn, ZONE, message)
        assert len(signature.value) == 64
        assert signature.request_id
        assert verify(key.point, signature.value, message)
        assert not verify(key.point, signature.value, message + b".")


async def test_every_call_has_a_request_id_of_its_own(back_end: BackEnd) -> None:
    arn = await back_end.create()
    ids = {(await back_end.service.sign(arn, ZONE, b"m")).request_id for _ in range(3)}
    assert len(ids) == 3


async def test_many_signatures_at_once(back_end: BackEnd) -> None:
    arn = await back_end.create()
    point = (await back_end.service.get_public_key(arn, ZONE)).point
    good: list[bool] = []

    async def one(message: bytes) -> None:
        good.append(verify(point, (await back_end.service.sign(arn, ZONE, message)).value, message))

    async with trio.open_nursery() as nursery:
        for number in range(15):
            nursery.start_soon(one, b"slot %d" % number)
    assert good == [True] * 15


async def test_a_message_too_long_is_the_caller_s_error(back_end: BackEnd) -> None:
    arn = await back_end.create()
    with pytest.raises(ValueError, match="4096"):
        await back_end.service.sign(arn, ZONE, b"x" * (MAXIMUM_MESSAGE + 1))


async def test_a_key_is_found_by_its_tag(back_end: BackEnd) -> None:
    ours, theirs = uuid.uuid4().hex, uuid.uuid4().hex
    find = back_end.provisioning.find_key
    assert await find("intent", ours) is None
    other = await back_end.create(intent=theirs)
    arn = await back_end.create(zone="lab.example.", intent=ours)
    assert await find("intent", ours) == arn
    assert await find("intent", theirs) == other
    assert await find("zone", ours) is None


async def test_a_key_pending_deletion_is_not_found_and_a_disabled_one_is(back_end: BackEnd) -> None:
    intent = uuid.uuid4().hex
    arn = await back_end.create(intent=intent)
    await back_end.operator.schedule_deletion(arn)
    assert await back_end.provisioning.find_key("intent", intent) is None
    again = await back_end.create(intent=intent)
    assert await back_end.provisioning.find_key("intent", intent) == again
    await back_end.operator.disable(again)
    assert await back_end.provisioning.find_key("intent", intent) == again


async def test_a_disabled_key_is_refused_until_it_is_enabled(back_end: BackEnd) -> None:
    arn = await back_end.create()
    await back_end.operator.disable(arn)
    if (back_end.name, "disabled") in DIFFERENCES:
        await assert_signs(back_end, arn)
    else:
        await assert_refused(back_end, arn, "DisabledException")
    await back_end.operator.enable(arn)
    await assert_signs(back_end, arn)


async def test_a_key_pending_deletion_is_refused_and_comes_back_disabled(back_end: BackEnd) -> None:
    arn = await back_end.create()
    await back_end.operator.schedule_deletion(arn)
    signs_anyway = (back_end.name, "pending deletion") in DIFFERENCES
    if signs_anyway:
        await assert_signs(back_end, arn)
    else:
        await assert_refused(back_end, arn, "KMSInvalidStateException")
    await back_end.operator.cancel_deletion(arn)
    if not signs_anyway:
        await assert_refused(back_end, arn, "DisabledException")
    await back_end.operator.enable(arn)
    await assert_signs(back_end, arn)


async def test_a_key_that_does_not_exist_is_refused(back_end: BackEnd) -> None:
    arn = f"arn:aws:kms:us-east-1:{back_end.account}:key/{uuid.uuid4()}"
    await assert_refused(back_end, arn, "NotFoundException")


async def test_a_key_of_another_kind_is_refused(back_end: BackEnd) -> None:
    arn = await back_end.operator.make_wrong_key()
    with pytest.raises(KmsRefused) as caught:
        await back_end.service.get_public_key(arn, ZONE)
    assert caught.value.code == WRONG_KEY
    # Which code a Sign gets depends on what is wrong with the key; that it is refused does not.
    with pytest.raises(KmsRefused):
        await back_end.service.sign(arn, ZONE, b"message")


async def test_a_policy_that_is_none_is_refused(back_end: BackEnd) -> None:
    request = KeyRequest("KSK", "not a policy", {"intent": uuid.uuid4().hex})
    if (back_end.name, "malformed policy") in DIFFERENCES:
        assert await back_end.provisioning.create_key(request)
        return
    with pytest.raises(KmsRefused) as caught:
        await back_end.provisioning.create_key(request)
    assert caught.value.code == "MalformedPolicyDocumentException"
    assert await back_end.provisioning.find_key("intent", request.tags["intent"]) is None
