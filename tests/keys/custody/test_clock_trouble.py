"""What a clock that is wrong, or a machine that slept, does to a zone's keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from keys.custody.key_manager import KeyManager
from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.rules.commands import (
    Command,
    CreateKsk,
    DeactivateKsk,
    EmergencyRollover,
    RequestRefusedError,
    StartRollover,
    TrustClock,
)
from keys.rules.key_status import Condition
from keys.rules.keyring import Keyring
from keys.timekeeping.clock_rules import HOLD
from tests.keys.world import EPOCH, World, check_dnskey

YEAR = 365 * DAY


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.reread = 600
    return world


def is_answered(world: World) -> bool:
    return world.keys.keyset.served(int(world.now())) is not None


async def sleep(world: World, key_manager: KeyManager, seconds: float) -> None:
    """A short time, in which the clocks are watched."""
    async with world.watching(key_manager):
        await trio.sleep(seconds)


def durable(key_manager: KeyManager) -> Keyring:
    return key_manager.keyring


def condition(key_manager: KeyManager) -> Condition:
    return key_manager.status.condition


async def test_two_minutes_of_a_clock_a_year_ahead_change_nothing(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        before, calls = durable(key_manager), world.kms.calls.copy()
        world.stepped = YEAR
        for _ in range(24):
            await sleep(world, key_manager, 5)
            assert world.now() < EPOCH + 3 * DAY
            assert condition(key_manager) is Condition.SIGNING
            check_dnskey(world.keys, int(world.now()))
        world.stepped = 0
        await sleep(world, key_manager, 120)
        assert durable(key_manager) == before
        assert world.kms.calls == calls
        await trio.sleep(DAY)
        assert condition(key_manager) is Condition.SIGNING
        check_dnskey(world.keys, int(world.now()))


async def test_a_command_during_a_hold_is_stored_by_the_old_time(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        world.stepped = YEAR
        await sleep(world, key_manager, 60)
        await key_manager.request(StartRollover())
        await sleep(world, key_manager, 30)
        assert len(key_manager.keyring.zsks) == 2
        assert key_manager.keyring.newest < EPOCH + 3 * DAY
        world.stepped = 0
        await trio.sleep(5 * DAY)
        assert condition(key_manager) is Condition.SIGNING
        assert [zsk.sequence for zsk in key_manager.keyring.zsks if zsk.removed is None] == [2]


@pytest.mark.parametrize("away", [0, HOUR, 5 * HOUR, 3 * DAY])
async def test_a_step_that_outlasts_the_hold_leaves_the_old_slots_in_service(
    world: World, autojump_clock: MockClock, away: int
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        until = key_manager.status.valid_until
        world.stepped = YEAR
        await sleep(world, key_manager, HOLD + 10)
        # It is believed now, and the first thing that comes of it is a ZSK that was due long ago.
        assert key_manager.keyring.newest > EPOCH + YEAR
        assert condition(key_manager) is Condition.SIGNING
        await trio.sleep(away)
        check_dnskey(world.keys, int(world.now()))
        world.stepped = 0
        await sleep(world, key_manager, 10)
        assert is_answered(world)
        check_dnskey(world.keys, int(world.now()))
        assert condition(key_manager) is Condition.FROZEN
        assert key_manager.status.valid_until == until  # and not in a year
        assert key_manager.status.ksks[0].valid_until == until
        assert key_manager.status.safe_until == until
        await key_manager.request(TrustClock())
        await sleep(world, key_manager, 10)
        assert condition(key_manager) is Condition.SIGNING
        check_dnskey(world.keys, int(world.now()))
        assert len(world.keys.keyset.signatures) == 15
        await trio.sleep(20 * DAY)
        check_dnskey(world.keys, int(world.now()))


async def test_once_the_old_slots_have_ended_the_zone_is_servfail_and_says_no_time(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        until = key_manager.status.valid_until
        world.stepped = YEAR
        await sleep(world, key_manager, HOLD + 10)
        world.stepped = 0
        await sleep(world, key_manager, 10)
        assert until is not None
        await trio.sleep(until - 1 - world.now())
        assert is_answered(world)
        await sleep(world, key_manager, 2)
        assert not is_answered(world)
        assert key_manager.status.valid_until is None
        assert key_manager.status.ksks[0].valid_until is None


async def test_a_process_that_is_started_by_a_clock_a_year_ahead_keeps_the_old_slots(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        until = key_manager.status.valid_until
    world.stepped = YEAR
    async with world.life() as key_manager:
        await sleep(world, key_manager, 60)
        assert key_manager.keyring.newest > EPOCH + YEAR
        check_dnskey(world.keys, int(world.now()))
        world.stepped = 0
        await sleep(world, key_manager, 10)
        check_dnskey(world.keys, int(world.now()))
        assert key_manager.status.valid_until == until


async def test_old_slots_go_once_both_clocks_have_passed_them(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        until = key_manager.status.valid_until
        assert until is not None
        world.stepped = 30 * DAY
        await sleep(world, key_manager, HOLD + 10)
        assert key_manager.keyring.behind == 30 * DAY
        most = 0
        for _ in range(24 * 10):
            if not key_manager.keyring.behind:
                break
            most = max(most, len(world.keys.keyset.signatures))
            await trio.sleep(HOUR)
        assert until < world.now() - 30 * DAY < until + 2 * DAY
        assert most <= 30
        assert len(world.keys.keyset.signatures) == 15


@pytest.mark.parametrize("command", [EmergencyRollover(), CreateKsk("ksk_2")])
async def test_a_change_of_the_dnskey_rrset_has_the_old_slots_signed_again(
    world: World, autojump_clock: MockClock, command: Command
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        world.stepped = 2 * DAY
        await sleep(world, key_manager, HOLD + 10)
        before = world.keys.keyset.rdatas
        await key_manager.request(command)
        await trio.sleep(DAY)
        assert condition(key_manager) is Condition.SIGNING
        assert world.keys.keyset.rdatas != before
        world.stepped = 0
        await sleep(world, key_manager, 10)
        check_dnskey(world.keys, int(world.now()))


@pytest.mark.parametrize("slept", [HOUR, 30 * DAY, YEAR])
async def test_after_a_sleep_the_zone_is_valid_within_five_seconds(
    world: World, autojump_clock: MockClock, slept: int
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY + 1234)
        world.set_back = -slept
        assert world.now() == EPOCH + DAY + 1234 + slept  # followed at once
        await sleep(world, key_manager, 5)
        assert condition(key_manager) is Condition.SIGNING
        check_dnskey(world.keys, int(world.now()))


async def test_after_a_sleep_a_kms_that_failed_before_is_tried_at_once(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        fault = world.kms.fail("AccessDeniedException")
        await trio.sleep(2 * DAY)
        world.set_back = -30 * DAY
        world.kms.heal(fault)
        await sleep(world, key_manager, 5)
        assert condition(key_manager) is Condition.SIGNING
        check_dnskey(world.keys, int(world.now()))


async def test_a_clock_that_is_synchronised_after_the_start_is_believed_at_once(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life():
        await trio.sleep(2 * DAY)
    world.stepped, world.synchronised = -20_000 * DAY, False  # no battery: 1970
    async with world.life() as key_manager:
        await sleep(world, key_manager, 60)
        assert condition(key_manager) is Condition.FROZEN
        world.stepped, world.synchronised = 0, True
        await sleep(world, key_manager, 5)
        assert condition(key_manager) is Condition.SIGNING
        check_dnskey(world.keys, int(world.now()))


async def test_a_person_ends_a_hold(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        world.stepped = 30 * DAY
        await sleep(world, key_manager, 5)
        assert world.clock.held is not None
        world.clock.trust()
        await sleep(world, key_manager, 5)
        assert condition(key_manager) is Condition.SIGNING
        assert world.now() > EPOCH + 31 * DAY
        check_dnskey(world.keys, int(world.now()))


async def test_what_a_policy_changes_changes_the_old_slots_too(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        world.stepped = 30 * DAY
        await sleep(world, key_manager, HOLD + 10)
        key_manager.reconfigure(Policy(dnskey_ttl=12 * HOUR), None)
        await sleep(world, key_manager, 60)
        check_dnskey(world.keys, int(world.now()))
        world.stepped = 0
        await sleep(world, key_manager, 10)
        check_dnskey(world.keys, int(world.now()))
        served = world.keys.keyset.served(int(world.now()))
        assert served is not None
        assert served.ttl == 12 * HOUR


@pytest.mark.parametrize("kind", ["it slept", "a person trusts it"])
async def test_a_leap_of_the_clock_has_no_ds_name_a_ksk_early(
    world: World, autojump_clock: MockClock, kind: str
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(CreateKsk("ksk_2"))
        await sleep(world, key_manager, 60)
        ready = key_manager.keyring.ksk("ksk_2").ready
        assert ready is not None and ready > world.now() + HOUR
        named = len(world.published)
        if kind == "it slept":
            world.set_back = -2 * HOUR
        else:
            world.stepped = 2 * HOUR
            world.clock.trust()
        await sleep(world, key_manager, 60)
        assert world.now() > ready
        second = key_manager.keyring.ksk("ksk_2")
        assert second.ready == ready + 2 * HOUR
        assert not [at for at, keys in world.published[named:] if second.rdata in keys.delegation]
        await sleep(world, key_manager, 2 * HOUR)
        assert second.rdata in world.keys.delegation


async def test_a_request_that_waits_for_the_keyring_finds_a_leap_of_the_clock_stored(
    world: World, autojump_clock: MockClock
) -> None:
    """The wait for a DS that was withdrawn is not over because the clock has leapt."""
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(CreateKsk("ksk_2"))
        await trio.sleep(60)
        ready = key_manager.keyring.ksk("ksk_2").ready
        assert ready is not None
        world.slow = 5  # the disk is
        world.set_back = -2 * HOUR
        async with trio.open_nursery() as nursery:
            nursery.start_soon(key_manager.request, StartRollover())
            await trio.sleep(1)
            key_manager.wake()
            with pytest.raises(RequestRefusedError, match="ksk_1 cannot be deactivated"):
                await key_manager.request(DeactivateKsk("ksk_1"))
        assert key_manager.keyring.ksk("ksk_2").ready == ready + 2 * HOUR
