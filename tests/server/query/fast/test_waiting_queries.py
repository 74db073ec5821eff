"""Queries that wait: whose turn it is, who has to go, and that none is lost without being counted."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.query.fast.waiting_queries import (
    MOST_EXISTING,
    MOST_OTHERS,
    OLDEST,
    ByPrefix,
    Dropped,
    WaitingQueries,
)


class Query(NamedTuple):
    client: bytes
    question: bytes
    exists: bool = False
    number: int = 0

    @property
    def prefix(self) -> bytes:
        return self.client[:3] if len(self.client) == 4 else self.client[:7]


def client(prefix: int, host: int = 1) -> bytes:
    return bytes([10, prefix >> 8, prefix & 0xFF, host])


def waiting() -> tuple[WaitingQueries[Query], Dropped]:
    dropped = Dropped()
    return WaitingQueries(dropped), dropped


def put(queue: WaitingQueries[Query], query: Query, now: float) -> None:
    queue.put(query, now, exists=query.exists)


def all_of(queue: WaitingQueries[Query] | ByPrefix[Query], now: float = 0.0) -> list[Query]:
    taken = []
    while (query := queue.take(now)) is not None:
        taken.append(query)
    return taken


def test_names_that_exist_come_first_and_oldest_first_and_each_fourth_is_another() -> None:
    queue, _ = waiting()
    for number in range(9):
        put(queue, Query(client(1), b"other %d" % number), 0.0)
        put(queue, Query(client(1), b"exists %d" % number, exists=True), 0.0)
    taken = all_of(queue)
    before = [query.question for query in taken if query.exists]
    assert before == [b"exists %d" % number for number in range(9)]
    others = [query.question for query in taken if not query.exists]
    assert others == [b"other %d" % number for number in range(8, -1, -1)]
    last = max(place for place, query in enumerate(taken) if query.exists)
    for place in range(last - 3):
        assert [query.exists for query in taken[place : place + 4]].count(False) == 1


def test_nothing_is_answered_after_its_time() -> None:
    queue, dropped = waiting()
    for number in range(40):
        put(queue, Query(client(number % 3), b"%d" % number, exists=number % 2 == 0), number / 100)
    taken = all_of(queue, OLDEST + 0.195)
    assert sorted(int(query.question) for query in taken) == list(range(20, 40))
    assert dropped.by_cause() == {"too_many": 0, "too_old": 20, "repeated": 0}


@pytest.mark.parametrize("address", [bytes([192, 0, 2]), bytes([0x20, 1, 0xD, 0xB8, 0, 0, 1])])
def test_a_flood_from_one_prefix_takes_only_its_own_turns(address: bytes) -> None:
    size = 4 if len(address) == 3 else 16
    queue: ByPrefix[Query] = ByPrefix(256, Dropped(), newest_first=True)
    honest = [Query(client(number), b"honest") for number in range(10)]
    for number in range(3000):
        host = (number % 256).to_bytes(size - len(address), "big")
        queue.put(Query(address + host, b"flood %d" % number), 0.0)
        if number % 300 == 0:
            queue.put(honest[number // 300], 0.0)
    taken = [queue.take(0.0) for _ in range(20)]
    assert {query for query in taken if query is not None and query.question == b"honest"} == set(honest)
    assert [query.question for query in taken if query is not None][:2].count(b"honest") <= 1


def test_with_room_for_none_of_many_prefixes_the_last_that_came_are_kept() -> None:
    dropped = Dropped()
    queue: ByPrefix[Query] = ByPrefix(256, dropped, newest_first=True)
    queries = [Query(client(number), b"one") for number in range(10_000)]
    for query in queries:
        queue.put(query, 0.0)
    kept = all_of(queue)
    assert kept == queries[-len(kept) :]
    assert 128 <= len(kept) <= 256
    assert dropped.too_many == len(queries) - len(kept)


def test_a_query_that_is_sent_again_is_answered_once_and_to_the_later() -> None:
    queue, dropped = waiting()
    for number in range(3):
        put(queue, Query(client(1), b"again", number=number), number / 100)
        put(queue, Query(client(2), b"again", number=number), number / 100)
        put(queue, Query(client(1, 2), b"again", number=number), number / 100)
    taken = [query for query in all_of(queue, 0.03) if query.question == b"again"]
    assert sorted(taken) == sorted(
        Query(address, b"again", number=2) for address in (client(1), client(2), client(1, 2))
    )
    assert dropped.repeated == 6


def test_a_query_that_is_sent_again_after_it_was_answered_is_answered_again() -> None:
    queue, dropped = waiting()
    for number in range(3):
        put(queue, Query(client(1), b"again", number=number), number / 100)
        put(queue, Query(client(1), b"other", number=number), number / 100)
        numbers = []
        for _ in range(2):
            query = queue.take(number / 100)
            while query is not None and query.client != client(1):
                query = queue.take(number / 100)
            assert query is not None
            numbers.append(query.number)
        assert numbers == [number, number]
    assert dropped.repeated == 0


_PUTS = st.tuples(
    st.integers(0, 6).map(lambda prefix: min(prefix, 3)), st.integers(0, 2), st.integers(0, 30), st.booleans()
)


@given(steps=st.lists(st.one_of(_PUTS, st.integers(1, 40)), max_size=120), burst=st.integers(1, 60))
def test_each_query_is_answered_once_or_counted_and_no_more_wait_than_may(
    steps: list[tuple[int, int, int, bool] | int], burst: int
) -> None:
    queue, dropped = waiting()
    came: Counter[Query] = Counter()
    taken: Counter[Query] = Counter()
    now, number = 0.0, 0
    for step in steps:
        now += 0.001
        if isinstance(step, int):
            for _ in range(step):
                if (query := queue.take(now)) is not None:
                    taken[query] += 1
            continue
        prefix, host, question, exists = step
        numbers = range(number, number + burst)
        number += burst
        queries = [Query(client(prefix, host), b"%d" % question, exists=exists, number=one) for one in numbers]
        came.update(queries)
        for query in queries if exists else queue.admitted(queries, lambda query: query.client):
            put(queue, query, now)
        assert queue.count <= MOST_OTHERS + MOST_EXISTING
    taken.update(all_of(queue, now))
    assert queue.count == 0
    assert all(count == 1 for count in taken.values())
    assert not taken - came
    assert taken.total() + sum(dropped.by_cause().values()) == came.total()


def test_where_many_wait_of_those_that_come_together_the_newest_of_each_prefix_are_let_in() -> None:
    queue, dropped = waiting()
    flood = [Query(client(1), b"flood %d" % number) for number in range(64)]
    honest = [Query(client(number), b"honest") for number in range(2, 5)]
    together = [*honest, *flood]
    while queue.count <= MOST_OTHERS // 2:
        assert queue.admitted(together, lambda query: query.client) == together
        put(queue, flood[0], 0.0)
    admitted = queue.admitted(together, lambda query: query.client)
    assert admitted == [*honest, *flood[-len(admitted) + len(honest) :]]
    assert len(honest) < len(admitted) < len(together) // 2
    assert dropped.too_many == len(together) - len(admitted)
    assert queue.admitted(together[:10], lambda query: query.client) == together[:10]


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_each_prefix_has_its_turn(sizes: list[int]) -> None:
    dropped = Dropped()
    queue: ByPrefix[Query] = ByPrefix(10_000, dropped, newest_first=True)
    for prefix, size in enumerate(sizes):
        for number in range(size):
            queue.put(Query(client(prefix), b"%d" % number), 0.0)
    left = Counter(dict(enumerate(sizes)))
    order = [query.client[1] << 8 | query.client[2] for query in all_of(queue)]
    while order:
        waits = [prefix for prefix in sorted(left) if left[prefix]]
        assert order[: len(waits)] == waits
        del order[: len(waits)]
        left.subtract(waits)


@given(
    most=st.integers(2, 64),
    puts=st.lists(st.integers(0, 20).map(lambda prefix: prefix * prefix // 8), max_size=400),
    newest_first=st.booleans(),
)
def test_room_is_made_at_the_cost_of_those_with_the_most(most: int, puts: list[int], newest_first: bool) -> None:
    dropped = Dropped()
    queue: ByPrefix[Query] = ByPrefix(most, dropped, newest_first=newest_first)
    held: dict[int, list[Query]] = {}
    for number, prefix in enumerate(puts):
        before = {which: len(queries) for which, queries in held.items()}
        gone = dropped.too_many
        query = Query(client(prefix), b"%d" % number)
        queue.put(query, 0.0)
        assert queue.count <= most
        if dropped.too_many > gone:
            share = most // 2 // max(1, len(before))
            # Found out by a look inside: what is left of each, the newest.
            held = {key[1] << 8 | key[2]: [one for _, one in waiting] for key, waiting in queue._turns.items()}
            held[prefix].remove(query)
            for which, queries in held.items():
                assert len(queries) >= min(before.get(which, 0), share)
            held = {which: queries for which, queries in held.items() if queries}
        held.setdefault(prefix, []).append(query)
    assert Counter(all_of(queue)) == Counter(query for queries in held.values() for query in queries)
