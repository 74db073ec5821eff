"""The keys of a zone over time, as bars: the past from the event log, the present from the keyring, the future from the
forecast. Values in, values out; `server.display` draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from keys.dnssec.name_text import to_text
from keys.dnssec.signing_policy import Policy
from keys.rules.bars import Row, Span, Timeline
from keys.rules.events import Action, Entry
from keys.rules.keyring import Keyring
from keys.rules.ksk_bars import ksk_rows
from keys.rules.outside_bars import kms_rows, parent_rows
from keys.rules.zsk_bars import zsk_rows

_ANY: Final = Policy()


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
    began = [*(entry.at for entry in past), *(k.intended for k in keyring.ksks), *(z.generated for z in keyring.zsks)]
    since = max(since, min([now, *began]))
    keyrings = [(now, keyring), *((at, later) for at, _, later in future)]
    cut = [_cut(row, since, until) for row in _rows(keyrings, policy, past, now, until)]
    return Timeline(
        zone=to_text(keyring.origin),
        since=since,
        now=now,
        until=until,
        valid_until=keyring.keyset.valid_until(now) if keyring.keyset is not None else None,
        rows=tuple(row for row in cut if row.spans),
    )


def rows_of_log(past: Sequence[Entry], now: int) -> list[Row]:
    """As much of a timeline up to `now` as the log alone tells, also of a zone that has no keys any more."""
    return [row for row in _rows([(now, Keyring(b"\0", ""))], _ANY, past, now, now) if row.spans]


def _rows(
    keyrings: Sequence[tuple[int, Keyring]], policy: Policy, past: Sequence[Entry], now: int, until: int
) -> list[Row]:
    keyring = keyrings[0][1]
    return [
        *ksk_rows(keyrings, policy, past, now, until),
        *parent_rows(keyring, past, until),
        *kms_rows(keyring, past, now, until),
        *zsk_rows(keyrings, past, until),
    ]


def _cut(row: Row, since: int, until: int) -> Row:
    spans = tuple(
        Span(max(span.start, since), min(span.end, until), span.phase, span.label)
        for span in row.spans
        if span.start < until and span.end > since
    )
    slots = tuple(slot for slot in row.slots if slot.start < until and slot.end > since)
    return Row(row.name, row.key_tag, spans, slots)
