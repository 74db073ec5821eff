"""Which time is believed: each rule by itself, over clocks that are moved by hand."""

from __future__ import annotations

import pytest

from keys.timekeeping.clock_rules import (
    HOLD,
    Kind,
    Reading,
    adopted,
    begun,
    believed,
    looked,
    trusted,
)

YEAR = 365 * 86400.0
START = 1_700_000_000.0


class Machine:
    """The clocks of a machine, and what is made of them."""

    def __init__(self, synchronised: bool | None = True) -> None:
        self.wall, self.boot, self.awake = START, 1000.0, 900.0
        self.synchronised = synchronised
        self.state = begun(self.reading())

    def reading(self) -> Reading:
        return Reading(self.wall, self.boot, self.awake, self.synchronised)

    def passes(self, seconds: float, *, slewed: float = 0.0) -> None:
        """Time goes by, looked at each second; the wall clock is slewed by some seconds a second."""
        for _ in range(int(seconds)):
            self.wall, self.boot, self.awake = self.wall + 1 + slewed, self.boot + 1, self.awake + 1
            self.looks()

    def sleeps(self, seconds: float) -> None:
        self.wall, self.boot = self.wall + seconds, self.boot + seconds

    def steps(self, seconds: float) -> None:
        """The wall clock alone is set."""
        self.wall += seconds

    def looks(self) -> float:
        """The time that is believed."""
        self.state = looked(self.state, self.reading())
        return believed(self.state, self.reading())

    @property
    def moves(self) -> list[object]:
        last = self.state.last
        return [self.state.moves, last and last.kind, last and round(last.by)]


def test_the_first_reading_is_believed() -> None:
    machine = Machine()
    assert machine.looks() == START
    assert machine.moves == [0, None, None]


def test_a_sleep_is_followed_at_once() -> None:
    machine = Machine()
    machine.sleeps(30 * 86400)
    assert machine.looks() == START + 30 * 86400
    assert machine.moves == [1, Kind.SLEPT, 30 * 86400]


def test_a_step_forward_is_held_off_and_the_old_time_goes_on() -> None:
    machine = Machine()
    machine.steps(YEAR)
    for second in range(int(HOLD)):
        assert machine.looks() == START + second
        machine.passes(1)
    assert machine.moves == [1, Kind.OUTLASTED, YEAR]
    assert machine.looks() == START + YEAR + HOLD


def test_a_step_that_is_taken_back_within_the_hold_was_never_followed() -> None:
    machine = Machine()
    machine.steps(YEAR)
    machine.passes(120)
    assert machine.state.held is not None
    machine.steps(-YEAR)
    assert machine.looks() == START + 120
    assert machine.state.held is None
    machine.passes(2 * HOLD)
    assert machine.moves == [0, None, None]


def test_a_second_step_begins_a_hold_of_its_own() -> None:
    machine = Machine()
    machine.steps(YEAR)
    machine.passes(170)
    machine.steps(YEAR)
    machine.passes(HOLD - 1)
    assert machine.moves == [0, None, None]
    machine.passes(2)
    assert machine.moves == [1, Kind.OUTLASTED, 2 * YEAR]


def test_a_sleep_during_a_hold_is_followed_by_the_old_time() -> None:
    machine = Machine()
    machine.steps(YEAR)
    machine.passes(10)
    machine.sleeps(100)
    assert machine.looks() == START + 110
    assert machine.moves == [1, Kind.SLEPT, 100]


@pytest.mark.parametrize("by", [60, YEAR])
def test_a_clock_set_back_is_followed_at_once(by: float) -> None:
    machine = Machine()
    machine.steps(-by)
    assert machine.looks() == START - by
    assert machine.moves == [1, Kind.SET_BACK, -by]


def test_a_clock_that_was_set_back_returns_at_once_as_far_as_it_was() -> None:
    machine = Machine()
    machine.steps(-3600)
    machine.passes(10)
    machine.steps(1800)
    assert machine.looks() == START + 10 - 1800
    machine.steps(1800)
    assert machine.looks() == START + 10
    assert machine.moves == [3, Kind.RETURNED, 1800]
    machine.steps(60)
    assert machine.looks() == START + 10  # held


