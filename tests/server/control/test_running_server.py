"""Reloads of a running server: what was read last is applied last, and nothing that hangs holds them up.

And what others need to trust its zones.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from keys.rules.commands import CreateKsk, EnableSigning
from server.control.running_server import RunningServer, _log_reload
from server.control.server_operations import ReloadOutcome, ReloadReport, ZoneReload
from server.hosting.hosted_zones import HostedZones
from server.hosting.zone_registry import ZoneRegistry
from server.net.addresses import Address
from server.settings.configuration import ConfigError, load_config
from server.state.directory import StateDir
from tests.keys.world import Fuse, World
from zones.zoneset import ZoneSet

SERVER = Address("192.0.2.1", 53)


class Everywhere:
    """Every answer has all that is answered here."""

    async def all_published(self) -> None:
        await trio.lowlevel.checkpoint()


class Registry:
    """Remembers what it loads; signing waits until it may end."""

    def __init__(self) -> None:
        self.zoneset = ZoneSet()
        self.registered: dict[bytes, Any] = {}
        self.membership = Everywhere()
        self.loaded: list[object] = []
        self.may_sign = trio.Event()

    async def load(self, zones: object) -> list[object]:
        await trio.lowlevel.checkpoint()
        self.loaded.append(zones)
        return []

    async def sign(self) -> None:
        await self.may_sign.wait()


def running(registry: Registry, reread: Any) -> RunningServer:
    nothing: Any = None
    of_any: Any = registry
    return RunningServer(nothing, reread, nothing, nothing, of_any, (), "")


async def test_of_two_reloads_the_one_that_read_last_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one has read the old configuration, and is held up before it takes it up."""
    monkeypatch.setattr("server.control.running_server.waiting_for_restart", lambda *_, **__: ())
    file, reading, may_go_on = "old", threading.Event(), threading.Event()

    def reread() -> Any:
        read = file
        if read == "old":
            reading.set()
            may_go_on.wait()
        return SimpleNamespace(zones=read)

    registry = Registry()
    registry.may_sign.set()
    server = running(registry, reread)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.reload)
        await trio.to_thread.run_sync(reading.wait)
        file = "new"
        nursery.start_soon(server.reload)
        await trio.testing.wait_all_tasks_blocked(0.05)
        may_go_on.set()
    assert registry.loaded == ["old", "new"]


async def test_a_reload_waits_for_no_kms_that_another_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.control.running_server.waiting_for_restart", lambda *_, **__: ())
    registry = Registry()
    server = running(registry, lambda: SimpleNamespace(zones="any"))
    loaded: list[str] = []
    async with trio.open_nursery() as nursery:
        for name in ("one", "other"):
            nursery.start_soon(server.reload, lambda name=name: loaded.append(name))
        with trio.fail_after(60):
            while len(loaded) < 2:  # noqa: ASYNC110 - a thread reads
                await trio.sleep(0.01)
        registry.may_sign.set()


async def test_a_configuration_that_hangs_is_refused_and_the_next_one_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.control.running_server.waiting_for_restart", lambda *_, **__: ())
    monkeypatch.setattr("server.control.running_server._READ_WITHIN", 0.05)
    may_end = threading.Event()

    def hang() -> Any:
        may_end.wait()

    registry = Registry()
    registry.may_sign.set()
    server = running(registry, hang)
    with pytest.raises(ConfigError, match="was not read within"):
        await server.reload()
    monkeypatch.setattr("server.control.running_server._READ_WITHIN", 60)
    monkeypatch.setattr(server, "_reread", lambda: SimpleNamespace(zones="any"))
    await server.reload()
    assert registry.loaded == ["any"]
    may_end.set()


async def test_a_configuration_that_cannot_be_read_is_told_of() -> None:
    def gone() -> Any:
        raise PermissionError(13, "Permission denied", "signwright.toml")

    with pytest.raises(ConfigError, match=r"can't be read: .*signwright\.toml"):
        await running(Registry(), gone).reload()


async def test_a_zone_is_a_trust_anchor_or_insecure_by_its_keyring(tmp_path: Path, autojump_clock: MockClock) -> None:
    world = World(tmp_path)
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())
            registry = ZoneRegistry(services, nursery, lambda: None)
            zones = HostedZones(registry, services)
            nothing: Any = None
            running = RunningServer(load_config(), nothing, StateDir(tmp_path), store, registry, (SERVER,), "")
            zone, _ = await zones.create_zone("x.example", "r", ["ns.example"])
            key_manager = await zones.key_manager(zone.id)
            unbound = tmp_path / "trust" / "unbound.conf"
            await running.write_trust()
            assert 'domain-insecure: "x.example."' in unbound.read_text()  # though its keys are kept by now
            report = running.zone("x.example.")
            assert report is not None
            assert (report.signed, report.keys is not None) == (False, True)
            await key_manager.request(CreateKsk("ksk_1", None, active=True))
            await key_manager.request(EnableSigning())
            await trio.sleep(10)
            await running.write_trust()
            assert "domain-insecure" not in unbound.read_text()
            assert 'trust-anchor: "x.example. DS ' in unbound.read_text()
            report = running.zone("x.example.")
            assert report is not None
            assert report.signed
            nursery.cancel_scope.cancel()


def test_a_reload_is_logged_with_what_became_of_the_zones_also_where_nothing_did() -> None:
    zones = [ZoneReload(origin=f"z{n}.", outcome=ReloadOutcome.REPLACED) for n in range(12)]
    zones += [ZoneReload(origin="same.", outcome=ReloadOutcome.UNCHANGED, warnings=("one", "two"))]
    with structlog.testing.capture_logs() as logs:
        _log_reload(ReloadReport(tuple(zones)))
        _log_reload(ReloadReport((ZoneReload(origin="same.", outcome=ReloadOutcome.UNCHANGED),)))
    named = ", ".join(f"z{n}." for n in range(10))
    assert logs == [
        {
            "event": "reloaded",
            "log_level": "info",
            "replaced": f"{named} and 2 more",
            "unchanged": 1,
            "warnings": 2,
        },
        {"event": "reloaded", "log_level": "info", "unchanged": 1, "warnings": None},
    ]
