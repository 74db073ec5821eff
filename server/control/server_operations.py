"""What a running server can be asked and told, as the control protocol needs it; `app` does it.

Every time is seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from keys.rules.bars import Timeline
from keys.rules.commands import Command
from keys.rules.events import Entry
from keys.rules.key_status import Condition, ZoneStatus
from keys.rules.parent_report import UNWATCHED, DsState, ParentReport
from server.control.trust_chain import TrustChain
from server.state.directory import StateDir
from server.supervised import ServerTrouble
from server.watching.recent_queries import TopReport
from zones.zoneset import ServedZone


class RequestOutcome(enum.Enum):
    """How a run of the server ended."""

    STOPPED = "stopped"
    RESTART = "restart"
    """A restored state waits: open it and run again, in the same process."""


class Above(msgspec.Struct, frozen=True, kw_only=True):
    """The signed zone above one, where it is served here too."""

    origin: str
    delegates: bool
    """Whether it has NS records for the zone. Without them it proves that the zone isn't there, so validators find all
    that the zone answers bogus.
    """
    ds: tuple[str, ...] = ()
    """Those of the zone's DS records that it holds, whole lines."""
    by_itself: bool = True
    """Whether it takes up the zone's DS records by itself; those of hosted zones are put there by people."""


HOSTED_FILE = "a hosted zone"
"""Stands in the place of a file for a zone whose record sets are kept in the state database."""


class ZoneReport(msgspec.Struct, frozen=True, kw_only=True):
    """One zone that is served."""

    origin: str
    """Lower case, with its last dot."""
    file: str
    """Its path, or `HOSTED_FILE`."""
    serial: int | None
    """`None` where its file was never a zone, so that every query is answered SERVFAIL."""
    signed: bool
    """Whether it is answered signed, as its keyring says; one that answers SERVFAIL until its keys are there is."""
    denial: str
    example: str
    """A query that it answers: "www.lab.example A"."""
    refused: str | None = None
    """Why the file's present content is not served (file:line: reason), while what was served before goes on."""
    ds: tuple[str, ...] = ()
    """The records to put into the parent zone, whole lines."""
    keys: ZoneStatus | None = None
    """Of a signed zone."""
    parent: str = "none"
    """Where the DS is looked up: an address, "local" for the parent that is served here, or "none"."""
    withheld: str | None = None
    """Why it is here and not answered: what the zone above would lose (`zones.parent_child`)."""
    refreshes: int = 0
    """How often the DNSKEY RRset was signed anew since the server was started."""
    above: Above | None = None
    parent_ds: ParentReport = UNWATCHED
    """What the parent zone has of this zone."""


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One of the programs that answer."""

    number: int
    pid: int | None
    """`None` where it has died, and the next one is not started yet."""
    started: int
    version: int | None
    """Of the set of zones that it answers from; `None` where it does not answer yet."""
    is_behind: bool
    """Whether there is a newer one."""
    restarts: int
    """How often it had to be replaced since the server was started."""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The server at one moment."""

    version: str
    pid: int
    now: int
    started: int
    state: str
    """The state directory."""
    listeners: tuple[str, ...]
    """Addresses for UDP and TCP."""
    kms: str
    """URL of the KMS."""
    zones: tuple[ZoneReport, ...]
    metrics: str | None = None
    """URL of the metrics, where they are not on the control socket only."""
    route53: str | None = None
    """URL of the Route 53 API, where it is served."""
    clock: ClockHeld | None = None
    """A step of the system clock that the server does not follow yet."""
    clock_synchronised: bool | None = None
    """Whether the kernel calls the system clock synchronised; `None`: it can't be asked. A notice: it may be right."""
    workers: tuple[WorkerReport, ...] = ()
    """None where the server answers in one process."""
    troubles: tuple[ServerTrouble, ...] = ()
    """What fails beside the zones now, such as a hook or the trust files, and is tried again."""


