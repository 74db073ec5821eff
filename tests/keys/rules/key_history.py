"""The keys of a zone through made-up months: the real plan and transitions, and a KMS that does as asked or refuses."""

from __future__ import annotations

from collections.abc import Sequence

from keys.custody.telling import entries
from keys.dnssec.model import Policy
from keys.rules.events import Entry, Event, KmsFailed, KskRecovered, LearnKsk, MakeKsk, Observed, ProbeKsk, SignKeyset
from keys.rules.forecast import succeeded
from keys.rules.lifecycle import plan
from keys.rules.ring import Ring
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
) -> tuple[Ring, list[Entry]]:
    """The ring at `until` and its event log. `asked`: events and when; `refused`: KSKs, and from when to when."""
    policy = policy or Policy()
    ring = Ring(ORIGIN, "Z" + "A" * 20)
    log: list[Entry] = []
    now = START
    first = Observed(START, 3600, policy.window, policy.propagation, settled=True)
    waiting = sorted([(START, first), *asked], key=lambda item: item[0])

    def happen(event: Event, why: str) -> None:
        nonlocal ring
        after = evolve(ring, event)
        assert_safe(ring, after)
        log.extend(entries([event], why, ring, after))
        ring = after

    while now < until:
        while waiting and waiting[0][0] <= now:
            happen(waiting.pop(0)[1], "asked for")
        step = plan(ring, policy, now)
        if step.action is None:
            coming = [step.wake_at or until, *(at for at, _ in waiting[:1]), until]
            now = max(now + 1, min(coming))
            continue
        wrong = [name for name, start, end in refused if start <= now < end]
        if isinstance(step.action, SignKeyset) and any(k.name in wrong for k in ring.signing_ksks):
            name = next(k.name for k in ring.signing_ksks if k.name in wrong)
            happen(KmsFailed(now, name, "Sign", "DisabledException", "it is disabled", "r-1", True), step.action.why)
        elif isinstance(step.action, ProbeKsk) and step.action.name in wrong:
            happen(KmsFailed(now, step.action.name, "Sign", "DisabledException", "no", "r-2", True), step.action.why)
        elif isinstance(step.action, ProbeKsk):
            happen(KskRecovered(now, step.action.name, "r-3"), step.action.why)
        elif isinstance(step.action, MakeKsk | LearnKsk) and step.action.name in wrong:
            raise AssertionError("a KSK that can't be made is not part of these stories")
        else:
            happen(succeeded(step.action, ring, policy, now), step.action.why)
    return ring, log
