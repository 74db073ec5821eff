"""Whether the KMS would sign, asked between two refreshes: when, about which KSKs, and what follows from an answer.

A key that was disabled, or a permission that was lost, would else be found only when the next refresh asks for
signatures. A probe changes no key. Only a signature that failed has a KSK need action, which suspends ZSK rotation: a
probe may be refused where a signature would not be, and until the next refresh nothing is lost. So what it finds is a
warning, is never durable, and is over once a probe or a signature succeeds.
"""

from __future__ import annotations

from typing import NamedTuple

from keys.dnssec.signing_policy import Policy
from keys.rules.events import KmsProbeFailed, KmsProbeSucceeded
from keys.rules.jitter import jitter
from keys.rules.keyring import Keyring, Ksk, Trouble
from keys.rules.next_action import retry_delay
from keys.rules.transitions import trouble_after

PROBES_A_REFRESH = 4
PROBING = "Sign with DryRun"
"""What failed, as people read it."""


class Probed(NamedTuple):
    """What the latest probe of a KSK came to."""

    at: int
    trouble: Trouble | None = None
    """Why it failed, if it did."""


def probed_ksks(keyring: Keyring) -> tuple[Ksk, ...]:
    """The KSKs of which nothing is known but that they signed last time: of others, real signatures are asked for."""
    if not keyring.signing or keyring.keyset is None:
        return ()
    return tuple(ksk for ksk in keyring.signing_ksks if ksk.trouble is None and ksk.arn is not None)


def next_probe(origin: bytes, after: int, policy: Policy) -> int:
    """The first of the zone's probe times after `after`: a quarter of a refresh apart, spread over zones by a hash."""
    interval = max(1, policy.refresh // PROBES_A_REFRESH)
    phase = jitter(origin, "probe", interval)
    return ((after - phase) // interval + 1) * interval + phase


def first_probe(keyring: Keyring, policy: Policy, now: int) -> int:
    """When to probe first in a life of the process, which knows nothing of earlier probes: within `policy.probe`,
    unless the KMS has signed lately.
    """
    regular = next_probe(keyring.origin, now, policy)
    refreshed = keyring.refreshed
    if refreshed is not None and refreshed <= now < refreshed + policy.refresh // PROBES_A_REFRESH:
        return regular
    return min(regular, now + 1 + jitter(keyring.origin, "first probe", policy.probe))


def probe_at(origin: bytes, probed: Probed, policy: Policy, now: int) -> int:
    """When to probe a KSK again: as `next_probe`, and sooner after a failure.

    One that may be over by itself is tried again like any other call until it has lasted for `patience`; what has
    lasted, or needs a person, is looked at each `policy.probe`, as with a KSK in ACTION_NEEDED.
    """
    if probed.at > now:
        return now  # of a clock that was set back
    regular, trouble = next_probe(origin, probed.at, policy), probed.trouble
    if trouble is None:
        return regular
    again = policy.probe if is_lasting(trouble, policy) else retry_delay(origin, trouble.attempts, policy)
    return min(regular, trouble.at + again)


def is_lasting(trouble: Trouble, policy: Policy) -> bool:
    """Whether people should know: a person must mend it, or the KMS has been unavailable for `patience`."""
    return trouble.refused or trouble.at >= trouble.since + policy.patience


def after_probe(before: Probed | None, event: KmsProbeFailed | KmsProbeSucceeded) -> Probed:
    """What is known of a KSK after a probe."""
    if isinstance(event, KmsProbeSucceeded):
        return Probed(event.at)
    return Probed(event.at, trouble_after(before.trouble if before is not None else None, event))


def is_news(before: Probed | None, after: Probed, policy: Policy) -> bool:
    """Whether a probe tells people something else than the one before it did."""
    return _told(before, policy) != _told(after, policy)


def _told(probed: Probed | None, policy: Policy) -> str | None:
    trouble = probed.trouble if probed is not None else None
    return trouble.code if trouble is not None and is_lasting(trouble, policy) else None
