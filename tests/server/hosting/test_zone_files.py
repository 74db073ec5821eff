"""Large zones are mapped from images, which a program of its own makes: what is mapped is what the file says."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from structlog.testing import capture_logs

from keys.dnssec.signing_policy import Policy
from server.hosting import zone_files
from server.hosting.compile_zone import CompileProgress, Made, Order, Refused, Unwritten, compiled
from server.hosting.registered_zone import LoadedChange
from server.hosting.zone_files import ZoneFiles
from server.hosting.zone_image_files import Images
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import ZoneConfig
from tests.keys.world import Fuse, World
from tests.lab import new_key, wire_name
from tests.processes import runs
from tests.zones.storage.test_zone_contents import compare
from zones.denial import DenialMode
from zones.masterfile.load import ZoneFileError, load_zone, parse_zone
from zones.persistent_map import SortedMap
from zones.storage.mapped_nodes import MappedChain, MappedNodes, image_digest
from zones.storage.zone_image import Image, ImageError, image_of

ORIGIN = "big.example"
TEXT = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "zones"
    images.mkdir()
    return images


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> ZoneConfig:
    file = tmp_path / "big.zone"
    file.write_text(TEXT)
    return ZoneConfig(origin=f"{ORIGIN}.", file=file)


def files(folder: Path, large: int = 1) -> ZoneFiles:
    return ZoneFiles(Images(folder), trio.to_thread.run_sync, large)


def found_in(folder: Path, config: ZoneConfig, unused: Callable[[Path, ImageError], object]) -> Image | None:
    assert config.file is not None
    return Images(folder).find(
        wire_name(config.origin), config.file, signed=config.signed, denial=config.denial, unused=unused
    )


def images_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image can be made."""
    monkeypatch.setattr(zone_files, "command", lambda module: [sys.executable, "-c", f"# no {module}"])


@pytest.mark.parametrize("directive", ["$INCLUDE rest.zone", '$include "rest.zone" ; more', "$INCLUDE between.zone"])
async def test_what_a_file_includes_makes_it_large(folder: Path, config: ZoneConfig, directive: str) -> None:
    assert config.file is not None
    config.file.write_text(f"{TEXT}{directive}\n$INCLUDE gone.zone\n")
    config.file.with_name("between.zone").write_text("; nothing but\n$INCLUDE rest.zone\n")
    rest = config.file.with_name("rest.zone")
    rest.write_text("".join(f"n{number} 60 A 192.0.2.1\n" for number in range(100)))
    with pytest.raises(ZoneFileError, match=r"gone\.zone"):
        await files(folder, large=1000).load(config)
    config.file.with_name("gone.zone").write_text("; here\n")
    assert isinstance((await files(folder, large=1000).load(config)).zone.nodes, MappedNodes)
    config.file.with_name("gone.zone").write_text("$INCLUDE no\0name\n")
    with pytest.raises(ZoneFileError, match="null byte"):
        await files(folder, large=1000).load(config)
    config.file.with_name("gone.zone").write_text("")
    rest.write_text("n 60 A 192.0.2.1\n")
    assert not isinstance((await files(folder, large=1000).load(config)).zone.nodes, MappedNodes)


async def test_a_large_zone_is_mapped_and_a_small_one_is_read(folder: Path, config: ZoneConfig) -> None:
    mapped = await files(folder).load(config)
    read = await files(folder, large=len(TEXT) + 1).load(config)
    assert isinstance(mapped.zone.nodes, MappedNodes)
    assert isinstance(read.zone.nodes, dict)
    compare(mapped.zone, read.zone)
    (name,) = images_in(folder)
    assert name.startswith("big.example-")
    assert folder.joinpath(name).stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("no_program")
