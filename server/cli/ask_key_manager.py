"""Having something done to a zone's keys, and saying what came of it: done, or asked for and why it is not done yet.

What is asked for is durable when the server answers, and acted upon soon after: there is a KMS to be called.
"""

from __future__ import annotations

import time
from typing import Final

import click

from keys.rules.commands import (
    ActivateKsk,
    Command,
    CreateKsk,
    DeactivateKsk,
    DeleteKsk,
    DisableSigning,
    EnableSigning,
    OfferDs,
    TrustClock,
    WithdrawDs,
)
from keys.rules.key_status import Condition, KskReport
from keys.rules.keyring import KskStatus
from server.control.control_client import ControlClient
from server.control.server_operations import ZoneReport, ds_report
from server.display.key_report import about_ds, earliest, trouble_text
from server.state.directory import StateDir

_PATIENCE: Final = 5.0
"""Seconds to wait for a command that was accepted."""
_LOOK_AGAIN: Final = 0.1


def ask(directory: StateDir, zone: str, command: Command) -> ZoneReport:
    """Send a command, wait for it a while, and print the result. Raises `ControlError` if it is refused."""
    client = ControlClient(directory)
    after = client.request(zone, command)
    until = time.monotonic() + _PATIENCE
    while (missing := lacking(command, after)) is not None and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN)
        after = client.zone(zone)
    now = int(time.time())
    if missing is None:
        click.echo(done(command, after, now))
    else:
        click.echo(f"Accepted, not finished: {missing}: {why_not(command, after)}")
    if (warning := unchecked(command, after)) is not None:
        click.echo(f"signwright: {warning}", err=True)
    return after


def lacking(command: Command, zone: ZoneReport) -> str | None:
    """What is unfinished of a command that was accepted; `None` if it is done."""
    keys, ksk, subject = zone.keys, _ksk(command, zone), _subject(command, zone)
    match command:
        case CreateKsk() | ActivateKsk() if ksk is not None:
            return _lacking_ksk(command, zone, ksk)
        case DeactivateKsk() if ksk is not None and ksk.published is not None:
            return f"{subject} is {ksk.status.value}, but still in the DNSKEY RRset"
        case DeleteKsk() if ksk is not None:
            return f"{subject} is {ksk.status.value}, not deleted yet"
        case WithdrawDs() if ksk is not None and ksk.ds_named and _is_taken_up(zone) and not _is_above(ksk, zone):
            return f"the parent still had the DS of {subject} at the last check"
        case EnableSigning() if keys is not None and keys.valid_until is None:
            return f"{zone.origin} is not signed yet"
        case TrustClock() if keys is not None and keys.condition is Condition.FROZEN:
            return f"the keys of {zone.origin} are still frozen"
    return None


def _lacking_ksk(command: CreateKsk | ActivateKsk, zone: ZoneReport, ksk: KskReport) -> str | None:
    """What a KSK lacks to exist or to sign."""
    subject = _subject(command, zone)
    if ksk.ds is None:
        return f"{subject} has no key in the KMS yet"
    if ksk.status is KskStatus.INACTIVE and isinstance(command, CreateKsk):
        return None
    if ksk.status is not KskStatus.ACTIVE:
        return f"{subject} is {ksk.status.value}"
    if ksk.trouble is not None:
        return f"{subject} can't sign"
    signing = zone.keys is not None and zone.keys.signing
    return f"{subject} is not in the DNSKEY RRset yet" if signing and ksk.ready is None else None


