"""A snapshot of the state, where this process can't follow the change log: what is stored is answered from anew.

Rows that were removed or changed, a state that was restored under a running server, a commit that the disk called
failed and kept all the same: of none of these is it known here what they changed. So all that they may have told is
read, as at a start, while the names of the zones are held; then it is answered from, and the position of this process
goes on. The zones of files keep their data, which no row holds; their keys and ids are read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import structlog
import trio

from keys.custody.action_executor import Services
from keys.custody.key_manager import KeyManager
from keys.custody.state_database import StateDamaged, StateOvertaken, StateTooNew, StateUnavailable
from keys.custody.zsk_encryption import StateError
from keys.rules.events import TriedAgain
from keys.rules.keyring import Keyring
from keys.rules.transitions import evolve
from server.hosting.followed_log import Lost
from server.hosting.hosted_zones import HostedZones
from server.hosting.registered_zone import RegisteredZone
from server.hosting.zone_registry import ZoneRegistry

WHAT = "following the change log"
"""As a trouble, while the state can't be read."""
LOOKED_AT = 900.0
"""Seconds after which the log's end is looked at where nobody writes, so that a state that was put in the place of the
one that is served is noticed all the same."""
_log = structlog.get_logger("signwright.zones")


class StateSnapshots:
    """Takes a snapshot whenever the change log can't be followed."""

    def __init__(self, registry: ZoneRegistry, zones: HostedZones, services: Services) -> None:
        self._registry = registry
        self._zones = zones
        self._services = services

    async def run(self) -> None:
        """Take each snapshot that is needed. Raises `StateError` where the state can't be read: to be tried again."""
        store = self._services.store
        while True:
            lost: Sequence[Lost] = ()
            with trio.move_on_after(LOOKED_AT):
                lost = await self._registry.membership.losing()
            if lost:
                await self.take(lost)
                continue
            with suppress(StateUnavailable, StateOvertaken):  # its writer gets the error
                await self._services.run_blocking(store.look_at_log)

    async def take(self, lost: Sequence[Lost]) -> None:
        """Answer from what is stored, with the position that is read. Raises `StateError`; then nothing is found."""
        origins: set[bytes] | None = set()
        for one in lost:
            _log.warning("the change log can't be followed: reading the whole state again", reason=one.reason)
            origins = None if origins is None or one.origins is None else origins | one.origins
        membership = self._registry.membership

        def awaiting(origin: bytes) -> None:
            for one in lost:
                membership.log.awaits_keys(one, origin)

        await self._zones.reread(origins)
        zones = [z for z in self._registry.registered.values() if origins is None or z.origin in origins]
        await self._reread_keys(zones, awaiting)
        if origins is None:
            await self._registry.note_anew()
        membership.found(lost)
        _log.info("the whole state was read again", version=membership.log.newest.version)

    async def _reread_keys(self, zones: Sequence[RegisteredZone], awaiting: Callable[[bytes], None]) -> None:
        """Keep the keys of these zones as they are stored, which may be others than those that are kept here.

        `awaiting` is called with the origin of each zone whose keys are taken up anew, before they are.
        """
        lacking = await self._not_noted([zone for zone in zones if zone.key_manager is None])
        for zone in zones:
            if zone.key_manager is not None and await self._has_other_keys(zone.key_manager):
                async with self._registry.names.holding(zone.origin):
                    await self._keep_anew(zone, awaiting)
            elif zone.origin in lacking:
                async with self._registry.names.holding(zone.origin):
                    await self._note_unsigned(zone, awaiting)

    async def _has_other_keys(self, key_manager: KeyManager) -> bool:
        store, origin, before = self._services.store, key_manager.origin, key_manager.keyring
        try:
            stored = await self._services.run_blocking(lambda: store.load_keyring(origin))
        except StateUnavailable:
            raise
        except StateError:
            return True  # its key manager will say what is wrong with it
        return not any(_is_alike(stored, one) for one in (before, key_manager.keyring))

    def _is_here(self, zone: RegisteredZone) -> bool:
        return self._registry.registered.get(zone.origin) is zone

    async def _keep_anew(self, zone: RegisteredZone, awaiting: Callable[[bytes], None]) -> None:
        if not self._is_here(zone) or zone.key_manager is None:
            return
        supervisor = self._registry.key_managers
        supervisor.give_up(zone)
        await supervisor.ended(zone.origin)
        awaiting(zone.origin)
        self._registry.start_key_manager(zone)

    async def _not_noted(self, zones: Sequence[RegisteredZone]) -> Collection[bytes]:
        """Those of these zones without a key manager of which it isn't stored that they are served unsigned."""
        loaded = {zone.origin: zone.zone.maximum_ttl for zone in zones if zone.zone is not None}
        known = await self._registry.durable_keys(list(loaded))
        return {
            origin
            for origin, ttl in loaded.items()
            if not known[origin].unsigned or (stored := known[origin].unsigned_ttl) is None or stored < ttl
        }

    async def _note_unsigned(self, zone: RegisteredZone, awaiting: Callable[[bytes], None]) -> None:
        if not self._is_here(zone) or zone.key_manager is not None or zone.zone is None:
            return
        with suppress(StateDamaged, StateTooNew):  # what is answered now was stored once
            await self._registry.store_unsigned(zone, zone.zone.maximum_ttl)
        if not zone.unsigned:  # as the keyring says that is stored now
            awaiting(zone.origin)
            zone.is_kept = True
            self._registry.host([zone])
            self._registry.start_key_manager(zone)


def _is_alike(stored: Keyring | None, kept: Keyring) -> bool:
    """Whether what is stored is what a key manager keeps, but for pauses between tries, which nobody stores."""
    if stored is None:
        return kept.revision == 0
    again = TriedAgain(stored.newest)
    return stored.revision == kept.revision and evolve(stored, again) == evolve(kept, again)
