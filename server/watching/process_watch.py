"""All that watches the queries of one process: who counts them while somebody looks, and the log."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from server.net.udp import Outgoing
from server.watching.log_lines import LogLines
from server.watching.query_counts import QueryCounts
from server.watching.query_facts import FactsReader
from server.watching.query_log import QueryLog, QueryLogSpec
from server.watching.query_watch import QueryWatch
from server.watching.seen_responses import SeenResponses
from zones.zoneset import ZoneSet

_log = structlog.get_logger("signwright.watching")


class ProcessWatch:
    """Of a process that answers."""

    def __init__(
        self,
        zoneset: Callable[[], ZoneSet],
        clock: Callable[[], float],
        limit: Outgoing | None = None,
        log: QueryLogSpec | None = None,
    ) -> None:
        """`zoneset` gives the zones of now, `clock` seconds since the epoch; `limit` may replace UDP responses."""
        self.seen = SeenResponses(_observer_failed, limit)
        facts = FactsReader(zoneset)
        self._watch = QueryWatch(facts)
        self.is_on = False
        """Whether queries are counted by name and client."""
        self.log: QueryLog | None = None
        if log is not None:
            self.log = QueryLog(log, LogLines(facts, every=log.every, prefixes=log.prefixes), clock)

    def start(self, nursery: trio.Nursery) -> None:
        """Log queries from now on, where they are to be logged, until the nursery ends."""
        if self.log is not None:
            nursery.start_soon(self._keep_logging, self.log)

    async def _keep_logging(self, log: QueryLog) -> None:
        log.start()
        self.seen.add(log)
        try:
            await trio.sleep_forever()
        finally:
            self.seen.remove(log)
            log.close()

    def switch_watching(self, on: bool) -> None:
        """Begin to count, or end."""
        self.is_on = on
        if on:
            self._watch.drain()
            self.seen.add(self._watch)
        else:
            self.seen.remove(self._watch)

    def drain_watched(self) -> QueryCounts:
        """What was counted since the last time."""
        return self._watch.drain()

    def reopen_log(self) -> None:
        """Open the log's file anew."""
        if self.log is not None:
            self.log.reopen()


def _observer_failed() -> None:
    _log.exception("stopped watching queries, because of a bug")
