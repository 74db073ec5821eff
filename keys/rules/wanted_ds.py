"""The DS RRset at the parent: what the parent holds, and what it should hold (RFC 4034 §5)."""

from __future__ import annotations

from typing import NamedTuple

from keys.dnssec.ds import ds_rdata
from keys.rules.keyring import Keyring


class ParentDs(NamedTuple):
    """The DS RRset of a zone, as every authoritative server of its parent that was asked has it."""

    rdatas: tuple[bytes, ...]
    """DS rdata (RFC 4034 §5.1); none where the parent says that there is no DS."""
    ttl: int
    """Seconds for which a cache keeps this answer: of the RRset, or of its denial."""
    seen_at: int
    """When it was looked at, in seconds since the epoch."""
    known: bool = True
    """Whether there is a parent to look at; without one, a DS may be there that nobody here knows of."""
    settled: bool = True
    """Whether a DS that was there and is not among `rdatas` is gone for certain: all servers say so, for a while."""
    settles_in: int = 0
    """Seconds until a look may find that, if nothing changes."""
    lately: tuple[ParentDs, ...] = ()
    """What was there and is not any more, as this very process has shown it, whether anybody stored that or not."""


def wanted_ds(keyring: Keyring) -> tuple[bytes, ...]:
    """DS rdata that the parent should hold: of the ACTIVE KSKs that are in a stored, signed DNSKEY RRset.

    A DS without such a DNSKEY would make the zone bogus.
    """
    return tuple(ds_rdata(keyring.origin, ksk.rdata) for ksk in keyring.signing_ksks if ksk.published is not None)
