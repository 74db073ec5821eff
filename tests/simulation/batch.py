"""One zone-year of many, as a process of a pool runs it."""

from __future__ import annotations

from time import process_time

import msgspec

from tests.simulation.run import objections
from tests.simulation.schedule import draw

REAL_SHARE = 50
"""One run in so many has signatures that can be verified, and answers judged by the validator of the tests."""


class Result(msgspec.Struct):
    """One zone-year."""

    seed: int
    days: int
    faults: int
    real: bool
    seconds: float
    """Of a processor."""
    objections: list[str]
    code: str
    """A digest of the sources of the keys and of the simulation."""


def year(seed: int, days: int, code: str) -> Result:
    """One zone-year; what is a share of real ones follows from the seed."""
    plan, real, started = draw(seed, days), seed % REAL_SHARE == 0, process_time()
    found = objections(plan, real=real)
    return Result(seed, days, len(plan.faults), real, round(process_time() - started, 2), found, code)
