"""Notes in the change log what zones of files are served from: before it is answered, many zones in a transaction.

If the disk takes no writes, zones of files are served all the same: the trouble is reported, and they are noted once
the disk takes writes again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import trio

from keys.blocking_calls import RunBlocking
from keys.custody.state_database import FileZone, StateOvertaken, Store
from keys.custody.zsk_encryption import StateError
from server.supervised import Report

AGAIN = 10.0
"""Seconds until it is tried again to note what could not be noted."""
_AT_A_TIME = 1000
_WHAT = "noting zones of files"


class NotedFiles:
    """What is noted of zones of files, and what is yet to be."""

    def __init__(
        self, store: Store, run_blocking: RunBlocking, noted_late: Callable[[bytes], None], report: Report | None = None
    ) -> None:
        """`noted_late` is called with each origin that is noted after it was answered from; `report` receives the
        trouble.
        """
        self._store, self._run_blocking = store, run_blocking
        self._noted_late = noted_late
        self._report = report or (lambda _what, _reason: None)
        self._known: dict[bytes, FileZone] | None = None
        """As stored; `None` while that was not read."""
        self._later: dict[bytes, FileZone | None] = {}
        """What could not be noted: by origin, what it is served from; `None`: from a file no more."""
        self._writing = trio.Lock()
        self._is_late = trio.Event()

    async def note(self, zones: Sequence[FileZone]) -> None:
        """Note what these zones will be served from. Raises nothing: what can't be noted now is noted later."""
        await self._note({zone.origin: zone for zone in zones})

    async def keep_only(self, origins: Collection[bytes]) -> tuple[bytes, ...]:
        """Note that all other zones are served from files no more; which were until now. Raises nothing, likewise."""
        gone = tuple(origin for origin in {**(self._known or {}), **self._later} if origin not in origins)
        await self._note(dict.fromkeys(gone))
        return gone

    async def read(self) -> None:
        """Read what an earlier life has noted, so that what is noted already costs nothing. Raises nothing."""
        async with self._writing:
            try:
                self._known = self._known or await self._run_blocking(self._store.noted_files)
            except StateError as error:
                self._report(_WHAT, str(error))

    async def read_anew(self) -> None:
        """Read once more what is noted, since the state may be another. Raises nothing."""
        async with self._writing:
            self._known = None
        await self.read()

    async def _note(self, wanted: dict[bytes, FileZone | None]) -> None:
        if all(self._is_known(origin, zone) for origin, zone in wanted.items()):
            return
        async with self._writing:
            is_failing = bool(self._later)  # then `keep_noting` tries again: a start has thousands of zones
            self._later |= wanted
            if not is_failing:
                await self._store_later()
        if self._later:
            self._is_late.set()

    def is_noted(self, zone: FileZone) -> bool:
        """Whether that is what it is served from, as it is stored."""
        return self._is_known(zone.origin, zone)

    def _is_known(self, origin: bytes, zone: FileZone | None) -> bool:
        return self._known is not None and origin not in self._later and self._known.get(origin) == zone

    async def _store_later(self) -> list[bytes]:
        """Note what is yet to be noted, as far as that goes; the origins of what was noted."""
        done: list[bytes] = []
        try:
            while self._later:
                some = dict(list(self._later.items())[:_AT_A_TIME])
                zones = [zone for zone in some.values() if zone is not None]
                gone = [origin for origin, zone in some.items() if zone is None]
                await self._run_blocking(lambda zones=zones, gone=gone: self._store.note_files(zones, gone))  # type: ignore[misc]
                for origin, zone in some.items():
                    del self._later[origin]
                    if self._known is not None and zone is not None:
                        self._known[origin] = zone
                    elif self._known is not None:
                        self._known.pop(origin, None)
                done += some
        except StateOvertaken:
            self._later.clear()  # it never will be, and that is reported
        except StateError as error:
            self._report(_WHAT, str(error))
        else:
            self._report(_WHAT, None)
        return done

    async def keep_noting(self) -> None:
        """Note what could not be noted, once the disk takes writes again."""
        while True:
            await self._is_late.wait()
            while self._later:
                await trio.sleep(AGAIN)
                async with self._writing:
                    for origin in await self._store_later():
                        self._noted_late(origin)
            self._is_late = trio.Event()
