"""The UDP loop: one task looks at all UDP sockets of a process, answers what is remembered, and makes the rest.

Signing takes ten times as long as an answer that is remembered, so a client that asks for random names could keep all
others waiting. So nothing is made for longer than `SLICE` without a look at the sockets, and what waits meanwhile waits
here, where it can be chosen which is next (`waiting_queries`), and not in the kernel, which has one queue for all. What
comes while nothing waits is made at once, so that without load a query waits for nothing.

Up to 256 queries wait where they were received, in the order of arrival, and other batches are received into meanwhile:
nothing is copied, and they leave by one system call, as if they had been answered at once. Only what comes beyond is
copied, sorted, and dropped where it is too much.

The kernel could tell when each datagram came (SO_TIMESTAMPNS), so that what it held for more than 300 ms is dropped.
That is not asked for: each datagram, a hot one too, would carry control data to be read, and it would tell something
only after a stall (a worker was replaced, the process stopped). A look takes all that is there, so while the process
runs nothing becomes old in the kernel's buffer: it holds 10,000 queries, which are taken within 50 ms. After a stall,
those that are remembered are answered all the same, for 2 µs each. Of the others the last to come go first, and no more
are made than `waiting_queries` holds, 40 ms of signatures: those of names that exist are remembered then.

Waiting for sockets costs a trip through the scheduler (25 µs); looking once more does not (1 µs). So a batch that was
not full gives no cause to wait: at half of the highest rate, the next queries have come by then (median latency 17 µs,
not 32). `TURN` lets other tasks run. A look that brings little costs as much as making an answer, so where queries wait
there is one between two slices, and more only where a batch was full. Where the last one brought nothing, the socket is
asked first (3 µs amid signatures, where a `recvmmsg` that finds nothing takes 10).

What is made in a slice is made together (`Responder.make`), as many as the last ones say that fit: 57 µs each by six,
87 one by one, on a busy machine. Answers to random names per CPU second, as a share of those of a loop that made one
after the other and always received, run in turns on a machine whose load average was 4 to 12: in one process 1.04, 1.06
and 1.10 (medians of 10 to 14 pairs), where another program sent 1.06 and 1.08 (8 and 10). It stays short of a loop
that answers each batch whole, which had 1.17 to 1.30 there: looking between slices costs the rest. Hot answers: 0.99.

Hot queries at 1,000 a second beside random names (compact denial), on two cores that much else shared, so that only
ratios of one run mean anything; in ms, 99 % of hot queries within, and the hot queries that were lost. Measured when
every query that waited was still copied:

    random names a second      answering batches whole      this loop          NSD
    10,000                     9.2                          3.6                3.6
    30,000                     547 (45 % lost)              4.8 (none)         4.1 (none)

The price, beside a loop that answers each batch whole, is more looks, and what the sorting costs. Answers per CPU
second, as a share of that loop's, the least and the most of several runs, on two cores shared by many, where a slice
makes only 6 or 7 and a signature takes 70 µs. These runs differ by more than the two ways do; what a quiet machine says
is not known yet:

    random names                                  every query copied that waits          this loop
    192 outstanding, none dropped (5 runs)        0.70 to 0.90                           0.77 to 0.96
    30,000 a second, 3 times what can be signed   0.64 (median of its rounds 0.50)       0.59 (0.59)
    60,000 a second, 4 times what can be signed   0.28                                   0.44

Hot answers: 0.98 to 1.02, one at a time 0.89 to 1.01.

In virtual time, where each step costs what it does on a quiet core (`test_udp_under_flood`), 0.93 of what can be signed
is answered at 1.1 to 1.2 times that rate, and 0.86 at 2.2 times (0.92 and 0.82 where every query is copied).
"""

from __future__ import annotations

import errno
import math
import selectors
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import compress
from operator import not_
from typing import NoReturn, Protocol

import msgspec
import structlog
import trio

from server.net.mmsg import BATCH, Batch, Clients, Sender, batch_for, never_fragment
from server.net.response_rate_limit import network_of
from server.query.edns import DEFAULT_SIZE
from server.query.fast.responder import Miss, Responder
from server.query.fast.waiting_queries import IN_ORDER, OLDEST, WaitingQueries

