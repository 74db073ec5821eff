"""What is durable of the keys of zones, before any key manager runs: whether each is signed, and which DS it wants.

So a restart begins where the last life ended: what was signed is SERVFAIL until its keys are loaded, what was served
unsigned goes on so, and a parent served here has the DS that it had.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from keys.custody.state_database import Store
from keys.dnssec.ds import ds_rdata
from keys.rules.keyring import Keyring
from zones.parent_child import NO_DS, ChildDs


class DurableKeys(NamedTuple):
    """What is stored of one zone's keys."""

    unsigned: bool
    """Whether it is served unsigned."""
    ds: ChildDs
    has_keys: bool
    """Whether anything is stored at all, or can't be told to be."""
    problem: str | None = None
    """Why what is stored can't be read."""


_MANY = 64
"""Zones from which on all that is stored is read at once."""
NOTHING = DurableKeys(unsigned=True, ds=NO_DS, has_keys=False)
"""Of a zone of which nothing is stored."""


def durable_keys(store: Store, origins: Collection[bytes], now: int) -> dict[bytes, DurableKeys]:
    """What is stored of these zones at `now` (seconds since the epoch); `NOTHING` for those that are not there.

    Blocks. Raises `StateError` where the database can't be read.
    """
    if len(origins) > _MANY:
        stored = store.load_keyrings()
    else:
        stored = tuple(ring for origin in origins if (ring := store.load_keyring(origin)) is not None)
    found = {keyring.origin: _of(keyring, now) for keyring in stored}
    return {origin: found.get(origin, NOTHING) for origin in origins}


def _of(keyring: Keyring, now: int) -> DurableKeys:
    keyset = keyring.keyset
    if keyring.served_unsigned or keyset is None:
        return DurableKeys(keyring.served_unsigned, NO_DS, has_keys=True)
    named = [ksk.rdata for ksk in keyring.delegation(now) if ksk.rdata in keyset.rdatas]
    return DurableKeys(False, ChildDs(tuple(ds_rdata(keyring.origin, rdata) for rdata in named)), has_keys=True)
