"""How a zone's keys are, as one value to show and to watch: derived from the keyring, never stored."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Self

import msgspec

from keys.dnssec.ds import ds_rdata, ds_text
from keys.dnssec.name_text import to_text
from keys.dnssec.signing_policy import Policy
from keys.rules.keyring import Keyring, Ksk, KskStatus, Trouble, Zsk, ZskPhase, zsk_phase
from keys.rules.kms_probes import Probed, is_lasting, probed_ksks
from keys.rules.moments import told
from keys.rules.next_action import plan
from keys.rules.parent_report import UNWATCHED, DsState, ParentLook, ParentReport, is_foreign, parent_report
from keys.rules.zsk_rollover_times import activation_at, removable_at, rollover_at, suspended


class Condition(enum.Enum):
    """A zone's keys in one word, from well to worst."""

    SIGNING = "signing"
    STARTING = "starting"
    """Not signed yet, and nothing has failed."""
    TROUBLED = "troubled"
    """Served and valid, or not signed yet, but something fails that has to be mended before `valid_until`."""
    FAILING = "failing"
    """No valid keyset, so answers are SERVFAIL; or a DS that names no key here, so validators find them bogus."""
    UNSIGNED = "unsigned"
    """Signing is disabled."""
    FROZEN = "frozen"
    """A bug, a clock that is wrong, or a state that can't be used: what is published stays, and nothing changes."""


CLOCK_WRONG = "the clock is wrong"
"""How a problem begins that freezes keys until the clock is right, or trusted."""


class StatusChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person may want to be told: the zone's condition, or the status of one KSK, is another now."""

    at: int
    ksk: str | None
    """The KSK's name; `None`: it is about the zone."""
    before: str
    after: str
    reason: str | None
    about: str = "status"
    """What it is that has changed: "status", or of the zone "parent_ds" (`DsState`) and "parent_ns" ("same" or
    "differs").
    """


def ignore(zone: str, change: StatusChange) -> None:
    """Tells nobody."""


class KskReport(msgspec.Struct, frozen=True, kw_only=True):
    """One KSK."""

    name: str
    status: KskStatus
    arn: str | None
    key_tag: int | None
    ds: str | None
    """Its DS rdata as text."""
    published: int | None
    ready: int | None
    """From when on the parent may hold its DS."""
    valid_until: int | None
    """Its runway: the expiration of the last of its stored RRSIGs; `None` where none is valid now."""
    trouble: Trouble | None
    message: str | None = None
    """Why it is not ACTIVE, and since when."""
    created: int | None = None
    changed: int | None = None
    """When its status last changed."""
    ds_named: bool = False
    """Whether the parent's DS named it when last looked at."""
    removable: int | None = None
    """From when on it may be removed, as far as the parent's DS goes; `None` while the DS names it or never did."""
    withdrawn: int | None = None
    """When the DS of a parent served here was told to drop it, if it was."""
    probed: int | None = None
    """When the KMS was last asked whether it would sign, since it last signed; `None`: not in this life of the process.
    """
    probe_trouble: Trouble | None = None
    """Why it would not, if that was its answer (`kms_probes`)."""


class ZskReport(msgspec.Struct, frozen=True, kw_only=True):
    """One ZSK."""

    sequence: int
    key_tag: int
    phase: ZskPhase
    generated: int
    published: int | None
    activated: int | None
    ready: int | None = None
    """When it may sign."""
    retired: int | None = None
    removable: int | None = None
    """When no cache holds what it signed."""
    lost: int | None = None
    """When its private key was said to be lost or known to others."""


class ZoneStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one zone at one moment; times are seconds since the epoch."""

    zone: str
    hosted_zone_id: str
    condition: Condition
    problem: str | None
    """Why the condition is not better."""
    notice: str | None
    """What a person should know though nothing is wrong."""
    valid_until: int | None
    """When the zone turns bogus if no KMS signs from now on; `None` while it answers SERVFAIL for want of an RRSIG."""
    refreshed: int | None
    next_action: str | None
    next_why: str | None
    next_at: int | None
    """`None`: now."""
    ksks: tuple[KskReport, ...]
    zsks: tuple[ZskReport, ...]
    signing: bool = True
    """Whether signing is enabled."""
    safe_until: int | None = None
    """Until when a validator finds a KSK that the DS may name, if no KMS signs from now on: never later than
    `valid_until`, and earlier where one KSK can't sign while the other one goes on.
    """
    suspended_since: int | None = None
    """Since when ZSK rotation stands still, because a KSK is in ACTION_NEEDED."""
    rollover: str | None = None
    """What the ZSK rollover waits for."""
    rollover_at: int | None = None
    """When that will be, as far as is known."""
    parent_checked: int | None = None
    unsigned_since: int | None = None
    """When the zone was first served unsigned here; `None`: never."""
    is_served_unsigned: bool = False
    """Whether it is now: signing is disabled, or its first keyset is not out yet."""
    ds_wait: str | None = None
    """Before when the parent's DS must not name a KSK that is signed with, in words; `None` where nothing waits."""
    foreign_ds: tuple[str, ...] = ()
    """The parent's DS records that name no KSK of this zone, as text, when last looked at."""
    parent_ds: ParentReport = UNWATCHED
    """What the parent zone has of this zone."""


def describe(
    keyring: Keyring,
    policy: Policy,
    now: int,
    ksk_arn: str | None,
    problem: str | None,
    frozen: bool,
    unheeded: str | None = None,
    look: ParentLook | None = None,
    probed: Mapping[str, Probed] = MappingProxyType({}),
) -> ZoneStatus:
    """The status of a zone, whatever its keyring holds: it raises nothing, so that one zone hides no other.

    `problem` is what the key manager knows of troubles beside the KMS's; `unheeded` is why it does not have the zone
    served unsigned, as the configuration says; `look` is what was last seen at the parent, if anybody looks; `probed`
    is what came of asking the KMS whether it would sign with each KSK.
    """
    try:
        return _described(keyring, policy, now, ksk_arn, problem, frozen, unheeded, look, probed)
    except Exception as error:  # a stored value that nobody expects
        why = f"its stored keys can't be shown ({type(error).__name__}: {error})"
        return _unreadable(keyring, f"{problem}; {why}" if problem is not None else why)


def _unreadable(keyring: Keyring, problem: str) -> ZoneStatus:
    return ZoneStatus(
        zone=to_text(keyring.origin),
        hosted_zone_id=keyring.hosted_zone_id,
        condition=Condition.FROZEN,
        problem=problem,
        notice=None,
        valid_until=None,
        refreshed=None,
        next_action=None,
        next_why=None,
        next_at=None,
        ksks=(),
        zsks=(),
        signing=keyring.signing,
        is_served_unsigned=keyring.served_unsigned,
    )


