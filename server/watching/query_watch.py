"""Counts the queries of one process while somebody looks. Pure: who drains it each second is its only clock.

Under load not all are read: about `READ` between two drains, evenly, and each stands for several. Reading and counting
one costs 4 µs, so watching takes 2 % of a core at most, however much comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.watching.query_counts import QueryCounts
from server.watching.query_facts import FactsReader, outcome_of
from server.watching.sampling import Sampler

READ = 5000
"""Queries that are read between two drains, as long as as many come as before; a few times as many otherwise."""
_STEP = 4


class QueryWatch:
    """An `Observer` of `server.watching.seen_responses`."""

    def __init__(self, facts: FactsReader) -> None:
        self._facts = facts
        self._counts = QueryCounts()
        self._sampler = Sampler()
        self._left = READ

    def __call__(
        self,
        queries: Sequence[bytes],
        before: Sequence[bytes | None],
        after: Sequence[bytes | None],
        host: Callable[[int], bytes],
        *,
        over_tcp: bool,
    ) -> None:
        """Count a batch."""
        counts, every = self._counts, self._sampler.every
        made = len(before) - before.count(None)
        counts.queries += made
        for slot in range(self._sampler.start(), len(queries), every):
            response = before[slot]
            if response is None:  # it waits for its answer, or deserves none
                continue
            left = after[slot]
            outcome = outcome_of(response, left)
            counts.count(self._facts.read(queries[slot]), host(slot), response, outcome, every, over_tcp=over_tcp)
            if left is not None:
                counts.octets += every * len(left)
            self._left -= 1
        if self._left <= 0:  # more comes than before
            self._sampler.every *= _STEP
            self._left = READ

    def drain(self) -> QueryCounts:
        """What was counted since the last time."""
        counts, self._counts = self._counts, QueryCounts()
        self._sampler.every = max(1, -(-counts.queries // READ))
        self._left = READ
        return counts
