"""What a person must do, from a status: steps, most urgent first, each with a command to paste."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from keys.rules.key_status import CLOCK_WRONG, Condition, ZoneStatus
from keys.rules.keyring import KskStatus, Trouble
from keys.rules.moments import duration, told
from keys.rules.parent_report import DsState
from server.control.server_operations import STATE_TROUBLE, Level, ServerStatus, ZoneReport, zone_level

CODES = (
    "ds-wrong",
    "state-unwritable",
    "clock",
    "kms-key",
    "kms-unreachable",
    "zone-file",
    "keys",
    "ds-gone",
    "ds-unknown",
    "ns-mismatch",
    "worker",
    "service",
    "starting",
    "ds-add",
)
"""Every code; among steps of one level, those that come first here do so in a status."""


class ToDo(msgspec.Struct, frozen=True, kw_only=True):
    """One step that a person must take, or should know of."""

    level: str
    """As of a status: "critical", "warning", or "ok" for what is only a notice."""
    zone: str | None
    """Its origin; `None`: it is about the server."""
    code: str
    """One of `CODES`."""
    text: str
    command: str | None = None
    not_before: int | None = None
    """When it is safe to do (seconds since the epoch); `None`: now."""


def to_do(status: ServerStatus, options: str = "") -> list[ToDo]:
    """Every step, most urgent first. `options` follows each command, such as " --state /var/lib/signwright"."""
    steps = list(_of_server(status))
    for zone in status.zones:
        steps += zone_steps(zone, status.now)
    steps.sort(key=lambda step: (-Level[step.level.upper()], CODES.index(step.code)))
    return [
        msgspec.structs.replace(step, command=step.command + options) if step.command is not None else step
        for step in steps
    ]


def headline(level: Level, steps: list[ToDo]) -> str:
    """The first line of a status: its level, the most urgent step, and how many more there are."""
    if not steps:
        return f"{level.name}: nothing to do"
    more = f" (and {len(steps) - 1} more)" if len(steps) > 1 else ""
    return f"{level.name}: {' '.join(steps[0].text.split())}{more}"


def _step(
    level: Level, zone: str | None, code: str, text: str, command: str | None = None, at: int | None = None
) -> ToDo:
    return ToDo(level=level.name.lower(), zone=zone, code=code, text=text, command=command, not_before=at)


def _of_server(status: ServerStatus) -> Iterator[ToDo]:
    if status.clock is not None:
        text = (
            f"the system clock jumped forward by {duration(status.clock.by)}; it is ignored until "
            f"{moment(status.clock.until)}. Correct it, or accept it now:"
        )
        yield _step(Level.WARNING, None, "clock", text, "signwright trust-clock")
    if not status.zones and status.route53 is None:
        yield _step(
            Level.CRITICAL, None, "zone-file", "no zone is served: add one to the configuration", "signwright reload"
        )
    silent = sum(worker.version is None for worker in status.workers)
    if silent:
        level = Level.CRITICAL if silent == len(status.workers) else Level.WARNING
        text = f"{silent} of {len(status.workers)} workers do not answer; each is restarted automatically"
        yield _step(level, None, "worker", text)
    for trouble in status.troubles:
        since = moment(trouble.since)
        if trouble.what == STATE_TROUBLE:
            text = (
                f"the state in {status.state} has not been writable since {since}: {trouble.reason}; no key and no "
                "hosted zone can change: free space on its disk, or correct what the reason names"
            )
            yield _step(Level.WARNING, None, "state-unwritable", text)
            continue
        text = f"{trouble.what} has been failing since {since} and is retried automatically: {trouble.reason}"
        yield _step(Level.WARNING, None, "service", text)


def zone_steps(zone: ZoneReport, now: int) -> list[ToDo]:
    """The steps of one zone; there is one at least where its level is not OK."""
    level = zone_level(zone, now)
    steps = [*_of_file(zone), *_of_keys(zone, level), *_of_parent(zone, now)]
    if level > Level.OK and all(Level[step.level.upper()] < level for step in steps):
        keys = zone.keys
        starting = zone.signed and (keys is None or keys.condition is Condition.STARTING)
        if starting:
            steps.append(
                _step(level, zone.origin, "starting", f"{zone.origin} is starting: its keys are not signed yet")
            )
        else:
            why = (keys.problem if keys is not None else None) or "see below"
            command = f"signwright events {zone.origin}"
            steps.append(_step(level, zone.origin, "keys", f"{zone.origin} keys: {why}", command))
    return steps


def _of_file(zone: ZoneReport) -> Iterator[ToDo]:
    if zone.refused is not None:
        level = Level.CRITICAL if zone.serial is None else Level.WARNING
        still = "is not served" if zone.serial is None else "is served as it was before"
        text = f"{zone.origin} {still}: {zone.refused}; fix this, then run:"
        yield _step(level, zone.origin, "zone-file", text, "signwright reload")
    if zone.withheld is not None:
        yield _step(Level.WARNING, zone.origin, "zone-file", f"{zone.origin} is {zone.withheld}", "signwright reload")
    elif zone.above is not None and not zone.above.delegates:
        is_file = zone.above.by_itself  # the record sets of a hosted zone are changed over the API
        text = (
            f"validating resolvers find {zone.origin} bogus: its signed parent {zone.above.origin} has no NS "
            f"records for it; add them{', then run:' if is_file else ' over the Route 53 API'}"
        )
        yield _step(Level.WARNING, zone.origin, "zone-file", text, "signwright reload" if is_file else None)


def _of_keys(zone: ZoneReport, level: Level) -> Iterator[ToDo]:
    keys = zone.keys
    if keys is None:
        return
    level = max(level, Level.WARNING)
    if keys.condition is Condition.FROZEN and (keys.problem or "").startswith(CLOCK_WRONG):
        text = f"{zone.origin}: {keys.problem}; set it right, or run:"
        yield _step(level, zone.origin, "clock", text, f"signwright trust-clock {zone.origin}")
    safe = f"; the zone is valid until {moment(keys.safe_until)}" if keys.safe_until is not None else ""
    for ksk in keys.ksks:
        if ksk.probe_trouble is not None:
            yield _probed(level, zone.origin, ksk.name, ksk.probe_trouble, safe)
        trouble = ksk.trouble
        if trouble is None:
            continue
        said = f"{trouble.doing}: {trouble.code}: {trouble.message}"
        if trouble.refused:
            since = moment(trouble.since)
            text = f"{zone.origin} {ksk.name}: the KMS has refused since {since}: {said}{safe}; fix this, then run:"
            yield _step(level, zone.origin, "kms-key", text, f"signwright ksk activate {zone.origin} {ksk.name}")
        elif ksk.status is KskStatus.ACTION_NEEDED or level is Level.CRITICAL or keys.problem is not None:
            text = (
                f"{zone.origin} {ksk.name}: the KMS has been unavailable since {moment(trouble.since)}: {said}{safe}; "
                "it is retried automatically, or now by:"
            )
            yield _step(
                level, zone.origin, "kms-unreachable", text, f"signwright ksk activate {zone.origin} {ksk.name}"
            )


def _probed(level: Level, zone: str, ksk: str, trouble: Trouble, safe: str) -> ToDo:
    """The step for a KSK with which the KMS would not sign, found before its signatures are needed."""
    said = f"since {moment(trouble.since)}: {trouble.doing}: {trouble.code}: {trouble.message}{safe}"
    if trouble.refused:
        code, text = "kms-key", f"the KMS would refuse the next refresh, {said}; fix this, then run:"
    else:
        code, text = "kms-unreachable", f"the KMS has been unavailable {said}; it is probed again each hour, or now by:"
    return _step(level, zone, code, f"{zone} {ksk}: {text}", f"signwright ksk activate {zone} {ksk}")


def _of_parent(zone: ZoneReport, now: int) -> Iterator[ToDo]:
    keys, parent = zone.keys, zone.parent_ds
    if keys is None:
        return
    command = f"signwright ds {zone.origin}"
    if parent.state is DsState.FOREIGN:
        if keys.is_served_unsigned:
            text = f"{zone.origin} is served unsigned below a DS: resolvers answer SERVFAIL; have the parent remove it"
            yield _step(Level.CRITICAL, zone.origin, "ds-wrong", text)
        else:
            text = (
                f"the parent's DS names no key that signs {zone.origin}, so resolvers answer SERVFAIL; have the parent "
                "replace it with:"
            )
            yield _step(Level.CRITICAL, zone.origin, "ds-wrong", text, command)
    elif keys.foreign_ds:
        text = (
            f"the parent has DS records that name no key of {zone.origin}; have it remove {', '.join(keys.foreign_ds)}"
        )
        yield _step(Level.WARNING, zone.origin, "ds-wrong", text)
    elif parent.is_gone:
        text = f"the parent's DS of {zone.origin} is gone, so the zone is insecure; have the parent add it again:"
        yield _step(Level.WARNING, zone.origin, "ds-gone", text, command)
    elif parent.problem is not None and keys.signing and not keys.is_served_unsigned:
        since = f" since {moment(parent.since)}" if parent.since is not None else ""
        text = f"the parent of {zone.origin} can't be asked for its DS{since}: {parent.problem}"
        yield _step(Level.WARNING, zone.origin, "ds-unknown", text)
    yield from _missing_ds(zone, keys, now)
    if parent.parent_ns:
        text = (
            f"the parent delegates {zone.origin} to {', '.join(parent.parent_ns)}, and the zone's own NS records are "
            f"{', '.join(parent.zone_ns)}; make them equal"
        )
        yield _step(Level.WARNING, zone.origin, "ns-mismatch", text)


def _missing_ds(zone: ZoneReport, keys: ZoneStatus, now: int) -> Iterator[ToDo]:
    """The notice that a KSK has no DS yet, unless the parent takes that up by itself."""
    parent = zone.parent_ds
    is_taken_up = zone.above is not None and zone.above.by_itself
    if parent.state not in (DsState.ABSENT, DsState.MATCHES) or parent.is_gone or not keys.signing or is_taken_up:
        return
    for ksk in keys.ksks:
        if ksk.status is KskStatus.ACTIVE and ksk.ready is not None and not ksk.ds_named and ksk.withdrawn is None:
            waits = ksk.ready > now
            when = f", not before {told(ksk.ready, _TO_THE_SECOND)}" if waits else ""
            text = f"have the parent of {zone.origin} add the DS of {ksk.name}{when}:"
            command = f"signwright ds {zone.origin}"
            yield _step(Level.OK, zone.origin, "ds-add", text, command, ksk.ready if waits else None)


_TO_THE_SECOND = "%Y-%m-%d %H:%M:%SZ"
"""For what must not be done before: a whole minute would begin too early."""


def moment(at: int) -> str:
    """A time in UTC, to the minute."""
    return told(at, "%Y-%m-%d %H:%MZ")
