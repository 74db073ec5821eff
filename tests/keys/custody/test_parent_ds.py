"""The DS of a parent that is served here: it names a KSK when every cache knows that, and drops it when told to."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from keys.custody.key_manager import KeyManager
from keys.custody.parent_ds_checks import check_parent, seen_lately
from keys.custody.state_database import StateUnavailable
from keys.dnssec.ds import ds_rdata
from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.rules.commands import (
    IN_USE,
    CreateKsk,
    DeactivateKsk,
    DeleteKsk,
    DisableSigning,
    EnableSigning,
    OfferDs,
    RequestRefusedError,
    WithdrawDs,
)
from keys.rules.events import ParentSeen
from keys.rules.key_status import Condition
from keys.rules.transitions import evolve
from keys.rules.wanted_ds import ParentDs
from tests.keys.rules.test_next_action import SIGNED
from tests.keys.world import KillableStore, World

DS_TTL = 2 * HOUR


class OwnParent:
    """A parent that has the DS records it is given by its child."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ttl = DS_TTL

    async def look_up(self, origin: bytes) -> ParentDs:
        """As `Parent.look_up`."""
        await trio.lowlevel.checkpoint()
        rdatas = (
            tuple(ds_rdata(origin, rdata) for rdata in self._world.keys.delegation) if self._world.published else ()
        )
        return ParentDs(rdatas, self.ttl, ceil(self._world.now()))

    async def changed(self) -> None:
        """As `Parent.changed`."""
        await trio.sleep_forever()


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.ttl = HOUR
    world.parent = OwnParent(world)
    return world


def named(world: World, key_manager: KeyManager) -> list[str]:
    return [k.name for k in key_manager.keyring.ksks if k.public_key and k.rdata in world.keys.delegation]


