"""Which time is believed when the system's clocks disagree: a pure machine over readings of them.

The wall clock can be set. CLOCK_BOOTTIME can't, and goes on while the machine sleeps; CLOCK_MONOTONIC stands still
then. So each kind of jump shows in another difference:

    BOOTTIME ahead of MONOTONIC          the machine slept: the time has passed, and is followed at once
    the wall ahead of BOOTTIME           somebody set the clock forward, and may be wrong: held off for `HOLD`
    the wall behind BOOTTIME             somebody set it back: followed at once: what is stored shows it if wrong

While the wall clock is held off, the time goes on as it was, carried by BOOTTIME. A clock that returns meanwhile was
never followed. One that stands its ground for the whole hold is believed. Three things end a hold early: the kernel
says that the clock, which was not synchronised before the step, is now (an NTP daemon that has just started); the clock
returns to the time that it had before somebody set it back; a person says so (`trusted`).

A virtual machine that is paused may find that neither clock went on. What corrects its wall clock afterwards is a step
like any other. NTP's slewing is none: it moves the clock by 500 ppm at most.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

HOLD = 180.0
"""Seconds of BOOTTIME for which a step forward of the wall clock alone has to stand before it is believed."""
NOISE = 1.0
"""Seconds by which two clocks may differ for other reasons than a step: leap seconds smeared badly, late readings."""
SLEW = 500e-6
"""Seconds a second: the fastest that NTP slews a clock (RFC 5905 §11.3)."""


class Reading(NamedTuple):
    """The clocks at one moment; all in seconds."""

    wall: float
    """Since the epoch."""
    boot: float
    """CLOCK_BOOTTIME."""
    awake: float
    """CLOCK_MONOTONIC."""
    synchronised: bool | None
    """Whether the kernel calls the wall clock synchronised (adjtimex); `None`: it can't be asked. Read before the
    others, so that what it says is never about a clock that was set since.
    """


class Kind(enum.Enum):
    """Why the believed time jumped."""

    SLEPT = "the machine was suspended"
    SET_BACK = "the clock was set back"
    RETURNED = "the clock had been set back, and is correct again"
    SYNCHRONISED = "the clock was synchronised for the first time"
    OUTLASTED = "the clock went forward and has stayed there"
    TRUSTED = "the clock went forward, and an operator accepted it"
    ADOPTED = "the control process decided which clock is correct"


class Move(NamedTuple):
    """A jump of the believed time."""

    kind: Kind
    by: float
    """Seconds forward; negative: backward."""


class Held(NamedTuple):
    """A step of the wall clock that is not believed yet."""

    since: float
    """BOOTTIME at which it was first seen."""
    offset: float
    """Wall clock minus BOOTTIME, as it would be believed."""


class ClockState(NamedTuple):
    """What is known of the clocks."""

    offset: float
    """Wall clock minus BOOTTIME, as it is believed."""
    boot: float
    """BOOTTIME of the last reading."""
    asleep: float
    """BOOTTIME minus MONOTONIC: how long the machine has slept."""
    synchronised: bool | None
    """As last read while the wall clock was believed: what it was before a step that is held off."""
    held: Held | None = None
    before: float | None = None
    """The offset that the clock had before somebody set it back, and to which it may return at once. None where it had
    that only because it outlasted a hold.
    """
    doubtful: bool = False
    """Whether the present offset was believed only because it outlasted a hold."""
    moves: int = 0
    """How often the believed time has jumped."""
    last: Move | None = None
    """The last of these jumps."""


def begun(reading: Reading) -> ClockState:
    """The first reading is believed: there is nothing to hold it against."""
    return ClockState(reading.wall - reading.boot, reading.boot, reading.boot - reading.awake, reading.synchronised)


def believed(state: ClockState, reading: Reading) -> float:
    """The time, in seconds since the epoch, after `looked` has taken in the reading."""
    return reading.wall if state.held is None else reading.boot + state.offset


def looked(state: ClockState, reading: Reading, hold: float = HOLD) -> ClockState:
    """Take in a reading. `hold` is in seconds."""
    slept = reading.boot - reading.awake - state.asleep
    if slept >= NOISE:
        state = _moved(state, state.offset, Move(Kind.SLEPT, slept))
    state = state._replace(asleep=reading.boot - reading.awake)
    seen = reading.wall - reading.boot
    ahead = seen - state.offset
    if ahead <= -NOISE:
        return _set_back(state, reading)
    if ahead < NOISE:
        # As it should be, or right again before the hold has ended. What is slewed forward never sums up to a step.
        slewed = min(ahead, SLEW * max(0.0, reading.boot - state.boot))
        return state._replace(
            offset=state.offset + slewed, boot=reading.boot, synchronised=reading.synchronised, held=None
        )
    return _ahead(state, reading, hold)


def trusted(state: ClockState, reading: Reading) -> ClockState:
    """A person says that the wall clock is right as it is read."""
    ahead = reading.wall - reading.boot - state.offset
    if abs(ahead) >= NOISE:
        state = _moved(state, reading.wall - reading.boot, Move(Kind.TRUSTED, ahead))
    return state._replace(boot=reading.boot, synchronised=reading.synchronised, held=None, before=None, doubtful=False)


def adopted(state: ClockState, offset: float) -> ClockState:
    """Believe what another process of this machine believes: its `offset`. What led to it is not known here."""
    by = offset - state.offset
    if abs(by) < NOISE:
        return state
    moved = _moved(state, offset, Move(Kind.ADOPTED, by))
    return moved._replace(held=None, before=None, doubtful=True)


def _ahead(state: ClockState, reading: Reading, hold: float) -> ClockState:
    """The wall clock alone went forward."""
    seen = reading.wall - reading.boot
    held = state.held
    if state.before is not None and seen < state.before + NOISE:
        kind = Kind.RETURNED
    elif state.synchronised is False and reading.synchronised:
        kind = Kind.SYNCHRONISED
    elif held is None or abs(seen - held.offset) >= NOISE:
        return state._replace(boot=reading.boot, held=Held(reading.boot, seen))
    elif reading.boot < held.since + hold:
        return state._replace(boot=reading.boot)
    else:
        kind = Kind.OUTLASTED
    left = state.before if kind is Kind.RETURNED and state.before is not None else seen
    moved = _moved(state, seen, Move(kind, seen - state.offset))
    return moved._replace(
        boot=reading.boot,
        synchronised=reading.synchronised,
        held=None,
        before=left if left >= seen + NOISE else None,  # on its way back, it may come the rest of it too
        doubtful=kind is Kind.OUTLASTED,
    )


def _set_back(state: ClockState, reading: Reading) -> ClockState:
    seen = reading.wall - reading.boot
    before = state.before if state.before is not None or state.doubtful else state.offset
    moved = _moved(state, seen, Move(Kind.SET_BACK, seen - state.offset))
    return moved._replace(
        boot=reading.boot, synchronised=reading.synchronised, held=None, before=before, doubtful=False
    )


def _moved(state: ClockState, offset: float, move: Move) -> ClockState:
    return state._replace(offset=offset, moves=state.moves + 1, last=move)
