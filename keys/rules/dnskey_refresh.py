"""The refresh of the signed keyset: what the DNSKEY RRset should hold, what the KMS is asked to sign, and when.

A refresh is due at one time of the day that a hash of the apex picks, so that the zones of a server spread their KMS
calls over the day and nothing depends on when a process was started.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from keys.dnssec.dnskey_rrset import SignedDnskeyRRset, SlotSignature, dnskey_signing
from keys.dnssec.rrsig import canonical_order, key_tag
from keys.dnssec.signature_validity import Window, slot_window
from keys.dnssec.signing_policy import Policy
from keys.rules.jitter import jitter
from keys.rules.keyring import Keyring, Ksk, Zsk
from keys.rules.zsk_rollover_times import removals, suspended


def next_refresh(origin: bytes, refreshed: int, policy: Policy) -> int:
    """The first of the zone's refresh times that comes at least half a `policy.refresh` after `refreshed`.

    So a first start or a change of a key is not followed within hours by another refresh. The stock of slots lasts for
    two refreshes (`Policy`), so even after one and a half there is time to try again.
    """
    phase = jitter(origin, "refresh", policy.refresh)
    earliest = refreshed + policy.refresh // 2
    return ((earliest - phase) // policy.refresh + 1) * policy.refresh + phase


def wanted_zsks(keyring: Keyring, now: int) -> tuple[Zsk, ...]:
    """The ZSKs that belong in the DNSKEY RRset: from their making until no cache holds what they signed.

    While ZSK rotation is suspended none comes and none goes.
    """
    zsks = [zsk for zsk in keyring.zsks if zsk.removed is None]
    if suspended(keyring):
        waiting = keyring.keyset is not None or any(zsk.published is not None for zsk in zsks)
        return tuple(zsk for zsk in zsks if zsk.published is not None or not waiting)
    gone = {zsk.sequence for at, zsk in removals(keyring) if at <= now}
    return tuple(zsk for zsk in zsks if zsk.sequence not in gone)


def wanted_rdatas(keyring: Keyring, now: int) -> tuple[bytes, ...]:
    """The DNSKEY rdata that the RRset should hold, in canonical order.

    A KSK in ACTION_NEEDED has signed the present set and can't sign another: as long as it is in it, the set stays.
    """
    if keyring.keyset is not None and keyring.is_set_bound:
        return keyring.keyset.rdatas
    return canonical_order([k.rdata for k in keyring.signing_ksks] + [z.rdata for z in wanted_zsks(keyring, now)])


def _signing_policy(keyring: Keyring, policy: Policy) -> Policy:
    """The policy to sign the DNSKEY RRset by: its TTL is part of what was signed, and stays where the set must."""
    if keyring.keyset is None or not keyring.is_set_bound:
        return policy
    return replace(policy, dnskey_ttl=keyring.keyset.ttl)


def stale(keyring: Keyring, policy: Policy, now: int) -> str | None:
    """Why the keyset can't wait for its next refresh; `None` if it can."""
    keyset = keyring.keyset
    if keyset is None:
        return "the zone has no signed DNSKEY RRset"
    if keyset.rdatas != wanted_rdatas(keyring, now):
        return "the DNSKEY RRset changes"
    if keyring.refresh_wanted:
        return "a KSK has changed"
    slot = slot_window(now, _signing_policy(keyring, policy))
    signed = {(s.ksk, Window(s.start, s.end, s.inception, s.expiration)) for s in keyset.signatures}
    # Slot length, margin and TTL all show in the window of the slot.
    if all((ksk.rdata, slot) in signed for ksk in keyring.signing_ksks):
        return None
    if any(s.start <= now < s.end for s in keyset.signatures):
        return "the policy has changed"
    return "no signed slot covers the current time"


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
    carried: tuple[SlotSignature, ...] = ()
    """RRSIGs over the same RRset that stay: by KSKs that can't sign now, and of earlier slots."""

    def signed(self, signatures: tuple[SlotSignature, ...]) -> SignedDnskeyRRset:
        """The keyset, given all its new signatures."""
        return SignedDnskeyRRset(self.owner, self.ttl, self.rdatas, signatures + self.carried).sharing()


