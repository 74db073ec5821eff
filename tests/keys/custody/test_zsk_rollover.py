"""ZSK rollovers by Pre-Publish, with the key manager under a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.rules.commands import CreateKsk, DeactivateKsk, EmergencyRollover, RequestRefusedError, StartRollover
from keys.rules.forecast import forecast
from keys.rules.key_status import Condition
from keys.rules.keyring import Keyring, KskStatus
from tests.keys.world import EPOCH, LAB, World, check_dnskey

POLICY = Policy()
TTL = 2 * HOUR
"""Of the zone's data."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.ttl = TTL
    yield made


def times(keyring: Keyring, sequence: int) -> tuple[int | None, ...]:
    zsk = keyring.zsk(sequence)
    return zsk.published, zsk.ready, zsk.activated, zsk.retired, zsk.removed


async def sleep_until(world: World, at: int) -> None:
    await trio.sleep(at - world.now())


async def test_a_rollover_waits_as_long_as_caches_need(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        start = key_manager.status.rollover_at
        assert start is not None
        assert EPOCH + 14 * DAY <= start <= EPOCH + 16 * DAY
        await sleep_until(world, start + 1)
        assert times(key_manager.keyring, 2) == (start, start + 300 + HOUR, None, None, None)
        assert len(world.keys.signers) == 1
        ready = start + 300 + HOUR
        await sleep_until(world, ready - 1)
        assert len(world.keys.signers) == 1
        await sleep_until(world, ready + 1)
        assert [since for since, _ in world.keys.signers] == [EPOCH, ready]
        removable = ready + 300 + 8 * HOUR + TTL
        assert key_manager.status.zsks[0].removable == removable
        await sleep_until(world, removable - 1)
        assert len(world.keys.keyset.rdatas) == 3
        await sleep_until(world, removable + 1)
        assert len(world.keys.keyset.rdatas) == 2
        assert times(key_manager.keyring, 1) == (EPOCH, EPOCH + 300, EPOCH, ready, removable)
        assert times(key_manager.keyring, 2) == (start, ready, ready, None, None)
        assert [since for since, _ in world.keys.signers] == [ready]
        check_dnskey(world.keys, int(world.now()))


async def test_a_quiet_year_rolls_as_forecast_and_costs_what_it_should(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        foreseen = [
            (at, type(action).__name__)
            for at, action, _ in forecast(key_manager.keyring, POLICY, int(world.now()), EPOCH + 365 * DAY)
        ]
        await trio.sleep(365 * DAY - 1)
        assert len(key_manager.keyring.zsks) <= 5
    activations = [at for at, name in foreseen if name == "ActivateZsk"]
    with world.open_store() as store:
        assert activations == [entry.at for entry in store.events(LAB) if entry.kind == "ZskActivated"]
        with store.reading() as connection:
            secrets = connection.exec_driver_sql("SELECT sequence FROM zsk_secret ORDER BY sequence").scalars().all()
    # The private keys of those that were removed are gone.
    assert secrets in ([len(activations) + 1], [len(activations), len(activations) + 1])
    assert len(activations) in range(22, 27)
    refreshes = [at for at, name in foreseen if name == "SignKeyset"]
    assert world.kms.calls["sign"] == 15 * (1 + len(refreshes))


async def test_lowering_a_ttl_shortens_no_wait(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(StartRollover())
        await trio.sleep(2 * HOUR)
        retired = key_manager.keyring.zsk(1).retired
        assert retired is not None
        await key_manager.observe_ttl(DAY)
        await trio.sleep(HOUR)
        lowered = int(world.now())
        await key_manager.observe_ttl(60)
        removable = key_manager.status.zsks[0].removable
        assert removable == lowered + 300 + DAY
        await trio.sleep(2 * DAY)
        assert key_manager.keyring.zsk(1).removed == removable


async def test_a_change_of_the_live_window_shortens_no_wait(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(StartRollover())
        await trio.sleep(2 * HOUR)
        retired = key_manager.keyring.zsk(1).retired
        assert retired is not None
        key_manager.reconfigure(Policy(window=DAY), None)
        await trio.sleep(1)
        assert key_manager.status.zsks[0].removable == retired + 300 + DAY + TTL
        key_manager.reconfigure(Policy(window=HOUR), None)
        await trio.sleep(1)
        lowered = key_manager.status.zsks[0].removable
        assert lowered is not None
        assert lowered >= int(world.now()) + 300 + TTL - 1


async def test_a_slow_disk_shortens_no_wait(world: World, autojump_clock: MockClock) -> None:
    """What counts is when it was published, not when it was signed."""
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        world.slow = 100
        await key_manager.request(StartRollover())
        await trio.sleep(3000)
        (published,) = {at for at, keys in world.published if len(keys.keyset.rdatas) == 3}
        successor = key_manager.keyring.successor
        assert successor is not None
        assert successor.published is not None
        assert successor.published <= published - 100
        assert successor.ready is not None
        assert successor.ready >= published + 300 + HOUR


async def test_a_sleeping_machine_counts_no_time(world: World, autojump_clock: MockClock) -> None:
    world.reread = 60
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(StartRollover())
        await trio.sleep(HOUR / 2)
        ready = key_manager.keyring.zsk(2).ready
        assert ready is not None
        world.set_back = -7.0 * DAY
        await trio.sleep(61)
        check_dnskey(world.keys, int(world.now()))
        assert key_manager.keyring.zsk(2).activated is None
        assert key_manager.keyring.zsk(2).ready == ready + 7 * DAY
        await trio.sleep(HOUR)
        assert key_manager.keyring.zsk(2).activated == ready + 7 * DAY


@pytest.mark.parametrize("phase", ["before", "published", "activated", "retired"])
async def test_an_outage_suspends_the_rollover_in_any_phase(
    world: World, autojump_clock: MockClock, phase: str
) -> None:
    into = {"before": -1, "published": 60, "activated": HOUR + 400, "retired": 5 * HOUR}[phase]
    async with world.life() as key_manager:
        start = key_manager.status.rollover_at
        assert start is not None
        await sleep_until(world, start + into)
        fault = world.kms.fail("AccessDeniedException")
        # A key operation has the KMS asked at once.
        with pytest.raises(RequestRefusedError, match="InvalidKMSArn"):
            await key_manager.request(CreateKsk("other", world.arn.replace("key/", "key/x")))
        await trio.sleep(2 * DAY)
        keyring, keyset = key_manager.keyring, world.keys.keyset
        assert keyring.ksks[0].status is KskStatus.ACTION_NEEDED
        status = key_manager.status
        assert status.suspended_since is not None
        assert "suspended" in (status.rollover or "")
        before = [times(keyring, zsk.sequence) for zsk in keyring.zsks]
        await trio.sleep(DAY)
        assert [times(key_manager.keyring, zsk.sequence) for zsk in key_manager.keyring.zsks] == before
        assert world.keys.keyset.rdatas == keyset.rdatas
        check_dnskey(world.keys, int(world.now()))
        world.kms.heal(fault)
        await trio.sleep(2 * HOUR)
        assert key_manager.status.condition is Condition.SIGNING
        await trio.sleep(DAY)
        assert [zsk.removed is None for zsk in key_manager.keyring.zsks] == [False, True]
        check_dnskey(world.keys, int(world.now()))


async def test_unavailable_becomes_action_needed_when_patience_ends(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        at = key_manager.status.next_at
        assert at is not None
        world.kms.fail("ThrottlingException")
        await sleep_until(world, at + 899)
        assert key_manager.keyring.ksks[0].status is KskStatus.ACTIVE
        await sleep_until(world, at + 901)
        ksk = key_manager.keyring.ksks[0]
        assert (ksk.status, ksk.changed) == (KskStatus.ACTION_NEEDED, at + 900)
        assert [(change.ksk, change.after) for change in world.told][-1] == ("ksk_1", "ACTION_NEEDED")


async def test_the_other_ksk_goes_on_while_one_needs_action(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(2 * HOUR)
        first, second = key_manager.keyring.ksks
        assert first.published is not None
        assert second.published is not None
        assert second.arn is not None
        check_dnskey(world.keys, int(world.now()))
        rdatas = world.keys.keyset.rdatas
        assert len(rdatas) == 3
        fault = world.kms.fail("DisabledException", arn=second.arn)
        await trio.sleep(4 * DAY)
        status = key_manager.status
        assert [ksk.status for ksk in status.ksks] == [KskStatus.ACTIVE, KskStatus.ACTION_NEEDED]
        assert status.ksks[0].valid_until is not None
        assert status.ksks[1].valid_until is not None
        assert status.ksks[0].valid_until > world.now() + 3 * DAY
        assert status.ksks[1].valid_until < world.now() + 2 * DAY
        assert status.safe_until == status.ksks[1].valid_until
        served = world.keys.keyset.served(int(world.now()))
        assert served is not None
        assert len(served.rrsigs) == 2
        # Past its last RRSIG the other one serves alone, and the set stays.
        await trio.sleep(4 * DAY)
        served = world.keys.keyset.served(int(world.now()))
        assert served is not None
        assert (len(served.rrsigs), served.rdatas) == (1, rdatas)
        with pytest.raises(RequestRefusedError, match="KeySigningKeyInUse"):
            await key_manager.request(DeactivateKsk("ksk_1"))
        world.kms.heal(fault)
        await trio.sleep(HOUR + 60)
        assert [ksk.status for ksk in key_manager.keyring.ksks] == [KskStatus.ACTIVE] * 2
        served = world.keys.keyset.served(int(world.now()))
        assert served is not None
        assert len(served.rrsigs) == 2


async def test_an_emergency_rollover_of_a_key_that_can_be_read(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(EmergencyRollover())
        asked = int(world.now())
        await trio.sleep(1)
        assert (key_manager.status.rollover or "").startswith("emergency")
        ready = asked + 300 + HOUR
        assert key_manager.status.rollover_at == ready
        assert len(world.keys.signers) == 1
        await sleep_until(world, ready + 1)
        # Its signatures are not used up.
        assert [signer.rdata for _, signer in world.keys.signers] == [key_manager.keyring.zsk(2).rdata]
        assert key_manager.status.zsks[0].removable == ready + 300 + TTL
        await trio.sleep(3 * HOUR)
        assert len(world.keys.keyset.rdatas) == 2


async def test_an_emergency_rollover_leaves_nothing_to_the_zsk_before_the_lost_one(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await key_manager.observe_ttl(7 * DAY)
        await trio.sleep(10 * DAY)
        await key_manager.request(StartRollover())
        await trio.sleep(2 * HOUR)
        first, second = key_manager.keyring.zsks
        assert second.activated is not None
        await key_manager.request(EmergencyRollover())
        await trio.sleep(2 * HOUR)
        third = key_manager.keyring.zsk(3)
        assert third.activated is not None
        # What the lost one had begun is its successor's; the first still signs what it began itself, and no more.
        signers = [(first.activated, first.rdata), (second.activated, third.rdata)]
        assert [(since, signer.rdata) for since, signer in world.keys.signers] == signers
        # So it stays when the lost one has left, which is before the first one does.
        await trio.sleep(7 * DAY)
        assert key_manager.keyring.zsk(2).removed is not None
        assert key_manager.keyring.zsk(1).removed is None
        assert [(since, signer.rdata) for since, signer in world.keys.signers] == signers


async def test_a_zsk_that_can_not_be_read_leads_to_an_emergency_rollover(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life():
        pass
    with world.open_store() as store, store.writing() as transaction:
        transaction.connection.exec_driver_sql("DELETE FROM zsk_secret")
    await trio.sleep(DAY)
    published = len(world.published)
    async with world.life() as key_manager:
        assert key_manager.status.condition is Condition.FROZEN
        assert "emergency rollover" in (key_manager.status.problem or "")
        await trio.sleep(DAY)
        await key_manager.request(EmergencyRollover())
        await trio.sleep(HOUR)
        assert len(world.published) == published
        assert key_manager.status.rollover_at is not None
        await trio.sleep(301)
        assert [signer.rdata for _, signer in world.keys.signers] == [key_manager.keyring.zsk(2).rdata]
        check_dnskey(world.keys, int(world.now()))
    with world.open_store() as store:
        assert "ZskLost" in [entry.kind for entry in store.events(LAB)]


async def test_a_clock_that_jumps_while_a_turn_to_sign_is_waited_for_ends_no_wait(
    world: World, autojump_clock: MockClock
) -> None:
    world.ttl = DAY
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        await key_manager.request(StartRollover())
        await trio.sleep(2 * HOUR)
        old, _ = key_manager.keyring.zsks
        assert old.retired is not None
        while world.turns.value:
            await world.turns.acquire()
        key_manager.reconfigure(Policy(dnskey_ttl=1800), None)  # has the DNSKEY RRset signed anew
        await trio.sleep(120)
        world.set_back -= 5 * DAY
        await trio.sleep(10)
        world.turns.release()
        await trio.sleep(120)
        assert old.rdata in world.keys.keyset.rdatas  # caches hold its RRSIGs for a day
        assert world.keys.keyset.ttl == 1800
