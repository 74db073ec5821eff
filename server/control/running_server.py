"""The running server as the control protocol sees it: `server.control.server_operations.Operations`, done."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence, Set
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import islice
from operator import attrgetter
from pathlib import Path

import dns.exception
import dns.message
import dns.rdatatype
import structlog
import trio

from keys.custody.key_manager import KeyManager
from keys.custody.state_database import Store
from keys.custody.zsk_encryption import StateError
from keys.rules.bars import Timeline
from keys.rules.commands import WRONG_SIGNING, Command, RequestRefusedError, TrustClock
from keys.rules.events import Entry
from keys.rules.forecast import forecast, steps
from keys.rules.moments import told
from keys.rules.parent_report import UNWATCHED
from keys.rules.timeline import timeline
from keys.timekeeping.clock import Clock
from keys.timekeeping.system_clocks import SYSTEM
from server.control.server_operations import (
    HOSTED_FILE,
    Above,
    ClockHeld,
    ClockTrust,
    Planned,
    ReloadOutcome,
    ReloadReport,
    RequestOutcome,
    ServerStatus,
    WorkerReport,
    ZoneReload,
    ZoneReport,
)
from server.control.trust_chain import ParentsDs, TrustChain, trust_chain
from server.hosting.parent_lookup import LocalParent
from server.hosting.registered_zone import File, LoadedChange, RegisteredZone, ZoneLoad
from server.hosting.zone_registry import ZoneRegistry
from server.net.addresses import Address
from server.query.respond import Via, respond
from server.settings.configuration import LOCAL, Config, ConfigError
from server.settings.configured_files import configured_files
from server.settings.restart_settings import waiting_for_restart
from server.state import server_file
from server.state.directory import StateDir
from server.state.server_file import ServerFile
from server.state.trust_anchor_files import ZoneTrust, ds_records, trust_files, write_trust
from server.supervised import Supervisor
from server.watching.recent_queries import TopReport
from zones import names
from zones.parent_child import delegation_point
from zones.rrtypes import TYPE_A, TYPE_DS, TYPE_SOA
from zones.zone import Zone
from zones.zoneset import ServedZone, Withheld, trust_anchors

_RELOADED = {
    LoadedChange.LOADED: ReloadOutcome.REPLACED,
    LoadedChange.UNCHANGED: ReloadOutcome.UNCHANGED,
    LoadedChange.REFUSED: ReloadOutcome.REFUSED,
    LoadedChange.REMOVED: ReloadOutcome.REMOVED,
}

_canonical_key = lru_cache(maxsize=1 << 14)(names.canonical_key)
"""Asked for all zones whenever the keys of one are others."""
_LOOKED_AT = 1000
"""Names of a zone among which an example is looked for: of a million, there may be none that has an address."""
_BETWEEN_QUERIES = 100
"""Zones whose trust anchors are gathered before queries are answered again: about a millisecond."""
_REST = 19
"""Times as long as writing the trust files took, in which they are not written again."""
_LONGEST_REST = 60  # seconds
_UNTIL_WRITTEN = 10
"""Seconds until trust files that could not be written are tried again."""
_READ_WITHIN = 60
"""Seconds in which the configuration must be read."""
_LOGGED = 10
"""Zones that are named in the log for each outcome of a reload."""
_TRUST_FILES = "trust files"
_log = structlog.get_logger("signwright")


class RunningServer:
    """One run of the server, for its control socket, its signals and its banner."""

    def __init__(
        self,
        config: Config,
        reread: Callable[[], Config],
        state: StateDir,
        store: Store,
        registry: ZoneRegistry,
        listeners: Sequence[Address],
        kms: str,
        watching: Address | None = None,
        api: str | None = None,
        workers: Callable[[], tuple[WorkerReport, ...]] = tuple,
        supervisor: Supervisor | None = None,
        clock: Clock | None = None,
        top: Callable[[int], Awaitable[TopReport]] | None = None,
    ) -> None:
        """`kms` is its URL, `watching` the address of /metrics, `api` the URL of the Route 53 API.

        `supervisor` knows what fails beside the zones. `clock` is what answers and keys go by. `top` tells what was
        asked in so many minutes.
        """
        self.config = self._latest = config
        self.state = state
        self.listeners = tuple(listeners)
        self._reread = reread
        self._store = store
        self._registry = registry
        self._kms = kms
        self._watching = watching
        self._api = api
        self._workers = workers
        self._supervisor = supervisor
        self._clock = clock or Clock(SYSTEM)
        self._top = top
        self.on_reload: Callable[[], None] = lambda: None
        """Is called when a reload begins, as by what has moved a file that is written to."""
        self._started = self.now()
        self._trusts: list[ZoneTrust] | None = None
        """As they are written."""
        self._outcome: RequestOutcome | None = None
        self._over = trio.Event()
        self._reloading = trio.Lock()

    # Its end

    def end(self, outcome: RequestOutcome) -> None:
        """End this run; the first to say how it ended is heard."""
        self._outcome = self._outcome or outcome
        self._over.set()

    def restart(self) -> None:
        """As `Operations.restart`."""
        self.end(RequestOutcome.RESTART)

    async def ended(self) -> RequestOutcome:
        """Wait for the end."""
        await self._over.wait()
        return self._outcome or RequestOutcome.STOPPED

    # What it is asked

    def now(self) -> int:
        """As `Operations.now`."""
        return int(self._clock.now())

    def origins(self) -> list[str]:
        """As `Operations.origins`."""
        return [hosted.config.origin for hosted in self._sorted()]

    def zone(self, origin: str) -> ZoneReport | None:
        """As `Operations.zone`."""
        try:
            hosted = self._registry.registered.get(names.from_text(origin))
        except dns.exception.DNSException:
            return None
        return self._report(hosted) if hosted is not None else None

    def served(self, origin: str) -> ServedZone | None:
        """As `Operations.served`."""
        return self._registry.zoneset.get(names.from_text(origin))

    def trust_chain(self, origin: str, name: str, rrtype: str) -> TrustChain:
        """As `Operations.trust_chain`."""
        report, zoneset, now = self.zone(origin), self._registry.zoneset, self.now()
        assert report is not None
        owner, rdtype = names.from_text(name), dns.rdatatype.from_text(rrtype)
        found = zoneset.find(owner, rdtype)
        if found is None or found.zone.origin != names.from_text(origin):
            where = "in no zone here" if found is None else f"in the zone {names.to_text(found.zone.origin)}"
            raise ValueError(f"{name} {rrtype} is {where}: give a name of {origin}")

        def ask(qname: str, qtype: str) -> dns.message.Message:
            query = dns.message.make_query(qname, qtype, want_dnssec=True).to_wire()
            response = respond(query, zoneset, now, Via.TCP)
            assert response is not None  # silence is for what is not a query
            return dns.message.from_wire(response)

        above = ask(origin, "DS") if report.above is not None else None
        return trust_chain(origin, _parents_ds(report, above), ask(origin, "DNSKEY"), ask(name, rrtype), now)

    def status(self) -> ServerStatus:
        """As `Operations.status`."""
        held = self._clock.held
        return ServerStatus(
            version=version("signwright"),
            pid=os.getpid(),
            now=self.now(),
            started=self._started,
            state=str(self.state.path),
            listeners=tuple(str(address) for address in self.listeners),
            kms=self._kms,
            route53=self._api,
            metrics=f"http://{self._watching}/metrics" if self._watching is not None else None,
            zones=tuple(self._report(hosted) for hosted in self._sorted()),
            clock=ClockHeld(held.by, held.until) if held is not None else None,
            clock_synchronised=self._clock.state.synchronised,
            workers=self._workers(),
            troubles=self._supervisor.troubles() if self._supervisor is not None else (),
        )

    def _sorted(self) -> list[RegisteredZone]:
        """In canonical order: a zone stands above those below it."""
        return sorted(self._registry.registered.values(), key=lambda hosted: _canonical_key(hosted.origin))

    def _report(self, hosted: RegisteredZone) -> ZoneReport:
        withheld = self._registry.zoneset.withheld(hosted.origin)
        served = withheld.served if withheld is not None else self._registry.zoneset.get(hosted.origin)
        trust = _trust(hosted, served)
        ds = tuple(ds_records(trust))
        loaded = served is not None and hosted.fingerprint is not None
        keys = hosted.key_manager.status if hosted.key_manager is not None else None
        return ZoneReport(
            origin=hosted.config.origin,
            file=str(hosted.config.file or HOSTED_FILE),
            serial=served.zone.serial if served is not None and loaded else None,
            signed=not hosted.unsigned,
            denial=hosted.config.denial.value,
            example=_example(served.zone) if served is not None else f"{hosted.config.origin} SOA",
            refused=hosted.problem,
            withheld=_said_of_withheld(hosted.config.origin, withheld) if withheld is not None else None,
            ds=ds,
            keys=keys,
            parent=_asked(hosted),
            refreshes=hosted.refreshes,
            above=self._above(hosted, trust, ds) if loaded else None,
            parent_ds=keys.parent_ds if keys is not None else UNWATCHED,
        )

    def _above(self, hosted: RegisteredZone, trust: ZoneTrust, ds: Sequence[str]) -> Above | None:
        """The zone above, which may hold some of `ds`, the lines of `trust`.

        None also where what lies between is delegated to somebody else.
        """
        found = self._registry.zoneset.find(hosted.origin, TYPE_DS)
        if found is None or found.zone.origin == hosted.origin or not found.zone.signed:
            return None
        parent = self._registry.registered.get(found.zone.origin)
        if parent is None or parent.fingerprint is None:
            return None  # it could not be loaded: nobody knows what it delegates
        cut = delegation_point(found.zone, hosted.origin)
        if cut not in (hosted.origin, None):
            return None
        signers = found.zone.nodes[cut].rrsets.get(TYPE_DS) if cut is not None else None
        held = signers.canonical if signers is not None else ()
        return Above(
            origin=parent.config.origin,
            delegates=cut is not None,
            ds=tuple(line for line, rdata in zip(ds, trust.ds, strict=True) if rdata in held),
            by_itself=isinstance(hosted.source, File),
        )

    async def plan(self, origin: str, until: int) -> tuple[Planned, ...]:
        """As `Operations.plan`."""
        hosted, key_manager = self._kept(origin)
        keyring, policy, ksk_arn = key_manager.keyring, key_manager.policy, hosted.config.ksk_arn
        ahead = partial(forecast, keyring, policy, self.now(), until, ksk_arn)
        return await trio.to_thread.run_sync(
            lambda: tuple(Planned(at, type(action).__name__, why) for at, action, why in ahead())
        )

    async def events(self, origin: str, since: int) -> tuple[Entry, ...]:
        """As `Operations.events`."""
        entries = await trio.to_thread.run_sync(self._store.events, names.from_text(origin), since)
        # What waits are counted from is stored with the second after it, and may come before something of this second.
        return tuple(sorted(entries, key=attrgetter("at")))

    async def timeline(self, origin: str, since: int, until: int) -> Timeline:
        """As `Operations.timeline`."""
        hosted, key_manager = self._kept(origin)
        keyring, policy, ksk_arn = key_manager.keyring, key_manager.policy, hosted.config.ksk_arn
        now = self.now()

        def drawn() -> Timeline:
            past = self._store.events(keyring.origin)  # all that is kept: what began long ago goes on
            return timeline(keyring, policy, past, steps(keyring, policy, now, until, ksk_arn), now, since, until)

        return await trio.to_thread.run_sync(drawn)

    def _kept(self, origin: str) -> tuple[RegisteredZone, KeyManager]:
        hosted = self._registry.registered.get(names.from_text(origin))
        if hosted is None or hosted.key_manager is None:
            raise RequestRefusedError(WRONG_SIGNING, f"{origin} has no keys: it is not served, or served unsigned.")
        return hosted, hosted.key_manager

    # Commands

    async def top(self, minutes: int) -> TopReport:
        """As `Operations.top`."""
        assert self._top is not None
        return await self._top(minutes)

    async def reload(self, loaded: Callable[[], None] = lambda: None) -> ReloadReport:
        """As `Operations.reload`. Raises `ConfigError` where the configuration is wrong; then nothing changes.

        One reload after the other reads the configuration and loads zones, so that what was read last stays. `loaded`
        is called when that is done; what follows waits for the KMS.
        """
        self.on_reload()
        async with self._reloading:
            config = self._latest = await self._read_again()
            before = {origin for origin, hosted in self._registry.registered.items() if hosted.fingerprint is not None}
            loads = await self._registry.load(config.zones)
        loaded()
        await self._registry.sign()
        await self._registry.membership.all_published()
        hosted = any(not isinstance(zone.source, File) for zone in self._registry.registered.values())
        waiting = waiting_for_restart(self.config, config, hosted=hosted)
        if waiting:
            _log.warning("settings have changed that take a restart", settings=list(waiting))
        report = ReloadReport(tuple(self._reload(load, before) for load in loads), waiting)
        _log_reload(report)
        return report

    async def _read_again(self) -> Config:
        """The configuration as it is now. A file system that hangs delays neither the end nor, for ever, a reload."""
        try:
            with trio.fail_after(_READ_WITHIN):
                return await trio.to_thread.run_sync(self._reread, abandon_on_cancel=True)
        except trio.TooSlowError:
            raise ConfigError(f"the configuration was not read within {_READ_WITHIN} s: does its disk hang?") from None
        except OSError as error:
            raise ConfigError(f"the configuration can't be read: {error}") from None

    def _reload(self, load: ZoneLoad, before: Set[bytes]) -> ZoneReload:
        """What became of a zone; `before` are the origins of those that were loaded."""
        origin = names.from_text(load.origin)
        served = self._registry.zoneset.get(origin)
        serial = served.zone.serial if served is not None else None
        is_new = load.change is LoadedChange.LOADED and origin not in before
        outcome = ReloadOutcome.ADDED if is_new else _RELOADED[load.change]
        warnings = (*load.earlier_warnings, *load.warnings)
        return ZoneReload(origin=load.origin, outcome=outcome, serial=serial, reason=load.reason, warnings=warnings)

    async def request(self, origin: str, command: Command) -> None:
        """As `Operations.request`."""
        _, key_manager = self._kept(origin)
        if isinstance(command, TrustClock) and self._clock.held is not None:
            self._clock.trust()  # all zones have one clock
            if not key_manager.is_clock_wrong:
                return
        await key_manager.request(command)

    async def trust_clock(self) -> ClockTrust:
        """As `Operations.trust_clock`. The task that watches the clock informs workers and key managers."""
        held = self._clock.held
        self._clock.trust()
        done, refused = [], {}
        for hosted in self._sorted():
            if hosted.key_manager is None or not hosted.key_manager.is_clock_wrong:
                continue
            try:
                await hosted.key_manager.request(TrustClock())
            except (RequestRefusedError, StateError) as error:
                refused[hosted.config.origin] = str(error)
            else:
                done.append(hosted.config.origin)
        return ClockTrust(held.by if held is not None else 0, tuple(done), refused)

    async def backup_database(self, to: Path) -> None:
        """As `Operations.backup_database`."""
        await trio.to_thread.run_sync(self._store.backup, to)

    def configured_files(self) -> Iterator[Path]:
        """As `Operations.configured_files`."""
        return configured_files(self._latest)

    # What others need to trust its zones

    async def write_trust(self) -> bool:
        """Write STATE/trust/ where it differs; whether all of it is there now. What is not is a trouble in `status`."""
        trusts = []
        for number, hosted in enumerate(self._sorted()):
            if number % _BETWEEN_QUERIES == 0:
                await trio.lowlevel.checkpoint()
            trusts.append(_trust(hosted, self._registry.zoneset.get(hosted.origin)))
        if trusts == self._trusts:
            return True
        folder = self.state.trust
        written = await trio.to_thread.run_sync(
            lambda: write_trust(folder, trust_files(folder, trusts, self.listeners, self.config.resolver))
        )
        for path, reason in written.failed[:1]:
            more = f", and {len(written.failed) - 1} more" if len(written.failed) > 1 else ""
            self._tell_trouble(_TRUST_FILES, f"{path}: {reason}{more}")
        if written.failed:
            return False
        self._tell_trouble(_TRUST_FILES, None)
        self._trusts = trusts
        return True

    async def write_server_file(self) -> None:
        """Write STATE/server.json. Raises `OSError`."""
        dns = [str(address) for address in self.listeners]
        content = ServerFile(pid=os.getpid(), dns=dns, route53=self._api, kms=self._kms)
        await trio.to_thread.run_sync(server_file.write, self.state, content)

    async def keep_trust_written(self, changes: AsyncIterator[None]) -> None:
        """Write STATE/trust/ again after each change, and first what was not written so far.

        Among thousands of zones that takes longer than it takes a zone to change: a twentieth of the time goes into it.
        """
        await self._write_trust_at_last()
        async for _ in changes:
            began = trio.current_time()
            await self._write_trust_at_last()
            await trio.sleep(min(_REST * (trio.current_time() - began), _LONGEST_REST))

    async def _write_trust_at_last(self) -> None:
        """Write them, once the disk takes them: no further change may come that would have them written."""
        while not await self.write_trust():  # noqa: ASYNC110 - a disk tells nobody when it works again
            await trio.sleep(_UNTIL_WRITTEN)

    def _tell_trouble(self, what: str, reason: str | None) -> None:
        if self._supervisor is not None:
            self._supervisor.report(what, reason)


def _log_reload(report: ReloadReport) -> None:
    """Say what became of the zones, also where nothing changed; a refusal has a line of its own already."""
    named: dict[str, str] = {}
    for outcome in (ReloadOutcome.ADDED, ReloadOutcome.REPLACED, ReloadOutcome.REMOVED, ReloadOutcome.REFUSED):
        origins = [zone.origin for zone in report.zones if zone.outcome is outcome]
        if origins:
            more = f" and {len(origins) - _LOGGED} more" if len(origins) > _LOGGED else ""
            named[outcome.value] = ", ".join(origins[:_LOGGED]) + more
    unchanged = sum(zone.outcome is ReloadOutcome.UNCHANGED for zone in report.zones)
    warnings = sum(len(zone.warnings) for zone in report.zones)
    _log.info("reloaded", **named, unchanged=unchanged, warnings=warnings or None)


def _said_of_withheld(origin: str, withheld: Withheld) -> str:
    above, lost = names.to_text(withheld.parent), names.to_text(withheld.lost)
    return (
        f"not answered: {above}, which is signed and served here too, delegates {lost} and not {origin}; answered, "
        f"{origin} would take that delegation away. Add its NS records to {above}, or take {lost} out of it"
    )


def _asked(hosted: RegisteredZone) -> str:
    """Where the DS is looked up, as things are now."""
    if isinstance(hosted.parent, LocalParent):
        return LOCAL if hosted.parent.is_asked(hosted.origin) else "none"
    return str(hosted.config.parent) if hosted.parent is not None else "none"


def _trust(hosted: RegisteredZone, served: ServedZone | None) -> ZoneTrust:
    keys = served.keys if served is not None else None
    signers = trust_anchors(keys) if keys is not None else ()
    return ZoneTrust(hosted.config.origin, signers, not hosted.unsigned)


def _parents_ds(report: ZoneReport, above: dns.message.Message | None) -> ParentsDs:
    """What is known of the DS of a zone; `above` is the response of the parent that is served here."""
    if above is not None and report.above is not None:
        sets = [rrset for rrset in above.answer if rrset.rdtype == dns.rdatatype.DS]
        records = tuple(rdata.to_text() for rrset in sets for rdata in rrset)
        return ParentsDs(records, True, f"{report.above.origin} is served here")
    keys = report.keys
    if keys is None or keys.parent_checked is None:
        return ParentsDs((), False, "no parent was asked: see the setting parent")
    own = tuple(ksk.ds for ksk in keys.ksks if ksk.ds_named and ksk.ds is not None)
    return ParentsDs(
        (*own, *keys.foreign_ds), True, f"{report.parent}, asked at {told(keys.parent_checked, '%Y-%m-%d %H:%MZ')}"
    )


def _example(zone: Zone) -> str:
    """A query that shows something: an address, preferably of www."""
    www = zone.nodes.get(b"\x03www" + zone.origin)
    if www is not None and TYPE_A in www.rrsets:
        return _question(b"\x03www" + zone.origin, TYPE_A)
    looked_at = islice(zone.nodes.items(), _LOOKED_AT)
    with_address = (o for o, node in looked_at if TYPE_A in node.rrsets and not o.startswith(b"\x01*"))
    owner = next(with_address, None)
    return _question(zone.origin, TYPE_SOA) if owner is None else _question(owner, TYPE_A)


def _question(owner: bytes, rrtype: int) -> str:
    return f"{names.to_text(owner)} {dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype))}"
