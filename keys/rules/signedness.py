"""Whether a zone is signed: a fact of its keyring, and what the configuration may change about it.

A zone is answered unsigned where its keyring says so (`Keyring.served_unsigned`), and nowhere else. Before its first
unsigned answer the keyring says since when and with which highest TTL, since caches hold such answers, and the denial
of a DNSKEY RRset, for as long: no DS may name a KSK of the zone before they have dropped them.

The setting `signed` is a wish like a command. What of it is carried out stands in `Keyring.configured`, so a wish is
carried out once, and what a person orders afterwards outlives restarts.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from keys.rules.events import Event, Observed, ServedUnsigned, SigningConfigured, SigningDisabled, SigningEnabled
from keys.rules.keyring import Keyring, Ksk, Zsk
from keys.rules.transitions import evolve

Key = TypeVar("Key", Ksk, Zsk)

FIRST_VERSION = 4
"""Of keyrings that know whether and how the zone was served unsigned."""


def of_earlier_version(keyring: Keyring) -> Keyring:
    """A keyring as this version reads it: what an earlier one did not store follows from what it did store.

    What follows is no earlier than what was in force, so no wait becomes shorter than it was.
    """
    if keyring.version >= FIRST_VERSION:
        return keyring
    if keyring.unsigned_since is None and (not keyring.signing or keyring.enabled):
        keyring = replace(keyring, unsigned_since=keyring.newest, unsigned_ttl=keyring.data_ttl)
    return replace(
        keyring, ksks=tuple(_with_out(ksk) for ksk in keyring.ksks), zsks=tuple(_with_out(zsk) for zsk in keyring.zsks)
    )


def _with_out(key: Key) -> Key:
    if key.ready is None or key.published is None or key.out is not None:
        return key
    return replace(key, out=key.published, unseen=max(0, key.ready - key.published))


def new_unsigned(
    origin: bytes, hosted_zone_id: str, configured: bool | None, ttl: int, now: int, propagation: int = 0
) -> Keyring:
    """The keyring of a zone that is served unsigned from the beginning, to be stored before its first answer.

    `ttl` is its highest TTL in seconds, negative answers included; `configured` is its setting, `None` if it is hosted.
    """
    keyring = Keyring(origin, hosted_zone_id, signing=False, configured=configured)
    return evolve(keyring, ServedUnsigned(now, ttl, propagation))


def unsigned_news(keyring: Keyring, ttl: int, now: int, propagation: int = 0) -> list[Event]:
    """What is to be stored before a zone that is served unsigned is answered with TTLs up to `ttl`, by servers that
    have what is new within `propagation`.
    """
    known = keyring.unsigned_since is not None and keyring.unsigned_ttl >= ttl
    if not keyring.served_unsigned or (known and keyring.propagation >= propagation):
        return []
    return [ServedUnsigned(now, ttl, propagation)]


def lowered_ttl(keyring: Keyring, ttl: int, now: int) -> list[Event]:
    """What may be stored once a zone is answered with nothing higher than `ttl` any more, so that waits get shorter."""
    if ttl >= keyring.data_ttl:
        return []
    return [Observed(now, ttl, keyring.window, keyring.propagation, settled=True)]


def as_configured(keyring: Keyring, configured: bool | None, now: int) -> list[Event]:
    """What the setting `signed` changes without anybody being asked: everything but to end signing.

    A keyring of an earlier version knows no setting. What was in force stays so: a zone with `signed = false` was
    served unsigned whatever its keyring said, and one with `signed = true` as its keyring says.
    """
    if configured == keyring.configured:
        return []
    said = SigningConfigured(now, configured)
    if configured is None:
        return [said]  # it is hosted now: what a file's setting said binds nobody any more
    if keyring.configured is None and keyring.version < FIRST_VERSION:
        # In force already, whatever the parent's DS says: nobody is asked.
        return [said] if configured or not keyring.signing else [said, SigningDisabled(now, forced=True)]
    if configured:
        return [said] if keyring.signing else [said, SigningEnabled(now)]
    return [said] if not keyring.signing else []


def is_to_be_disabled(keyring: Keyring, configured: bool | None) -> bool:
    """Whether the configuration wants a signed zone unsigned: that passes the checks of `DisableSigning`."""
    return configured is False and keyring.configured is not False and keyring.signing


def disablable_at(keyring: Keyring) -> int | None:
    """From when on the parent's DS lets signing be disabled, as far as is known; `None` while it names a KSK."""
    if any(ksk.ds_named for ksk in keyring.ksks):
        return None
    led_to = max(keyring.keyset_ttl, keyring.keyset.ttl) if keyring.keyset is not None else 0
    untils = [keyring.deleted_ds_until, *(ksk.ds_until or 0 for ksk in keyring.ksks)]
    return max((until + led_to for until in untils if until), default=0)
