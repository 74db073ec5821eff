"""Files of new zones that are to be served unsigned, where they are many: read before the first of them is answered.

So what has to be stored of each before its first unsigned answer is stored of hundreds in one transaction.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import AsyncExitStack
from math import ceil

import trio

from keys.custody.action_executor import Services
from keys.custody.unsigned_zones import AT_A_TIME, UnsignedZone, store_unsigned
from keys.custody.zsk_encryption import StateError
from server.hosting.durable_keys import DurableKeys, of_keyring
from server.hosting.file_reading import FileReading, Patience
from server.hosting.name_locks import NameLocks
from server.hosting.zone_files import LoadedZone, ZoneFiles
from server.settings.configuration import ZoneConfig

_MANY = 16
"""Zones from which on it is done; a few are read and stored one by one."""


class NewUnsignedZones:
    """Reads and stores them, for `server.hosting.zone_registry`."""

    def __init__(self, files: ZoneFiles, services: Services, names: NameLocks, registered: Container[bytes]) -> None:
        """`registered` has the names of the zones that are here."""
        self._files = files
        self._services = services
        self._names = names
        self._registered = registered

    async def read(
        self,
        wanted: Mapping[bytes, ZoneConfig],
        known: dict[bytes, DurableKeys],
        patience: Patience,
        nursery: trio.Nursery,
    ) -> tuple[dict[bytes, LoadedZone | StateError], dict[bytes, FileReading]]:
        """What came of reading each, and those that are still being read, in `nursery`.

        `known` is what is stored of new zones by now, and is brought up to date. What can't be read is left to be told
        later.
        """
        new = [origin for origin, keys in known.items() if _is_to_be_noted(wanted[origin], keys)]
        ahead: dict[bytes, LoadedZone | StateError] = {}
        begun: dict[bytes, FileReading] = {}
        for origin in new if len(new) >= _MANY else ():
            reading = FileReading(self._files, wanted[origin])
            nursery.start_soon(reading.read)
            if not await patience.wait_for(reading.done):
                begun[origin] = reading
            elif reading.result is not None:
                ahead[origin] = reading.result
        read = sorted(ahead)  # every holder of many names takes them in this order
        for start in range(0, len(read), AT_A_TIME):
            async with AsyncExitStack() as held:
                for origin in read[start : start + AT_A_TIME]:
                    await held.enter_async_context(self._names.holding(origin))
                await self._store(read[start : start + AT_A_TIME], wanted, known, ahead)
        return ahead, begun

    async def _store(
        self,
        origins: Sequence[bytes],
        wanted: Mapping[bytes, ZoneConfig],
        known: dict[bytes, DurableKeys],
        ahead: dict[bytes, LoadedZone | StateError],
    ) -> None:
        zones = [
            UnsignedZone(origin, one.zone.maximum_ttl, wanted[origin].policy.propagation, False)
            for origin in origins
            if origin not in self._registered and isinstance(one := ahead[origin], LoadedZone)
        ]
        services, now = self._services, ceil(self._services.now())
        try:
            stored = await services.run_blocking(lambda: store_unsigned(services.store, zones, services.new_token, now))
        except StateError as error:
            stored = {zone.origin: error for zone in zones}
        for origin, keyring in stored.items():
            if isinstance(keyring, StateError):
                ahead[origin] = keyring
            else:
                known[origin] = of_keyring(keyring, now)


def _is_to_be_noted(config: ZoneConfig, known: DurableKeys) -> bool:
    """Whether it is not stored yet that a new zone of a file is served unsigned, as its setting says."""
    noted = known.configured is False and known.unsigned_ttl is not None
    return not config.signed and known.unsigned and known.problem is None and not noted
