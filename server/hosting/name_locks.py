"""One lock for each name of a zone: whoever holds it is alone with the zone of that name, wherever that comes from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class NameLocks:
    """The locks that somebody holds or waits for."""

    def __init__(self) -> None:
        self._locks: dict[bytes, trio.Lock] = {}

    def is_held(self, origin: bytes) -> bool:
        """Whether somebody is alone with the zone `origin` now; if not, whoever asks is, as long as it doesn't wait."""
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
