"""Runs the services beside the listeners: one that fails affects no other, is reported, and is retried.

Listeners alone may end the process. Every other task is started here: whatever it raises is logged and shown as a
trouble in `status`, and the task begins again after pauses that double up to a minute. A trouble is over when its
task has run for a minute without failing, has come to its end, or says so.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
import structlog
import trio

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the first further try, and at most between two tries."""
SETTLED = 60.0
"""Seconds after which a task that was tried again is well."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_log = structlog.get_logger("signwright")


class ServerTrouble(msgspec.Struct, frozen=True, kw_only=True):
    """Something beside the zones that fails now, and is tried again."""

    what: str
    """Such as "trust files"."""
    since: int
    """Seconds since the epoch."""
    reason: str


class Report(Protocol):
    """Takes what fails, and why; with None as the reason, it is well again."""

    def __call__(self, what: str, reason: str | None) -> None: ...  # noqa: D102


class Starting(Protocol[T_co]):
    """A task that says when it has begun."""

    def __call__(self, *, task_status: trio.TaskStatus[T_co]) -> Awaitable[None]: ...  # noqa: D102


@dataclass
class _Failing:
    since: int
    reason: str
    over: float = math.inf
    """When it is over, by trio's clock, unless it fails again."""


class Supervisor:
    """Keeps tasks in one nursery."""

    def __init__(self, nursery: trio.Nursery, now: Callable[[], float]) -> None:
        """`now` is the wall clock, in seconds since the epoch."""
        self._nursery = nursery
        self._now = now
        self._clock = trio.lowlevel.current_clock()
        self._failing: dict[str, _Failing] = {}

    def troubles(self) -> tuple[ServerTrouble, ...]:
        """What fails now, in the order in which it began. Any thread may ask."""
        moment = self._clock.current_time()
        return tuple(
            ServerTrouble(what=what, since=one.since, reason=one.reason)
            for what, one in list(self._failing.items())
            if one.over > moment
        )

    def report(self, what: str, reason: str | None) -> None:
        """As `Report`, for a task that tries again by itself. Logs only what is new."""
        if reason is None:
            if self._failing.pop(what, None) is not None:
                _log.info("works again", what=what)
        else:
            self._fails(what, reason)

    def start_soon(self, what: str, task: Callable[[], Awaitable[object]]) -> None:
        """Run `task` until it returns, however often it has to be tried."""
        self._nursery.start_soon(self._keep, what, task)

    async def attempt(self, what: str, task: Callable[[], Awaitable[object]]) -> None:
        """Wait until `task` has been tried once; where it failed, it is tried again in the background."""
        if (pause := await self._tried(what, task, FIRST_PAUSE)) is not None:
            self._nursery.start_soon(self._keep, what, task, pause)

    async def start(
        self, what: str, task: Starting[T], *, refused: tuple[type[Exception], ...] = (Exception,)
    ) -> T | None:
        """Start `task`; what it starts with. Raises what of `refused` it raises before that: then it was never there.

        Anything else that it raises then is a failure like those that come later, and None is returned. The task is
        handed another `task_status` each time that it is tried.
        """
        started: T | None = await self._nursery.start(self._keep_started, what, task, refused)
        return started

    async def _keep_started(
        self,
        what: str,
        task: Starting[Any],
        refused: tuple[type[Exception], ...],
        *,
        task_status: trio.TaskStatus[Any],
    ) -> None:
        begun = _Begun(task_status, refused)
        await self._keep(what, lambda: task(task_status=begun), begun=begun)

    async def _keep(
        self, what: str, task: Callable[[], Awaitable[object]], pause: float = 0, begun: _Begun | None = None
    ) -> None:
        again: float | None = pause
        while again is not None:
            await trio.sleep(again)
            again = await self._tried(what, task, min(max(2 * again, FIRST_PAUSE), LONGEST_PAUSE), begun)

    async def _tried(
        self, what: str, task: Callable[[], Awaitable[object]], pause: float, begun: _Begun | None = None
    ) -> float | None:
        """Try it; None where it came to its end, else the seconds until the next try: `pause`, or less."""
        began = trio.current_time()
        if what in self._failing:
            self._failing[what].over = began + SETTLED
        failure = await failure_of(task, begun.is_refused if begun is not None else lambda _: False)
        if begun is not None and not begun.is_over:
            begun.started()
        if failure is None:
            self._failing.pop(what, None)
            return None
        again = FIRST_PAUSE if trio.current_time() - began >= SETTLED else pause
        self._fails(what, said(failure), failure, again)
        return again

    def _fails(self, what: str, reason: str, failure: Exception | None = None, again: float | None = None) -> None:
        known = self._failing.get(what)
        if known is not None and known.over <= self._clock.current_time():
            known = None  # it was well in between
            del self._failing[what]
        since = known.since if known is not None else int(self._now())
        self._failing[what] = _Failing(since, reason)
        if known is None or known.reason != reason:
            _log.error("failed; will retry", what=what, reason=reason, again_in=again, **trace_of(failure))


async def failure_of(
    task: Callable[[], Awaitable[object]], is_raised: Callable[[Exception], bool] = lambda _: False
) -> Exception | None:
    """Run `task` to its end; what it raised. Raises `trio.Cancelled`, without what failed meanwhile.

    What `is_raised` says yes to, it raises.
    """
    rest: BaseException | None = None
    try:
        await task()
    except Exception as error:  # whatever it is, it must stay this task's
        failure: Exception | None = error
    except BaseExceptionGroup as group:
        failure, rest = group.split(Exception)
    else:
        return None
    if failure is not None and is_raised(failure):
        raise failure
    if rest is not None:
        raise rest
    return failure


class _Begun:
    """The `task_status` of a task that may be started more than once: only the first is waited for."""

    def __init__(self, first: trio.TaskStatus[Any], refused: tuple[type[Exception], ...]) -> None:
        self._first = first
        self._refused = refused
        self.is_over = False

    def is_refused(self, failure: Exception) -> bool:
        """Whether the task fails in such a way that it is not to be there at all."""
        return not self.is_over and isinstance(_alone(failure), self._refused)

    def started(self, value: Any = None) -> None:
        """As `trio.TaskStatus.started`."""
        if not self.is_over:
            self.is_over = True
            self._first.started(value)


def _alone(failure: Exception) -> Exception:
    """What went wrong alone, without the groups around it."""
    while isinstance(failure, ExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    return failure


def said(failure: Exception) -> str:
    """The failure in a line."""
    failure = _alone(failure)
    if isinstance(failure, OSError):
        return f"{failure.filename}: {failure.strerror}" if failure.filename else str(failure)
    return f"{type(failure).__name__}: {failure}"


def trace_of(failure: Exception | None) -> dict[str, str]:
    """Of a bug, as plain text: a log that adds the local variables would show what is secret."""
    if failure is None or isinstance(_alone(failure), OSError):
        return {}
    return {"traceback": "".join(traceback.format_exception(failure))}
