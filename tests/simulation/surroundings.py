"""What befalls all that stands around a zone's keys in some years: its parent, the zones above it, the disk.

They are drawn by dice of their own, so that the other faults of a seed are what they were.

    the parent's servers     reset, stall, or have the look-up fail in a way that nobody foresaw
    zones above              come and go, as files or by the API, and delegate or not (`zones_above`)
    the disk                 is full just as something is stored, the process is killed, and the next one starts on it
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec
import trio

from keys.dnssec.signing_policy import DAY, HOUR

if TYPE_CHECKING:
    from tests.simulation.world import World

PARENT_TROUBLES = {5}
"""Last digits of the seeds in which the parent's servers reset and stall."""
ZONES_ABOVE = {4}
"""Those in which the zones above are served by the same process, and come and go."""
FULL_DISKS = PARENT_TROUBLES | ZONES_ABOVE
"""Those in which disks fill under a process and under the next one."""
_LONGEST_DOOM = 20 * DAY
_TROUBLES = ("reset", "one of two", "an OSError", "a group", "a ValueError", "stall", "stall")


class Surrounding(msgspec.Struct, frozen=True, tag=True):
    """Something that happens; `at` is in seconds of true time since the beginning."""

    at: int


class ParentFails(Surrounding, frozen=True):
    """Each look-up of the DS fails in this way for a while, or never returns."""

    seconds: int
    how: str


class DiskFills(Surrounding, frozen=True):
    """The disk is full from this commit on, and the process is killed with it; the next one starts on the full disk."""

    seconds: int
    what: str
    """"now", or the next change that is stored: "any", "set" or "signer"."""
    stored: bool
    """Whether that was stored just before the disk was full."""
    down: int
    kms_away: int
    """Seconds for which the KMS can't be asked from then on."""


class ZoneAbove(Surrounding, frozen=True):
    """A zone above the child joins, or is another from now on."""

    name: str
    """"grandparent" or "middle"."""
    delegates: str
    """What it has a delegation for: "child", "middle" or "nothing"."""
    signed: bool
    by_api: bool
    """Record set by record set; else as a whole, as a file is."""


class ZoneGone(Surrounding, frozen=True):
    """A zone above the child leaves this server; its DS may stand elsewhere for as long."""

    name: str


class KeysUnreadable(Surrounding, frozen=True):
    """The process is killed, and what the next one finds stored of the keys can't be read until it is mended."""

    seconds: int


AnySurrounding = ParentFails | DiskFills | ZoneAbove | ZoneGone | KeysUnreadable


def surroundings(seed: int, last: int) -> tuple[AnySurrounding, ...]:
    """Those of a seed, each before the second `last`: of most seeds none."""
    dice, digit = Random(f"surroundings {seed}"), seed % 10
    found: list[AnySurrounding] = []
    if digit in PARENT_TROUBLES:
        found += [_parent_fails(dice, last) for _ in range(dice.randint(4, 24))]
    if digit in ZONES_ABOVE:
        found += _zones_above(dice, last)
    if digit in FULL_DISKS:
        found += [_disk_fills(dice, last) for _ in range(dice.randint(2, 8))]
    return tuple(sorted(found, key=lambda one: one.at))


def _at(dice: Random, last: int) -> int:
    return dice.randrange(DAY // 2, max(DAY, last))


def _parent_fails(dice: Random, last: int) -> ParentFails:
    return ParentFails(_at(dice, last), dice.choice((60, HOUR, DAY, 6 * DAY)), dice.choice(_TROUBLES))


def _disk_fills(dice: Random, last: int) -> DiskFills:
    what = dice.choice(("now", "any", "set", "set", "signer"))
    lasting = dice.choice((600, HOUR, 8 * HOUR, DAY))
    kms_away = dice.choice((0, 0, HOUR, DAY))
    return DiskFills(_at(dice, last), lasting, what, dice.random() < 0.6, dice.choice((0, 30, HOUR)), kms_away)


def _zones_above(dice: Random, last: int) -> list[AnySurrounding]:
    """Changes of the zones above, now and then two at once, and restarts that can't read what is stored."""
    found: list[AnySurrounding] = [ZoneAbove(0, "grandparent", dice.choice(("child", "child", "middle")), True, False)]
    if dice.random() < 0.5:
        found.append(ZoneAbove(0, "middle", "child", dice.random() < 0.8, False))
    for _ in range(dice.randint(8, 24)):
        at = _at(dice, last)
        found.append(_zone_above(dice, at))
        if dice.random() < 0.4:
            found.append(_zone_above(dice, at + dice.choice((1, 60, HOUR))))
    found += [KeysUnreadable(_at(dice, last), dice.choice((30, HOUR, DAY))) for _ in range(dice.randint(0, 3))]
    return found


def _zone_above(dice: Random, at: int) -> AnySurrounding:
    if dice.random() < 0.3:
        return ZoneGone(at, dice.choice(("grandparent", "middle", "middle")))
    signed, by_api = dice.random() < 0.85, dice.random() < 0.5
    if dice.random() < 0.5:
        return ZoneAbove(at, "grandparent", dice.choice(("child", "child", "middle", "nothing")), signed, by_api)
    return ZoneAbove(at, "middle", dice.choice(("child", "child", "child", "nothing")), signed, by_api)


async def befall(world: World, fault: AnySurrounding) -> None:
    """Have it happen, and undo it when it is over."""
    match fault:
        case ParentFails():
            world.parent_troubles.append(fault.how)
            await world.until(world.true() + fault.seconds)
            world.parent_troubles.remove(fault.how)
        case DiskFills():
            await _fill(world, fault)
        case ZoneAbove() | ZoneGone():
            if world.above is not None:
                await _change(world, fault)
        case KeysUnreadable():
            if world.is_mortal and not world.life.dead and world.life.key_manager is not None:
                world.unreadable, world.down = True, 0
                world.life.kill()
                await world.until(world.true() + fault.seconds)
                world.unreadable = False


async def _fill(world: World, fault: DiskFills) -> None:
    life = world.life
    if life.dead or not world.is_mortal:
        return
    world.down = fault.down
    if fault.what == "now":
        world.disk_full = True
        life.kill()
    else:
        filled = trio.Event()
        life.doomed, life.filled = (fault.what, fault.stored), filled
        with trio.move_on_after(_LONGEST_DOOM):
            await filled.wait()
        if not filled.is_set():
            if life.filled is filled:
                life.doomed = life.filled = None
            return
    away = world.kms.fail("KMSInternalException")
    await world.until(world.true() + fault.kms_away)
    world.kms.heal(away)
    await world.until(world.true() + fault.seconds - fault.kms_away)
    world.disk_full = False


async def _change(world: World, fault: ZoneAbove | ZoneGone) -> None:
    """As a person changes the zones above: not before this server has seen the DS that one of them has.

    Of a DS that came and went unseen nobody here can know.
    """
    assert world.above is not None
    while not world.is_ds_seen:  # noqa: ASYNC110 - a person looks every hour
        await trio.sleep(HOUR)
    if isinstance(fault, ZoneGone):
        world.above.remove(fault.name)
    else:
        world.above.put(fault.name, delegates=fault.delegates, signed=fault.signed, by_api=fault.by_api)
