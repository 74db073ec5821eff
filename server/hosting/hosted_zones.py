"""The hosted zones of this process: what `server.hosting.zone_operations` asks for, done.

A batch is stored, compiled to the few nodes that it changes, and answered from by one assignment. Each zone has a lock,
so batches follow each other; nothing of one is seen before all of it is durable. Once begun, a change goes on to its
end, whatever becomes of the client that asked for it.

A zone begins unsigned and without a key manager, which is started when its keys are first asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import TypeVar

import msgspec
import structlog
import trio

from keys.custody.action_executor import Services
from keys.custody.key_manager import KeyManager
from keys.custody.parent_interface import ParentUnavailable
from keys.custody.state_database import StateDamaged, StateOvertaken, StateUnavailable, Transaction
from keys.custody.unsigned_zones import UnsignedZone, status_of_stored, store_unsigned, store_unsigned_within
from keys.custody.zsk_encryption import StateError
from keys.dnssec.signing_policy import MAXIMUM_SIGNED_TTL, Policy
from keys.rules.commands import UNAVAILABLE
from keys.rules.key_status import ZoneStatus
from keys.rules.keyring import Keyring, hosted_zone_id
from server.hosting import listed_file_records
from server.hosting.answering_backends import ChangesUnderWay
from server.hosting.durable_keys import DurableKeys, of_keyring
from server.hosting.followed_log import Part
from server.hosting.listed_file_zones import ZonesOfFiles
from server.hosting.registered_zone import File, Hosted, RegisteredZone
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import AUTO, Where, ZoneConfig
from zones import names
from zones.denial import DenialMode
from zones.node import Node
from zones.recordsets.change_batch import Applied
from zones.recordsets.compiled_record_sets import Compiled
from zones.recordsets.record_sets import (
    INVALID_INPUT,
    INVALID_NAME,
    NAME_TAKEN,
    NO_SUCH_ZONE,
    NOT_EMPTY,
    PARTIALLY_DELEGATED,
    ChangeAction,
    ChangeInfo,
    ChangeStatus,
    HostedZone,
    Position,
    RecordSet,
    RecordSetChange,
    ZoneRequestError,
)
from zones.recordsets.record_store import RecordStore
from zones.recordsets.record_values import ValueRefusedError
from zones.recordsets.route53_names import NameSpellingError, from_text, normalised, order
from zones.rrtypes import TYPE_NS, TYPE_SOA
from zones.zone import Zone

NS_TTL, SOA_TTL = 172_800, 900
SOA_TIMERS = "7200 900 1209600 86400"
"""Refresh, retry, expire and minimum, as Route 53 has them."""

T = TypeVar("T")
_log = structlog.get_logger("signwright.zones")


@dataclass
class _Kept:
    """One hosted zone."""

    id: str
    hosted: RegisteredZone
    compiled: Compiled | None
    """`None` where what is stored makes no zone."""


class HostedZones:
    """All hosted zones; and those of files, which can be looked at and have keys."""

    def __init__(
        self,
        registry: ZoneRegistry,
        services: Services,
        *,
        policy: Policy | None = None,
        parent: Where = AUTO,
        flood_denial: DenialMode | None = None,
    ) -> None:
        """`policy` is of the keys of hosted zones; `parent` says where their DS is looked up, `flood_denial` how they
        say no in a flood.
        """
        self._registry = registry
        self._services = services
        self._records = RecordStore(services.store)
        self._policy = policy or Policy()
        self._parent = parent
        self._flood_denial = flood_denial
        self._kept: dict[str, _Kept] = {}
        self._under_way = ChangesUnderWay(registry.membership)
        self._of_files = ZonesOfFiles(registry, services)

    async def load(self) -> int:
        """Take up all that is stored, before anything is answered; how many zones there are.

        One that makes no zone is SERVFAIL, with its reason, and the rest is answered. Raises `StateError`.
        """
        problems = (await self._blocking(self._records.stored_zones)).problems
        stored = await self._blocking(self._records.zones)
        known = await self._registry.durable_keys([from_text(zone.name) for zone in stored])
        made: list[tuple[HostedZone, Compiled, Zone]] = []
        for zone in stored:
            try:
                problem = problems.get(from_text(zone.name))
                made.append((zone, *await self._blocking(partial(self._readable, zone, problem))))
            except StateUnavailable:
                raise  # the disk is every zone's
            except Exception as error:  # whatever it is, it is this zone's alone
                self._keep_unanswered(zone, known, error)
        not_noted = await self._note_unsigned([snapshot for *_, snapshot in made], known)
        for zone, compiled, snapshot in made:
            if (why := not_noted.get(snapshot.origin)) is not None:
                self._keep_unanswered(zone, known, why)
            else:
                self._keep(zone, compiled, snapshot, known[snapshot.origin])
        self._registry.host([kept.hosted for kept in self._kept.values()])
        return len(self._kept)

    async def reread(self, origins: Collection[bytes] | None) -> None:
        """Answer from what is stored of these zones (`None`: of all), as at a start, by one assignment.

        Keys that are kept go on as they are. Raises `StateError` where the state can't be read.
        """
        wanted: set[bytes] = set()
        while True:
            async with AsyncExitStack() as held:
                for origin in sorted(wanted):  # every holder of many names takes them in this order
                    await held.enter_async_context(self._registry.names.holding(origin))
                found = (await self._blocking(self._records.stored_zones)).problems
                stored = [zone for zone in await self._blocking(self._records.zones) if _is_among(zone, origins)]
                here = [kept for kept in self._kept.values() if origins is None or kept.hosted.origin in origins]
                missing = {from_text(zone.name) for zone in stored} | {kept.hosted.origin for kept in here}
                if missing <= wanted:
                    with trio.CancelScope(shield=True):
                        await self._replace(stored, found, here)
                    self._of_files.forget_all()
                    return
            wanted |= missing

    async def _read_anew(
        self, stored: Sequence[HostedZone], problems: Mapping[bytes, StateError]
    ) -> tuple[dict[str, tuple[HostedZone, Compiled, Zone]], list[tuple[HostedZone, Exception]]]:
        """Those of these zones that can be answered, by id; the others with the reason. Raises `StateUnavailable`."""
        made: dict[str, tuple[HostedZone, Compiled, Zone]] = {}
        failed: list[tuple[HostedZone, Exception]] = []
        for zone in stored:
            origin = from_text(zone.name)
            served = self._registry.registered.get(origin)
            if served is not None and isinstance(served.source, File):
                _log.error("hosted zone not loaded", zone=zone.name, id=zone.id, reason="a zone file has the same name")
                continue
            try:
                compiled, snapshot = await self._blocking(partial(self._readable, zone, problems.get(origin)))
                if (kept := self._answered(zone.id)) is not None:
                    with suppress(StateOvertaken):  # then its key manager is replaced, and the next one notes it
                        await self._registry.observe_ttl(kept.hosted, snapshot.maximum_ttl, lower=False)
                made[zone.id] = zone, compiled, snapshot
            except StateUnavailable:
                raise  # the disk is every zone's
            except Exception as error:  # whatever it is, it is this zone's alone
                failed.append((zone, error))
        return made, failed

    async def _replace(
        self, stored: Sequence[HostedZone], problems: Mapping[bytes, StateError], here: Sequence[_Kept]
    ) -> None:
        """Answer from these zones instead of those of `here`, whose names are held as theirs are."""
        known = await self._registry.durable_keys([from_text(zone.name) for zone in stored])
        made, failed = await self._read_anew(stored, problems)
        new = [snapshot for zone, _, snapshot in made.values() if self._answered(zone.id) is None]
        not_noted = await self._note_unsigned(new, known)
        gone = [kept for kept in here if kept.id not in made or self._answered(kept.id) is None]
        for kept in gone:
            self._registry.key_managers.give_up(kept.hosted)
            await self._registry.key_managers.ended(kept.hosted.origin)
        for kept in gone:  # from here on nothing is waited for: all of it is seen at once
            del self._kept[kept.id]
            self._registry.unhost(kept.hosted)
        hosting = [self._keep_unanswered(zone, known, error) for zone, error in failed]
        for zone, compiled, snapshot in made.values():
            if (why := not_noted.get(snapshot.origin)) is not None:
                hosting.append(self._keep_unanswered(zone, known, why))
            elif (here_still := self._answered(zone.id)) is not None:
                here_still.compiled, here_still.hosted.zone = compiled, snapshot
                hosting.append(here_still.hosted)
            else:
                hosting.append(self._keep(zone, compiled, snapshot, known[snapshot.origin]).hosted)
        self._registry.host(hosting)
        for hosted in hosting:
            if hosted.key_manager is None and hosted.is_kept and hosted.zone is not None:
                self._registry.start_key_manager(hosted)

    def _answered(self, zone_id: str) -> _Kept | None:
        kept = self._kept.get(zone_id)
        return kept if kept is not None and kept.hosted.zone is not None else None

    # --- zones

    async def create_zone(
        self, name: str, caller_reference: str, name_servers: Sequence[str], comment: str = ""
    ) -> tuple[HostedZone, ChangeInfo]:
        """As `ZoneOperations.create_zone`."""
        try:
            apex = normalised(name)
        except NameSpellingError as error:
            raise ZoneRequestError(INVALID_NAME, str(error)) from None
        _refuse_names_of_no_zone(apex)
        change = self._new_change(comment)
        zone = HostedZone(
            id=hosted_zone_id(self._services.new_token()),
            name=apex,
            caller_reference=caller_reference,
            comment=comment,
            created=change.submitted,
            name_servers=tuple(name_servers),
            record_set_count=2,
        )
        initial = _initial_record_sets(apex, name_servers)
        try:
            compiled = Compiled.of(apex, initial)
        except ValueRefusedError as error:
            raise ZoneRequestError(INVALID_NAME, f"Cannot create an SOA record for {apex}: {error}") from None
        with trio.CancelScope(shield=True):
            async with self._registry.names.holding(from_text(apex)):
                served = self._registry.registered.get(from_text(apex))
                if served is not None and isinstance(served.source, File):
                    raise ZoneRequestError(NAME_TAKEN, f"The zone {apex} is loaded from {served.source.path}.")
                # What can fail comes first: a zone that is stored is answered.
                snapshot, now = self._ready(compiled.zone()), ceil(self._services.now())
                with self._failing_alone(snapshot.origin):
                    zone, keyring = await self._blocking(lambda: self._create(zone, initial, change, snapshot, now))
                    kept = self._keep(zone, compiled, snapshot, of_keyring(keyring, now))
                    self._registry.host([kept.hosted])
                self._under_way.made(change.id, self._registry.position_of(kept.hosted))
                if kept.hosted.is_kept:
                    self._registry.start_key_manager(kept.hosted)
            await self._registry.key_managers.settled(kept.hosted)
        _log.info("zone created", zone=apex, id=zone.id)
        return zone, change

    async def zone(self, zone_id: str) -> HostedZone:
        """As `ZoneOperations.zone`."""
        if zone_id in self._kept:
            return await self._blocking(lambda: self._records.zone(zone_id))
        return await self._of_files.zone(zone_id)

    async def zones(self, marker: str | None, limit: int) -> tuple[HostedZone, ...]:
        """As `ZoneOperations.zones`."""
        of_files = await self._of_files.all()
        if marker is not None and marker not in of_files and marker not in self._kept:
            raise ZoneRequestError(NO_SUCH_ZONE, f"No hosted zone found with ID: {marker}")
        kept = await self._blocking(lambda: self._records.zones(marker or "", limit))
        ids = list(of_files)
        first = bisect_left(ids, marker or "")
        others = [of_files[zone_id] for zone_id in ids[first : first + limit]]
        return tuple(sorted((*kept, *others), key=lambda zone: zone.id)[:limit])

    async def zones_by_name(self, name: str | None, zone_id: str | None, limit: int) -> tuple[HostedZone, ...]:
        """As `ZoneOperations.zones_by_name`."""
        try:
            first = normalised(name) if name is not None else None
        except NameSpellingError as error:
            raise ZoneRequestError(INVALID_NAME, str(error)) from None
        kept = await self._blocking(lambda: self._records.zones_by_name(first, zone_id or "", limit))
        start = (order(first), zone_id or "") if first is not None else ("", "")
        others = await self._of_files.by_name(start, limit)
        return tuple(sorted((*kept, *others), key=lambda zone: (order(zone.name), zone.id))[:limit])

    async def zone_count(self) -> int:
        """As `ZoneOperations.zone_count`."""
        return len(self._kept) + len(await self._of_files.all())

    async def delete_zone(self, zone_id: str) -> ChangeInfo:
        """As `ZoneOperations.delete_zone`."""
        change = self._new_change("")
        async with self._changing(zone_id) as kept:
            hosted = kept.hosted
            had_keys = hosted.key_manager is not None
            await self._refuse_with_keys(hosted)
            # Its key manager must not store anything for a zone that is gone.
            self._registry.key_managers.give_up(hosted)
            await self._registry.key_managers.ended(hosted.origin)
            try:
                await self._refuse_with_keys(hosted)  # it may have got a KSK meanwhile
                # Nobody can empty one whose records can't be read; it answers SERVFAIL, so nothing is lost by it.
                is_damaged = hosted.zone is None
                await self._blocking(lambda: self._records.delete(zone_id, change, whole=is_damaged))
            except (ZoneRequestError, StateError):
                if had_keys:
                    self._registry.start_key_manager(hosted)
                raise
            del self._kept[zone_id]
            self._of_files.forget(hosted.origin)
            self._registry.unhost(hosted)
            self._under_way.made(change.id, self._registry.position_of(hosted))
        _log.info("zone deleted", zone=hosted.config.origin, id=zone_id)
        return change

    async def _refuse_with_keys(self, hosted: RegisteredZone) -> None:
        """Raises `ZoneRequestError` where a zone has keys. What is stored counts: a key manager that has yet to read it
        knows of nothing. Keys that are damaged sign nothing any more, and can't be deleted but with their zone.
        """
        try:
            keyring = await self._blocking(lambda: self._services.store.load_keyring(hosted.origin))
        except StateDamaged as error:
            _log.warning("deleted a zone whose keys cannot be read", zone=hosted.config.origin, reason=str(error))
            return
        if keyring is not None and (keyring.ksks or keyring.signing):
            raise ZoneRequestError(
                NOT_EMPTY, "The specified hosted zone contains DNSSEC Key Signing Keys and so cannot be deleted."
            )

    async def comment_zone(self, zone_id: str, comment: str) -> HostedZone:
        """As `ZoneOperations.comment_zone`."""
        await self._refuse_zone_of_file(zone_id)
        return await self._blocking(lambda: self._records.comment(zone_id, comment))

    async def change_tags(self, zone_id: str, put: Mapping[str, str], remove: Sequence[str]) -> None:
        """As `ZoneOperations.change_tags`."""
        await self._refuse_zone_of_file(zone_id)
        await self._blocking(lambda: self._records.change_tags(zone_id, put, remove))

    async def tags(self, zone_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """As `ZoneOperations.tags`."""
        of_files = await self._of_files.all()
        kept = [zone_id for zone_id in zone_ids if zone_id not in of_files]
        found = await self._blocking(lambda: self._records.tags(kept))
        return {zone_id: found.get(zone_id, {}) for zone_id in zone_ids}

    # --- records

    async def change_record_sets(
        self, zone_id: str, changes: Sequence[RecordSetChange], comment: str = ""
    ) -> ChangeInfo:
        """As `ZoneOperations.change_record_sets`."""
        await self._refuse_zone_of_file(zone_id)
        change = self._new_change(comment)
        async with self._changing(zone_id) as kept:
            hosted = kept.hosted
            if hosted.zone is None:
                raise StateDamaged(f"The hosted zone {hosted.config.origin} can't be changed: {hosted.problem}")
            # A higher TTL is known to the keys' waits before it is stored; what proves too high is taken back below.
            await self._registry.observe_ttl(hosted, max(_highest_ttl(changes), hosted.zone.maximum_ttl), lower=False)
            try:
                with self._under_way.making(change.id):
                    kept.compiled, replaced, snapshot = await self._blocking(lambda: self._apply(kept, changes, change))
                    self._registry.change(hosted, snapshot, replaced)
                    self._under_way.made(change.id, self._registry.position_of(hosted))
            finally:
                with suppress(StateError):  # then the longer wait stays in force
                    await self._registry.observe_ttl(hosted, hosted.zone.maximum_ttl, lower=True)
        return change

    async def record_sets(self, zone_id: str, start: Position | None, limit: int) -> tuple[RecordSet, ...]:
        """As `ZoneOperations.record_sets`."""
        if start is not None:
            try:
                start = start._replace(name=normalised(start.name))
            except NameSpellingError as error:
                raise ZoneRequestError(INVALID_INPUT, str(error)) from None
        if zone_id in self._kept:
            return await self._blocking(lambda: self._records.record_sets(zone_id, start, limit))
        zone = self._hosted(await self._of_files.zone(zone_id)).zone
        assert zone is not None  # or it would not be among them
        return await self._blocking(lambda: listed_file_records.listed(zone, start, limit))

    async def change(self, change_id: str) -> ChangeInfo:
        """As `ZoneOperations.change`."""
        found = await self._blocking(lambda: self._records.change(change_id))
        status = ChangeStatus.PENDING if change_id in self._under_way else ChangeStatus.INSYNC
        return msgspec.structs.replace(found, status=status)

    async def note_change(self, comment: str = "", settled: Callable[[], bool] | None = None) -> ChangeInfo:
        """As `ZoneOperations.note_change`."""
        change, log = self._new_change(comment), self._registry.membership.log
        if settled is None:
            self._under_way.made(change.id, log.newest)
        else:
            self._under_way.coming(change.id, lambda: log.newest if settled() else None)
        await self._blocking(lambda: self._records.note_change(change))
        return change

    # --- keys

    async def key_manager(self, zone_id: str) -> KeyManager:
        """As `ZoneOperations.key_manager`. Raises InvalidInput for a zone of a file that is to be served unsigned."""
        kept = self._kept.get(zone_id)
        if kept is None:
            hosted = self._hosted(await self._of_files.zone(zone_id))
            if hosted.key_manager is None:
                raise ZoneRequestError(
                    INVALID_INPUT, f"The zone {hosted.config.origin} is served unsigned by its settings."
                )
            self._registry.asked_for(hosted.origin)
            return hosted.key_manager
        async with self._changing(zone_id):
            key_manager = kept.hosted.key_manager
            if key_manager is None:
                kept.hosted.is_kept = True
                key_manager = self._registry.start_key_manager(kept.hosted)
        self._registry.asked_for(kept.hosted.origin)
        await self._registry.key_managers.settled(kept.hosted)
        return key_manager

    async def check_delegation(self, zone_id: str) -> None:
        """As `ZoneOperations.check_delegation`."""
        kept = self._kept.get(zone_id)
        hosted = kept.hosted if kept is not None else self._hosted(await self._of_files.zone(zone_id))
        parent = self._registry.parent_of(hosted)
        if parent is None or hosted.zone is None:
            return
        try:
            above = await parent.delegation(hosted.origin)
        except ParentUnavailable as error:
            raise ZoneRequestError(UNAVAILABLE, f"Cannot look up the delegation at the parent: {error}") from None
        below = frozenset(hosted.zone.nodes[hosted.origin].rrsets[TYPE_NS].canonical)
        if above is not None and above != below:
            told = [", ".join(sorted(map(names.to_text, one))) for one in (above, below)]
            raise ZoneRequestError(
                PARTIALLY_DELEGATED,
                f"The parent delegates {hosted.config.origin} to {told[0]}, and its own name servers are {told[1]}.",
            )

    async def keys(self, zone_id: str) -> tuple[Keyring, ZoneStatus]:
        """As `ZoneOperations.keys`."""
        kept = self._kept.get(zone_id)
        hosted = kept.hosted if kept is not None else self._hosted(await self._of_files.zone(zone_id))
        if (key_manager := hosted.key_manager) is not None:
            return key_manager.keyring, key_manager.status
        services, policy, now = self._services, hosted.config.policy, int(self._services.now())
        return await self._blocking(lambda: status_of_stored(services.store, hosted.origin, policy, now))

    # --- how

    async def _note_unsigned(self, made: Sequence[Zone], known: dict[bytes, DurableKeys]) -> dict[bytes, Exception]:
        """Store, before the first answer of those that are served unsigned, how they are; why that can't be done.

        They are stored together. Where that fails for what is known of one of them, each is stored by itself.
        """
        wanted = [
            UnsignedZone(snapshot.origin, snapshot.maximum_ttl, self._policy.propagation, None)
            for snapshot in made
            if _is_to_be_noted(snapshot, known[snapshot.origin])
        ]
        services, now = self._services, ceil(self._services.now())

        async def note(zones: Sequence[UnsignedZone]) -> dict[bytes, Exception]:
            try:
                stored = await self._blocking(lambda: store_unsigned(services.store, zones, services.new_token, now))
            except (StateUnavailable, StateOvertaken) as error:
                return dict.fromkeys((zone.origin for zone in zones), error)
            except Exception as error:  # whatever it is, it is one zone's alone
                if len(zones) == 1:
                    return {zones[0].origin: error}
                return {origin: why for zone in zones for origin, why in (await note([zone])).items()}
            refused: dict[bytes, Exception] = {}
            for origin, keyring in stored.items():
                if isinstance(keyring, StateError):
                    refused[origin] = keyring
                else:
                    known[origin] = of_keyring(keyring, now)
            return refused

        return await note(wanted)

    def _create(
        self, zone: HostedZone, initial: tuple[RecordSet, ...], change: ChangeInfo, snapshot: Zone, now: int
    ) -> tuple[HostedZone, Keyring]:
        """Store a zone and, in the same transaction, that it is served unsigned from now on."""
        services, found = self._services, []
        unsigned = UnsignedZone(snapshot.origin, snapshot.maximum_ttl, self._policy.propagation, None)

        def within(transaction: Transaction) -> None:
            found.append(store_unsigned_within(services.store, transaction, unsigned, services.new_token, now))

        zone = self._records.create(zone, initial, change, within)
        return zone, found[0]

    def _keep_unanswered(
        self, zone: HostedZone, known: Mapping[bytes, DurableKeys], error: Exception
    ) -> RegisteredZone:
        reason = str(error) if isinstance(error, StateError) else f"a bug: {type(error).__name__}: {error}"
        _log.error("hosted zone not loaded", zone=zone.name, id=zone.id, reason=reason)
        hosted = self._keep(zone, None, None, known[from_text(zone.name)]).hosted
        hosted.problem = reason
        return hosted

    def _keep(self, zone: HostedZone, compiled: Compiled | None, snapshot: Zone | None, known: DurableKeys) -> _Kept:
        origin = from_text(zone.name)
        config = ZoneConfig(
            origin=names.to_text(origin),
            file=None,
            flood_denial=self._flood_denial,
            parent=self._parent,
            policy=self._policy,
        )
        # What should be signed answers SERVFAIL until its keys are there, and is never answered unsigned. Its DS is a
        # record set of its parent's, whatever is known of its keys.
        hosted = RegisteredZone(
            config,
            origin,
            Hosted(zone.id),
            is_kept=known.wants_key_manager or known.problem is not None,
            fingerprint=b"" if snapshot is not None else None,
            zone=snapshot,
            unsigned=known.unsigned,
            unsigned_ttl=known.unsigned_ttl,
            was_signed=known.has_keys and not known.unsigned,
            keys_problem=known.problem,
        )
        kept = self._kept[zone.id] = _Kept(zone.id, hosted, compiled)
        return kept

    def _readable(self, zone: HostedZone, problem: StateError | None) -> tuple[Compiled, Zone]:
        """The zone as `_compiled` has it; raises its problem, where it can't be read."""
        if problem is not None:
            raise problem
        return self._compiled(zone)

    def _compiled(self, zone: HostedZone) -> tuple[Compiled, Zone]:
        def left_out(record_set: RecordSet, error: ValueRefusedError) -> None:
            name, rrtype, identifier = record_set.key
            _log.warning(
                "record left out: no longer valid",
                zone=zone.name,
                id=zone.id,
                name=name,
                type=rrtype,
                set_identifier=identifier or None,
                reason=str(error),
            )

        compiled = Compiled.of(zone.name, self._records.all_record_sets(zone.id), left_out)
        apex = compiled.contents.rrsets[compiled.contents.origin]
        if TYPE_SOA not in apex or TYPE_NS not in apex:
            raise StateDamaged(f"{self._services.store.path}: the SOA or NS of hosted zone {zone.name} can't be read")
        return compiled, self._ready(compiled.zone())

    def _ready(self, zone: Zone) -> Zone:
        """The zone with its TTLs counted, and its chain made where a flood would want it, so that every later one has
        them from the difference.
        """
        made = zone.answered_as(signed=zone.signed, denial=zone.denial.mode, flood_denial=self._flood_denial)
        assert made.maximum_ttl >= 0
        return made.with_chain_ready()

    def _apply(
        self, kept: _Kept, changes: Sequence[RecordSetChange], change: ChangeInfo
    ) -> tuple[Compiled, dict[bytes, Node | None], Zone]:
        """Store a batch, once it is known how it will be answered; the zone compiled, and what is new in it."""
        data, compiled_before, made = kept.hosted.zone, kept.compiled, []
        assert data is not None
        assert compiled_before is not None

        def prepare(applied: Applied) -> None:
            compiled, replaced = compiled_before.changed(applied.names)
            made.append((compiled, replaced, data.with_nodes(replaced)))

        self._records.apply(kept.id, changes, change, prepare)
        return made[0]

    @asynccontextmanager
    async def _changing(self, zone_id: str) -> AsyncIterator[_Kept]:
        """Have a zone to oneself, until what is begun has come to its end."""
        await self._refuse_zone_of_file(zone_id)
        kept = self._kept.get(zone_id)
        if kept is not None:
            async with self._registry.names.holding(kept.hosted.origin):
                if self._kept.get(zone_id) is kept:
                    with trio.CancelScope(shield=True), self._failing_alone(kept.hosted.origin):
                        yield kept
                    return
        raise ZoneRequestError(NO_SUCH_ZONE, f"No hosted zone found with ID: {zone_id}")

    @contextmanager
    def _failing_alone(self, origin: bytes) -> Iterator[None]:
        """What can't be answered from of a change to this zone, though it is stored, holds up no other zone."""
        try:
            yield
        finally:
            self._registry.membership.passed_over(Part.DATA, origin)

    async def _refuse_zone_of_file(self, zone_id: str) -> None:
        if zone_id not in self._kept:
            zone = await self._of_files.zone(zone_id)
            raise ZoneRequestError(INVALID_INPUT, f"The zone {zone.name} is {zone.comment}, so change it there.")

    def _hosted(self, zone: HostedZone) -> RegisteredZone:
        return self._registry.registered[from_text(zone.name)]

    def _new_change(self, comment: str) -> ChangeInfo:
        token = hosted_zone_id(self._services.new_token())
        return ChangeInfo("C" + token[1:], ChangeStatus.PENDING, int(self._services.now()), comment)

    async def _blocking(self, function: Callable[[], T]) -> T:
        return await self._services.run_blocking(function)


