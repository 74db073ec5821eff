"""The UDP loop: one task looks at all UDP sockets of a process, answers what is remembered, and makes the rest.

Signing takes ten times as long as an answer that is remembered, so that whoever asks for random names could keep all
others waiting. So nothing is made for longer than `SLICE` without a look at the sockets, and what waits meanwhile waits
here, where it can be chosen which is next (`waiting_queries`), and not in the kernel, which has one queue for all. What
comes while nothing waits is made at once, so that without load a query waits for nothing.

A look takes all that is there, so nothing becomes old in the kernel's buffer: that holds 10,000 queries, which are
taken within 50 ms. Only while a worker is replaced, or the process is stopped, they wait there. Then those that are
remembered are answered all the same, and of the others the last to come.

Waiting for sockets costs a trip through the scheduler (25 µs); looking once more does not (1 µs). So a batch that was
not full is no reason to wait: at half of the highest rate, the next queries have come meanwhile (median latency 17 µs,
not 32). `TURN` lets other tasks run. A look that brings little costs as much as making an answer, so where queries wait
there is one between two slices, and more only where a batch was full.

Hot queries at 1,000 a second beside random names (compact denial), on two cores that much else shared, so that only
ratios of one run mean anything; in ms, 99 % of hot queries within, and the hot queries that were lost:

    random names a second      answering batches whole      this loop          NSD
    10,000                     9.2                          3.6                3.6
    30,000                     547 (45 % lost)              4.8 (none)         4.1 (none)

The price: a query that waits costs 2 to 4 µs more than one that is answered with its batch, beside 30, and there are
more and smaller batches. A closed loop of random names is answered 0.88 times as fast by CPU time, one of first queries
0.9 times, a hot one 1.0. At 1.1 times the rate of random names that can be signed, 0.92 of that rate is answered, at
2.2 times 0.8 (in virtual time, `test_udp_under_flood`); on those shared cores, where small batches cost more, 0.7.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import compress
from typing import NoReturn, Protocol

import msgspec
import trio

from server.net.mmsg import BATCH, Batch, Clients, Sender, batch_for, never_fragment
from server.net.response_rate_limit import network_of
from server.query.edns import DEFAULT_SIZE
from server.query.fast.responder import Miss, Responder
from server.query.fast.waiting_queries import WaitingQueries

TURN = 0.003
"""Seconds before other tasks run."""
SLICE = 0.0004
"""Seconds for which answers are made before the next look at the sockets."""
_TOGETHER = 48
"""Responses to what has waited that are sent together, at the latest at the end of a turn: a system call for a few of
them costs as much as making one."""
_BLOCKED = 0.01
"""Seconds that a socket is waited for which takes no more responses: what it still does not take is lost."""

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


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A query that waits."""

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
    sockets: Sequence[socket.socket], responder: Responder, clock: Callable[[], float], outgoing: Outgoing | None = None
) -> NoReturn:
    """Answer what comes to `sockets`, bound non-blocking UDP sockets, until cancelled.

    `clock` gives seconds since the epoch. `outgoing` sees each batch of responses; without it, none is looked at.
    """
    loop = Loop([batch_for(sock) for sock in sockets], responder, clock, time.perf_counter, outgoing)
    if responder.udp_size <= DEFAULT_SIZE:  # whoever wants larger answers wants fragments
        for sock in sockets:
            never_fragment(sock)
    with _readable(sockets) as wait:
        while True:
            # Either lets others run, even where it need not wait.
            if loop.is_behind:
                await trio.lowlevel.checkpoint()
            else:
                await wait()
            await loop.turn()


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
        batches: Sequence[Batch],
        responder: Responder,
        clock: Callable[[], float],
        elapsed: Callable[[], float],
        outgoing: Outgoing | None = None,
    ) -> None:
        """`elapsed` gives seconds that only go forward."""
        self._batches = batches
        self._responder = responder
        self._clock = clock
        self._elapsed = elapsed
        self._outgoing = outgoing
        self._waiting: WaitingQueries[Asked] = WaitingQueries(
            lambda asked: responder.exist((asked.missed,))[0], responder.dropped
        )
        self._made: dict[Batch, _Made] = {}
        """Responses to what has waited that are not sent yet, by socket."""
        self._made_count = 0
        self._blocked: list[tuple[Callable[[], Awaitable[None]], Send, Sequence[bytes | None], int]] = []
        """What a socket did not take: responses, and how many of them are done."""

    @property
    def is_behind(self) -> bool:
        """Whether queries wait, so that there is something to do although nothing has come."""
        return self._waiting.count > 0

    async def turn(self) -> None:
        """Answer what has come and what waits, for `TURN`."""
        waiting, elapsed = self._waiting, self._elapsed
        end = elapsed() + TURN
        came = True
        while came or waiting.count:
            came, full = False, True
            while full:
                full = False
                for batch in self._batches:
                    count = self._look(batch)
                    if self._blocked:
                        await self._unblock()
                    if count:
                        came = True
                        full = full or count == BATCH
                if full and elapsed() >= end:
                    break
            if waiting.count:
                self._make_waiting()
                if self._blocked:
                    await self._unblock()
            if elapsed() >= end:
                break
        if self._made:
            self._send_made()
            if self._blocked:
                await self._unblock()

    def _look(self, batch: Batch) -> int:
        """Take what has come to one socket, at most `BATCH`, and answer what is remembered; how many there were."""
        queries = batch.receive()
        if not queries:
            return 0
        now = int(self._clock())
        responses, missed = self._responder.remembered(queries, now, batch.host)
        if missed and self._make_or_wait(batch, responses, missed, now) == len(queries):
            return len(queries)  # there is nothing to send
        if self._outgoing is not None:
            self._outgoing(queries, responses, batch)
        done = batch.send(responses)
        if done < len(responses):
            self._blocked.append((batch.wait_writable, batch.send, responses, done))
        return len(queries)

    def _make_or_wait(self, batch: Batch, responses: list[bytes | None], missed: Sequence[Miss], now: int) -> int:
        """Make what has just come, for `SLICE`, where it overtakes nobody; let the rest wait; how many do."""
        came = self._elapsed()
        if self._waiting.is_sorting:
            return self._sort(batch, responses, missed, now, came)
        made = 0 if self._waiting.count else self._make(responses, missed, now, came + SLICE)
        if made < len(missed):
            sender = batch.sender
            self._waiting.put([Asked(batch, sender(one.slot), one) for one in missed[made:]], came)
        return len(missed) - made

    def _sort(self, batch: Batch, responses: list[bytes | None], missed: Sequence[Miss], now: int, came: float) -> int:
        """As `_make_or_wait`, where so many wait that they are sorted.

        Where so much has piled up that it fills a batch, names that exist are made at once even so: what follows is
        mostly for the same, and a worker that has just begun remembers none.
        """
        exist = self._responder.exist(missed)
        made = 0
        if len(responses) == BATCH and True in exist:
            made = self._make(responses, [*compress(missed, exist)], now, came + SLICE)
        passed_over = made
        for one, exists in zip(missed, exist, strict=True):
            if exists and passed_over:
                passed_over -= 1
                continue
            self._waiting.put_sorted(Asked(batch, batch.sender(one.slot), one), came, exists=exists)
        return len(missed) - made

    def _make(self, responses: list[bytes | None], missed: Sequence[Miss], now: int, end: float) -> int:
        """Make responses to what has just come until `end`; how many."""
        make, elapsed = self._responder.make, self._elapsed
        for number, one in enumerate(missed, 1):
            responses[one.slot] = make(one, now)
            if elapsed() >= end:
                return number
        return len(missed)

    def _make_waiting(self) -> None:
        """Make answers to what waits, for `SLICE`; send them once they are many."""
        waiting, make, elapsed = self._waiting, self._responder.make_later, self._elapsed
        now, at = int(self._clock()), elapsed()
        end = at + SLICE
        self._responder.begin(now)
        made, count = self._made, self._made_count
        batch = None
        while at < end and count < BATCH and (asked := waiting.take(at)) is not None:
            if asked.batch is not batch:
                batch = asked.batch
                late = made.get(batch) or made.setdefault(batch, _Made())
            late.responses.append(make(asked.missed, now, len(late.asked), asked.host, late.vouched))
            late.asked.append(asked)
            count += 1
            at = elapsed()
        self._made_count = count
        if count >= _TOGETHER or not waiting.count:
            self._send_made()

    def _send_made(self) -> None:
        """Send what was made of what had waited."""
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


class _Made:
    """Responses to queries that have waited, of one socket."""

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
