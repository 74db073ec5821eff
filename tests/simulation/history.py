"""What was served in a run, as the judge looks at it. Times are true seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from keys.dnssec.zone_keys import ZoneKeys


class Publication(NamedTuple):
    """From `at` on these keys are served; other servers answer from them for a propagation after the next one."""

    at: float
    keys: ZoneKeys | None
    """`None`: the zone is served unsigned."""


class Foretold(NamedTuple):
    """What the status said from `at` on."""

    at: float
    valid_until: int | None
    """The second from which all is SERVFAIL if no KMS signs again, by the server's clock."""
    safe_until: int | None
    """The second from which no KSK that the DS is known to name has a valid RRSIG."""
    publication: int = 0
    """The number of the publication that it was said of, from 0."""


class Step(NamedTuple):
    """A value from a time on."""

    at: float
    value: int


class DsSet(NamedTuple):
    """The parent's DS RRset from `at` on: the KSKs that it names."""

    at: float
    named: frozenset[bytes]


@dataclass
class History:
    """One run."""

    origin: bytes
    ds_ttl: int
    ds_lag: int
    """For how long some server of the parent answers from the DS RRset before."""
    publications: list[Publication] = field(default_factory=list)
    foretold: list[Foretold] = field(default_factory=list)
    ttls: list[Step] = field(default_factory=list)
    """The largest TTL served."""
    offsets: list[Step] = field(default_factory=list)
    """By how much the server's clock is wrong."""
    boots: list[float] = field(default_factory=list)
    """When the machine was started anew: who answers from an older state since is another, whose clock is right."""
    ds: list[DsSet] = field(default_factory=list)
    unsigned_until: float | None = None
    """When the last cache drops what another server answered unsigned, before this one had the zone."""
    objections: list[str] = field(default_factory=list)
    """What was seen to be wrong while it ran."""
    end: float = 0
