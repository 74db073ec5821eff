"""Keys over time: what bars there are and where, of months that the real plan went through, and the picture."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

from keys.dnssec.signing_policy import Policy
from keys.rules.events import Event, KskDeactivated, KskDeleting, KskIntended
from keys.rules.forecast import steps
from keys.rules.keyring import Keyring
from keys.rules.timeline import PLANNED, SERVED, STORED, Row, Timeline, timeline
from server.display.timeline_svg import render_svg
from tests.keys.rules.key_history import DAY, START, history

SLOT = 8 * 3600
NOW = START + 44 * DAY + 7200
ASKED: list[tuple[int, Event]] = [
    (START + 20 * DAY, KskIntended(START + 20 * DAY, "ksk_new", "t", None)),
    (START + 27 * DAY, KskDeactivated(START + 27 * DAY, "ksk_1")),
    (START + 29 * DAY, KskDeleting(START + 29 * DAY, "ksk_1")),
]
OUTAGE = ("ksk_new", START + 33 * DAY, START + 36 * DAY)


def drawn(now: int = NOW, back: int = 400 * DAY, ahead: int = 60 * DAY, **story: object) -> tuple[Timeline, Keyring]:
    told = {"asked": ASKED, "refused": [OUTAGE], **story}
    keyring, log = history(now, **told)  # type: ignore[arg-type]  # the two keywords of a story
    future = steps(keyring, Policy(), now, now + ahead)
    return timeline(keyring, Policy(), log, future, now, now - back, now + ahead), keyring


def row(found: Timeline, name: str) -> Row:
    return next(row for row in found.rows if row.name == name)


def phases(found: Row) -> list[str]:
    return [span.phase for span in found.spans]


def test_the_way_of_a_zsk_through_its_phases() -> None:
    found, keyring = drawn()
    assert [row.name for row in found.rows] == ["KSK ksk_1", "KSK ksk_new", *(f"ZSK {n}" for n in range(1, 8))]
    assert phases(row(found, "ZSK 1")) == ["active", "retired"]
    for number in range(2, 7):
        assert phases(row(found, f"ZSK {number}")) == ["published", "active", "retired"]
    actives = [span for row in found.rows[2:] for span in row.spans if span.phase == "active"]
    assert all(before.end == after.start for before, after in pairwise(actives))  # one signs at any time
    known = {zsk.sequence: zsk for zsk in keyring.zsks}
    published, active, _ = row(found, "ZSK 4").spans
    assert (published.start, active.start) == (known[4].published, known[4].activated)
    assert published.end - published.start == 3600 + 300  # TTL of the DNSKEY RRset, and propagation
    assert row(found, "ZSK 4").key_tag == known[4].key_tag
    assert row(found, "ZSK 5").key_tag is None  # to come


def test_zsks_that_the_keyring_has_forgotten_are_told_by_the_log() -> None:
    now = START + 150 * DAY
    found, keyring = drawn(now, asked=[], refused=[], ahead=DAY)
    remembered, log = history(now)
    assert log
    assert remembered == keyring
    assert min(zsk.sequence for zsk in keyring.zsks) > 1
    zsks = [row for row in found.rows if row.name.startswith("ZSK")]
    assert [row.name for row in zsks] == [f"ZSK {n + 1}" for n in range(len(zsks))]
    assert all(phases(row) == ["published", "active", "retired"] for row in zsks[1:-1])
    spans = [row.spans for row in zsks]
    assert all(old[-2].end == new[1].start for old, new in pairwise(spans[:-1]))
    lasted = {span.end - span.start for row in zsks[:-2] for span in row.spans if span.phase == "retired"}
    assert len(lasted) == 1  # the same wait, whether the keyring tells it or the log


def test_a_ksk_that_could_not_sign_and_one_that_went() -> None:
    found, keyring = drawn()
    gone, new = row(found, "KSK ksk_1"), row(found, "KSK ksk_new")
    assert phases(gone) == ["ACTIVE", "INACTIVE"]
    assert gone.key_tag is None
    assert (gone.spans[0].start, gone.spans[0].end) == (START, START + 27 * DAY)
    assert gone.spans[-1].end <= START + 29 * DAY + 60
    assert max(slot.end for slot in gone.slots) <= START + 27 * DAY + SLOT
    assert phases(new)[-3:] == ["ACTIVE", "ACTION_NEEDED", "ACTIVE"]
    needed = next(span for span in new.spans if span.phase == "ACTION_NEEDED")
    assert OUTAGE[1] <= needed.start < OUTAGE[1] + DAY + SLOT
    assert OUTAGE[2] <= needed.end <= OUTAGE[2] + 3600
    assert new.key_tag == keyring.ksk("ksk_new").key_tag


def test_a_ksk_on_its_way_into_caches() -> None:
    now = START + 20 * DAY + 600
    found, keyring = drawn(now, refused=[])
    new = row(found, "KSK ksk_new")
    ready = keyring.ksk("ksk_new").ready
    assert [(span.phase, span.start) for span in new.spans][-2:] == [
        ("published", keyring.ksk("ksk_new").published),
        ("ACTIVE", ready),
    ]
    first, _ = drawn(START, asked=[], refused=[])  # a zone that was never signed
    assert phases(row(first, "KSK ksk_1"))[-1] == "ACTIVE"
    assert phases(row(first, "ZSK 1"))[0] == "active"


def test_the_present_need_for_action_lasts_since_nobody_knows_its_end() -> None:
    now = START + 34 * DAY
    found, _ = drawn(now)
    new = row(found, "KSK ksk_new")
    assert (new.spans[-1].phase, new.spans[-1].end) == ("ACTION_NEEDED", found.until)
    assert row(found, found.rows[-1].name).spans[-1].phase == "active"
    assert row(found, found.rows[-1].name).spans[-1].end == found.until  # rotation is suspended
    assert {slot.state for slot in new.slots} == {SERVED, STORED}


def test_slots_that_were_served_are_stored_and_are_to_come() -> None:
    found, keyring = drawn()
    new = row(found, "KSK ksk_new")
    assert all(slot.end - slot.start == SLOT and slot.start % SLOT == 0 for slot in new.slots)
    assert all(before.end == after.start for before, after in pairwise(new.slots))  # no gap, for all the outage
    states = [slot.state for slot in new.slots]
    assert states == sorted(states, key=[SERVED, STORED, PLANNED].index)
    present = next(slot for slot in new.slots if slot.start <= NOW < slot.end)
    assert present.state == SERVED
    stored = {s.start for s in keyring.keyset.signatures} if keyring.keyset else set()
    assert {slot.start for slot in new.slots if slot.state == STORED} == {start for start in stored if start > NOW}
    assert keyring.keyset is not None
    assert found.valid_until == keyring.keyset.expiration


def test_what_is_outside_the_view_is_cut() -> None:
    found, _ = drawn(back=DAY, ahead=DAY)
    assert (found.since, found.now, found.until) == (NOW - DAY, NOW, NOW + DAY)
    assert "KSK ksk_1" not in [row.name for row in found.rows]
    for each in found.rows:
        assert all(found.since <= span.start < span.end <= found.until for span in each.spans)
        assert all(slot.start < found.until and slot.end > found.since for slot in each.slots)
    assert drawn()[0].since == START  # never before the log begins


def test_the_picture_is_svg_with_a_bar_for_each_phase_that_says_what_it_is() -> None:
    found, _ = drawn(back=30 * DAY)
    root = ElementTree.fromstring(render_svg(found))
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    titles = [title.text or "" for title in root.iter(f"{space}title")]
    assert len(titles) == sum(len(row.spans) + len(row.slots) for row in found.rows)
    assert "ACTION_NEEDED: 3 Feb 03:20 to 6 Feb 00:20" in titles
    texts = [text.text or "" for text in root.iter(f"{space}text")]
    assert {"Keys of lab.example.", "now", "KSK ksk_new", "ZSK 7", "to come", "gone"} <= set(texts)
    assert any(text.startswith("valid until 18 Feb ") for text in texts)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for rect in root.iter(f"{space}rect"):
        x, y, w, h = (float(rect.attrib.get(key, 0)) for key in ("x", "y", "width", "height"))
        assert -1 <= x <= x + w <= width + 1
        assert -1 <= y <= y + h <= height + 1


def test_the_picture_of_hours_and_of_years_has_a_few_ticks() -> None:
    space = "{http://www.w3.org/2000/svg}"
    for back, ahead in ((3600, 7200), (DAY, DAY), (30 * DAY, 60 * DAY), (30 * DAY, 3 * 365 * DAY)):
        found, _ = drawn(back=back, ahead=ahead)
        lines = ElementTree.fromstring(render_svg(found)).iter(f"{space}path")
        ticks = [line for line in lines if line.attrib.get("stroke") == "#e3e8ed"]
        assert 2 <= len(ticks) <= 13


def test_odd_names_are_escaped_and_long_ones_cut() -> None:
    found, _ = drawn(back=DAY, ahead=DAY)
    odd = Timeline(
        "a<b>&.example.", NOW - DAY, NOW, NOW + DAY, None, (Row("KSK " + "x" * 128, 1, found.rows[0].spans),)
    )
    texts = [text.text for text in ElementTree.fromstring(render_svg(odd)).iter("{http://www.w3.org/2000/svg}text")]
    assert "Keys of a<b>&.example." in texts
    assert "KSK xxxxxxxx…" in texts
