"""The caches: bounded whatever is asked, and gone with the zones they were made from."""

from __future__ import annotations

import pytest

from server.memo import Generations, Memo
from zones.zoneset import ZoneSet


def number(n: int) -> bytes:
    return n.to_bytes(8)


def test_what_was_put_is_there() -> None:
    kept: Generations[bytes] = Generations(10_000, len)
    kept.put(b"key", b"value")
    assert kept.get(b"key") == b"value"
    assert kept.get(b"other") is None


def test_what_is_asked_for_again_stays_and_what_is_not_goes() -> None:
    kept: Generations[bytes] = Generations(100_000, len)
    kept.put(b"hot", b"x" * 100)
    kept.put(b"cold", b"x" * 100)
    for n in range(2000):
        kept.put(number(n), b"y" * 100)
        assert kept.get(b"hot") is not None
    assert kept.get(b"cold") is None


@pytest.mark.parametrize("size", [0, 100, 20_000])
def test_the_bound_holds_also_when_everything_is_asked_for_again_and_again(size: int) -> None:
    budget = 100_000
    kept: Generations[bytes] = Generations(budget, len)
    for round_ in range(20):
        for n in range(round_ * 50):
            if kept.get(number(n)) is None:
                kept.put(number(n), bytes(size))
            assert len(kept) * (250 + 8 + size) <= budget or len(kept) <= 2


def test_a_clear_forgets_both_generations() -> None:
    kept: Generations[bytes] = Generations(2_000, len)
    for n in range(20):
        kept.put(number(n), b"")
    kept.clear()
    assert len(kept) == 0
    assert all(kept.get(number(n)) is None for n in range(20))


def test_answers_are_those_of_one_set_of_zones_and_signatures_of_all() -> None:
    memo, first = Memo(), ZoneSet()
    memo.for_zoneset(first)
    memo.packets.put(b"q", (b"r", 5))
    memo.signatures.put(b"content", b"signature")
    memo.for_zoneset(first)
    assert memo.packets.get(b"q") == (b"r", 5)
    memo.for_zoneset(ZoneSet())
    assert memo.packets.get(b"q") is None
    assert memo.signatures.get(b"content") == b"signature"