async def test_an_image_is_used_as_long_as_the_file_stays_the_same(folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    order = Order(str(config.file), ORIGIN, True, "compact", str(folder))
    told: list[CompileProgress] = []
    assert isinstance(compiled(order, told.append), Made)
    assert {progress.step for progress in told} == {"reading", "compiling"}
    first = await files(folder).load(config)
    assert isinstance(first.zone.nodes, MappedNodes)
    os.utime(config.file, (1, 1))
    assert (await files(folder).load(config)).fingerprint == first.fingerprint
    # Neither one that is signed otherwise, nor one of other octets, however small the difference.
    flooded = await files(folder).load(replace(config, flood_denial=DenialMode.NSEC))
    assert isinstance(flooded.zone.nodes, MappedNodes)
    assert flooded.fingerprint != first.fingerprint
    for other in (replace(config, signed=False), replace(config, denial=DenialMode.NSEC)):
        assert not isinstance((await files(folder).load(other)).zone.nodes, MappedNodes)
    config.file.write_text(TEXT.replace("192.0.2.53", "192.0.2.54"))
    assert not isinstance((await files(folder).load(config)).zone.nodes, MappedNodes)


async def test_the_chain_that_a_flood_would_want_is_made_when_the_zone_is_loaded(
    folder: Path, config: ZoneConfig
) -> None:
    read, mapped = ZoneFiles(None, trio.to_thread.run_sync), files(folder)
    for reading, kind in ((read, SortedMap), (mapped, MappedChain)):
        plain = (await reading.load(config)).zone
        assert "chain" not in vars(plain)
        zone = (await reading.load(replace(config, flood_denial=DenialMode.NSEC))).zone
        assert isinstance(vars(zone)["chain"], kind)
        assert zone.denial.mode is DenialMode.COMPACT
        assert (zone.in_flood().denial.mode, zone.in_flood().chain) == (DenialMode.NSEC, zone.chain)
        assert list(zone.chain.values()) == list(plain.chain.values())


async def test_what_a_file_includes_may_change_too(folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    included = config.file.with_name("more.zone")
    config.file.write_text(TEXT + "$INCLUDE more.zone\n")
    included.write_text("www 60 A 192.0.2.1\n")
    first = await files(folder).load(config)
    included.write_text("www 60 A 192.0.2.2\n")
    second = await files(folder).load(config)
    assert second.fingerprint != first.fingerprint
    assert second.zone.nodes[wire_name("www.big.example")].rrsets[1].canonical == (bytes([192, 0, 2, 2]),)
    included.unlink()
    with pytest.raises(ZoneFileError, match="cannot include"):
        await files(folder).load(config)


async def test_a_file_that_makes_no_zone_is_refused_as_ever(folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    config.file.write_text(TEXT + "www 60 A nonsense\n")
    with pytest.raises(ZoneFileError) as expected:
        load_zone(config.file, ORIGIN)
    with pytest.raises(ZoneFileError) as refused:
        await files(folder).load(config)
    assert str(refused.value) == str(expected.value)
    assert images_in(folder) == []
    with pytest.raises(ZoneFileError, match="cannot be read"):
        await files(folder).load(replace(config, file=Path("missing.zone")))


async def test_a_damaged_image_is_made_again(folder: Path, config: ZoneConfig) -> None:
    first = await files(folder).load(config)
    path = folder / images_in(folder)[0]
    whole = path.read_bytes()
    for damaged in (whole[:-1], b"", whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]):
        Images(folder).keep_only([])
        path.write_bytes(damaged)
        with pytest.raises(ImageError):
            Images(folder).open(wire_name(ORIGIN), bytes.fromhex(path.stem[-32:] + "00" * 16))
        again = await files(folder).load(config)
        assert isinstance(again.zone.nodes, MappedNodes)
        assert again.fingerprint == first.fingerprint
        assert len(images_in(folder)) == 2  # the damaged one may be open elsewhere


async def test_an_image_that_can_t_be_opened_now_stays(
    folder: Path, config: ZoneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await files(folder).load(config)
    before = images_in(folder)
    told: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr("server.hosting.zone_image_files.MappedFile", refuse)
        assert found_in(folder, config, lambda path, _: told.append(path.name)) is None
    assert told == before
    assert images_in(folder) == before


def refuse(*_: object, **__: object) -> None:
    """As the system does when there is no memory to map."""
    raise OSError(12, "Cannot allocate memory")


async def test_an_image_under_a_wrong_name_is_not_taken_for_another(folder: Path, config: ZoneConfig) -> None:
    await files(folder).load(config)
    path = folder / images_in(folder)[0]
    path.rename(path.with_name(f"big.example-{'0' * 32}.image"))
    with pytest.raises(ImageError, match="does not match its name"):
        Images(folder).open(wire_name(ORIGIN), bytes(32))


async def test_only_what_is_served_is_kept(folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    reading = files(folder)
    first = await reading.load(config)
    config.file.write_text(TEXT + "www 60 A 192.0.2.1\n")
    second = await reading.load(config)
    folder.joinpath("tmp1234.partial").write_bytes(b"half of an")
    assert len(images_in(folder)) == 3
    await reading.forget([second.zone])
    assert len(images_in(folder)) == 1
    # A process that has the other one open continues as if it were there.
    compare(first.zone, first.zone.answered_as(signed=True, denial=DenialMode.COMPACT, flood_denial=None))
    await reading.forget([])
    assert images_in(folder) == []


@pytest.mark.usefixtures("no_program")
async def test_without_the_program_the_zone_is_read_here(folder: Path, config: ZoneConfig) -> None:
    assert isinstance((await files(folder).load(config)).zone.nodes, dict)


async def test_a_program_that_is_killed_means_that_no_zone_is_read_here_either(
    folder: Path, config: ZoneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = "import os, signal, sys; sys.stdin.read(); os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(zone_files, "command", lambda module: [sys.executable, "-c", f"{killed}  # {module}"])
    with pytest.raises(ZoneFileError, match="gigabyte for a million records"):
        await files(folder).load(config)


async def test_a_path_that_is_no_utf_8_is_read_here(folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    odd = config.file.rename(config.file.with_name(os.fsdecode(b"big\xff.zone")))
    assert isinstance((await files(folder).load(replace(config, file=odd))).zone.nodes, dict)


async def test_without_the_folder_the_zone_is_read_here(tmp_path: Path, config: ZoneConfig) -> None:
    assert isinstance((await files(tmp_path / "none").load(config)).zone.nodes, dict)


def test_what_can_t_be_written_is_told(tmp_path: Path, config: ZoneConfig) -> None:
    order = Order(str(config.file), ORIGIN, True, "compact", str(tmp_path / "none"))
    assert isinstance(compiled(order, lambda _: None), Unwritten)


def test_a_disk_that_is_full_leaves_nothing_behind(folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    zone = load_zone(config.file, ORIGIN)

    def pieces() -> Iterator[bytes]:
        yield next(iter(image_of(zone, (), new_key)))
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="space"):
        Images(folder).write(zone.origin, pieces())
    assert images_in(folder) == []


def test_any_name_of_a_zone_gives_a_name_of_a_file(folder: Path) -> None:
    text = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns.elsewhere.test.\n"
    for origin in (".", "a/b.example", "A_b.example", "\\000.example", f"{'x' * 63}.{'y' * 63}.{'z' * 63}.example"):
        zone = parse_zone(text, origin)
        digest = Images(folder).write(zone.origin, image_of(zone, (), new_key))
        assert Images(folder).open(zone.origin, digest).zone.origin == zone.origin
    assert len(images_in(folder)) == 5


async def test_it_ends_with_who_wanted_it(
    folder: Path, config: ZoneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "pid"
    os.mkfifo(told)
    endless = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    monkeypatch.setattr(zone_files, "command", lambda module: [sys.executable, "-c", f"{endless}  # {module}"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(files(folder).load, config)
        with trio.fail_after(60):
            pid = int(await trio.Path(told).read_text())
        nursery.cancel_scope.cancel()
    assert not runs(pid)


async def test_a_reload_takes_up_what_changed(world: World, folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = dataclasses.replace(world.services(store, Fuse()), run_blocking=trio.to_thread.run_sync)
            registry = ZoneRegistry(services, nursery, lambda: None, None, files(folder))
            changes = []
            found: Image | None = None
            for text in (TEXT, TEXT, f"; a comment\n{TEXT}", TEXT + "www 60 A 192.0.2.1\n", "nonsense"):
                config.file.write_text(text)
                changes += [load.change for load in await registry.load([config])]
                assert len(images_in(folder)) == 1
                now = found_in(folder, config, lambda path, error: pytest.fail(f"{path}: {error}"))
                assert now is not None or text == "nonsense"
                found = now or found
                # What is answered from, workers can open, and the next start finds.
                served = registry.zoneset.get(wire_name(ORIGIN))
                assert found is not None
                assert served is not None
                assert image_digest(served.zone) == found.digest
            nursery.cancel_scope.cancel()
    assert changes == [
        LoadedChange.LOADED,
        LoadedChange.UNCHANGED,
        LoadedChange.UNCHANGED,
        LoadedChange.LOADED,
        LoadedChange.REFUSED,
    ]
    served = registry.zoneset.get(wire_name(ORIGIN))
    assert served is not None
    assert isinstance(served.zone.nodes, MappedNodes)
    assert wire_name("www.big.example") in served.zone.nodes


async def test_settings_that_came_with_a_file_that_was_refused_are_taken_up_with_the_next(
    world: World, folder: Path, config: ZoneConfig
) -> None:
    assert config.file is not None
    others = replace(config, policy=Policy(dnskey_ttl=600))
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            registry = ZoneRegistry(world.services(store, Fuse()), nursery, lambda: None)
            changes = []
            for text, wanted in ((TEXT, config), ("nonsense", others), (TEXT, others), (TEXT, others)):
                config.file.write_text(text)
                changes += [load.change for load in await registry.load([wanted])]
            nursery.cancel_scope.cancel()
    assert changes == [LoadedChange.LOADED, LoadedChange.REFUSED, LoadedChange.LOADED, LoadedChange.UNCHANGED]


@pytest.mark.parametrize("large", [1, 1000], ids=["mapped", "read"])
async def test_what_is_hardly_meant_is_logged_once(world: World, folder: Path, config: ZoneConfig, large: int) -> None:
    assert config.file is not None
    absent = "".join(f"@ 60 MX {number} gone{number}\n" for number in range(7))
    loads = (TEXT, TEXT + absent, TEXT + absent, TEXT.replace("host 1 ", "host 0 "))
    told = []
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = dataclasses.replace(world.services(store, Fuse()), run_blocking=trio.to_thread.run_sync)
            registry = ZoneRegistry(services, nursery, lambda: None, None, files(folder, large))
            for text in loads:
                config.file.write_text(text)
                with capture_logs() as logs:
                    await registry.load([config])
                told.append([(log["zone"], log["reason"]) for log in logs if log["log_level"] == "warning"])
            with capture_logs() as logs:  # as after a restart
                await ZoneRegistry(services, nursery, lambda: None, None, files(folder, large)).load([config])
            nursery.cancel_scope.cancel()
    file, zone = config.file, "big.example."
    absences = [(zone, f"{file}:{4 + n}: {zone} MX: gone{n}.{zone} has no records here") for n in range(5)]
    unchanged = f"{file}: the zone changed, but its serial is still 1: increase it (RFC 1982)"
    down = f"{file}: the serial went down from 1 to 0: secondaries will not transfer it (RFC 1982)"
    assert told == [[], [*absences, (zone, "and 2 more"), (zone, unchanged)], [], [(zone, down)]]
    assert [log for log in logs if log["log_level"] == "warning"] == []


async def test_an_image_that_is_there_is_not_asked_for_warnings(folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    config.file.write_text(TEXT + "@ 60 MX 0 gone\n")
    assert len((await files(folder).load(config)).warnings) == 1
    assert (await files(folder).load(config)).warnings == ()


async def test_an_image_that_is_there_names_the_records_that_are_left_out(folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    config.file.write_text(TEXT + "@ 60 MX 0 gone\n@ 60 CDS 0 0 0 00\n")
    made = await files(folder).load(config)
    assert len(made.warnings) == 2
    (found,) = (await files(folder).load(config)).warnings
    assert found == made.warnings[0]
    assert found.startswith(f"{config.file}:5: {ORIGIN}. CDS: left out: ")


@pytest.mark.parametrize("large", [1, 1000], ids=["mapped", "read"])
async def test_a_new_record_that_is_left_out_is_named_though_the_zone_is_unchanged(
    world: World, folder: Path, config: ZoneConfig, large: int
) -> None:
    assert config.file is not None
    signal_, location = "@ 60 CDS 0 0 0 00\n", "x 60 LOC 10 N 20 E 1e3m\n"
    told, earlier = [], []
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = dataclasses.replace(world.services(store, Fuse()), run_blocking=trio.to_thread.run_sync)
            registry = ZoneRegistry(services, nursery, lambda: None, None, files(folder, large))
            await registry.load([config])
            for text in (TEXT + signal_, TEXT + signal_, TEXT + signal_ + location, TEXT, TEXT + signal_):
                config.file.write_text(text)
                with capture_logs() as logs:
                    (load,) = await registry.load([config])
                assert load.change is LoadedChange.UNCHANGED
                assert [(log["event"], log["reason"]) for log in logs if log["log_level"] == "warning"] == [
                    ("zone warning", warning) for warning in load.warnings
                ]
                told.append([warning.partition(": left out")[0] for warning in load.warnings])
                earlier.append([warning.partition(": left out")[0] for warning in load.earlier_warnings])
            nursery.cancel_scope.cancel()
    cds, loc = f"{config.file}:4: {ORIGIN}. CDS", f"{config.file}:5: x.{ORIGIN}. LOC"
    assert told == [[cds], [], [loc], [], [cds]]
    # Who asks for a reload is told of all.
    assert earlier == [[], [cds], [cds], [], []]


async def test_a_reload_needs_no_folder_of_images(world: World, folder: Path, config: ZoneConfig) -> None:
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = dataclasses.replace(world.services(store, Fuse()), run_blocking=trio.to_thread.run_sync)
            registry = ZoneRegistry(services, nursery, lambda: None, None, files(folder))
            await registry.load([config])
            shutil.rmtree(folder)
            assert [load.change for load in await registry.load([])] == [LoadedChange.REMOVED]
            nursery.cancel_scope.cancel()


def test_the_program_says_what_it_does(folder: Path, config: ZoneConfig) -> None:
    order = f'{{"file":"{config.file}","origin":"{ORIGIN}","signed":true,"denial":"nsec","images":"{folder}"}}'
    command = [sys.executable, "-m", "server.hosting.compile_zone"]
    lines = subprocess.run(command, input=order.encode(), capture_output=True, check=True).stdout.splitlines()
    assert b'"CompileProgress"' in lines[0]
    assert b'"Made"' in lines[-1]
    assert len(images_in(folder)) == 1


def test_signals_are_for_the_server(folder: Path, config: ZoneConfig) -> None:
    order = f'{{"file":"{config.file}","origin":"{ORIGIN}","signed":true,"denial":"nsec","images":"{folder}"}}'
    signals = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    command = [sys.executable, "-m", "server.hosting.compile_zone"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None
        deadline = time.monotonic() + 60
        while not ignored(program.pid) >= set(signals):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for number in signals:
            program.send_signal(number)
        program.stdin.write(order.encode())
        program.stdin.close()
        assert program.wait(60) == 0
    assert len(images_in(folder)) == 1


def ignored(pid: int) -> set[int]:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")), 16)
    return {number for number in signal.valid_signals() if mask >> (number - 1) & 1}


@pytest.mark.parametrize("large", [1, 1 << 20])
async def test_a_file_that_hangs_is_refused_and_its_folder_is_left_alone_until_it_comes_back(
    folder: Path, config: ZoneConfig, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    """As a network mount does. `large`: it hangs while it is read, or while its image is looked for."""
    for name in ("_READ_WITHIN", "_FOUND_WITHIN"):
        monkeypatch.setattr(zone_files, name, 0.05)
    assert config.file is not None
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(config.file, elsewhere / "other.zone")
    comes_back, asked = threading.Event(), 0

    def hang(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        comes_back.wait()

    patient = partial(trio.to_thread.run_sync, abandon_on_cancel=True)
    loading = ZoneFiles(Images(folder), patient, large)
    with monkeypatch.context() as patched:
        if large == 1:
            patched.setattr(Images, "find", hang)
        else:
            patched.setattr(zone_files, "_read", hang)
        with pytest.raises(ZoneFileError, match="cannot be read: no data for"):
            await loading.load(config)
        for _ in range(3):
            with pytest.raises(ZoneFileError, match="another file in its folder hangs"):
                await loading.load(config)
        assert asked == 1
    for name in ("_READ_WITHIN", "_FOUND_WITHIN"):
        monkeypatch.setattr(zone_files, name, 60)
    assert await loading.load(replace(config, file=elsewhere / "other.zone"))
    comes_back.set()
    with trio.fail_after(60):
        while loading._hanging:  # noqa: ASYNC110 - a thread has no event of trio
            await trio.sleep(0.01)
    assert await loading.load(config)


async def test_a_program_that_says_nothing_for_long_is_ended(
    folder: Path, config: ZoneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_files, "_NEWS_WITHIN", 0.05)
    monkeypatch.setattr(zone_files, "command", lambda _: [sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(ZoneFileError, match="has made no progress for"):
        await files(folder).load(config)


async def test_an_image_that_is_gone_or_not_whole_is_written_again(folder: Path, config: ZoneConfig) -> None:
    zone = (await files(folder).load(config)).zone
    nodes = zone.nodes
    assert isinstance(nodes, MappedNodes)
    images = Images(folder)
    (name,) = images_in(folder)
    whole = (folder / name).read_bytes()
    assert not images.provide(zone.origin, nodes.image, nodes.octets)
    (folder / name).unlink()  # what is mapped stays as it is
    assert images.provide(zone.origin, nodes.image, nodes.octets)
    assert (folder / name).read_bytes() == whole
    (folder / name).unlink()
    (folder / name).write_bytes(whole[:100])
    assert images.provide(zone.origin, nodes.image, nodes.octets)
    assert (folder / name).read_bytes() == whole
    assert images_in(folder) == [name]


async def test_an_image_is_not_removed_while_it_is_written(folder: Path, config: ZoneConfig) -> None:
    zone = (await files(folder).load(config)).zone
    nodes = zone.nodes
    assert isinstance(nodes, MappedNodes)
    images, octets = Images(folder), nodes.octets
    images.keep_only([])
    with ThreadPoolExecutor() as threads:
        for _ in range(30):
            written = [threads.submit(images.provide, zone.origin, nodes.image, octets) for _ in range(4)]
            removed = [threads.submit(images.keep_only, []) for _ in range(4)]
            wait(written)
            wait(removed)
            assert any(each.result() for each in written)
            assert all(each.result() is None for each in removed)
            images.keep_only([])
    assert images_in(folder) == []


@pytest.mark.parametrize("large", [1, 1000], ids=["mapped", "read"])
async def test_a_record_that_a_library_fails_on_is_refused_and_the_server_goes_on(
    world: World, folder: Path, config: ZoneConfig, large: int
) -> None:
    assert config.file is not None
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = dataclasses.replace(world.services(store, Fuse()), run_blocking=trio.to_thread.run_sync)
            registry = ZoneRegistry(services, nursery, lambda: None, None, files(folder, large))
            await registry.load([config])
            config.file.write_text(TEXT + "tower 60 LOC 10 0 0 N 20 0 0 E 50000000m\n")
            (load,) = await registry.load([config])
            assert load.change is LoadedChange.REFUSED
            assert load.reason is not None
            assert load.reason.startswith(f"{config.file}:4: LOC: expected an altitude")
            assert registry.zoneset.get(wire_name(ORIGIN)) is not None
            nursery.cancel_scope.cancel()


def test_the_program_reports_such_a_record(folder: Path, config: ZoneConfig) -> None:
    assert config.file is not None
    config.file.write_text(TEXT + "tower 60 LOC 10 0 0 N 20 0 0 E 1e400\n")
    outcome = compiled(Order(str(config.file), ORIGIN, True, "nsec", str(folder)), lambda _: None)
    assert isinstance(outcome, Refused)
    assert (outcome.file, outcome.line) == (str(config.file), 4)


@pytest.mark.parametrize("large", [1, 1000], ids=["mapped", "read"])
async def test_a_record_that_was_served_and_is_no_longer_valid_is_left_out(
    folder: Path, config: ZoneConfig, large: int
) -> None:
    assert config.file is not None
    config.file.write_text(TEXT + "x 60 LOC 10 N 20 E 1e3m\nx 60 TYPE3 \\# 1 09\n@ 60 CDS 0 0 0 00\ny 60 A 192.0.2.1\n")
    loaded = await files(folder, large).load(config)
    assert wire_name("x.big.example") not in loaded.zone.nodes
    assert wire_name("y.big.example") in loaded.zone.nodes
    assert [warning.partition(": left out")[0] for warning in loaded.warnings] == [
        f"{config.file}:4: x.big.example. LOC",
        f"{config.file}:5: x.big.example. MD",
        f"{config.file}:6: big.example. CDS",
    ]
    with pytest.raises(ZoneFileError):
        load_zone(config.file, ORIGIN)