class ReloadOutcome(enum.Enum):
    """What a reload did with one zone."""

    ADDED = "added"
    """It is served from now on: there was none of that origin, or its file was no zone so far."""
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    """Its file is invalid; the previous zone stays in service."""
    REMOVED = "removed"
    """The configuration names it no more."""


class ZoneReload(msgspec.Struct, frozen=True, kw_only=True):
    """One zone after a reload."""

    origin: str
    outcome: ReloadOutcome
    serial: int | None = None
    """Of what is served now; `None` where nothing is."""
    reason: str | None = None
    """Of a refusal: file:line: reason."""
    warnings: tuple[str, ...] = ()
    """Of its file, also where nothing has changed."""


class ReloadReport(msgspec.Struct, frozen=True):
    """What a reload did."""

    zones: tuple[ZoneReload, ...]
    restart: tuple[str, ...] = ()
    """Settings that have changed since the start and are read then only."""


class DsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A DS record for the zone above."""

    record: str
    """The whole line."""
    ksk: str | None
    """Its name."""
    key_tag: int | None
    ready: int | None
    """From when on it may be there: before, caches hold what it makes bogus. `None` while that isn't known."""
    withdrawn: int | None
    """When a zone above that is served here was told to drop it."""
    is_above: bool
    """Whether a zone above that is served here has it."""


class DsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The DS records of one zone."""

    zone: str
    records: tuple[DsRecord, ...]
    above: Above | None = None


class Planned(msgspec.Struct, frozen=True):
    """An action to come."""

    at: int
    action: str
    reason: str


class ClockHeld(msgspec.Struct, frozen=True):
    """A step forward of the system clock that is not followed yet."""

    by: int
    """Seconds that it is ahead of the time that the server goes by."""
    until: int
    """When it will be followed."""


class ClockTrust(msgspec.Struct, frozen=True):
    """What came of trusting the clock."""

    accepted: int
    """Seconds by which a step that was held off was ahead: it is followed now. 0: there was none."""
    zones: tuple[str, ...]
    """The zones whose keys were frozen since the clock lay before what is stored, and go on now."""
    refused: dict[str, str]
    """Of those whose keys do not go on, why."""


class Operations(Protocol):
    """A running server, to the control protocol."""

    @property
    def state(self) -> StateDir:
        """The state directory that it holds."""

    def now(self) -> int:
        """Its time, in seconds since the epoch."""

    def status(self) -> ServerStatus:
        """How it is."""

    def origins(self) -> Sequence[str]:
        """The origins of its zones, in canonical order."""

    def zone(self, origin: str) -> ZoneReport | None:
        """How one zone is, without a look at the others; None where it has none of that origin."""

    def served(self, origin: str) -> ServedZone | None:
        """A zone as it is answered; None where it is not."""

    def trust_chain(self, origin: str, name: str, rrtype: str) -> TrustChain:
        """The chain of trust of an answer of the zone `origin`. May run in a thread.

        Raises `ValueError`, with a message for people, and `dns.exception.DNSException` for an invalid name or type.
        """

    async def top(self, minutes: int) -> TopReport:
        """What was asked in the last so many minutes, as far as somebody asked for this all the while.

        Counting begins with the first such question, and ends ten seconds after the last one.
        """

    async def reload(self) -> ReloadReport:
        """Read the configuration and every zone file again; each that is a zone is served from then on.

        Raises `ConfigError`; then nothing changed.
        """

    async def request(self, origin: str, command: Command) -> None:
        """Have something done to the keys of the signed zone `origin`.

        Raises `RequestRefusedError` and `StateError`.
        """

    async def plan(self, origin: str, until: int) -> tuple[Planned, ...]:
        """Every action to come for the keys of the signed zone `origin`, if each one succeeds at once."""

    async def events(self, origin: str, since: int) -> tuple[Entry, ...]:
        """The event log of the zone `origin`, oldest first, within a second as it was done."""

    async def timeline(self, origin: str, since: int, until: int) -> Timeline:
        """The keys of the signed zone `origin` over time."""

    async def trust_clock(self) -> ClockTrust:
        """Go by the system clock as it is now, in all zones."""

    async def backup_database(self, to: Path) -> None:
        """Write a consistent copy of the database. Raises `StateError`."""

    def configured_files(self) -> Iterator[Path]:
        """The configuration, the zone files and what they include: absolute paths. To take one blocks."""

    def restart(self) -> None:
        """End this run with `Outcome.RESTART`; returns at once."""


class Level(enum.IntEnum):
    """How much a status wants attention; the value is the exit code that monitoring expects."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