def _described(
    keyring: Keyring,
    policy: Policy,
    now: int,
    ksk_arn: str | None,
    problem: str | None,
    frozen: bool,
    unheeded: str | None,
    look: ParentLook | None,
    probed: Mapping[str, Probed],
) -> ZoneStatus:
    keyset = keyring.keyset
    ksks = tuple(_ksk(keyring, ksk, now, frozen, probed.get(ksk.name), policy) for ksk in keyring.ksks)
    troubles = [ksk.trouble for ksk in keyring.ksks if ksk.trouble is not None]
    if problem is None and troubles:
        worst = max(troubles, key=lambda trouble: trouble.refused)
        problem = f"{worst.doing}: {worst.code}: {worst.message}"
        if keyring.needing_action:
            problem += "; ZSK rotation is suspended"
    problem = problem or _foreign_ds(keyring) or _probe_problem(ksks)
    rollover, rollover_due = _rollover(keyring, policy, now)
    upcoming = None if frozen else plan(keyring, policy, now, ksk_arn).upcoming
    return ZoneStatus(
        zone=to_text(keyring.origin),
        hosted_zone_id=keyring.hosted_zone_id,
        condition=_condition(keyring, now, problem, frozen),
        problem=problem,
        notice=_notice(keyring, ksk_arn, unheeded),
        valid_until=keyset.valid_until(now) if keyset else None,
        refreshed=keyring.refreshed,
        next_action=type(upcoming.action).__name__ if upcoming else None,
        next_why=upcoming.action.why if upcoming else None,
        next_at=upcoming.at if upcoming and upcoming.at > now else None,
        ksks=ksks,
        zsks=tuple(_zsk(keyring, zsk, now) for zsk in keyring.zsks),
        signing=keyring.signing,
        safe_until=_safe_until(keyring, now),
        suspended_since=min((k.changed or 0 for k in keyring.needing_action), default=None),
        rollover=rollover,
        rollover_at=rollover_due,
        parent_checked=keyring.parent_checked,
        unsigned_since=keyring.unsigned_since,
        is_served_unsigned=keyring.served_unsigned,
        ds_wait=_ds_wait(keyring, now),
        foreign_ds=tuple(ds_text(rdata) for rdata in keyring.foreign_ds),
        parent_ds=parent_report(keyring, look, policy.parent_check, now),
    )


class Heard(NamedTuple):
    """What of a status the next one is compared with: thousands of zones have one each, and a whole status is 2 kB."""

    condition: Condition
    ksks: tuple[tuple[str, str], ...]
    """Name and status."""
    parent: tuple[str, str]
    """`DsState`, and whether the parent's NS RRset is the zone's."""

    @classmethod
    def of(cls, status: ZoneStatus) -> Self:
        """What is heard of a status."""
        ksks = tuple((ksk.name, ksk.status.value) for ksk in status.ksks)
        parent = status.parent_ds
        is_asked = parent.state is not DsState.UNKNOWN or parent.problem is not None
        state = parent.state.value if is_asked else _NOT_ASKED
        return cls(status.condition, ksks, (state, "differs" if parent.parent_ns else "same"))


_NOT_ASKED = "not asked"
"""The state of the parent's DS before the first look; what that look finds does not count as a change."""


def changes(before: Heard, after: ZoneStatus, at: int) -> list[StatusChange]:
    """What is to be told of the way from one status to another."""
    told = []
    if before.condition is not after.condition:
        words = before.condition.value, after.condition.value
        told.append(StatusChange(at=at, ksk=None, before=words[0], after=words[1], reason=after.problem))
    earlier = dict(before.ksks)
    later = {ksk.name: (ksk.status.value, ksk.message) for ksk in after.ksks}
    for name in {**earlier, **later}:
        was, (now, message) = earlier.get(name, "NONE"), later.get(name, ("NONE", None))
        if was != now:
            told.append(StatusChange(at=at, ksk=name, before=was, after=now, reason=message))
    for about, was, now in zip(("parent_ds", "parent_ns"), before.parent, Heard.of(after).parent, strict=True):
        if was != now and (was != _NOT_ASKED or after.parent_ds.state is DsState.FOREIGN):
            reason = _of_parent(after.parent_ds, about)
            told.append(StatusChange(at=at, ksk=None, before=was, after=now, reason=reason, about=about))
    return told


def _of_parent(parent: ParentReport, about: str) -> str:
    """What the parent has, in words."""
    if about == "parent_ns":
        if not parent.parent_ns:
            return "the parent's NS records are those of the zone"
        return f"the parent has {', '.join(parent.parent_ns)}; the zone has {', '.join(parent.zone_ns)}"
    match parent.state:
        case DsState.MATCHES:
            return "the parent's DS names a KSK that signs the zone"
        case DsState.FOREIGN:
            return f"the parent's DS names no KSK that signs the zone: {', '.join(parent.records)}"
        case DsState.ABSENT:
            return "the parent's DS is gone" if parent.is_gone else "the parent has no DS for the zone"
        case DsState.UNKNOWN:
            return parent.problem or "the parent was not asked yet"
        case DsState.UNWATCHED:
            return "no parent is known"