async def test_a_second_ksk_is_named_from_the_second_in_which_every_cache_knows_it(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        assert named(world, key_manager) == ["ksk_1"]
        await trio.sleep(HOUR)
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(1)
        ready = key_manager.keyring.ksk("second").ready
        assert ready is not None
        await trio.sleep(ready - world.now() - 1)
        assert named(world, key_manager) == ["ksk_1"]
        await trio.sleep(1.1)
        assert named(world, key_manager) == ["ksk_1", "second"]


async def test_a_ksk_goes_in_two_steps(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(3 * HOUR)
        with pytest.raises(RequestRefusedError, match="names Key Signing Key with name ksk_1"):
            await key_manager.request(DeactivateKsk("ksk_1"))
        await key_manager.request(WithdrawDs("ksk_1"))
        assert named(world, key_manager) == ["second"]
        with pytest.raises(RequestRefusedError, match="caches may hold it until"):
            await key_manager.request(DeactivateKsk("ksk_1"))
        await trio.sleep(DS_TTL + 300)
        await key_manager.request(DeactivateKsk("ksk_1"))
        await key_manager.request(DeleteKsk("ksk_1"))
        await trio.sleep(1)
        assert [ksk.name for ksk in key_manager.keyring.ksks] == ["second"]


async def test_signing_stays_for_dnskeys_that_the_ds_of_a_deleted_ksk_led_to(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(3 * HOUR)
        await key_manager.request(WithdrawDs("ksk_1"))
        await trio.sleep(DS_TTL + HOUR)
        await key_manager.request(DeactivateKsk("ksk_1"))
        gone = key_manager.keyring.ksk("ksk_1").ds_until
        await key_manager.request(DeleteKsk("ksk_1"))
        await trio.sleep(60)
        keyring = key_manager.keyring
        assert [ksk.name for ksk in keyring.ksks] == ["second"]
        assert gone is not None and keyring.keyset is not None
        # The second one's DS is of no concern here: that it was never seen is what a forgotten one looks like.
        alone = replace(keyring, ksks=tuple(replace(k, ds_named=False, ds_until=None) for k in keyring.ksks))
        until = gone + max(keyring.keyset_ttl, keyring.keyset.ttl)
        for answer in (None, ParentDs((), DS_TTL, until - 1)):
            refusal = check_parent(alone, DisableSigning(), answer, until - 1).refusal
            assert refusal is not None and r"deleted since" in refusal.message and "(in 1 s)" in refusal.message
            assert check_parent(alone, DisableSigning(), answer, until).refusal is None
            assert check_parent(alone, DisableSigning(force=True), answer, until - 1).refusal is None


def test_a_ds_that_was_shown_lately_is_news_once() -> None:
    """However often the parent is looked at afterwards, and whatever was stored since: else no KSK could ever go."""
    (ksk,) = SIGNED.ksks
    gone, propagation = SIGNED.newest + HOUR, SIGNED.propagation
    lately = ParentDs((ds_rdata(SIGNED.origin, ksk.rdata),), DS_TTL, gone, settled=False)
    answer = ParentDs((), DS_TTL, gone, lately=(lately,))
    (event,) = seen_lately(SIGNED, answer)
    keyring = evolve(evolve(SIGNED, event), ParentSeen(gone, (), 0))
    assert keyring.ksks[0].ds_until == gone + propagation + DS_TTL
    later = evolve(keyring, ParentSeen(gone + DS_TTL, (), 0))
    assert later.newest == gone + DS_TTL
    assert seen_lately(later, answer) == []
    assert seen_lately(replace(later, ksks=(replace(ksk, ds_until=gone),)), answer) != []


async def test_signing_stays_for_dnskeys_that_were_served_with_a_higher_ttl(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        key_manager.reconfigure(Policy(dnskey_ttl=300), None)
        await trio.sleep(1)
        assert key_manager.keyring.keyset is not None and key_manager.keyring.keyset.ttl == 300
        await key_manager.request(WithdrawDs("ksk_1", force=True))
        await trio.sleep(HOUR)
        gone = key_manager.keyring.ksk("ksk_1").ds_until
        assert gone is not None
        await trio.sleep(gone + HOUR - 2 - world.now())
        with pytest.raises(RequestRefusedError, match=r"\(in [12] s\)"):
            await key_manager.request(DisableSigning())
        # A refresh knows when none of those is left.
        await trio.sleep(2 * DAY)
        assert key_manager.keyring.keyset_ttl == 300


@pytest.mark.parametrize("noticed", [False, True])
async def test_a_clock_that_goes_forward_ends_no_wait_whether_it_was_noticed_or_not(
    world: World, autojump_clock: MockClock, noticed: bool
) -> None:
    world.reread = 60
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(WithdrawDs("ksk_1", force=True))
        await trio.sleep(HOUR)
        gone = key_manager.keyring.ksk("ksk_1").ds_until
        assert gone is not None
        # The DS itself is in no cache any more, but DNSKEYs that it led to are, for 90 seconds.
        await trio.sleep(gone + HOUR - 90 - world.now())
        world.set_back = -200
        await trio.sleep(80 if noticed else 0)
        assert (key_manager.keyring.ksk("ksk_1").ds_until == gone + 200) == noticed
        with pytest.raises(RequestRefusedError, match="DNSKEY records"):
            await key_manager.request(DisableSigning())
        await trio.sleep(12 if noticed else 92)
        await key_manager.request(DisableSigning())


async def test_the_last_ksk_that_the_ds_names_is_withdrawn_by_force_alone(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        with pytest.raises(RequestRefusedError, match=r"withdraw-ds lab\.example\. ksk_1 --force") as raised:
            await key_manager.request(WithdrawDs("ksk_1"))
        assert raised.value.code == IN_USE
        # A KSK that not every cache knows, so that no DS names it yet, takes nobody's place.
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(60)
        with pytest.raises(RequestRefusedError, match="Wait until the DS record names another KSK too"):
            await key_manager.request(WithdrawDs("ksk_1"))
        assert named(world, key_manager) == ["ksk_1"]
        await trio.sleep(2 * HOUR)
        await key_manager.request(WithdrawDs("ksk_1"))
        assert named(world, key_manager) == ["second"]
        await key_manager.request(WithdrawDs("second", force=True))
        assert named(world, key_manager) == []


async def test_a_withdrawal_outlasts_a_restart_and_can_be_taken_back(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await key_manager.request(WithdrawDs("ksk_1", force=True))
        await key_manager.request(WithdrawDs("ksk_1", force=True))
    async with world.life() as key_manager:
        assert named(world, key_manager) == []
        await key_manager.request(OfferDs("ksk_1"))
        assert named(world, key_manager) == ["ksk_1"]


async def test_signing_that_is_enabled_again_waits_with_the_ds(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(HOUR)
        await key_manager.request(WithdrawDs("ksk_1", force=True))
        with pytest.raises(RequestRefusedError):
            await key_manager.request(DisableSigning())
        await trio.sleep(DS_TTL + 300)
        # A cache that validated the DNSKEY RRset in the last second of the DS holds it for its own TTL.
        with pytest.raises(RequestRefusedError, match="caches may hold it, or DNSKEY records"):
            await key_manager.request(DisableSigning())
        await trio.sleep(HOUR)
        await key_manager.request(DisableSigning())
        await trio.sleep(HOUR)
        await key_manager.request(OfferDs("ksk_1"))
        await key_manager.request(EnableSigning())
        await trio.sleep(1)
        assert not world.unsigned
        assert named(world, key_manager) == []  # caches may hold what was served unsigned
        ready = key_manager.keyring.ksk("ksk_1").ready
        assert ready is not None
        await trio.sleep(ready - world.now() + 0.1)
        assert named(world, key_manager) == ["ksk_1"]


async def test_a_ds_waits_for_the_highest_ttl_that_was_served_unsigned(world: World, autojump_clock: MockClock) -> None:
    world.parent = None
    async with world.life() as key_manager:
        await key_manager.observe_ttl(7 * DAY)
        await key_manager.request(DisableSigning())
        await trio.sleep(HOUR)
        lowered = world.now()
        await key_manager.observe_ttl(60)
        await trio.sleep(DAY)
        await key_manager.request(EnableSigning())
        await trio.sleep(1)
        ready = key_manager.keyring.ksk("ksk_1").ready
        assert ready is not None
        assert ready >= lowered + 7 * DAY


async def test_a_full_disk_when_the_parent_is_looked_at_is_no_reason_to_freeze(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(2 * HOUR)

        def full(*_arguments: object, **_named: object) -> object:
            raise StateUnavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(KillableStore, "save", full)
            await key_manager_sees_another_ds(world)
            assert key_manager.status.condition is Condition.SIGNING
        await trio.sleep(HOUR)
        assert key_manager.keyring.ksk("ksk_1").ds_ttl == 2 * DS_TTL


async def key_manager_sees_another_ds(world: World) -> None:
    """The parent has the DS with another TTL, which is news, from now on."""
    assert isinstance(world.parent, OwnParent)
    world.parent.ttl = 2 * DS_TTL
    await trio.sleep(HOUR)


async def test_a_ksk_that_is_not_there_can_be_neither_withdrawn_nor_offered(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        for command in (WithdrawDs("other"), OfferDs("other")):
            with pytest.raises(RequestRefusedError, match="NoSuchKeySigningKey"):
                await key_manager.request(command)
