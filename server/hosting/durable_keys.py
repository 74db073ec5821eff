"""What is durable of the keys of zones, before any key manager runs: whether each is signed, and which DS it wants.

So a restart begins where the last life ended: what was signed is SERVFAIL until its keys are loaded, what was served
unsigned goes on so, and a parent served here has the DS that it had.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from keys.custody.state_database import Store
from keys.rules.keyring import Keyring
from keys.rules.zone_standing import Standing, standing
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
    wants_key_manager: bool = False
    """Whether there are keys to keep; an unsigned zone without a KSK needs nobody."""
    unsigned_ttl: int | None = None
    """The highest TTL with which it is stored to be served unsigned; `None`: none is."""
    configured: bool | None = None
    """The setting `signed` that is carried out, as far as a zone that is served unsigned goes."""


NOTHING = DurableKeys(unsigned=True, ds=NO_DS, has_keys=False)
"""Of a zone of which nothing is stored."""


def durable_keys(store: Store, origins: Collection[bytes], now: int) -> dict[bytes, DurableKeys]:
    """What is stored of these zones at `now` (seconds since the epoch); `NOTHING` for those that are not there.

    Blocks. Raises `StateError` where the database can't be read.
    """
    standings = store.standings(origins)
    known = {o: _of(one, now) if (one := standings.get(o)) is not None else NOTHING for o in origins}
    unsigned = store.load_unsigned([origin for origin in origins if known[origin].has_keys and known[origin].unsigned])
    known |= {keyring.origin: of_keyring(keyring, now) for keyring in unsigned.good if keyring.origin in known}
    for origin, error in unsigned.problems.items():
        if origin in known:
            known[origin] = DurableKeys(False, UNKNOWN_DS, has_keys=True, problem=str(error), wants_key_manager=True)
    return known


def of_keyring(keyring: Keyring, now: int) -> DurableKeys:
    """What a keyring says at `now` (seconds since the epoch)."""
    return of_unsigned(keyring) if keyring.served_unsigned else _of(standing(keyring), now)


def of_unsigned(keyring: Keyring) -> DurableKeys:
    """What the keyring of a zone says that is served unsigned."""
    return DurableKeys(
        keyring.served_unsigned,
        NO_DS,
        has_keys=True,
        wants_key_manager=keyring.signing or bool(keyring.ksks),
        unsigned_ttl=keyring.unsigned_ttl if keyring.unsigned_since is not None else None,
        configured=keyring.configured,
    )


def _of(standing: Standing, now: int) -> DurableKeys:
    if standing.signed is None or standing.delegation is None:
        return DurableKeys(False, UNKNOWN_DS, has_keys=True, problem=standing.problem, wants_key_manager=True)
    if not standing.signed:
        return DurableKeys(unsigned=True, ds=NO_DS, has_keys=True)
    ds = tuple(one.rdata for one in standing.delegation if one.since <= now)
    return DurableKeys(unsigned=False, ds=ChildDs(ds), has_keys=True, wants_key_manager=True)
