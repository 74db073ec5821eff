"""The keys of a zone over time, as bars: the past from the event log, the present from the keyring, the future from the
forecast. Values in, a value out; `picture` draws it.

A keyring keeps the times of its present keys; of those that went, and of the statuses that a KSK had, the log alone
tells. Which slots were signed in the past follows from when the KMS signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from keys.dnssec.name_text import to_text
from keys.dnssec.signing_policy import Policy
from keys.rules.events import Action, Entry
from keys.rules.keyring import Keyring, Ksk, KskStatus, Zsk, ZskPhase

SERVED, STORED, PLANNED = "served", "stored", "planned"
"""A slot's RRSIG was served, is stored for later, or is yet to be made."""

_ACTIVE, _INACTIVE = KskStatus.ACTIVE.value, KskStatus.INACTIVE.value
_CHANGES = {
    "KskActivated": _ACTIVE,
    "KskRecovered": _ACTIVE,
    "KskDeactivated": _INACTIVE,
    "KskDeleting": KskStatus.DELETING.value,
}


class Span(msgspec.Struct, frozen=True):
    """A phase of a key, from `start` until before `end`, in seconds since the epoch."""

    start: int
    end: int
    phase: str
    """Of a KSK: made, published, ACTIVE, INACTIVE, ACTION_NEEDED or DELETING; of a ZSK: `ZskPhase`."""


class Slot(msgspec.Struct, frozen=True):
    """One slot of which a KSK has signed, or will sign, the DNSKEY RRset."""

    start: int
    end: int
    state: str


class Row(msgspec.Struct, frozen=True):
    """One key."""

    name: str
    """`KSK ksk_1`, `ZSK 2`."""
    key_tag: int | None
    """`None` where it is not known: the key is gone, or yet to be made."""
    spans: tuple[Span, ...]
    slots: tuple[Slot, ...] = ()


class Timeline(msgspec.Struct, frozen=True):
    """The keys of one zone from `since` until before `until`."""

    zone: str
    since: int
    now: int
    until: int
    valid_until: int | None
    """When the zone turns bogus if no KMS signs from now on."""
    rows: tuple[Row, ...]


def timeline(
    keyring: Keyring,
    policy: Policy,
    past: Sequence[Entry],
    future: Iterable[tuple[int, Action, Keyring]],
    now: int,
    since: int,
    until: int,
) -> Timeline:
    """The timeline of `keyring`. `past` is its whole event log, `future` what `forecast.steps` gives until `until`."""
    since = max(since, min((entry.at for entry in past), default=now))
    keyrings = [(now, keyring), *((at, later) for at, _, later in future)]
    rows = [*_ksk_rows(keyrings, policy, past, now, until), *_zsk_rows(keyrings, past, until)]
    shown = [cut for row in rows if (cut := _cut(row, since, until)).spans]
    return Timeline(
        zone=to_text(keyring.origin),
        since=since,
        now=now,
        until=until,
        valid_until=keyring.keyset.valid_until(now) if keyring.keyset is not None else None,
        rows=tuple(shown),
    )


# --- ZSKs


def _zsk_rows(keyrings: Sequence[tuple[int, Keyring]], past: Sequence[Entry], until: int) -> list[Row]:
    rows: dict[int, Row] = {}
    for sequence, moments in _forgotten(past).items():
        rows[sequence] = Row(f"ZSK {sequence}", None, _zsk_spans(moments, until))
    present = {zsk.sequence for zsk in keyrings[0][1].zsks}
    for _, keyring in keyrings:
        for zsk in keyring.zsks:
            tag = zsk.key_tag if zsk.sequence in present else None  # a forecast makes keys up
            rows[zsk.sequence] = Row(f"ZSK {zsk.sequence}", tag, _zsk_spans(_moments(zsk), until))
    return [row for _, row in sorted(rows.items())]