def keyset_request(keyring: Keyring, policy: Policy, now: int) -> KeysetRequest:
    """What to have signed at `now`: the wanted RRset, by each ACTIVE KSK, for this slot and those that follow.

    And for those slots of before that a clock which jumped forward may have passed too early (`Keyring.behind`): should
    it be set back, the zone goes on with them.
    """
    rdatas, policy = wanted_rdatas(keyring, now), _signing_policy(keyring, policy)
    ahead = [slot_window(now, policy, number) for number in range(policy.slots)]
    earlier = _earlier_slots(keyring, policy, rdatas, now, ahead[0].start)
    slots, kept = [], list(_carried(keyring, rdatas, now))
    for ksk in keyring.signing_ksks:
        if ksk.arn is None or ksk.public_key is None:
            raise ValueError(f"{ksk.name} is not known to the KMS")
        tag = key_tag(ksk.rdata)
        made = {Window(s.start, s.end, s.inception, s.expiration): s for s in _reusable(keyring, policy, ksk, rdatas)}
        kept += [made[window] for window in earlier if window in made]
        for window in [*ahead, *(window for window in earlier if window not in made)]:
            prefix, message = dnskey_signing(keyring.origin, policy.dnskey_ttl, rdatas, tag, window)
            slots.append(SlotRequest(ksk, ksk.arn, ksk.public_key, window, prefix, message))
    return KeysetRequest(keyring.origin, policy.dnskey_ttl, rdatas, tuple(slots), tuple(kept))


def _earlier_slots(
    keyring: Keyring, policy: Policy, rdatas: tuple[bytes, ...], now: int, start: int
) -> tuple[Window, ...]:
    """The slots before `start` that a clock which lies `Keyring.behind` has not passed: as many as a refresh has."""
    keyset = keyring.keyset
    if keyset is None or not keyring.behind:
        return ()
    found = {s.start: s for s in keyset.signatures if s.end <= keyring.landed and s.expiration > now - keyring.behind}
    same = _is_same(keyset, policy, rdatas)
    windows = {
        Window(s.start, s.end, s.inception, s.expiration) if same else slot_window(s.start, policy)
        for s in found.values()
    }
    return tuple(sorted(window for window in windows if window.start < start)[: policy.slots])


def _reusable(keyring: Keyring, policy: Policy, ksk: Ksk, rdatas: tuple[bytes, ...]) -> Iterator[SlotSignature]:
    """The RRSIGs that `ksk` has made over this RRset already."""
    if keyring.keyset is not None and _is_same(keyring.keyset, policy, rdatas):
        yield from (s for s in keyring.keyset.signatures if s.ksk == ksk.rdata)


def _is_same(keyset: SignedDnskeyRRset, policy: Policy, rdatas: tuple[bytes, ...]) -> bool:
    return (keyset.rdatas, keyset.ttl) == (rdatas, policy.dnskey_ttl)


def _carried(keyring: Keyring, rdatas: tuple[bytes, ...], now: int) -> tuple[SlotSignature, ...]:
    if keyring.keyset is None or keyring.keyset.rdatas != rdatas:
        return ()
    resting = {ksk.rdata for ksk in keyring.needing_action if ksk.public_key is not None}
    return tuple(s for s in keyring.keyset.signatures if s.ksk in resting and s.expiration > now - keyring.behind)


def probe_request(keyring: Keyring, ksk: Ksk, policy: Policy, now: int) -> SlotRequest:
    """One signature that tells whether the KMS lets `ksk` sign: over the present DNSKEY RRset, if there is one."""
    if ksk.arn is None or ksk.public_key is None:
        raise ValueError(f"{ksk.name} is not known to the KMS")
    rdatas = keyring.keyset.rdatas if keyring.keyset is not None else canonical_order([ksk.rdata])
    ttl = keyring.keyset.ttl if keyring.keyset is not None else policy.dnskey_ttl
    window = slot_window(now, replace(policy, dnskey_ttl=ttl))
    prefix, message = dnskey_signing(keyring.origin, ttl, rdatas, ksk.key_tag, window)
    return SlotRequest(ksk, ksk.arn, ksk.public_key, window, prefix, message)
