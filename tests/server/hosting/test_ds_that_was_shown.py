"""A DS that a parent served here has shown is in caches, whether that could be stored or not, and though it is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from keys.custody.state_database import StateUnavailable
from keys.dnssec.signing_policy import DAY, HOUR
from keys.rules.commands import DisableSigning, RequestRefusedError
from keys.rules.wanted_ds import ParentDs
from server.hosting.shown_ds import ShownDs
from tests.keys.world import KillableStore, World
from tests.lab import wire_name
from tests.server.hosting.test_one_truth import CHILD, SOA, Served, serving

ABOVE = SOA + "child 300 NS ns.child\nns.child 300 A 192.0.2.54\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def refused(here: Served) -> str:
    """Why signing of the child can't be disabled."""
    key_manager = here.registry.registered[wire_name(CHILD)].key_manager
    assert key_manager is not None
    with pytest.raises(RequestRefusedError) as refusal:
        await key_manager.request(DisableSigning())
    return refusal.value.message


def full(*_arguments: object, **_named: object) -> object:
    """As `KillableStore.save` on a disk that is full."""
    raise StateUnavailable("the disk is full")


@pytest.mark.parametrize("recovers_after", [1, 2 * HOUR])
async def test_signing_is_not_disabled_while_a_ds_that_nobody_could_note_is_in_caches(
    world: World, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, recovers_after: float
) -> None:
    async with serving(world, tmp_path) as here:
        child = here.file(CHILD)
        await here.load(here.file("example."), child)
        await trio.sleep(DAY)
        with monkeypatch.context() as patch:
            patch.setattr(KillableStore, "save", full)
            await here.load(here.file("example.", ABOVE), child)
            assert here.ds(CHILD) == here.ksks(CHILD) != set()
            await trio.sleep(HOUR)
            await here.load(child)  # the zone above goes away
            assert here.rcode(CHILD, "DS") != "NXDOMAIN"
            await trio.sleep(recovers_after)
        if recovers_after > 1:  # what was seen was tried to be stored meanwhile, and is tried again
            await trio.sleep(HOUR)
        assert "DS record named" in await refused(here)
        await trio.sleep(HOUR)
        kept = here.registry.registered[wire_name(CHILD)].key_manager
        assert kept is not None
        assert kept.keyring.ksks[0].ds_named  # it is stored by now
        assert "DS record named" in await refused(here)
        # By force, it is done all the same.
        await kept.request(DisableSigning(force=True))
        assert not here.registry.zoneset.get(wire_name(CHILD)).zone.signed  # type: ignore[union-attr]


async def test_a_ds_that_the_parents_data_drop_while_nothing_can_be_stored_is_waited_for(
    world: World, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(world, tmp_path) as here:
        child = here.file(CHILD)
        await here.load(here.file("example."), child)
        await trio.sleep(DAY)
        with monkeypatch.context() as patch:
            patch.setattr(KillableStore, "save", full)
            await here.load(here.file("example.", ABOVE), child)
            await trio.sleep(60)
            await here.load(here.file("example."), child)  # delegates no more
            assert not here.ds(CHILD)
        assert "DS record named" in await refused(here)
        await trio.sleep(DAY)
        assert "caches may hold" not in (await refused_or_done(here) or "")


async def refused_or_done(here: Served) -> str | None:
    key_manager = here.registry.registered[wire_name(CHILD)].key_manager
    assert key_manager is not None
    try:
        await key_manager.request(DisableSigning())
    except RequestRefusedError as refusal:
        return refusal.message
    return None


def test_what_was_shown_is_told_as_long_as_it_is_not_shown_again() -> None:
    shown = ShownDs()
    shown.note((b"a", b"b"), 300, 10)
    assert shown.lately() == ()
    shown.note((b"b",), 60, 20)
    assert shown.lately() == (ParentDs((b"a",), 300, 20, settled=False),)
    shown.note((), 0, 30)
    assert [(one.rdatas, one.ttl, one.seen_at) for one in shown.lately()] == [((b"a",), 300, 20), ((b"b",), 300, 30)]
    shown.note((b"a",), 600, 40)
    assert [one.rdatas for one in shown.lately()] == [(b"b",)]
    for number in range(100):
        shown.note((number.to_bytes(2),), 60, 50 + number)
    assert len(shown.lately()) == 31
