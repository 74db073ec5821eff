"""Every transition of a zone's keys.

`plan` looks at the ring and the clock and names one action, or the time at which to look again. `evolve` turns the ring
and an event into the next ring; nothing else changes one. `assert_safe` compares the two and refuses what could make a
validator find a bogus answer. All are pure: the same arguments, the same answer, in every process.

The plan is a table of rules. Each says when its action is due, or that it has none. The first rule whose time has come
is the step, and after it the plan is made anew, so no rule needs to know what another one did. A rule that waits does
not keep those below it from acting.

The order is that of a first start: intend a KSK, have it made, learn its public key, make a ZSK, have the keyset
signed. The first ZSK signs from the moment its keyset is stored, since there is no older key whose signatures a cache
could hold (RFC 7583 §3.2.1 speaks of its successors).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from keys.events import (
    Action,
    CreateKsk,
    Event,
    GenerateZsk,
    IntendKsk,
    KeysetSigned,
    KmsFailed,
    KskCreated,
    KskIntended,
    KskLearned,
    LearnKsk,
    SignKeyset,
    TriedAgain,
    ZskGenerated,
)
from keys.model import Policy
from keys.refresh import next_refresh, spread, stale, wanted_zsks
from keys.ring import Ksk, KskStatus, Ring, Trouble, Zsk

AT_ONCE = 0
"""A time that has always come."""


class Due(NamedTuple):
    """An action and the time from which it is to be done."""

    at: int
    action: Action


class Step(NamedTuple):
    """What to do now, or when to plan again."""

    action: Action | None
    wake_at: int | None
    """When to plan again where there is nothing to do now; `None` if only an event from outside can change that."""
    upcoming: Due | None
    """The next action as far as is known, for whoever asks."""


class View(NamedTuple):
    """What a rule may look at."""

    ring: Ring
    policy: Policy
    now: int
    ksk_arn: str | None
    """The KSK that the configuration names."""


def plan(ring: Ring, policy: Policy, now: int, ksk_arn: str | None = None) -> Step:
    """The one action to perform at `now`, or the time at which to plan again."""
    view = View(ring, policy, now, ksk_arn)
    waiting: Due | None = None
    for rule in RULES:
        due = rule(view)
        if due is None:
            continue
        if due.at <= now:
            return Step(due.action, now, due)
        if waiting is None or due.at < waiting.at:
            waiting = due
    return Step(None, waiting.at if waiting else None, waiting)


# --- the rules, one for each action


def _intend_ksk(view: View) -> Due | None:
    ring, wanted = view.ring, view.ksk_arn
    if not ring.ksks:
        why = "the configuration names the KSK" if wanted else "the zone has no KSK"
        return Due(AT_ONCE, IntendKsk(why, f"ksk_{ring.ksks_intended + 1}", wanted))
    for ksk in ring.ksks:
        # As long as nothing was signed with it, the configuration may name another one, or none any more.
        if ksk.public_key is None and (ksk.arn != wanted if wanted else ksk.brought):
            return Due(AT_ONCE, IntendKsk("the configuration names another KSK", ksk.name, wanted))
    return None


def _create_ksk(view: View) -> Due | None:
    for ksk in view.ring.ksks:
        if ksk.arn is None:
            return Due(_retry_at(view, ksk), CreateKsk("a KSK is to be made", ksk.name))
    return None


def _learn_ksk(view: View) -> Due | None:
    for ksk in view.ring.ksks:
        if ksk.arn is not None and ksk.public_key is None:
            return Due(_retry_at(view, ksk), LearnKsk("the public key of the KSK is not known", ksk.name))
    return None


def _generate_zsk(view: View) -> Due | None:
    if wanted_zsks(view.ring):
        return None
    return Due(AT_ONCE, GenerateZsk("the zone has no ZSK", view.ring.zsks_generated + 1))


def _sign_keyset(view: View) -> Due | None:
    ring = view.ring
    signing = ring.signing_ksks
    if not signing or not wanted_zsks(ring):
        return None
    why = stale(ring, view.policy, view.now)
    if why is None and ring.refreshed is not None:
        at, why = next_refresh(ring.origin, ring.refreshed, view.policy), "regular refresh"
    else:
        at, why = AT_ONCE, why or "the zone was never refreshed"
    return Due(max(at, *(_retry_at(view, ksk) for ksk in signing)), SignKeyset(why))


RULES: tuple[Callable[[View], Due | None], ...] = (
    _intend_ksk,
    _create_ksk,
    _learn_ksk,
    _generate_zsk,
    _sign_keyset,
)


def retry_delay(origin: bytes, attempts: int, policy: Policy) -> int:
    """Seconds from the last of `attempts` failures to the next try: doubled each time, capped, and spread by a hash
    over the upper half, so that zones that failed together don't come back together.
    """
    if attempts == 0:
        return 0
    longest = min(policy.retry_most, policy.retry << min(attempts - 1, 32))
    return longest - spread(origin, f"retry/{attempts}", longest // 2 + 1)


def _retry_at(view: View, ksk: Ksk) -> int:
    trouble = ksk.trouble
    # A failure that lies in the future tells of a clock that was set back; it delays nothing.
    if trouble is None or trouble.at > view.now:
        return AT_ONCE
    return trouble.at + retry_delay(view.ring.origin, trouble.attempts, view.policy)


# --- the transitions, one for each event


def evolve(ring: Ring, event: Event) -> Ring:
    """The ring after `event`. Raises `TypeError` for an event that is not known here, `KeyError` for an unknown KSK."""
    match event:
        case KskIntended():
            return _ksk_intended(ring, event)
        case KskCreated():
            return _with_ksk(ring, replace(ring.ksk(event.name), arn=event.arn, created=event.at, trouble=None))
        case KskLearned():
            return _with_ksk(ring, replace(ring.ksk(event.name), public_key=event.public_key, trouble=None))
        case ZskGenerated():
            zsk = Zsk(event.sequence, event.public_key, event.at)
            return replace(ring, zsks=(*ring.zsks, zsk), zsks_generated=max(ring.zsks_generated, event.sequence))
        case KeysetSigned():
            return _keyset_signed(ring, event)
        case KmsFailed():
            ksk = ring.ksk(event.name)
            return _with_ksk(ring, replace(ksk, trouble=_failed(ksk.trouble, event)))
        case TriedAgain():
            return replace(ring, ksks=tuple(_without_delay(ksk) for ksk in ring.ksks))
        case _:
            raise TypeError(f"no transition for {type(event).__name__}")


def _with_ksk(ring: Ring, changed: Ksk) -> Ring:
    return replace(ring, ksks=tuple(changed if k.name == changed.name else k for k in ring.ksks))


def _ksk_intended(ring: Ring, event: KskIntended) -> Ring:
    ksk = Ksk(
        event.name,
        event.token,
        KskStatus.ACTIVE,
        event.at,
        brought=event.arn is not None,
        arn=event.arn,
        created=event.at if event.arn is not None else None,
        changed=event.at,
    )
    if any(k.name == event.name for k in ring.ksks):
        return _with_ksk(ring, ksk)
    return replace(ring, ksks=(*ring.ksks, ksk), ksks_intended=ring.ksks_intended + 1)


def _keyset_signed(ring: Ring, event: KeysetSigned) -> Ring:
    old, present = ring.keyset, set(event.keyset.rdatas)
    # Until `gone` a cache may hold an RRset that was served before this one.
    gone = event.at + event.propagation
    if old is not None:
        gone = max(ring.cached_until, gone + old.ttl)

    def ksk_after(ksk: Ksk) -> Ksk:
        if ksk.public_key is None or ksk.rdata not in present:
            return ksk
        if any(s.ksk == ksk.rdata for s in event.keyset.signatures):
            ksk = replace(ksk, trouble=None)
        return ksk if ksk.published is not None else replace(ksk, published=event.at, ready=gone)

    def zsk_after(zsk: Zsk) -> Zsk:
        if zsk.rdata in present:
            return zsk if zsk.published is not None else replace(zsk, published=event.at, ready=gone)
        if zsk.published is not None and zsk.removed is None:
            return replace(zsk, removed=event.at)
        return zsk

    zsks = [zsk_after(zsk) for zsk in ring.zsks]
    if not any(z.activated is not None for z in zsks):
        # Signing starts: there is no older key whose signatures a cache could hold.
        first = next(i for i, z in enumerate(zsks) if z.published is not None)
        zsks[first] = replace(zsks[first], activated=event.at)
    return replace(
        ring,
        ksks=tuple(ksk_after(ksk) for ksk in ring.ksks),
        zsks=tuple(zsks),
        keyset=event.keyset,
        refreshed=event.at,
        cached_until=gone if old is not None else ring.cached_until,
    )


def _failed(before: Trouble | None, event: KmsFailed) -> Trouble:
    since, attempts = (before.since, before.attempts) if before else (event.at, 0)
    return Trouble(
        event.doing,
        event.code,
        event.message,
        event.request_id,
        event.refused,
        since=since,
        at=event.at,
        attempts=attempts + 1,
    )


def _without_delay(ksk: Ksk) -> Ksk:
    return ksk if ksk.trouble is None else replace(ksk, trouble=replace(ksk.trouble, attempts=0))
