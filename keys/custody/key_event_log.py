"""What people read about a zone's keys: the lines of the event log, those of the program's log, and status changes."""

from __future__ import annotations

from collections.abc import Sequence

from keys.custody.action_executor import Services
from keys.dnssec.name_text import to_text
from keys.dnssec.signing_policy import Policy
from keys.rules.events import Entry, Event, KeysetSigned, KmsFailed, KmsProbeFailed, KmsProbeSucceeded, entry
from keys.rules.key_status import Heard, ZoneStatus, changes
from keys.rules.keyring import Keyring, KskStatus
from keys.rules.log_text import changed_keys
from keys.rules.parent_report import DsState
from keys.rules.terms import term

_PARENT_CHANGES = {"parent_ds": "the parent's DS has changed", "parent_ns": "the parent's NS has changed"}


def entries(events: Sequence[Event], why: str, earlier: Keyring, later: Keyring) -> list[Entry]:
    """The lines of the event log for events that led from one keyring to another."""
    changed = changed_keys(earlier, later)
    lines = [
        entry(event, why + changed if isinstance(event, KeysetSigned) else why)
        for event in events
        if _is_news(event, earlier)
    ]
    before = {ksk.name: ksk.status for ksk in earlier.ksks}
    for ksk in later.ksks:
        if ksk.status is KskStatus.ACTION_NEEDED and before.get(ksk.name) is not ksk.status and ksk.trouble:
            trouble = ksk.trouble
            reason = f"{ksk.name} can't sign: {trouble.doing}: {trouble.code}: {trouble.message}"
            lines.append(
                Entry(trouble.at, "KskNeedsAction", reason, (trouble.request_id,) if trouble.request_id else ())
            )
    return lines


def _is_news(event: Event, earlier: Keyring) -> bool:
    """Whether an event is reported and logged: of repeated failures only the first."""
    if not isinstance(event, KmsFailed):
        return True
    trouble = earlier.ksk(event.name).trouble
    return trouble is None or (trouble.doing, trouble.code) != (event.doing, event.code)


class KeyEventLog:
    """Tells of one zone."""

    def __init__(self, origin: bytes, services: Services) -> None:
        self._zone = to_text(origin)
        self._services = services
        self._log = services.log.bind(zone=self._zone)
        self._heard: Heard | None = None

    def tell(self, events: Sequence[Event], why: str, earlier: Keyring, later: Keyring) -> None:
        """Log events that led from one keyring to another, which is stored."""
        for event in events:
            if isinstance(event, KmsFailed):
                if _is_news(event, earlier):
                    self._failed(event, later)
            elif isinstance(event, KmsProbeFailed | KmsProbeSucceeded):
                self._probed(event)
            else:
                self._log.info(term(type(event).__name__), kind=type(event).__name__, why=why)
        names = {ksk.name for ksk in later.ksks}
        for ksk in earlier.ksks:
            if ksk.trouble is not None and ksk.name in names and later.ksk(ksk.name).trouble is None:
                self._log.info("the KMS answers again", ksk=ksk.name, failed_since=ksk.trouble.since)

    def _failed(self, event: KmsFailed, later: Keyring) -> None:
        report = self._log.error if event.refused else self._log.warning
        report(
            "the KMS rejects the call" if event.refused else "the KMS is not available",
            ksk=event.name,
            doing=event.doing,
            code=event.code,
            message=event.message,
            request_id=event.request_id,
            valid_until=later.keyset.expiration if later.keyset else None,
        )

    def _probed(self, event: KmsProbeFailed | KmsProbeSucceeded) -> None:
        if isinstance(event, KmsProbeSucceeded):
            self._log.info("the KMS would sign again", ksk=event.name)
            return
        self._log.warning(
            "the KMS would not sign at the next refresh",
            ksk=event.name,
            doing=event.doing,
            code=event.code,
            message=event.message,
            request_id=event.request_id,
        )

    def tell_status(self, status: ZoneStatus) -> None:
        """Tell of whatever is another status now; the first one is compared with nothing."""
        before, self._heard = self._heard, Heard.of(status)
        for change in changes(before, status, int(self._services.now())) if before is not None else ():
            if change.after == KskStatus.ACTION_NEEDED.value:
                self._log.error(
                    "a KSK needs action", ksk=change.ksk, reason=change.reason, safe_until=status.safe_until
                )
            elif change.about != "status":
                bad = change.after in (DsState.FOREIGN.value, DsState.UNKNOWN.value, "differs")
                report = self._log.warning if bad or status.parent_ds.is_gone else self._log.info
                report(_PARENT_CHANGES[change.about], before=change.before, after=change.after, reason=change.reason)
            self._services.notify(self._zone, change)

    def clock(self, problem: str | None) -> None:
        """The clock is wrong, or correct again."""
        if problem is not None:
            self._log.critical("the keys of this zone are frozen until the clock is correct", problem=problem)
        else:
            self._log.info("the clock is correct again")

    def jumped(self, by: int, policy: Policy) -> None:
        """The clock went forward."""
        report = self._log.warning if by > policy.clock_tolerance else self._log.info
        report("the clock jumped forward, or this machine was suspended", seconds=by)

    def unheeded(self, refusal: str) -> None:
        """The configuration wants the zone unsigned, and it stays signed."""
        self._log.warning("signed = false is not in effect yet", reason=refusal)

    def disk(self, error: Exception, attempts: int) -> None:
        """The state can't be read or written."""
        self._log.error("the state can't be used", error=str(error), attempts=attempts)

    def frozen(self, problem: str, trace: str | None) -> None:
        """The keys change no more."""
        self._log.critical("the keys of this zone are frozen", problem=problem, traceback=trace)
