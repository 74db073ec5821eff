"""A zone file that takes long: it delays no other zone, and is given up in time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from server.hosting import zone_files
from server.hosting.compile_zone import CompileProgress, Order, compiled
from server.hosting.registered_zone import LoadedChange, ZoneLoad
from server.hosting.zone_files import LoadedZone, ZoneFiles
from server.hosting.zone_image_files import Images
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import ZoneConfig, ZoneFilesConfig
from tests.keys.world import Fuse, World
from tests.lab import wire_name
from zones.masterfile.load import ReadingLimits, ZoneFileError
from zones.storage.mapped_nodes import MappedNodes

TEXT = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n"


class SlowFiles(ZoneFiles):
    """One file is not read before somebody says so."""

    def __init__(self, slow: str) -> None:
        super().__init__(None, trio.to_thread.run_sync)
        self.goes_on = trio.Event()
        self._slow = slow

    async def load(self, config: ZoneConfig) -> LoadedZone:
        if config.origin == self._slow:
            await self.goes_on.wait()
        return zone_files._read(config, config.files.reading)


def is_answered(registry: ZoneRegistry, origin: str) -> bool:
    served = registry.zoneset.get(wire_name(origin))
    return served is not None and served.loaded.rrset_count > 1  # as one that is not loaded has


@pytest.fixture
def config(tmp_path: Path) -> ZoneConfig:
    file = tmp_path / "big.zone"
    file.write_text(TEXT)
    return ZoneConfig(origin="big.example.", file=file)


@pytest.fixture
def files(tmp_path: Path) -> ZoneFiles:
    images = tmp_path / "images"
    images.mkdir()
    return ZoneFiles(Images(images), trio.to_thread.run_sync)


@pytest.mark.parametrize("signed", [True, False])  # those that aren't are read ahead
@pytest.mark.parametrize("reload", [False, True])
async def test_quick_zones_are_answered_while_one_is_read(
    tmp_path: Path, config: ZoneConfig, autojump_clock: MockClock, signed: bool, reload: bool
) -> None:
    origins = [f"zone{number}.example." for number in range(21)]
    configs = [replace(config, origin=origin, signed=signed) for origin in origins]
    slow, files = origins[3], SlowFiles(origins[3])
    world, results = World(tmp_path), list[ZoneLoad]()
    quick, loaded = trio.Event(), trio.Event()

    async def load(registry: ZoneRegistry, wanted: Sequence[ZoneConfig]) -> None:
        results.extend(await registry.load(wanted, quick.set))
        loaded.set()

    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            registry = ZoneRegistry(world.services(store, Fuse()), nursery, lambda: None, None, files)
            if reload:
                await registry.load(configs[5:8])
            nursery.start_soon(load, registry, configs)
            with trio.fail_after(30):
                await quick.wait()
            for origin in origins:
                assert is_answered(registry, origin) == (origin != slow)
            assert registry.zoneset.get(wire_name(slow)) is not None  # SERVFAIL, not REFUSED
            assert "is being read" in (registry.registered[wire_name(slow)].problem or "")
            assert not results
            files.goes_on.set()
            with trio.fail_after(30):
                await loaded.wait()
            assert is_answered(registry, slow)
            assert registry.registered[wire_name(slow)].problem is None
            assert [load.origin for load in results] == origins
            assert results[3].change is LoadedChange.LOADED
            nursery.cancel_scope.cancel()


async def test_many_that_are_slow_delay_others_for_seconds_together(
    tmp_path: Path, config: ZoneConfig, autojump_clock: MockClock
) -> None:
    class Slow(SlowFiles):
        async def load(self, config: ZoneConfig) -> LoadedZone:
            if config.origin != "quick.example.":
                await self.goes_on.wait()
            return zone_files._read(config, config.files.reading)

    files, world, quick = Slow(""), World(tmp_path), trio.Event()
    configs = [replace(config, origin=f"zone{number}.example.") for number in range(50)]
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            registry = ZoneRegistry(world.services(store, Fuse()), nursery, lambda: None, None, files)
            began = trio.current_time()
            nursery.start_soon(registry.load, [*configs, replace(config, origin="quick.example.")], quick.set)
            await quick.wait()
            assert trio.current_time() - began < 10  # of the virtual clock
            assert is_answered(registry, "quick.example")
            files.goes_on.set()


@pytest.mark.parametrize(
    ("bound", "most", "text"),
    [
        ("_GENERATED", 1000, "$GENERATE 1-{} h$ A 192.0.2.1\n"),
        ("_UNPLAIN", 10_000, "h 60 TXT ( " + "x " * 4900 + "); {}\n"),
        ("_INCLUDES", 20, "$INCLUDE empty\n" * 20 + "; {}\n"),
    ],
)
async def test_a_small_file_that_takes_long_is_compiled(
    files: ZoneFiles, config: ZoneConfig, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, text: str
) -> None:
    """Within the bound it is read here."""
    assert config.file is not None
    config.file.with_name("empty").write_text("")
    monkeypatch.setattr(zone_files, bound, most)
    config.file.write_text(TEXT + text.format(1000))
    assert isinstance((await files.load(config)).zone.nodes, dict)
    more = {"_GENERATED": text.format(1001), "_UNPLAIN": text * 2, "_INCLUDES": text + "$INCLUDE empty\n"}[bound]
    config.file.write_text(TEXT + more)
    loaded = await files.load(config)
    assert isinstance(loaded.zone.nodes, MappedNodes)
    config.file.write_text(TEXT + more + "other 60 A 192.0.2.1\n")
    assert (await files.load(config)).fingerprint != loaded.fingerprint


async def test_glue_that_all_delegations_share_is_bounded(
    files: ZoneFiles, config: ZoneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.file is not None
    cuts = "a 60 NS a\n" + "".join(f"a 60 A 10.0.{n % 256}.{n // 256}\n" for n in range(2000))
    config.file.write_text(TEXT + cuts + "".join(f"cut{number} 60 NS a\n" for number in range(100)))
    assert isinstance((await files.load(config)).zone.nodes, dict)
    monkeypatch.setattr(zone_files, "_GLUE", 1 << 20)
    assert isinstance((await files.load(config)).zone.nodes, MappedNodes)
    tight = ZoneFilesConfig(reading=ReadingLimits(octets=200_000))
    config.file.write_text(config.file.read_text() + "; changed\n")
    with pytest.raises(ZoneFileError, match="glue"):
        await files.load(replace(config, files=tight))


async def test_the_program_has_the_bounds_of_the_configuration(files: ZoneFiles, config: ZoneConfig) -> None:
    assert config.file is not None
    files._large = 1
    config.file.write_text(TEXT + "$GENERATE 1-200 h$ A 192.0.2.1\n")
    tight = ZoneFilesConfig(reading=ReadingLimits(generated=150))
    with pytest.raises(ZoneFileError, match="more than 150 records"):
        await files.load(replace(config, files=tight))


async def test_a_file_of_any_size_is_not_looked_at_for_its_image(files: ZoneFiles, config: ZoneConfig) -> None:
    assert config.file is not None
    files._large = 1
    assert isinstance((await files.load(config)).zone.nodes, MappedNodes)
    with config.file.open("ab") as file:
        file.truncate(1 << 42)
    with pytest.raises(ZoneFileError, match=r"allow more by zone_files\.octets"):
        await files.load(config)


async def test_memory_is_bounded(files: ZoneFiles, config: ZoneConfig) -> None:
    assert config.file is not None
    with config.file.open("ab") as file:
        file.truncate(900 << 20)  # of which the disk has nothing
    with pytest.raises(ZoneFileError, match=r"more than 536870912 octets of memory; raise zone_files\.memory"):
        await files.load(replace(config, files=ZoneFilesConfig(memory=512 << 20)))


async def test_time_is_bounded(files: ZoneFiles, config: ZoneConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it goes on telling that it works."""
    working = """while True: print('{"type":"CompileProgress","step":"reading","done":0.5}', flush=True)"""
    monkeypatch.setattr(zone_files, "command", lambda _: [sys.executable, "-c", working])
    files._large = 1
    with pytest.raises(ZoneFileError, match=r"longer than 1 s; raise zone_files\.time"):
        await files.load(replace(config, files=ZoneFilesConfig(time=1)))


async def test_a_program_that_crashes_means_that_no_zone_is_read_here_either(
    files: ZoneFiles, config: ZoneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing = "import os, sys; sys.stdin.read(); os.kill(os.getpid(), 6)"
    monkeypatch.setattr(zone_files, "command", lambda _: [sys.executable, "-c", crashing])
    files._large = 1
    with pytest.raises(ZoneFileError, match="was killed by signal 6"):
        await files.load(config)


def test_it_is_told_that_reading_goes_on_while_records_are_generated(tmp_path: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    config.file.write_text(TEXT + "$GENERATE 1-9000 h$ A 192.0.2.1\n")
    told: list[CompileProgress] = []
    compiled(Order(str(config.file), config.origin, True, "compact", str(tmp_path)), told.append)
    assert sum(progress.step == "reading" for progress in told) >= 3
