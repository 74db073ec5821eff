"""What a timeline consists of: a row for each key, for the DS at the parent and for outages of the KMS, as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from keys.rules.events import Entry
from keys.rules.keyring import Keyring

SERVED, STORED, PLANNED = "served", "stored", "planned"
"""A slot's RRSIG was served, is stored for later, or is yet to be made."""
DS, FOREIGN, OUTAGE = "ds", "foreign", "outage"
"""The parent's DS names KSKs of the zone, or only keys of others; the KMS did not do what it was asked."""
PARENT = "DS at parent"
"""The name of the row with the parent's DS."""


class Span(msgspec.Struct, frozen=True):
    """A phase of a key, from `start` until before `end`, in seconds since the epoch."""

    start: int
    end: int
    phase: str
    """Of a KSK: made, published, ACTIVE, INACTIVE, ACTION_NEEDED or DELETING; of a ZSK: `ZskPhase`; of others: `DS`,
    `FOREIGN`, `OUTAGE`.
    """
    label: str = ""
    """Which KSKs the DS names; the KMS's error code."""


class Slot(msgspec.Struct, frozen=True):
    """One slot of which a KSK has signed, or will sign, the DNSKEY RRset."""

    start: int
    end: int
    state: str


class Row(msgspec.Struct, frozen=True):
    """One key, the parent's DS, or the outages of the KMS for one KSK."""

    name: str
    """`KSK ksk_1`, `ZSK 2`, `PARENT`, `KMS ksk_1`."""
    key_tag: int | None
    """`None` where it is not known: the key is gone, or yet to be made."""
    spans: tuple[Span, ...]
    slots: tuple[Slot, ...] = ()

    @property
    def is_key(self) -> bool:
        """Whether it is a key's."""
        return self.name.startswith(("KSK ", "ZSK "))


class Timeline(msgspec.Struct, frozen=True):
    """The keys of one zone from `since` until before `until`."""

    zone: str
    since: int
    now: int
    until: int
    valid_until: int | None
    """When the zone turns bogus if no KMS signs from now on."""
    rows: tuple[Row, ...]


def spans(moments: Iterable[tuple[int, str]], until: int) -> tuple[Span, ...]:
    """Each phase until the next begins. One that is "" is a gap."""
    ordered = sorted(moments, key=lambda moment: moment[0])
    ends = [at for at, _ in ordered[1:]] + [until]
    return tuple(
        Span(at, min(end, until), phase)
        for (at, phase), end in zip(ordered, ends, strict=True)
        if phase and at < min(end, until)
    )


def unsigned(past: Sequence[Entry], keyrings: Sequence[tuple[int, Keyring]], until: int) -> list[tuple[int, int]]:
    """When signing was disabled: from when until before when no key was in a DNSKEY RRset that was served.

    `keyrings` are the present one, and what the forecast makes of it, each with its time.
    """
    found: list[tuple[int, int]] = []
    since: int | None = None
    for entry in past:
        if entry.kind == "SigningDisabled" and since is None:
            since = entry.at
        elif entry.kind == "KeysetSigned" and since is not None:
            found.append((since, entry.at))
            since = None
    if since is not None:
        found.append((since, next((at for at, keyring in keyrings if keyring.keyset is not None), until)))
    return found


def unpublished(bars: Iterable[Span], gaps: Sequence[tuple[int, int]], phase: str) -> tuple[Span, ...]:
    """The bars of a key, with `phase` in those gaps, in which it was there and in no DNSKEY RRset."""
    found: list[Span] = []
    for bar in bars:
        edges = sorted({bar.start, bar.end, *(at for gap in gaps for at in gap if bar.start < at < bar.end)})
        for start, end in pairwise(edges):
            within = any(gap_start <= start < gap_end for gap_start, gap_end in gaps)
            part = Span(start, end, phase if within else bar.phase)
            if found and (found[-1].phase, found[-1].end) == (part.phase, part.start):
                part = Span(found.pop().start, end, part.phase)
            found.append(part)
    return tuple(found)
