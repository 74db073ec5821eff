"""The bound of what a tally gets wrong, whatever comes and however it is added up."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from server.watching.heavy_hitters import Tally
from tests.growth import growth

KEYS = st.integers(0, 40).map(lambda number: b"%d" % number)
STREAMS = st.lists(st.tuples(KEYS, st.integers(1, 50)), max_size=120)


def tally_of(kept: int, stream: list[tuple[bytes, int]]) -> Tally:
    tally = Tally(kept, {})
    for key, weight in stream:
        tally.add(key, weight)
        assert len(tally.counts) <= 2 * kept
    return tally


def check(tally: Tally, kept: int, *streams: list[tuple[bytes, int]]) -> None:
    true: Counter[bytes] = Counter()
    for stream in streams:
        for key, weight in stream:
            true[key] += weight
    total = sum(true.values())
    assert tally.total == total
    assert tally.lost * (kept + 1) <= total
    for key, count in true.items():
        assert count - tally.lost <= tally.counts.get(key, 0) <= count
    for key, at_least, at_most in tally.top(100):
        assert at_least <= true[key] <= at_most <= total
    assert {key for key, count in true.items() if count > total / (kept + 1)} <= tally.counts.keys()


@given(st.integers(1, 8), STREAMS)
def test_a_count_is_never_too_high_and_too_low_by_a_bounded_part_of_all(
    kept: int, stream: list[tuple[bytes, int]]
) -> None:
    check(tally_of(kept, stream), kept, stream)


@given(st.integers(1, 8), st.lists(STREAMS, max_size=5))
def test_the_sum_of_several_has_the_same_bound(kept: int, streams: list[list[tuple[bytes, int]]]) -> None:
    total = Tally(kept, {})
    for stream in streams:
        total.merge(tally_of(kept, stream))
        assert len(total.counts) <= 2 * kept
    check(total, kept, *streams)


def test_the_most_frequent_come_first_and_equals_by_their_key() -> None:
    tally = tally_of(8, [(b"b", 2), (b"a", 2), (b"c", 5), (b"d", 1)])
    assert [one.key for one in tally.top(3)] == [b"c", b"a", b"b"]


def test_tallies_share_nothing() -> None:
    one = Tally(4)
    one.add(b"a")
    assert not Tally(4).counts
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Tally) == one


def test_names_that_come_once_each_cost_the_same_each() -> None:
    few, many = ([(b"%d" % number, 1) for number in range(count)] for count in (4_000, 32_000))
    assert growth(lambda: tally_of(256, few), lambda: tally_of(256, many)) <= 12
