"""Persistent mappings against plain dicts: the same entries after any changes, and no change seen by who holds one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones.persistent_map import Buckets, SortedMap, changed, persistent

keys = st.integers(0, 60)
batches = st.lists(st.dictionaries(keys, st.none() | st.integers()), max_size=8)


def applied(to: dict[int, int], batch: dict[int, int | None]) -> dict[int, int]:
    merged: dict[int, int | None] = {**to, **batch}
    return {key: value for key, value in merged.items() if value is not None}


def compare(ours: SortedMap[int, int], plain: dict[int, int]) -> None:
    ordered = sorted(plain)
    assert list(ours) == ordered
    assert list(ours.values()) == [plain[key] for key in ordered]
    assert len(ours) == len(plain)
    assert ours.last() == (ordered[-1] if ordered else None)
    for key in range(-1, 62):
        assert ours.get(key) == plain.get(key)
        assert list(ours.after(key)) == [(other, plain[other]) for other in ordered if other > key]
        at_or_before = [other for other in ordered if other <= key]
        if at_or_before:
            following = ordered[len(at_or_before) % len(ordered)]
            assert ours.around(key) == (plain[at_or_before[-1]], plain[following])


@given(st.dictionaries(keys, st.integers()), batches)
def test_a_sorted_map_is_a_dict_in_order(start: dict[int, int], made: list[dict[int, int | None]]) -> None:
    ours = SortedMap.of(start)
    for batch in made:
        before = list(ours)
        after = ours.changed(batch)
        assert list(ours) == before
        ours, start = after, applied(start, batch)
        compare(ours, start)


@pytest.mark.parametrize("block", [2, 8])
def test_blocks_split_and_join(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zones.persistent_map._BLOCK", block)
    monkeypatch.setattr("zones.persistent_map._MOST_IN_BLOCK", 2 * block)
    monkeypatch.setattr("zones.persistent_map._FEW_IN_BLOCK", max(block // 4, 2))
    chance = random.Random(7)
    plain: dict[int, int] = {}
    ours = SortedMap.of(plain)
    for growing in (True, False, True, False):
        for _ in range(60):
            batch: dict[int, int | None] = {
                chance.randrange(61): chance.randrange(9) if growing or chance.random() < 0.2 else None
                for _ in range(chance.randrange(5))
            }
            ours, plain = ours.changed(batch), applied(plain, batch)
            compare(ours, plain)


@pytest.mark.parametrize("size", [10, 3000])
def test_a_mapping_small_or_large_is_a_dict(size: int) -> None:
    chance = random.Random(size)
    plain = {b"%d" % number: number for number in range(size)}
    ours = persistent(dict(plain))
    assert isinstance(ours, Buckets) == (size > 2048)
    for _ in range(50):
        batch = {b"%d" % chance.randrange(2 * size): chance.choice([None, 1, 2]) for _ in range(4)}
        before = dict(ours)
        after = changed(ours, batch)
        assert dict(ours) == before
        ours = after
        plain = {k: v for k, v in {**plain, **batch}.items() if v is not None}
        assert dict(ours) == plain
        assert len(ours) == len(plain)
        assert ours.get(b"none") is None
        assert ours.get(b"none", 7) == 7
        assert b"none" not in ours
    assert changed(ours, {}) is ours


def test_a_small_mapping_that_has_grown_is_cut_into_buckets() -> None:
    ours = persistent({b"%d" % number: number for number in range(2048)})
    assert isinstance(ours, dict)
    ours = changed(changed(ours, {b"x": 1}), {b"y": 2})
    assert isinstance(ours, Buckets)
    assert (ours[b"x"], ours[b"y"], len(ours)) == (1, 2, 2050)
    with pytest.raises(KeyError):
        ours[b"z"]
