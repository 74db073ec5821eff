"""A damaged state holds times that no calendar has: each zone is shown all the same, with its reason."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from rich.console import Console

from keys.dnssec.signing_policy import DAY
from keys.rules.events import Entry, KmsFailed
from keys.rules.forecast import steps
from keys.rules.key_status import Condition, ZoneStatus, describe
from keys.rules.keyring import Keyring
from keys.rules.moments import FIRST, LAST, told
from keys.rules.next_action import evolve
from keys.rules.timeline import timeline
from server.control.server_operations import ZoneReport
from server.display.key_report import print_events, print_key_lines, print_keys, print_ksks
from server.display.rollover_rows import past_rows, planned_rows, print_rows
from server.display.timeline_svg import render_svg
from server.display.timeline_text import print_timeline
from server.route53.responses import timestamp
from tests.keys.rules.test_next_action import SIGNED
from tests.keys.world import EPOCH, POLICY

ABSURD = (-1, -(2**62), 2**53 + 1, LAST + 1, 2**64 - 1)
FAILING = evolve(SIGNED, KmsFailed(EPOCH, "ksk_1", "sign", "AccessDenied", "no", "request", refused=True))


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where numbers stand, or could, in what is stored."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from paths(below, (*path, key))
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from paths(below, (*path, index))
    elif value is None or (isinstance(value, int) and not isinstance(value, bool)):
        yield path


def damaged(keyring: Keyring, numbers: Sequence[int] = ABSURD) -> Iterator[Keyring]:
    """The keyring with each number in it replaced by each of these, as it is read from the state."""
    stored = msgspec.json.decode(msgspec.json.encode(keyring))
    for path in paths(stored):
        for number in numbers:
            document = deepcopy(stored)
            place = document
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = number
            try:
                yield msgspec.json.decode(msgspec.json.encode(document), type=Keyring)
            except msgspec.ValidationError:
                continue  # told as a zone whose keyring can't be read


def printed(status: ZoneStatus) -> str:
    console = Console(file=io.StringIO(), width=200)
    report = ZoneReport(origin="lab.example.", file="a", serial=1, signed=True, denial="c", example="e", keys=status)
    print_keys(console, [report], EPOCH)
    print_ksks(console, report, EPOCH)
    print_key_lines(console, report, EPOCH)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_status_is_told_whatever_is_stored() -> None:
    seen = 0
    for keyring in damaged(FAILING):
        for frozen in (False, True):
            status = describe(keyring, POLICY, EPOCH, None, None, frozen)
            assert "can't be shown" not in (status.problem or "")  # no number needs the last resort
        if seen % 3 == 0:  # printing takes longer
            assert "ksk_1" in printed(msgspec.json.decode(msgspec.json.encode(status), type=ZoneStatus))
        seen += 1
    assert seen > 400


def test_the_timeline_is_drawn_whatever_is_stored() -> None:
    for keyring in damaged(FAILING, (-(2**62), LAST + 1)):
        future = list(steps(keyring, POLICY, EPOCH, EPOCH + DAY))
        drawn = timeline(keyring, POLICY, (), future, EPOCH, EPOCH - DAY, EPOCH + DAY)
        render_svg(drawn)
        print_timeline(Console(file=io.StringIO(), width=80), drawn)
        planned_rows(drawn, ())


@pytest.mark.parametrize("at", ABSURD)
def test_events_are_told_whatever_is_stored(at: int) -> None:
    console = Console(file=io.StringIO(), width=200)
    entries = (Entry(at, "KskCreated", "ksk_1: why", ()), Entry(EPOCH, "KskCreated", "ksk_2: why", ()))
    print_events(console, entries)
    assert "ksk_1" in console.file.getvalue()  # type: ignore[attr-defined]
    render_svg(timeline(SIGNED, POLICY, entries, (), EPOCH, EPOCH - DAY, EPOCH + DAY))
    kinds = ("KskIntended", "KskDeleted", "KmsFailed", "KeysetSigned", "ZskGenerated", "ZskActivated", "ParentSeen")
    for reason in ("why: ksk_1", "why: ZSK 2", "why: the DS names ksk_1, TTL 3600", "", ": ", "\0"):
        damaged_log = [Entry(when, kind, reason) for when in (EPOCH, at) for kind in kinds]
        print_rows(console, past_rows(damaged_log, 0, EPOCH))
        shown = timeline(SIGNED, POLICY, damaged_log, (), EPOCH, EPOCH - DAY, EPOCH + DAY)
        render_svg(shown)
        print_timeline(console, shown)


def test_what_can_not_be_described_is_a_zone_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr("keys.rules.key_status.plan", fail)
    status = describe(SIGNED, POLICY, EPOCH, None, "a disk", False)
    assert status.condition is Condition.FROZEN
    assert status.problem == "a disk; its stored keys can't be shown (ValueError: odd)"


@pytest.mark.parametrize(("at", "text"), [(FIRST - 1, f"second {FIRST - 1}"), (LAST, "9999-12-31"), (0, "1970-01-01")])
def test_a_time_is_told_as_a_date_or_as_it_is(at: int, text: str) -> None:
    assert told(at, "%Y-%m-%d") == text


def test_the_api_tells_the_nearest_time_that_there_is() -> None:
    assert timestamp(2**63 - 1) == "9999-12-31T23:59:59.000Z"
    assert timestamp(-(2**62)) == "0001-01-01T00:00:00.000Z"
