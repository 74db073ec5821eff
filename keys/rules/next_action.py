"""What to do next with a zone's keys.

`plan` looks at the keyring and the clock and names one action, or the time at which to look again. `evolve` turns the
keyring and an event into the next keyring; nothing else changes one. `assert_safe` compares the two and refuses what
could make a validator find a bogus answer. All are pure: the same arguments, the same answer, in every process.

The plan is a table of rules. Each says when its action is due, or that it has none. The first rule whose time has come
is the step, and after it the plan is made anew, so no rule needs to know what another one did. A rule that waits does
not keep those below it from acting.

The order is that of a first start: intend a KSK, have it made, learn its public key, make a ZSK, have the keyset
signed. The first ZSK signs from the moment its keyset is stored, since there is no older key whose signatures a cache
could hold; its successors wait (`rollover`). Before all that comes what is known of the past: that it is published, and
under which policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from keys.dnssec.signing_policy import Policy
from keys.rules.dnskey_refresh import next_refresh, stale, wanted_zsks
from keys.rules.events import (
    Action,
    ActivateZsk,
    ConfirmPublished,
    ForgetKsk,
    GenerateZsk,
    IntendKsk,
    LearnKsk,
    MakeKsk,
    ObservePolicy,
    ProbeKsk,
    SignKeyset,
)
from keys.rules.jitter import jitter
from keys.rules.keyring import Keyring, Ksk, KskStatus
from keys.rules.transitions import evolve
from keys.rules.zsk_rollover_times import activation_at, removals, rollover_at, suspended

__all__ = ["AT_ONCE", "RULES", "Due", "Step", "View", "evolve", "plan", "retry_delay"]

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
    """The next action as far as is known, for reports."""


class View(NamedTuple):
    """What a rule may look at."""

    keyring: Keyring
    policy: Policy
    now: int
    ksk_arn: str | None
    """The KSK that the configuration names."""


def plan(keyring: Keyring, policy: Policy, now: int, ksk_arn: str | None = None) -> Step:
    """The one action to perform at `now`, or the time at which to plan again."""
    view = View(keyring, policy, now, ksk_arn)
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


def _observe_policy(view: View) -> Due | None:
    keyring, policy = view.keyring, view.policy
    # What another server answered counts once, when the zone is first signed.
    first = not any(zsk.activated is not None for zsk in keyring.zsks)
    wanted = policy.window, policy.propagation, policy.earlier_ttl if first else keyring.earlier_ttl
    if (keyring.window, keyring.propagation, keyring.earlier_ttl) == wanted:
        return None
    return Due(AT_ONCE, ObservePolicy("policy recorded", *wanted))


def _confirm_published(view: View) -> Due | None:
    keyring = view.keyring
    if keyring.keyset is None or (keyring.unconfirmed is None and not keyring.superseding):
        return None
    if keyring.keyset.served(view.now) is None:
        return None  # nobody publishes that
    return Due(AT_ONCE, ConfirmPublished("the new keys are published"))


def _intend_ksk(view: View) -> Due | None:
    keyring, wanted = view.keyring, view.ksk_arn
    if not keyring.ksks:
        if not keyring.signing:
            return None
        why = "the configuration names the KSK" if wanted else "the zone has no KSK"
        return Due(AT_ONCE, IntendKsk(why, f"ksk_{keyring.ksks_intended + 1}", wanted))
    if len(keyring.ksks) > 1 or keyring.keyset is not None:
        return None
    for ksk in keyring.ksks:
        # As long as nothing was signed with it, the configuration may name another one, or none any more.
        if ksk.public_key is None and (ksk.arn != wanted if wanted else ksk.brought):
            return Due(AT_ONCE, IntendKsk("the configuration names another KSK", ksk.name, wanted))
    return None


def _make_ksk(view: View) -> Due | None:
    return _first(
        Due(_retry_at(view, ksk), MakeKsk("the KSK needs a KMS key", ksk.name))
        for ksk in view.keyring.ksks
        if ksk.arn is None and ksk.status is not KskStatus.DELETING
    )


def _learn_ksk(view: View) -> Due | None:
    return _first(
        Due(_retry_at(view, ksk), LearnKsk("the public key of the KSK is unknown", ksk.name))
        for ksk in view.keyring.ksks
        if ksk.arn is not None and ksk.public_key is None and ksk.status is not KskStatus.DELETING
    )


def _forget_ksk(view: View) -> Due | None:
    for ksk in view.keyring.ksks:
        if ksk.status is KskStatus.DELETING and ksk.published is None:
            return Due(AT_ONCE, ForgetKsk("a KSK was deleted", ksk.name))
    return None


def _generate_zsk(view: View) -> Due | None:
    keyring = view.keyring
    if not keyring.signing:
        return None
    number = keyring.zsks_generated + 1
    if all(zsk.removed is not None for zsk in keyring.zsks):
        return Due(AT_ONCE, GenerateZsk("the zone has no ZSK", number))
    start = rollover_at(keyring, view.policy)
    if suspended(keyring) or start is None:
        return None
    at, why = start
    return Due(at, GenerateZsk(why, number))


def _remove_zsk(view: View) -> Due | None:
    """Looks ahead; what is due is a change of the DNSKEY RRset like any other."""
    keyring = view.keyring
    ahead = [(at, zsk) for at, zsk in removals(keyring) if at > view.now]
    if not ahead or suspended(keyring) or not keyring.signing_ksks or keyring.keyset is None:
        return None
    at, zsk = min(ahead, key=lambda one: one[0])
    return Due(at, SignKeyset(f"no cache holds signatures of ZSK {zsk.sequence} any more: the DNSKEY RRset changes"))


def _sign_keyset(view: View) -> Due | None:
    keyring = view.keyring
    signing = keyring.signing_ksks
    if not keyring.signing or not signing or not wanted_zsks(keyring, view.now):
        return None
    why = stale(keyring, view.policy, view.now)
    if why is None and keyring.refreshed is not None:
        at, why = next_refresh(keyring.origin, keyring.refreshed, view.policy), "regular refresh"
    else:
        at, why = AT_ONCE, why or "the DNSKEY RRset was never refreshed"
    return Due(max(at, *(_retry_at(view, ksk) for ksk in signing)), SignKeyset(why))


def _activate_zsk(view: View) -> Due | None:
    keyring = view.keyring
    at, successor = activation_at(keyring), keyring.successor
    if at is None or successor is None or suspended(keyring) or keyring.keyset is None or not keyring.signing:
        return None
    return Due(at, ActivateZsk("every cached DNSKEY RRset contains the new ZSK", successor.sequence))


def _probe_ksk(view: View) -> Due | None:
    return _first(
        Due(_retry_at(view, ksk), ProbeKsk("check whether the KMS lets the KSK sign again", ksk.name))
        for ksk in view.keyring.needing_action
        if ksk.public_key is not None
    )


def _first(dues: Iterable[Due]) -> Due | None:
    return min(dues, key=lambda due: due.at, default=None)


RULES: tuple[Callable[[View], Due | None], ...] = (
    _observe_policy,
    _confirm_published,
    _intend_ksk,
    _make_ksk,
    _learn_ksk,
    _forget_ksk,
    _generate_zsk,
    _sign_keyset,
    _remove_zsk,
    _activate_zsk,
    _probe_ksk,
)


def retry_delay(origin: bytes, attempts: int, policy: Policy) -> int:
    """Seconds from the last of `attempts` failures to the next try: doubled each time, capped, and spread by a hash
    over the upper half, so that zones that failed together don't come back together.
    """
    if attempts <= 0:
        return 0
    longest = min(policy.retry_most, policy.retry << min(attempts - 1, 32))
    return longest - jitter(origin, f"retry/{attempts}", longest // 2 + 1)


def _retry_at(view: View, ksk: Ksk) -> int:
    trouble = ksk.trouble
    # A failure that lies in the future tells of a clock that was set back; it delays nothing.
    if trouble is None or trouble.at > view.now or trouble.attempts <= 0:
        return AT_ONCE
    if ksk.status is KskStatus.ACTION_NEEDED and view.keyring.keyset is not None:
        return trouble.at + view.policy.probe
    at = trouble.at + retry_delay(view.keyring.origin, trouble.attempts, view.policy)
    # The last try before patience ends is made when it ends.
    end = trouble.since + view.policy.patience
    return min(at, end) if ksk.status is KskStatus.ACTIVE and trouble.at < end else at
