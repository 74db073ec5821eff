"""SIGHUP before anything else of the server is imported: remembered, where it would end the process.

It imports next to nothing, as it is imported first.
"""

from __future__ import annotations

import signal

_hangups: list[int] = []


def remember_hangups() -> None:
    """From now on remember a SIGHUP where nothing else hears it."""
    signal.signal(signal.SIGHUP, lambda number, _: _hangups.append(number))


def take_hangup() -> bool:
    """Whether one came since it was asked last."""
    came = bool(_hangups)
    _hangups.clear()
    return came
