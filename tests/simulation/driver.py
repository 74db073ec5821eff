"""What carries out a plan: each fault at its time, and undone when it is over."""

from __future__ import annotations

from functools import partial

import msgspec
import trio

from keys.custody.zsk_encryption import StateError
from keys.dnssec.signing_policy import DAY, HOUR
from keys.rules import commands
from tests.keys.world import EPOCH
from tests.simulation import surroundings
from tests.simulation.clock_faults import ClockFault, befall
from tests.simulation.operator import Operator
from tests.simulation.schedule import (
    AnyFault,
    Ask,
    Asleep,
    ClockStep,
    DiskFull,
    DiskSlow,
    KeyDisabled,
    Kill,
    KillAtChange,
    KmsFails,
    KmsSlow,
    NewPolicy,
    NewTtl,
    ParentAway,
    ParentForgotten,
    RestartWithoutKms,
    RollKsk,
    SignedSetting,
    Unsign,
)
from tests.simulation.surroundings import Surrounding
from tests.simulation.world import KillAtStep, Killed, World


class Driver:
    """Brings the faults of a plan over a world."""

    def __init__(self, world: World, operator: Operator) -> None:
        self._world = world
        self._operator = operator

    async def run(self, nursery: trio.Nursery) -> None:
        """All of them in turn; those that last go on in `nursery`."""
        for fault in self._world.plan.faults:
            await self._world.until(EPOCH + fault.at)
            nursery.start_soon(self._befall, fault)

    async def _befall(self, fault: AnyFault) -> None:
        world = self._world
        match fault:
            case KmsFails():
                arns = list(world.kms.keys)
                arn = arns[fault.key] if fault.key is not None and fault.key < len(arns) else None
                if fault.key is not None and arn is None:
                    return
                ordered = world.kms.lose_answers(arn=arn) if fault.lost else world.kms.fail(fault.code, arn=arn)
                await self._lasting(fault.seconds)
                world.kms.heal(ordered)
            case KeyDisabled():
                arn = world.key(newest=fault.newest)
                if arn is not None:
                    world.kms.disable(arn)
                    await self._lasting(fault.seconds)
                    world.kms.enable(arn)
            case KmsSlow():
                ordered = world.kms.delay(fault.delay)
                await self._lasting(fault.seconds)
                world.kms.heal(ordered)
            case Kill():
                world.down = fault.down
                if fault.at_commit:
                    world.life.commits_left = fault.number
                else:
                    instrument = KillAtStep(world, fault.number)
                    trio.lowlevel.add_instrument(instrument)
                    await self._lasting(DAY)
                    trio.lowlevel.remove_instrument(instrument)
            case KillAtChange():
                world.down, world.life.doomed = fault.down, (fault.what, fault.stored)
            case ClockStep():
                if world.life.key_manager is not None and not world.life.dead:
                    world.set_clock(fault.by)
                    await self._lasting(fault.seconds)
                    world.set_clock(0)
            case Asleep():
                world.slept += fault.seconds
            case ClockFault():
                await befall(world, fault)
            case Surrounding():
                await surroundings.befall(world, fault)
            case DiskSlow():
                world.disk_delay = fault.delay
                await self._lasting(fault.seconds)
                world.disk_delay = 0.0
            case DiskFull():
                world.disk_full = True
                await self._lasting(fault.seconds)
                world.disk_full = False
            case ParentAway():
                world.parent_away = True
                await self._lasting(fault.seconds)
                world.parent_away = False
            case NewTtl():
                await self._new_ttl(fault.ttl)
            case NewPolicy():
                world.policy = msgspec.structs.replace(world.plan.policy, **fault.fields)
                if world.life.key_manager is not None:
                    world.life.key_manager.reconfigure(world.policy, None, world.configured)
            case Ask():
                await self._operator.ask(_command(fault.command))
            case RollKsk():
                self._operator.jobs.append(self._operator.roll_ksk)
            case SignedSetting():
                job = partial(self._operator.configure_unsigned, fault.seconds, withdrawn=fault.withdrawn)
                self._operator.jobs.append(job)
            case ParentForgotten():
                await self._forget_parent(fault.seconds)
            case RestartWithoutKms():
                ordered = world.kms.fail("KMSInternalException")
                if world.is_mortal and not world.life.dead:
                    world.down = fault.down
                    world.life.kill()
                await self._lasting(fault.down + fault.seconds)
                world.kms.heal(ordered)
            case Unsign():
                self._operator.jobs.append(partial(self._operator.unsign, fault.seconds))

    async def _lasting(self, seconds: float) -> None:
        await self._world.until(self._world.true() + seconds)

    async def _forget_parent(self, seconds: float) -> None:
        """Once what its DS names was seen: of a DS that nobody saw here, nobody can know."""
        world = self._world
        while world.parent_forgotten or not world.is_ds_seen:  # noqa: ASYNC110 - a person looks every hour
            await trio.sleep(HOUR)
        world.parent_forgotten = True
        await self._lasting(seconds)
        world.parent_forgotten = False

    async def _new_ttl(self, ttl: int) -> None:
        """As a reload does: a higher TTL is recorded before it is served, a lower one afterwards."""
        world, life = self._world, self._world.life
        lower, key_manager = ttl < world.ttl, life.key_manager
        world.ttl = ttl
        if key_manager is None or life.dead:
            if not life.dead:
                world.note_unsigned_ttl(lowered=lower)
            return  # the next process finds it
        if lower:
            world.serve_ttl(ttl)
        try:
            await key_manager.observe_ttl(ttl)
        except Killed:
            return
        except StateError:
            if not lower:
                world.ttl = world.history.ttls[-1].value  # refused; the old zone goes on being served
            return
        if not life.dead:
            world.serve_ttl(ttl)


def _command(name: str) -> commands.Command:
    if name == "DeactivateKsk":
        return commands.DeactivateKsk("ksk_1")
    if name == "DeleteKsk":
        return commands.DeleteKsk("ksk_1")
    command: commands.Command = getattr(commands, name)()
    return command
