"""Between two refreshes the KMS is asked whether it would sign: its answer is reported, and changes no key."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from keys.custody.key_manager import KeyManager
from keys.dnssec.signing_policy import DAY, HOUR
from keys.kms.fake_kms import FakeKms
from keys.rules.commands import ActivateKsk, RequestRefusedError
from keys.rules.key_status import Condition, KskReport
from keys.rules.keyring import KskStatus
from keys.rules.kms_probes import PROBING, next_probe
from tests.keys.world import LAB, POLICY, World

QUARTER = DAY // 4
MINUTE = 60


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def refreshed(key_manager: KeyManager) -> str:
    """Wait until just after a refresh; the ARN of the KSK."""
    before = key_manager.keyring.refreshed
    while key_manager.keyring.refreshed == before:  # noqa: ASYNC110 - a virtual clock
        await trio.sleep(10 * MINUTE)
    arn = key_manager.keyring.ksks[0].arn
    assert arn is not None
    return arn


def ksk(key_manager: KeyManager) -> KskReport:
    (only,) = key_manager.status.ksks
    return only


def condition(key_manager: KeyManager) -> Condition:
    return key_manager.status.condition


def conditions(world: World) -> list[tuple[str, str]]:
    return [(change.before, change.after) for change in world.told if change.ksk is None]


def logged(world: World) -> list[str]:
    with world.open_store() as store:
        return [entry.kind for entry in store.events(LAB) if entry.kind.startswith("KmsProbe")]


async def test_a_key_that_was_disabled_is_found_within_a_quarter_of_a_refresh(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        arn = await refreshed(key_manager)
        signatures, keyset = world.kms.calls["sign"], key_manager.keyring.keyset
        world.kms.disable(arn)
        await trio.sleep(QUARTER + MINUTE)
        trouble = ksk(key_manager).probe_trouble
        assert trouble is not None
        assert (trouble.doing, trouble.code, trouble.refused) == (PROBING, "DisabledException", True)
        status = key_manager.status
        assert status.condition is Condition.TROUBLED
        assert "the next refresh would fail: Sign with DryRun: DisabledException" in (status.problem or "")
        # No signature was made, and none is missing: the KSK needs no action yet, and ZSK rotation goes on.
        assert world.kms.calls["sign"] == signatures
        assert (ksk(key_manager).status, ksk(key_manager).trouble) == (KskStatus.ACTIVE, None)
        assert status.suspended_since is None
        assert key_manager.keyring.keyset == keyset
        world.kms.enable(arn)
        await trio.sleep(HOUR + MINUTE)
        assert ksk(key_manager).probe_trouble is None
        assert condition(key_manager) is Condition.SIGNING
        assert world.kms.calls["sign"] == signatures
    assert conditions(world) == [("starting", "signing"), ("signing", "troubled"), ("troubled", "signing")]
    assert logged(world) == ["KmsProbeFailed", "KmsProbeSucceeded"]


async def test_a_lost_permission_is_found_and_whoever_gives_it_back_need_not_wait(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await refreshed(key_manager)
        world.kms.fail("AccessDeniedException")
        await trio.sleep(QUARTER + MINUTE)
        trouble = ksk(key_manager).probe_trouble
        assert trouble is not None
        assert trouble.code == "AccessDeniedException"
        world.kms.heal()
        await key_manager.request(ActivateKsk("ksk_1"))
        await trio.sleep(1)
        assert ksk(key_manager).probe_trouble is None


async def test_what_an_activation_meets_at_the_kms_is_found_at_once(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        world.kms.disable(await refreshed(key_manager))
        with pytest.raises(RequestRefusedError, match="DisabledException"):
            await key_manager.request(ActivateKsk("ksk_1"))
        await trio.sleep(1)
        trouble = ksk(key_manager).probe_trouble
        assert trouble is not None
        assert trouble.code == "DisabledException"
        assert condition(key_manager) is Condition.TROUBLED


async def test_an_outage_that_is_soon_over_is_told_to_nobody_and_a_long_one_is(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await refreshed(key_manager)
        at = next_probe(LAB, int(world.now()), POLICY)
        outage = world.kms.fail("ThrottlingException")
        await trio.sleep(at - world.now() + 10 * MINUTE)
        assert world.kms.calls["probe"] > 1
        assert ksk(key_manager).probe_trouble is None
        world.kms.heal(outage)
        await trio.sleep(10 * MINUTE)
        assert conditions(world) == [("starting", "signing")]
        world.kms.fail("ThrottlingException")
        await trio.sleep(QUARTER + 30 * MINUTE)
        trouble = ksk(key_manager).probe_trouble
        assert trouble is not None
        assert not trouble.refused
        assert condition(key_manager) is Condition.TROUBLED
        probes = world.kms.calls["probe"]
        await trio.sleep(2 * HOUR)
        assert world.kms.calls["probe"] - probes <= 3  # what lasts is looked at each hour
        world.kms.heal()
        await trio.sleep(HOUR + MINUTE)
        assert condition(key_manager) is Condition.SIGNING
        assert ksk(key_manager).status is KskStatus.ACTIVE
    assert logged(world) == ["KmsProbeFailed", "KmsProbeSucceeded"]


async def test_a_refresh_that_fails_says_more_than_a_probe(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        arn = await refreshed(key_manager)
        world.kms.disable(arn)
        await trio.sleep(DAY + HOUR)
        assert ksk(key_manager).status is KskStatus.ACTION_NEEDED
        assert ksk(key_manager).trouble is not None
        assert ksk(key_manager).probe_trouble is None
        probes = world.kms.calls["probe"]
        await trio.sleep(DAY)
        assert world.kms.calls["probe"] == probes  # one in ACTION_NEEDED is asked for real signatures


async def test_a_signature_ends_what_a_probe_found(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await refreshed(key_manager)
        world.kms.fail("DisabledException", method="probe")
        await trio.sleep(QUARTER + MINUTE)
        assert condition(key_manager) is Condition.TROUBLED
        await refreshed(key_manager)
        assert condition(key_manager) is Condition.SIGNING


async def test_after_a_start_it_is_found_within_the_hour(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        arn = await refreshed(key_manager)
        await trio.sleep(next_probe(LAB, int(world.now()) + QUARTER, POLICY) + MINUTE - world.now())
    world.kms.disable(arn)
    async with world.life() as key_manager:
        await trio.sleep(HOUR + MINUTE)
        assert ksk(key_manager).probe_trouble is not None


async def test_a_bug_in_a_probe_freezes_no_key(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async with world.life() as key_manager:
        await refreshed(key_manager)
        monkeypatch.setattr(FakeKms, "probe", broken)
        await trio.sleep(QUARTER + HOUR)
        assert condition(key_manager) is Condition.TROUBLED
        assert "RuntimeError" in (key_manager.status.problem or "")
        await refreshed(key_manager)


def test_probe_times_are_a_quarter_of_a_refresh_apart_and_differ_from_zone_to_zone() -> None:
    firsts = set()
    for number in range(50):
        origin = b"\x03z%02d\x07example\x00" % number
        first = next_probe(origin, 0, POLICY)
        assert 0 < first <= QUARTER
        assert next_probe(origin, first - 1, POLICY) == first
        assert next_probe(origin, first, POLICY) == first + QUARTER
        firsts.add(first // HOUR)
    assert firsts == set(range(6))
