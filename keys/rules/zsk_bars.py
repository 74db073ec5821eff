"""The bars of ZSKs: of those in the keyring from their own times, of those before them from the event log."""

from __future__ import annotations

from collections.abc import Sequence

from keys.rules.bars import Row, Span, spans, unpublished, unsigned
from keys.rules.events import Entry
from keys.rules.keyring import Keyring, Zsk, ZskPhase
from keys.rules.log_text import Changed, changed_zsks

Moments = list[tuple[int, ZskPhase]]


def zsk_rows(keyrings: Sequence[tuple[int, Keyring]], past: Sequence[Entry], until: int) -> list[Row]:
    """A row for each ZSK. `keyrings` are the present one, and what the forecast makes of it; `past` is the log."""
    gaps = unsigned(past, keyrings, until)
    rows: dict[int, Row] = {}
    for sequence, moments in _Logged(past).found.items():
        rows[sequence] = Row(f"ZSK {sequence}", None, _bars(moments, gaps, until))
    present = {zsk.sequence for zsk in keyrings[0][1].zsks}
    for _, keyring in keyrings:
        for zsk in keyring.zsks:
            tag = zsk.key_tag if zsk.sequence in present else None  # a forecast makes keys up
            rows[zsk.sequence] = Row(f"ZSK {zsk.sequence}", tag, _bars(_moments(zsk), gaps, until))
    return [row for _, row in sorted(rows.items())]


def _moments(zsk: Zsk) -> Moments:
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


def _bars(moments: Moments, gaps: Sequence[tuple[int, int]], until: int) -> tuple[Span, ...]:
    """A state that a later one overtook has no bar."""
    order = list(ZskPhase)
    known = [
        (at, "" if phase is ZskPhase.REMOVED else phase.value)
        for at, phase in moments
        if all(at < later for later, other in moments if order.index(other) > order.index(phase))
    ]
    return unpublished(spans(known, until), gaps, ZskPhase.GENERATED.value)


class _Logged:
    """The ZSKs of a log, of which a keyring keeps the last ones only."""

    def __init__(self, past: Sequence[Entry]) -> None:
        self.found: dict[int, Moments] = {}
        self._active: int | None = None
        self._retired: int | None = None
        self._unpublished: list[int] = []
        for entry in past:
            match entry.kind:
                case "ZskGenerated" if (number := _number(entry)) is not None:
                    self._unpublished.append(number)
                    self.found[number] = [(entry.at, ZskPhase.GENERATED)]
                case "ZskActivated" if (number := _number(entry)) is not None:
                    self._activated(entry.at, number)
                case "KeysetSigned":
                    self._changed(entry.at, changed_zsks(entry.reason) or self._guessed(entry.reason))
                case _:
                    pass

    def _activated(self, at: int, number: int) -> None:
        self._retired, self._active = self._active, number
        if self._retired in self.found:
            self.found[self._retired].append((at, ZskPhase.RETIRED))
        self.found.setdefault(number, []).append((at, ZskPhase.ACTIVE))

    def _changed(self, at: int, changed: Changed) -> None:
        for number in changed.added:
            # The first ZSK of all signs from its publication on.
            phase = ZskPhase.PUBLISHED if self._active is not None else ZskPhase.ACTIVE
            self._active = number if self._active is None else self._active
            self.found.setdefault(number, []).append((at, phase))
            self._unpublished = [other for other in self._unpublished if other != number]
        for number in changed.removed:
            if number in self.found:
                self.found[number].append((at, ZskPhase.REMOVED))
            self._retired = None if self._retired == number else self._retired

    def _guessed(self, reason: str) -> Changed:
        """What a line of an earlier version means, which names no key."""
        if self._unpublished:
            return Changed(tuple(self._unpublished), ())
        if self._retired is not None and "RRset changes" in reason:
            return Changed((), (self._retired,))
        return Changed((), ())


def _number(entry: Entry) -> int | None:
    """The ZSK's; `None` where the reason is damaged."""
    said = entry.reason.rpartition(" ")[2]
    return int(said) if said.isascii() and said.isdigit() else None
