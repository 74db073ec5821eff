"""Lines of log that a stranger provokes: one each, and no more of a kind in a minute than a person reads.

Otherwise any client could fill the disk with log lines, or hide the important ones among them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

WINDOW = 60.0
"""Seconds over which lines of a kind are counted."""
MOST = 10
"""Lines of a kind in a window."""


@dataclass
class _Window:
    began: float
    written: int = 0
    suppressed: int = 0


class LimitedLog:
    """Warnings by kind. There are as many kinds as the code names, so this does not grow."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        self._log = log
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def note(self, kind: str, detail: str = "", *, with_traceback: bool = False) -> None:
        """Write that `kind` has happened, and after a pause how many of it were not written.

        `with_traceback` is for what is our own fault: the exception that is being handled is logged as an error.
        """
        now = self._clock()
        window = self._windows.get(kind)
        more = ""
        if window is None or now - window.began >= WINDOW:
            if window is not None and window.suppressed:
                more = f" ({window.suppressed} more of these were not logged)"
            window = self._windows[kind] = _Window(now)
        if window.written >= MOST:
            window.suppressed += 1
            return
        window.written += 1
        level = logging.ERROR if with_traceback else logging.WARNING
        self._log.log(level, "%s%s%s", kind, f": {detail}" if detail else "", more, exc_info=with_traceback)
