"""The position that the set of zones stands for: what is committed, until it is applied, in whatever order."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from keys.custody.change_log import (
    Change,
    Committed,
    FileChanged,
    KeysChanged,
    Position,
    RecordsChanged,
    TagsChanged,
    WriterBegan,
    ZoneCreated,
    advanced,
    beginning,
    encode,
)
from server.hosting.followed_log import FollowedLog, Part

START = beginning("log")
A, B = b"\x01a\x00", b"\x01b\x00"


class Writer:
    """Commits to a log, and tells it to those who follow."""

    def __init__(self, log: FollowedLog) -> None:
        self.log, self.position = log, log.newest

    def commit(self, *changes: Change) -> Position:
        before, self.position = self.position, advanced(self.position, encode(changes))
        self.log.committed(Committed(before, self.position, changes))
        return self.position


@pytest.fixture
def log() -> FollowedLog:
    return FollowedLog(START)


@pytest.fixture
def writer(log: FollowedLog) -> Writer:
    return Writer(log)


def records(origin: bytes) -> Change:
    return RecordsChanged(origin, ("www",), b"")


def keys(origin: bytes) -> Change:
    return KeysChanged(origin, 1, b"", True, None, False)


def test_what_changes_no_answer_is_applied_at_once(log: FollowedLog, writer: Writer) -> None:
    for changes in ([], [TagsChanged("Z1")], [WriterBegan(1, b"")], [keys(A)]):  # no key manager publishes those
        assert log.reaches(writer.commit(*changes))
    assert log.position == log.newest == writer.position


def test_what_changes_answers_is_applied_when_it_is_put(log: FollowedLog, writer: Writer) -> None:
    log.keeps(A)
    for change, part in [
        (records(A), Part.DATA),
        (ZoneCreated(A, "Z1"), Part.DATA),
        (FileChanged(A, b"", None), Part.DATA),
        (keys(A), Part.KEYS),
    ]:
        before = log.position
        position = writer.commit(change)
        assert log.position == before
        assert not log.reaches(position)
        other = Part.KEYS if part is Part.DATA else Part.DATA
        log.put(other, A)
        log.put(part, B)
        assert not log.reaches(position)
        log.put(part, A)
        assert log.position == position
        assert log.position_of(part, A) == position


def test_the_position_is_the_end_of_the_run_without_a_gap(log: FollowedLog, writer: Writer) -> None:
    first, second = writer.commit(records(A)), writer.commit(records(B))
    third = writer.commit()
    log.put(Part.DATA, B)
    assert log.position == START
    assert log.position_of(Part.DATA, B) == second
    log.put(Part.DATA, A)
    assert log.position == third
    assert log.position.includes(first)


def test_a_transaction_is_applied_when_all_of_it_is(log: FollowedLog, writer: Writer) -> None:
    log.keeps(A)
    position = writer.commit(records(A), keys(A), records(B))
    for part, origin in [(Part.DATA, B), (Part.KEYS, A)]:
        log.put(part, origin)
        assert not log.reaches(position)
    log.put(Part.DATA, A)
    assert log.reaches(position)


def test_nobody_waits_for_keys_that_nobody_publishes_any_more(log: FollowedLog, writer: Writer) -> None:
    log.keeps(A)
    position = writer.commit(keys(A))
    assert not log.reaches(position)
    log.keeps_no_more(A)
    assert log.reaches(position)
    assert log.reaches(writer.commit(keys(A)))


def test_what_is_put_without_a_write_is_remembered_until_it_is_written_or_everywhere(
    log: FollowedLog, writer: Writer
) -> None:
    assert log.beside is None
    log.put(Part.DATA, A)
    number = log.beside
    log.put(Part.DATA, B)
    assert log.is_beside([(Part.DATA, A)])
    assert not log.is_beside([(Part.KEYS, A)])
    assert number is not None
    log.all_have(number)
    assert not log.is_beside([(Part.DATA, A)])
    assert log.is_beside([(Part.DATA, B)])  # put later
    writer.commit(records(B))
    log.put(Part.DATA, B)
    assert log.beside is None
    writer.commit(records(B))
    log.passed_over(Part.DATA, B)
    log.put(Part.DATA, B)  # and is answered after all
    assert log.is_beside([(Part.DATA, B)])


def test_anything_but_the_next_version_is_a_loss_and_the_position_waits_for_a_snapshot(
    log: FollowedLog, writer: Writer
) -> None:
    known = writer.commit()
    other = advanced(START, encode([TagsChanged("Z1")]))
    assert other.version == known.version
    assert other.digest != known.digest
    following = advanced(other, b"x")
    log.committed(Committed(other, following, ()))
    (lost,) = log.lost
    assert lost.origins is None  # it may have told of any zone
    assert log.position == known
    writer.position = following
    newest = writer.commit()
    assert log.position == known
    log.found(lost)
    assert (log.position, log.lost) == (newest, [])
    assert log.reaches(newest)


def test_a_row_that_nobody_has_applied_is_a_loss_of_its_zones_alone(log: FollowedLog, writer: Writer) -> None:
    start = log.position
    late = advanced(start, b"late")
    log.committed(Committed(start, late, (records(A), keys(B)), is_late=True))
    (lost,) = log.lost
    assert lost.origins == frozenset({A, B})
    log.put(Part.DATA, A)  # of an earlier change
    assert log.position == start
    log.awaits_keys(lost, B)
    log.found(lost)
    assert log.position == start
    log.put(Part.KEYS, B)
    assert log.position == late


def test_a_late_row_that_changes_no_answer_is_no_loss(log: FollowedLog) -> None:
    late = advanced(log.position, b"late")
    log.committed(Committed(log.position, late, (TagsChanged("Z1"),), is_late=True))
    assert (log.position, log.lost) == (late, [])


def test_who_is_overtaken_acknowledges_nothing_any_more(log: FollowedLog, writer: Writer) -> None:
    known = writer.commit()
    log.stop("another program writes")
    assert not log.reaches(known)
    writer.commit()
    assert log.position == known


def test_a_position_of_the_log_before_a_restore_stands_for_all_of_this_one(log: FollowedLog, writer: Writer) -> None:
    old = beginning("before")._replace(version=99)
    assert log.reaches(old)
    writer.commit(records(A))
    assert not log.reaches(old)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_order_the_position_has_all_up_to_it_and_nothing_is_forgotten(seed: int) -> None:
    chance, log = random.Random(seed), FollowedLog(START)
    writer = Writer(log)
    origins = [bytes([1, 97 + number, 0]) for number in range(4)]
    for origin in origins[:3]:
        log.keeps(origin)
    waiting: dict[int, set[tuple[Part, bytes]]] = {}

    def apply(subjects: Iterable[tuple[Part, bytes]]) -> None:
        for part, origin in subjects:
            log.put(part, origin)
            for left in waiting.values():
                left.discard((part, origin))

    for _ in range(200):
        changed = chance.sample([(part, origin) for part in Part for origin in origins[:3]], chance.randrange(3))
        if chance.random() < 0.6:
            made = [records(origin) if part is Part.DATA else keys(origin) for part, origin in changed]
            waiting[writer.commit(*made).version] = set(changed)
        else:
            apply(changed)
        first = min((version for version, left in waiting.items() if left), default=writer.position.version + 1)
        assert log.position.version == first - 1
    apply([(part, origin) for part in Part for origin in origins])
    assert log.position == log.newest == writer.position


def test_zones_that_come_and_go_without_end_are_not_remembered_for_ever(
    log: FollowedLog, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.hosting.followed_log._MOST_CHANGED", 8)
    log._most_changed = 8
    waiting = writer.commit(records(A))
    for number in range(100):
        origin = b"\x04%04d\x00" % number
        writer.commit(records(origin))
        log.put(Part.DATA, origin)
    assert log.position_of(Part.DATA, A) == waiting
    assert not log.reaches(waiting)
    log.put(Part.DATA, A)
    for number in range(100, 120):
        origin = b"\x04%04d\x00" % number
        last = writer.commit(records(origin))
        log.put(Part.DATA, origin)
    assert len(log._changed) < 2 * 100 + 8
    assert log.position_of(Part.DATA, origin) == last
    assert log.reaches(log.position_of(Part.DATA, A))
    assert log.position_of(Part.DATA, A).includes(waiting)
