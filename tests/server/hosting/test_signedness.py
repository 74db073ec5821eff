"""Whether a zone is signed: by its keyring alone, whatever its file, the API or a restart do about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from keys.custody.key_manager import KeyManager
from keys.custody.state_database import StateUnavailable
from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.kms.interface import KeyRequest
from keys.rules.commands import CreateKsk, DisableSigning, EnableSigning, RequestRefusedError, WithdrawDs
from keys.rules.key_status import Condition
from keys.rules.keyring import Keyring, Ksk, KskStatus
from keys.rules.signedness import new_unsigned
from server.hosting.hosted_zones import HostedZones
from server.hosting.registered_zone import LoadedChange
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import ZoneConfig
from tests.keys.world import Fuse, KillableStore, World
from tests.lab import ask, wire_name

PARENT = """\
@ 300 SOA ns host 1 7200 3600 1209600 300
@ 300 NS ns
ns 300 A 192.0.2.53
child 3600 NS ns.child
ns.child 300 A 192.0.2.54
"""
CHILD = "@ {ttl} SOA ns host 1 7200 3600 1209600 300\n@ 300 NS ns\nns 300 A 192.0.2.54\n"
ORIGIN = wire_name("child.example")
DNSKEY, DS, A = dns.rdatatype.DNSKEY, dns.rdatatype.DS, dns.rdatatype.A


class Server:
    """Zones of two files, a parent's and a child's, and hosted ones."""

    def __init__(self, world: World, nursery: trio.Nursery, store: KillableStore) -> None:
        services = world.services(store, Fuse())
        self.registry = ZoneRegistry(services, nursery, lambda: None)
        self.zones = HostedZones(self.registry, services)
        self.store = store
        self._world = world
        self._folder = world.directory.parent
        (self._folder / "parent").write_text(PARENT)
        self.child = ZoneConfig(origin="child.example.", file=self._folder / "child")
        self.set_ttl(HOUR)

    def set_ttl(self, ttl: int) -> None:
        assert self.child.file is not None
        self.child.file.write_text(CHILD.format(ttl=ttl))

    async def load(self, *, signed: bool, parent: bool = True, policy: Policy | None = None) -> LoadedChange:
        """As a reload does, with this setting of the child's; what became of that."""
        self.child = msgspec.structs.replace(self.child, signed=signed, policy=policy or self.child.policy)
        above = [ZoneConfig(origin="example.", file=self._folder / "parent")] if parent else []
        loads = await self.registry.load([*above, self.child])
        await self.registry.sign()
        await trio.sleep(1)
        return loads[-1].change

    def rcode(self, name: str = "ns.child.example.") -> str:
        return dns.rcode.to_text(self._ask(name, A).rcode())

    def is_signed(self) -> bool:
        """Whether answers are; each is answered."""
        response = self._ask("ns.child.example.", A)
        assert response.rcode() == dns.rcode.NOERROR
        return any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in response.answer)

    def ds(self) -> int:
        """How many DS records the parent has for the child."""
        found = self._ask("child.example.", DS).get_rrset(
            dns.message.ANSWER, dns.name.from_text("child.example."), dns.rdataclass.IN, DS
        )
        return len(found) if found is not None else 0

    def _ask(self, name: str, rrtype: dns.rdatatype.RdataType) -> dns.message.Message:
        return dns.message.from_wire(ask(self.registry.zoneset, name, rrtype, now=int(self._world.now())))

    @property
    def keys(self) -> KeyManager:
        key_manager = self.registry.registered[ORIGIN].key_manager
        assert key_manager is not None
        return key_manager

    def stored(self) -> Keyring:
        keyring = self.store.load_keyring(ORIGIN)
        assert keyring is not None
        return keyring


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Server]:
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            yield Server(world, nursery, store)
            nursery.cancel_scope.cancel()


