"""Whether the machine keeps time: real seconds mean nothing while processes wait for a processor or a disk that long.

Waits and margins allow for servers that are late by so much and no more. What is seen while the machine itself is
later than that says nothing of the keys, so it is not judged.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import trio

from tests.realtime.watch import NO_ANSWER, Sight

INTERVAL = 0.2
LATE = 0.4
"""Seconds: less than half the policy's propagation and margin, since more than one process may be late at a time."""
GRACE = 3
"""Seconds for which a resolver may suffer from what it could not get in time."""


class Span(NamedTuple):
    """From when to when the machine was late, in seconds since the epoch."""

    start: float
    end: float


class Pulse:
    """Wants to wake, to get a thread and to write to the disk every fifth of a second, and notes when that was late."""

    def __init__(self, folder: Path) -> None:
        self.late: list[Span] = []
        self._path = folder / "pulse"

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            began = time.time()
            await trio.sleep(INTERVAL)
            await trio.to_thread.run_sync(self._write)
            if time.time() > began + INTERVAL + LATE:
                self.late.append(Span(began, time.time() + GRACE))

    def _write(self) -> None:
        with self._path.open("w") as file:
            file.write("beat")
            file.flush()
            os.fsync(file.fileno())

    def judged(self, sights: Iterable[Sight]) -> list[Sight]:
        """The sights that the machine did not disturb.

        Where an answer failed to come, a datagram was lost: to the resolver, or between it and the server, so others
        may lack what it held. That is rare, or there are too few answers left to judge.
        """
        sights = list(sights)
        silent = [Span(sight.sent, sight.received + GRACE) for sight in sights if sight.rcode == NO_ANSWER]
        late = _joined([*self.late, *silent])
        return [sight for sight in sights if not _meets(sight, late)]

    def __str__(self) -> str:
        return f"the machine was late for {sum(end - start for start, end in _joined(self.late)):.1f} s in all"


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The same spans in order, with none that meet."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def _meets(sight: Sight, spans: Sequence[Span]) -> bool:
    before = bisect_right(spans, sight.received, key=lambda span: span.start)
    return before > 0 and spans[before - 1].end >= sight.sent
