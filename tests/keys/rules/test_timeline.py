"""Keys over time: what bars there are and where, of months that the real plan went through."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from keys.dnssec.signing_policy import Policy
from keys.rules.bars import DS, FOREIGN, OUTAGE, PARENT, PLANNED, SERVED, STORED, Row, Timeline
from keys.rules.events import (
    Entry,
    Event,
    KmsFailed,
    KskActivated,
    KskDeactivated,
    KskDeleting,
    KskIntended,
    ParentSeen,
    SigningDisabled,
    SigningEnabled,
    entry,
)
from keys.rules.forecast import steps
from keys.rules.keyring import Keyring, Zsk
from keys.rules.timeline import rows_of_log, timeline
from tests.keys.rules.key_history import DAY, START, history

SLOT = 8 * 3600
NOW = START + 44 * DAY + 7200
ASKED: list[tuple[int, Event]] = [
    (START + 20 * DAY, KskIntended(START + 20 * DAY, "ksk_new", "t", None)),
    (START + 27 * DAY, KskDeactivated(START + 27 * DAY, "ksk_1")),
    (START + 29 * DAY, KskDeleting(START + 29 * DAY, "ksk_1")),
]
FAILED = ("ksk_new", START + 33 * DAY, START + 36 * DAY)


def drawn(now: int = NOW, back: int = 400 * DAY, ahead: int = 60 * DAY, **story: object) -> tuple[Timeline, Keyring]:
    told = {"asked": ASKED, "refused": [FAILED], **story}
    keyring, log = history(now, **told)  # type: ignore[arg-type]  # the two keywords of a story
    future = steps(keyring, Policy(), now, now + ahead)
    return timeline(keyring, Policy(), log, future, now, now - back, now + ahead), keyring


def row(found: Timeline, name: str) -> Row:
    return next(row for row in found.rows if row.name == name)


def phases(found: Row) -> list[str]:
    return [span.phase for span in found.spans]


def test_the_way_of_a_zsk_through_its_phases() -> None:
    found, keyring = drawn()
    assert [row.name for row in found.rows] == [
        "KSK ksk_1",
        "KSK ksk_new",
        "KMS ksk_new",
        *(f"ZSK {n}" for n in range(1, 8)),
    ]
    assert phases(row(found, "ZSK 1")) == ["active", "retired"]
    for number in range(2, 7):
        assert phases(row(found, f"ZSK {number}")) == ["published", "active", "retired"]
    actives = [span for row in found.rows[3:] for span in row.spans if span.phase == "active"]
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
    assert FAILED[1] <= needed.start < FAILED[1] + DAY + SLOT
    assert FAILED[2] <= needed.end <= FAILED[2] + 3600
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


def test_an_outage_of_the_kms_lasts_from_its_first_failure_until_it_signs_again() -> None:
    found, _ = drawn()
    (outage,) = row(found, "KMS ksk_new").spans
    needed = next(span for span in row(found, "KSK ksk_new").spans if span.phase == "ACTION_NEEDED")
    assert (outage.start, outage.end, outage.phase) == (needed.start, needed.end, OUTAGE)
    assert outage.label == "DisabledException"
    (lasting,) = row(drawn(START + 34 * DAY)[0], "KMS ksk_new").spans
    assert lasting.end == START + 94 * DAY  # nobody knows when a person mends it


def test_a_failure_that_needed_nobody_ends_with_the_next_signature() -> None:
    keyring, log = history(START + DAY)
    failed = entry(KmsFailed(START + 600, "ksk_1", "Sign", "ThrottlingException", "slow", "r", refused=False), "")
    signed = Entry(START + 900, "KeysetSigned", "regular refresh")
    past = sorted([*log, failed, signed], key=lambda line: line.at)
    shown = timeline(keyring, Policy(), past, (), START + DAY, START, START + DAY)
    assert [(span.start, span.end) for span in row(shown, "KMS ksk_1").spans] == [(START + 600, START + 900)]


def test_the_ds_at_the_parent_is_a_bar_that_says_which_ksks_it_names() -> None:
    seen = [
        (START + 2 * DAY, ("ksk_1",)),
        (START + 22 * DAY, ("ksk_1", "ksk_new")),
        (START + 23 * DAY, ("ksk_1", "ksk_new")),
        (START + 25 * DAY, ("ksk_new",)),
        (START + 40 * DAY, ()),
    ]
    asked = [*ASKED, *((at, ParentSeen(at, names, 3600)) for at, names in seen)]
    found, _ = drawn(asked=asked)
    assert [(span.start, span.end, span.phase, span.label) for span in row(found, PARENT).spans] == [
        (START + 2 * DAY, START + 22 * DAY, DS, "ksk_1"),
        (START + 22 * DAY, START + 25 * DAY, DS, "ksk_1, ksk_new"),
        (START + 25 * DAY, START + 40 * DAY, DS, "ksk_new"),
    ]
    lasting, _ = drawn(START + 39 * DAY, asked=asked)
    assert row(lasting, PARENT).spans[-1].end == START + 99 * DAY
    foreign = ParentSeen(START + 41 * DAY, (), 3600, (bytes(36),))
    stranger, _ = drawn(asked=[*asked, (START + 41 * DAY, foreign)])
    assert (row(stranger, PARENT).spans[-1].phase, row(stranger, PARENT).spans[-1].label) == (FOREIGN, "foreign")


def test_bars_begin_and_end_when_the_key_did() -> None:
    """Also beside a KSK that changes the DNSKEY RRset, by force, or while signing is disabled."""
    retired = history(START + 20 * DAY)[0].zsk(1).retired
    assert retired is not None
    force = [
        (retired + 3600, KskIntended(retired + 3600, "ksk_new", "t", None)),
        (START + 27 * DAY, KskDeactivated(START + 27 * DAY, "ksk_1", forced=True)),
        (START + 29 * DAY, KskDeleting(START + 29 * DAY, "ksk_1", forced=True)),
    ]
    now = START + 150 * DAY
    keyring, log = history(now, force)
    kept: dict[int, Zsk] = {}
    for day in range(1, 151, 9):  # every ZSK, before the keyring forgets it
        kept |= {zsk.sequence: zsk for zsk in history(START + day * DAY, force)[0].zsks if zsk.retired is not None}
    kept |= {zsk.sequence: zsk for zsk in keyring.zsks}
    shown = timeline(keyring, Policy(), log, (), now, START, now)
    gone = row(shown, "KSK ksk_1").spans
    assert [span.phase for span in gone] == ["ACTIVE", "INACTIVE"]
    assert gone[0].end == START + 27 * DAY
    assert gone[-1].end < START + 29 * DAY + 60
    checked = 0
    for sequence, zsk in kept.items():
        spans = row(shown, f"ZSK {sequence}").spans
        assert spans[0].start == zsk.generated
        active = next(span for span in spans if span.phase == "active")
        assert active.start == zsk.activated
        if zsk.removed is not None:
            assert (active.end, spans[-1].end) == (zsk.retired, zsk.removed)
            checked += 1
    assert checked > 5


def test_what_an_earlier_version_logged_gives_the_same_bars() -> None:
    now = START + 150 * DAY
    keyring, log = history(now)
    past = [
        msgspec.structs.replace(line, reason=line.reason.partition("; adds")[0].partition("; removes")[0])
        for line in log
    ]
    assert past != log
    for lines in (past, log):
        shown = timeline(keyring, Policy(), lines, (), now, START, now)
        assert shown == timeline(keyring, Policy(), log, (), now, START, now)


def test_keys_are_in_no_use_while_signing_is_disabled() -> None:
    off, on = START + 40 * DAY, START + 43 * DAY
    asked = [(off, SigningDisabled(off)), (on, SigningEnabled(on))]
    found, _ = drawn(START + 60 * DAY, asked=asked, refused=[])
    assert phases(row(found, "KSK ksk_1")) == ["ACTIVE", "made", "published", "ACTIVE"]
    assert row(found, "KSK ksk_1").spans[1].start == off
    assert on <= row(found, "KSK ksk_1").spans[1].end < on + 60
    (sequence,) = [
        zsk.sequence for zsk in history(off - 60)[0].zsks if zsk.activated is not None and zsk.retired is None
    ]
    zsk = row(found, f"ZSK {sequence}")
    unused = next(span for span in zsk.spans[1:] if span.phase == "generated")
    assert unused.start == off
    assert on <= unused.end < on + 60
    assert "active" in phases(zsk)
    at_rest, _ = drawn(START + 42 * DAY, asked=asked[:1], refused=[])
    assert row(at_rest, "KSK ksk_1").spans[-1].phase == "made"
    assert row(at_rest, "KSK ksk_1").spans[-1].end == at_rest.until


def test_a_ksk_that_is_older_than_the_log_begins_when_it_began() -> None:
    keyring, log = history(NOW, ASKED)
    late = [line for line in log if line.at > START + 21 * DAY]
    shown = timeline(keyring, Policy(), late, (), NOW, 0, NOW)
    assert row(shown, "KSK ksk_new").spans[0].start == START + 20 * DAY
    assert phases(row(shown, "KSK ksk_1")) == ["ACTIVE", "INACTIVE"]


def test_a_ksk_that_is_requested_inactive_is_not_shown_as_active() -> None:
    at = START + 5 * DAY
    asked: list[tuple[int, Event]] = [
        (at, KskIntended(at, "ksk_new", "t", None, active=False)),
        (at + DAY, KskActivated(at + DAY, "ksk_new")),
    ]
    found, _ = drawn(START + 10 * DAY, asked=asked, refused=[])
    assert (phases(row(found, "KSK ksk_new"))[0], row(found, "KSK ksk_new").spans[0].end) == ("INACTIVE", at + DAY)


def test_the_log_alone_tells_of_a_zone_whose_keys_are_gone() -> None:
    found, _ = drawn()
    _, log = history(NOW, ASKED, [FAILED])
    rows = {row.name: row for row in rows_of_log(log, NOW)}
    for name in ("KSK ksk_1", "KMS ksk_new", "ZSK 1", "ZSK 2"):
        assert [(s.phase, s.start, s.end) for s in rows[name].spans] == [
            (s.phase, s.start, s.end) for s in row(found, name).spans
        ]
    assert rows_of_log([], NOW) == []