def _refuse_names_of_no_zone(apex: str) -> None:
    """Raise `ZoneRequestError` for a normalised name that Route 53, or this server, takes for no zone."""
    if apex == ".":
        raise ZoneRequestError(INVALID_NAME, "This server cannot host the root zone.")
    if "\\052" in apex.partition(".")[0]:  # anywhere in the label
        raise ZoneRequestError(INVALID_NAME, f"The leftmost label of a hosted zone's name cannot contain '*': {apex}")


def _is_among(zone: HostedZone, origins: Collection[bytes] | None) -> bool:
    return origins is None or from_text(zone.name) in origins


def _is_to_be_noted(snapshot: Zone, known: DurableKeys) -> bool:
    """Whether it is not stored yet that a zone is served unsigned with as high a TTL as it has."""
    stored = known.unsigned_ttl
    return known.problem is None and known.unsigned and (stored is None or stored < snapshot.maximum_ttl)


def _highest_ttl(changes: Sequence[RecordSetChange]) -> int:
    """The largest TTL that a batch may bring."""
    ttls = (record_set.ttl or 0 for action, record_set in changes if action is not ChangeAction.DELETE)
    return min(max(ttls, default=0), MAXIMUM_SIGNED_TTL)


def _initial_record_sets(apex: str, name_servers: Sequence[str]) -> tuple[RecordSet, ...]:
    servers = tuple(server.removesuffix(".") + "." for server in name_servers)
    soa = f"{servers[0]} hostmaster.{apex} 1 {SOA_TIMERS}"
    return RecordSet(apex, "NS", NS_TTL, servers), RecordSet(apex, "SOA", SOA_TTL, (soa,))
