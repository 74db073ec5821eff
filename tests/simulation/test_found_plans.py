"""Plans in which something was found, shrunk to what they need and moved to the beginning of the year."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from keys.dnssec.signing_policy import DAY, HOUR
from tests.simulation.clock_faults import PausedMachine
from tests.simulation.run import objections
from tests.simulation.schedule import AnyFault, Ask, ClockStep, KeyDisabled, Plan, RollKsk, Unsign, draw
from tests.simulation.surroundings import ParentFails, ZoneAbove, ZoneGone


def _plan(seed: int, days: int, *faults: AnyFault) -> Plan:
    return replace(draw(seed), days=days, faults=faults, unsigned_for=0)


PLANS = {
    # Who looks at the clock when a hold ends is the server; the judge went on with the time of before.
    "a clock is set right that was set back after one that outlasted a hold": _plan(
        258,
        40,
        PausedMachine(5 * DAY, 600, 1),
        ClockStep(8 * DAY, DAY, -1700),
    ),
    # A validator has the DNSKEY RRset, signed by both KSKs, for its TTL after the DS, whatever became of the old KSK.
    "signing is disabled soon after the KSK that the DS named was deleted": _plan(
        504,
        40,
        ZoneAbove(2 * DAY, "middle", "child", signed=True, by_api=False),
        ZoneGone(2 * DAY + HOUR, "middle"),
        RollKsk(2 * DAY + HOUR + 60),
        Unsign(20 * DAY, HOUR),
        ZoneAbove(20 * DAY + 60, "grandparent", "nothing", signed=False, by_api=True),
    ),
    # The DS named the new KSK alone, and its key was disabled for longer than its RRSIGs last: nobody foretold that.
    "a KSK is rolled while the parent cannot be looked at, and the new one is disabled": _plan(
        1275,
        40,
        ParentFails(5 * DAY, 6 * DAY, "a group"),
        RollKsk(5 * DAY + HOUR),
        KeyDisabled(5 * DAY + 9 * HOUR, 6 * DAY, newest=True),
    ),
    # Disabling signing takes back the publication of a successor that has signed nothing; no rotation goes on.
    "signing is disabled while rotation is suspended with a successor published": _plan(
        2474,
        9,
        Ask(2 * DAY, "StartRollover"),
        KeyDisabled(2 * DAY + HOUR, 2 * DAY, newest=True),
        Unsign(3 * DAY, HOUR),
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_was_found_once_is_not_found_again(name: str) -> None:
    assert objections(PLANS[name]) == []
