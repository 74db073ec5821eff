"""The running server as the control protocol sees it: `server.operations.Operations`, done."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import dns.rdatatype
import trio

from keys.store import Store
from server.addresses import Address
from server.config import Config
from server.hosting import Change, Hosted, Hosting, ZoneLoad
from server.operations import (
    Outcome,
    ReloadOutcome,
    ReloadReport,
    ServerStatus,
    ZoneReload,
    ZoneReport,
)
from server.statedir import StateDir
from server.trust import ZoneTrust, ds_records, trust_files, write_trust
from zones import names
from zones.zone import TYPE_A, TYPE_SOA, Zone
from zones.zoneset import ServedZone, delegation_signers

_RELOADED = {
    Change.LOADED: ReloadOutcome.REPLACED,
    Change.UNCHANGED: ReloadOutcome.UNCHANGED,
    Change.REFUSED: ReloadOutcome.REFUSED,
    Change.REMOVED: ReloadOutcome.REMOVED,
}


class Running:
    """One run of the server, for its control socket, its signals and its banner."""

    def __init__(
        self,
        config: Config,
        reread: Callable[[], Config],
        state: StateDir,
        store: Store,
        hosting: Hosting,
        listeners: Sequence[Address],
        kms: str,
    ) -> None:
        self.config = config
        self.state = state
        self.listeners = tuple(listeners)
        self._reread = reread
        self._store = store
        self._hosting = hosting
        self._kms = kms
        self._started = int(time.time())
        self._outcome: Outcome | None = None
        self._over = trio.Event()

    # Its end

    def end(self, outcome: Outcome) -> None:
        """End this run; the first to say how it ended is heard."""
        self._outcome = self._outcome or outcome
        self._over.set()

    def restart(self) -> None:
        """As `Operations.restart`."""
        self.end(Outcome.RESTART)

    async def ended(self) -> Outcome:
        """Wait for the end."""
        await self._over.wait()
        return self._outcome or Outcome.STOPPED

    # What it is asked

    def status(self) -> ServerStatus:
        """As `Operations.status`."""
        return ServerStatus(
            version=version("signwright"),
            pid=os.getpid(),
            now=int(time.time()),
            started=self._started,
            state=str(self.state.path),
            listeners=tuple(str(address) for address in self.listeners),
            kms=self._kms,
            zones=tuple(self._report(hosted) for _, hosted in sorted(self._hosting.hosted.items())),
        )

    def _report(self, hosted: Hosted) -> ZoneReport:
        served = self._hosting.zoneset.get(hosted.origin)
        trust = _trust(hosted, served)
        loaded = served is not None and hosted.fingerprint is not None
        return ZoneReport(
            origin=hosted.config.origin,
            file=str(hosted.config.file),
            serial=served.zone.serial if served is not None and loaded else None,
            signed=hosted.config.signed,
            denial=hosted.config.denial.value,
            example=_example(served.zone) if served is not None else f"{hosted.config.origin} SOA",
            refused=hosted.problem,
            ds=tuple(ds_records(trust)),
            keys=hosted.custodian.status if hosted.custodian is not None else None,
        )

    # What it is told

    async def reload(self) -> ReloadReport:
        """As `Operations.reload`. Raises `ConfigError` where the configuration is wrong; then nothing changes."""
        config = await trio.to_thread.run_sync(self._reread)
        loads = await self._hosting.load(config.zones)
        await self._hosting.sign()
        return ReloadReport(tuple(self._reload(load) for load in loads))

    def _reload(self, load: ZoneLoad) -> ZoneReload:
        served = self._hosting.zoneset.get(names.from_text(load.origin))
        serial = served.zone.serial if served is not None else None
        return ZoneReload(origin=load.origin, outcome=_RELOADED[load.change], serial=serial, reason=load.reason)

    async def backup_database(self, to: Path) -> None:
        """As `Operations.backup_database`."""
        await trio.to_thread.run_sync(self._store.backup, to)

    # What others need to trust its zones

    def trusts(self) -> list[ZoneTrust]:
        """The trust anchors of all zones, as they are now."""
        hosting = self._hosting
        return [_trust(hosted, hosting.zoneset.get(origin)) for origin, hosted in sorted(hosting.hosted.items())]

    async def write_trust(self) -> None:
        """Write STATE/trust/ where it differs."""
        files = trust_files(self.state.trust, self.trusts(), self.listeners)
        await trio.to_thread.run_sync(write_trust, self.state.trust, files)

    async def keep_trust_written(self, changes: AsyncIterator[None]) -> None:
        """Write STATE/trust/ again after each change."""
        async for _ in changes:
            await self.write_trust()


def _trust(hosted: Hosted, served: ServedZone | None) -> ZoneTrust:
    keys = served.keys if served is not None else None
    signers = delegation_signers(keys) if keys is not None else ()
    return ZoneTrust(hosted.config.origin, signers, hosted.config.signed)


def _example(zone: Zone) -> str:
    """A query that shows something: an address, preferably of www."""
    www = zone.nodes.get(b"\x03www" + zone.origin)
    if www is not None and TYPE_A in www.rrsets:
        return _question(b"\x03www" + zone.origin, TYPE_A)
    with_address = (o for o, node in zone.nodes.items() if TYPE_A in node.rrsets and not o.startswith(b"\x01*"))
    owner = next(with_address, None)
    return _question(zone.origin, TYPE_SOA) if owner is None else _question(owner, TYPE_A)


def _question(owner: bytes, rrtype: int) -> str:
    return f"{names.to_text(owner)} {dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype))}"
