"""Past and planned rollovers and outages, a row each, of months that the real plan went through."""

from __future__ import annotations

import io
import re
from functools import cache

import pytest
from rich.console import Console

from keys.dnssec.signing_policy import Policy
from keys.rules.bars import Row, Span, Timeline
from keys.rules.events import ClockJumped, Entry, KskIntended, SigningDisabled, entry
from keys.rules.forecast import forecast, steps
from keys.rules.keyring import Keyring
from keys.rules.timeline import timeline
from server.control.server_operations import Planned
from server.display.rollover_rows import RolloverRow, past_rows, planned_rows, print_rows
from tests.keys.rules.key_history import DAY, START, history
from tests.keys.rules.test_timeline import ASKED, FAILED, NOW
from tests.server.display.test_timeline_svg import SEEN

MONTHS = 60 * DAY
DECEMBER = 1_796_083_200  # 2026-12-01 00:00:00 UTC


@cache
def lived(now: int) -> tuple[Keyring, list[Entry]]:
    return history(now, [*ASKED, *SEEN], [FAILED])


def planned(now: int, keyring: Keyring, log: list[Entry]) -> list[str]:
    future = steps(keyring, Policy(), now, now + MONTHS)
    shown = timeline(keyring, Policy(), log, future, now, 0, now + MONTHS)
    actions = [Planned(at, type(a).__name__, why) for at, a, why in forecast(keyring, Policy(), now, now + MONTHS)]
    return lines(planned_rows(shown, actions))


def lines(rows: list[RolloverRow]) -> list[str]:
    return [f"{row.subject}: {row.text}" for row in rows]


def zsk(number: int, generated: int, active: int, retired: int | None, removed: int | None, until: int) -> Row:
    ends = [("published", generated, active), ("active", active, retired or until)]
    if retired is not None:
        ends.append(("retired", retired, removed or until))
    spans = tuple(Span(start, end, phase) for phase, start, end in ends if start < end)
    return Row(f"ZSK {number}", None, spans)


def test_a_rollover_is_one_row() -> None:
    now, until = DECEMBER + 3600, DECEMBER + 30 * DAY
    rows = (
        zsk(1, DECEMBER - DAY, DECEMBER - DAY, DECEMBER + 4 * DAY, DECEMBER + 6 * DAY, until),
        zsk(2, DECEMBER + 2 * DAY, DECEMBER + 4 * DAY, None, None, until),
    )
    made = planned_rows(Timeline("lab.example.", DECEMBER - DAY, now, until, None, rows), [])
    assert lines(made) == ["ZSK 2: published 3 Dec, signs 5 Dec, ZSK 1 leaves 7 Dec"]


def test_what_is_planned() -> None:
    assert planned(NOW, *lived(NOW)) == [
        "ZSK 4: published 13 Feb 19:51, signs from 20:56, ZSK 3 leaves 14 Feb 06:01",
        "ZSK 5: published 1 Mar 09:16, signs 10:21, ZSK 4 leaves 19:26",
        "ZSK 6: published 17 Mar 08:52, signs 09:57, ZSK 5 leaves 19:02",
        "ZSK 7: published 1 Apr 21:26, signs 22:31, ZSK 6 leaves 2 Apr 07:36",
        "DNSKEY RRset: signed by the KMS 63 times, next 14 Feb 06:01, last 14 Apr 03:20",
    ]


def test_an_outage_that_lasts_is_planned_to_last() -> None:
    now = START + 34 * DAY
    assert planned(now, *lived(now)) == ["KMS ksk_new: outage since 3 Feb 03:20 (DisabledException)"]


def test_what_is_past() -> None:
    _, log = lived(NOW)
    made = lines(past_rows(log, 0, NOW))
    assert made == [
        "KSK ksk_1: created 1 Jan, inactive from 28 Jan, deleted 30 Jan",
        "ZSK 1: published and signs from 1 Jan",
        "DS at parent: names ksk_1 from 3 Jan, ksk_1 and ksk_new from 23 Jan, ksk_new from 26 Jan",
        "ZSK 2: published 15 Jan 10:59, signs from 12:04, ZSK 1 left 21:09",
        "KSK ksk_new: created 21 Jan, needs action from 3 Feb, active from 6 Feb",
        "ZSK 3: published 29 Jan 21:55, signs from 23:00, ZSK 2 left 30 Jan 08:05",
        "KMS ksk_new: outage from 3 Feb 03:20 to 6 Feb 00:20 (DisabledException)",
        "ZSK 4: published 13 Feb 19:51, signs from 20:56",
        "DNSKEY RRset: signed by the KMS 45 times, last 13 Feb 19:51",
    ]
    # A row needs its steps of before, too.
    late = lines(past_rows(log, START + 29 * DAY + 3600, NOW))
    assert late[:3] == [made[4], made[5], made[6]]
    assert past_rows([], 0, NOW) == []


def test_what_is_no_rollover_has_a_row_of_its_own() -> None:
    keyring, log = history(START + 3 * DAY)
    events = [ClockJumped(START + 2 * DAY, 90_000), SigningDisabled(START + 3 * DAY)]
    rows = past_rows([*log, *(entry(event, "requested: x") for event in events)], 0, START + 4 * DAY)
    assert {"clock jumped forward: 3 Jan 00:00 (requested: x: by 1d 1h)"} < set(lines(rows))
    assert {"signing disabled: 4 Jan 00:00 (requested: x)"} < set(lines(rows))
    assert keyring.keyset is not None


def test_another_year_is_told() -> None:
    now = START + 400 * DAY
    first = next(row for row in lines(past_rows(lived(NOW)[1], 0, now)) if row.startswith("KSK ksk_new"))
    assert first == "KSK ksk_new: created 21 Jan 2026, needs action from 3 Feb 2026, active from 6 Feb 2026"


def test_a_ksk_that_is_created_inactive() -> None:
    line = entry(KskIntended(START, "ksk_2", "t", None, active=False), "requested")
    assert lines(past_rows([line], 0, START + DAY)) == ["KSK ksk_2: created inactive 1 Jan"]


@pytest.mark.parametrize("width", [40, 80])
def test_rows_fit_the_terminal_and_have_no_class_names(width: int) -> None:
    to = io.StringIO()
    print_rows(Console(file=to, width=width, highlight=False), past_rows(lived(NOW)[1], 0, NOW))
    printed = to.getvalue()
    assert max(len(line) for line in printed.splitlines()) <= width
    assert not re.search(r"\b[A-Z][a-z]+[A-Z]\w+", printed.replace("DisabledException", "").replace("RRset", ""))
    assert "\x1b" not in printed
