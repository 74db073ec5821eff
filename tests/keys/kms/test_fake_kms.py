"""The fake's own promises: what the contract suite cannot ask of a real KMS."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from keys.dnssec.p256 import verify
from keys.kms.fake_kms import FakeKms, seeded
from keys.kms.interface import KeyRequest
from keys.kms.kms_errors import KmsRefused, KmsUnavailable

ZONE = "Z0123456789ABCDEFGHIJ"
REQUEST = KeyRequest("KSK of lab.example.", None, {"signwright:intent": "one"})


async def test_the_nth_key_follows_from_the_seed() -> None:
    first, second = FakeKms(), FakeKms()
    other = FakeKms(private_key=seeded(b"another"))
    keys = []
    for kms in (first, second, other):
        arns = [await kms.create_key(REQUEST), await kms.create_key(REQUEST)]
        keys.append([(await kms.get_public_key(arn, ZONE)).point for arn in arns])
    assert keys[0] == keys[1]
    assert len({*keys[0], *keys[2]}) == 4


async def test_a_lost_answer_leaves_the_key_behind() -> None:
    kms = FakeKms()
    kms.lose_answers(method="create_key", times=1)
    with pytest.raises(KmsUnavailable, match="TimedOut"):
        await kms.create_key(REQUEST)
    found = await kms.find_key("signwright:intent", "one")
    assert found is not None
    assert list(kms.keys) == [found]


async def test_a_failed_call_is_not_performed() -> None:
    kms = FakeKms()
    kms.fail("KMSInternalException", times=1)
    with pytest.raises(KmsUnavailable):
        await kms.create_key(REQUEST)
    assert not kms.keys
    await kms.create_key(REQUEST)
    assert kms.calls["create_key"] == 2


async def test_faults_of_one_key_and_method_leave_others_alone() -> None:
    kms = FakeKms()
    ours, theirs = await kms.create_key(REQUEST), await kms.create_key(REQUEST)
    denied = kms.fail("AccessDeniedException", arn=ours, method="sign")
    with pytest.raises(KmsRefused, match="AccessDeniedException"):
        await kms.sign(ours, ZONE, b"m")
    await kms.sign(theirs, ZONE, b"m")
    point = (await kms.get_public_key(ours, ZONE)).point
    kms.heal(denied)
    assert verify(point, (await kms.sign(ours, ZONE, b"m")).value, b"m")


async def test_latency_is_virtual_and_a_call_cut_short_may_have_been_performed(autojump_clock: MockClock) -> None:
    kms = FakeKms()
    kms.delay(10)
    with trio.move_on_after(4) as early:
        await kms.create_key(REQUEST)
    assert early.cancelled_caught
    assert not kms.keys
    with trio.move_on_after(6) as late:
        await kms.create_key(REQUEST)
    assert late.cancelled_caught
    assert len(kms.keys) == 1
    kms.heal()
    before = trio.current_time()
    await kms.create_key(REQUEST)
    assert trio.current_time() == before


async def test_keys_outlive_what_was_done_to_them() -> None:
    kms = FakeKms()
    arn = await kms.create_key(REQUEST)
    point = (await kms.get_public_key(arn, ZONE)).point
    for state, code in (
        (kms.disable, "DisabledException"),
        (kms.schedule_deletion, "KMSInvalidStateException"),
        (kms.delete, "NotFoundException"),
    ):
        kms.enable(arn)
        assert (await kms.get_public_key(arn, ZONE)).point == point
        state(arn)
        with pytest.raises(KmsRefused, match=code):
            await kms.sign(arn, ZONE, b"m")
