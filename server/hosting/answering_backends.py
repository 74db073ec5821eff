"""The backends that answer queries: this process, or worker processes that follow its set of zones (`server.worker`);
and up to which position of the change log each of them answers.

Each set of zones stands for a position (`server.hosting.followed_log`). This process is a member always, a worker until
it is killed and reaped, one on another machine as long as its lease (`keys.custody.members`). What has to be certain of
a change waits until every member has its position; waking up is a callback.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

import structlog
import trio

from keys.custody import members
from keys.custody.change_log import Committed, Position
from keys.custody.members import Member, Members
from keys.custody.state_database import StateOvertaken, StateUnavailable
from keys.custody.state_protocols import Feed
from server.hosting.followed_log import FollowedLog, Lost, Part, Subject
from zones.zoneset import ZoneSet

_HERE = "this process"
_log = structlog.get_logger("signwright.zones")


class Backends(Protocol):
    """The backends that answer from the sets of zones that `ZoneRegistry` makes, one after another."""

    on_news: Callable[[], None]
    """Called when a member has another position, or has ended."""

    def follow(self, zoneset: ZoneSet, position: Position) -> object:
        """Answer from this set from now on, or soon: it stands for `position`. The same set again stands for a later
        one. Must not block.
        """

    def members(self) -> Iterable[Member]:
        """Those who may be answering beside this process."""

    async def reached(self) -> None:
        """Wait until every answer is of the newest set."""


class ThisProcess:
    """This process: it answers from a set as soon as that stands in the place of the one before."""

    def __init__(self) -> None:
        self.on_news: Callable[[], None] = lambda: None

    def follow(self, _zoneset: ZoneSet, _position: Position) -> None:
        """As `Backends.follow`."""

    def members(self) -> Iterable[Member]:
        """As `Backends.members`."""
        return ()

    async def reached(self) -> None:
        """As `Backends.reached`."""


class Membership:
    """All members, and the change log as this process follows it."""

    def __init__(self, feed: Feed, backends: Backends, boottime: Callable[[], float] | None = None) -> None:
        """To be made where all else runs, before anything is written. `boottime` is CLOCK_BOOTTIME, in seconds."""
        self.log = FollowedLog(feed.position)
        self.leased: Members = {}
        """Those on other machines; `told` wakes up the tasks that wait for them."""
        self._backends = backends
        self._boottime = boottime or trio.current_time
        self._zoneset = ZoneSet()
        self._members = self._those_now()
        self._news = trio.Event()
        self._incoming: deque[Committed] = deque()
        self._token = trio.lowlevel.current_trio_token()
        self._passed: int | None = None
        self._is_told = False
        backends.on_news = self.told
        feed.on_commit.append(self._hear)
        feed.on_overtaken.append(self._hear_of_another)
        feed.passed = lambda: self._passed

    # What is committed and answered here

    def _hear(self, committed: Committed) -> None:
        """Take what was committed to where all else runs, in order. Any thread may call it, and waits for nothing."""
        self._incoming.append(committed)
        self._soon(self._take)

    def _hear_of_another(self, reason: str) -> None:
        def stop() -> None:
            self.log.stop(reason)
            self.told()

        self._soon(stop)

    def _soon(self, function: Callable[[], None]) -> None:
        if trio.lowlevel.in_trio_run():  # as where what blocks is called directly
            function()
        else:
            with suppress(trio.RunFinishedError):  # nobody answers any more
                self._token.run_sync_soon(function)

    def _take(self) -> None:
        while self._incoming:
            self.log.committed(self._incoming.popleft())
        self._moved()

    def follow(self, zoneset: ZoneSet, put: Iterable[Subject]) -> None:
        """Answer from this set, which has all that is committed of the parts of zones in `put`."""
        self._zoneset = zoneset
        for part, origin in put:
            self.log.put(part, origin)
        self._backends.follow(zoneset, self.log.position)
        self.told()

    def passed_over(self, part: Part, origin: bytes) -> None:
        """As `FollowedLog.passed_over`."""
        before = self.log.position
        self.log.passed_over(part, origin)
        self._moved(before)

    def keeps(self, origin: bytes, runs: bool) -> None:
        """A key manager keeps the keys of a zone from now on, or does no more (`FollowedLog.keeps`)."""
        before = self.log.position
        if runs:
            self.log.keeps(origin)
        else:
            self.log.keeps_no_more(origin)
        self._moved(before)

    async def losing(self) -> Sequence[Lost]:
        """Wait until something is lost that was committed (`FollowedLog.lost`), and has to be read from the state."""
        while not self.log.lost or self.log.stopped is not None:
            await self._news.wait()
        return tuple(self.log.lost)

    def found(self, lost: Iterable[Lost]) -> None:
        """As `FollowedLog.found`."""
        before = self.log.position
        for one in lost:
            self.log.found(one)
        self._moved(before)

    def _moved(self, before: Position | None = None) -> None:
        if self.log.position is not before:
            self._backends.follow(self._zoneset, self.log.position)
            self.told()

    # Who has it

    def told(self) -> None:
        """A member has another position, or has ended: the tasks that wait look again."""
        if self.log.stopped is not None and not self._is_told:
            self._is_told = True
            _log.critical("changes are no longer acknowledged", reason=self.log.stopped)
        self._members = self._those_now()
        self._passed = members.passed_by_all(self._members, self.log.newest.log_id, self._boottime())
        self._news.set()
        self._news = trio.Event()

    def _those_now(self) -> Members:
        return {**members.of([Member(_HERE, self.log.position), *self._backends.members()]), **self.leased}

    def is_published(self, position: Position) -> bool:
        """Whether every answer from now on has what was committed with `position`."""
        here = self.log.in_this_log(position)
        return self.log.reaches(here) and members.is_published(self._members, here, self._boottime())

    async def published(self, position: Position, *, yielding: bool = False) -> None:
        """Wait until every answer has what was committed with `position`. Raises `StateOvertaken`: it never will.

        Who holds a zone's name is `yielding`: a snapshot, which needs the name, makes it raise `StateUnavailable`.
        """
        while not self.is_published(position):
            if yielding and self.log.lost:
                raise StateUnavailable(f"the state is being read again: {self.log.lost[0].reason}")
            if self.log.stopped is not None:
                raise StateOvertaken(self.log.stopped)
            here = self.log.in_this_log(position)
            end = members.next_end(self._members, here, self._boottime())
            with trio.move_on_after(math.inf if end is None else max(0.0, end - self._boottime())):
                await self._news.wait()

    async def published_of(self, part: Part, origin: bytes, *, yielding: bool = False) -> None:
        """Wait until every answer has all of this part of a zone that is answered here by now. Raises likewise."""
        is_beside = self.log.is_beside([(part, origin)])
        await self.published(self.log.position_of(part, origin), yielding=yielding)
        if is_beside:
            await self._backends.reached()

    async def keys_published(self, origin: bytes) -> None:
        """Wait until every answer has the keys of a zone as they were published last. Raises likewise."""
        await self.published_of(Part.KEYS, origin)

    async def all_published(self) -> None:
        """Wait until every answer has all that is answered here by now, or that was committed. Raises likewise."""
        beside = self.log.beside
        await self.published(self.log.newest)
        if beside is not None:
            await self._backends.reached()
            self.log.all_have(beside)


class Published(Protocol):
    """Tells whether a position is in every answer."""

    def is_published(self, position: Position) -> bool:
        """As `Membership.is_published`."""


class ChangesUnderWay:
    """Changes that are not yet in every answer, by their ids."""

    def __init__(self, membership: Published) -> None:
        self._membership = membership
        self._positions: dict[str, Position | None] = {}
        self._coming: dict[str, Callable[[], Position | None]] = {}

    @contextmanager
    def making(self, change_id: str) -> Iterator[None]:
        """While it is being stored: it has no position, and if it fails there will be none."""
        self._positions[change_id] = None
        try:
            yield
        finally:
            if self._positions[change_id] is None:
                del self._positions[change_id]

    def coming(self, change_id: str, position: Callable[[], Position | None]) -> None:
        """It is to come: `position` says with which position all of it is committed, once it is; `None` until then."""
        self._coming[change_id] = position

    def made(self, change_id: str, position: Position) -> None:
        """It is in the change log with that position."""
        for one in list(self._coming):
            self._come(one)
        reached = [i for i, p in self._positions.items() if p is not None and self._membership.is_published(p)]
        for one in reached:
            del self._positions[one]
        self._positions[change_id] = position

    def _come(self, change_id: str) -> None:
        position = self._coming[change_id]()
        if position is not None:
            del self._coming[change_id]
            self._positions[change_id] = position

    def __len__(self) -> int:
        return len(self._positions) + len(self._coming)

    def __contains__(self, change_id: str) -> bool:
        if change_id in self._coming:
            self._come(change_id)
        if change_id not in self._positions:
            return change_id in self._coming
        position = self._positions[change_id]
        return position is None or not self._membership.is_published(position)
