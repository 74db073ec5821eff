"""Hosted zones: stored, then answered; whole batches only; signed once asked for; there again after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.rcode
import pytest
import trio
from dns.rdatatype import RdataType
from msgspec.structs import replace as replaced
from structlog.testing import capture_logs

from keys.custody.state_database import StateDamaged, StateUnavailable, Store
from keys.kms.interface import KeyRequest
from keys.rules.commands import CreateKsk, DeactivateKsk, DeleteKsk, DisableSigning, EnableSigning
from server.hosting import listed_file_zones
from server.hosting.hosted_zones import HostedZones
from server.hosting.registered_zone import LoadedChange
from server.hosting.zone_operations import ZoneOperations
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import ZoneConfig
from tests.keys.world import Fuse, World
from tests.lab import anchor, ask, wire_name
from tests.validator import judge
from zones.denial import DenialMode
from zones.recordsets.record_sets import (
    ChangeAction,
    ChangeInfo,
    ChangeStatus,
    HostedZone,
    InvalidChangeBatchError,
    Position,
    RecordSet,
    RecordSetChange,
    ZoneRequestError,
)
from zones.recordsets.record_store import RecordStore
from zones.zone import Zone

SERVERS = ("ns1.test", "ns2.test")
FILE = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns.elsewhere.test.\n"


_numbers = count(1)
"""Of caller references."""


class RunningServer:
    """A process with hosted zones."""

    def __init__(
        self,
        world: World,
        store: Store,
        nursery: trio.Nursery,
        *,
        threads: bool = False,
        flood_denial: DenialMode | None = None,
    ) -> None:
        self.world = world
        services = world.services(store, Fuse())
        if threads:
            services = replace(services, run_blocking=trio.to_thread.run_sync)
        self.registry = ZoneRegistry(services, nursery, lambda: None)
        self.zones = HostedZones(self.registry, services, flood_denial=flood_denial)

    def answer(self, name: str, rrtype: str = "A") -> tuple[int, list[str]]:
        """RCODE and data of the answer section."""
        wire = ask(self.registry.zoneset, name, rrtype, now=int(self.world.now()))
        message = dns.message.from_wire(wire)
        return message.rcode(), [
            r.to_text() for rrset in message.answer if rrset.rdtype == RdataType[rrtype] for r in rrset
        ]

    def valid(self, name: str, rrtype: str, origin: str) -> None:
        """The answer validates."""
        served = self.registry.zoneset.get(wire_name(origin))
        assert served is not None
        now = int(self.world.now())
        wire = ask(self.registry.zoneset, name, rrtype, now=now)
        judge(wire, dns.name.from_text(name), RdataType[rrtype], anchor(wire_name(origin), served.keys), now)

    async def create(self, name: str = "lab.example") -> HostedZone:
        reference = f"reference {next(_numbers)} of {name}"  # none is ever free again
        zone, change = await self.zones.create_zone(name, reference, SERVERS, "a comment")
        assert change.status is ChangeStatus.PENDING
        assert (await self.zones.change(change.id)).status is ChangeStatus.INSYNC
        return zone

    async def key(self, zone: HostedZone) -> str:
        return await self.world.kms.create_key(KeyRequest("a KSK", None, {}))


@asynccontextmanager
async def running(
    world: World, *, threads: bool = False, flood_denial: DenialMode | None = None
) -> AsyncIterator[RunningServer]:
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            process = RunningServer(world, store, nursery, threads=threads, flood_denial=flood_denial)
            await process.zones.load()
            await process.registry.sign()
            yield process
            nursery.cancel_scope.cancel()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def put(name: str, *values: str, rrtype: str = "A", ttl: int = 300) -> RecordSetChange:
    return RecordSetChange(ChangeAction.UPSERT, RecordSet(name, rrtype, ttl, values))


def drop(name: str, *values: str, rrtype: str = "A", ttl: int = 300) -> RecordSetChange:
    return RecordSetChange(ChangeAction.DELETE, RecordSet(name, rrtype, ttl, values))


def test_it_is_what_the_api_asks_for(world: World) -> None:
    checked: type[ZoneOperations] = HostedZones  # for mypy
    names = [name for name in vars(ZoneOperations) if not name.startswith("_")]
    assert names
    assert all(callable(getattr(checked, name)) for name in names)


async def test_hosted_zones_have_the_chain_that_a_flood_would_want(world: World, autojump_clock: object) -> None:
    origin = wire_name("lab.example")
    async with running(world, flood_denial=DenialMode.NSEC) as process:
        zone = await process.create()
        await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
        made = process.registry.zoneset.get(origin)
    async with running(world, flood_denial=DenialMode.NSEC) as process:
        loaded = process.registry.zoneset.get(origin)
        for served in (made, loaded):
            assert served is not None
            assert served.zone.flood_denial is DenialMode.NSEC
            assert list(vars(served.zone)["chain"].values()) == [origin, wire_name("www.lab.example")]


async def test_a_zone_is_answered_as_soon_as_it_is_made(world: World, autojump_clock: object) -> None:
    async with running(world) as process:
        zone = await process.create("Lab.Example")
        assert (zone.name, zone.record_set_count, zone.comment, zone.name_servers) == (
            "lab.example.",
            2,
            "a comment",
            SERVERS,
        )
        assert len(zone.id) == 21
        assert process.answer("lab.example", "NS") == (0, ["ns1.test.", "ns2.test."])
        assert process.answer("lab.example", "SOA") == (
            0,
            ["ns1.test. hostmaster.lab.example. 1 7200 900 1209600 86400"],
        )
        assert process.answer("www.lab.example")[0] == dns.rcode.NXDOMAIN
        assert await process.zones.zone(zone.id) == zone
        assert (
            await process.zones.zones(None, 5) == await process.zones.zones_by_name("LAB.example", None, 5) == (zone,)
        )
        assert await process.zones.zone_count() == 1


async def test_a_change_is_answered_when_it_returns_and_after_a_restart(world: World, autojump_clock: object) -> None:
    async with running(world) as process:
        zone = await process.create()
        change = await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")], "why")
        assert (change.status, change.comment) == (ChangeStatus.PENDING, "why")
        assert (await process.zones.change(change.id)).status is ChangeStatus.INSYNC
        assert process.answer("www.lab.example") == (0, ["192.0.2.1"])
        assert process.answer("lab.example", "SOA")[1][0].split()[2] == "2"
        with pytest.raises(InvalidChangeBatchError):
            await process.zones.change_record_sets(
                zone.id, [put("x.lab.example", "192.0.2.1"), put("x.test", "192.0.2.1")]
            )
        assert process.answer("x.lab.example")[0] == dns.rcode.NXDOMAIN
    async with running(world) as process:
        assert process.answer("www.lab.example") == (0, ["192.0.2.1"])
        assert process.answer("lab.example", "SOA")[1][0].split()[2] == "2"
        await process.zones.change_record_sets(zone.id, [drop("www.lab.example", "192.0.2.1")])
        assert process.answer("www.lab.example")[0] == dns.rcode.NXDOMAIN
        assert (await process.zones.zone(zone.id)).record_set_count == 2


async def test_record_sets_are_listed_from_any_place(world: World, autojump_clock: object) -> None:
    async with running(world) as process:
        zone = await process.create()
        await process.zones.change_record_sets(
            zone.id, [put("*.lab.example", "192.0.2.1"), put("a.lab.example", "192.0.2.1")]
        )
        listed = await process.zones.record_sets(zone.id, None, 10)
        assert [(r.name, r.type) for r in listed] == [
            ("lab.example.", "NS"),
            ("lab.example.", "SOA"),
            (r"\052.lab.example.", "A"),
            ("a.lab.example.", "A"),
        ]
        assert await process.zones.record_sets(zone.id, Position("*.lab.example"), 1) == listed[2:3]
        with pytest.raises(ZoneRequestError, match="InvalidInput: FATAL problem: DomainLabelEmpty"):
            await process.zones.record_sets(zone.id, Position("a..b"), 1)


async def test_fifty_clients_lose_nothing_and_see_no_half_of_a_batch(world: World) -> None:
    async with running(world, threads=True) as process:
        zone = await process.create()
        half: list[tuple[int, list[str]]] = []
        over = trio.Event()

        async def client(number: int) -> None:
            for turn in range(3):
                value = f"10.{number}.{turn}.1"
                await process.zones.change_record_sets(
                    zone.id,
                    [
                        put("both1.lab.example", value),
                        put("both2.lab.example", value),
                        put(f"c{number}.lab.example", value),
                    ],
                )

        async def watch() -> None:
            while not over.is_set():
                one, other = process.answer("both1.lab.example"), process.answer("both2.lab.example")
                if one != other:
                    half.append(one)
                stored = {r.name: r.values for r in await process.zones.record_sets(zone.id, None, 9)}
                if stored.get("both1.lab.example.") != stored.get("both2.lab.example."):
                    half.append((-1, []))

        async with trio.open_nursery() as watching:
            watching.start_soon(watch)
            async with trio.open_nursery() as clients:
                for number in range(50):
                    clients.start_soon(client, number)
            over.set()
        assert not half
        for number in range(50):
            assert process.answer(f"c{number}.lab.example") == (0, [f"10.{number}.2.1"])
        assert process.answer("lab.example", "SOA")[1][0].split()[2] == "151"


async def test_a_client_that_goes_away_leaves_no_change_half_done(world: World, autojump_clock: object) -> None:
    world.slow = 1.0  # whatever blocks takes a second
    async with running(world) as process:
        zone = await process.create()
        with trio.move_on_after(2.5) as scope:
            await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
        assert scope.cancelled_caught or process.answer("www.lab.example")[0] == 0
        stored = [r.name for r in await process.zones.record_sets(zone.id, None, 9)]
        assert ("www.lab.example." in stored) == (process.answer("www.lab.example")[0] == 0)


async def test_a_zone_is_signed_when_asked_and_valid_through_changes(world: World, autojump_clock: object) -> None:
    async with running(world) as process:
        zone = await process.create()
        await process.zones.change_record_sets(zone.id, [put("www.lab.example", "192.0.2.1")])
        key_manager = await process.zones.key_manager(zone.id)
        assert await process.zones.key_manager(zone.id) is key_manager
        assert key_manager.keyring.hosted_zone_id in ("", zone.id)
        await key_manager.request(CreateKsk("main", await process.key(zone)))
        await key_manager.request(EnableSigning())
        await trio.sleep(3700)
        process.valid("www.lab.example", "A", "lab.example")
        await process.zones.change_record_sets(
            zone.id, [put("new.lab.example", "192.0.2.7", ttl=7 * 86400), drop("www.lab.example", "192.0.2.1")]
        )
        assert key_manager.keyring.data_ttl == 7 * 86400
        process.valid("new.lab.example", "A", "lab.example")
        process.valid("www.lab.example", "A", "lab.example")
        with pytest.raises(
            ZoneRequestError, match=r"HostedZoneNotEmpty: .* DNSSEC Key Signing Keys and so cannot be deleted"
        ):
            await process.zones.delete_zone(zone.id)
        await process.zones.change_record_sets(zone.id, [drop("new.lab.example", "192.0.2.7", ttl=7 * 86400)])
        assert key_manager.keyring.data_ttl < 7 * 86400
        change = await process.zones.note_change("signing")
        assert (await process.zones.change(change.id)).comment == "signing"
    async with running(world) as process:
        process.valid("lab.example", "SOA", "lab.example")
        key_manager = await process.zones.key_manager(zone.id)
        await key_manager.request(DisableSigning(force=True))
        await trio.sleep(10)
        served = process.registry.zoneset.get(wire_name("lab.example"))
        assert served is not None
        assert not served.zone.signed
        await process.zones.change_record_sets(zone.id, [put("x.lab.example", "192.0.2.1")])
        assert process.answer("x.lab.example") == (0, ["192.0.2.1"])
        await process.zones.change_record_sets(zone.id, [drop("x.lab.example", "192.0.2.1")])
        await key_manager.request(DeactivateKsk("main", force=True))
        await trio.sleep(30 * 86400)
        await key_manager.request(DeleteKsk("main", force=True))
        await trio.sleep(10)
        await process.zones.delete_zone(zone.id)
        assert process.answer("lab.example", "SOA")[0] == dns.rcode.REFUSED
        again = await process.create()
        assert process.registry.zoneset.get(wire_name("lab.example")) is not None
        assert again.id != zone.id


async def test_a_zone_that_should_be_signed_is_never_answered_unsigned(world: World, autojump_clock: object) -> None:
    async with running(world) as process:
        zone = await process.create()
        key_manager = await process.zones.key_manager(zone.id)
        await key_manager.request(CreateKsk("main", await process.key(zone)))
        await key_manager.request(EnableSigning())
        await trio.sleep(3700)
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            process = RunningServer(world, store, nursery)
            await process.zones.load()
            assert process.answer("lab.example", "SOA") == (dns.rcode.SERVFAIL, [])
            await process.registry.sign()
            process.valid("lab.example", "SOA", "lab.example")
            nursery.cancel_scope.cancel()


async def test_only_an_empty_zone_is_deleted(world: World, autojump_clock: object) -> None:
    async with running(world) as process:
        zone = await process.create()
        await process.zones.change_record_sets(zone.id, [put("x.lab.example", "192.0.2.1")])
        await process.zones.key_manager(zone.id)
        with pytest.raises(ZoneRequestError, match="HostedZoneNotEmpty"):
            await process.zones.delete_zone(zone.id)
        assert process.answer("x.lab.example") == (0, ["192.0.2.1"])
        assert process.registry.registered[wire_name("lab.example")].key_manager is not None
        await process.zones.change_record_sets(zone.id, [drop("x.lab.example", "192.0.2.1")])
        change = await process.zones.delete_zone(zone.id)
        assert (await process.zones.change(change.id)).status is ChangeStatus.INSYNC
        for asked in (process.zones.zone, process.zones.delete_zone, process.zones.key_manager):
            with pytest.raises(ZoneRequestError, match=f"NoSuchHostedZone: No hosted zone found with ID: {zone.id}"):
                await asked(zone.id)
        assert await process.zones.zone_count() == 0


async def test_comments_and_tags(world: World, autojump_clock: object) -> None:
    async with running(world) as process:
        zone = await process.create()
        assert (await process.zones.comment_zone(zone.id, "other")).comment == "other"
        await process.zones.change_tags(zone.id, {"a": "1"}, [])
        assert await process.zones.tags([zone.id]) == {zone.id: {"a": "1"}}


async def test_names_that_can_not_be_hosted(world: World, autojump_clock: object) -> None:
    async with running(world) as process:
        taken = await process.create()
        for name, code in [
            ("a..b", "InvalidDomainName"),
            (".", "InvalidDomainName"),
            ("LAB.example.", "ConflictingDomainExists"),
        ]:
            with pytest.raises(ZoneRequestError, match=code):
                await process.zones.create_zone(name, "another reference", SERVERS)
        with pytest.raises(ZoneRequestError, match="HostedZoneAlreadyExists"):
            await process.zones.create_zone("other.example", taken.caller_reference, SERVERS)


async def test_zones_of_files_are_shown_and_not_changed(world: World, tmp_path: Path, autojump_clock: object) -> None:
    (tmp_path / "file.example.zone").write_text(FILE + '*.x 5 TXT "\\200"\nsub 60 NS ns.sub\nns.sub 60 A 192.0.2.5\n')
    config = ZoneConfig(origin="file.example.", file=tmp_path / "file.example.zone", signed=False)
    async with running(world) as process:
        kept = await process.create()
        await process.registry.load([config])
        assert await process.zones.zone_count() == 2
        of_file, other = await process.zones.zones_by_name(None, None, 5)
        assert (of_file.name, of_file.read_only, of_file.name_servers, other) == (
            "file.example.",
            True,
            ("ns.elsewhere.test",),
            kept,
        )
        assert await process.zones.zone(of_file.id) == of_file
        assert {zone.id for zone in await process.zones.zones(None, 5)} == {of_file.id, kept.id}
        listed = await process.zones.record_sets(of_file.id, None, 10)
        assert len(listed) == of_file.record_set_count == 5
        assert [(r.name, r.type, r.values) for r in listed][2:] == [
            ("sub.file.example.", "NS", ("ns.sub.file.example.",)),
            ("ns.sub.file.example.", "A", ("192.0.2.5",)),
            (r"\052.x.file.example.", "TXT", (r'"\310"',)),
        ]
        assert await process.zones.record_sets(of_file.id, Position("file.example", "SOA"), 2) == listed[1:3]
        for asked in (
            process.zones.change_record_sets(of_file.id, [put("x.file.example", "192.0.2.1")]),
            process.zones.delete_zone(of_file.id),
            process.zones.comment_zone(of_file.id, "x"),
            process.zones.change_tags(of_file.id, {}, []),
        ):
            with pytest.raises(
                ZoneRequestError,
                match=r"InvalidInput: The zone file\.example\. is loaded from .*, so change it there",
            ):
                await asked
        assert await process.zones.tags([of_file.id]) == {of_file.id: {}}
        with pytest.raises(ZoneRequestError, match=r"InvalidInput: .* is served unsigned by its settings"):
            await process.zones.key_manager(of_file.id)
        with pytest.raises(ZoneRequestError, match=r"ConflictingDomainExists: The zone file\.example\. is loaded from"):
            await process.zones.create_zone("file.example", "r", SERVERS)


async def test_zones_of_files_are_looked_at_once_for_all_pages_and_others_run_meanwhile(
    world: World, tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, made, passes = tmp_path / "lab.zone", list[str](), 0
    file.write_text(FILE)
    configs = [ZoneConfig(origin=f"zone{number}.example.", file=file, signed=False) for number in range(200)]
    told = listed_file_zones._told

    def counted(path: Path, zone: Zone, zone_id: str) -> HostedZone:
        made.append(zone_id)
        return told(path, zone, zone_id)

    async def look_on() -> None:
        nonlocal passes
        while True:
            await trio.lowlevel.checkpoint()
            passes += bool(made) and len(made) < len(configs)

    monkeypatch.setattr(listed_file_zones, "_told", counted)
    async with running(world) as process:
        kept = await process.create("zone7x.example")
        await process.registry.load(configs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_on)
            found = [*await process.zones.zones(None, 50)]
            nursery.cancel_scope.cancel()
        assert passes
        while len(page := await process.zones.zones(found[-1].id, 51)) > 1:
            found += page[1:]
        assert [zone.id for zone in found] == sorted({*made, kept.id})
        named = [*await process.zones.zones_by_name(None, None, 50)]
        while len(page := await process.zones.zones_by_name(named[-1].name, named[-1].id, 51)) > 1:
            named += page[1:]
        assert [zone.name for zone in named] == sorted(zone.name for zone in found)
        assert len(made) == len(configs)
        moved = tmp_path / "moved.zone"
        moved.write_text(FILE)
        await process.registry.load([*configs[:-1], replaced(configs[-1], file=moved)])
        assert str(moved) in str([zone.comment for zone in await process.zones.zones(None, 300)])


async def test_a_file_can_not_take_the_place_of_a_hosted_zone(
    world: World, tmp_path: Path, autojump_clock: object
) -> None:
    (tmp_path / "lab.example.zone").write_text(FILE)
    async with running(world) as process:
        await process.create()
        (load,) = await process.registry.load([ZoneConfig(origin="lab.example.", file=tmp_path / "lab.example.zone")])
        assert load.change is LoadedChange.REFUSED
        assert load.reason is not None
        assert load.reason.endswith("lab.example. is already a hosted zone; remove one of the two")
        assert process.answer("lab.example", "NS") == (0, ["ns1.test.", "ns2.test."])
        assert await process.registry.load([]) == []
        assert process.answer("lab.example", "NS") == (0, ["ns1.test.", "ns2.test."])


async def test_a_disk_that_fails_changes_nothing(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(world) as process:
        zone = await process.create()

        def failing(*_: object) -> None:
            raise StateUnavailable("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr("zones.recordsets.record_store.RecordStore.apply", failing)
            with pytest.raises(StateUnavailable):
                await process.zones.change_record_sets(zone.id, [put("x.lab.example", "192.0.2.1")])
        assert process.answer("x.lab.example")[0] == dns.rcode.NXDOMAIN
        await process.zones.change_record_sets(zone.id, [put("x.lab.example", "192.0.2.1")])
        assert process.answer("x.lab.example") == (0, ["192.0.2.1"])


async def test_what_can_not_be_answered_is_not_stored(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(world) as process:
        zone = await process.create()

        def failing(*_: object) -> None:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patched:
            patched.setattr("zones.recordsets.compiled_record_sets.Compiled.changed", failing)
            with pytest.raises(RuntimeError):
                await process.zones.change_record_sets(zone.id, [put("x.lab.example", "192.0.2.1")])
        assert len(await process.zones.record_sets(zone.id, None, 9)) == 2
        await process.zones.change_record_sets(zone.id, [put("y.lab.example", "192.0.2.1")])
        assert process.answer("lab.example", "SOA")[1][0].split()[2] == "2"


async def test_the_keys_know_of_a_higher_ttl_before_it_is_stored(
    world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(world) as process:
        zone = await process.create()
        key_manager = await process.zones.key_manager(zone.id)
        await key_manager.request(CreateKsk("main", await process.key(zone)))
        await key_manager.request(EnableSigning())
        await trio.sleep(3700)
        seen: list[int] = []
        apply = RecordStore.apply

        def watched(*arguments: Any) -> Any:
            seen.append(key_manager.keyring.data_ttl)
            return apply(*arguments)

        monkeypatch.setattr(RecordStore, "apply", watched)
        await process.zones.change_record_sets(zone.id, [put("x.lab.example", "192.0.2.1", ttl=400_000)])
        assert (seen.pop(), key_manager.keyring.data_ttl) == (400_000, 400_000)
        with pytest.raises(InvalidChangeBatchError):
            await process.zones.change_record_sets(zone.id, [put("x.test", "192.0.2.1", ttl=2**31 - 1)])
        assert (seen.pop(), key_manager.keyring.data_ttl) == (604_800, 400_000)


def store_unread(world: World, zone: HostedZone, *record_sets: RecordSet) -> None:
    """Put record sets into the database as an earlier version took them."""
    with world.open_store() as store:
        RecordStore(store).create(zone, record_sets, ChangeInfo("C0", ChangeStatus.PENDING, 1))


OLD_ZONE = HostedZone(
    id="Z00000000000000000001",
    name="old.example.",
    caller_reference="reference",
    created=1,
    name_servers=SERVERS,
    record_set_count=4,
)
OLD_APEX = (
    RecordSet("old.example.", "NS", 60, ("ns1.test.",)),
    RecordSet("old.example.", "SOA", 60, ("ns1.test. host.test. 1 2 3 4 5",)),
)


async def test_a_stored_value_that_is_no_longer_valid_is_left_out_with_a_warning(
    world: World, autojump_clock: object
) -> None:
    odd = RecordSet("x.old.example.", "A", 60, ("192.0.2.1", "192.0.2.999"))
    store_unread(world, OLD_ZONE, *OLD_APEX, odd)
    with capture_logs() as logs:
        async with running(world) as process:
            assert process.answer("x.old.example") == (0, ["192.0.2.1"])
            # Others at the name are changed beside it, new ones are refused, and it can be taken away.
            await process.zones.change_record_sets(OLD_ZONE.id, [put("x.old.example", '"x"', rrtype="TXT")])
            assert process.answer("x.old.example") == (0, ["192.0.2.1"])
            with pytest.raises(InvalidChangeBatchError):
                await process.zones.change_record_sets(OLD_ZONE.id, [put("x.old.example", *odd.values)])
            await process.zones.change_record_sets(OLD_ZONE.id, [drop("x.old.example", *odd.values, ttl=60)])
            assert process.answer("x.old.example") == (0, [])
    (warning,) = [log for log in logs if log["event"].startswith("record left out")]
    told = warning["log_level"], warning["zone"], warning["id"], warning["name"], warning["type"]
    assert told == ("warning", "old.example.", OLD_ZONE.id, "x.old.example.", "A")
    assert "192.0.2.999" in warning["reason"]


async def test_a_zone_whose_soa_can_not_be_read_is_told_and_the_rest_is_answered(
    world: World, autojump_clock: object
) -> None:
    async with running(world) as process:
        other = await process.create("whole.example")
    store_unread(world, OLD_ZONE, OLD_APEX[0], RecordSet("old.example.", "SOA", 60, ("nonsense",)))
    async with running(world) as process:
        assert process.answer("old.example", "NS")[0] == dns.rcode.SERVFAIL
        assert process.answer("whole.example", "NS")[0] == dns.rcode.NOERROR
        problem = process.registry.registered[wire_name("old.example")].problem
        assert problem is not None
        assert "the SOA or NS of hosted zone old.example. can't be read" in problem
        with pytest.raises(StateDamaged, match=r"can't be changed: .*the SOA or NS"):
            await process.zones.change_record_sets(OLD_ZONE.id, [put("x.old.example", "192.0.2.1")])
        await process.zones.change_record_sets(other.id, [put("x.whole.example", "192.0.2.1")])