def test_a_clock_returns_to_no_time_that_it_had_only_by_outlasting_a_hold() -> None:
    machine = Machine()
    machine.steps(YEAR)
    machine.passes(HOLD + 1)
    machine.steps(-YEAR)
    right = machine.looks()
    machine.steps(YEAR)
    assert machine.looks() == right


def test_a_clock_that_is_synchronised_for_the_first_time_is_believed_at_once() -> None:
    machine = Machine(synchronised=False)
    machine.passes(60)
    machine.steps(YEAR)
    machine.passes(2)
    assert machine.state.held is not None  # the daemon sets the clock, and says so a moment later
    machine.synchronised = True
    assert machine.looks() == START + 62 + YEAR
    assert machine.moves == [1, Kind.SYNCHRONISED, YEAR]


def test_a_step_that_itself_ends_the_synchronisation_is_held_off() -> None:
    # As the kernel does whenever the clock is set: it says nothing of whether the new time is right.
    machine = Machine(synchronised=True)
    machine.passes(60)
    machine.steps(YEAR)
    machine.synchronised = False
    machine.passes(2)
    machine.synchronised = True
    machine.passes(2)
    assert machine.looks() == START + 64


@pytest.mark.parametrize("synchronised", [None, True, False])
def test_a_kernel_that_says_nothing_new_ends_no_hold(synchronised: bool | None) -> None:
    machine = Machine(synchronised)
    machine.steps(YEAR)
    machine.passes(HOLD - 1)
    assert machine.moves == [0, None, None]


def test_a_person_ends_a_hold() -> None:
    machine = Machine()
    machine.steps(YEAR)
    machine.passes(10)
    machine.state = trusted(machine.state, machine.reading())
    assert machine.looks() == START + 10 + YEAR
    assert machine.moves == [1, Kind.TRUSTED, YEAR]


def test_to_trust_a_clock_that_is_right_changes_nothing() -> None:
    machine = Machine()
    machine.state = trusted(machine.state, machine.reading())
    assert machine.moves == [0, None, None]


def test_ntp_slews_a_clock_for_days_without_a_step() -> None:
    machine = Machine()
    machine.passes(86400, slewed=500e-6)
    assert machine.moves == [0, None, None]
    assert machine.looks() == pytest.approx(START + 86400 * 1.0005)
    machine.passes(86400, slewed=-500e-6)
    assert machine.moves == [0, None, None]


def test_clocks_that_differ_a_little_are_no_step() -> None:
    machine = Machine()
    for by in (0.4, -0.4, 0.9, -0.9):
        machine.steps(by)
        machine.looks()
    assert machine.moves == [0, None, None]


def test_a_paused_machine_whose_clocks_all_stood_still_is_held_off_when_it_is_corrected() -> None:
    machine = Machine()
    machine.passes(60)
    machine.steps(3600)  # an hour has passed of which no clock here knows
    machine.looks()
    machine.passes(HOLD - 1)
    assert machine.looks() == START + 60 + HOLD - 1
    machine.passes(1)
    assert machine.looks() == START + 60 + HOLD + 3600


def test_a_process_believes_what_the_other_one_does() -> None:
    one, other = Machine(), Machine()
    one.steps(YEAR)
    one.looks()
    other.wall += YEAR
    other.state = begun(other.reading())  # it was started later
    other.state = adopted(other.state, one.state.offset)
    assert other.looks() == one.looks() == START
    one.state = trusted(one.state, one.reading())
    other.state = adopted(other.state, one.state.offset)
    assert other.looks() == one.looks() == START + YEAR


def test_what_was_adopted_too_late_is_corrected_by_the_next_look() -> None:
    machine = Machine()
    machine.state = adopted(machine.state, machine.state.offset + YEAR)
    assert machine.looks() == START
