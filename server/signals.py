"""Signals to a server, from its first moment to its last: SIGHUP asks for a reload, SIGTERM and SIGINT for the end.

They are heard whatever else is done. A SIGHUP that comes while the server starts is remembered until it has started;
any number of them that wait are one. The end comes within `STOPS_WITHIN` seconds whatever a client, a disk or a KMS
does: where threads hang by then, the process ends without them, as a crash would, which loses nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import trio

from server.early_signals import take_hangup
from server.service_manager import notify

STOPS_WITHIN, FAILS_WITHIN = 5.0, 60.0
"""Seconds from the signal, or from a failure or a restart, to the end of the process. What failed is to be told of,
and a restart to go on, where anything but a hang allows it.
"""
_LAST_WORD = 0.5  # seconds in which the log must take it

_HEARD = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
_log = structlog.get_logger("signwright")


class Signals:
    """What signals asked for."""

    def __init__(self) -> None:
        self.serving = trio.CancelScope()
        """Cancelled once the server is to stop."""
        self.is_stopped = False
        self._hangup = trio.Event()
        self._forced: threading.Timer | None = None
        if take_hangup():
            self._hangup.set()

    async def hangup(self) -> None:
        """Wait until a reload is asked for, since the last one was taken from here."""
        await self._hangup.wait()
        self._hangup = trio.Event()

    def end_soon(self, status: int, seconds: float) -> None:
        """Have the process end with this status, unless the server has ended within so many seconds."""
        self.has_ended()
        self._forced = threading.Timer(seconds, _end, (status, seconds))
        self._forced.daemon = True
        self._forced.start()

    def has_ended(self) -> None:
        """The server has: nothing needs to be forced."""
        if self._forced is not None:
            self._forced.cancel()

    async def follow(self, received: AsyncIterator[int]) -> None:
        """Hear what comes, until cancelled."""
        async for number in received:
            if number == signal.SIGHUP:
                self._hangup.set()
            elif not self.is_stopped:
                _log.info("stopping", signal=signal.Signals(number).name)
                notify("STOPPING=1")
                self.is_stopped = True
                self.end_soon(0, STOPS_WITHIN)
                self.serving.cancel()


@asynccontextmanager
async def hearing() -> AsyncIterator[Signals]:
    """Hear signals, from now to the end of the context: a second one that ends it changes nothing."""
    signals = Signals()
    try:
        with trio.open_signal_receiver(*_HEARD) as received:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(signals.follow, received)
                try:
                    yield signals
                finally:
                    nursery.cancel_scope.cancel()
    finally:
        signals.has_ended()


def _end(status: int, seconds: float) -> None:
    said = threading.Thread(target=_say, args=(seconds,), daemon=True)  # the log may hang as well
    said.start()
    said.join(_LAST_WORD)
    os._exit(status)


def _say(seconds: float) -> None:
    _log.error("exiting without a clean stop: something hangs, such as a disk", seconds=seconds)
