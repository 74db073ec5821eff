"""One entry, one lock and at most one key manager a name, whatever comes and goes at the same time."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.rcode
import pytest
import trio
import trio.lowlevel
from msgspec.structs import replace as replace_config
from trio.testing import MockClock

from keys.custody.state_database import DATABASE, StateUnavailable
from keys.dnssec.ds import ds_rdata
from keys.dnssec.signing_policy import DAY
from keys.kms.interface import KeyRequest
from keys.rules.commands import CreateKsk, DisableSigning, EnableSigning, StartRollover, WithdrawDs
from keys.rules.key_status import Condition
from keys.rules.wanted_ds import ParentDs
from server.hosting import zone_files
from server.hosting.hosted_zones import HostedZones
from server.hosting.parent_lookup import LocalParent
from server.hosting.registered_zone import LoadedChange
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import ZoneConfig
from tests.keys.world import Fuse, World
from tests.lab import ask, wire_name
from zones.masterfile.load import ReadingLimits
from zones.recordsets.record_sets import ZoneRequestError

SOA = "@ 300 SOA ns host 1 7200 3600 1209600 300\n@ 300 NS ns\nns 300 A 192.0.2.53\n"
CHILD = "child.example."


class Served:
    """Zones of files and hosted ones, in one process."""

    def __init__(self, world: World, folder: Path, registry: ZoneRegistry, zones: HostedZones) -> None:
        self.world, self.folder, self.registry, self.zones = world, folder, registry, zones

    def file(self, origin: str, text: str = SOA) -> ZoneConfig:
        path = self.folder / f"{origin}zone"
        path.write_text(text)
        return ZoneConfig(origin=origin, file=path)

    async def load(self, *configs: ZoneConfig) -> None:
        await self.registry.load(configs)
        await self.registry.sign()

    def ask(self, name: str, rrtype: str) -> dns.message.Message:
        return dns.message.from_wire(ask(self.registry.zoneset, name, rrtype, now=int(self.world.now())))

    def rcode(self, name: str, rrtype: str = "SOA") -> str:
        return dns.rcode.to_text(self.ask(name, rrtype).rcode())

    def ds(self, name: str) -> set[bytes]:
        return {rdata.to_wire() for rrset in self.ask(name, "DS").answer if rrset.rdtype == 43 for rdata in rrset}

    def ksks(self, name: str) -> set[bytes]:
        """The DS rdatas of the KSKs in the DNSKEY RRset."""
        rrsets = [rrset for rrset in self.ask(name, "DNSKEY").answer if rrset.rdtype == 48]
        keys = {rdata.to_wire() for rrset in rrsets for rdata in rrset if rdata.flags == 257}
        return {ds_rdata(wire_name(name), key) for key in keys}


@asynccontextmanager
async def serving(world: World, folder: Path, *, threads: bool = False) -> AsyncIterator[Served]:
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            services = world.services(store, Fuse())
            if threads:
                services = replace(services, run_blocking=trio.to_thread.run_sync)
            registry = ZoneRegistry(services, nursery, lambda: None)
            zones = HostedZones(registry, services)
            await zones.load()
            yield Served(world, folder, registry, zones)
            nursery.cancel_scope.cancel()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# A key manager that is given up while it starts


async def test_a_parent_that_is_made_while_its_child_starts(
    world: World, tmp_path: Path, autojump_clock: MockClock
) -> None:
    world.kms.delay(4)
    async with serving(world, tmp_path) as here:
        await here.registry.load([here.file(CHILD)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.registry.sign)
            await trio.sleep(2)
            await here.zones.create_zone("example", "r", ["ns.example"])
        await trio.sleep(200)
        assert here.rcode(CHILD) == "NOERROR"
        assert len(world.kms.keys) == 1


@pytest.mark.parametrize("what", ["removed", "another parent"])
async def test_a_reload_that_gives_up_a_key_manager_that_starts(
    world: World, tmp_path: Path, autojump_clock: MockClock, what: str
) -> None:
    world.kms.delay(4)
    async with serving(world, tmp_path) as here:
        child = here.file(CHILD)
        changed = ZoneConfig(origin=child.origin, file=child.file, parent=None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.load, child)
            await trio.sleep(2)
            await here.load(*([changed] if what == "another parent" else []))
        await trio.sleep(200)
        assert here.rcode(CHILD) == ("NOERROR" if what == "another parent" else "REFUSED")
        assert world.kms.calls["create_key"] <= 1


async def test_two_that_sign_at_a_time_make_one_key(world: World, tmp_path: Path, autojump_clock: MockClock) -> None:
    async with serving(world, tmp_path) as here:
        await here.registry.load([here.file(CHILD)])
        world.kms.delay(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.registry.sign)
            nursery.start_soon(here.registry.sign)
        await trio.sleep(100)
        assert len(world.kms.keys) == 1
        assert world.kms.calls["create_key"] == 1


# Delete and create of one name at a time


async def test_a_name_that_is_deleted_and_made_at_a_time_is_stored_and_answered_or_neither(
    world: World, tmp_path: Path
) -> None:
    async with serving(world, tmp_path, threads=True) as here:
        for turn in range(12):
            zone, _ = await here.zones.create_zone("x.example", f"first {turn}", ["ns.example"])
            made: list[str] = []

            async def create(turn: int = turn, made: list[str] = made) -> None:
                for number in range(500):
                    try:
                        made.append((await here.zones.create_zone("x.example", f"{turn}/{number}", ["ns.test"]))[0].id)
                    except ZoneRequestError:
                        await trio.lowlevel.checkpoint()
                    else:
                        return

            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.zones.delete_zone, zone.id)
                nursery.start_soon(create)
            (stored,) = [one.id for one in await here.zones.zones(None, 10)]
            assert made == [stored]
            assert here.rcode("x.example") == "NOERROR"
            assert here.registry.registered[wire_name("x.example")].generation == max(
                one.generation for one in here.registry.registered.values()
            )
            await here.zones.delete_zone(stored)


async def test_what_a_key_manager_publishes_late_is_not_the_next_zones(
    world: World, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with serving(world, tmp_path) as here:
        zone, _ = await here.zones.create_zone("x.example", "first", ["ns.example"])
        first = here.registry.registered[wire_name("x.example")]
        key_manager = await here.zones.key_manager(zone.id)
        await here.zones.delete_zone(zone.id)
        await here.zones.create_zone("x.example", "second", ["ns.example"])
        publish = key_manager._publisher._publish  # a task that was cut short between two steps
        first.key_manager = key_manager
        before = here.registry.zoneset
        publish(first.origin, None)
        assert here.registry.zoneset is before


# Parent and child


async def test_a_zone_between_that_comes_and_goes_by_reloads(
    world: World, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with serving(world, tmp_path) as here:
        above = here.file("example.", SOA + "a.b 300 NS ns.a.b\nns.a.b 300 A 192.0.2.54\n")
        between = here.file("b.example.", SOA + "a 300 NS ns.a\nns.a 300 A 192.0.2.54\n")
        child = here.file("a.b.example.")
        await here.load(above, child)
        await trio.sleep(DAY)
        for configs in ((above, between, child), (above, child), (above, child)):
            await here.load(*configs)
            await trio.sleep(2 * DAY)
            assert here.ds("a.b.example.") == here.ksks("a.b.example.") != set()
        # The key rolls while the zone between is here, and delegated.
        (tmp_path / "example.zone").write_text(SOA + "b 300 NS ns.b\nns.b 300 A 192.0.2.53\n")
        await here.load(above, between, child)
        await trio.sleep(2 * DAY)
        assert here.ds("a.b.example.") == here.ksks("a.b.example.") != set()
        (tmp_path / "example.zone").write_text(SOA + "a.b 300 NS ns.a.b\nns.a.b 300 A 192.0.2.54\n")
        await here.load(above, child)
        assert here.ds("a.b.example.") == here.ksks("a.b.example.") != set()


async def test_a_zone_between_that_is_made_and_deleted_over_the_api(
    world: World, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with serving(world, tmp_path) as here:
        text = SOA + "a.b 300 NS ns.a.b\nns.a.b 300 A 192.0.2.54\n"
        above, child = here.file("example.", text), here.file("a.b.example.")
        await here.load(above, child)
        await trio.sleep(DAY)
        wanted = here.ksks("a.b.example.")
        zone, change = await here.zones.create_zone("b.example", "r", ["ns.example"])
        assert (await here.zones.change(change.id)).status.value == "INSYNC"
        assert here.ds("a.b.example.") == wanted
        assert here.registry.zoneset.withheld(wire_name("b.example")) is not None
        # The zone above is loaded again meanwhile.
        await here.load(here.file("example.", text.replace("host 1", "host 2") + "x 300 A 192.0.2.1\n"), child)
        assert here.ds("a.b.example.") == wanted
        await here.zones.delete_zone(zone.id)
        assert here.ds("a.b.example.") == wanted


def unreadable_zsk(folder: Path) -> None:
    """Damages the private ZSK of the child."""
    with sqlite3.connect(folder / "state" / DATABASE) as database:
        database.execute("UPDATE zsk_secret SET sealed = x'01' WHERE origin = ?", (wire_name(CHILD),))
    database.close()


def refused_file(folder: Path) -> None:
    """Damages the zone file of the child."""
    (folder / f"{CHILD}zone").write_text("broken")


@pytest.mark.parametrize("damage", [unreadable_zsk, refused_file, None])
async def test_a_signed_parent_has_the_ds_of_its_child_whatever_can_be_loaded_after_a_restart(
    world: World, tmp_path: Path, autojump_clock: MockClock, damage: Callable[[Path], None] | None
) -> None:
    async with serving(world, tmp_path) as here:
        parent = here.file("example.", SOA + "child 300 NS ns.child\nns.child 300 A 192.0.2.54\n")
        child = here.file(CHILD)
        await here.load(parent, child)
        await trio.sleep(DAY)
        wanted = here.ds(CHILD)
        assert len(wanted) == 1
    if damage is not None:
        damage(tmp_path)
    async with serving(world, tmp_path) as here:
        loads = await here.registry.load([parent, child])
        assert [load.change for load in loads] == [
            LoadedChange.LOADED,
            LoadedChange.REFUSED if damage is refused_file else LoadedChange.LOADED,
        ]
        served = here.registry.zoneset.get(wire_name("example"))
        assert served is not None
        # Before any key is loaded: the parent answers nothing yet, and has the DS.
        assert here.rcode(CHILD, "DS") == here.rcode(CHILD) == "SERVFAIL"
        assert set(served.zone.nodes[wire_name(CHILD)].rrsets[43].canonical) == wanted
        await here.registry.sign()
        assert here.ds(CHILD) == wanted
        assert here.rcode(CHILD) == ("NOERROR" if damage is None else "SERVFAIL")


# What was served unsigned goes on so


async def test_a_zone_with_signing_disabled_is_served_unsigned_from_the_first_answer_after_a_restart(
    world: World, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with serving(world, tmp_path) as here:
        config = here.file(CHILD)
        await here.load(config)
        key_manager = here.registry.registered[wire_name(CHILD)].key_manager
        assert key_manager is not None
        await key_manager.request(DisableSigning(force=True))
        await trio.sleep(5)
        assert here.rcode(CHILD) == "NOERROR"
    async with serving(world, tmp_path) as here:
        await here.registry.load([config])
        assert here.rcode(CHILD) == "NOERROR"


async def test_a_hosted_zone_whose_first_keyset_is_awaited_is_served_unsigned_after_a_restart(
    world: World, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with serving(world, tmp_path) as here:
        zone, _ = await here.zones.create_zone("h.example", "r", ["ns.example"])
        key_manager = await here.zones.key_manager(zone.id)
        arn = await world.kms.create_key(KeyRequest("a KSK", None, {}))
        await key_manager.request(CreateKsk("ksk_1", arn))
        await trio.sleep(5)
        world.kms.fail("KMSInternalException", method="sign")
        await key_manager.request(EnableSigning())
        await trio.sleep(5)
        assert here.rcode("h.example") == "NOERROR"
    async with serving(world, tmp_path) as here:
        assert here.rcode("h.example") == "NOERROR"
        await here.registry.sign()
        assert here.rcode("h.example") == "NOERROR"


# One bad zone, keyring or row is SERVFAIL for that zone, and the rest is served


def _newer(document: bytes) -> bytes:
    return document.replace(b'"signing":', b'"added_by_a_newer_one":1,"signing":')


@pytest.mark.parametrize(
    "damaged", [_newer, lambda _: b"", lambda document: document[:-9]], ids=["newer", "empty", "cut"]
)
async def test_a_keyring_that_cannot_be_read_is_its_zones_alone(
    world: World, tmp_path: Path, autojump_clock: MockClock, damaged: Callable[[bytes], bytes]
) -> None:
    async with serving(world, tmp_path) as here:
        parent = here.file("example.", SOA + "child 300 NS ns.child\nns.child 300 A 192.0.2.54\n")
        child = here.file(CHILD)
        await here.load(parent, child)
        await trio.sleep(DAY)
        wanted = here.ds(CHILD)
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        (document,) = database.execute("SELECT document FROM ring WHERE origin = ?", (wire_name(CHILD),)).fetchone()
        row = damaged(document), wire_name(CHILD)
        database.execute("UPDATE ring SET document = ? WHERE origin = ?", row)
    database.close()
    async with serving(world, tmp_path) as here:
        await here.load(parent, child)
        assert here.rcode("example.") == "NOERROR"
        assert here.rcode(CHILD) == "SERVFAIL"
        assert here.ds(CHILD) == wanted != set()
        key_manager = here.registry.registered[wire_name(CHILD)].key_manager
        assert key_manager is not None
        assert "signwright.db" in (key_manager.status.problem or "")


@pytest.mark.parametrize("document", [b"{", -1, None], ids=repr)
async def test_a_stored_zone_that_cannot_be_read_is_alone(
    world: World, tmp_path: Path, autojump_clock: MockClock, document: object
) -> None:
    async with serving(world, tmp_path) as here:
        bad, _ = await here.zones.create_zone("bad.example", "r1", ["ns.example"])
        await here.zones.create_zone("good.example", "r2", ["ns.example"])
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        if document is None:  # its keyring instead, which says that it is served unsigned
            database.execute("UPDATE ring SET document = -1 WHERE origin = ?", (wire_name("bad.example"),))
        else:
            database.execute("UPDATE kept_zone SET document = ? WHERE id = ?", (document, bad.id))
    database.close()
    async with serving(world, tmp_path) as here:
        assert here.rcode("good.example") == "NOERROR"
        assert here.rcode("bad.example") == "SERVFAIL"
        hosted = here.registry.registered[wire_name("bad.example")]
        assert "can't be read" in (hosted.problem or hosted.keys_problem or "")
        assert len(await here.zones.zones(None, 10)) == 2


async def test_a_file_that_makes_the_reader_fail_is_alone(
    world: World, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = zone_files._read

    def read(config: ZoneConfig, limits: ReadingLimits, glue: int | None = None) -> zone_files.LoadedZone:
        if config.origin == CHILD:
            raise KeyError("a library's mistake")
        return load(config, limits, glue)

    monkeypatch.setattr(zone_files, "_read", read)
    async with serving(world, tmp_path) as here:
        await here.load(here.file(CHILD), here.file("good.example."))
        assert here.rcode("good.example.") == "NOERROR"
        assert here.rcode(CHILD) == "SERVFAIL"
        assert "a bug: KeyError" in (here.registry.registered[wire_name(CHILD)].problem or "")


async def test_a_request_that_outlasts_its_key_manager_stores_nothing_behind_the_next_ones_back(
    world: World, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up, slow = LocalParent.look_up, 0.0

    async def slowly(self: LocalParent, origin: bytes) -> ParentDs:
        await trio.sleep(slow)
        return await look_up(self, origin)

    monkeypatch.setattr(LocalParent, "look_up", slowly)
    async with serving(world, tmp_path) as here:
        above = here.file("example.", SOA + "child 300 NS ns.child\nns.child 300 A 192.0.2.54\n")
        child = here.file(CHILD)
        await here.load(above, child)
        await trio.sleep(DAY)
        first, refused = here.registry.registered[wire_name(CHILD)].key_manager, []
        assert first is not None
        slow = 20

        async def ask() -> None:
            try:
                await first.request(WithdrawDs("ksk_1", force=True))
            except StateUnavailable as error:
                refused.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(10)
            await here.load(above, replace_config(child, parent=None))
        second = here.registry.registered[wire_name(CHILD)].key_manager
        assert second is not None
        await second.request(StartRollover())
        await trio.sleep(DAY)
        assert second is not first
        assert second.status.condition is Condition.SIGNING
        assert refused == ["the keys of child.example. are being reloaded: try again"]


async def test_a_zone_that_gets_a_key_while_it_is_deleted_is_not_deleted(
    world: World, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with serving(world, tmp_path) as here:
        zone, _ = await here.zones.create_zone("x.example", "r", ["ns.example"])
        key_manager = await here.zones.key_manager(zone.id)
        await trio.sleep(100)
        world.slow = 1.0
        async with trio.open_nursery() as nursery:

            async def delete() -> None:
                with pytest.raises(ZoneRequestError, match="contains DNSSEC Key Signing Keys"):
                    await here.zones.delete_zone(zone.id)

            nursery.start_soon(delete)
            await trio.sleep(0.2)
            await key_manager.request(CreateKsk("ksk_1"))
        world.slow = 0.0
        keyring = (await here.zones.key_manager(zone.id)).keyring
        assert [ksk.name for ksk in keyring.ksks] == ["ksk_1"]
        assert here.rcode("x.example") == "NOERROR"


async def test_a_frozen_key_manager_that_is_given_up_is_forgotten(
    world: World, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with serving(world, tmp_path) as here:
        config = here.file(CHILD)
        await here.load(config)
        key_manager = here.registry.registered[wire_name(CHILD)].key_manager
        assert key_manager is not None
        key_manager._freeze("a bug", None)
        key_manager.wake()
        await trio.sleep(5)
        await here.load()
        await trio.sleep(5)
        assert not here.registry.key_managers._runs
        await here.load(config)
        assert here.rcode(CHILD) == "NOERROR"
