"""A hosted zone that is made is stored and answered, or neither; what is stored keeps no server from starting."""

from __future__ import annotations

from pathlib import Path

import dns.rcode
import pytest
from trio.testing import MockClock

from keys.store import StateUnavailable
from tests.keys.world import KillableStore, World
from tests.server.test_hosted import running
from zones.recordsets.model import ZoneRequestError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def name_of(octets: int) -> str:
    """A name of that many octets in wire form."""
    labels = ["a" * 62] * 3
    return ".".join([*labels, "b" * (octets - 3 * 63 - 2)])


@pytest.mark.parametrize(("octets", "taken"), [(244, True), (245, False), (254, False)])
async def test_a_name_too_long_for_its_soa_is_refused_and_nothing_is_stored(
    world: World, autojump_clock: MockClock, octets: int, taken: bool
) -> None:
    async with running(world) as process:
        if taken:
            await process.create(name_of(octets))
        else:
            with pytest.raises(ZoneRequestError, match=r"InvalidDomainName: No SOA record .* DomainNameTooLong"):
                await process.create(name_of(octets))
    async with running(world) as process:
        assert await process.zones.zone_count() == taken
        assert (process.answer(name_of(octets), "SOA")[0] == dns.rcode.NOERROR) == taken


async def test_a_zone_that_can_not_be_answered_now_is_not_stored(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StateUnavailable("the disk is failing")

    async with running(world) as process:
        with monkeypatch.context() as failing:
            failing.setattr(KillableStore, "load_ring", fail)
            with pytest.raises(StateUnavailable):
                await process.create()
        assert await process.zones.zones(None, 5) == ()
        zone = await process.create()
        assert (await process.zones.zone(zone.id)).name == "lab.example."
