"""The waits of a ZSK rollover by Pre-Publish (RFC 6781 §4.1.1.1; timings: RFC 7583 §3.2.1), as times of one keyring.

A successor is published, signs once every cache knows it, and its predecessor leaves once no cache holds what it
signed:

    Trdy = published everywhere + highest TTL of a DNSKEY RRset served before          (Ipub = Dprp + TTLkey)
    Trem = activated everywhere + live window + highest TTL served while the old signed  (Iret = Dsgn + Dprp + TTLsig)

"Everywhere" is one propagation after the key manager has published, which may be long after it decided: a disk is slow,
a process is killed. So both waits begin with an event of their own, `Published`, that follows the publication. TTLs,
live window and propagation are the keyring's high-water marks, not the policy's: what was lowered meanwhile still
counts.

The waits are about caches, which forget by themselves: they go on while the KMS is away and while this process is down,
since a cache that drops the old RRset can only fetch the new one, or nothing. They don't go on while the clock says so
and nobody else does: a jump of the clock moves them by as much (`ClockJumped`), also after a laptop has slept, when
that costs a wait that was not needed.
"""

from __future__ import annotations

from keys.dnssec.signing_policy import Policy
from keys.rules.jitter import jitter
from keys.rules.keyring import Keyring, Zsk


def suspended(keyring: Keyring) -> bool:
    """Whether ZSK rotation stands still, in whatever phase: no publication, no activation, no removal."""
    return bool(keyring.needing_action)


def rollover_at(keyring: Keyring, policy: Policy) -> tuple[int, str] | None:
    """When the next rollover begins, and why; `None` while it can't be told."""
    active = keyring.active_zsk
    if active is None or keyring.keyset is None or keyring.successor is not None:
        return None
    if active.lost is not None:
        return active.lost, "emergency rollover: the private key of the ZSK is lost or compromised"
    if sum(zsk.removed is None for zsk in keyring.zsks) > 1:
        return None
    if keyring.rollover_requested is not None:
        return keyring.rollover_requested, "a ZSK rollover was requested"
    since = active.published if active.published is not None else active.generated
    later = jitter(keyring.origin, f"zsk/{active.sequence}", policy.zsk_jitter + 1)
    return since + policy.zsk_lifetime + later, "regular ZSK rollover"


def activation_at(keyring: Keyring) -> int | None:
    """When the successor may sign: `None` as long as there is none that is published everywhere."""
    successor = keyring.successor
    return None if successor is None or keyring.active_zsk is None else successor.ready


def removable_at(keyring: Keyring, zsk: Zsk) -> int | None:
    """When no cache holds what the retired `zsk` signed; `None` while it can't be told.

    A ZSK that was lost signs nothing any more from its successor's activation on; any other one uses up its windows.
    """
    if zsk.superseded is None or zsk.removed is not None:
        return None
    signing = 0 if zsk.lost is not None else keyring.window
    return max(zsk.superseded + keyring.propagation + signing + keyring.data_ttl, keyring.data_cached_until)


def removals(keyring: Keyring) -> list[tuple[int, Zsk]]:
    """The retired ZSKs with the times at which they may leave the DNSKEY RRset."""
    return [(at, zsk) for zsk in keyring.zsks if (at := removable_at(keyring, zsk)) is not None]
