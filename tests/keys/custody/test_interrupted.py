"""A disk that fails for a moment, and requests that come while the KMS is slow: neither freezes a zone's keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from keys.custody.state_database import StateOvertaken, StateUnavailable
from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.kms.fake_kms import Method
from keys.rules.commands import (
    ActivateKsk,
    CreateKsk,
    DeactivateKsk,
    OfferDs,
    RequestRefusedError,
    StartRollover,
    TrustClock,
    WithdrawDs,
)
from keys.rules.dnskey_refresh import next_refresh
from keys.rules.key_status import Condition
from tests.keys.world import EPOCH, LAB, KillableStore, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def failing(monkeypatch: pytest.MonkeyPatch, method: str) -> Callable[[], None]:
    """Have one method of the store fail until what is returned is called."""
    real = getattr(KillableStore, method)
    broken = {True}

    def call(*arguments: Any, **named: Any) -> Any:
        if broken:
            raise StateUnavailable("the disk is full")
        return real(*arguments, **named)

    monkeypatch.setattr(KillableStore, method, call)
    return broken.clear


async def test_a_zsk_that_can_not_be_read_for_a_moment_is_read_again(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = failing(monkeypatch, "load_zsk")
    async with world.life() as key_manager:
        await trio.sleep(HOUR)
        assert not world.published
        mend()
        await trio.sleep(HOUR)
        assert world.published
        assert key_manager.status.condition is Condition.SIGNING


async def test_many_requests_while_the_kms_is_slow_are_no_plan_that_goes_in_circles(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.life() as key_manager:
        name = key_manager.keyring.ksks[0].name
        real = world.kms.sign

        async def slow(*arguments: Any) -> Any:
            await trio.sleep(10)
            return await real(*arguments)

        monkeypatch.setattr(world.kms, "sign", slow)
        key_manager.reconfigure(Policy(dnskey_ttl=1800), None)
        for _ in range(300):
            await trio.sleep(0.5)
            await key_manager.request(ActivateKsk(name))
        monkeypatch.undo()
        await trio.sleep(HOUR)
        assert key_manager.status.condition is Condition.SIGNING


async def test_who_is_overtaken_by_another_program_steps_down(world: World, autojump_clock: MockClock) -> None:
    """It does not read anew and go on: two that do so would write in turns."""
    async with world.life() as key_manager:
        before = key_manager.keyring
        with world.open_store():
            with pytest.raises(StateOvertaken):
                await key_manager.request(StartRollover())
            with pytest.raises(RequestRefusedError, match="another program has opened this state"):
                await key_manager.request(StartRollover())
            assert key_manager.status.condition is Condition.FROZEN
            assert "another program has opened this state since" in (key_manager.status.problem or "")
            await trio.sleep(10 * DAY)
            assert key_manager.keyring == before
        assert [line["level"] for line in world.log if line["level"] == "critical"] == ["critical"]


async def test_an_action_of_who_is_overtaken_is_not_stored(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(HOUR)
        with world.open_store() as other:
            before = other.load_keyring(key_manager.origin)
            await trio.sleep(10 * DAY)
            assert key_manager.status.condition is Condition.FROZEN
            assert other.load_keyring(key_manager.origin) == before
            calls = len(world.published)
            await trio.sleep(10 * DAY)
            assert len(world.published) == calls


async def test_a_clock_that_is_right_needs_no_trust(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        with pytest.raises(RequestRefusedError, match=r"^InvalidSigningStatus: Nothing is wrong with the clock\.$"):
            await key_manager.request(TrustClock())


async def test_a_request_never_waits_for_a_disk_that_fails_slowly(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.life() as key_manager:
        world.slow = 5.0  # each try takes as long
        mend = failing(monkeypatch, "save")
        key_manager.reconfigure(Policy(dnskey_ttl=1800), None)
        for _ in range(60):
            await trio.sleep(1.3)
            with pytest.raises(StateUnavailable), trio.fail_after(10):
                await key_manager.request(StartRollover())
        mend()
        world.slow = 0.0
        await trio.sleep(HOUR)
        await key_manager.request(StartRollover())


async def test_a_refresh_counts_from_when_its_slots_were_chosen(world: World, autojump_clock: MockClock) -> None:
    """Else a KMS that takes hours, or a machine that slept meanwhile, would leave a stock shorter than it seems."""
    async with world.life() as key_manager:
        await trio.sleep(HOUR)
        asked = world.now()
        world.kms.delay(10 * 60, method="sign")  # of 30, one after the other
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(DAY)
        refreshed = key_manager.keyring.refreshed
        assert refreshed is not None
        assert refreshed <= asked + 2 * HOUR
        assert key_manager.keyring.ksk("second").published is not None


async def test_requests_that_change_nothing_delay_no_refresh(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(next_refresh(LAB, EPOCH, Policy()) - EPOCH - 60)
        before, calls = key_manager.keyring.refreshed, world.kms.calls["sign"]
        world.kms.delay(4, method="sign")
        for _ in range(60):
            await key_manager.request(OfferDs("ksk_1"))
            await key_manager.request(ActivateKsk("ksk_1"))
            with pytest.raises(RequestRefusedError):
                await key_manager.request(DeactivateKsk("ksk_1"))
            await trio.sleep(3)
        assert key_manager.keyring.refreshed != before
        assert world.kms.calls["sign"] == calls + 15  # none was given up


@pytest.mark.parametrize("method", ["sign", "get_public_key", "create_key"])
async def test_requests_delay_what_the_kms_does_only_so_far(
    world: World, autojump_clock: MockClock, method: Method
) -> None:
    """They come more often than the KMS answers, and each of them changes something."""
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        world.kms.delay(4, method=method)
        await key_manager.request(CreateKsk("second"))
        longest = 0.0
        for _ in range(60):
            for command in (WithdrawDs("ksk_1", force=True), OfferDs("ksk_1")):
                await trio.sleep(3)
                began = trio.current_time()
                await key_manager.request(command)
                longest = max(longest, trio.current_time() - began)
        # At most 3 calls are given up for one that is waited for, and no request waits for more than that one.
        second = key_manager.keyring.ksk("second")
        assert second.published is not None and second.published <= EPOCH + DAY + 30 * 4 * 4
        assert longest <= 4


async def test_what_waits_for_the_keyring_comes_before_the_next_signature(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        world.kms.delay(10, method="sign")
        await key_manager.request(CreateKsk("second"))
        for command in [WithdrawDs("ksk_1", force=True), OfferDs("ksk_1")] * 2:
            await trio.sleep(1)
            with trio.fail_after(11):
                await key_manager.request(command)
