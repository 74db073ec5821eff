"""What is durable of the keys of zones, before any key manager runs: whether each is signed, and which DS it wants.

So a restart begins where the last life ended: what was signed is SERVFAIL until its keys are loaded, what was served
unsigned goes on so, and a parent served here has the DS that it had.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from keys.custody.state_database import Store
from keys.rules.zone_standing import Standing
from zones.parent_child import NO_DS, UNKNOWN_DS, ChildDs


class DurableKeys(NamedTuple):
    """What is stored of one zone's keys."""

    unsigned: bool
    """Whether it is served unsigned."""
    ds: ChildDs
    has_keys: bool
    """Whether anything is stored at all."""
    problem: str | None = None
    """Why what is stored can't be read."""


NOTHING = DurableKeys(unsigned=True, ds=NO_DS, has_keys=False)
"""Of a zone of which nothing is stored."""


def durable_keys(store: Store, origins: Collection[bytes], now: int) -> dict[bytes, DurableKeys]:
    """What is stored of these zones at `now` (seconds since the epoch); `NOTHING` for those that are not there.

    Blocks. Raises `StateError` where the database can't be read.
    """
    standings = store.standings(origins)
    return {o: _of(standing, now) if (standing := standings.get(o)) is not None else NOTHING for o in origins}


def _of(standing: Standing, now: int) -> DurableKeys:
    if standing.signed is None or standing.delegation is None:
        return DurableKeys(unsigned=False, ds=UNKNOWN_DS, has_keys=True, problem=standing.problem)
    if not standing.signed:
        return DurableKeys(unsigned=True, ds=NO_DS, has_keys=True)
    ds = tuple(one.rdata for one in standing.delegation if one.since <= now)
    return DurableKeys(unsigned=False, ds=ChildDs(ds), has_keys=True)