async def test_a_zone_that_was_served_unsigned_has_no_ds_before_caches_have_dropped_that(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as server:
        server.set_ttl(DAY)
        await server.load(signed=False)
        began = int(world.now()) - 1
        assert not server.is_signed()
        assert server.stored() == msgspec.structs.replace(
            new_unsigned(ORIGIN, server.stored().hosted_zone_id, False, DAY, began, 300), revision=1
        )
        assert server.registry.registered[ORIGIN].key_manager is None
        await trio.sleep(10 * DAY)
        world.kms.fail("AccessDeniedException")
        await server.load(signed=True)
        await trio.sleep(2 * DAY)
        assert not server.is_signed()  # the KMS is away, and nobody expects signatures
        assert server.keys.status.condition is Condition.TROUBLED
        world.kms.heal()
        server.keys.wake()
        await trio.sleep(2)
        assert server.is_signed()
        assert server.ds() == 0
        ready = server.keys.keyring.ksks[0].ready
        out = server.keys.keyring.ksks[0].out
        assert ready is not None and out is not None
        assert ready == out + 300 + DAY
        await trio.sleep(ready - world.now() - 1)
        assert server.ds() == 0
        await trio.sleep(1.5)
        assert server.ds() == 1


async def test_a_zone_that_was_never_served_unsigned_has_its_ds_at_once(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as server:
        fault = world.kms.fail("AccessDeniedException")
        await server.load(signed=True)
        assert server.rcode() == "SERVFAIL"
        world.kms.heal(fault)
        for hosted in server.registry.registered.values():
            assert hosted.key_manager is not None
            hosted.key_manager.wake()
        await trio.sleep(1)
        assert server.is_signed()
        assert server.ds() == 1


async def test_a_zone_of_another_server_waits_for_the_ttl_that_is_assumed(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as server:
        await server.load(signed=True, policy=Policy(earlier_ttl=DAY))
        await trio.sleep(DAY)
        assert server.is_signed()
        assert server.ds() == 0
        await trio.sleep(301)
        assert server.ds() == 1


async def test_signed_false_waits_for_the_parents_ds_and_says_so(world: World, autojump_clock: MockClock) -> None:
    async with running(world) as server:
        await server.load(signed=True, policy=Policy(parent_check=HOUR))
        await trio.sleep(DAY)
        assert server.keys.keyring.ksks[0].ds_named
        assert await server.load(signed=False) is LoadedChange.LOADED
        assert server.is_signed()
        assert server.ds() == 1
        notice = server.keys.status.notice
        assert notice is not None
        assert notice.startswith("the configuration says signed = false, but the zone stays signed: The parent's DS")
        assert "signwright dnssec disable child.example. --force" in notice
        await trio.sleep(DAY)
        assert server.is_signed()
    async with running(world) as server:  # a restart changes nothing about it
        await server.load(signed=False)
        assert server.is_signed()
        assert server.registry.registered[ORIGIN].wants_key_manager
        # What is wished for is done once caches have dropped the DS and what it led to, and is not forgotten.
        await server.keys.request(WithdrawDs("ksk_1", force=True))
        await trio.sleep(HOUR)
        assert server.is_signed()
        await trio.sleep(2 * HOUR)
        assert not server.is_signed()
        assert server.stored().configured is False
        assert server.keys.status.notice is None


async def test_signed_false_that_is_taken_back_changes_nothing(world: World, autojump_clock: MockClock) -> None:
    async with running(world) as server:
        await server.load(signed=True)
        await trio.sleep(DAY)
        await server.load(signed=False)
        await server.load(signed=True)
        assert server.keys.status.notice is None
        await trio.sleep(30 * DAY)
        assert server.is_signed()


async def test_signed_false_is_done_at_once_where_no_parent_is_known(world: World, autojump_clock: MockClock) -> None:
    async with running(world) as server:
        await server.load(signed=True, parent=False)
        await trio.sleep(DAY)
        await server.load(signed=False, parent=False)
        assert not server.is_signed()


async def test_a_parent_that_is_known_no_more_has_not_dropped_its_ds(world: World, autojump_clock: MockClock) -> None:
    async with running(world) as server:
        await server.load(signed=True)
        await trio.sleep(2 * DAY)
        await server.load(signed=True, parent=False)
        await trio.sleep(3 * HOUR)
        assert server.keys.keyring.ksks[0].ds_named
        with pytest.raises(RequestRefusedError):
            await server.keys.request(DisableSigning())
        await server.load(signed=False, parent=False)
        await trio.sleep(30 * DAY)
        assert server.is_signed()
        await server.keys.request(DisableSigning(force=True))
        assert not server.is_signed()
        told = [entry.reason for entry in server.store.events(ORIGIN) if entry.kind == "SigningDisabled"]
        assert told == ["requested: disable signing: forced, without checking the parent's DS"]


async def test_a_zone_that_a_person_had_unsigned_is_answered_at_once_after_a_restart(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as server:
        await server.load(signed=True, parent=False)
        await trio.sleep(DAY)
        await server.keys.request(DisableSigning())
    world.kms.fail("AccessDeniedException")
    async with running(world) as server:
        await server.registry.load([server.child])
        assert not server.is_signed()  # before any key manager runs
        await server.registry.sign()
        await trio.sleep(DAY)
        assert not server.is_signed()


async def test_a_higher_ttl_of_an_unsigned_zone_is_stored_before_it_is_answered(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(world) as server:
        await server.load(signed=False)
        server.set_ttl(2 * DAY)

        def fail(*_: object) -> None:
            raise StateUnavailable("the disk is full")

        with monkeypatch.context() as failing:
            failing.setattr(KillableStore, "save_within", fail)
            assert await server.load(signed=False) is LoadedChange.REFUSED
        served = server.registry.zoneset.get(ORIGIN)
        assert served is not None and served.zone.maximum_ttl == HOUR
        assert await server.load(signed=False) is LoadedChange.LOADED
        assert server.stored().unsigned_ttl == 2 * DAY
        # A lower one is taken note of once nothing higher is answered; what caches hold is remembered.
        server.set_ttl(HOUR)
        lowered = world.now()
        await server.load(signed=False)
        assert server.stored().unsigned_ttl == HOUR
        assert server.stored().data_cached_until >= lowered + 300 + 2 * DAY


async def test_a_new_unsigned_zone_that_can_not_be_noted_is_servfail(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StateUnavailable("the disk is full")

    async with running(world) as server:
        with monkeypatch.context() as failing:
            failing.setattr(KillableStore, "save_within", fail)
            assert await server.load(signed=False) is LoadedChange.REFUSED
        assert server.rcode() == "SERVFAIL"
        await server.load(signed=False)
        assert not server.is_signed()


async def test_thousands_of_new_unsigned_zones_take_few_transactions(world: World, autojump_clock: MockClock) -> None:
    async with running(world) as server:
        configs = [
            ZoneConfig(origin=f"z{number}.example.", file=server.child.file, signed=False) for number in range(600)
        ]
        missing = msgspec.structs.replace(configs[7], file=world.directory / "nothing")
        signed = msgspec.structs.replace(server.child, signed=True)
        before = server.store.position.version
        loads = await server.registry.load([*configs[:7], missing, *configs[8:], signed])
        assert [load.change for load in loads].count(LoadedChange.LOADED) == 600
        assert loads[7].change is LoadedChange.REFUSED
        assert server.rcode("z7.example.") == "SERVFAIL"
        assert server.rcode("ns.z599.example.") == "NOERROR"
        # Two of 500, two notes of 500 files, and the ids of those that are signed.
        assert server.store.position.version - before == 5
        found = server.store.load_unsigned([wire_name(config.origin) for config in configs]).good
        assert {keyring.unsigned_ttl for keyring in found} == {HOUR}
        assert len(found) == 599
        before = server.store.position.version
        assert {load.change for load in await server.registry.load(configs)} == {
            LoadedChange.LOADED,
            LoadedChange.REMOVED,
            LoadedChange.UNCHANGED,
        }
        assert server.store.position.version - before == 3  # the one that was missing, its file, the one removed
    async with running(world) as server:
        before = server.store.position.version
        await server.registry.load(configs)
        assert server.store.position.version == before


async def test_new_unsigned_zones_that_can_not_be_noted_wait_for_the_disk_once(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def fail(*_: object) -> None:
        nonlocal tries
        tries += 1
        raise StateUnavailable("the disk is full")

    async with running(world) as server:
        configs = [
            ZoneConfig(origin=f"z{number}.example.", file=server.child.file, signed=False) for number in range(100)
        ]
        with monkeypatch.context() as failing:
            failing.setattr(KillableStore, "save_within", fail)
            loads = await server.registry.load(configs)
        assert {(load.change, load.reason) for load in loads} == {(LoadedChange.REFUSED, "the disk is full")}
        assert tries == 1
        assert server.rcode("ns.z99.example.") == "SERVFAIL"
        await server.registry.load(configs)
        assert server.rcode("ns.z99.example.") == "NOERROR"


async def test_a_hosted_zone_whose_keyring_can_not_be_used_keeps_no_other_from_starting(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as server:
        for name in ("x.example", "y.example"):
            await server.zones.create_zone(name, name, ["ns.example"])
        keyring = server.store.load_keyring(wire_name("x.example"))
        assert keyring is not None
        ksk = Ksk("ksk_1", "token", KskStatus.INACTIVE, 0)
        server.store.save(msgspec.structs.replace(keyring, ksks=(ksk, ksk), unsigned_ttl=1), [])
    async with running(world) as server:
        assert await server.zones.load() == 2
        assert server.rcode("x.example.") == "SERVFAIL"
        assert server.rcode("y.example.") == "NOERROR"


async def test_the_fact_comes_with_the_hosted_zone(world: World, autojump_clock: MockClock) -> None:
    async with running(world) as server:
        zone, _ = await server.zones.create_zone("h.example", "r1", ["ns.example"])
        keyring = server.store.load_keyring(wire_name("h.example"))
        assert keyring is not None
        assert (keyring.signing, keyring.configured, keyring.unsigned_ttl) == (False, None, 2 * DAY)
        assert keyring.unsigned_since is not None
        assert keyring.hosted_zone_id == zone.id


async def test_to_look_at_the_keys_of_a_zone_stores_and_starts_nothing(world: World, autojump_clock: MockClock) -> None:
    async with running(world) as server:
        zone, _ = await server.zones.create_zone("h.example", "r1", ["ns.example"])
        await server.load(signed=False)
        ids = {found.name: found.id for found in await server.zones.zones(None, 9) if found.name != "example."}
        assert len(ids) == 2
        assert ids["h.example."] == zone.id
        before = [server.store.load_keyring(wire_name(name)) for name in ids]
        for name, zone_id in ids.items():
            keyring, status = await server.zones.keys(zone_id)
            assert (keyring.served_unsigned, status.condition) == (True, Condition.UNSIGNED)
            assert server.registry.registered[wire_name(name)].key_manager is None
        assert [server.store.load_keyring(wire_name(name)) for name in ids] == before


async def test_a_hosted_zone_that_is_being_enabled_is_served_unsigned_by_the_next_process(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as server:
        zone, _ = await server.zones.create_zone("h.example", "r1", ["ns.example"])
        key_manager = await server.zones.key_manager(zone.id)
        await key_manager.request(CreateKsk("ksk_1", await world.kms.create_key(KeyRequest("x", None, {}))))
        await trio.sleep(5)
        world.kms.fail("KMSInternalException", method="sign")
        await key_manager.request(EnableSigning())
        await trio.sleep(5)
        assert server.rcode("h.example.") == "NOERROR"
    async with running(world) as server:
        await server.zones.load()
        assert server.rcode("h.example.") == "NOERROR"  # before its key manager runs
        await server.registry.sign()
        await trio.sleep(5)
        assert server.rcode("h.example.") == "NOERROR"
        world.kms.heal()
        (await server.zones.key_manager(zone.id)).wake()
        await trio.sleep(1)
        keyring, status = await server.zones.keys(zone.id)
        assert keyring.keyset is not None
        assert status.ds_wait is not None and "before" in status.ds_wait
        ready = keyring.ksks[0].ready
        assert ready is not None and ready >= world.now() + 2 * DAY


async def test_a_person_can_not_sign_a_zone_whose_setting_says_unsigned(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as server:
        await server.load(signed=True, parent=False)
        await trio.sleep(DAY)
        await server.load(signed=False, parent=False)
        with pytest.raises(RequestRefusedError, match="set signed = true, then run"):
            await server.keys.request(EnableSigning())


async def test_what_a_files_setting_said_binds_nobody_once_the_zone_is_hosted(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as server:
        await server.load(signed=False, parent=False)
        await server.registry.load([])
        zone, _ = await server.zones.create_zone("child.example", "r1", ["ns.example"])
        key_manager = await server.zones.key_manager(zone.id)
        await key_manager.request(CreateKsk("ksk_1", await world.kms.create_key(KeyRequest("x", None, {}))))
        await key_manager.request(EnableSigning())
        await trio.sleep(5)
        keyring = server.stored()
        assert not keyring.served_unsigned
        assert keyring.ksks[0].ready is not None and keyring.ksks[0].ready >= world.now() + HOUR  # unsigned before


async def test_a_hosted_zone_whose_keys_can_not_be_right_concerns_itself_alone(
    world: World, autojump_clock: MockClock
) -> None:
    async with running(world) as server:
        for name in ("good.example", "wrong.example"):
            await server.zones.create_zone(name, name, ["ns.example"])
            keyring = server.store.load_keyring(wire_name(name))
            assert keyring is not None
            wrong = (Ksk("ksk_1", "token", KskStatus.INACTIVE, 0, ready=5),) if name == "wrong.example" else ()
            server.store.save(replace(keyring, unsigned_ttl=1, ksks=wrong), [])
    async with running(world) as server:
        assert await server.zones.load() == 2
        assert server.rcode("good.example.") == "NOERROR"
        assert server.rcode("wrong.example.") == "SERVFAIL"
        assert "ready without having been published" in (
            server.registry.registered[wire_name("wrong.example")].problem or ""
        )
