"""The keys of a zone through made-up months: the real plan and transitions, and a KMS that does as asked or refuses."""

from __future__ import annotations

from collections.abc import Sequence

from keys.custody.key_event_log import entries
from keys.dnssec.signing_policy import Policy
from keys.rules.events import Entry, Event, KmsFailed, KskRecovered, LearnKsk, MakeKsk, Observed, ProbeKsk, SignKeyset
from keys.rules.forecast import succeeded
from keys.rules.keyring import Keyring
from keys.rules.next_action import plan
from keys.rules.safety import assert_safe
from keys.rules.transitions import evolve

START = 1_767_225_600  # 2026-01-01 00:00:00 UTC
DAY = 86400
ORIGIN = b"\x03lab\x07example\x00"


def history(
    until: int,
    asked: Sequence[tuple[int, Event]] = (),
    refused: Sequence[tuple[str, int, int]] = (),
    policy: Policy | None = None,
) -> tuple[Keyring, list[Entry]]:
    """The keyring at `until` and its event log. `asked`: events and when; `refused`: KSKs, and from when to when."""
    policy = policy or Policy()
    keyring = Keyring(ORIGIN, "Z" + "A" * 20)
    log: list[Entry] = []
    now = START
    first = Observed(START, 3600, policy.window, policy.propagation, settled=True)
    waiting = sorted([(START, first), *asked], key=lambda item: item[0])

    def happen(event: Event, why: str) -> None:
        nonlocal keyring
        after = evolve(keyring, event)
        assert_safe(keyring, after)
        log.extend(entries([event], why, keyring, after))
        keyring = after

    while now < until:
        while waiting and waiting[0][0] <= now:
            happen(waiting.pop(0)[1], "asked for")
        step = plan(keyring, policy, now)
        if step.action is None:
            coming = [step.wake_at or until, *(at for at, _ in waiting[:1]), until]
            now = max(now + 1, min(coming))
            continue
        wrong = [name for name, start, end in refused if start <= now < end]
        if isinstance(step.action, SignKeyset) and any(k.name in wrong for k in keyring.signing_ksks):
            name = next(k.name for k in keyring.signing_ksks if k.name in wrong)
            happen(KmsFailed(now, name, "Sign", "DisabledException", "it is disabled", "r-1", True), step.action.why)
        elif isinstance(step.action, ProbeKsk) and step.action.name in wrong:
            happen(KmsFailed(now, step.action.name, "Sign", "DisabledException", "no", "r-2", True), step.action.why)
        elif isinstance(step.action, ProbeKsk):
            happen(KskRecovered(now, step.action.name, "r-3"), step.action.why)
        elif isinstance(step.action, MakeKsk | LearnKsk) and step.action.name in wrong:
            raise AssertionError("a KSK that can't be made is not part of these stories")
        else:
            happen(succeeded(step.action, keyring, policy, now), step.action.why)
    return keyring, log
