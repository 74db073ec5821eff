"""What is not in our hands, as bars: which KSKs the parent's DS named when it was seen, and when the KMS failed."""

from __future__ import annotations

from collections.abc import Sequence

from keys.rules.bars import DS, FOREIGN, OUTAGE, PARENT, Row, Span
from keys.rules.events import Entry
from keys.rules.keyring import Keyring
from keys.rules.log_text import DsSeen, ds_seen, error_code, ksk_of

_ENDS = {"KskRecovered", "KskCreated", "KskLearned", "KskActivated", "KskDeactivated", "KskDeleting", "KskDeleted"}
"""Events after which nothing is wrong any more between this KSK and its KMS, or nothing is asked of it."""


def parent_rows(keyring: Keyring, past: Sequence[Entry], until: int) -> list[Row]:
    """The row of the parent's DS, where one was ever seen. The last state lasts: nobody knows its end."""
    seen = [(entry.at, found) for entry in past if entry.kind == "ParentSeen" and (found := ds_seen(entry.reason))]
    if not seen and keyring.parent_checked is not None:
        named = tuple(ksk.name for ksk in keyring.ksks if ksk.ds_named)
        seen = [(keyring.parent_checked, DsSeen(named, foreign=bool(keyring.foreign_ds)))]
    bars: list[Span] = []
    for number, (at, found) in enumerate(seen):
        end = min(seen[number + 1][0] if number + 1 < len(seen) else until, until)
        label = ", ".join([*found.ksks, *(["foreign"] if found.foreign else [])])
        phase = DS if found.ksks else FOREIGN
        goes_on = bool(bars) and (bars[-1].end, bars[-1].label) == (at, label)
        start = bars.pop().start if goes_on else at
        if label and start < end:
            bars.append(Span(start, end, phase, label))
    return [Row(PARENT, None, tuple(bars))] if bars else []


def kms_rows(keyring: Keyring, past: Sequence[Entry], now: int, until: int) -> list[Row]:
    """A row for each KSK whose KMS failed: from the first failure until it did something again."""
    bars: dict[str, list[Span]] = {}
    failing: dict[str, tuple[int, str]] = {}
    resting: set[str] = set()

    def ended(name: str, at: int) -> None:
        start, code = failing.pop(name)
        resting.discard(name)
        if start < at:
            bars.setdefault(name, []).append(Span(start, at, OUTAGE, code))

    for entry in past:
        name = ksk_of(entry.kind, entry.reason)
        if entry.kind == "KmsFailed":
            failing.setdefault(name, (entry.at, error_code(entry.reason)))
        elif entry.kind == "KskNeedsAction":
            failing.setdefault(name, (entry.at, error_code(entry.reason.partition(": ")[2])))
            resting.add(name)
        elif entry.kind in _ENDS and name in failing:
            ended(name, entry.at)
        elif entry.kind == "KeysetSigned":
            # Every ACTIVE KSK has signed that; one in ACTION_NEEDED was not asked.
            for other in [other for other in failing if other not in resting]:
                ended(other, entry.at)
    troubles = {ksk.name: ksk.trouble for ksk in keyring.ksks}
    for name, trouble in troubles.items():
        if trouble is not None:
            failing.setdefault(name, (trouble.since, trouble.code))
    for name in list(failing):
        ended(name, until if troubles.get(name) is not None or name not in troubles else now)
    return [Row(f"KMS {name}", None, tuple(found)) for name, found in bars.items()]
