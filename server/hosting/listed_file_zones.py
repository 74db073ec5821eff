"""The zones that are loaded from files, as the Route 53 API shows them: to be looked at, not to be changed."""

from __future__ import annotations

from pathlib import Path

from keys.custody.action_executor import Services
from server.hosting import listed_file_records
from server.hosting.registered_zone import File
from server.hosting.zone_registry import ZoneRegistry
from zones.recordsets.record_sets import NO_SUCH_ZONE, HostedZone, ZoneRequestError
from zones.recordsets.route53_names import to_text
from zones.zone import Zone


class ZonesOfFiles:
    """The zones of `registry` that have a file. Each has the id that it was given when it was loaded."""

    def __init__(self, registry: ZoneRegistry, services: Services) -> None:
        self._registry = registry
        self._services = services
        self._ids: dict[bytes, str] = {}
        """By origin."""
        self._shown: dict[bytes, tuple[Zone, HostedZone]] = {}
        """By origin, what was shown of a zone: to make it anew for each request takes 50 ms with 10,000 zones."""

    async def all(self) -> dict[str, HostedZone]:
        """The zones by id. Raises `StateError`."""
        of_files = [
            (hosted.source.path, hosted.zone)
            for hosted in self._registry.registered.values()
            if isinstance(hosted.source, File) and hosted.zone is not None
        ]
        if not of_files:
            return {}
        if any(zone.origin not in self._ids for _, zone in of_files):
            self._ids |= await self._services.run_blocking(self._services.store.zone_ids)
        told = {
            zone.origin: (zone, self._told(file, zone, zone_id))
            for file, zone in of_files
            if (zone_id := self._ids.get(zone.origin)) is not None
        }
        self._shown = told
        return {shown.id: shown for _, shown in told.values()}

    async def zone(self, zone_id: str) -> HostedZone:
        """One zone. Raises `ZoneRequestError` (NoSuchHostedZone) and `StateError`."""
        found = (await self.all()).get(zone_id)
        if found is None:
            raise ZoneRequestError(NO_SUCH_ZONE, f"No hosted zone found with ID: {zone_id}")
        return found

    def forget(self, origin: bytes) -> None:
        """A hosted zone is deleted, and its id with it: a file's zone of that name gets another one."""
        self._ids.pop(origin, None)

    def forget_all(self) -> None:
        """The state may be another: read the ids once more."""
        self._ids.clear()

    def _told(self, file: Path, zone: Zone, zone_id: str) -> HostedZone:
        before = self._shown.get(zone.origin)
        reference = f"file:{file}"
        if before is not None and before[0] is zone:
            shown = before[1]
            if (shown.id, shown.caller_reference) == (zone_id, reference):
                return shown
        return HostedZone(
            id=zone_id,
            name=to_text(zone.origin),
            caller_reference=reference,
            comment=f"loaded from {file}",
            created=0,
            name_servers=listed_file_records.name_servers(zone),
            record_set_count=listed_file_records.count(zone),
            read_only=True,
        )
