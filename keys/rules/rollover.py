"""The waits of a ZSK rollover by Pre-Publish (RFC 6781 §4.1.1.1; timings: RFC 7583 §3.2.1), as times of one ring.

A successor is published, signs once every cache knows it, and its predecessor leaves once no cache holds what it
signed:

    Trdy = published everywhere + highest TTL of a DNSKEY RRset served before          (Ipub = Dprp + TTLkey)
    Trem = activated everywhere + live window + highest TTL served while the old signed  (Iret = Dsgn + Dprp + TTLsig)

"Everywhere" is one propagation after the custodian has published, which may be long after it decided: a disk is slow,
a process is killed. So both waits begin with an event of their own, `Published`, that follows the publication. TTLs,
live window and propagation are the ring's high-water marks, not the policy's: what was lowered meanwhile still counts.

The waits are about caches, which forget by themselves: they go on while the KMS is away and while this process is down,
since a cache that drops the old RRset can only fetch the new one, or nothing. They don't go on while the clock says so
and nobody else does: a jump of the clock moves them by as much (`ClockJumped`), also after a laptop has slept, when
that costs a wait that was not needed.
"""

from __future__ import annotations

from keys.dnssec.model import Policy
from keys.rules.ring import Ring, Zsk
from keys.rules.spread import spread


def suspended(ring: Ring) -> bool:
    """Whether ZSK rotation stands still, in whatever phase: no publication, no activation, no removal."""
    return bool(ring.needing_action)


def rollover_at(ring: Ring, policy: Policy) -> tuple[int, str] | None:
    """When the next rollover begins, and why; `None` while it can't be told."""
    active = ring.active_zsk
    if active is None or ring.keyset is None or ring.successor is not None:
        return None
    if active.lost is not None:
        return active.lost, "emergency rollover: the private key of the ZSK is lost or known to others"
    if sum(zsk.removed is None for zsk in ring.zsks) > 1:
        return None
    if ring.rollover_requested is not None:
        return ring.rollover_requested, "a ZSK rollover was asked for"
    since = active.published if active.published is not None else active.generated
    later = spread(ring.origin, f"zsk/{active.sequence}", policy.zsk_jitter + 1)
    return since + policy.zsk_lifetime + later, "regular ZSK rollover"


def activation_at(ring: Ring) -> int | None:
    """When the successor may sign: `None` as long as there is none that is published everywhere."""
    successor = ring.successor
    return None if successor is None or ring.active_zsk is None else successor.ready


def removable_at(ring: Ring, zsk: Zsk) -> int | None:
    """When no cache holds what the retired `zsk` signed; `None` while it can't be told.

    A ZSK that was lost signs nothing any more from its successor's activation on; any other one uses up its windows.
    """
    if zsk.superseded is None or zsk.removed is not None:
        return None
    signing = 0 if zsk.lost is not None else ring.window
    return max(zsk.superseded + ring.propagation + signing + ring.data_ttl, ring.data_cached_until)


def removals(ring: Ring) -> list[tuple[int, Zsk]]:
    """The retired ZSKs with the times at which they may leave the DNSKEY RRset."""
    return [(at, zsk) for zsk in ring.zsks if (at := removable_at(ring, zsk)) is not None]
