"""What can be asked of the hosted zones, as the Route 53 API needs it; `server.hosting.hosted_zones` does it.

Ids are bare: "Z…" and "C…", without "/hostedzone/" and "/change/". Names given may be in any spelling that Route 53
takes; names told are in Route 53's own. Every time is seconds since the epoch. All methods that take an id raise
`ZoneRequestError` (NoSuchHostedZone) for a zone that is not there, and all that change or read the state raise
`keys.custody.zsk_encryption.StateError` where the disk fails; then nothing changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from keys.custody.key_manager import KeyManager
from keys.rules.key_status import ZoneStatus
from keys.rules.keyring import Keyring
from zones.recordsets.record_sets import ChangeInfo, HostedZone, Position, RecordSet, RecordSetChange


class ZoneOperations(Protocol):
    """Hosted zones, their record sets and the keys of each."""

    async def create_zone(
        self, name: str, caller_reference: str, name_servers: Sequence[str], comment: str = ""
    ) -> tuple[HostedZone, ChangeInfo]:
        """Make a zone with its NS and SOA record sets, and answer from it. Durable when it returns.

        `name_servers` is its delegation set, without last dots. Raises `ZoneRequestError`: InvalidDomainName,
        HostedZoneAlreadyExists, ConflictingDomainExists. The same request with the same reference raises
        HostedZoneAlreadyExists too, as Route 53 has it.
        """
        ...

    async def zone(self, zone_id: str) -> HostedZone:
        """One zone."""
        ...

    async def zones(self, marker: str | None, limit: int) -> tuple[HostedZone, ...]:
        """At most `limit` zones by id, from the one with the id `marker` on. Raises NoSuchHostedZone for the marker."""
        ...

    async def zones_by_name(self, name: str | None, zone_id: str | None, limit: int) -> tuple[HostedZone, ...]:
        """At most `limit` zones in Route 53's order of names, from `name` and `zone_id` on."""
        ...

    async def zone_count(self) -> int:
        """How many zones there are."""
        ...

    async def delete_zone(self, zone_id: str) -> ChangeInfo:
        """Remove a zone with its keys' state. Raises HostedZoneNotEmpty while records or KSKs remain."""
        ...

    async def comment_zone(self, zone_id: str, comment: str) -> HostedZone:
        """Give a zone another comment."""
        ...

    async def change_tags(self, zone_id: str, put: Mapping[str, str], remove: Sequence[str]) -> None:
        """Put tags and remove others, at once."""
        ...

    async def tags(self, zone_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """The tags of zones, by id and key."""
        ...

    async def change_record_sets(
        self, zone_id: str, changes: Sequence[RecordSetChange], comment: str = ""
    ) -> ChangeInfo:
        """Apply a batch whole. Durable when it returns, and answered from. Raises `InvalidChangeBatchError`."""
        ...

    async def record_sets(self, zone_id: str, start: Position | None, limit: int) -> tuple[RecordSet, ...]:
        """At most `limit` record sets in Route 53's order, from `start` on: ask for one more to know what is next."""
        ...

    async def change(self, change_id: str) -> ChangeInfo:
        """What became of a change. Raises NoSuchChange."""
        ...

    async def note_change(self, comment: str = "", settled: Callable[[], bool] | None = None) -> ChangeInfo:
        """A change that is made already, as the calls of DNSSEC answer it: in sync once every answer has what was there
        when `settled` first said that all it leads to is published. Without that, it is all there by now.
        """
        ...

    async def key_manager(self, zone_id: str) -> KeyManager:
        """The key manager of a zone's keys, started if it was not: its `request` takes `keys.rules.commands`."""
        ...

    async def keys(self, zone_id: str) -> tuple[Keyring, ZoneStatus]:
        """The keys of a zone as they are stored, and how they are. Nothing is stored or started for that."""
        ...

    async def check_delegation(self, zone_id: str) -> None:
        """That a parent which delegates the zone names the name servers that the zone has itself, as far as its setting
        says where to ask. Raises `ZoneRequestError`: HostedZonePartiallyDelegated, and ServiceUnavailable where asking
        fails.
        """
        ...
