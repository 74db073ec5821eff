"""One lock for each name of a zone: its holder has exclusive access to the zone of that name, whatever its source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class NameLocks:
    """The locks that somebody holds or waits for."""

    def __init__(self) -> None:
        self._locks: dict[bytes, trio.Lock] = {}

    def is_held(self, origin: bytes) -> bool:
        """Whether a task holds the zone `origin` now; if not, the caller has exclusive access until it waits."""
        return origin in self._locks

    @asynccontextmanager
    async def holding(self, origin: bytes) -> AsyncIterator[None]:
        """Be alone with the zone `origin`; first come, first served."""
        lock = self._locks.setdefault(origin, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._locks.pop(origin, None)
