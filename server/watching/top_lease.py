"""Watching while somebody looks: who asks for a report has a lease, and when the last one has run out it ends."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from server.watching.query_counts import QueryCounts
from server.watching.recent_queries import RecentQueries, TopReport

LEASE = 10.0
"""Seconds for which a question keeps watching going."""
_DRAIN = 1.0  # seconds


class TopLease:
    """One for all processes that answer. Start `run` as a task."""

    def __init__(self, switch: Callable[[bool], None], drain: Callable[[], QueryCounts]) -> None:
        """`switch` begins or ends counting; `drain` gives what was counted since it was last called."""
        self._switch = switch
        self._drain = drain
        self._until = -math.inf
        self._asked = trio.Event()
        self._recent: RecentQueries | None = None

    async def top(self, minutes: int) -> TopReport:
        """What was asked in the last minutes, and from now on; empty for who asks first."""
        self._until = trio.current_time() + LEASE
        self._asked.set()
        recent = self._recent
        if recent is None:
            await trio.lowlevel.checkpoint()
            return TopReport(seconds=0, queries=0, read=0, octets=0)
        recent.add(self._drain(), trio.current_time())
        report: TopReport | None = None
        for step in recent.reporting(minutes):
            await trio.lowlevel.checkpoint()  # the whole takes 10 ms, for which no query waits
            report = step
        assert report is not None
        return report

    async def run(self) -> None:
        """Count while somebody looks, until cancelled."""
        while True:
            await self._asked.wait()
            try:
                self._switch(True)
                self._drain()  # what came since the last time, while it was being switched off
                self._recent = RecentQueries(trio.current_time())
                while trio.current_time() < self._until:
                    await trio.sleep(_DRAIN)
                    self._recent.add(self._drain(), trio.current_time())
            finally:
                self._recent = None
                self._switch(False)
            self._asked = trio.Event()