TURN = 0.003
"""Seconds before other tasks run."""
SLICE = 0.0005
"""Seconds for which answers are made before the next look at the sockets."""
_CATCHES_UP = 1.0
"""Seconds at the start for what waited in the sockets: twice what 10,000 names that do not exist take."""
_TOGETHER = 48
"""Responses to what has waited that are sent together, at the latest at the end of a turn: a system call for a few of
them costs as much as making one."""
_AT_ONCE = 16
"""Responses that are made together (`Responder.make`): a slice at most, while a signature takes 30 µs."""
_SLOWER = 1.125
"""By what a response may seem to take longer than the last ones."""
_LEAST = 1e-7
"""Seconds that a response takes at least."""
_TOO_SHORT = SLICE / 4
"""Seconds at the end of a slice in which none are made: one alone takes half as long again as one of many."""
_MOST_IN_PLACE = 16
"""Batches whose queries wait where they were received: 270 kB each."""
_MOST_SPARE = 4
"""Batches that a socket keeps: to make one takes as long as making 10 answers."""
_BLOCKED = 0.01
"""Seconds that a socket is waited for which takes no more responses: what it still does not take is lost."""

_SHORT = (errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC)
"""What a system that lacks memory says, also to trio's epoll: it passes, and nothing that came is lost meanwhile."""
_PAUSE = 0.01
"""Seconds until the next try."""
_TELL_AGAIN = 60.0
"""Seconds between two lines of the log about that."""
_log = structlog.get_logger("signwright.udp")

Send = Callable[[Sequence[bytes | None], int], int]
"""Send responses from one place on; returns how many are done (`Batch.send`)."""


class Outgoing(Protocol):
    """What sees responses before they leave and may change them: what depends on who asks, or limits how often."""

    def __call__(self, queries: Sequence[bytes], responses: list[bytes | None], clients: Clients) -> None:
        """Replace responses in place; None becomes silence. Must not raise.

        Queries and responses are without their IDs (`server.net.mmsg`), each in the place of its client. They are what
        one look at a socket brought, or what waited, at most `BATCH`. None is also the place of a query that waits: it
        is seen again with its response.
        """


Ahead = Callable[[list[bytes | None], Sequence[Miss], Clients, int], Sequence[Miss]]
"""Is shown what one look at a socket brought that has to be made, with its clients and the time, and may put responses
that are sent instead into the list of all; what is left of it. Must not raise."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A query that waits sorted, copied out of its batch."""

    batch: Batch
    """By what its response is sent."""
    sender: Sender
    missed: Miss

    @property
    def client(self) -> bytes:
        """As `Waiting.client`."""
        return self.sender.host

    @property
    def question(self) -> bytes:
        """As `Waiting.question`."""
        return self.missed.question

    def host(self, _: int) -> bytes:
        """As `Clients.host`, of this one alone."""
        return self.sender.host


async def serve_udp(
    sockets: Sequence[socket.socket],
    responder: Responder,
    clock: Callable[[], float],
    outgoing: Outgoing | None = None,
    ahead: Ahead | None = None,
) -> NoReturn:
    """Answer what comes to `sockets`, bound non-blocking UDP sockets, until cancelled; then what it has taken.

    `clock` gives seconds since the epoch. `outgoing` sees each batch of responses, and `ahead` what has to be made;
    without them, neither is looked at.
    """
    loop = Loop([partial(batch_for, sock) for sock in sockets], responder, clock, time.perf_counter, outgoing, ahead)
    if responder.udp_size <= DEFAULT_SIZE:  # a setting for larger answers accepts fragments
        for sock in sockets:
            never_fragment(sock)
    with _readable(sockets) as wait, loop.finishing():
        told, is_behind = -math.inf, True
        while True:
            try:
                if is_behind:
                    await loop.catch_up()
                    is_behind = False
                # Either lets others run, even where it need not wait.
                if loop.is_behind:
                    await trio.lowlevel.checkpoint()
                else:
                    await wait()
                await loop.turn()
            except OSError as error:
                if error.errno not in _SHORT:
                    raise
                if trio.current_time() >= told + _TELL_AGAIN:
                    told = trio.current_time()
                    _log.warning("the system lacks memory for UDP: queries wait", error=str(error))
                await trio.sleep(_PAUSE)


@contextmanager
def _readable(sockets: Sequence[socket.socket]) -> Iterator[Callable[[], Awaitable[None]]]:
    """What waits until one of the sockets has datagrams."""
    if len(sockets) == 1:
        yield partial(trio.lowlevel.wait_readable, sockets[0])
        return
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            selector.register(sock, selectors.EVENT_READ)
        yield partial(trio.lowlevel.wait_readable, selector)