def _moments(zsk: Zsk) -> list[tuple[int, ZskPhase]]:
    """When each state of RFC 7583 §3.1 began, as far as it did."""
    moments = [
        (zsk.generated, ZskPhase.GENERATED),
        (zsk.published, ZskPhase.PUBLISHED),
        (zsk.ready, ZskPhase.READY),
        (zsk.activated, ZskPhase.ACTIVE),
        (zsk.retired, ZskPhase.RETIRED),
        (zsk.removed, ZskPhase.REMOVED),
    ]
    return [(at, phase) for at, phase in moments if at is not None]


def _forgotten(past: Sequence[Entry]) -> dict[int, list[tuple[int, ZskPhase]]]:
    """The ZSKs of the log, of which a keyring keeps the last ones only."""
    found: dict[int, list[tuple[int, ZskPhase]]] = {}
    active: int | None = None
    unpublished: int | None = None
    retired: int | None = None
    for entry in past:
        match entry.kind:
            case "ZskGenerated":
                unpublished = int(entry.reason.rpartition(" ")[2])
                found[unpublished] = [(entry.at, ZskPhase.GENERATED)]
            case "KeysetSigned" if unpublished is not None:
                # The first ZSK of all signs from its publication on.
                phase = ZskPhase.PUBLISHED if active is not None else ZskPhase.ACTIVE
                active = unpublished if active is None else active
                found[unpublished].append((entry.at, phase))
                unpublished = None
            case "KeysetSigned" if retired is not None and "RRset changes" in entry.reason:
                found[retired].append((entry.at, ZskPhase.REMOVED))
                retired = None
            case "ZskActivated":
                retired, active = active, int(entry.reason.rpartition(" ")[2])
                if retired in found:
                    found[retired].append((entry.at, ZskPhase.RETIRED))
                found.setdefault(active, []).append((entry.at, ZskPhase.ACTIVE))
            case _:
                pass
    return found


def _zsk_spans(moments: Sequence[tuple[int, ZskPhase]], until: int) -> tuple[Span, ...]:
    """A state that a later one overtook has no span."""
    order = list(ZskPhase)
    known = [
        (at, phase.value)
        for at, phase in moments
        if all(at < later for later, other in moments if order.index(other) > order.index(phase))
    ]
    return tuple(span for span in _spans(known, until) if span.phase != ZskPhase.REMOVED.value)


# --- KSKs


def _ksk_rows(
    keyrings: Sequence[tuple[int, Keyring]], policy: Policy, past: Sequence[Entry], now: int, until: int
) -> list[Row]:
    keyring = keyrings[0][1]
    ahead = [(at, later) for at, later in keyrings if at >= now]
    names = dict.fromkeys([*_names(past), *(ksk.name for _, later in ahead for ksk in later.ksks)])
    signed = [entry.at for entry in past if entry.kind == "KeysetSigned"]
    rows = []
    for name in names:
        present = next((ksk for ksk in keyring.ksks if ksk.name == name), None)
        statuses = _statuses(name, past, present)
        phases = [*_phases(statuses, present), *_to_come(name, ahead)]
        spans = tuple(span for span in _spans(phases, until) if span.phase)
        slots = {**_slots_ahead(name, ahead), **_slots_signed(name, keyring), **_slots_past(signed, spans, policy, now)}
        tag = present.key_tag if present is not None and present.public_key is not None else None
        rows.append(Row(f"KSK {name}", tag, spans, tuple(sorted(slots.values(), key=lambda slot: slot.start))))
    return rows


def _names(past: Sequence[Entry]) -> list[str]:
    return [_subject(entry) for entry in past if entry.kind == "KskIntended"]


def _subject(entry: Entry) -> str:
    """The KSK that a line of the log is about."""
    match entry.kind:
        case "KskNeedsAction":
            return entry.reason.partition(" ")[0]
        case "KskCreated":
            return entry.reason.rpartition(" is ")[0].rpartition(": ")[2]
        case _:
            return entry.reason.rpartition(": ")[2]


