"""What must be known of a zone before its keys are read: whether it is signed, and what a parent served here says.

It follows from the keyring and is stored beside it, so that a server with thousands of zones knows it of all of them
before its first answer.
"""

from __future__ import annotations

from typing import NamedTuple

from keys.dnssec.ds import ds_rdata
from keys.rules.keyring import Keyring

AT_ONCE = 0
"""The time from which a DS holds that needs no wait."""
STANDING_FORM = 2
"""Raised when what follows from a keyring is other than before: what is stored is then made anew."""


class DelegatedDs(NamedTuple):
    """A DS record of the zone, and from when on a parent that is served here has it."""

    rdata: bytes
    """DS rdata (RFC 4034 §5.1)."""
    since: int
    """Seconds since the epoch."""


class Standing(NamedTuple):
    """What is known of a zone without its keyring; `None`: it can't be told, and `problem` says why."""

    signed: bool | None
    """Whether it is served signed: resolvers may expect signatures."""
    delegation: tuple[DelegatedDs, ...] | None
    """Of a signed zone; a zone without any, or one that is served unsigned, has no DS by its keys."""
    problem: str | None = None


def standing(keyring: Keyring) -> Standing:
    """What follows from a keyring."""
    return Standing(not keyring.served_unsigned, delegation_times(keyring))


def delegation_times(keyring: Keyring) -> tuple[DelegatedDs, ...]:
    """The DS records by which `Keyring.delegation` names KSKs at any time, as long as the keyring stays as it is.

    Only KSKs in the stored DNSKEY RRset are named: a DS without its DNSKEY would make the zone bogus.
    """
    if keyring.keyset is None or keyring.served_unsigned:
        return ()
    times = []
    for ksk in keyring.ksks:
        if ksk.withdrawn is not None or ksk.public_key is None or ksk.rdata not in keyring.keyset.rdatas:
            continue
        since = keyring.nameable_at(ksk)
        if since is not None:
            times.append(DelegatedDs(ds_rdata(keyring.origin, ksk.rdata), since))
    return tuple(times)
