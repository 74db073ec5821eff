"""The zones of this process: those of files are loaded here and replaced whole; each signed one has the key manager of
its keys. Hosted zones, whose record sets are kept in the state database, join them here
(`server.hosting.hosted_zones`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
import trio

from keys.custody.action_executor import Services
from keys.custody.key_manager import KeyManager
from keys.custody.zsk_encryption import StateError
from keys.dnssec.zone_keys import ZoneKeys
from server.hosting.answering_backends import Backends, ThisProcess
from server.hosting.parent_lookup import LocalParent, RemoteParent, parent_for
from server.hosting.zone_files import ZoneFiles
from server.settings.configuration import ZoneConfig
from zones import names
from zones.masterfile.load import ZoneFileError
from zones.masterfile.warnings import serial_warning
from zones.node import Node
from zones.storage.mapped_nodes import image_digest
from zones.zone import Zone
from zones.zoneset import ZoneSet, trust_anchors

_log = structlog.get_logger("signwright.zones")


class LoadedChange(enum.Enum):
    """What a load did to a zone."""

    LOADED = "loaded"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    """Its file makes no zone: what was served before goes on, or SERVFAIL where nothing was."""
    REMOVED = "removed"


class ZoneLoad(NamedTuple):
    """The outcome for one zone."""

    origin: str
    change: LoadedChange
    reason: str | None = None
    """Why it was refused, with file and line."""
    warnings: tuple[str, ...] = ()
    """Warnings about what was loaded (`zones.masterfile.warnings.first`); of an unchanged zone, only new ones."""


@dataclass
class RegisteredZone:
    """One zone that is configured, whether it could be loaded or not."""

    config: ZoneConfig
    origin: bytes
    problem: str | None = None
    """Why its file was refused last."""
    fingerprint: bytes | None = None
    warnings: tuple[str, ...] = ()
    """Of its file, as it was read last."""
    zone: Zone | None = None
    """As it was loaded last."""
    unsigned: bool = False
    """Whether its key manager says that signing is disabled."""
    key_manager: KeyManager | None = None
    parent: RemoteParent | LocalParent | None = None
    """Whom the key manager asks for the DS."""
    watches: bool = False
    """Whether it does; where a zone of a file has no parent here, a task that waits for one would take 4 kB."""
    refreshed: int | None = None
    """When what is published was signed."""
    refreshes: int = 0
    """How often that changed in the life of this process."""
    keeping: trio.CancelScope = field(default_factory=trio.CancelScope)


class ZoneRegistry:
    """Loads, replaces and removes zones. `zoneset` is what is answered from: one assignment replaces it."""

    def __init__(
        self,
        services: Services,
        nursery: trio.Nursery,
        changed: Callable[[], None],
        backends: Backends | None = None,
        files: ZoneFiles | None = None,
    ) -> None:
        """Key managers run in `nursery`. `changed` is called whenever zones, or the KSKs of one, are others; it must
        not block.

        `backends` are those who answer, if it is not this process; `files` reads zone files.
        """
        self.zoneset = ZoneSet()
        self.backends: Backends = backends or ThisProcess()
        self.version = 0
        """Of `zoneset`, as `backends` counts."""
        self.hosted: dict[bytes, RegisteredZone] = {}
        self._files = files or ZoneFiles(None, services.run_blocking)
        self._services = services
        self._nursery = nursery
        self._changed = changed
        self._loading = trio.Lock()
        self._began = int(services.now())

    async def load(self, configs: Sequence[ZoneConfig]) -> list[ZoneLoad]:
        """Bring the zones into line with `configs`, reading each file anew; one that makes no zone changes nothing."""
        async with self._loading:
            wanted = {names.from_text(config.origin): config for config in configs}
            of_files = [origin for origin, hosted in self.hosted.items() if hosted.config.file is not None]
            results = [self._remove(origin) for origin in of_files if origin not in wanted]
            for origin, config in wanted.items():
                results.append(await self._load(origin, config))
            self._tell_children(self.hosted)
            self._give_up_orphans()  # `sign` is called next
            for result in results:
                if result.change is not LoadedChange.UNCHANGED or result.warnings:
                    _log_load(result)
                    await trio.lowlevel.checkpoint()  # of thousands of lines, each takes 30 µs
            await self.backends.reached()
            await self._files.forget([hosted.zone for hosted in self.hosted.values() if hosted.zone is not None])
            return results

    async def sign(self) -> None:
        """Start the key managers that are missing, and wait until each has published keys or failed once."""
        async with trio.open_nursery() as waiting:
            for hosted in self.hosted.values():
                if hosted.config.signed and hosted.key_manager is None and self._is_loaded(hosted):
                    waiting.start_soon(self.start_key_manager, hosted)

    async def start_key_manager(self, hosted: RegisteredZone) -> KeyManager:
        """Start the key manager of a zone that has none, and wait until it has published keys or failed once."""
        config = hosted.config
        hosted.parent = self.parent_of(hosted)
        hosted.watches = hosted.config.file is None or _is_asked(hosted)
        key_manager = hosted.key_manager = KeyManager(
            hosted.origin,
            config.policy,
            config.ksk_arn,
            self._services,
            self._publish,
            parent=hosted.parent if hosted.watches else None,
            signing=config.file is not None,
        )
        scope = hosted.keeping = trio.CancelScope()
        if hosted.zone is not None:
            await key_manager.observe_ttl(hosted.zone.maximum_ttl)
        await self._nursery.start(self._keep, key_manager, scope)
        return key_manager

    def parent_of(self, hosted: RegisteredZone) -> RemoteParent | LocalParent | None:
        """Where a zone's DS and delegation are looked up."""
        return parent_for(hosted.config.parent, lambda: self.zoneset, self._services.now)

    def host(self, new: Sequence[RegisteredZone]) -> None:
        """Answer for these hosted zones from now on."""
        self.hosted |= {hosted.origin: hosted for hosted in new}
        self._replace(self.zoneset.with_zones(_as_served(one, one.zone) for one in new if one.zone is not None))
        for child in self._give_up_orphans():
            self._nursery.start_soon(self._start_missing, child)

    async def _start_missing(self, hosted: RegisteredZone) -> None:
        if hosted.key_manager is None:
            await self.start_key_manager(hosted)

    def _give_up_orphans(self) -> list[RegisteredZone]:
        """Give up the key managers that have no parent to look at where there is one by now; theirs begin anew."""
        found = [
            one for one in self.hosted.values() if one.key_manager is not None and not one.watches and _is_asked(one)
        ]
        for hosted in found:
            self.dismiss(hosted)
        return found

    def change(self, hosted: RegisteredZone, zone: Zone, replaced: Mapping[bytes, Node | None]) -> None:
        """Answer from now on from `zone`, which is the hosted zone as it was with other nodes at some names."""
        hosted.zone = zone
        self._follow(self.zoneset.with_nodes(hosted.origin, replaced))
        self._tell_children(owner for owner in replaced if owner != hosted.origin)

    def dismiss(self, hosted: RegisteredZone) -> None:
        """Give up the key manager of a zone, if it has one."""
        hosted.keeping.cancel()
        hosted.key_manager = None

    def unhost(self, hosted: RegisteredZone) -> None:
        """Answer for a hosted zone no more."""
        del self.hosted[hosted.origin]
        self._replace(self.zoneset.without_zone(hosted.origin))

    def _tell_children(self, owners: Iterable[bytes]) -> None:
        """Have the zones of these look at their DS: one that came and goes again is in caches for as long as it was."""
        for owner in owners:
            child = self.hosted.get(owner)
            if child is not None and isinstance(child.parent, LocalParent):
                child.parent.tell_changed()

    def _is_loaded(self, hosted: RegisteredZone) -> bool:
        return hosted.fingerprint is not None

    async def _keep(
        self, key_manager: KeyManager, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]
    ) -> None:
        with scope:
            await key_manager.run(task_status=task_status)

    def _publish(self, origin: bytes, keys: ZoneKeys | None) -> None:
        hosted = self.hosted.get(origin)
        if hosted is None or hosted.zone is None:
            return
        refreshed = hosted.key_manager.keyring.refreshed if hosted.key_manager is not None else None
        if refreshed is not None and refreshed != hosted.refreshed:
            hosted.refreshed = refreshed
            hosted.refreshes += refreshed >= self._began  # else by an earlier life
        if keys is not None and hosted.config.file is None:
            # The DS of a hosted zone is a record set of its parent's, which people put there and take away.
            keys = keys._replace(delegation=())
        zoneset = self.zoneset
        before = zoneset.get(origin)
        earlier = before.keys if before is not None else None
        trusted = trust_anchors(earlier) if earlier is not None else ()
        if hosted.unsigned != (keys is None):
            hosted.unsigned = keys is None
            zoneset = zoneset.with_zone(_as_served(hosted, hosted.zone))
        self._follow(zoneset.with_keys(origin, keys))
        if earlier is not None and keys is not None and earlier.delegation != keys.delegation:
            self._tell_children((origin,))  # a parent served here has another DS by now
        if trusted != (trust_anchors(keys) if keys is not None else ()):
            self._changed()

    def _replace(self, zoneset: ZoneSet) -> None:
        self._follow(zoneset)
        self._changed()

    def _follow(self, zoneset: ZoneSet) -> None:
        self.zoneset = zoneset
        self.version = self.backends.follow(zoneset)

    async def _load(self, origin: bytes, config: ZoneConfig) -> ZoneLoad:
        hosted = self.hosted.setdefault(origin, RegisteredZone(config, origin))
        if hosted.config.file is None:
            return ZoneLoad(
                config.origin, LoadedChange.REFUSED, f"{config.file}: {config.origin} is a hosted zone already"
            )
        before, hosted.config = hosted.config, config
        try:
            zone, fingerprint, warnings = await self._files.load(config)
        except ZoneFileError as error:
            hosted.problem = str(error)
            if hosted.zone is not None:
                hosted.config = before  # or the next load would take its settings for those in force
            self._replace(self.zoneset.with_unloaded(origin))
            return ZoneLoad(config.origin, LoadedChange.REFUSED, str(error))
        hosted.problem = None
        known, hosted.warnings = hosted.warnings, warnings
        if fingerprint == hosted.fingerprint and config == before:
            if hosted.zone is not None and image_digest(zone) != image_digest(hosted.zone):
                # The same in other octets, as with another comment: only the image of these will be found again.
                hosted.zone = zone
                self._replace(self.zoneset.with_zone(_as_served(hosted, zone)))
            # A record that is left out changes the file, and nothing that is served.
            new = tuple(warning for warning in warnings if warning not in known)
            return ZoneLoad(config.origin, LoadedChange.UNCHANGED, warnings=new)
        try:
            await self.observe_ttl(hosted, zone.maximum_ttl, lower=False)
        except StateError as error:
            hosted.problem = str(error)
            if hosted.zone is not None:
                hosted.config = before
            return ZoneLoad(config.origin, LoadedChange.REFUSED, str(error))
        if hosted.zone is not None and fingerprint != hosted.fingerprint and _answered_alike(config, before):
            grown = serial_warning(hosted.zone, zone)
            warnings = (*warnings, f"{config.file}: {grown}") if grown is not None else warnings
        hosted.fingerprint, hosted.zone = fingerprint, zone
        if hosted.key_manager is not None:
            if config.signed and config.parent == before.parent:
                hosted.key_manager.reconfigure(config.policy, config.ksk_arn)
            elif config.signed:
                # Another one takes up its keyring, when the caller asks for what is missing.
                hosted.keeping.cancel()
                hosted.key_manager = None
            else:
                self._dismiss(hosted)
        self._replace(self.zoneset.with_zone(_as_served(hosted, zone)))
        with suppress(StateError):  # then the longer wait stays in force
            await self.observe_ttl(hosted, zone.maximum_ttl, lower=True)
        return ZoneLoad(config.origin, LoadedChange.LOADED, warnings=warnings)

    async def observe_ttl(self, hosted: RegisteredZone, maximum_ttl: int, *, lower: bool) -> None:
        """Tell the key manager of the zone's TTLs: of higher ones before they are served, of lower ones afterwards.

        Raises `StateError` where that can't be stored.
        """
        key_manager = hosted.key_manager
        if key_manager is not None and (maximum_ttl < key_manager.keyring.data_ttl) == lower:
            if lower:
                await self.backends.reached()
            await key_manager.observe_ttl(maximum_ttl)

    def _remove(self, origin: bytes) -> ZoneLoad:
        hosted = self.hosted.pop(origin)
        self._dismiss(hosted)
        self._replace(self.zoneset.without_zone(origin))
        return ZoneLoad(hosted.config.origin, LoadedChange.REMOVED)

    def _dismiss(self, hosted: RegisteredZone) -> None:
        self.dismiss(hosted)
        hosted.unsigned = False


def _log_load(load: ZoneLoad) -> None:
    if load.change is not LoadedChange.UNCHANGED:
        level = _log.error if load.change is LoadedChange.REFUSED else _log.info
        level(f"zone {load.change.value}", zone=load.origin, reason=load.reason)
    for warning in load.warnings:
        _log.warning("zone warning", zone=load.origin, reason=warning)


def _answered_alike(one: ZoneConfig, other: ZoneConfig) -> bool:
    """Whether what differs between two loads are the data."""
    return (one.signed, one.denial) == (other.signed, other.denial)


def _is_asked(hosted: RegisteredZone) -> bool:
    """Whether there is a parent that can be looked at."""
    parent = hosted.parent
    return parent.is_asked(hosted.origin) if isinstance(parent, LocalParent) else parent is not None


def _as_served(hosted: RegisteredZone, zone: Zone) -> Zone:
    """The zone, or while signing is disabled the same without the types that signing adds."""
    return zone.as_unsigned() if hosted.unsigned else zone
