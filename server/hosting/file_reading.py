"""Zone files that are read one after the other, and one that takes long beside the others.

Thousands of small files are read fastest in turn. One that is large, or on a disk that hangs, keeps the next ones
waiting for a moment only.
"""

from __future__ import annotations

import trio

from server.hosting.zone_files import LoadedZone, ZoneFiles
from server.settings.configuration import ZoneConfig

_EACH, _ALL, _LEAST = 1.0, 5.0, 0.05
"""Seconds that others wait for one that takes long, for all such together, and for each once these are over."""


class Patience:
    """How long one is waited for before others come."""

    def __init__(self) -> None:
        self._left = _ALL

    async def wait_for(self, done: trio.Event) -> bool:
        """Wait for a moment; whether it is done."""
        began = trio.current_time()
        with trio.move_on_after(max(min(_EACH, self._left), _LEAST)):
            await done.wait()
        if not done.is_set():
            self._left -= trio.current_time() - began
        return done.is_set()


class FileReading:
    """One file that is being read, perhaps for long."""

    def __init__(self, files: ZoneFiles, config: ZoneConfig) -> None:
        self.done = trio.Event()
        self.result: LoadedZone | None = None
        """What it has; None where it can't be read, or not yet."""
        self._files = files
        self._config = config

    async def read(self) -> None:
        """Read it. What fails is left to be told when it is read again."""
        try:
            self.result = await self._files.load(self._config)
        except Exception:  # noqa: S110 - as the next try tells
            pass
        finally:
            self.done.set()
