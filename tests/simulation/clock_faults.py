"""What befalls the clocks of a machine in some years: steps, sleeps, pauses, boots without the time.

They are drawn by dice of their own, so that a seed's other faults are what they were. What they lead to is judged as
everything else is: by what was served, with the time that the server went by. What can be said of that time itself is
said here: how soon it follows.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec

from keys.dnssec.signing_policy import DAY, HOUR
from keys.timekeeping.clock_rules import HOLD

if TYPE_CHECKING:
    from tests.simulation.world import World

_YEARS = 5
"""In one of so many years, clocks have their own troubles."""
_ON_TIME = 2.0
"""Seconds within which the time is to follow."""


class ClockFault(msgspec.Struct, frozen=True, tag=True):
    """Something that happens to the clocks; `at` is in seconds of true time since the beginning."""

    at: int


class WrongForMinutes(ClockFault, frozen=True):
    """The wall clock is set far ahead, and right again before the hold has ended."""

    seconds: int
    by: int


class WokenFromSleep(ClockFault, frozen=True):
    """The machine sleeps, and all its clocks say so afterwards."""

    seconds: int


class PausedMachine(ClockFault, frozen=True):
    """A virtual machine stands still for a while, of which its clocks don't know; then the wall clock is set right."""

    seconds: int
    late: int
    """Seconds until that."""


class UnsynchronisedBoot(ClockFault, frozen=True):
    """The machine is started anew with a clock that is behind, and which is set as soon as there is a network."""

    behind: int
    late: int


AnyClockFault = WrongForMinutes | WokenFromSleep | PausedMachine | UnsynchronisedBoot


def clock_faults(seed: int, days: int, taken: list[tuple[int, int]]) -> tuple[AnyClockFault, ...]:
    """Those of a year: in most years none. `taken` are spans of true time in which the clocks have other troubles."""
    if seed % _YEARS != _YEARS - 2:
        return ()
    dice = Random(f"clocks {seed}")
    found: list[AnyClockFault] = []
    for _ in range(max(3, days * 12 // 365)):
        at = dice.randrange(DAY, max(2 * DAY, (days - 60) * DAY))
        fault = _drawn(dice, at)
        span = (at - DAY, at + 2 * DAY + (fault.seconds if isinstance(fault, WokenFromSleep) else 0))
        if all(span[1] < start or end < span[0] for start, end in taken):
            taken.append(span)
            found.append(fault)
    return tuple(sorted(found, key=lambda fault: fault.at))


def _drawn(dice: Random, at: int) -> AnyClockFault:
    match dice.randrange(4):
        case 0:
            return WrongForMinutes(at, dice.choice((20, 120, 170)), dice.choice((HOUR, 30 * DAY, 365 * DAY)))
        case 1:
            return WokenFromSleep(at, dice.choice((600, 8 * HOUR, 5 * DAY, 30 * DAY)))
        case 2:
            return PausedMachine(at, dice.choice((60, 600, 1700)), dice.choice((1, 30, HOUR)))
        case _:
            return UnsynchronisedBoot(at, dice.choice((30, 500, 1700)), dice.choice((5, 60, HOUR)))


async def befall(world: World, fault: AnyClockFault) -> None:
    """Have it happen, and see how the time follows."""
    if world.life.key_manager is None or not world.is_mortal:
        return  # no process, or its clock is wrong already
    match fault:
        case WrongForMinutes():
            world.set_wall(fault.by)
            await world.until(world.true() + fault.seconds)
            world.note_clock()  # as it is each second in a server
            _expect(world, 0, "a step was followed before it had outlasted the hold")
            world.set_wall(0)
        case WokenFromSleep():
            world.slept += fault.seconds
            world.note_clock()
            _expect(world, 0, "a sleep was not followed at once")
        case PausedMachine():
            world.slept += fault.seconds
            world.stopped += fault.seconds
            world.set_wall(-fault.seconds)
            await world.until(world.true() + fault.late)
            world.set_wall(0)
            _expect(world, -fault.seconds, "a step was followed before it had outlasted the hold")
            await world.until(world.true() + HOLD)
            world.note_clock()
            _expect(world, 0, "a step was not followed when it had outlasted the hold")
        case UnsynchronisedBoot():
            world.down = 0
            world.synchronised = False
            world.set_wall(-fault.behind, noted=False)
            world.life.kill()
            world.history.boots.append(world.true())
            await world.until(world.true() + fault.late)
            world.synchronised = True
            world.set_wall(0)
            _expect(world, 0, "a clock that was synchronised after the start was not followed at once")


def _expect(world: World, offset: int, objection: str) -> None:
    if abs(world.now() - world.true() - offset) > _ON_TIME:
        world.object(objection)
