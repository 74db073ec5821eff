"""How a zone's keys are, as one value to show and to watch: derived from the ring, never stored."""

from __future__ import annotations

import enum

import msgspec

from keys.ds import ds_rdata, ds_text
from keys.lifecycle import plan
from keys.model import Policy
from keys.names import to_text
from keys.ring import Ksk, KskStatus, Ring, Trouble, ZskPhase, zsk_phase


class Condition(enum.Enum):
    """A zone's keys in one word, from well to worst."""

    SIGNING = "signing"
    STARTING = "starting"
    """Not signed yet, and nothing has failed."""
    TROUBLED = "troubled"
    """Served and valid, but something fails that has to be mended before `valid_until`."""
    FAILING = "failing"
    """No valid keyset: answers are SERVFAIL."""
    FROZEN = "frozen"
    """A bug, or a state that can't be used: what is published stays, and nothing changes any more."""


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
    """Its runway: the expiration of its last stored RRSIG."""
    trouble: Trouble | None


class ZskReport(msgspec.Struct, frozen=True, kw_only=True):
    """One ZSK."""

    sequence: int
    key_tag: int
    phase: ZskPhase
    generated: int
    published: int | None
    activated: int | None


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
    """When the zone turns bogus if no KMS signs from now on."""
    refreshed: int | None
    next_action: str | None
    next_why: str | None
    next_at: int | None
    """`None`: now."""
    ksks: tuple[KskReport, ...]
    zsks: tuple[ZskReport, ...]


def describe(
    ring: Ring, policy: Policy, now: int, ksk_arn: str | None, problem: str | None, frozen: bool
) -> ZoneStatus:
    """The status of a zone. `problem` is what the custodian knows of troubles beside the KMS's."""
    keyset = ring.keyset
    troubles = [ksk.trouble for ksk in ring.ksks if ksk.trouble is not None]
    if problem is None and troubles:
        worst = max(troubles, key=lambda trouble: trouble.refused)
        problem = f"{worst.doing}: {worst.code}: {worst.message}"
    upcoming = None if frozen else plan(ring, policy, now, ksk_arn).upcoming
    return ZoneStatus(
        zone=to_text(ring.origin),
        hosted_zone_id=ring.hosted_zone_id,
        condition=_condition(ring, now, problem, frozen),
        problem=problem,
        notice=_notice(ring, ksk_arn),
        valid_until=keyset.expiration if keyset else None,
        refreshed=ring.refreshed,
        next_action=type(upcoming.action).__name__ if upcoming else None,
        next_why=upcoming.action.why if upcoming else None,
        next_at=upcoming.at if upcoming and upcoming.at > now else None,
        ksks=tuple(_ksk(ring, ksk) for ksk in ring.ksks),
        zsks=tuple(
            ZskReport(
                sequence=zsk.sequence,
                key_tag=zsk.key_tag,
                phase=zsk_phase(zsk, now),
                generated=zsk.generated,
                published=zsk.published,
                activated=zsk.activated,
            )
            for zsk in ring.zsks
        ),
    )


def _condition(ring: Ring, now: int, problem: str | None, frozen: bool) -> Condition:
    if frozen:
        return Condition.FROZEN
    if ring.keyset is None or ring.keyset.served(now) is None:
        return Condition.FAILING if problem or ring.keyset else Condition.STARTING
    return Condition.TROUBLED if problem else Condition.SIGNING


def _notice(ring: Ring, ksk_arn: str | None) -> str | None:
    if ksk_arn is None or not ring.ksks or any(ksk.arn == ksk_arn for ksk in ring.ksks):
        return None
    return f"the configuration names {ksk_arn}, which is none of the zone's KSKs: a KSK in use is not replaced"


def _ksk(ring: Ring, ksk: Ksk) -> KskReport:
    known = ksk.public_key is not None
    signatures = ring.keyset.signatures if ring.keyset and known else ()
    return KskReport(
        name=ksk.name,
        status=ksk.status,
        arn=ksk.arn,
        key_tag=ksk.key_tag if known else None,
        ds=ds_text(ds_rdata(ring.origin, ksk.rdata)) if known else None,
        published=ksk.published,
        ready=ksk.ready,
        valid_until=max((s.expiration for s in signatures if s.ksk == ksk.rdata), default=None),
        trouble=ksk.trouble,
    )
