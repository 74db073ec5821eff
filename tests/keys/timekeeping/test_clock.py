"""The clock in force: how it reads, and what it tells."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from keys.timekeeping.clock import Clock
from keys.timekeeping.clock_rules import HOLD, ClockState, looked
from keys.timekeeping.system_clocks import SYSTEM, Clocks, synchronised

START = 1_700_000_000.0


class Machine:
    def __init__(self) -> None:
        self.stepped = self.slept = 0.0
        self.readings = 0
        self.late = 0.0

    def wall(self) -> float:
        late, self.late = self.late, 0.0
        self.slept += late  # held up between two readings, for once
        return START + trio.current_time() + self.slept + self.stepped - late

    def boot(self) -> float:
        return trio.current_time() + self.slept

    def synchronised(self) -> bool | None:
        self.readings += 1
        return True

    @property
    def clocks(self) -> Clocks:
        return Clocks(self.wall, self.boot, trio.current_time, self.synchronised)


def logger(kept: list[str]) -> structlog.typing.FilteringBoundLogger:
    def keep(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        kept.append(event["event"])
        raise structlog.DropEvent

    made: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return made


async def test_a_time_in_order_costs_two_readings(autojump_clock: MockClock) -> None:
    machine = Machine()
    clock = Clock(machine.clocks)
    before = machine.readings
    for _ in range(100):
        await trio.sleep(0.5)
        assert clock.now() == machine.wall()
    assert machine.readings == before


async def test_a_process_that_is_held_up_between_two_readings_sees_no_step(autojump_clock: MockClock) -> None:
    machine = Machine()
    clock = Clock(machine.clocks)
    machine.late = 30.0
    clock.now()
    clock.look()
    assert clock.state.last is None or clock.state.last.kind.name == "SLEPT"
    assert clock.held is None


async def test_it_is_told_when_the_time_jumps_and_not_while_a_step_is_held_off(autojump_clock: MockClock) -> None:
    machine, log, woken = Machine(), list[str](), list[float]()
    clock = Clock(machine.clocks)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.watch, lambda: woken.append(clock.now()), logger(log))
        await trio.sleep(10.5)
        machine.slept += 3600
        await trio.sleep(1)
        assert woken == [START + 3600 + 11]
        machine.stepped = 600.0
        await trio.sleep(60)
        assert clock.held is not None
        assert clock.held.by == 600
        assert clock.held.until == int(START + 3600 + 12 + HOLD)
        assert clock.now() == START + 3600 + 71.5
        assert len(woken) == 1
        machine.stepped = 0.0
        await trio.sleep(60)
        assert clock.held is None
        assert len(woken) == 1
        machine.stepped = 600.0
        await trio.sleep(HOLD + 2)
        assert woken[1:] == [START + 3600 + 600 + 312]
        nursery.cancel_scope.cancel()
    assert log == [
        "the time jumped",
        "only the system clock went forward: the server does not follow it yet",
        "the clock is correct again; the server ignored the step",
        "only the system clock went forward: the server does not follow it yet",
        "the time jumped",
    ]


async def test_who_adopts_the_offset_of_another_clock_goes_by_its_time(autojump_clock: MockClock) -> None:
    machine = Machine()
    control = Clock(machine.clocks)
    machine.stepped = 86400.0
    control.now()
    worker = Clock(machine.clocks)
    worker.adopt(control.offset)
    assert worker.now() == control.now() == START
    control.trust()
    worker.adopt(control.offset)
    assert worker.now() == control.now() == START + 86400


def test_the_clocks_of_this_machine_can_be_read() -> None:
    clock = Clock(SYSTEM)
    assert abs(clock.now() - SYSTEM.wall()) < 1
    assert synchronised() in {None, True, False}
    assert clock.held is None


async def test_a_failure_of_whoever_is_told_does_not_end_the_watch(autojump_clock: MockClock) -> None:
    machine, log, told = Machine(), list[str](), list[float]()
    clock = Clock(machine.clocks)

    def fails() -> None:
        told.append(trio.current_time())
        raise ValueError

    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.watch, fails, logger(log))
        for _ in range(2):
            machine.slept += 60
            await trio.sleep(1.25)
        nursery.cancel_scope.cancel()
    assert len(told) == 2
    assert log.count("cannot check the clocks") == 2


def test_a_look_of_another_thread_undoes_no_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that stores something asks for the time, and is held up while a person says that the clock is right."""
    ahead, began, go_on = [0.0], threading.Event(), threading.Event()

    def held_up(*seen: Any) -> ClockState:
        state = looked(*seen)
        if threading.current_thread().name == "slow":
            began.set()
            assert go_on.wait(60)
        return state

    clock = Clock(Clocks(lambda: START + ahead[0], lambda: 5.0, lambda: 5.0, lambda: True))
    monkeypatch.setattr("keys.timekeeping.clock.looked", held_up)
    ahead[0] = 3600.0
    slow, truster = threading.Thread(target=clock.look, name="slow"), threading.Thread(target=clock.trust)
    slow.start()
    assert began.wait(60)
    truster.start()
    truster.join(0.1)  # it may have to wait for the look
    go_on.set()
    slow.join(60)
    truster.join(60)
    assert clock.held is None
    assert clock.now() == START + 3600