def _safe_until(keyring: Keyring, now: int) -> int | None:
    """Until the last KSK known to be named by the DS has no RRSIG left; where none is, until the first has none."""
    if keyring.keyset is None:
        return None
    keyset = keyring.keyset
    last: dict[bytes, int] = {}
    for signature in keyset.signatures:
        last[signature.ksk] = max(last.get(signature.ksk, 0), min(signature.expiration, now))
    last = {ksk: keyset.valid_until(now, ksk) or expired for ksk, expired in last.items()}
    named = [k for k in keyring.ksks if k.ds_named and k.public_key is not None]
    if named:
        return max(last.get(ksk.rdata, 0) for ksk in named)
    return min(last.values(), default=None)


def _rollover(keyring: Keyring, policy: Policy, now: int) -> tuple[str | None, int | None]:
    """What the ZSK rollover waits for, and until when."""
    if not keyring.signing or keyring.keyset is None:
        return None, None
    emergency = "emergency: " if keyring.active_zsk is not None and keyring.active_zsk.lost is not None else ""
    if suspended(keyring):
        names = ", ".join(ksk.name for ksk in keyring.needing_action)
        return f"{emergency}suspended until {names} can sign again", None
    successor = keyring.successor
    if successor is not None:
        if successor.published is None:
            return f"{emergency}ZSK {successor.sequence} will be published once every KSK has signed it", None
        at = activation_at(keyring)
        return f"{emergency}ZSK {successor.sequence} signs once every cache has it", at
    removing = [(at, zsk) for zsk in keyring.zsks if (at := removable_at(keyring, zsk)) is not None]
    start = rollover_at(keyring, policy)
    if start is not None:
        return start[1], start[0] if start[0] > now else None
    if removing:
        at, zsk = min(removing, key=lambda one: one[0])
        return f"ZSK {zsk.sequence} is removed once no cache holds its signatures", at
    return None, None


def _zsk(keyring: Keyring, zsk: Zsk, now: int) -> ZskReport:
    return ZskReport(
        sequence=zsk.sequence,
        key_tag=zsk.key_tag,
        phase=zsk_phase(zsk, now),
        generated=zsk.generated,
        published=zsk.published,
        activated=zsk.activated,
        ready=zsk.ready,
        retired=zsk.retired,
        removable=removable_at(keyring, zsk),
        lost=zsk.lost,
    )


def _condition(keyring: Keyring, now: int, problem: str | None, frozen: bool) -> Condition:
    if frozen:
        return Condition.FROZEN
    if is_foreign(keyring):
        return Condition.FAILING
    if not keyring.signing:
        return Condition.UNSIGNED
    if keyring.served_unsigned:
        return Condition.TROUBLED if problem else Condition.STARTING
    if keyring.keyset is None or keyring.keyset.served(now) is None:
        return Condition.FAILING if problem or keyring.keyset else Condition.STARTING
    return Condition.TROUBLED if problem else Condition.SIGNING


def _ds_wait(keyring: Keyring, now: int) -> str | None:
    told = []
    for ksk in keyring.signing_ksks if keyring.signing else ():
        if ksk.ds_named or (ksk.ready is not None and ksk.ready <= now):
            continue
        if ksk.ready is not None:
            told.append(f"before {_moment(ksk.ready)} ({ksk.name})")
        elif ksk.published is None:
            told.append(f"before {ksk.name} is in the DNSKEY RRset and in every cache")
        else:
            told.append(f"before every server publishes {ksk.name} and every cache has it")
    return f"Do not add a DS record to the parent zone {'; '.join(told)}." if told else None


