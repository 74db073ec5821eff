"""The bars of KSKs: their statuses from the event log and the keyring, and the slots for which they sign DNSKEY RRsets.

A keyring keeps when the status of a present KSK last changed; its earlier statuses, and all of one that is gone, are in
the log alone. Which slots were signed in the past follows from when the KMS signed.
"""

from __future__ import annotations

from collections.abc import Sequence

from keys.dnssec.signing_policy import Policy
from keys.rules.bars import PLANNED, SERVED, STORED, Row, Slot, Span, spans, unpublished, unsigned
from keys.rules.events import Entry
from keys.rules.keyring import Keyring, Ksk, KskStatus
from keys.rules.log_text import INACTIVE, ksk_of

MADE, PUBLISHED = "made", "published"
_ACTIVE, _INACTIVE, _NEEDS_ACTION = KskStatus.ACTIVE.value, KskStatus.INACTIVE.value, KskStatus.ACTION_NEEDED.value
_CHANGES = {
    "KskActivated": _ACTIVE,
    "KskRecovered": _ACTIVE,
    "KskDeactivated": _INACTIVE,
    "KskDeleting": KskStatus.DELETING.value,
    "KskNeedsAction": _NEEDS_ACTION,
    "KskDeleted": "",
}


def ksk_rows(
    keyrings: Sequence[tuple[int, Keyring]], policy: Policy, past: Sequence[Entry], now: int, until: int
) -> list[Row]:
    """A row for each KSK. `keyrings` are the present one, and what the forecast makes of it; `past` is the log."""
    keyring = keyrings[0][1]
    ahead = [(at, later) for at, later in keyrings if at >= now]
    names = dict.fromkeys([*_names(past), *(ksk.name for _, later in ahead for ksk in later.ksks)])
    signed = [entry.at for entry in past if entry.kind == "KeysetSigned"]
    gaps = unsigned(past, keyrings, until)
    rows = []
    for name in names:
        present = next((ksk for ksk in keyring.ksks if ksk.name == name), None)
        phases = [*_phases(_statuses(name, past, present), present, gaps), *_to_come(name, ahead)]
        bars = _in_gaps(spans(phases, until), gaps)
        slots = {
            **_slots_ahead(name, ahead),
            **_slots_of(name, keyring, STORED),
            **_slots_past(signed, bars, policy, now),
        }
        tag = present.key_tag if present is not None and present.public_key is not None else None
        rows.append(Row(f"KSK {name}", tag, bars, tuple(sorted(slots.values(), key=lambda slot: slot.start))))
    return rows


def _in_gaps(bars: Sequence[Span], gaps: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    """What is ACTIVE or in ACTION_NEEDED while signing is disabled is only there."""
    found: list[Span] = []
    for bar in bars:
        signs = bar.phase in (_ACTIVE, PUBLISHED, _NEEDS_ACTION)
        found += unpublished([bar], gaps, MADE) if signs else [bar]
    return unpublished(found, (), MADE)


def _names(past: Sequence[Entry]) -> list[str]:
    return [ksk_of(entry.kind, entry.reason) for entry in past if entry.kind == "KskIntended" or entry.kind in _CHANGES]


def _statuses(name: str, past: Sequence[Entry], present: Ksk | None) -> list[tuple[int, str]]:
    """The statuses that a KSK had, each with its beginning; "" where it was not there."""
    found: list[tuple[int, str]] = []
    for entry in past:
        if not entry.kind.startswith("Ksk") or ksk_of(entry.kind, entry.reason) != name:
            continue
        match entry.kind:
            case "KskIntended":
                found.append((entry.at, _INACTIVE if entry.reason.endswith(INACTIVE) else _ACTIVE))
            case kind if kind in _CHANGES:
                if not found:
                    # The log begins later than the KSK did.
                    found.append((past[0].at if present is None else min(present.intended, past[0].at), _ACTIVE))
                found.append((entry.at, _CHANGES[kind]))
            case "KskCreated" | "KskLearned" if found and found[-1][1] == _NEEDS_ACTION:
                found.append((entry.at, _ACTIVE))
    if present is not None:
        # What the keyring says counts, also where the log has no line of it.
        since = present.changed if present.changed is not None else present.intended
        found = [*((at, status) for at, status in found if at < since), (since, present.status.value)]
        if present.intended < found[0][0]:
            found.insert(0, (present.intended, _ACTIVE))
    return found


def _phases(
    statuses: list[tuple[int, str]], present: Ksk | None, gaps: Sequence[tuple[int, int]]
) -> list[tuple[int, str]]:
    """The statuses, and where the KSK is ACTIVE and there now, its way into every cache."""
    if present is None or statuses[-1][1] != _ACTIVE:
        return statuses
    # Where signing was disabled since, it was on its way once before.
    at = max([statuses[-1][0], *(start for start, _ in gaps)])
    found = statuses if at > statuses[-1][0] else statuses[:-1]
    if present.published is None:
        return [*found, (at, MADE)]
    if present.published > at:
        found = [*found, (at, MADE)]
    ready = present.ready
    if ready is None or ready > max(present.published, at):
        found = [*found, (max(present.published, at), PUBLISHED)]
    if ready is not None:
        found = [*found, (max(ready, at), _ACTIVE)]
    return found


def _to_come(name: str, ahead: Sequence[tuple[int, Keyring]]) -> list[tuple[int, str]]:
    """What the forecast changes."""
    found: list[tuple[int, str]] = []
    before = ""
    for index, (at, keyring) in enumerate(ahead):
        ksk = next((ksk for ksk in keyring.ksks if ksk.name == name), None)
        status = "" if ksk is None else ksk.status.value
        if ksk is not None and status == _ACTIVE and (ksk.published is None or ksk.ready is None):
            status = MADE if ksk.published is None else PUBLISHED
        if index and status != before:
            found.append((max(at, ksk.ready or 0) if ksk is not None and status == _ACTIVE else at, status))
        before = status
    return found


# --- slots


def _slots_ahead(name: str, ahead: Sequence[tuple[int, Keyring]]) -> dict[int, Slot]:
    found: dict[int, Slot] = {}
    for _, keyring in ahead[1:]:
        found |= _slots_of(name, keyring, PLANNED)
    return found


def _slots_of(name: str, keyring: Keyring, state: str) -> dict[int, Slot]:
    ksk = next((ksk for ksk in keyring.ksks if ksk.name == name), None)
    if ksk is None or ksk.public_key is None or keyring.keyset is None:
        return {}
    return {s.start: Slot(s.start, s.end, state) for s in keyring.keyset.signatures if s.ksk == ksk.rdata}


def _slots_past(signed: Sequence[int], bars: Sequence[Span], policy: Policy, now: int) -> dict[int, Slot]:
    """The slots that have begun: signed at a refresh in or before them, while the KSK was one that signs."""
    found: dict[int, Slot] = {}
    for at in signed:
        if not any(bar.start <= at < bar.end and bar.phase in (_ACTIVE, PUBLISHED) for bar in bars):
            continue
        first = at - at % policy.slot
        for start in range(first, min(first + policy.slots * policy.slot, now), policy.slot):
            found[start] = Slot(start, start + policy.slot, SERVED)
    # A slot is served as long as its key is there.
    there = [bar for bar in bars if bar.phase not in (_INACTIVE, MADE)]
    return {at: slot for at, slot in found.items() if any(s.start < slot.end and slot.start < s.end for s in there)}
