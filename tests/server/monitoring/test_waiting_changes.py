"""What waits for a hook is bounded, keeps its order, and loses the last status of nobody."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from keys.rules.key_status import StatusChange
from server.monitoring.waiting_changes import Waiting, WaitingChanges

NAMES = st.tuples(st.sampled_from(["a.", "b.", "c."]), st.sampled_from([None, "ksk_1", "ksk_2"]))


def change(zone: str, ksk: str | None, before: int, after: int) -> Waiting:
    return Waiting(zone, StatusChange(at=after, ksk=ksk, before=str(before), after=str(after), reason=None))


def all_of(waiting: WaitingChanges) -> list[Waiting]:
    return [waiting.take() for _ in range(len(waiting))]


@given(st.lists(NAMES | st.none(), max_size=60))
def test_whatever_comes_and_is_taken(steps: list[tuple[str, str | None] | None]) -> None:
    waiting, taken = WaitingChanges(4), []
    last: dict[tuple[str, str | None], int] = {}
    for moment, name in enumerate(steps, 1):
        if name is None:
            taken += [waiting.take()] if waiting else []
            continue
        waiting.add(change(*name, last.get(name, 0), moment))
        last[name] = moment
        assert len(waiting) <= 4 + len(last)
    taken += all_of(waiting)
    assert {one.whose[:2]: one.change.at for one in taken} == last
    assert all(earlier.change.at < later.change.at for earlier, later in pairwise(taken))
    for whose in last:
        told = [one.change for one in taken if one.whose[:2] == whose]
        assert [one.before for one in told] == ["0", *(one.after for one in told[:-1])]


def test_few_are_told_one_by_one() -> None:
    waiting = WaitingChanges(4)
    changes = [change("a.", None, n, n + 1) for n in range(4)]
    for one in changes:
        waiting.add(one)
    assert all_of(waiting) == changes


def test_what_is_set_aside_gives_way_to_what_is_newer() -> None:
    waiting = WaitingChanges()
    old, new, other = change("a.", None, 0, 1), change("a.", None, 1, 2), change("b.", None, 0, 1)
    waiting.set_aside(old)
    waiting.set_aside(other)
    waiting.add(new)
    waiting.set_aside(old)
    assert [waiting.take_aside(), waiting.take_aside()] == [other, None]
    assert all_of(waiting) == [new]
