"""The zones that are loaded from files, as the Route 53 API shows them: to be looked at, not to be changed."""

from __future__ import annotations

from bisect import bisect_left
from operator import itemgetter
from pathlib import Path

import trio

from keys.custody.action_executor import Services
from server.hosting import listed_file_records
from server.hosting.registered_zone import File
from server.hosting.zone_registry import ZoneRegistry
from zones.recordsets.record_sets import NO_SUCH_ZONE, HostedZone, ZoneRequestError
from zones.recordsets.route53_names import order, to_text
from zones.zone import Zone

_AT_A_TIME = 64
"""Zones after which queries are answered before the next are looked at: a quarter of a millisecond."""

_Place = tuple[str, str]
"""The name's order and the id of a zone in a listing by names."""


class ZonesOfFiles:
    """The zones of `registry` that have a file. Each has the id that it was given when it was loaded."""

    def __init__(self, registry: ZoneRegistry, services: Services) -> None:
        self._registry = registry
        self._services = services
        self._ids: dict[bytes, str] = {}
        """By origin."""
        self._made_of: list[tuple[File, Zone]] = []
        """What the two below were made of: to make them anew for each page takes 50 ms with 10,000 zones."""
        self._by_id: dict[str, HostedZone] = {}
        self._by_name: list[tuple[_Place, HostedZone]] = []

    async def all(self) -> dict[str, HostedZone]:
        """The zones by id, in the order of ids. Raises `StateError`."""
        of_files = [
            (hosted.source, hosted.zone)
            for hosted in self._registry.registered.values()
            if isinstance(hosted.source, File) and hosted.zone is not None
        ]
        if not of_files:
            return {}
        if of_files == self._made_of:
            return self._by_id
        if any(zone.origin not in self._ids for _, zone in of_files):
            self._ids |= await self._services.run_blocking(self._services.store.zone_ids)
        ids, told = dict(self._ids), list[HostedZone]()
        for number, (source, zone) in enumerate(of_files, 1):
            if (zone_id := ids.get(zone.origin)) is not None:
                told.append(_told(source.path, zone, zone_id))
            if number % _AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
        by_id = {shown.id: shown for shown in sorted(told, key=lambda shown: shown.id)}
        await trio.lowlevel.checkpoint()
        by_name = sorted((((order(shown.name), shown.id), shown) for shown in told), key=itemgetter(0))
        if len(told) == len(of_files) and self._ids == ids:  # else some are yet to get an id
            self._made_of, self._by_id, self._by_name = of_files, by_id, by_name
        return by_id

    async def by_name(self, start: _Place, limit: int) -> list[HostedZone]:
        """At most `limit` zones from `start` on, in the order of names. Raises `StateError`."""
        told = await self.all()
        by_name = self._by_name
        if told is not self._by_id:  # some have no id yet
            by_name = sorted((((order(shown.name), shown.id), shown) for shown in told.values()), key=itemgetter(0))
        first = bisect_left(by_name, start, key=itemgetter(0))
        return [shown for _, shown in by_name[first : first + limit]]

    async def zone(self, zone_id: str) -> HostedZone:
        """One zone. Raises `ZoneRequestError` (NoSuchHostedZone) and `StateError`."""
        found = (await self.all()).get(zone_id)
        if found is None:
            raise ZoneRequestError(NO_SUCH_ZONE, f"No hosted zone found with ID: {zone_id}")
        return found

    def forget(self, origin: bytes) -> None:
        """A hosted zone is deleted, and its id with it: a file's zone of that name gets another one."""
        self._ids.pop(origin, None)
        self._made_of = []

    def forget_all(self) -> None:
        """The state may be another: read the ids once more."""
        self._ids.clear()
        self._made_of = []


def _told(file: Path, zone: Zone, zone_id: str) -> HostedZone:
    return HostedZone(
        id=zone_id,
        name=to_text(zone.origin),
        caller_reference=f"file:{file}",
        comment=f"loaded from {file}",
        created=0,
        name_servers=listed_file_records.name_servers(zone),
        record_set_count=listed_file_records.count(zone),
        read_only=True,
    )
