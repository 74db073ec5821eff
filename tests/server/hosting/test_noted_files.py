"""What a zone of a file is served from is noted in the change log before it is answered; a full disk stops neither."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from keys.custody.change_log import Committed, FileChanged
from keys.custody.state_database import StateUnavailable, Store
from server.hosting import noted_files
from server.hosting.followed_log import Subject
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import ZoneConfig
from tests.keys.world import Fuse, World
from tests.lab import wire_name
from zones.zoneset import ZoneSet

SOA = "@ 300 SOA ns host 1 7200 3600 1209600 300\n@ 300 NS ns\nns 300 A 192.0.2.53\n"
LAB, OTHER = wire_name("lab.example"), wire_name("other.example")


class Served:
    """Zones of files in one process, and what the change log says of them."""

    def __init__(self, folder: Path, store: Store, registry: ZoneRegistry, troubles: dict[str, str | None]) -> None:
        self.folder, self.store, self.registry, self.troubles = folder, store, registry, troubles
        self.committed: list[Committed] = []
        store.on_commit.append(self.committed.append)

    async def load(self, *origins: str, text: str = SOA) -> None:
        for origin in origins:
            (self.folder / origin).write_text(text)
        configs = [ZoneConfig(origin=f"{origin}.", file=self.folder / origin, signed=False) for origin in origins]
        with trio.fail_after(3600):  # of the virtual clock
            await self.registry.load(configs)

    def told(self) -> list[tuple[bytes, bool]]:
        """Zones that the log has noted as of a file, or as removed, since the last call."""
        told = [
            (change.origin, change.digest is not None)
            for one in self.committed
            for change in one.changes
            if isinstance(change, FileChanged)
        ]
        self.committed.clear()
        return told

    @property
    def is_followed(self) -> bool:
        """Whether all that was committed is in the set of zones."""
        return self.registry.membership.log.position == self.store.position


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[Served]:
    world, troubles = World(tmp_path), dict[str, str | None]()
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())

            def report(what: str, reason: str | None) -> None:
                troubles[what] = reason

            registry = ZoneRegistry(services, nursery, lambda: None, report=report)
            nursery.start_soon(registry.noted_files.keep_noting)
            yield Served(tmp_path, store, registry, troubles)
            nursery.cancel_scope.cancel()


async def test_a_zone_is_noted_when_it_is_loaded_replaced_and_removed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with serving(tmp_path) as served:
        await served.load("lab.example", "other.example")
        assert served.told() == [(LAB, True), (OTHER, True)]
        await served.load("lab.example", "other.example")
        assert served.told() == []
        await served.load("lab.example", text=SOA + "www 60 A 192.0.2.1\n")
        assert served.told() == [(OTHER, False), (LAB, True)]
        assert served.is_followed
        assert served.store.noted_files().keys() == {LAB}


async def test_it_is_noted_before_it_is_answered(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as served:
        registry, seen = served.registry, list[bytes]()
        follow = registry.membership.follow

        def watched(zoneset: ZoneSet, put: Iterable[Subject]) -> None:
            zones = {origin: served_zone.zone for origin in zoneset if (served_zone := zoneset.get(origin)) is not None}
            noted = served.store.noted_files()
            for origin, zone in zones.items():
                assert zone is registry.registered[origin].zone
                assert noted[origin].digest == registry.registered[origin].fingerprint
                seen.append(origin)
            follow(zoneset, put)

        monkeypatch.setattr(registry.membership, "follow", watched)
        await served.load("lab.example")
        await served.load("lab.example", text=SOA + "www 60 A 192.0.2.1\n")
        assert seen == [LAB, LAB]


async def test_an_earlier_life_is_taken_up(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with serving(tmp_path) as served:
        await served.load("lab.example", "other.example")
    async with serving(tmp_path) as served:
        await served.load("lab.example")
        assert served.told() == [(OTHER, False)]
        assert served.is_followed


async def test_thousands_of_zones_are_noted_in_few_transactions(tmp_path: Path, autojump_clock: MockClock) -> None:
    origins = [f"z{number}.example" for number in range(600)]
    async with serving(tmp_path) as served:
        await served.load(*origins)
        commits = sum(any(isinstance(c, FileChanged) for c in one.changes) for one in served.committed)
        assert len(served.told()) == 600
        assert commits <= 4
        assert served.is_followed


async def test_lower_ttls_of_zones_that_are_noted_together_wait_for_none_of_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    origins = [f"z{number}.example" for number in range(20)]
    for text in (SOA, SOA.replace("300", "60")):  # at a start, too
        async with serving(tmp_path) as served:
            await served.load(*origins, text=text)
            await served.load(*origins, text=text.replace("@ ", "@ 7"))
            await served.load(*origins, text=text)
            assert served.is_followed
            assert all(zone.unsigned_ttl == int(text.split()[1]) for zone in served.registry.registered.values())


async def test_a_zone_that_fails_after_it_was_noted_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as served:

        async def fail(*_: object) -> None:
            raise ValueError("a bug")

        with monkeypatch.context() as broken, pytest.RaisesGroup(ValueError):
            broken.setattr(served.registry, "_take_up", fail)
            await served.load("lab.example")
        assert served.told() == [(LAB, True)]
        assert served.is_followed
        await served.load("lab.example")
        assert served.registry.zoneset.get(LAB) is not None


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Have the disk take no note, or take it again."""
    note_files, full = Store.note_files, False

    def refusing(self: Store, *of_files: object) -> None:
        if full:
            raise StateUnavailable("the disk is full")
        note_files(self, *of_files)  # type: ignore[arg-type]

    def switch(is_full: bool) -> None:
        nonlocal full
        full = is_full

    monkeypatch.setattr(Store, "note_files", refusing)
    return switch


async def test_a_disk_that_takes_no_writes_keeps_no_zone_from_being_served(
    tmp_path: Path, autojump_clock: MockClock, full: Callable[[bool], None]
) -> None:
    async with serving(tmp_path) as served:
        full(True)
        await served.load("lab.example", "other.example")
        assert served.registry.zoneset.get(LAB) is not None
        assert list(served.troubles.values()) == ["the disk is full"]
        assert served.is_followed  # nobody waits for what is not stored
        assert served.told() == []
        full(False)
        await trio.sleep(2 * noted_files.AGAIN)
        assert served.told() == [(LAB, True), (OTHER, True)]
        assert list(served.troubles.values()) == [None]
        assert served.is_followed
        # What could not be noted as gone is noted, too.
        full(True)
        await served.load("lab.example")
        assert served.registry.zoneset.get(OTHER) is None
        full(False)
        await trio.sleep(2 * noted_files.AGAIN)
        assert served.told() == [(OTHER, False)]
        assert served.is_followed
        # And what came back meanwhile is noted as it is by then.
        full(True)
        await served.load("lab.example", text=SOA + "www 60 A 192.0.2.1\n")
        await served.load("lab.example", text=SOA + "www 60 A 192.0.2.2\n")
        full(False)
        await trio.sleep(2 * noted_files.AGAIN)
        assert served.store.noted_files()[LAB].digest == served.registry.registered[LAB].fingerprint
        assert served.is_followed
