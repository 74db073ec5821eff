"""Zones that need no key manager: those that are served unsigned. What is durable of them, written and read.

That a zone is served unsigned, since when and with which highest TTL, is stored before its first unsigned answer; of
thousands of zones at a start, in a few transactions. Reading stores nothing, and starts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from keys.custody.key_event_log import entries
from keys.custody.state_connections import RESTORE, StateDamaged, StateTooNew
from keys.custody.state_database import Store, Transaction
from keys.custody.zsk_encryption import StateError
from keys.dnssec.name_text import to_text
from keys.dnssec.signing_policy import Policy
from keys.rules.events import ServedUnsigned, entry
from keys.rules.key_status import ZoneStatus, describe
from keys.rules.keyring import Keyring, hosted_zone_id
from keys.rules.safety import UnsafeTransitionError, evolve_safely
from keys.rules.signedness import as_configured, lowered_ttl, new_unsigned, unsigned_news

AT_A_TIME = 500
"""Zones of one transaction: the disk is waited for once, and nobody else waits long for the database."""
_WHY = "before the first answer"


class UnsignedZone(NamedTuple):
    """A zone without a key manager that is about to be answered."""

    origin: bytes
    """The apex in wire form, lower case."""
    ttl: int
    """Its highest TTL in seconds, negative answers included."""
    propagation: int
    """Its policy's bound on the time until no server answers from an older state, in seconds."""
    configured: bool | None
    """Its setting `signed`; `None` for a hosted zone."""
    lowered: bool = False
    """Whether nothing higher than `ttl` is answered any more, so that a lower one than before may be taken note of."""


def store_unsigned(
    store: Store, zones: Sequence[UnsignedZone], new_token: Callable[[], str], now: int
) -> dict[bytes, Keyring | StateError]:
    """Store what has to be known before these zones are answered unsigned; their keyrings, by origin.

    One whose keyring is not `served_unsigned` is signed, whatever its setting says, and needs its key manager: only
    that can have signing disabled, as the parent's DS lets it. One whose keyring can't be used has the reason in its
    place, and is not to be answered. To be called again before a higher TTL is answered. `now` is seconds since the
    epoch, rounded up. Raises `StateError` where nothing can be stored; what was stored before that stays.
    """
    stored: dict[bytes, Keyring | StateError] = {}
    for start in range(0, len(zones), AT_A_TIME):
        with store.writing() as transaction:
            for zone in zones[start : start + AT_A_TIME]:
                try:
                    stored[zone.origin] = store_unsigned_within(store, transaction, zone, new_token, now)
                except (StateDamaged, StateTooNew) as error:
                    stored[zone.origin] = error
                except UnsafeTransitionError as error:  # before anything of it was written
                    what = f"{store.path}: the keyring of {to_text(zone.origin)} can't be used ({error}): {RESTORE}"
                    stored[zone.origin] = StateDamaged(what)
    return stored


def store_unsigned_within(
    store: Store, transaction: Transaction, zone: UnsignedZone, new_token: Callable[[], str], now: int
) -> Keyring:
    """As `store_unsigned`, of one zone, within a transaction of the store that has more to do: as it is hosted."""
    known = store.keyring_within(transaction, zone.origin)
    if known is None:
        zone_id = store.hosted_zone_id_within(transaction, zone.origin, lambda: hosted_zone_id(new_token()), now)
        new = new_unsigned(zone.origin, zone_id, zone.configured, zone.ttl, now, zone.propagation)
        return store.save_within(transaction, new, [entry(ServedUnsigned(now, zone.ttl), _WHY)])
    events = as_configured(known, zone.configured, now)
    keyring = evolve_safely(known, events)
    # Whether it is served unsigned may follow from what is configured.
    news = unsigned_news(keyring, zone.ttl, now, zone.propagation)
    if zone.lowered and keyring.served_unsigned:
        news += lowered_ttl(keyring, zone.ttl, now)
    keyring, events = evolve_safely(keyring, news), events + news
    if not events:
        return known
    return store.save_within(transaction, keyring, entries(events, _WHY, known, keyring))


def status_of_stored(store: Store, origin: bytes, policy: Policy, now: int) -> tuple[Keyring, ZoneStatus]:
    """The keys of a zone without a key manager, as they are stored. Nothing is stored. Raises `StateError`."""
    keyring = store.load_keyring(origin) or Keyring(origin, "", signing=False)
    return keyring, describe(keyring, policy, now, None, None, False)
