"""Positions and digests: a follower takes the next row of the same history, and nothing else."""

from __future__ import annotations

import pytest

from keys.custody.change_log import (
    Change,
    FileChanged,
    KeysChanged,
    Logged,
    Position,
    RecordsChanged,
    SignednessChanged,
    SnapshotNeeded,
    TagsChanged,
    WriterBegan,
    ZoneCreated,
    ZoneDeleted,
    ZonesNamed,
    advanced,
    beginning,
    decode,
    encode,
    follow,
)
from tests.keys.world import LAB

EVERY: tuple[Change, ...] = (
    RecordsChanged(LAB, ("lab.example.", "www.lab.example."), b"d"),
    ZoneCreated(LAB, "Z1"),
    ZoneDeleted(LAB, "Z1"),
    ZonesNamed({"Z1": LAB}),
    TagsChanged("Z1"),
    KeysChanged(LAB, 3, b"d", signed=True, keyset=None, policy=False),
    SignednessChanged(LAB, signed=False),
    FileChanged(LAB, b"d", "lab.example-d.image"),
    FileChanged(LAB, None, None),
    WriterBegan(2, b"m"),
)


def rows(start: Position, *documents: bytes) -> list[Logged]:
    made = []
    for document in documents:
        start = advanced(start, document)
        made.append(Logged(start.version, 5, document, start.digest))
    return made


def test_every_kind_of_change_comes_back() -> None:
    assert decode(encode(EVERY)) == EVERY
    assert Logged(1, 5, encode(EVERY), b"").changes == EVERY
    assert decode(encode(())) == ()


def test_the_digest_of_a_row_covers_all_rows_before_it() -> None:
    start = beginning("a")
    one, other = (advanced(advanced(start, first), b"same") for first in (b"one", b"other"))
    assert (one.version, other.version) == (2, 2)
    assert one.digest != other.digest
    assert beginning("b").digest != start.digest


def test_rows_that_follow_are_taken_all_or_not() -> None:
    start = beginning("a")
    batch = rows(start, b"1", b"2", b"3")
    end = follow(start, batch)
    assert end == Position("a", 3, batch[-1].digest)
    assert follow(start, []) == start
    assert isinstance(end, Position)
    assert follow(follow(start, batch[:1]), batch[1:]) == end  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (rows(beginning("a"), b"1", b"2", b"3")[1:], "version 1 is missing: version 2 comes next"),
        (rows(beginning("a"), b"1", b"2", b"3")[::2], "version 2 is missing: version 3 comes next"),
        (rows(beginning("b"), b"1"), "version 1 belongs to another history"),
        (rows(beginning("a"), b"1", b"2")[:1] * 2, "version 2 is missing: version 1 comes next"),
    ],
    ids=["begins late", "a gap", "another log", "twice"],
)
def test_anything_else_needs_a_snapshot(batch: list[Logged], reason: str) -> None:
    assert follow(beginning("a"), batch) == SnapshotNeeded(reason)


def test_a_row_that_was_altered_needs_a_snapshot() -> None:
    first, second = rows(beginning("a"), b"1", b"2")
    altered = second._replace(document=b"3")
    assert isinstance(follow(beginning("a"), [first, altered]), SnapshotNeeded)


def test_a_position_includes_earlier_ones_of_its_own_log() -> None:
    start = beginning("a")
    later = advanced(start, b"1")
    assert later.includes(start)
    assert later.includes(later)
    assert not start.includes(later)
    assert not later.includes(beginning("b"))


def test_a_digest_covers_the_version() -> None:
    one = beginning("log")
    other = one._replace(version=one.version + 1)
    assert advanced(one, b"document").digest != advanced(other, b"document").digest
