"""A DS at the parent that names no key of the zone: an old backup that was restored, a slip of the hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from keys.custody.key_manager import KeyManager
from keys.dnssec.ds import ds_rdata
from keys.dnssec.signing_policy import DAY, HOUR
from keys.rules.commands import CreateKsk, DeactivateKsk, DisableSigning, RequestRefusedError
from keys.rules.events import Entry
from keys.rules.key_status import Condition
from tests.keys.custody.parent_by_hand import Parent
from tests.keys.world import LAB, World

FOREIGN = bytes.fromhex("12340d02") + bytes(32)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_ds_that_names_no_key_here_is_told(world: World, autojump_clock: MockClock) -> None:
    parent = world.parent = Parent(world)
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        assert condition(key_manager) is Condition.SIGNING
        parent.rdatas = (FOREIGN,)
        await trio.sleep(2 * HOUR)
        status = key_manager.status
        assert condition(key_manager) is Condition.FAILING
        assert status.problem is not None
        assert status.problem.startswith("foreign DS: ")
        assert status.foreign_ds == (f"4660 13 2 {'00' * 32}",)
        assert [change.after for change in world.told if change.about == "status"][-1] == "failing"
        # Beside one that names a key of the zone, it harms nobody now.
        parent.rdatas = (FOREIGN, ds_rdata(LAB, key_manager.keyring.ksks[0].rdata))
        await trio.sleep(2 * HOUR)
        assert key_manager.keyring.ksks[0].ds_named
        assert condition(key_manager) is Condition.TROUBLED
        parent.rdatas = parent.rdatas[1:]
        await trio.sleep(2 * HOUR)
        assert condition(key_manager) is Condition.SIGNING
        kinds = [entry.reason for entry in _events(world) if entry.kind == "ParentSeen"]
        assert "foreign DS: 4660 13 2" in kinds[1]


def condition(key_manager: KeyManager) -> Condition:
    return key_manager.status.condition


def _events(world: World) -> tuple[Entry, ...]:
    with world.open_store() as store:
        return store.events(LAB)


async def test_a_ds_with_another_digest_is_not_foreign(world: World, autojump_clock: MockClock) -> None:
    parent = world.parent = Parent(world)
    async with world.life() as key_manager:
        await trio.sleep(HOUR)
        ours = ds_rdata(LAB, key_manager.keyring.ksks[0].rdata)
        parent.rdatas = (ours[:3] + bytes([77]) + bytes(48),)  # by a digest that is not known here
        await trio.sleep(2 * HOUR)
        assert key_manager.keyring.ksks[0].ds_named
        assert condition(key_manager) is Condition.SIGNING


async def test_a_ksk_that_was_taken_away_by_force_keeps_signing_on_while_a_ds_names_it(
    world: World, autojump_clock: MockClock
) -> None:
    parent = world.parent = Parent(world)
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(CreateKsk("ksk_2"))
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksk("ksk_1").rdata),)
        await trio.sleep(3 * HOUR)
        await key_manager.request(DeactivateKsk("ksk_1", force=True))
        await trio.sleep(HOUR)
        assert key_manager.keyring.ksk("ksk_1").published is None
        with pytest.raises(RequestRefusedError, match=r"DS record names .* ksk_1: remove it there first"):
            await key_manager.request(DisableSigning())
        parent.rdatas = ()
        with pytest.raises(RequestRefusedError, match=r"named .* ksk_1, and caches may hold .* until .* UTC"):
            await key_manager.request(DisableSigning())
        await trio.sleep(3 * HOUR)
        await key_manager.request(DisableSigning())
        assert not key_manager.keyring.signing