class Loop:
    """What `serve_udp` does between waiting."""

    def __init__(
        self,
        batches: Sequence[Callable[[], Batch]],
        responder: Responder,
        clock: Callable[[], float],
        elapsed: Callable[[], float],
        outgoing: Outgoing | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        """`batches` has for each socket what makes a batch of it. `elapsed` gives seconds that only go forward."""
        self._sockets = [_Socket(new) for new in batches]
        self._responder = responder
        self._clock = clock
        self._elapsed = elapsed
        self._outgoing = outgoing
        self._ahead = ahead
        self._in_place: deque[_Held] = deque()
        """Batches whose queries wait where they are, in the order of arrival."""
        self._in_place_count = 0
        """How many queries of these wait."""
        self._sorted: WaitingQueries[Asked] = WaitingQueries(responder.dropped)
        self._made: dict[Batch, _Made] = {}
        """Responses to what has waited sorted that are not sent yet, by batch."""
        self._made_count = 0
        self._pace = _Pace()
        self._blocked: list[tuple[Callable[[], Awaitable[None]], Send, Sequence[bytes | None], int]] = []
        """What a socket did not take: responses, and how many of them are done."""

    @property
    def is_behind(self) -> bool:
        """Whether queries wait, so that there is something to do although nothing has come."""
        return bool(self._in_place_count or self._sorted.count)

    async def turn(self) -> None:
        """Answer what has come and what waits, for `TURN`."""
        elapsed = self._elapsed
        end = elapsed() + TURN
        if len(self._sockets) == 1 and not self.is_behind:
            self._sockets[0].was_empty = False  # it was waited for
        came = True
        while came or self.is_behind:
            came, full = False, True
            while full:
                full = False
                for place in self._sockets:
                    count = self._look(place)
                    if self._blocked:
                        await self._unblock()
                    if count:
                        came = True
                        full = full or count == BATCH
                if full and elapsed() >= end:
                    break
            if self.is_behind:
                self._make_waiting()
                if self._blocked:
                    await self._unblock()
            if elapsed() >= end:
                break
        if self._made:
            self._send_made()
            if self._blocked:
                await self._unblock()

    async def catch_up(self) -> None:
        """Answer what waited in the sockets while nobody had them, in the order in which it came, for `_CATCHES_UP`.

        Taken by `turn` it would be more at once than may wait here, and nothing is remembered yet: most of it was lost.
        """
        end = self._elapsed() + _CATCHES_UP
        for place in self._sockets:
            while self._answer_whole(place) == BATCH and self._elapsed() < end:
                if self._blocked:
                    await self._unblock()
                await trio.lowlevel.checkpoint()

    def _answer_whole(self, place: _Socket) -> int:
        """Take what has come to one socket, at most `BATCH`, and answer all of it; how many there were."""
        batch = place.batch
        queries = batch.receive() if batch.has_come() else []
        if not queries:
            return 0
        now = int(self._clock())
        responses, found = self._responder.remembered(queries, now, batch.host)
        missed = found if self._ahead is None or not found else self._ahead(responses, found, batch, now)
        made = 0
        while made < len(missed):
            made += self._make(responses, missed[made:], now, self._elapsed() + SLICE)
        self._send(batch, queries, responses)
        return len(responses)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """At its end what has been taken from the sockets is answered: what is in them, another process may answer.

        That is bounded, as what waits is. What a socket doesn't take is lost: nobody waits for it any more.
        """
        try:
            yield
        finally:
            while self.is_behind:
                self._make_waiting()
            self._send_made()
            self._blocked.clear()

    def _look(self, place: _Socket) -> int:
        """Take what has come to one socket, at most `BATCH`, and answer what is remembered; how many there were."""
        batch = place.batch
        if place.was_empty and not batch.has_come():
            return 0
        queries = batch.receive()
        place.was_empty = not queries
        if not queries:
            return 0
        now = int(self._clock())
        responses, found = self._responder.remembered(queries, now, batch.host)
        missed = found if self._ahead is None or not found else self._ahead(responses, found, batch, now)
        held = None
        if missed:
            waiting = self._make_or_wait(batch, responses, missed, now)
            if waiting and not self._sorted.is_sorting:
                held = _Held(place, batch, queries, waiting, self._elapsed())
            if len(waiting) == len(queries):
                queries = []  # there is nothing to send
        if queries:
            self._send(batch, queries, responses)
        if held is not None:
            self._in_place.append(held)
            self._in_place_count += len(held.missed)
            place.next_batch()
        return len(responses)

    def _make_or_wait(
        self, batch: Batch, responses: list[bytes | None], missed: Sequence[Miss], now: int
    ) -> Sequence[Miss]:
        """Make what has just come, for `SLICE`, where it overtakes nobody; what waits, or is dropped.

        That has to be kept, unless so many wait that they are sorted: then it has been put there.
        """
        came, count = self._elapsed(), self._in_place_count
        if not count and not self._sorted.is_sorting:
            return missed[self._make(responses, missed, now, came + SLICE) :]
        if count + len(missed) > IN_ORDER or len(self._in_place) >= _MOST_IN_PLACE:
            self._sorted.is_sorting = True
        return self._sort(batch, responses, missed, now, came) if self._sorted.is_sorting else missed

    def _sort(
        self, batch: Batch, responses: list[bytes | None], missed: Sequence[Miss], now: int, came: float
    ) -> Sequence[Miss]:
        """As `_make_or_wait`, where so many wait that they are sorted.

        Where so much has piled up that it fills a batch, names that exist are made at once even so: what follows is
        mostly for the same, and a worker that has just begun remembers none.
        """
        exist, put = self._responder.exist(missed), self._sorted.put
        existing = [*compress(missed, exist)]
        others = [*compress(missed, map(not_, exist))] if existing else missed
        if existing and len(responses) == BATCH:
            existing = existing[self._make(responses, existing, now, came + SLICE) :]
        for one in existing:
            put(Asked(batch, batch.sender(one.slot), one), came, exists=True)
        for one in self._sorted.admitted(others, lambda one: batch.host(one.slot)):
            put(Asked(batch, batch.sender(one.slot), one), came, exists=False)
        return [*existing, *others]

    def _make(self, responses: list[bytes | None], missed: Sequence[Miss], now: int, end: float) -> int:
        """Make responses to what has just come until `end`; how many."""
        made, at = 0, self._elapsed()
        while made < len(missed) and end - at > _TOO_SHORT:
            some = missed[made : made + self._pace.at_once(end - at)]
            at = self._make_some(some, responses, now, at)
            made += len(some)
        return made

    def _make_some(self, some: Sequence[Miss], responses: list[bytes | None], now: int, at: float) -> float:
        """Make responses to queries in the place of each; the time then."""
        slots = [one.slot for one in some]
        for slot, response in zip(slots, self._responder.make(some, slots, now), strict=True):
            responses[slot] = response
        return self._pace.note(len(some), at, self._elapsed())

    def _make_waiting(self) -> None:
        """Make responses to what waits, for `SLICE`: first to what came before it was sorted."""
        now, at = int(self._clock()), self._elapsed()
        end = at + SLICE
        self._responder.begin(now)
        while self._in_place and end - at > _TOO_SHORT:
            at = self._make_in_place(self._in_place[0], now, at, end)
        if self._sorted.is_sorting:
            self._make_sorted(now, at, end)

    def _make_in_place(self, held: _Held, now: int, at: float, end: float) -> float:
        """Make responses to what waits in one batch until `end`, and send them once all are made; the time then."""
        missed, made, before = held.missed, held.made, held.made
        self._responder.look_again(held.batch.host, held.vouched)
        if at - held.came > OLDEST:
            self._responder.dropped.too_old += len(missed) - made
            made = len(missed)
        while made < len(missed) and end - at > _TOO_SHORT:
            some = missed[made : made + self._pace.at_once(end - at)]
            at = self._make_some(some, held.responses, now, at)
            made += len(some)
        held.made = made
        self._in_place_count -= made - before
        if made == len(missed):
            self._in_place.popleft()
            self._send(held.batch, held.queries, held.responses)
            held.place.give_back(held.batch)
        return at

    def _make_sorted(self, now: int, at: float, end: float) -> None:
        """Make responses to what waits sorted until `end`; send them once they are many."""
        waiting = self._sorted
        while end - at > _TOO_SHORT and self._made_count < BATCH:
            some = waiting.take_some(min(self._pace.at_once(end - at), BATCH - self._made_count), at)
            if not some:
                break
            for batch in dict.fromkeys(one.batch for one in some):
                self._make_late(batch, [one for one in some if one.batch is batch], now)
            at = self._pace.note(len(some), at, self._elapsed())
        if not waiting.count and not self._in_place_count:
            waiting.is_sorting = False
        if self._made_count >= _TOGETHER or not waiting.count:
            self._send_made()

    def _make_late(self, batch: Batch, some: Sequence[Asked], now: int) -> None:
        """Make responses to queries that have waited sorted, all of one batch."""
        late = self._made.get(batch) or self._made.setdefault(batch, _Made())
        begin = len(late.asked)
        late.asked += some
        self._responder.look_again(late.host, late.vouched)
        late.responses += self._responder.make([one.missed for one in some], range(begin, len(late.asked)), now)
        self._made_count += len(some)

    def _send(self, batch: Batch, queries: Sequence[bytes], responses: list[bytes | None]) -> None:
        """Send responses to queries that are where they were received."""
        if self._outgoing is not None:
            self._outgoing(queries, responses, batch)
        done = batch.send(responses)
        if done < len(responses):
            self._blocked.append((batch.wait_writable, batch.send, responses, done))

    def _send_made(self) -> None:
        """Send what was made of what had waited sorted."""
        for batch, late in self._made.items():
            if self._outgoing is not None:
                self._responder.vouched = late.vouched
                self._outgoing([one.missed.query for one in late.asked], late.responses, late)
            send = partial(batch.send_to, [one.sender for one in late.asked])
            done = send(late.responses, 0)
            if done < len(late.responses):
                self._blocked.append((batch.wait_writable, send, late.responses, done))
        self._made, self._made_count = {}, 0

    async def _unblock(self) -> None:
        """Send what sockets did not take before anything else is taken from them."""
        for wait_writable, send, responses, before in self._blocked:
            done = before
            with trio.move_on_after(_BLOCKED):
                while done < len(responses):
                    await wait_writable()
                    done = send(responses, done)
        self._blocked.clear()


class _Pace:
    """How many responses are made together: as many as the time allows, by what the last ones took."""

    __slots__ = ("_each",)

    def __init__(self) -> None:
        self._each = SLICE
        """Seconds that a response took to make, of the last ones."""

    def at_once(self, left: float) -> int:
        """How many to make, where `left` seconds are left."""
        return min(max(1, int(left / self._each)), _AT_ONCE)

    def note(self, count: int, began: float, now: float) -> float:
        """So many were made from `began` to `now`; `now`."""
        # Where another program had the processor meanwhile, that says nothing of the next ones.
        self._each = max(min((now - began) / count, _SLOWER * self._each), _LEAST)
        return now


class _Socket:
    """One socket: the batch that is received into next, and others for when the queries of one have to wait in it."""

    def __init__(self, new: Callable[[], Batch]) -> None:
        self._new = new
        self._spare: list[Batch] = []
        self.batch = new()
        self.was_empty = False
        """Whether nothing had come at the last look."""

    def next_batch(self) -> None:
        """Receive into another batch from now on."""
        self.batch = self._spare.pop() if self._spare else self._new()

    def give_back(self, batch: Batch) -> None:
        """Nothing waits in `batch` any more."""
        if len(self._spare) < _MOST_SPARE:
            self._spare.append(batch)


class _Held:
    """Queries of one look at a socket that wait where they were received, in the order of arrival."""

    __slots__ = ("batch", "came", "made", "missed", "place", "queries", "responses", "vouched")

    def __init__(
        self, place: _Socket, batch: Batch, queries: Sequence[bytes], missed: Sequence[Miss], came: float
    ) -> None:
        self.place, self.batch, self.queries, self.missed, self.came = place, batch, queries, missed, came
        self.made = 0
        """How many of `missed` are done."""
        self.responses: list[bytes | None] = [None] * len(queries)
        """Of all queries of the look; those that are sent already stay None."""
        self.vouched: list[int] = []
        """As `Responder.vouched`."""


class _Made:
    """Responses to queries that have waited sorted, of one batch."""

    __slots__ = ("asked", "responses", "vouched")

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.responses: list[bytes | None] = []
        self.vouched: list[int] = []
        """As `Responder.vouched`."""

    def host(self, slot: int) -> bytes:
        """As `Clients.host`."""
        return self.asked[slot].sender.host

    def networks(self, count: int) -> Sequence[bytes]:
        """As `Clients.networks`."""
        return [network_of(one.sender.host) for one in self.asked[:count]]
