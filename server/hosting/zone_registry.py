"""The zones of this process, one entry for each name: where each comes from, what is wanted of it, what is answered.

Zones of files are loaded here and replaced whole. Hosted zones, whose record sets are kept in the state database, join
them (`server.hosting.hosted_zones`). To change a zone, hold its name (`names`); key managers are the supervisor's
(`server.hosting.key_manager_supervisor`), and what one publishes counts as long as its zone is the one of that name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import ceil
from typing import NamedTuple

import msgspec
import structlog
import trio

from keys.custody.action_executor import Services
from keys.custody.change_log import Position
from keys.custody.key_manager import KeyManager
from keys.custody.state_database import FileZone
from keys.custody.unsigned_zones import UnsignedZone, store_unsigned
from keys.custody.zsk_encryption import StateError
from keys.dnssec.zone_keys import ZoneKeys
from keys.rules.keyring import hosted_zone_id
from server.hosting.answering_backends import Membership, ThisProcess
from server.hosting.durable_keys import NOTHING, DurableKeys, durable_keys
from server.hosting.file_reading import Patience
from server.hosting.followed_log import Part, Subject
from server.hosting.key_manager_supervisor import KeyManagerSupervisor
from server.hosting.name_locks import NameLocks
from server.hosting.new_unsigned_zones import NewUnsignedZones
from server.hosting.noted_files import NotedFiles
from server.hosting.parent_lookup import LocalParent, compared_name_servers, parent_for
from server.hosting.registered_zone import File, LoadedChange, RegisteredZone, ZoneLoad
from server.hosting.remote_parent import RemoteParent
from server.hosting.zone_files import LoadedZone, ZoneFiles
from server.hosting.zone_image_files import image_file
from server.settings.configuration import ZoneConfig
from server.supervised import Report
from zones import names
from zones.masterfile.load import ZoneFileError
from zones.masterfile.warnings import serial_warning
from zones.node import Node
from zones.parent_child import NO_DS
from zones.storage.mapped_nodes import image_digest
from zones.zone import Zone
from zones.zoneset import ZoneSet, trust_anchors

_NOTED_WITHIN, _NOTED_AT_ONCE = 0.1, 500
"""Seconds for which a zone that was read waits for others to be noted with it, and how many are noted at once."""
_log = structlog.get_logger("signwright.zones")


class _Read(NamedTuple):
    """The zone of a file that is to be answered from."""

    zone: RegisteredZone
    before: ZoneConfig
    """Its settings until now."""
    loaded: LoadedZone

    @property
    def as_noted(self) -> FileZone:
        """As the change log notes it."""
        return _file_zone(self.zone.origin, self.loaded.fingerprint, self.loaded.zone)


class ZoneRegistry:
    """Loads, replaces and removes zones. `zoneset` is what is answered from: one assignment replaces it."""

    def __init__(
        self,
        services: Services,
        nursery: trio.Nursery,
        changed: Callable[[], None],
        membership: Membership | None = None,
        files: ZoneFiles | None = None,
        report: Report | None = None,
    ) -> None:
        """Key managers run in `nursery`. `changed` is called whenever zones, or the KSKs of one, are others; it must
        not block.

        `membership` is the backends that answer, if not this process alone; `files` reads zone files; `report` receives
        failures outside the zones.
        """
        self.zoneset = ZoneSet()
        self.membership = membership or Membership(services.store, ThisProcess())
        self.noted_files = NotedFiles(services.store, services.run_blocking, self._noted_late, report)
        self.registered: dict[bytes, RegisteredZone] = {}
        """All zones by name, wherever each comes from, whether they could be loaded or not."""
        self.names = NameLocks()
        self.key_managers = KeyManagerSupervisor(nursery, self.membership.keeps)
        self._files = files or ZoneFiles(None, services.run_blocking)
        self._services = services
        self._new_unsigned = NewUnsignedZones(self._files, services, self.names, self.registered)
        self._changed = changed
        self._loading = trio.Lock()
        self._joining: list[RegisteredZone] | None = []
        """During the first load, which comes before all answers: new zones that are to be answered together."""
        self._taken_up = trio.Event()
        """Set, and replaced, whenever files that were read are answered from."""
        self._began = int(services.now())

    # What is wanted

    async def load(
        self, configs: Sequence[ZoneConfig], quick_ones_loaded: Callable[[], None] | None = None
    ) -> list[ZoneLoad]:
        """Bring the zones into line with `configs`, reading each file anew; one that makes no zone changes nothing.

        Where some files take long, `quick_ones_loaded` is called once all others are answered; those answer SERVFAIL
        until they are read, or what they were.
        """
        async with self._loading:
            wanted = {names.from_text(config.origin): config for config in configs}
            of_files = [origin for origin, zone in self.registered.items() if isinstance(zone.source, File)]
            await self.noted_files.read()
            gone = await self.noted_files.keep_only(wanted)
            results = [await self._remove(origin) for origin in of_files if origin not in wanted]
            for origin in gone:
                self.membership.passed_over(Part.DATA, origin)  # of an earlier life
            new = [origin for origin in wanted if origin not in self.registered]
            for origin in new:
                await self.key_managers.ended(origin)  # what it may be storing still is to be read
            known = await self.durable_keys(new)
            loads: dict[bytes, ZoneLoad] = {}
            try:
                async with trio.open_nursery() as nursery:
                    send, receive = trio.open_memory_channel[_Read](math.inf)
                    nursery.start_soon(self._take_up_all, receive, loads)
                    async with send:
                        await self._load_all(wanted, known, send, loads, quick_ones_loaded)
            finally:
                self._join()
            results += [loads[origin] for origin in wanted]
            await self.give_ids()
            self._tell_children(self.registered)
            for result in results:
                if result.change is not LoadedChange.UNCHANGED or result.warnings:
                    _log_load(result)
                    await trio.lowlevel.checkpoint()  # of thousands of lines, each takes 30 µs
            await self.membership.all_published()
            await self._files.forget([zone.zone for zone in self.registered.values() if zone.zone is not None])
            return results

    async def durable_keys(self, origins: Sequence[bytes]) -> dict[bytes, DurableKeys]:
        """What is stored of the keys of these zones, by origin. Raises `StateError`."""
        if not origins:
            return {}
        store, now = self._services.store, int(self._services.now())
        return await self._services.run_blocking(lambda: durable_keys(store, origins, now))

    async def give_ids(self) -> None:
        """Give ids to the zones of files that have none; those that can't be stored now are given at the next load."""
        services = self._services
        origins = [o for o, zone in self.registered.items() if isinstance(zone.source, File) and zone.zone is not None]
        make, now = (lambda: hosted_zone_id(services.new_token())), int(services.now())
        with suppress(StateError):
            await services.run_blocking(lambda: services.store.ensure_zone_ids(origins, make, now))

    async def note_anew(self) -> None:
        """Note what the zones of files are served from in a state that may be another, and give those ids that have
        none there. Raises nothing: what can't be noted now is noted later.
        """
        loaded = [
            _file_zone(zone.origin, zone.fingerprint, zone.zone)
            for zone in self.registered.values()
            if isinstance(zone.source, File) and zone.fingerprint is not None and zone.zone is not None
        ]
        await self.noted_files.read_anew()
        gone = await self.noted_files.keep_only([zone.origin for zone in loaded])
        await self.noted_files.note(loaded)
        for origin in (*gone, *(zone.origin for zone in loaded)):
            self.membership.passed_over(Part.DATA, origin)
        await self.give_ids()

    async def sign(self) -> None:
        """Start the key managers that are missing, and wait until each has published keys, failed or been given up."""
        self._renew_orphans()
        wanted = [zone for zone in self.registered.values() if _wants_key_manager(zone)]
        wanted.sort(key=lambda zone: not zone.was_signed)  # first those that need no KMS to be answered
        for zone in wanted:
            if self.names.is_held(zone.origin):
                async with self.names.holding(zone.origin):
                    self._start_missing(zone)
            else:
                self._start_missing(zone)
        for zone in wanted:
            await self.key_managers.settled(zone)

    async def stored_keys_published(self) -> None:
        """Wait until each zone whose keys are stored has published them, failed or been given up; `sign` has begun."""
        for zone in [*self.registered.values()]:
            if zone.was_signed:
                await self.key_managers.settled(zone)

    def asked_for(self, origin: bytes) -> None:
        """Somebody asks for a zone whose keys are not loaded: it comes before others."""
        self.key_managers.hurry(origin)

    def _start_missing(self, zone: RegisteredZone) -> None:
        if self.registered.get(zone.origin) is zone and _wants_key_manager(zone):
            self.start_key_manager(zone)

    def start_key_manager(self, zone: RegisteredZone) -> KeyManager:
        """Have the keys of a zone kept, or kept anew. Returns at once: `key_managers.settled` tells more."""
        config = zone.config
        zone.parent = self.parent_of(zone)
        if isinstance(zone.parent, LocalParent):
            zone.parent.note(zone.origin)
        zone.watches = not isinstance(zone.source, File) or zone.is_asked

        def publish(origin: bytes, keys: ZoneKeys | None) -> None:
            if zone.key_manager is key_manager:  # one that was given up may have something to finish
                self._publish(zone, origin, keys)

        key_manager = KeyManager(
            zone.origin,
            config.policy,
            config.ksk_arn,
            self._services,
            publish,
            parent=zone.parent if zone.watches else None,
            name_servers=partial(compared_name_servers, zone.parent, zone.origin, lambda: self.zoneset),
            signing=isinstance(zone.source, File),
            configured=config.signed if isinstance(zone.source, File) else None,
            shown=partial(self.membership.passed_over, Part.KEYS),
        )
        zone.unsigned_ttl = None  # from now on the key manager minds it
        if zone.zone is not None:
            key_manager.expect_ttl(zone.zone.maximum_ttl)
        self.key_managers.start(zone, key_manager)
        return key_manager

    def parent_of(self, zone: RegisteredZone) -> RemoteParent | LocalParent | None:
        """Where a zone's DS and delegation are looked up."""
        return parent_for(zone.config.parent, lambda: self.zoneset, self._services.now, zone.shown)

    def _renew_orphans(self) -> None:
        """Replace the key managers that have no parent to look at where there is one by now."""
        for zone in self.registered.values():
            if zone.key_manager is not None and not zone.watches and zone.is_asked:
                self.start_key_manager(zone)

    # Hosted zones, by those who hold their names

    def host(self, new: Sequence[RegisteredZone]) -> None:
        """Answer for these hosted zones from now on."""
        self.registered |= {zone.origin: zone for zone in new}
        zoneset = self.zoneset.with_zones(
            [zone.as_served(zone.zone) for zone in new if zone.zone is not None], {zone.origin: zone.ds for zone in new}
        )
        for zone in new:
            if zone.zone is None:
                zoneset = zoneset.with_unloaded(zone.origin, zone.ds)
        self._replace(zoneset, *(zone.origin for zone in new))
        self._renew_orphans()
        for zone in new:
            self._tell_children(zoneset.below(zone.origin))

    def change(self, zone: RegisteredZone, data: Zone, replaced: Mapping[bytes, Node | None]) -> None:
        """Answer from now on from `data`, which is the hosted zone as it was with other nodes at some names."""
        zone.zone = data
        self._follow(self.zoneset.with_nodes(zone.origin, replaced), (Part.DATA, zone.origin))
        self._tell_children(owner for owner in replaced if owner != zone.origin)

    def unhost(self, zone: RegisteredZone) -> None:
        """Answer for a zone no more."""
        if self.registered.get(zone.origin) is zone:
            self.key_managers.give_up(zone)
            del self.registered[zone.origin]
            below = self.zoneset.below(zone.origin)
            self._replace(self.zoneset.without_zone(zone.origin), zone.origin)
            self._tell_children(below)

    def position_of(self, zone: RegisteredZone) -> Position:
        """With which position of the change log the data of a zone were changed last."""
        return self.membership.log.position_of(Part.DATA, zone.origin)

    def _tell_children(self, owners: Iterable[bytes]) -> None:
        """Have the zones of these look at their DS: one that came and goes again is in caches for as long as it was."""
        for owner in owners:
            child = self.registered.get(owner)
            if child is not None and isinstance(child.parent, LocalParent):
                child.parent.tell_changed(owner)

    # What is answered

    def _publish(self, zone: RegisteredZone, origin: bytes, keys: ZoneKeys | None) -> None:
        """Answer with these keys, if they are of the zone that has its name."""
        if self.registered.get(origin) is not zone or zone.zone is None or zone.key_manager is None:
            return
        if keys is not None and not isinstance(zone.source, File):
            # The DS of a hosted zone is a record set of its parent's, which people put there and take away.
            keys = keys._replace(delegation=())
        zoneset = self.zoneset
        before = zoneset.get(origin)
        earlier = before.keys if before is not None else None
        if keys is not None and (earlier is None or earlier.keyset != keys.keyset):
            zone.refreshes += (zone.key_manager.keyring.refreshed or 0) >= self._began  # else by an earlier life
        trusted = trust_anchors(earlier) if earlier is not None else ()
        if zone.unsigned != (keys is None):
            zone.unsigned = keys is None
            zoneset = zoneset.with_zone(zone.as_served(zone.zone))
        self._follow(zoneset.with_keys(origin, keys), (Part.KEYS, origin))
        delegated = earlier.delegation if earlier is not None else ()
        if delegated != (keys.delegation if keys is not None else ()):
            self._tell_children((origin,))  # a parent served here has another DS by now
        if trusted != (trust_anchors(keys) if keys is not None else ()):
            self._changed()

    def _replace(self, zoneset: ZoneSet, *origins: bytes) -> None:
        """Answer from now on from these zones; the data of those in `origins` are others."""
        self._follow(zoneset, *((Part.DATA, origin) for origin in origins))
        self._changed()

    def _follow(self, zoneset: ZoneSet, *put: Subject) -> None:
        self.zoneset = zoneset
        self.membership.follow(zoneset, put)

    def _noted_late(self, origin: bytes) -> None:
        """What a zone of a file is served from was answered before it could be noted."""
        self.membership.passed_over(Part.DATA, origin)

    # Zones of files

    async def _load_all(
        self,
        wanted: Mapping[bytes, ZoneConfig],
        known: dict[bytes, DurableKeys],
        send: trio.MemorySendChannel[_Read],
        loads: dict[bytes, ZoneLoad],
        quick_ones_loaded: Callable[[], None] | None,
    ) -> None:
        """Read all files, each of which goes to `send` or, where nothing is to be noted, to `loads`."""
        patience, slow = Patience(), set[bytes]()

        async def load_one(origin: bytes, done: trio.Event) -> None:
            if (reading := begun.get(origin)) is not None:
                await reading.done.wait()
                if reading.result is not None:
                    ahead[origin] = reading.result
            async with self.names.holding(origin):
                keys = known.get(origin, NOTHING)
                read = await self._load(origin, wanted[origin], keys, ahead.pop(origin, None))
            if isinstance(read, ZoneLoad):
                loads[origin] = read
            else:
                send.send_nowait(read)
            done.set()

        async with trio.open_nursery() as nursery:
            ahead, begun = await self._new_unsigned.read(wanted, known, patience, nursery)
            for origin in wanted:
                done = trio.Event()
                nursery.start_soon(load_one, origin, done)
                if not await patience.wait_for(done):
                    slow.add(origin)
            if quick_ones_loaded is not None and slow:
                while not loads.keys() >= wanted.keys() - slow:
                    await self._taken_up.wait()
                left = slow - loads.keys()
                self._go_on_without({origin: (wanted[origin], known.get(origin, NOTHING)) for origin in left})
                quick_ones_loaded()

    def _go_on_without(self, slow: Mapping[bytes, tuple[ZoneConfig, DurableKeys]]) -> None:
        """Answer for all that is loaded by now, and SERVFAIL for new zones among these, which take long to read."""
        self._join()
        for origin, (config, known) in slow.items():
            zone = self.registered.get(origin) or self._enter(origin, config, known)
            if isinstance(zone.source, File) and zone.zone is None:
                zone.problem = f"{config.file}: is being read"
                self._replace(self.zoneset.with_unloaded(origin, zone.ds), origin)

    async def _load(
        self, origin: bytes, config: ZoneConfig, known: DurableKeys, ahead: LoadedZone | StateError | None = None
    ) -> ZoneLoad | _Read:
        """Read a zone's file; what came of it, or what is to be answered from once that is noted.

        `ahead` is what came of reading a new one ahead.
        """
        zone = self.registered.get(origin) or self._enter(origin, config, known)
        if not isinstance(zone.source, File):
            reason = f"{config.file}: {config.origin} is already a hosted zone; remove one of the two"
            return ZoneLoad(config.origin, LoadedChange.REFUSED, reason)
        before, zone.config = zone.config, config
        try:
            loaded, fingerprint, warnings = await self._read(zone, ahead)
        except (StateError, ZoneFileError) as error:
            return self._refuse(zone, before, str(error))
        except Exception as error:  # whatever it is, it is this zone's alone
            _log.exception("bug while reading a zone file", zone=config.origin)
            return self._refuse(zone, before, f"{config.file}: a bug: {type(error).__name__}: {error}")
        zone.problem = None
        known_warnings, zone.warnings = zone.warnings, warnings
        if fingerprint == zone.fingerprint and config == before:
            if zone.zone is not None and image_digest(loaded) == image_digest(zone.zone) is not None:
                # An image of the same octets was found, which holds hardly any of the file's warnings.
                zone.warnings = warnings = (*known_warnings, *(one for one in warnings if one not in known_warnings))
            elif zone.zone is not None and image_digest(loaded) != image_digest(zone.zone):
                # The same in other octets, as with another comment: only the image of these will be found again.
                await self.noted_files.note([_file_zone(origin, fingerprint, loaded)])
                zone.zone = loaded
                self._replace(self.zoneset.with_zone(zone.as_served(loaded)), origin)
            # A record that is left out changes the file, and nothing that is served.
            new = tuple(warning for warning in warnings if warning not in known_warnings)
            earlier = tuple(warning for warning in warnings if warning in known_warnings)
            return ZoneLoad(config.origin, LoadedChange.UNCHANGED, warnings=new, earlier_warnings=earlier)
        try:
            await self.observe_ttl(zone, loaded.maximum_ttl, lower=False)
            if zone.unsigned and zone.key_manager is None and zone.unsigned_ttl is None:
                await self.store_unsigned(zone, loaded.maximum_ttl)
        except StateError as error:
            return self._refuse(zone, before, str(error))
        if zone.zone is not None and fingerprint != zone.fingerprint and _answered_alike(config, before):
            grown = serial_warning(zone.zone, loaded)
            warnings = (*warnings, f"{config.file}: {grown}") if grown is not None else warnings
        return _Read(zone, before, LoadedZone(loaded, fingerprint, warnings))

    def _enter(self, origin: bytes, config: ZoneConfig, known: DurableKeys) -> RegisteredZone:
        """A new entry, of which only the settings and what is stored are known."""
        assert config.file is not None
        zone = self.registered[origin] = RegisteredZone(
            config,
            origin,
            File(config.file),
            unsigned=known.has_keys and known.unsigned,
            unsigned_ttl=known.unsigned_ttl if config.signed or known.configured is False else None,
            ds=known.ds,
            was_signed=known.has_keys and not known.unsigned,
            keys_problem=known.problem,
        )
        return zone

    async def _take_up_all(self, reads: trio.MemoryReceiveChannel[_Read], loads: dict[bytes, ZoneLoad]) -> None:
        """Note what was read, many zones in a transaction, and answer from it."""
        async for first in reads:
            read = [first]
            if not self.noted_files.is_noted(first.as_noted):
                with suppress(trio.EndOfChannel), trio.move_on_after(_NOTED_WITHIN):
                    while len(read) < _NOTED_AT_ONCE:
                        read.append(await reads.receive())
            await self.noted_files.note([one.as_noted for one in read])
            try:
                for one in read:
                    async with self.names.holding(one.zone.origin):
                        loads[one.zone.origin] = await self._take_up(*one)
            finally:
                for one in read:  # one that failed holds up nobody else
                    self.membership.passed_over(Part.DATA, one.zone.origin)
            taken_up, self._taken_up = self._taken_up, trio.Event()
            taken_up.set()
            for one in read:
                with suppress(StateError):  # then the longer wait stays in force
                    async with self.names.holding(one.zone.origin):
                        await self.observe_ttl(one.zone, one.loaded.zone.maximum_ttl, lower=True)

    async def _take_up(self, zone: RegisteredZone, before: ZoneConfig, read: LoadedZone) -> ZoneLoad:
        """Answer from what was read, now that it is noted."""
        origin, config, (loaded, fingerprint, warnings) = zone.origin, zone.config, read
        try:
            await self.observe_ttl(zone, loaded.maximum_ttl, lower=False)  # by a key manager that began meanwhile
        except StateError as error:
            return self._refuse(zone, before, str(error))
        zone.source, zone.fingerprint, zone.zone = File(config.file), fingerprint, loaded  # type: ignore[arg-type]
        self._reconcile(zone, before)
        is_new = self.zoneset.get(origin) is None and self.zoneset.withheld(origin) is None
        if is_new and self._joining is not None:
            self._joining.append(zone)
        else:
            self._replace(self.zoneset.with_zone(zone.as_served(loaded), zone.ds if is_new else None), origin)
        return ZoneLoad(config.origin, LoadedChange.LOADED, warnings=warnings)

    def _join(self) -> None:
        """Answer for the zones of the first load: at the cost of one, where one by one costs the square of them."""
        joining, self._joining = self._joining, None
        if joining:
            data = [zone.as_served(zone.zone) for zone in joining if zone.zone is not None]
            self._replace(
                self.zoneset.with_zones(data, {zone.origin: zone.ds for zone in joining}), *(z.origin for z in joining)
            )

    def _refuse(self, zone: RegisteredZone, before: ZoneConfig, reason: str) -> ZoneLoad:
        """Go on with what was served before, or answer SERVFAIL where nothing was."""
        zone.problem = reason
        if zone.zone is not None:
            zone.config = before  # or the next load would take its settings for those in force
        self._replace(self.zoneset.with_unloaded(zone.origin, zone.ds), zone.origin)
        return ZoneLoad(zone.config.origin, LoadedChange.REFUSED, reason)

    def _reconcile(self, zone: RegisteredZone, before: ZoneConfig) -> None:
        """Bring the key manager of a zone of a file, if it has one, into line with its settings."""
        config = zone.config
        if zone.key_manager is None:
            return
        if config.parent == before.parent:
            zone.key_manager.reconfigure(config.policy, config.ksk_arn, config.signed)
        else:
            self.start_key_manager(zone)  # it takes up the keyring of the one that it replaces

    async def observe_ttl(self, zone: RegisteredZone, maximum_ttl: int, *, lower: bool) -> None:
        """Tell the key manager of the zone's TTLs: of higher ones before they are served, of lower ones afterwards.

        Raises `StateError` where that can't be stored.
        """
        key_manager = zone.key_manager
        stored = zone.unsigned_ttl if key_manager is None and zone.unsigned else None
        if stored is not None and maximum_ttl != stored and (maximum_ttl < stored) == lower:
            if lower:
                await self.membership.published_of(Part.DATA, zone.origin, yielding=True)
            await self.store_unsigned(zone, maximum_ttl, lowered=lower)
        while key_manager is not None and (maximum_ttl < key_manager.keyring.data_ttl) == lower:
            if lower:
                await self.membership.published_of(Part.DATA, zone.origin, yielding=True)
            try:
                await key_manager.observe_ttl(maximum_ttl)
            except StateError:
                if zone.key_manager is key_manager:
                    raise
            if zone.key_manager is key_manager:
                return
            key_manager = zone.key_manager  # which may have been given up and another one started meanwhile

    async def _read(self, zone: RegisteredZone, ahead: LoadedZone | StateError | None) -> LoadedZone:
        """Read a zone's file. One that stays signed against its setting is read as one that is signed.

        Raises `ZoneFileError`, and `StateError` where what has to be known before an unsigned answer is not stored.
        """
        config = zone.config
        as_signed = config.signed or (zone.key_manager is not None and not zone.unsigned)
        if isinstance(ahead, StateError):
            raise ahead
        loaded = ahead or await self._files.load(msgspec.structs.replace(config, signed=as_signed))
        if not as_signed and await self._stays_signed(zone, loaded[0].maximum_ttl):
            loaded = await self._files.load(msgspec.structs.replace(config, signed=True))
        return loaded

    async def _stays_signed(self, zone: RegisteredZone, maximum_ttl: int) -> bool:
        """Whether a file's zone that is to be served unsigned by its setting is signed, as its keyring says. If it is
        not, what has to be known before its first unsigned answer is stored. Raises `StateError`.
        """
        if zone.key_manager is None and zone.unsigned_ttl is None:
            await self.store_unsigned(zone, maximum_ttl)
        return not zone.unsigned

    async def store_unsigned(self, zone: RegisteredZone, maximum_ttl: int, *, lowered: bool = False) -> None:
        """Store that a zone without a key manager is answered unsigned, with such TTLs (seconds). Raises `StateError`.

        A zone whose keyring says that it is signed is not `unsigned` afterwards, and is to have a key manager.
        """
        configured = zone.config.signed if isinstance(zone.source, File) else None
        wanted = UnsignedZone(zone.origin, maximum_ttl, zone.config.policy.propagation, configured, lowered)
        services, now = self._services, ceil(self._services.now())
        stored = await services.run_blocking(lambda: store_unsigned(services.store, [wanted], services.new_token, now))
        keyring = stored[zone.origin]
        if isinstance(keyring, StateError):
            raise keyring
        zone.unsigned = keyring.served_unsigned
        zone.unsigned_ttl = keyring.unsigned_ttl if zone.unsigned else None
        if zone.unsigned:
            zone.ds = NO_DS

    async def _remove(self, origin: bytes) -> ZoneLoad:
        async with self.names.holding(origin):
            zone = self.registered[origin]
            self.unhost(zone)
        return ZoneLoad(zone.config.origin, LoadedChange.REMOVED)


def _wants_key_manager(zone: RegisteredZone) -> bool:
    """Whether a zone is to have a key manager and has none."""
    return zone.wants_key_manager and zone.key_manager is None and zone.fingerprint is not None


def _file_zone(origin: bytes, fingerprint: bytes, loaded: Zone) -> FileZone:
    image = image_digest(loaded)
    return FileZone(origin, fingerprint, image_file(origin, image) if image is not None else None)


def _log_load(load: ZoneLoad) -> None:
    if load.change is not LoadedChange.UNCHANGED:
        level = _log.error if load.change is LoadedChange.REFUSED else _log.info
        level(f"zone {load.change.value}", zone=load.origin, reason=load.reason)
    for warning in load.warnings:
        _log.warning("zone warning", zone=load.origin, reason=warning)


def _answered_alike(one: ZoneConfig, other: ZoneConfig) -> bool:
    """Whether what differs between two loads are the data."""
    return (one.signed, one.denial, one.flood_denial) == (other.signed, other.denial, other.flood_denial)
