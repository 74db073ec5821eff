"""Whether the wall clock has jumped: it is held against one that nobody sets.

A jump forward can mean that the clock was wrong before, and then less time has passed than it says; or that the machine
slept, and then the time has passed, but this process served nothing in it. The key manager can't tell them apart and
takes the careful view: no wait went on meanwhile. Across a restart there is nothing to hold the clock against; there it
is believed, unless it lies before what is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

_NOISE = 1.0
"""Seconds by which the two readings may differ because the process was held up between them."""


class JumpWatch:
    """Notices jumps of a wall clock. Both clocks are callables that give seconds."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset: float | None = None

    def jumped(self) -> int:
        """By how many seconds the wall clock went forward beyond the time that has passed, since last asked.

        A clock that is set back lowers the base, so that setting it right again counts as a jump forward.
        """
        jump, self._offset = self._seen()
        return jump

    def ahead(self) -> int:
        """What `jumped` would say, which will say it still."""
        return self._seen()[0]

    def _seen(self) -> tuple[int, float]:
        """The jump, and the offset between the clocks that the next one is held against."""
        # The wall clock first: if the process is held up in between, the difference looks smaller, never larger.
        wall = self._wall()
        offset = wall - self._monotonic()
        if self._offset is None or offset < self._offset:
            return 0, offset
        jump = offset - self._offset
        return (ceil(jump), offset) if jump >= _NOISE else (0, self._offset)
