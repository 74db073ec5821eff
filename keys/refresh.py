"""The refresh of the signed keyset: what the DNSKEY RRset should hold, what the KMS is asked to sign, and when.

A refresh is due at one time of the day that a hash of the apex picks, so that the zones of a server spread their KMS
calls over the day and nothing depends on when a process was started.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from keys.keyset import SignedKeyset, SlotSignature, dnskey_signing
from keys.model import Policy
from keys.ring import Ksk, Ring, Zsk
from keys.rrsig import canonical_order, key_tag
from keys.windows import Window, slot_window


def spread(origin: bytes, what: str, below: int) -> int:
    """A number from 0 to `below` - 1 that is the same in every process and differs from zone to zone: never dice."""
    return int.from_bytes(sha256(what.encode() + b"/" + origin).digest()[:8]) % below


def next_refresh(origin: bytes, refreshed: int, policy: Policy) -> int:
    """The first of the zone's refresh times that comes after `refreshed`: at most one `policy.refresh` later."""
    phase = spread(origin, "refresh", policy.refresh)
    return ((refreshed - phase) // policy.refresh + 1) * policy.refresh + phase


def wanted_zsks(ring: Ring) -> tuple[Zsk, ...]:
    """The ZSKs that belong in the DNSKEY RRset: from the moment they are generated until they are removed."""
    return tuple(z for z in ring.zsks if z.removed is None)


def wanted_rdatas(ring: Ring) -> tuple[bytes, ...]:
    """The DNSKEY rdata that the RRset should hold, in canonical order."""
    return canonical_order([k.rdata for k in ring.signing_ksks] + [z.rdata for z in wanted_zsks(ring)])


def stale(ring: Ring, policy: Policy, now: int) -> str | None:
    """Why the keyset can't wait for its next refresh; `None` if it can."""
    keyset = ring.keyset
    if keyset is None:
        return "the zone has no signed DNSKEY RRset"
    if keyset.rdatas != wanted_rdatas(ring):
        return "the DNSKEY RRset changes"
    slot = slot_window(now, policy)
    signed = {(s.ksk, Window(s.start, s.end, s.inception, s.expiration)) for s in keyset.signatures}
    # Slot length, margin and TTL all show in the window of the slot.
    if all((ksk.rdata, slot) in signed for ksk in ring.signing_ksks):
        return None
    if any(s.start <= now < s.end for s in keyset.signatures):
        return "the policy has changed"
    return "no signed slot holds the present time"


class SlotRequest(NamedTuple):
    """One signature to ask of the KMS."""

    ksk: Ksk
    arn: str
    public_key: bytes
    window: Window
    prefix: bytes
    """RRSIG rdata without the signature."""
    message: bytes
    """The data to sign (RFC 4034 §3.1.8.1)."""

    def signed(self, signature: bytes) -> SlotSignature:
        """The RRSIG, given its signature."""
        return SlotSignature(self.ksk.rdata, *self.window, self.prefix + signature)


class KeysetRequest(NamedTuple):
    """A DNSKEY RRset and the signatures it needs."""

    owner: bytes
    ttl: int
    rdatas: tuple[bytes, ...]
    slots: tuple[SlotRequest, ...]

    def signed(self, signatures: tuple[SlotSignature, ...]) -> SignedKeyset:
        """The keyset, given all its signatures."""
        return SignedKeyset(self.owner, self.ttl, self.rdatas, signatures)


def keyset_request(ring: Ring, policy: Policy, now: int) -> KeysetRequest:
    """What to have signed at `now`: the wanted RRset, by each ACTIVE KSK, for this slot and those that follow."""
    rdatas = wanted_rdatas(ring)
    slots = []
    for ksk in ring.signing_ksks:
        if ksk.arn is None or ksk.public_key is None:
            raise ValueError(f"{ksk.name} is not known to the KMS")
        tag = key_tag(ksk.rdata)
        for ahead in range(policy.slots):
            window = slot_window(now, policy, ahead)
            prefix, message = dnskey_signing(ring.origin, policy.dnskey_ttl, rdatas, tag, window)
            slots.append(SlotRequest(ksk, ksk.arn, ksk.public_key, window, prefix, message))
    return KeysetRequest(ring.origin, policy.dnskey_ttl, rdatas, tuple(slots))
