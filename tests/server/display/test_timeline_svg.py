"""The picture of a timeline: bars that say what they are, labels that fit and don't collide, ticks and headings."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from keys.dnssec.signing_policy import Policy
from keys.rules.bars import Row, Span, Timeline
from keys.rules.events import Action, Entry, Event, ParentSeen
from keys.rules.forecast import steps
from keys.rules.keyring import Keyring
from keys.rules.timeline import timeline
from server.display.timeline_svg import render_svg
from tests.keys.rules.key_history import DAY, START, history
from tests.keys.rules.test_timeline import ASKED, FAILED, NOW

SPACE = "{http://www.w3.org/2000/svg}"
YEAR = 365 * DAY
SEEN: list[tuple[int, Event]] = [
    (START + 2 * DAY, ParentSeen(START + 2 * DAY, ("ksk_1",), 3600)),
    (START + 22 * DAY, ParentSeen(START + 22 * DAY, ("ksk_1", "ksk_new"), 3600)),
    (START + 25 * DAY, ParentSeen(START + 25 * DAY, ("ksk_new",), 3600)),
]
VIEWS = [(600, 600), (3600, 7200), (DAY, DAY), (10 * DAY, 3 * DAY), (30 * DAY, 60 * DAY), (30 * DAY, 5 * YEAR)]


@cache
def story(now: int) -> tuple[Keyring, list[Entry], list[tuple[int, Action, Keyring]]]:
    keyring, log = history(now, [*ASKED, *SEEN], [FAILED])
    return keyring, log, list(steps(keyring, Policy(), now, now + 60 * DAY))


def shown(now: int, back: int, ahead: int) -> Timeline:
    """Two months of them ahead, however far the view."""
    keyring, log, future = story(now)
    future = [step for step in future if step[0] < now + ahead]
    return timeline(keyring, Policy(), log, future, now, now - back, now + ahead)


class Box(NamedTuple):
    text: str
    left: float
    top: float
    right: float
    bottom: float


def boxes(root: ElementTree.Element) -> list[Box]:
    """Where each text stands, as wide as its letters are in an ordinary font."""
    found = []
    for text in root.iter(f"{SPACE}text"):
        said, size = text.text or "", float(text.attrib["font-size"])
        width = 0.57 * size * len(said)
        left = float(text.attrib["x"]) - {"end": width, "middle": width / 2}.get(text.attrib["text-anchor"], 0)
        baseline = float(text.attrib["y"])
        found.append(Box(said, left, baseline - 0.8 * size, left + width, baseline + 0.2 * size))
    return found


def collisions(root: ElementTree.Element) -> list[tuple[str, str]]:
    return [
        (one.text, other.text)
        for one, other in combinations(boxes(root), 2)
        if one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom
    ]


def picture(timeline: Timeline) -> ElementTree.Element:
    return ElementTree.fromstring(render_svg(timeline))


def texts(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SPACE}text")]


def test_a_bar_for_each_phase_that_says_what_it_is() -> None:
    found = shown(NOW, 30 * DAY, 60 * DAY)
    root = picture(found)
    assert root.tag == f"{SPACE}svg"
    titles = [title.text or "" for rect in root.iter(f"{SPACE}rect") for title in rect.iter(f"{SPACE}title")]
    assert len(titles) == sum(len(row.spans) + len(row.slots) for row in found.rows)
    assert "ACTION_NEEDED: 3 Feb 03:20 to 6 Feb 00:20" in titles
    assert "KMS outage (DisabledException): 3 Feb 03:20 to 6 Feb 00:20" in titles
    assert "DS of ksk_1, ksk_new: 23 Jan 00:00 to 26 Jan 00:00" in titles
    said = texts(root)
    assert {"Keys of lab.example.", "now", "KSK ksk_new", "DS at parent", "KMS ksk_new", "ZSK 7"} <= set(said)
    assert {"to come", "gone", "outage", "ksk_new"} <= set(said)
    assert any(text.startswith("valid until 18 Feb ") for text in said)
    assert "15 Jan 2026 to 15 Apr 2026, UTC" in said


@pytest.mark.parametrize(("back", "ahead"), VIEWS)
def test_a_bar_stands_where_its_key_was(back: int, ahead: int) -> None:
    found = shown(NOW, back, ahead)
    root = picture(found)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for rect in root.iter(f"{SPACE}rect"):
        x, y, w, h = (float(rect.attrib.get(key, 0)) for key in ("x", "y", "width", "height"))
        assert -1 <= x <= x + w <= width + 1
        assert -1 <= y <= y + h <= height + 1
    bars = [rect for rect in root.iter(f"{SPACE}rect") if rect.attrib["height"] == "20" and len(rect)]
    spans = [span for row in found.rows for span in row.spans]
    assert len(bars) == len(spans)
    second = (1200 - 236 - 28) / (found.until - found.since)
    for bar, span in zip(bars, spans, strict=True):
        assert float(bar.attrib["x"]) == pytest.approx(236 + (span.start - found.since) * second)
        assert float(bar.attrib["width"]) == pytest.approx(max(1.5, (span.end - span.start) * second))


@pytest.mark.parametrize(("back", "ahead"), VIEWS)
@pytest.mark.parametrize("now", [NOW, START + 22 * DAY + 60, START + 35 * DAY])
def test_no_two_labels_collide_and_none_leaves_the_picture(back: int, ahead: int, now: int) -> None:
    root = picture(shown(now, back, ahead))
    assert collisions(root) == []
    assert all(box.left >= 0 and box.right <= 1200 and box.top >= 0 for box in boxes(root))


@pytest.mark.parametrize("letter", ["x", "W", "1", "ä"])
def test_long_names_are_cut_before_they_meet_another_label(letter: str) -> None:
    spans = (Span(NOW - DAY, NOW + DAY, "ACTIVE"),)
    outage = Row("KMS " + letter * 128, None, (Span(NOW - DAY, NOW, "outage", letter * 200),))
    zone = ".".join([letter * 63] * 3) + "."
    odd = Timeline(zone, NOW - DAY, NOW, NOW + DAY, NOW, (Row("KSK " + letter * 128, 65535, spans), outage))
    root = picture(odd)
    assert collisions(root) == []
    said = texts(root)
    assert any(text.startswith(f"KSK {letter * 4}") and text.endswith("…") for text in said)
    assert any(text.startswith(f"Keys of {letter * 20}") and text.endswith("…") for text in said)
    assert zone in [title.text for title in root.iter(f"{SPACE}title")]


def test_odd_names_are_escaped() -> None:
    said = texts(picture(Timeline("a<b>&.example.", NOW - DAY, NOW, NOW + DAY, None, ())))
    assert "Keys of a<b>&.example." in said


@pytest.mark.parametrize(("back", "ahead"), VIEWS)
def test_hours_and_years_have_a_few_ticks(back: int, ahead: int) -> None:
    lines = picture(shown(NOW, back, ahead)).iter(f"{SPACE}path")
    ticks = [line for line in lines if line.attrib.get("stroke") == "#e3e8ed"]
    assert 2 <= len(ticks) <= 13


@pytest.mark.parametrize("phase", ["INTERNAL_FAILURE", "DELETING", "ready", "foreign"])
def test_each_phase_has_a_colour(phase: str) -> None:
    row = Row("KSK ksk_1", 1, (Span(NOW - DAY, NOW + DAY, phase),))
    assert picture(Timeline("lab.example.", NOW - DAY, NOW, NOW + DAY, None, (row,))) is not None
