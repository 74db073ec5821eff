"""The collector of cycles (`gc`) beside a loop that answers.

A full collection looks at all objects there are, and nothing is answered meanwhile: 0.13 s every other second while
3,000 zones have their keysets signed anew, 0.06 s now and then where answers are new. So what outlives one is set aside
(`gc.freeze`), and the next looks at what came since. Nearly everything goes by itself once nobody refers to it, also
when it was set aside; what does not is a cycle. That these have a bound, all is looked at again when twice as much is
set aside as there was the last time.

With an incremental collector, as in the first releases of CPython 3.14, full collections are only those that are asked
for, and nothing of this happens.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_FULL = 2  # the oldest generation, with which a collection is a full one
_FEWEST = 100_000
"""Objects that are set aside before all are looked at again, at least: the collector takes 10 ms for so many."""


def _count(generation: int | None) -> int:
    """How many objects are in a generation; in all, those set aside left out.

    In C from end to end: no other thread runs while the list is there, which refers also to the tuple that one of them
    is making, so that it could not be made (`SystemError`).
    """
    return next(map(len, map(gc.get_objects, (generation,))))


class Aside:
    """What outlived a full collection."""

    def __init__(self, fewest: int = _FEWEST) -> None:
        self._fewest = fewest
        self._there = 0
        """Objects that were left when all were looked at."""
        self._since = 0
        """Objects that were set aside after that; some are gone."""
        self._all = True
        """Whether the next full collection looks at all."""

    def look_at_all(self) -> None:
        """Collect every cycle that nobody refers to, now."""
        gc.unfreeze()
        self._all = True
        gc.collect()

    def accept(self) -> None:
        """Set aside the present objects, as after a full collection: almost none of them are cycles."""
        if not self._all:
            self._set_aside(_count(None))

    def after(self, phase: str, info: dict[str, Any]) -> None:
        """What the collector calls when it begins and when it is done (`gc.callbacks`)."""
        if phase != "stop" or info["generation"] != _FULL:
            return
        if self._all:
            gc.freeze()
            self._there, self._since, self._all = gc.get_freeze_count(), 0, False
        else:
            self._set_aside(_count(_FULL))

    def _set_aside(self, count: int) -> None:
        gc.freeze()
        self._since += count
        most = max(self._there, self._fewest)
        if self._since > most:
            # Counting takes a quarter of the time that looking does, so it is not done at every turn either.
            grown = gc.get_freeze_count() - self._there
            self._since = min(max(grown, 0), most - most // 4)
            if grown > most:
                gc.unfreeze()
                self._all = True


@contextmanager
def setting_aside(fewest: int = _FEWEST) -> Iterator[Aside]:
    """Have the collector look at what is new, for as long as the block lasts."""
    aside = Aside(fewest)
    gc.callbacks.append(aside.after)
    try:
        yield aside
    finally:
        gc.callbacks.remove(aside.after)
        gc.unfreeze()