def _foreign_ds(keyring: Keyring) -> str | None:
    told = [ds_text(rdata) for rdata in keyring.foreign_ds]
    if not is_foreign(keyring):
        beside = "the parent also has DS records that name no KSK of this zone; remove them there"
        return f"foreign DS: {beside}: {', '.join(told)}" if told else None
    told += [ds_text(ds_rdata(keyring.origin, ksk.rdata)) for ksk in keyring.ksks if ksk.ds_named and ksk.public_key]
    why = "while the zone is served unsigned" if keyring.served_unsigned else "that name no KSK that signs this zone"
    effect = "so validators reject every answer of the zone as bogus"
    return f"foreign DS: the parent has DS records {why}, {effect}: {', '.join(told)}"


def _notice(keyring: Keyring, ksk_arn: str | None, unheeded: str | None) -> str | None:
    if unheeded is not None:
        zone = to_text(keyring.origin)
        return (
            f"the configuration says signed = false, but the zone stays signed: {unheeded} The server tries again when "
            f"that changes. To remove the DS from a parent served here: signwright ksk withdraw-ds {zone} NAME --force;"
            f" to disable signing whatever the parent has: signwright dnssec disable {zone} --force"
        )
    if keyring.signing and keyring.ksks and all(ksk.status in _RESTING for ksk in keyring.ksks):
        names = ", ".join(ksk.name for ksk in keyring.ksks)
        command = f"signwright ksk activate {to_text(keyring.origin)} NAME"
        return f"signing is enabled, but no KSK is ACTIVE; activate one: {command} ({names})"
    if ksk_arn is None or not keyring.ksks or any(ksk.arn == ksk_arn for ksk in keyring.ksks):
        return None
    return (
        f"the configuration names {ksk_arn}, but the zone uses another KSK and keeps it; "
        f"to change to the new one: signwright ksk create {to_text(keyring.origin)} NAME --arn {ksk_arn}"
    )


_RESTING = {KskStatus.INACTIVE, KskStatus.DELETING}


def _probe_problem(ksks: tuple[KskReport, ...]) -> str | None:
    for ksk in ksks:
        if (trouble := ksk.probe_trouble) is not None:
            return f"the next refresh would fail: {trouble.doing}: {trouble.code}: {trouble.message}"
    return None


def _ksk(keyring: Keyring, ksk: Ksk, now: int, frozen: bool, probed: Probed | None, policy: Policy) -> KskReport:
    known = ksk.public_key is not None
    if ksk not in probed_ksks(keyring):
        probed = None
    trouble = probed.trouble if probed is not None else None
    return KskReport(
        name=ksk.name,
        status=KskStatus.INTERNAL_FAILURE if frozen and ksk.status is KskStatus.ACTIVE else ksk.status,
        arn=ksk.arn,
        key_tag=ksk.key_tag if known else None,
        ds=ds_text(ds_rdata(keyring.origin, ksk.rdata)) if known else None,
        published=ksk.published,
        ready=ksk.ready,
        valid_until=keyring.keyset.valid_until(now, ksk.rdata) if keyring.keyset and known else None,
        trouble=ksk.trouble,
        message=_message(ksk, frozen),
        created=ksk.created,
        changed=ksk.changed,
        ds_named=ksk.ds_named,
        removable=None if ksk.ds_named else ksk.ds_until,
        withdrawn=ksk.withdrawn,
        probed=probed.at if probed is not None else None,
        probe_trouble=trouble if trouble is not None and is_lasting(trouble, policy) else None,
    )


def _message(ksk: Ksk, frozen: bool) -> str | None:
    if ksk.trouble is not None:
        trouble = ksk.trouble
        what = "fix the cause, then activate the KSK again" if trouble.refused else "the KMS is not available"
        return (
            f"{trouble.doing}: {trouble.code}: {trouble.message}"[:400] + f" (since {_moment(trouble.since)}): {what}"
        )
    if frozen and ksk.status is KskStatus.ACTIVE:
        return "the keys of this zone are frozen"
    return None


def _moment(at: int) -> str:
    return told(at, "%Y-%m-%d %H:%M:%S UTC")
