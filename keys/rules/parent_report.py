"""What the parent zone has of a zone, its DS RRset and its NS RRset, against what the zone has: one value to watch.

Validators find every answer bogus where a DS RRset leads to no key that signs the zone (RFC 4035 §5.2), and where the
zone is served unsigned below a DS. Where the parent has no DS, the zone is insecure. An NS RRset that differs from the
child's still resolves, from fewer servers or from wrong ones (RFC 1034 §4.2.2).
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgspec

from keys.dnssec.ds import ds_text, names_key
from keys.rules.keyring import Keyring, Ksk
from keys.rules.wanted_ds import ParentDs


class DsState(enum.Enum):
    """The parent's DS RRset against the keys of the zone."""

    MATCHES = "matches"
    """It names a KSK that signs the zone."""
    FOREIGN = "foreign"
    """There is one, and it names no KSK that signs the zone."""
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """The parent was not asked yet, or can't be asked."""
    UNWATCHED = "unwatched"
    """No parent is known that could be asked."""


class NameServers(NamedTuple):
    """Names of the servers of a zone, in presentation form and sorted."""

    parent: tuple[str, ...]
    """Those that the parent zone delegates to."""
    zone: tuple[str, ...]
    """Those at the apex of the zone itself."""


class ParentLook(NamedTuple):
    """What came of the latest looks at the parent."""

    ds: ParentDs | None = None
    """The latest answer; `None`: there was none in this life of the process."""
    failure: str | None = None
    """Why the latest look failed, if it did."""
    failing_since: int | None = None
    """When the first of the failures in a row was."""
    name_servers: NameServers | None = None
    """`None`: not known."""


class ParentReport(msgspec.Struct, frozen=True, kw_only=True):
    """The parent's side of one zone; times are seconds since the epoch."""

    state: DsState
    records: tuple[str, ...] = ()
    """The DS rdata that the parent had when last asked, as text."""
    checked: int | None = None
    """When it last gave an answer."""
    problem: str | None = None
    """Why it can't be asked, once that has lasted for longer than one look."""
    since: int | None = None
    """Since when it can't be asked."""
    is_gone: bool = False
    """Whether there is no DS, and there was one that named a KSK of this zone."""
    going: tuple[str, ...] = ()
    """KSKs that the DS has named, and did not when it was last looked at: that counts once it is certain."""
    parent_ns: tuple[str, ...] = ()
    """The parent's NS records for the zone, where they differ from the zone's own."""
    zone_ns: tuple[str, ...] = ()
    """The zone's own, where they differ."""


UNWATCHED = ParentReport(state=DsState.UNWATCHED)


def parent_report(keyring: Keyring, look: ParentLook | None, pause: int, now: int) -> ParentReport:
    """Report at `now` what was seen. `look` is `None` if the parent is not watched; `pause`: seconds between two looks.

    A single look that failed changes nothing: what was seen before stands until the next one has failed, too.
    """
    if look is None or (look.ds is not None and not look.ds.known):
        return UNWATCHED
    since = look.failing_since
    lasting = look.failure is not None and since is not None and now - since >= pause
    servers = look.name_servers if look.name_servers and look.name_servers.parent != look.name_servers.zone else None
    state = DsState.UNKNOWN if lasting else _state(keyring, look)
    return ParentReport(
        state=state,
        records=tuple(ds_text(rdata) for rdata in _records(keyring, look)),
        checked=max(
            (at for at in (keyring.parent_checked, look.ds and look.ds.seen_at) if at is not None), default=None
        ),
        problem=look.failure if lasting else None,
        since=since if lasting else None,
        is_gone=state is DsState.ABSENT
        and keyring.signing
        and any(ksk.ds_until is not None and ksk.withdrawn is None for ksk in keyring.ksks),
        going=tuple(ksk.name for ksk in keyring.ksks if look.ds is not None and _is_going(keyring, ksk, look.ds)),
        parent_ns=servers.parent if servers else (),
        zone_ns=servers.zone if servers else (),
    )


def _records(keyring: Keyring, look: ParentLook) -> tuple[bytes, ...]:
    return look.ds.rdatas if look.ds is not None else keyring.foreign_ds


def _is_going(keyring: Keyring, ksk: Ksk, seen: ParentDs) -> bool:
    return (
        ksk.ds_named
        and ksk.public_key is not None
        and not any(names_key(rdata, keyring.origin, ksk.rdata) for rdata in seen.rdatas)
    )


def _state(keyring: Keyring, look: ParentLook) -> DsState:
    if any(leads_to(keyring, ksk) for ksk in keyring.ksks):
        return DsState.MATCHES
    if keyring.foreign_ds or any(ksk.ds_named for ksk in keyring.ksks):
        return DsState.FOREIGN
    return DsState.UNKNOWN if look.ds is None and keyring.parent_checked is None else DsState.ABSENT


def leads_to(keyring: Keyring, ksk: Ksk) -> bool:
    """Whether the parent's DS, as last seen, names this KSK and it signs what is served: validators get through."""
    if not ksk.ds_named or ksk.public_key is None or keyring.served_unsigned:
        return False
    return keyring.keyset is None or any(signature.ksk == ksk.rdata for signature in keyring.keyset.signatures)


def is_foreign(keyring: Keyring) -> bool:
    """Whether the parent's DS RRset, as last seen, leads to no key that signs the zone: all its answers are bogus."""
    return _state(keyring, ParentLook()) is DsState.FOREIGN
