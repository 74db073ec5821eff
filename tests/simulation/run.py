"""One run from its plan to its verdict, and the smallest plan that still fails."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
import trio.testing

from keys.dnssec.signing_policy import DAY
from keys.rules.keyring import KskStatus
from tests.keys.world import EPOCH
from tests.simulation.answers import check_answers, check_live
from tests.simulation.driver import Driver
from tests.simulation.history import History
from tests.simulation.judge import judge
from tests.simulation.operator import Operator
from tests.simulation.schedule import Plan, Unsign
from tests.simulation.world import World

_MEMORY = Path("/dev/shm")


def simulate(plan: Plan, *, real: bool = False) -> History:
    """The history of a plan."""
    with TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as directory:
        world = World(plan, Path(directory), real=real)
        with closing(world):
            trio.run(_run, world, clock=trio.testing.MockClock(autojump_threshold=0))
    return world.history


def objections(plan: Plan, *, real: bool = False) -> list[str]:
    """What is wrong with a plan's history; empty where all is well."""
    history = simulate(plan, real=real)
    return [*judge(history), *check_live(history), *(check_answers(history) if real else ())]


def shrink(plan: Plan) -> Plan:
    """A plan that fails with as few of the faults as can be found by leaving some out, halves first."""
    size = max(1, len(plan.faults) // 2)
    while True:
        for start in range(0, len(plan.faults), size):
            fewer = plan.without(plan.faults[start : start + size])
            if len(fewer.faults) < len(plan.faults) and objections(fewer):
                plan = fewer
                break
        else:
            if size == 1:
                return plan
            size //= 2


async def _run(world: World) -> None:
    async with trio.open_nursery() as nursery:
        operator, world.nursery = Operator(world), nursery
        nursery.start_soon(world.run_lives)
        nursery.start_soon(operator.run)
        nursery.start_soon(Driver(world, operator).run, nursery)
        if world.plan.unsigned_for:
            await world.until(EPOCH + world.plan.unsigned_for)
            world.configure(signed=True)
        await world.until(EPOCH + world.plan.days * DAY)
        world.history.end = world.true()
        _check_end(world)
        nursery.cancel_scope.cancel()


def _check_end(world: World) -> None:
    """After weeks without a fault everything goes its way again."""
    keyring, now = world.keyring, world.now()
    if keyring is None:
        world.object("nothing was ever stored")
        return
    if not keyring.signing:
        if not any(isinstance(fault, Unsign) for fault in world.plan.faults):
            world.object("the setting says signed, and the zone is not")
        return
    if keyring.keyset is None or keyring.keyset.expiration < now + world.policy.refresh:
        world.object("refreshing has stopped")
    if any(ksk.status is KskStatus.ACTION_NEEDED for ksk in keyring.ksks):
        world.object("a KSK still needs action")
    policy, active = world.policy, keyring.active_zsk
    longest = policy.zsk_lifetime + policy.zsk_jitter + 20 * DAY
    if world.above is not None and (objection := world.above.objection()) is not None:
        world.object(objection)
    if active is None or active.published is None or active.published < now - longest:
        world.object("ZSK rotation has stopped")