def done(command: Command, zone: ZoneReport, now: int) -> str:
    """The result of a command that is done."""
    ksk, subject = _ksk(command, zone), _subject(command, zone)
    match command:
        case WithdrawDs() if ksk is not None:
            return f"The DS of {subject} {_withdrawn(zone, ksk, now)}"
        case OfferDs() if _is_taken_up(zone):
            return f"The DS of {subject} {_about_ds(command, zone, now) or 'is offered again'}"
        case OfferDs():
            return f"The DS of {subject} {_elsewhere(zone)} must add it"
        case CreateKsk() | ActivateKsk() if ksk is not None:
            about = _about_ds(command, zone, now)
            return f"{subject} is {ksk.status.value}" + (f"; its DS {about}" if about is not None else "")
    if subject is not None:
        return f"{subject} is {ksk.status.value}" if ksk is not None else f"{subject} is deleted"
    return f"{zone.origin} is {zone.keys.condition.value}" if zone.keys is not None else f"{zone.origin} has no keys"


def unchecked(command: Command, zone: ZoneReport) -> str | None:
    """The warning for a removal that was not checked at the parent; `None` if there is none."""
    match command:
        case DeactivateKsk(force=force) | DeleteKsk(force=force):
            risk = "if the DS there, or in a cache, names no other KSK of the zone, the zone is bogus to validators"
        case DisableSigning(force=force):
            risk = "if the zone has a DS there, or in a cache, the zone is bogus to validators"
        case _:
            return None
    if force:
        return f"the parent was not checked, because of --force: {risk}"
    if zone.parent == "none":
        return f"the parent was not checked, because none is known (set parent to name its servers): {risk}"
    return None


def _ksk(command: Command, zone: ZoneReport) -> KskReport | None:
    """The KSK that a command is about, where it is about one that is there."""
    name = getattr(command, "name", None)
    return next((ksk for ksk in zone.keys.ksks if ksk.name == name), None) if zone.keys is not None else None


def _subject(command: Command, zone: ZoneReport) -> str | None:
    """The KSK's name and its zone's, where a command is about one."""
    name = getattr(command, "name", None)
    return f"{name} of {zone.origin}" if name is not None else None


def why_not(command: Command, zone: ZoneReport) -> str:
    """Why something is not done yet, as far as is known."""
    ksk, keys = _ksk(command, zone), zone.keys
    if ksk is not None and ksk.trouble is not None:
        return trouble_text(zone, ksk)
    if keys is not None:
        unable = [other.name for other in keys.ksks if other.status is KskStatus.ACTION_NEEDED]
        if unable:
            return f"the DNSKEY RRset cannot change while {', '.join(unable)} can't sign"
        if keys.problem is not None:
            return keys.problem
    return "in progress; follow it with signwright status"


def _is_taken_up(zone: ZoneReport) -> bool:
    """Whether a parent that is served here has the zone's DS records by itself."""
    return zone.above is not None and zone.above.delegates and zone.above.by_itself


def _is_above(ksk: KskReport, zone: ZoneReport) -> bool:
    """Whether the zone above that is served here has the KSK's DS."""
    return zone.above is not None and any(line.endswith(f" DS {ksk.ds}") for line in zone.above.ds)


def _elsewhere(zone: ZoneReport) -> str:
    """Who has to do with the DS, where no parent here has it by itself."""
    if zone.above is None or not zone.above.delegates:
        return f"is not managed here, because this server has no signed parent of {zone.origin}: the parent"
    return f"is managed by hand, because {zone.origin} is a hosted zone: the operator of {zone.above.origin}"


def _withdrawn(zone: ZoneReport, ksk: KskReport, now: int) -> str:
    above = zone.above
    if above is None or not _is_taken_up(zone):
        return f"{_elsewhere(zone)} must remove it"
    if _is_above(ksk, zone):
        return f"is in the zone file of {above.origin}: remove it there"
    since = f"; the KSK may be removed from {earliest(ksk.removable, now)}" if ksk.removable is not None else ""
    return f"has been removed from {above.origin}{since}"


def _about_ds(command: Command, zone: ZoneReport, now: int) -> str | None:
    ksk = _ksk(command, zone)
    record = next((one for one in ds_report(zone).records if ksk is not None and one.ksk == ksk.name), None)
    return about_ds(record, zone.above, now) if record is not None else None
