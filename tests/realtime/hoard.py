"""A cache of the worst kind: whatever it is asked, it gives the oldest answer that any cache may still hold.

Caches of the world take an RRset at any time, so there is always one that took it just before it was replaced. Instead
of many caches and much luck, this one asks for the same all the time, keeps every answer for its TTL, and gives the
oldest of them. It never keeps one for longer than it may: the TTL counts from when the query was sent.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from typing import NamedTuple

import dns.message
import dns.rcode
import trio

from tests.realtime.parting import Place

INTERVAL = 0.25
"""Seconds from one query for the same to the next."""


class _Kept(NamedTuple):
    response: bytes
    until: float
    """Seconds since the epoch."""


class Hoard:
    """Holds what `place` has answered; start `run` as a task."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._kept: defaultdict[bytes, deque[_Kept]] = defaultdict(deque)
        self._new, self._queries = trio.open_memory_channel[bytes](1000)

    async def run(self) -> None:
        """Ask again for whatever was asked once, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for query in self._queries:
                nursery.start_soon(self._collect, query)

    async def answer(self, query: bytes) -> bytes | None:
        """The oldest response that may be kept; a new one where there is none."""
        identifier, asked = query[:2], query[2:]
        if asked not in self._kept:
            self._kept[asked].clear()
            self._new.send_nowait(query)
        kept = self._left(asked)
        return identifier + kept[0].response[2:] if kept else await self._place.answer(query)

    def _left(self, asked: bytes) -> deque[_Kept]:
        kept = self._kept[asked]
        while kept and kept[0].until <= time.time():
            kept.popleft()
        return kept

    async def _collect(self, query: bytes) -> None:
        while True:
            next_at, sent = trio.current_time() + INTERVAL, time.time()
            response = await self._place.answer(query)
            if response is not None and (ttl := _lasting(response)) is not None:
                kept = self._left(query[2:])
                if kept and kept[-1].response == response:
                    kept.pop()  # the same for longer
                kept.append(_Kept(response, sent + ttl))
            await trio.sleep_until(next_at)


def _lasting(response: bytes) -> int | None:
    """The lowest TTL in it; `None` if it is one that a cache would not keep."""
    message = dns.message.from_wire(response)
    rrsets = message.answer + message.authority
    if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or not rrsets:
        return None
    return min(rrset.ttl for rrset in rrsets)
