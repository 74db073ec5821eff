"""Whoever answers: this process itself, or workers that follow its set of zones (`server.worker`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from zones.zoneset import ZoneSet


class Backends(Protocol):
    """Whoever answers from the sets of zones that `ZoneRegistry` makes, one after another."""

    def follow(self, zoneset: ZoneSet) -> int:
        """Answer from this set from now on, or soon; the number of its version. Must not block."""

    def has_reached(self, version: int) -> bool:
        """Whether every answer is of that version by now, or of a later one."""

    async def reached(self) -> None:
        """Wait until every answer is of the newest version."""


class ThisProcess:
    """This process: it answers from a set as soon as that stands in the place of the one before."""

    def follow(self, _: ZoneSet) -> int:
        """As `Backends.follow`."""
        return 0

    def has_reached(self, _: int) -> bool:
        """As `Backends.has_reached`."""
        return True

    async def reached(self) -> None:
        """As `Backends.reached`."""


class ChangesUnderWay:
    """Changes that are not yet in every answer, by their ids."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._versions: dict[str, int | None] = {}
        self._coming: dict[str, Callable[[], int | None]] = {}

    @contextmanager
    def making(self, change_id: str) -> Iterator[None]:
        """While it is being stored: there is no set of zones with it, and if it fails there will be none."""
        self._versions[change_id] = None
        try:
            yield
        finally:
            if self._versions[change_id] is None:
                del self._versions[change_id]

    def coming(self, change_id: str, version: Callable[[], int | None]) -> None:
        """It is to come: `version` says in which set of zones it is, once it is; `None` until then."""
        self._coming[change_id] = version

    def made(self, change_id: str, version: int) -> None:
        """It is in the set of zones of that version, and in later ones."""
        for one in list(self._coming):
            self._come(one)
        reached = [i for i, v in self._versions.items() if v is not None and self._backends.has_reached(v)]
        for one in reached:
            del self._versions[one]
        self._versions[change_id] = version

    def _come(self, change_id: str) -> None:
        version = self._coming[change_id]()
        if version is not None:
            del self._coming[change_id]
            self._versions[change_id] = version

    def __len__(self) -> int:
        return len(self._versions) + len(self._coming)

    def __contains__(self, change_id: str) -> bool:
        if change_id in self._coming:
            self._come(change_id)
        if change_id not in self._versions:
            return change_id in self._coming
        version = self._versions[change_id]
        return version is None or not self._backends.has_reached(version)