STATE_TROUBLE = "storing the state"
"""What a `ServerTrouble` is about where the state directory can't be written."""

SHORT_RUNWAY = 86400
"""Seconds of validity left below which a signed zone is critical."""

_CONDITIONS = {
    Condition.SIGNING: Level.OK,
    Condition.UNSIGNED: Level.OK,
    Condition.STARTING: Level.WARNING,
    Condition.TROUBLED: Level.WARNING,
    Condition.FAILING: Level.CRITICAL,
    Condition.FROZEN: Level.CRITICAL,
}


def ds_report(zone: ZoneReport) -> DsReport:
    """The DS records of a zone, with what is to be known before they are put anywhere."""
    ksks = {ksk.ds: ksk for ksk in zone.keys.ksks} if zone.keys is not None else {}
    held = zone.above.ds if zone.above is not None else ()
    records = []
    for line in zone.ds:
        ksk = ksks.get(line.partition(" DS ")[2])
        records.append(
            DsRecord(
                record=line,
                ksk=ksk.name if ksk is not None else None,
                key_tag=ksk.key_tag if ksk is not None else None,
                ready=ksk.ready if ksk is not None else None,
                withdrawn=ksk.withdrawn if ksk is not None else None,
                is_above=line in held,
            )
        )
    return DsReport(zone=zone.origin, records=tuple(records), above=zone.above)


def zone_level(zone: ZoneReport, now: int) -> Level:
    """How much one zone wants attention at `now`."""
    undelegated = zone.above is not None and not zone.above.delegates
    return max(_own_level(zone, now), Level.WARNING if undelegated else Level.OK)


def _own_level(zone: ZoneReport, now: int) -> Level:
    """The level by the zone's file and keys alone."""
    if zone.serial is None or (zone.signed and zone.keys is None):
        return Level.CRITICAL
    level = Level.WARNING if zone.refused or zone.withheld else Level.OK
    if zone.keys is None:
        return level
    level = max(level, _CONDITIONS[zone.keys.condition])
    ends = [end for end in (zone.keys.valid_until, zone.keys.safe_until) if end is not None]
    if level is Level.WARNING and ends and min(ends) - now < SHORT_RUNWAY:
        return Level.CRITICAL
    return max(level, parent_level(zone, zone.keys))


def parent_level(zone: ZoneReport, keys: ZoneStatus) -> Level:
    """How much what the parent has of a zone wants attention."""
    parent = zone.parent_ds
    if parent.state is DsState.FOREIGN:
        return Level.CRITICAL
    is_served = keys.signing and not keys.is_served_unsigned
    warns = parent.is_gone or parent.parent_ns or (parent.problem is not None and is_served)
    return Level.WARNING if warns else Level.OK


def server_level(status: ServerStatus) -> Level:
    """How much the server wants attention: as its worst zone; a trouble is a warning.

    One without zones that can't be given any is critical.
    """
    empty = Level.OK if status.route53 is not None else Level.CRITICAL
    zones = max((zone_level(zone, status.now) for zone in status.zones), default=empty)
    troubles = Level.WARNING if status.troubles or status.clock is not None else Level.OK
    return max(zones, troubles, _workers_level(status.workers))


def _workers_level(workers: tuple[WorkerReport, ...]) -> Level:
    backends = sum(worker.version is not None for worker in workers)
    if backends == len(workers):
        return Level.OK
    return Level.WARNING if backends else Level.CRITICAL
