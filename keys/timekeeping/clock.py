"""The clock that answers, keys and waits go by. `clock_rules` decides; this reads, remembers and tells.

`now` reads two clocks and compares, and looks closer only where they disagree. It is read once for each batch of
queries, and costs three to four times what time.time does: 0.5 µs where that took 0.14 (a slow, busy core, CPython
3.11). A look at all clocks costs 12 µs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import trio
from structlog.typing import FilteringBoundLogger

from keys.timekeeping.clock_rules import (
    HOLD,
    NOISE,
    ClockState,
    Reading,
    adopted,
    begun,
    believed,
    looked,
    trusted,
)
from keys.timekeeping.system_clocks import Clocks

LOOK = 1.0
"""Seconds from one look of `watch` at the clocks to the next: so late is it seen that the machine has slept."""
_HELD_UP = 0.1
"""Seconds between two clocks that are read one after the other: more, and they are read again."""
_TRIES = 5


class HeldStep(NamedTuple):
    """A step of the wall clock that is not believed yet."""

    by: int
    """Seconds that the wall clock is ahead of the believed time."""
    until: int
    """When it will be believed, in believed seconds since the epoch."""


class Clock:
    """What time it is. Its methods may be called from any thread."""

    def __init__(self, clocks: Clocks, *, hold: float = HOLD) -> None:
        """Believes the wall clock as it is first read. `hold` is in seconds."""
        self._clocks = clocks
        self._hold = hold
        self._read_wall, self._read_boot = clocks.wall, clocks.boot
        self._taking = threading.Lock()
        """Held to change what is known: a check that began earlier must not undo an operator's command."""
        self._take(begun(self._read()))
        self._told = self._state

    def now(self) -> float:
        """Seconds since the epoch."""
        wall, boot = self._read_wall(), self._read_boot()
        if -NOISE < wall - boot - self._offset < NOISE:
            return wall
        state = self._state
        held = state.held
        if held is not None and boot < held.since + self._hold and abs(wall - boot - held.offset) < NOISE:
            return boot + state.offset  # nothing new; what the kernel says is seen by `watch`
        return self.look()

    def look(self) -> float:
        """As `now`, after a look at all clocks."""
        with self._taking:
            reading = self._read()
            state = looked(self._state, reading, self._hold)
            self._take(state)
        return believed(state, reading)

    @property
    def state(self) -> ClockState:
        """What is known of the clocks."""
        return self._state

    @property
    def offset(self) -> float:
        """Wall clock minus BOOTTIME as believed: for other processes of this machine (`adopt`)."""
        return self._offset

    @property
    def held(self) -> HeldStep | None:
        """The step that is held off now, if there is one."""
        state = self._state
        if state.held is None:
            return None
        until = state.held.since + self._hold + state.offset
        return HeldStep(round(state.held.offset - state.offset), round(until))

    def trust(self) -> None:
        """Believe the wall clock as it is now: a person says that it is right."""
        with self._taking:
            self._take(trusted(self._state, self._read()))

    def adopt(self, offset: float) -> None:
        """Believe what another process of this machine believes: its `offset`."""
        with self._taking:
            self._take(adopted(self._state, offset))
        self.look()

    async def watch(self, moved: Callable[[], None], log: FilteringBoundLogger) -> NoReturn:
        """Look at the clocks each second; log what they do, and call `moved` after each jump of the believed time.

        By CLOCK_MONOTONIC, as all timers are: one that was waiting while the machine slept has not moved. A failure is
        logged, and ends nothing.
        """
        while True:
            await trio.sleep(LOOK)
            try:
                self._look_and_tell(moved, log)
            except Exception:  # whatever it is, answers go on
                log.exception("cannot check the clocks")

    def _look_and_tell(self, moved: Callable[[], None], log: FilteringBoundLogger) -> None:
        self.look()
        before, self._told = self._told, self._state
        _tell(before, self._told, self.held, log)
        if self._told.moves != before.moves:
            moved()

    def _take(self, state: ClockState) -> None:
        self._state, self._offset = state, state.offset

    def _read(self) -> Reading:
        """All clocks within a moment, however busy the machine is."""
        clocks = self._clocks
        for _ in range(_TRIES):
            synchronised, awake, boot, wall = clocks.synchronised(), clocks.awake(), clocks.boot(), clocks.wall()
            if clocks.boot() - boot < _HELD_UP and clocks.awake() - awake < _HELD_UP:
                break
        return Reading(wall, boot, awake, synchronised)


def _tell(before: ClockState, after: ClockState, held: HeldStep | None, log: FilteringBoundLogger) -> None:
    if after.moves != before.moves and after.last is not None:
        log.warning("the time jumped", reason=after.last.kind.value, seconds=round(after.last.by))
    elif after.held is None and before.held is not None:
        log.warning("the clock is correct again; the server ignored the step")
    if held is not None and after.held != before.held:
        log.error(
            "only the system clock went forward: the server does not follow it yet",
            seconds=held.by,
            until=held.until,
            way_out="set the clock; if it is correct, run: signwright trust-clock",
        )
