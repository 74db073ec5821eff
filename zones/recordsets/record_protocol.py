"""What the rest asks of hosted zones and their record sets, whatever database keeps them.

`zones.recordsets.record_store.RecordStore` does it on SQLite, in units of work of `keys.custody.state_database`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from zones.recordsets.change_batch import Applied
from zones.recordsets.record_sets import ChangeInfo, HostedZone, Position, RecordSet, RecordSetChange
from zones.recordsets.record_store import StoredZones


class Records(Protocol):
    """Hosted zones; each write is durable when its method has returned."""

    def create(self, zone: HostedZone, record_sets: Sequence[RecordSet], change: ChangeInfo) -> HostedZone:
        """Store a new zone."""

    def stored_zones(self) -> StoredZones:
        """All zones; one that can't be read concerns itself alone."""

    def zone(self, zone_id: str) -> HostedZone:
        """One zone."""

    def zones(self, marker: str = "", limit: int = -1) -> tuple[HostedZone, ...]:
        """At most `limit` zones by id, from `marker` on."""

    def zones_by_name(self, name: str | None, zone_id: str, limit: int) -> tuple[HostedZone, ...]:
        """At most `limit` zones in the order of their names."""

    def zone_count(self) -> int:
        """How many zones there are."""

    def comment(self, zone_id: str, comment: str) -> HostedZone:
        """Give a zone another comment."""

    def delete(self, zone_id: str, change: ChangeInfo, *, whole: bool = False) -> None:
        """Remove a zone with all that is kept of it; `whole`: also one that has records, or can't be read."""

    def change_tags(self, zone_id: str, put: Mapping[str, str], remove: Sequence[str]) -> None:
        """Put tags and remove others."""

    def tags(self, zone_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """The tags of each zone, by name."""

    def record_sets(self, zone_id: str, start: Position | None, limit: int) -> tuple[RecordSet, ...]:
        """At most `limit` record sets in the order of listings."""

    def all_record_sets(self, zone_id: str) -> Iterator[RecordSet]:
        """Every record set of a zone."""

    def apply(
        self,
        zone_id: str,
        changes: Sequence[RecordSetChange],
        change: ChangeInfo,
        prepare: Callable[[Applied], object] | None = None,
    ) -> Applied:
        """Apply a batch and note its change, all or nothing."""

    def change(self, change_id: str) -> ChangeInfo:
        """What became of a change."""

    def note_change(self, change: ChangeInfo) -> None:
        """Note a change that was made elsewhere."""
