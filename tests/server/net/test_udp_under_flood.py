"""The UDP loop in virtual time, where each step costs what it was measured to: who waits how long beside a flood."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing

from server.net.mmsg import BATCH, Clients
from server.net.udp import SLICE, TURN, Loop
from server.query.fast.responder import Miss
from server.query.fast.waiting_queries import OLDEST, Dropped

# Seconds, on a machine that signs 28,000 random names a second.
RECEIVE, POLL, SEND, SCHEDULER = 4e-6, 2e-6, 8e-6, 25e-6
EACH_RECEIVED, EACH_REMEMBERED, EACH_SENT, EACH_COPIED, EACH_LOOKED_UP = 1e-6, 1e-6, 2.5e-6, 1e-6, 0.5e-6
MAKE, MAKE_FIRST = 27e-6, 5e-6  # 20 of them for the signature; the first of several finds all caches cold
MAKE_ONE = MAKE + MAKE_FIRST

HONEST, FLOOD = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
HOT = b"hot"


class Arrival(NamedTuple):
    at: float
    query: bytes
    client: bytes
    number: int


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


class FakeSender(NamedTuple):
    arrival: Arrival

    @property
    def host(self) -> bytes:
        return self.arrival.client


class FakeSocket:
    """One to which queries come at given times."""

    def __init__(self, time: Time, arrivals: Iterable[Arrival]) -> None:
        self.time = time
        self.coming = iter(arrivals)
        self.next = next(self.coming, None)
        self.answered: dict[Arrival, float] = {}
        self.order: list[Arrival] = []
        self.blocked = 0
        self.batches = self.copied = self.in_vain = 0
        self.window: Iterator[Arrival] | None = None
        """What is asked next for each answer, where so many are asked as are answered."""

    def batch(self) -> FakeBatch:
        self.batches += 1
        assert self.batches < 100
        return FakeBatch(self, self.time)

    def ask_again(self) -> None:
        if self.window is not None and (arrival := next(self.window, None)) is not None:
            arrival = arrival._replace(at=self.time.now)
            self.coming = itertools.chain(self.coming, [arrival])
            if self.next is None:
                self.next = next(self.coming, None)

    async def wait_writable(self) -> None:
        self.time.spend(SCHEDULER)


class FakeBatch:
    """What was received together."""

    def __init__(self, sock: FakeSocket, time: Time) -> None:
        self.socket = sock
        self.time = time
        self.received: list[Arrival] = []

    def has_come(self) -> bool:
        self.time.spend(POLL)
        return self.socket.next is not None and self.socket.next.at <= self.time.now

    def receive(self) -> list[bytes]:
        self.received, sock = [], self.socket
        while sock.next is not None and sock.next.at <= self.time.now and len(self.received) < BATCH:
            self.received.append(sock.next)
            sock.next = next(sock.coming, None)
        sock.in_vain += not self.received
        self.time.spend(RECEIVE + EACH_RECEIVED * len(self.received))
        return [arrival.query for arrival in self.received]

    def host(self, slot: int) -> bytes:
        return self.received[slot].client

    def networks(self, count: int) -> list[bytes]:
        return [one.client[:3] for one in self.received[:count]]

    def sender(self, slot: int) -> FakeSender:
        self.time.spend(EACH_COPIED)
        self.socket.copied += 1
        return FakeSender(self.received[slot])

    def send(self, responses: Sequence[bytes | None], start: int = 0) -> int:
        return self.send_to([FakeSender(arrival) for arrival in self.received], responses, start)

    def send_to(self, senders: Sequence[Any], responses: Sequence[bytes | None], start: int = 0) -> int:
        self.time.spend(SEND)
        for slot in range(start, len(responses)):
            response = responses[slot]
            if response is None:
                continue
            if self.socket.blocked:
                self.socket.blocked -= 1
                return slot
            arrival = senders[slot].arrival
            assert response == b"to " + arrival.query
            assert arrival not in self.socket.answered
            self.time.spend(EACH_SENT)
            self.socket.answered[arrival] = self.time.now
            self.socket.order.append(arrival)
            self.socket.ask_again()
        return len(responses)

    async def wait_writable(self) -> None:
        await self.socket.wait_writable()


class FakeResponder:
    """Remembers what it made for queries that begin like names that exist."""

    udp_size = 1232

    def __init__(self, time: Time, remembered: Iterable[bytes] = (HOT,)) -> None:
        self.time = time
        self.known = set(remembered)
        self.dropped = Dropped()
        self.made = 0
        self.together: Counter[int] = Counter()
        """How often so many were made together."""
        self.vouched: list[int] = []

    def remembered(
        self, queries: Sequence[bytes], now: int, sender: Callable[[int], bytes]
    ) -> tuple[list[bytes | None], list[Miss]]:
        self.time.spend(EACH_REMEMBERED * len(queries))
        responses = [b"to " + query if query in self.known else None for query in queries]
        missed = [slot for slot, response in enumerate(responses) if response is None]
        return responses, [Miss(slot, queries[slot], 99, queries[slot], queries[slot], b"") for slot in missed]

    def begin(self, now: int) -> None:
        pass

    def exist(self, missed: Sequence[Miss]) -> list[bool]:
        self.time.spend(EACH_LOOKED_UP * len(missed))
        return [one.query.startswith(b"exists") for one in missed]

    def look_again(self, sender: Callable[[int], bytes], vouched: list[int]) -> None:
        self.vouched = vouched

    def make(self, missed: Sequence[Miss], numbers: Sequence[int], now: int) -> list[bytes]:
        assert len(missed) == len(numbers) > 0
        self.together[len(missed)] += 1
        self.time.spend(MAKE_FIRST)
        return [self.one(miss) for miss in missed]

    def one(self, missed: Miss) -> bytes:
        if missed.query not in self.known:
            self.time.spend(MAKE)
            self.made += 1
        if missed.query.startswith(b"exists"):
            self.known.add(missed.query)
        return b"to " + missed.query


class Run:
    """A process that answers for a while."""

    def __init__(self, *streams: Iterable[Arrival], remembered: Iterable[bytes] = (HOT,), outgoing: Any = None) -> None:
        self.time = Time()
        self.all: list[Arrival] = []
        self.socket = FakeSocket(self.time, self.noted(heapq.merge(*streams)))
        self.responder = FakeResponder(self.time, remembered)
        self.loop = Loop([self.socket.batch], self.responder, lambda: 0.0, self.time, outgoing)  # type: ignore[arg-type]
        self.longest = 0.0
        """Seconds of the longest turn, in which no other task runs."""

    def noted(self, arrivals: Iterable[Arrival]) -> Iterable[Arrival]:
        for arrival in arrivals:
            self.all.append(arrival)
            yield arrival

    def go(self, turn: Callable[[], None] | None = None) -> Run:
        """To the end of what comes."""
        turn = turn or self.turn
        while self.socket.next is not None or self.loop.is_behind:
            self.time.spend(SCHEDULER)
            if not self.loop.is_behind and self.socket.next is not None:
                self.time.now = max(self.time.now, self.socket.next.at)
            begun = self.time.now
            turn()
            self.longest = max(self.longest, self.time.now - begun)
        return self

    async def go_on(self) -> None:
        """As `go`, where sockets are waited for."""
        while self.socket.next is not None or self.loop.is_behind:
            self.time.spend(SCHEDULER)
            await self.loop.turn()

    def turn(self) -> None:
        with pytest.raises(StopIteration):
            self.loop.turn().send(None)

    def answer_batches_whole(self) -> None:
        """As a loop does that knows nothing of waiting."""
        batch = self.socket.batch()
        while queries := batch.receive():
            responses, missed = self.responder.remembered(queries, 0, batch.host)
            for one in missed:
                self.time.spend(MAKE_FIRST)
                responses[one.slot] = self.responder.one(one)
            batch.send(responses)

    def waits(self, client: bytes) -> list[float]:
        """Seconds that its queries waited, the shortest first; without end where there is no answer."""
        asked = [arrival for arrival in self.all if arrival.client == client]
        return sorted(self.socket.answered.get(arrival, 1e9) - arrival.at for arrival in asked)


def stream(rate: float, seconds: float, client: bytes, query: Callable[[int], bytes], seed: int = 0) -> list[Arrival]:
    """Queries at random times."""
    dice, at = random.Random(seed), 100.0
    arrivals: list[Arrival] = []
    for number in itertools.count():
        at += dice.expovariate(rate)
        if at > 100 + seconds:
            return arrivals
        arrivals.append(Arrival(at, query(number), client, number))
    raise AssertionError


def random_name(number: int) -> bytes:
    return b"random %d" % number


def hot(_: int) -> bytes:
    return HOT


@pytest.mark.parametrize("rate", [10_000, 30_000, 60_000, 150_000])
def test_hot_queries_wait_for_no_more_than_a_slice_and_a_look(rate: float) -> None:
    run = Run(stream(rate, 0.6, FLOOD, random_name), stream(1000, 0.6, HONEST, hot, 1)).go()
    waits = run.waits(HONEST)
    assert waits[-1] < 4 * SLICE
    assert waits[len(waits) * 99 // 100] < 3 * SLICE
    assert run.longest < TURN + 3 * SLICE


def test_a_loop_that_answers_each_batch_whole_has_them_wait_without_end() -> None:
    run = Run(stream(60_000, 0.6, FLOOD, random_name), stream(1000, 0.6, HONEST, hot, 1))
    assert run.go(run.answer_batches_whole).waits(HONEST)[-1] > 0.3


@pytest.mark.parametrize(("rate", "share"), [(30_000, 0.85), (60_000, 0.8)])
def test_a_flood_leaves_most_of_the_time_for_signatures(rate: float, share: float) -> None:
    run = Run(stream(rate, 0.6, FLOOD, random_name)).go()
    assert run.responder.made * MAKE_ONE > share * (run.time.now - 100)
    dropped = run.responder.dropped.by_cause()
    assert run.responder.made + sum(dropped.values()) == len(run.all)


def test_responses_that_have_to_be_made_are_made_many_together() -> None:
    run = Run(stream(60_000, 0.3, FLOOD, random_name)).go()
    assert max(run.responder.together) * (MAKE + MAKE_FIRST) < 1.2 * SLICE
    assert run.responder.made / run.responder.together.total() > 0.6 * SLICE / MAKE


def test_below_what_can_be_signed_all_are_answered_in_the_order_of_arrival() -> None:
    run = Run(stream(20_000, 0.6, FLOOD, random_name)).go()
    assert run.socket.order == run.all
    assert run.waits(FLOOD)[-1] < 0.01


def test_of_as_many_as_may_wait_in_order_none_is_dropped_or_copied() -> None:
    run = Run([Arrival(100.0, random_name(number), FLOOD, number) for number in range(192)])
    run.socket.window = (Arrival(0.0, random_name(number), FLOOD, number) for number in range(192, 5000))
    run.go()
    assert run.socket.copied == sum(run.responder.dropped.by_cause().values()) == 0
    assert [arrival.number for arrival in run.socket.order] == list(range(5000))
    assert run.responder.made * MAKE_ONE > 0.9 * (run.time.now - 100)
    assert run.socket.batches < 8
    assert run.socket.in_vain < 0.5 * (run.time.now - 100) / SLICE  # not between any two slices


def test_after_a_flood_the_order_is_that_of_arrival_again() -> None:
    later = [arrival._replace(at=arrival.at + 0.5) for arrival in stream(20_000, 0.2, HONEST, random_name, 1)]
    run = Run(stream(60_000, 0.3, FLOOD, random_name), later).go()
    assert sum(run.responder.dropped.by_cause().values()) > 1000
    assert [arrival for arrival in run.socket.order if arrival.client == HONEST] == later
    assert run.socket.batches < 30


def test_in_order_of_arrival_too_nothing_is_answered_after_its_time() -> None:
    run = Run([Arrival(100.0, random_name(number), FLOOD, number) for number in range(200)])
    run.turn()
    assert 0 < len(run.socket.answered) < 100
    assert run.loop.is_behind
    run.time.spend(OLDEST)
    run.go()
    assert run.responder.dropped.too_old == 200 - run.responder.made > 50
    assert not run.loop.is_behind


def test_what_comes_while_nothing_waits_is_made_at_once() -> None:
    run = Run([Arrival(100.001, b"random", FLOOD, 0)])
    run.go()
    assert run.waits(FLOOD)[0] < RECEIVE + SEND + SCHEDULER + MAKE + 10e-6


def test_first_queries_for_names_that_exist_are_answered_beside_a_flood() -> None:
    first = stream(500, 0.6, FLOOD[:2] + bytes(2), lambda number: b"exists %d" % number, 1)
    run = Run(stream(60_000, 0.6, FLOOD, random_name), first).go()
    waits = run.waits(FLOOD[:2] + bytes(2))
    assert waits[len(waits) // 2] < TURN
    assert waits[-1] < 0.02  # until as many wait that they are sorted


def test_names_that_do_not_exist_are_denied_to_clients_of_other_prefixes_beside_a_flood() -> None:
    run = Run(stream(60_000, 0.6, FLOOD, random_name), stream(500, 0.6, HONEST, random_name, 1)).go()
    assert run.waits(HONEST)[-1] < 0.02


def test_a_flood_from_many_prefixes_starves_no_client_that_asks_now_and_then() -> None:
    clients = random.Random(3)
    flood = [
        arrival._replace(client=bytes([10, *clients.randbytes(2), 1]))
        for arrival in stream(60_000, 0.6, FLOOD, random_name)
    ]
    run = Run(flood, stream(1000, 0.6, HONEST, hot, 1)).go()
    assert run.waits(HONEST)[-1] < 4 * SLICE
    assert run.responder.made * MAKE_ONE > 0.7 * (run.time.now - 100)


def test_a_flood_of_names_that_exist_leaves_turns_for_those_that_do_not() -> None:
    kinds = stream(60_000, 0.6, FLOOD, lambda number: b"exists %d" % number)
    run = Run(kinds, stream(500, 0.6, HONEST, random_name, 1), stream(500, 0.6, HONEST[::-1], hot, 2)).go()
    waits = run.waits(HONEST)
    assert waits[len(waits) * 9 // 10] < 0.02
    assert run.waits(HONEST[::-1])[-1] < 4 * SLICE


def test_a_flood_of_what_is_remembered_leaves_time_for_what_is_not() -> None:
    run = Run(stream(600_000, 0.2, FLOOD, hot), stream(500, 0.2, HONEST, random_name, 1)).go()
    assert run.waits(HONEST)[-1] < 0.5
    assert run.longest < TURN + 3 * SLICE


def test_a_new_process_answers_what_has_waited_for_it_though_it_remembers_nothing() -> None:
    dice = random.Random(5)
    piled_up = [
        Arrival(99.0, b"exists %d" % min(int(dice.paretovariate(0.7)), 2000), HONEST, number)
        for number in range(10_000)
    ]
    run = Run(piled_up, remembered=()).go()
    assert sum(run.responder.dropped.by_cause().values()) == 0
    assert len(run.socket.answered) == 10_000


def test_what_sees_responses_before_they_leave_sees_those_that_waited_with_their_clients() -> None:
    seen: list[tuple[bytes, bytes]] = []

    def outgoing(queries: Sequence[bytes], responses: list[bytes | None], clients: Clients) -> None:
        for slot, response in enumerate(responses):
            if response is not None:
                assert response == b"to " + queries[slot]
                seen.append((queries[slot], clients.host(slot)))

    run = Run(
        stream(40_000, 0.1, FLOOD, random_name), stream(1000, 0.1, HONEST, random_name, 1), outgoing=outgoing
    ).go()
    assert len(seen) == len(run.socket.answered) > 1000
    assert sorted(seen) == sorted((arrival.query, arrival.client) for arrival in run.socket.answered)


async def test_a_socket_that_takes_no_more_is_waited_for() -> None:
    run = Run(stream(40_000, 0.05, FLOOD, random_name), stream(1000, 0.05, HONEST, hot, 1))
    run.socket.blocked = 20
    await run.go_on()
    assert run.socket.blocked == 0
    assert run.waits(HONEST)[-1] < 1


async def test_a_socket_that_takes_nothing_for_long_does_not_hold_up_the_others(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(stream(40_000, 0.05, FLOOD, random_name), stream(1000, 0.05, HONEST, hot, 1))
    run.socket.blocked = 10**9
    monkeypatch.setattr(run.socket, "wait_writable", trio.sleep_forever)
    with trio.fail_after(60):
        await run.go_on()
    assert not run.socket.answered
