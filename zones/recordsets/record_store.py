"""Where hosted zones and their record sets are kept: in the state database, durable when a method has returned.

Record sets are keyed by zone, name in the order of listings, type and set identifier: a listing is a range of the
table, read page by page. Every method blocks. Each raises `StateError` where the disk fails; then nothing changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, Select, delete, func, insert, select, tuple_, update

from keys.custody import database_schema, kept_events
from keys.custody.change_log import RecordsChanged, TagsChanged, ZoneCreated, ZoneDeleted
from keys.custody.state_database import StateDamaged, Store, Transaction
from keys.custody.zsk_encryption import StateError
from zones.recordsets.change_batch import Applied, apply_changes, touched_names
from zones.recordsets.record_sets import (
    NAME_TAKEN,
    NO_SUCH_CHANGE,
    NO_SUCH_ZONE,
    NOT_EMPTY,
    ZONE_EXISTS,
    ChangeInfo,
    ChangeStatus,
    HostedZone,
    Position,
    RecordSet,
    RecordSetChange,
    ZoneRequestError,
)
from zones.recordsets.route53_names import from_text, order, to_text

CHANGES_KEPT = 90 * 24 * 3600
"""Seconds for which it is known what became of a change."""
_AT_ONCE = 500
"""Names in one query."""

LONGEST_COMMENT = 256
"""Characters of a zone's comment."""

S = TypeVar("S", bound=msgspec.Struct)
# Made here, by one thread: see `keys.custody.stored_keyring`.
_record_set = msgspec.json.Decoder(RecordSet)
_hosted_zone = msgspec.json.Decoder(HostedZone)
_LISTED = (
    database_schema.kept_zone.c.id,
    database_schema.kept_zone.c.position,
    database_schema.kept_zone.c.caller_reference,
    database_schema.kept_zone.c.record_sets,
    database_schema.kept_zone.c.document,
)


class StoredZones(NamedTuple):
    """The hosted zones, as far as they can be read."""

    good: tuple[HostedZone, ...]
    problems: dict[bytes, StateError]
    """Why the zone with an origin can't be read."""


def nothing_more(_: Transaction) -> None:
    """Nothing else belongs to a unit of work."""


