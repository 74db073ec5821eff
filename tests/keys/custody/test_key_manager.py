from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from keys.custody.key_manager import KeyManager
from keys.custody.key_turns import KeyTurns
from keys.custody.state_database import DATABASE, StateUnavailable
from keys.custody.zsk_encryption import StateError
from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.kms.fake_kms import FakeKms
from keys.kms.interface import KeyRequest, KmsSignature
from keys.rules.commands import RequestRefusedError, StartRollover, TrustClock
from keys.rules.dnskey_refresh import next_refresh
from keys.rules.key_status import Condition
from keys.rules.keyring import Keyring, KskStatus
from keys.rules.safety import UnsafeTransitionError
from tests.keys.world import EPOCH, LAB, Fuse, KillableStore, World, check_dnskey


def condition(key_manager: KeyManager) -> Condition:
    return key_manager.status.condition


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_first_start_makes_one_ksk_and_one_zsk_and_publishes(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        assert world.kms.calls == {"find_key": 1, "create_key": 1, "get_public_key": 1, "sign": 15}
        check_dnskey(world.keys, EPOCH)
        status = key_manager.status
    assert status.condition is Condition.SIGNING
    assert status.zone == "lab.example."
    (ksk,), (zsk,) = status.ksks, status.zsks
    assert ksk.arn == world.arn
    assert ksk.ds is not None
    assert ksk.ds.startswith(f"{ksk.key_tag} 13 2 ")
    # 15 slots from midnight on: the last one ends on the fifth day; TTL and margin come after it.
    assert status.valid_until == ksk.valid_until == EPOCH + 5 * DAY + 2 * HOUR
    assert (status.next_action, status.next_why) == ("SignKeyset", "regular refresh")
    assert status.next_at == next_refresh(LAB, EPOCH, Policy())
    assert [signer.key_tag for _, signer in world.keys.signers] == [zsk.key_tag]


async def test_the_key_in_the_kms_tells_whose_it_is(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        request = world.kms.keys[world.arn].request
        intent = key_manager.keyring.ksks[0].intent
    assert request.tags == {"signwright:intent": intent, "signwright:zone": "lab.example."}
    assert "lab.example." in request.description


async def test_a_restart_asks_the_kms_nothing_while_the_keyset_is_fresh(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life():
        before = world.keys
    calls = world.kms.calls.copy()
    async with world.life():
        assert len(world.published) == 2
        assert world.keys.keyset == before.keyset
        assert [s.rdata for _, s in world.keys.signers] == [s.rdata for _, s in before.signers]
        await trio.sleep(60)
    assert world.kms.calls == calls


async def test_a_quiet_zone_costs_fifteen_sign_calls_a_day(world: World, autojump_clock: MockClock) -> None:
    async with world.life():
        await trio.sleep(next_refresh(LAB, EPOCH, Policy()) - EPOCH - 1)
        for day in range(1, 8):
            before = world.kms.calls.copy()
            await trio.sleep(DAY)
            assert world.kms.calls - before == {"sign": 15, "probe": 4}, day


async def test_every_hour_of_a_week_is_signed(world: World, autojump_clock: MockClock) -> None:
    async with world.life():
        for _ in range(7 * 24):
            await trio.sleep(HOUR)
            check_dnskey(world.keys, int(world.now()))
            served = world.keys.keyset.served(int(world.now()))
            assert served is not None
            assert served.ttl == HOUR
    # A new value each day; the first refresh fell into the first slot, and asked for what was signed already.
    assert len(world.published) == 7


async def test_a_key_of_ones_own_is_used_and_none_is_made(world: World, autojump_clock: MockClock) -> None:
    arn = await world.kms.create_key(KeyRequest("mine", None, {}))
    world.kms.calls.clear()
    async with world.life(ksk_arn=arn) as key_manager:
        assert world.kms.calls == {"get_public_key": 1, "sign": 15}
        assert key_manager.status.ksks[0].arn == arn
        assert key_manager.status.notice is None
    async with world.life(ksk_arn="arn:aws:kms:us-east-1:000000000000:key/other") as key_manager:
        assert key_manager.status.ksks[0].arn == arn
        assert "other" in (key_manager.status.notice or "")


async def test_a_wrong_arn_can_be_corrected_before_anything_was_signed(world: World, autojump_clock: MockClock) -> None:
    async with world.life(ksk_arn="arn:aws:kms:us-east-1:000000000000:key/wrong") as key_manager:
        assert condition(key_manager) is Condition.FAILING
        assert "NotFoundException" in (key_manager.status.problem or "")
        arn = await world.kms.create_key(KeyRequest("mine", None, {}))
        key_manager.reconfigure(Policy(), arn)
        await trio.sleep(1)
        assert condition(key_manager) is Condition.SIGNING
        assert [ksk.arn for ksk in key_manager.status.ksks] == [arn]


async def test_an_outage_keeps_the_last_keyset_and_says_until_when(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        keyset = world.keys.keyset
        fault = world.kms.fail("AccessDeniedException")
        await trio.sleep(4 * DAY)
        assert world.keys.keyset == keyset
        check_dnskey(world.keys, int(world.now()))
        status = key_manager.status
        assert status.condition is Condition.TROUBLED
        assert status.valid_until == EPOCH + 5 * DAY + 2 * HOUR
        trouble = status.ksks[0].trouble
        assert trouble is not None
        assert (trouble.code, trouble.doing, trouble.refused) == ("AccessDeniedException", "Sign", True)
        assert trouble.since == next_refresh(LAB, EPOCH, Policy())
        assert trouble.request_id
        assert status.ksks[0].status is KskStatus.ACTION_NEEDED
        # One probe an hour.
        assert trouble.attempts == 1 + (EPOCH + 4 * DAY - trouble.since) // HOUR
        # Told once, not at every try.
        errors = [line["event"] for line in world.log if line["level"] == "error"]
        assert errors == ["the KMS rejects the call", "a KSK needs action"]

        world.kms.heal(fault)
        await trio.sleep(HOUR)
        status = key_manager.status
        assert status.condition is Condition.SIGNING
        assert status.ksks[0].trouble is None
        assert status.valid_until is not None
        assert status.valid_until > world.now() + 4.6 * DAY
        assert "the KMS answers again" in [line["event"] for line in world.log]


async def test_an_outage_longer_than_the_runway_ends_at_the_second_foretold(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        world.kms.fail("KMSInternalException")
        foretold = key_manager.status.valid_until
        assert foretold is not None
        await trio.sleep(foretold - world.now() - 1)
        served = world.keys.keyset.served(int(world.now()))
        assert served is not None
        assert served.ttl == 1
        await trio.sleep(1)
        assert world.keys.keyset.served(int(world.now())) is None
        assert condition(key_manager) is Condition.FAILING
        world.kms.heal()
        key_manager.wake()
        await trio.sleep(1)
        check_dnskey(world.keys, int(world.now()))


async def test_a_kms_that_is_away_at_the_first_start(world: World, autojump_clock: MockClock) -> None:
    fault = world.kms.fail("ThrottlingException")
    async with world.life() as key_manager:
        assert condition(key_manager) is Condition.FAILING
        assert not world.published
        await trio.sleep(DAY)
        world.kms.heal(fault)
        await trio.sleep(300)
        assert condition(key_manager) is Condition.SIGNING
        assert len(world.kms.keys) == 1


async def test_a_restart_tries_at_once_what_was_waiting(world: World, autojump_clock: MockClock) -> None:
    fault = world.kms.fail("KMSInternalException")
    async with world.life():
        await trio.sleep(DAY)
    world.kms.heal(fault)
    restarted = world.now()
    async with world.life() as key_manager:
        assert world.now() == restarted
        assert condition(key_manager) is Condition.SIGNING


async def test_a_lost_answer_of_create_key_leaves_one_key(world: World, autojump_clock: MockClock) -> None:
    world.kms.lose_answers(method="create_key", times=1)
    async with world.life():
        await trio.sleep(60)
        check_dnskey(world.keys, int(world.now()))
    assert len(world.kms.keys) == 1
    assert world.kms.calls["create_key"] == 1


async def test_one_failed_slot_keeps_the_old_keyset_and_the_next_try_asks_only_for_what_is_missing(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        keyset = world.keys.keyset
        await trio.sleep(next_refresh(LAB, EPOCH, Policy()) - EPOCH - 1)
        world.kms.calls.clear()
        world.kms.fail("KMSInternalException", method="sign", times=1)
        await trio.sleep(1.5)
        assert world.keys.keyset == keyset
        assert condition(key_manager) is Condition.TROUBLED
        await trio.sleep(5)
        status = key_manager.status
        assert status.condition is Condition.SIGNING
        assert status.refreshed is not None
        assert status.refreshed > next_refresh(LAB, EPOCH, Policy())
        assert world.kms.calls["sign"] == 16


class LyingKms(FakeKms):
    """Answers with a signature over something else."""

    lies = False

    async def sign(self, arn: str, hosted_zone_id: str, message: bytes) -> KmsSignature:
        return await super().sign(arn, hosted_zone_id, message + b"!" if self.lies else message)


async def test_a_signature_that_does_not_verify_is_never_stored(world: World, autojump_clock: MockClock) -> None:
    world.kms = kms = LyingKms()
    async with world.life() as key_manager:
        keyset = world.keys.keyset
        kms.lies = True
        await trio.sleep(2 * DAY)
        assert world.keys.keyset == keyset
        trouble = key_manager.status.ksks[0].trouble
        assert trouble is not None
        assert trouble.code == "WrongSignature"


async def test_slots_are_signed_one_after_the_other(world: World, autojump_clock: MockClock) -> None:
    world.kms.delay(1, method="sign")
    async with world.life():
        assert world.now() == EPOCH + 15


async def test_one_zone_is_done_before_the_next_begins(world: World, autojump_clock: MockClock) -> None:
    world.kms.delay(1, method="sign")
    done: list[float] = []
    with world.open_store() as store:
        services = replace(world.services(store, Fuse()), limit=trio.Semaphore(1))
        async with trio.open_nursery() as nursery:
            for origin in (LAB, b"\x05other" + LAB):
                key_manager = KeyManager(origin, Policy(), None, services, lambda *_: done.append(world.now()))
                nursery.start_soon(key_manager.run)
            await trio.sleep(60)
            nursery.cancel_scope.cancel()
    assert done == [EPOCH + 15, EPOCH + 30]


async def test_the_limit_bounds_what_is_signed_at_a_time(world: World, autojump_clock: MockClock) -> None:
    with world.open_store() as store:
        services = replace(world.services(store, Fuse()), limit=trio.Semaphore(1))
        async with trio.open_nursery() as nursery:
            async with services.limit:  # another zone's
                nursery.start_soon(KeyManager(LAB, Policy(), None, services, lambda *_: None).run)
                await trio.sleep(60)
                assert world.kms.calls["sign"] == 0
            await trio.sleep(60)
            assert world.kms.calls["sign"] == 15
            nursery.cancel_scope.cancel()


async def test_a_key_that_signs_slowly_holds_one_turn_and_no_more(world: World, autojump_clock: MockClock) -> None:
    arns = [await world.kms.create_key(KeyRequest("mine", None, {})) for _ in range(6)]
    world.kms.delay(100, arn=arns[0], method="sign")
    world.kms.delay(3, method="sign")
    done: list[float] = []
    with world.open_store() as store:
        services = replace(world.services(store, Fuse()), limit=trio.CapacityLimiter(2))
        async with trio.open_nursery() as nursery:
            for number, arn in enumerate(arns):
                origin = b"\x01%d" % number + LAB
                key_manager = KeyManager(origin, Policy(), arn, services, lambda *_: done.append(world.now() - EPOCH))
                nursery.start_soon(key_manager.run)
                await trio.sleep(1 if number == 0 else 0)
            await trio.sleep(HOUR)
            nursery.cancel_scope.cancel()
    # Each in its turn signs 15 slots in 45 s; the slow one takes 103 s for each.
    assert done == [46, 91, 136, 181, 226, 15 * 103]


async def test_a_slow_key_that_many_zones_share_leaves_turns_to_other_keys(
    world: World, autojump_clock: MockClock
) -> None:
    shared, own = [await world.kms.create_key(KeyRequest("mine", None, {})) for _ in range(2)]
    world.kms.delay(9, arn=shared, method="sign")
    done: list[bytes] = []
    with world.open_store() as store:
        services = replace(world.services(store, Fuse()), limit=trio.CapacityLimiter(3), key_turns=KeyTurns(2))
        async with trio.open_nursery() as nursery:
            for number in range(20):
                arn = own if number == 19 else shared
                origin = b"\x02%02d" % number + LAB
                key_manager = KeyManager(origin, Policy(), arn, services, lambda one, _: done.append(one))
                nursery.start_soon(key_manager.run)
                await trio.sleep(0.01)
            await trio.sleep(60)
            assert done == [b"\x0219" + LAB]
            await trio.sleep(10 * 15 * 9)
            assert len(done) == 20  # two at a time
            nursery.cancel_scope.cancel()


async def test_a_probe_takes_its_turn(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        world.kms.disable(world.arn)
        await trio.sleep(2 * DAY)
        assert key_manager.keyring.needing_action
        before = world.kms.calls["sign"]
        for _ in range(4):
            await world.turns.acquire()
        await trio.sleep(DAY)
        assert world.kms.calls["sign"] == before
        world.turns.release()
        await trio.sleep(1)
        assert world.kms.calls["sign"] == before + 1


async def test_a_changed_policy_is_signed_at_once(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        key_manager.reconfigure(Policy(dnskey_ttl=300), None)
        await trio.sleep(1)
        served = world.keys.keyset.served(int(world.now()))
        assert served is not None
        assert served.ttl == 300
        assert key_manager.keyring.cached_until == EPOCH + 5 * 60 + HOUR  # caches may hold the longer TTL until then


async def test_a_clock_set_back_freezes_until_it_is_right(world: World, autojump_clock: MockClock) -> None:
    world.reread = 60
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        calls = world.kms.calls.copy()
        world.set_back = 1.5 * DAY
        await trio.sleep(HOUR)
        status = key_manager.status
        assert status.condition is Condition.FROZEN
        assert "clock" in (status.problem or "")
        assert status.ksks[0].status is KskStatus.INTERNAL_FAILURE
        assert [line["event"] for line in world.log if line["level"] == "critical"] == [
            "the keys of this zone are frozen until the clock is correct"
        ]
        with pytest.raises(RequestRefusedError):
            await key_manager.request(StartRollover())
        assert world.kms.calls == calls
        world.set_back = 0
        await trio.sleep(61)
        assert condition(key_manager) is Condition.SIGNING
        await trio.sleep(DAY)
        check_dnskey(world.keys, int(world.now()))


async def test_a_clock_that_was_far_ahead_is_trusted_again_by_a_person(world: World, autojump_clock: MockClock) -> None:
    world.reread = 60
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(StartRollover())
        await trio.sleep(10)
        world.set_back = -400.0 * DAY
        await trio.sleep(2 * HOUR)
        world.set_back = 0
        await trio.sleep(61)
        assert condition(key_manager) is Condition.FROZEN
        await key_manager.request(TrustClock())
        await trio.sleep(1)
        assert condition(key_manager) is Condition.SIGNING
        check_dnskey(world.keys, int(world.now()))
        with pytest.raises(RequestRefusedError):
            await key_manager.request(TrustClock())
        await trio.sleep(20 * DAY)
        check_dnskey(world.keys, int(world.now()))
        assert [zsk.removed is None for zsk in key_manager.keyring.zsks].count(True) == 1


async def test_a_clock_set_back_a_little_is_lived_with(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * DAY)
        world.set_back = 599
        await trio.sleep(61)
        assert condition(key_manager) is Condition.SIGNING


async def test_a_sleep_of_a_week_is_caught_up(world: World, autojump_clock: MockClock) -> None:
    world.reread = 60
    async with world.life():
        world.set_back = -7.0 * DAY
        await trio.sleep(61)
        check_dnskey(world.keys, int(world.now()))


class FullDisk(KillableStore):
    full = False

    def save(self, *arguments: Any, **named: Any) -> Any:
        if self.full:
            raise StateUnavailable("disk full")
        return super().save(*arguments, **named)


async def test_a_full_disk_publishes_nothing_and_costs_no_more_kms_calls(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.keys.world.KillableStore", FullDisk)
    async with world.life() as key_manager:
        keyset = world.keys.keyset
        FullDisk.full = True
        await trio.sleep(2 * DAY)
        assert world.keys.keyset == keyset
        assert world.kms.calls["sign"] == 30
        assert condition(key_manager) is Condition.TROUBLED
        assert key_manager.status.problem == "disk full"
        FullDisk.full = False
        await trio.sleep(300)
        assert condition(key_manager) is Condition.SIGNING
        check_dnskey(world.keys, int(world.now()))


async def test_a_bug_freezes_this_zone_and_its_traceback_is_logged(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        keyset = world.keys.keyset

        async def sign(arn: str, hosted_zone_id: str, message: bytes) -> KmsSignature:
            raise ZeroDivisionError

        world.kms.sign = sign  # type: ignore[method-assign]
        await trio.sleep(2 * DAY)
        status = key_manager.status
        assert status.condition is Condition.FROZEN
        assert world.keys.keyset == keyset
        (line,) = [line for line in world.log if line["level"] == "critical"]
        assert "ZeroDivisionError" in line["traceback"]


async def test_a_lost_secret_freezes_the_zone_with_a_way_out(world: World, autojump_clock: MockClock) -> None:
    async with world.life():
        pass
    with world.open_store() as store, store.writing() as transaction:
        transaction.connection.exec_driver_sql("DELETE FROM zsk_secret")
    async with world.life() as key_manager:
        assert condition(key_manager) is Condition.FROZEN
        assert "restore" in (key_manager.status.problem or "")


async def test_the_event_log_tells_what_happened_and_why(world: World, autojump_clock: MockClock) -> None:
    async with world.life():
        world.kms.fail("ThrottlingException", method="sign", times=3)
        await trio.sleep(2 * DAY)
    with world.open_store() as store:
        entries = store.events(LAB)
    kinds = [entry.kind for entry in entries]
    first = ["Observed", "KskIntended", "KskCreated", "KskLearned", "ZskGenerated", "KeysetSigned", "Published"]
    assert kinds[:7] == first
    assert kinds[7:9] == ["KmsFailed", "KeysetSigned"]
    assert len(entries[5].request_ids) == 15
    assert "ThrottlingException" in entries[7].reason
    assert entries[8].reason == "regular refresh"


async def test_no_private_key_in_logs_reprs_or_files(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        shown = " ".join(
            map(repr, (key_manager.keyring, key_manager.status, world.keys, world.log, key_manager._executor.__dict__))
        )
    (private_key,) = world.private_keys
    scalar = private_key[36:68]  # PKCS #8 of a P-256 key: the scalar's place
    for file in world.directory.iterdir():
        content = file.read_bytes()
        assert scalar not in content
        assert private_key not in content
    assert repr(scalar)[2:-1] not in shown
    assert scalar.hex() not in shown


async def test_a_cancelled_key_manager_stops(world: World, autojump_clock: MockClock) -> None:
    world.kms.delay(1000)
    with trio.move_on_after(1) as scope:
        async with world.life():
            raise AssertionError("it can't have started")
    assert scope.cancelled_caught


async def test_an_unstored_keyring_is_not_published(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published must be what a restart finds."""
    seen: list[Keyring | None] = []
    publish = world._publish

    def published(origin: bytes, keys: object) -> None:
        # Another store would be the only writer from here on.
        with closing(sqlite3.connect(f"file:{world.directory / DATABASE}?mode=ro", uri=True)) as other:
            row = other.execute("SELECT document FROM ring WHERE origin = ?", (origin,)).fetchone()
        seen.append(msgspec.json.decode(row[0], type=Keyring) if row else None)
        publish(origin, keys)  # type: ignore[arg-type]

    monkeypatch.setattr(world, "_publish", published)
    async with world.life():
        await trio.sleep(3 * DAY)
    assert len(seen) == 3
    assert [keyring.keyset if keyring else None for keyring in seen] == [keys.keyset for _, keys in world.published]


async def test_waits_count_from_when_every_answer_is_of_what_was_published(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def waited(world: World) -> int:
        async with world.life() as key_manager:
            await trio.sleep(200)
            (zsk,) = key_manager.keyring.zsks
            assert zsk.published is not None
            assert zsk.ready is not None
            return zsk.ready - zsk.published

    at_once, late = World(tmp_path / "at once"), World(tmp_path / "late")
    late.lag = 100
    assert await waited(late) == await waited(at_once) + 100


async def test_who_asks_does_not_wait_until_every_answer_is_of_what_was_published(
    world: World, autojump_clock: MockClock
) -> None:
    world.lag = 100
    async with world.life() as key_manager:
        await trio.sleep(50)
        assert key_manager.keyring.zsks[0].ready is None
        with trio.fail_after(1):
            await key_manager.request(StartRollover())
        await trio.sleep(110)
        assert key_manager.keyring.zsks[0].ready is not None


async def test_all_slots_of_a_ksk_have_its_rdata_as_one_object(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        made = key_manager.keyring.keyset
        assert made is not None
        assert len({id(signature.ksk) for signature in made.signatures}) == 1
    with world.open_store() as store:
        keyring = store.load_keyring(LAB)
        assert keyring is not None
        assert keyring.keyset == made
        assert len({id(signature.ksk) for signature in keyring.keyset.signatures}) == 1


async def fails_when_cancelled(*_: object) -> KmsSignature:
    """As where a connection is closed at the end, while a task of its own waits for it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("the connection is closed")
    raise AssertionError


@pytest.mark.parametrize("cancelled_by", ["the end", "a change"])
async def test_what_fails_because_it_was_cancelled_is_no_bug(
    world: World, monkeypatch: pytest.MonkeyPatch, cancelled_by: str
) -> None:
    monkeypatch.setattr(world.kms, "sign", fails_when_cancelled)
    with world.open_store() as store:
        key_manager = KeyManager(LAB, Policy(), None, world.services(store, Fuse()), world._publish)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(key_manager.run)
            await trio.testing.wait_all_tasks_blocked()
            if cancelled_by == "a change":
                await key_manager.observe_ttl(7200)
                await trio.testing.wait_all_tasks_blocked()
                assert key_manager.keyring.data_ttl == 7200
            nursery.cancel_scope.cancel()
    assert not [event for event in world.log if event["level"] in ("critical", "error")]
    assert key_manager.status.condition is not Condition.FROZEN


@pytest.mark.parametrize(("ttl", "answered"), [(60, True), (HOUR, True), (2 * HOUR, False)])
async def test_a_restart_on_a_full_disk_waits_only_for_what_must_be_stored_first(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, ttl: int, answered: bool
) -> None:
    world.ttl = HOUR
    async with world.life():
        await trio.sleep(DAY)
    published, world.ttl = len(world.published), ttl

    def full(*_: object) -> Keyring:
        raise StateUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(KillableStore, "save", full)
        async with world.life() as key_manager:
            assert (len(world.published) > published) is answered
            assert key_manager.keyring.data_ttl == (HOUR if answered else 0)  # the longer wait stays in force
    async with world.life() as key_manager:
        assert len(world.published) > published
        assert key_manager.keyring.data_ttl == ttl


async def test_a_ttl_that_would_not_be_safe_is_refused_and_ends_no_load(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def object_to(*_: object) -> None:
        raise UnsafeTransitionError("something is too early")

    async with world.life() as key_manager:
        monkeypatch.setattr("keys.custody.key_manager.assert_safe", object_to)
        with pytest.raises(StateError, match=r"the TTL of lab\.example\. would not be safe: something is too early"):
            await key_manager.observe_ttl(2 * DAY)
