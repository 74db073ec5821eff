"""JSON from a stranger."""

from __future__ import annotations

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.emulator.strict_json import MAXIMUM_DEPTH, read_json
from tests.growth import growth

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\[]{}\n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_what_json_writes_is_read(value: object) -> None:
    assert read_json(json.dumps(value)) == value


def test_depth() -> None:
    assert read_json("[" * MAXIMUM_DEPTH + "]" * MAXIMUM_DEPTH)
    assert read_json('["' + "[" * 1000 + '"]') == ["[" * 1000]
    for opening in ("[", '{"a":'):
        with pytest.raises(ValueError, match="deep"):
            read_json(opening * (MAXIMUM_DEPTH + 1))


@pytest.mark.parametrize("text", ["", "{", '"', '"\\', "[1,]", '{"a": 1, "a": 2}', '[{"a": {"b": 1, "b": 1}}]'])
def test_what_is_not_read(text: str) -> None:
    with pytest.raises(ValueError):
        read_json(text)


def test_a_string_that_never_ends_takes_no_quadratic_time() -> None:
    def read(quotes: int) -> None:
        with pytest.raises(ValueError):
            read_json('"' + '\\"' * quotes)

    # Ten times the length: ten times the time, where it would be a hundred.
    assert growth(partial(read, 5_000), partial(read, 50_000)) < 30