class RecordStore:
    """The hosted zones in the state database `store`; may be called from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # Zones

    def create(
        self,
        zone: HostedZone,
        record_sets: Sequence[RecordSet],
        change: ChangeInfo,
        within: Callable[[Transaction], None] = nothing_more,
    ) -> HostedZone:
        """Store a new zone. Where a zone of its name was signed here before, from a file, it takes over id and keys.

        `within` stores what else belongs to the same unit of work, once the zone's id is stored.
        Raises `ZoneRequestError`: HostedZoneAlreadyExists, also for the caller reference of a zone that was deleted
        since; ConflictingDomainExists.
        """
        origin, table, ids = from_text(zone.name), database_schema.kept_zone, database_schema.hosted_zone
        used = database_schema.used_reference
        with self._store.writing() as transaction:
            connection = transaction.connection
            if connection.scalar(select(used.c.reference).where(used.c.reference == zone.caller_reference)):
                raise ZoneRequestError(
                    ZONE_EXISTS, "A hosted zone has already been created with the specified caller reference."
                )
            known = connection.scalar(select(ids.c.id).where(ids.c.origin == origin))
            if known is None:
                connection.execute(insert(ids).values(id=zone.id, origin=origin, created=zone.created))
            elif connection.scalar(select(table.c.id).where(table.c.id == known)):
                raise ZoneRequestError(NAME_TAKEN, f"The hosted zone {zone.name} is already hosted here.")
            else:
                zone = msgspec.structs.replace(zone, id=known)
            connection.execute(insert(table).values(**_zone_row(zone)))
            connection.execute(insert(used).values(reference=zone.caller_reference))
            connection.execute(insert(database_schema.record_set), [_record_row(zone.id, one) for one in record_sets])
            _insert_change(connection, change)
            transaction.note(ZoneCreated(origin, zone.id))
            within(transaction)
        return zone

    def zone(self, zone_id: str) -> HostedZone:
        """One zone. Raises `ZoneRequestError` (NoSuchHostedZone)."""
        with self._store.reading() as connection:
            return self._zone(connection, zone_id)

    def zones(self, marker: str = "", limit: int = -1) -> tuple[HostedZone, ...]:
        """At most `limit` zones by id, from `marker` on."""
        table = database_schema.kept_zone
        return self._zones(_listed().where(table.c.id >= marker).order_by(table.c.id).limit(limit))

    def zones_by_name(self, name: str | None, zone_id: str, limit: int) -> tuple[HostedZone, ...]:
        """At most `limit` zones in the order of their names, from the normalised `name` and `zone_id` on."""
        table = database_schema.kept_zone
        query = _listed().order_by(table.c.position, table.c.id)
        if name is not None:
            query = query.where(tuple_(table.c.position, table.c.id) >= tuple_(order(name), zone_id))
        return self._zones(query.limit(limit))

    def stored_zones(self) -> StoredZones:
        """All zones by id, to be served; one that can't be read concerns itself alone."""
        table, ids = database_schema.kept_zone, database_schema.hosted_zone
        query = select(*_LISTED, ids.c.origin).join(ids, ids.c.id == table.c.id).order_by(table.c.id)
        with self._store.reading() as connection:
            rows = connection.execute(query).all()
        good, problems = [], {}
        for row in rows:
            try:
                good.append(self._decoded_zone(row))
            except StateError as error:
                problems[bytes(row.origin)] = error
        return StoredZones(tuple(good), problems)

    def _zones(self, query: Any) -> tuple[HostedZone, ...]:
        with self._store.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(self._listed_zone(row) for row in rows)

    def _listed_zone(self, row: Any) -> HostedZone:
        """A zone for a listing: of one that can't be read what its row says beside its document."""
        try:
            return self._decoded_zone(row)
        except StateError as error:
            return HostedZone(
                id=row.id,
                name=to_text(row.origin),
                caller_reference=row.caller_reference,
                comment=str(error)[:LONGEST_COMMENT],
                created=row.created,
                name_servers=(),
                record_set_count=row.record_sets,
            )

    def zone_count(self) -> int:
        """How many zones there are."""
        with self._store.reading() as connection:
            return connection.scalar(select(func.count()).select_from(database_schema.kept_zone)) or 0

    def comment(self, zone_id: str, comment: str) -> HostedZone:
        """Give a zone another comment. Raises `ZoneRequestError` (NoSuchHostedZone)."""
        table = database_schema.kept_zone
        with self._store.writing() as transaction:
            connection = transaction.connection
            zone = msgspec.structs.replace(self._zone(connection, zone_id), comment=comment)
            connection.execute(update(table).where(table.c.id == zone_id).values(document=msgspec.json.encode(zone)))
            transaction.note(TagsChanged(zone_id))
        return zone

    def delete(self, zone_id: str, change: ChangeInfo, *, whole: bool = False) -> None:
        """Remove a zone with all that is kept of it, tags, keys and their events too.

        `whole`: with all its record sets, of which it needs to be able to read none. Raises `ZoneRequestError`:
        NoSuchHostedZone, and without `whole` HostedZoneNotEmpty while it has more than its SOA and NS.
        """
        with self._store.writing() as transaction:
            connection = transaction.connection
            if not whole and self._zone(connection, zone_id).record_set_count > 2:
                raise ZoneRequestError(
                    NOT_EMPTY,
                    "The specified hosted zone contains non-required resource record sets and so cannot be deleted.",
                )
            ids = database_schema.hosted_zone
            origin = connection.scalar(select(ids.c.origin).where(ids.c.id == zone_id))
            if origin is None:
                raise _unknown(zone_id)
            for table in (database_schema.record_set, database_schema.zone_tag):
                connection.execute(delete(table).where(table.c.zone == zone_id))
            connection.execute(delete(database_schema.kept_zone).where(database_schema.kept_zone.c.id == zone_id))
            for table in (database_schema.zsk_secret, database_schema.keyring, database_schema.hosted_zone):
                connection.execute(delete(table).where(table.c.origin == origin))
            kept_events.remove(connection, origin)
            _insert_change(connection, change)
            transaction.note(ZoneDeleted(origin, zone_id))

    # Tags

    def change_tags(self, zone_id: str, put: Mapping[str, str], remove: Sequence[str]) -> None:
        """Put tags and remove others. Raises `ZoneRequestError` (NoSuchHostedZone)."""
        table = database_schema.zone_tag
        with self._store.writing() as transaction:
            connection = transaction.connection
            self._refuse_unknown(connection, zone_id)
            connection.execute(delete(table).where(table.c.zone == zone_id, table.c.name.in_([*remove, *put])))
            if put:
                rows = [{"zone": zone_id, "name": name, "value": value} for name, value in put.items()]
                connection.execute(insert(table), rows)
            transaction.note(TagsChanged(zone_id))

    def tags(self, zone_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """The tags of each zone, by name. Raises `ZoneRequestError` (NoSuchHostedZone)."""
        table = database_schema.zone_tag
        with self._store.reading() as connection:
            for zone_id in zone_ids:
                self._refuse_unknown(connection, zone_id)
            rows = connection.execute(select(table).where(table.c.zone.in_(zone_ids)).order_by(table.c.name)).all()
        found: dict[str, dict[str, str]] = {zone_id: {} for zone_id in zone_ids}
        for row in rows:
            found[row.zone][row.name] = row.value
        return found

    # Record sets

    def record_sets(self, zone_id: str, start: Position | None, limit: int) -> tuple[RecordSet, ...]:
        """At most `limit` record sets in the order of listings, from `start` (its name normalised) on.

        Raises `ZoneRequestError` (NoSuchHostedZone).
        """
        table = database_schema.record_set
        key = table.c.position, table.c.type, table.c.identifier
        query = select(table.c.document).where(table.c.zone == zone_id).order_by(*key).limit(limit)
        if start is not None:
            query = query.where(tuple_(*key) >= tuple_(order(start.name), start.type, start.set_identifier))
        with self._store.reading() as connection:
            self._refuse_unknown(connection, zone_id)
            documents = connection.scalars(query).all()
        return tuple(self._decoded(document, _record_set, zone_id) for document in documents)

    def all_record_sets(self, zone_id: str) -> Iterator[RecordSet]:
        """Every record set of a zone, in the order of listings; read page by page, so nothing may change meanwhile."""
        start: Position | None = None
        while True:
            page = self.record_sets(zone_id, start, _AT_ONCE + 1)
            yield from page[:_AT_ONCE]
            if len(page) <= _AT_ONCE:
                return
            start = Position(*page[-1].key)

    def apply(
        self,
        zone_id: str,
        changes: Sequence[RecordSetChange],
        change: ChangeInfo,
        prepare: Callable[[Applied], object] | None = None,
    ) -> Applied:
        """Apply a batch and note its change, all or nothing. What `prepare` raises leaves nothing stored, too.

        Raises `InvalidChangeBatchError` and `ZoneRequestError` (NoSuchHostedZone, InvalidInput).
        """
        table, zones = database_schema.record_set, database_schema.kept_zone
        with self._store.writing() as transaction:
            connection = transaction.connection
            zone = self._zone(connection, zone_id)
            held = self._of_names(connection, zone_id, touched_names(zone.name, changes))

            def current(name: str) -> Sequence[RecordSet]:
                if name not in held:
                    held.update(self._of_names(connection, zone_id, {name}))
                return held[name]

            applied = apply_changes(zone_id, zone.name, current, changes)
            if prepare is not None:
                prepare(applied)
            for name, rrtype, identifier in applied.removed:
                connection.execute(
                    delete(table).where(
                        table.c.zone == zone_id,
                        table.c.position == order(name),
                        table.c.type == rrtype,
                        table.c.identifier == identifier,
                    )
                )
            rows = [_record_row(zone_id, record_set) for record_set in applied.stored]
            connection.execute(insert(table).prefix_with("OR REPLACE"), rows)
            count = zones.c.record_sets + applied.added
            connection.execute(update(zones).where(zones.c.id == zone_id).values(record_sets=count))
            _insert_change(connection, change)
            transaction.note(_records_changed(zone, applied, rows))
        return applied

    def _of_names(self, connection: Connection, zone_id: str, wanted: set[str]) -> dict[str, list[RecordSet]]:
        table = database_schema.record_set
        found: dict[str, list[RecordSet]] = {name: [] for name in wanted}
        positions = sorted(map(order, wanted))
        for start in range(0, len(positions), _AT_ONCE):
            query = select(table.c.document).where(
                table.c.zone == zone_id, table.c.position.in_(positions[start : start + _AT_ONCE])
            )
            for document in connection.scalars(query):
                record_set = self._decoded(document, _record_set, zone_id)
                found[record_set.name].append(record_set)
        return found

    # Changes

    def change(self, change_id: str) -> ChangeInfo:
        """What became of a change: it is stored, so it is in force. Raises `ZoneRequestError` (NoSuchChange)."""
        table = database_schema.zone_change
        with self._store.reading() as connection:
            row = connection.execute(select(table).where(table.c.id == change_id)).first()
        if row is None:
            raise ZoneRequestError(NO_SUCH_CHANGE, f"Could not find resource with ID: {change_id}")
        return ChangeInfo(row.id, ChangeStatus.INSYNC, row.submitted, row.comment)

    def note_change(self, change: ChangeInfo) -> None:
        """Note a change that was made elsewhere: of a zone's keys."""
        with self._store.writing() as transaction:
            connection = transaction.connection
            _insert_change(connection, change)

    def _refuse_unknown(self, connection: Connection, zone_id: str) -> None:
        table = database_schema.kept_zone
        if connection.scalar(select(table.c.id).where(table.c.id == zone_id)) is None:
            raise _unknown(zone_id)

    def _zone(self, connection: Connection, zone_id: str) -> HostedZone:
        table = database_schema.kept_zone
        row = connection.execute(select(*_LISTED).where(table.c.id == zone_id)).first()
        if row is None:
            raise _unknown(zone_id)
        return self._decoded_zone(row)

    def _decoded_zone(self, row: Any) -> HostedZone:
        zone = self._decoded(row.document, _hosted_zone, row.id)
        if zone.id != row.id or order(zone.name) != row.position:
            raise StateDamaged(f"{self._store.path}: hosted zone {row.id} is filed as another one")
        return msgspec.structs.replace(zone, record_set_count=row.record_sets)

    def _decoded(self, document: bytes, decoder: msgspec.json.Decoder[S], zone_id: str) -> S:
        try:
            return decoder.decode(document)
        except (msgspec.MsgspecError, ValueError, TypeError) as error:  # a column may hold no document at all
            raise StateDamaged(
                f"{self._store.path}: a {decoder.type.__name__} of hosted zone {zone_id} can't be read ({error})"
            ) from None


def _unknown(zone_id: str) -> ZoneRequestError:
    return ZoneRequestError(NO_SUCH_ZONE, f"No hosted zone found with ID: {zone_id}")


def _listed() -> Select[Any]:
    table, ids = database_schema.kept_zone, database_schema.hosted_zone
    return select(*_LISTED, ids.c.origin, ids.c.created).join(ids, ids.c.id == table.c.id)


def _records_changed(zone: HostedZone, applied: Applied, rows: Sequence[Mapping[str, Any]]) -> RecordsChanged:
    content = sha256(msgspec.json.encode((applied.removed, [row["document"] for row in rows])))
    return RecordsChanged(from_text(zone.name), tuple(applied.names), content.digest())


def _zone_row(zone: HostedZone) -> dict[str, Any]:
    return {
        "id": zone.id,
        "position": order(zone.name),
        "caller_reference": zone.caller_reference,
        "record_sets": zone.record_set_count,
        "document": msgspec.json.encode(zone),
    }


def _record_row(zone_id: str, record_set: RecordSet) -> dict[str, Any]:
    name, rrtype, identifier = record_set.key
    return {
        "zone": zone_id,
        "position": order(name),
        "type": rrtype,
        "identifier": identifier,
        "document": msgspec.json.encode(record_set),
    }


def _insert_change(connection: Connection, change: ChangeInfo) -> None:
    table = database_schema.zone_change
    connection.execute(delete(table).where(table.c.submitted < change.submitted - CHANGES_KEPT))
    connection.execute(insert(table).values(id=change.id, submitted=change.submitted, comment=change.comment))