def _statuses(name: str, past: Sequence[Entry], present: Ksk | None) -> list[tuple[int, str]]:
    """The statuses that a KSK had, each with its beginning; "" where it was not there."""
    found: list[tuple[int, str]] = []
    for entry in past:
        if not entry.kind.startswith("Ksk") or _subject(entry) != name:
            continue
        match entry.kind:
            case "KskIntended":
                found.append((entry.at, _ACTIVE))
            case "KskNeedsAction":
                found.append((entry.at, KskStatus.ACTION_NEEDED.value))
            case "KskDeleted":
                found.append((entry.at, ""))
            case kind if kind in _CHANGES:
                found.append((entry.at, _CHANGES[kind]))
    if present is not None:
        # What the keyring says counts, also where the log has no line of it.
        since = present.changed if present.changed is not None else present.intended
        found = [*((at, status) for at, status in found if at < since), (since, present.status.value)]
    return found


def _phases(statuses: list[tuple[int, str]], present: Ksk | None) -> list[tuple[int, str]]:
    """The statuses, and where the KSK is ACTIVE and there now, its way into every cache."""
    last = statuses[-1][0] if statuses else 0
    found = []
    for at, status in statuses:
        if present is None or status != _ACTIVE or at != last:
            found.append((at, status))
            continue
        if present.published is None:
            found.append((at, "made"))
            continue
        if present.published > at:
            found.append((at, "made"))
        ready = present.ready
        if ready is None or ready > max(present.published, at):
            found.append((max(present.published, at), "published"))
        if ready is not None:
            found.append((max(ready, at), _ACTIVE))
    return found


def _to_come(name: str, ahead: Sequence[tuple[int, Keyring]]) -> list[tuple[int, str]]:
    """What the forecast changes."""
    found: list[tuple[int, str]] = []
    before = ""
    for index, (at, keyring) in enumerate(ahead):
        ksk = next((ksk for ksk in keyring.ksks if ksk.name == name), None)
        status = "" if ksk is None else ksk.status.value
        if ksk is not None and status == _ACTIVE and (ksk.published is None or ksk.ready is None):
            status = "made" if ksk.published is None else "published"
        if index and status != before:
            found.append((max(at, ksk.ready or 0) if ksk is not None and status == _ACTIVE else at, status))
        before = status
    return found


def _spans(moments: Sequence[tuple[int, str]], until: int) -> tuple[Span, ...]:
    """Each phase until the next begins."""
    ordered = sorted(moments, key=lambda moment: moment[0])
    ends = [at for at, _ in ordered[1:]] + [until]
    return tuple(
        Span(at, min(end, until), phase) for (at, phase), end in zip(ordered, ends, strict=True) if at < min(end, until)
    )


# --- slots


def _slots_signed(name: str, keyring: Keyring) -> dict[int, Slot]:
    return _slots_of(name, keyring, STORED)


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


def _slots_past(signed: Sequence[int], spans: Sequence[Span], policy: Policy, now: int) -> dict[int, Slot]:
    """The slots that have begun: signed at a refresh in or before them, while the KSK was one that signs."""
    found: dict[int, Slot] = {}
    for at in signed:
        if not any(span.start <= at < span.end and span.phase in (_ACTIVE, "published") for span in spans):
            continue
        first = at - at % policy.slot
        for start in range(first, min(first + policy.slots * policy.slot, now), policy.slot):
            found[start] = Slot(start, start + policy.slot, SERVED)
    # A slot is served as long as its key is there.
    there = [span for span in spans if span.phase not in (_INACTIVE, "made")]
    return {at: slot for at, slot in found.items() if any(s.start < slot.end and slot.start < s.end for s in there)}


def _cut(row: Row, since: int, until: int) -> Row:
    spans = tuple(
        Span(max(span.start, since), min(span.end, until), span.phase)
        for span in row.spans
        if span.start < until and span.end > since
    )
    slots = tuple(slot for slot in row.slots if slot.start < until and slot.end > since)
    return Row(row.name, row.key_tag, spans, slots)
