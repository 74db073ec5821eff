"""What no transition may do to a keyring, whatever rule or event led to it.

It knows nothing of plans and waits for nobody: a second opinion, which looks at two keyrings only and computes every
wait again, from the times at which something happened and from the TTLs of what was served; `ready` and the marks are
what it checks, not what it believes. Where it objects, the new keyring is neither stored nor published, the zone's keys
stay as they are, and a person is called.

The facts that waits follow from are checked when they are stored, each against the keyring before: how long a cache may
know nothing of a key (`unseen`) against the TTL of what the DNSKEY RRset with it replaced.
"""

from __future__ import annotations

from collections.abc import Iterable

from keys.dnssec.dnskey_rrset import SignedDnskeyRRset
from keys.dnssec.rrsig import canonical_order
from keys.rules.events import Event
from keys.rules.keyring import MOST_KSKS, Keyring, Ksk, KskStatus, Zsk
from keys.rules.transitions import evolve


class UnsafeTransitionError(Exception):
    """A transition that could make an answer bogus, or lose a key: always a bug."""


def assert_safe(before: Keyring, after: Keyring) -> None:
    """Compare a keyring with the one that is to follow. Raises `UnsafeTransitionError`."""
    _require(
        before.origin == after.origin and before.hosted_zone_id == after.hosted_zone_id, "a keyring changed its zone"
    )
    if after.newest < before.newest:
        # A person has said that the clock was wrong: times may change, keys may not.
        _require(before.keyset == after.keyset, "the signed keyset changed with the clock")
        _require(_identities(before) == _identities(after), "a key changed with the clock")
        return
    _no_ksk_lost(before, after)
    _no_zsk_lost(before, after)
    _marks_kept(before, after)
    _waits_long_enough(before, after)
    _unsigned_remembered(before, after)
    _ds_forgotten(before, after)
    if after.keyset is None:
        _require(before.keyset is None or not after.signing, "the signed keyset vanished")
        return
    _keyset_complete(after, after.keyset)
    _signers_known(before, after, after.keyset)
    if before.keyset is not None:
        _set_may_change(before, after, before.keyset, after.keyset)


def evolve_safely(keyring: Keyring, events: Iterable[Event]) -> Keyring:
    """The keyring after these events, each of which is compared. Raises `UnsafeTransitionError`."""
    for event in events:
        before, keyring = keyring, evolve(keyring, event)
        assert_safe(before, keyring)
    return keyring


def assert_nameable(keyring: Keyring, rdatas: tuple[bytes, ...], now: int) -> None:
    """Whether a DS at a parent served here may name the KSKs with these DNSKEY rdata at `now` (seconds since the
    epoch). Raises `UnsafeTransitionError`.
    """
    began = next((zsk.activated for zsk in keyring.zsks if zsk.sequence == 1), None)
    for rdata in rdatas:
        ksk = next((k for k in keyring.ksks if k.public_key is not None and k.rdata == rdata), None)
        if ksk is None or ksk.published is None or keyring.keyset is None or rdata not in keyring.keyset.rdatas:
            raise UnsafeTransitionError("a DS names a KSK that is not in the DNSKEY RRset")
        _require(ksk.withdrawn is None, f"a DS names {ksk.name}, which was withdrawn")
        if ksk.published == began and keyring.unsigned_since is None and not keyring.earlier_ttl:
            continue  # no cache holds anything of the zone from before
        known = ksk.out is not None and now >= ksk.out + ksk.unseen
        _require(known, f"a DS names {ksk.name} while a cache may know nothing of it")


def _require(condition: bool, objection: str) -> None:
    if not condition:
        raise UnsafeTransitionError(objection)


def _identities(keyring: Keyring) -> list[object]:
    zsks = [
        (z.sequence, z.public_key, z.activated is None, z.retired is None, z.superseded is None, z.removed)
        for z in keyring.zsks
    ]
    return [(k.name, k.public_key, k.status, k.published is None) for k in keyring.ksks] + [*zsks]


def _no_ksk_lost(before: Keyring, after: Keyring) -> None:
    names = [ksk.name for ksk in after.ksks]
    _require(len(set(names)) == len(names), "two KSKs have one name")
    _require(len(names) <= MOST_KSKS, f"the zone has {len(names)} KSKs")
    kept = {ksk.name: ksk for ksk in after.ksks}
    for ksk in before.ksks:
        now: Ksk | None = kept.get(ksk.name)
        if ksk.public_key is None or (now is None and ksk.status is KskStatus.DELETING and ksk.published is None):
            continue
        same = now is not None and (now.arn, now.public_key, now.intent) == (ksk.arn, ksk.public_key, ksk.intent)
        _require(same, f"{ksk.name} vanished or became another key")
        if now is not None and ksk.ready is not None and now.ready is not None and ksk.published == now.published:
            _require(now.ready >= ksk.ready, f"the wait of {ksk.name} became shorter")


def _no_zsk_lost(before: Keyring, after: Keyring) -> None:
    sequences = [zsk.sequence for zsk in after.zsks]
    _require(len(set(sequences)) == len(sequences), "two ZSKs have one number")
    kept = {zsk.sequence: zsk for zsk in after.zsks}
    for zsk in before.zsks:
        if zsk.removed is not None:
            continue
        now: Zsk | None = kept.get(zsk.sequence)
        if now is None or now.public_key != zsk.public_key:
            raise UnsafeTransitionError(f"ZSK {zsk.sequence} vanished or became another key")
        # One that has signed nothing begins anew where its DNSKEY RRset is served no more.
        unpublished = after.keyset is None and zsk.activated is None and now.published is None
        if not unpublished:
            _times_kept(zsk, now)


def _times_kept(was: Zsk, now: Zsk) -> None:
    for field in ("generated", "published", "activated", "retired", "superseded", "lost"):
        time = getattr(was, field)
        _require(time is None or getattr(now, field) == time, f"the {field} time of ZSK {was.sequence} changed")
    _require(
        was.ready is None or (now.ready is not None and now.ready >= was.ready),
        f"the wait for ZSK {was.sequence} became shorter",
    )


def _marks_kept(before: Keyring, after: Keyring) -> None:
    """High-water marks go up, or what they stood for is still waited for."""
    _require(after.cached_until >= before.cached_until, "the mark of the DNSKEY RRsets in caches went down")
    _require(after.data_cached_until >= before.data_cached_until, "the mark of what is in caches went down")
    lower = after.data_ttl < before.data_ttl or after.window < before.window or after.propagation < before.propagation
    if lower:
        gone = after.newest + before.propagation + before.data_ttl
        _require(after.data_cached_until >= gone, "what was served with a higher TTL is forgotten")
    if before.unconfirmed is not None and after.unconfirmed is None:
        gone = after.newest + before.propagation + before.unconfirmed
        _require(after.cached_until >= gone, "a DNSKEY RRset that caches hold is forgotten")
    if before.unconfirmed is not None and after.unconfirmed is not None:
        _require(after.unconfirmed >= before.unconfirmed, "the TTL of a replaced DNSKEY RRset went down")


def _waits_long_enough(before: Keyring, after: Keyring) -> None:
    """Check that the waits for new keys are at least as long as the TTLs of the data in caches require."""
    old, new = before.keyset, after.keyset
    if new is not None and old is not new and (old is None or (old.rdatas, old.ttl) != (new.rdatas, new.ttl)):
        ttls = [before.unconfirmed or 0, old.ttl if old is not None else before.unsigned_ttl]
        if old is None and all(zsk.activated is None for zsk in before.zsks):
            ttls.append(before.earlier_ttl)
        told = after.unconfirmed is not None and after.unconfirmed >= max(ttls)
        _require(told, "what the DNSKEY RRset replaced is forgotten")
        if old is None and before.unsigned_since is not None:
            _require(after.cached_until >= before.data_cached_until, "what was served unsigned is forgotten")
    ksks = {ksk.name: ksk for ksk in before.ksks}
    zsks = {zsk.sequence: zsk for zsk in before.zsks}
    for ksk in after.ksks:
        _key_waits(before, after.newest, ksk, ksks.get(ksk.name), ksk.name)
    for zsk in after.zsks:
        _key_waits(before, after.newest, zsk, zsks.get(zsk.sequence), f"ZSK {zsk.sequence}")


def _key_waits(before: Keyring, at: int, key: Ksk | Zsk, was: Ksk | Zsk | None, name: str) -> None:
    """Whether the wait for one key follows from facts, and these from what was stored when they became true."""
    if key.out is None:
        _require(key.ready is None, f"{name} is ready without having been published")
        return
    _require(key.published is not None, f"{name} is out without having been published")
    _require(key.ready is not None and key.ready >= key.out + key.unseen, f"{name} is ready too early")
    if was is not None and was.out is not None and was.published == key.published:
        _require(key.out >= was.out and key.unseen >= was.unseen, f"the wait for {name} became shorter")
        return
    _require(before.unconfirmed is not None, f"{name} is out, and nothing was published")
    wait = before.propagation + (before.unconfirmed or 0)
    _require(key.out >= at and key.unseen >= wait, f"the wait for {name} is too short")
    _require(key.ready is not None and key.ready >= before.cached_until, f"the wait for {name} forgets what was served")


def _unsigned_remembered(before: Keyring, after: Keyring) -> None:
    """Whether it is kept that, and how, the zone was served unsigned, and that another server had it before."""
    if after.served_unsigned:
        _require(after.unsigned_since is not None, "the zone is served unsigned, and that is not stored")
        served = before.data_ttl if after.keyset is None and not before.served_unsigned else before.unsigned_ttl
        lowered = after.data_cached_until >= after.newest + before.propagation + served
        _require(after.unsigned_ttl >= served or lowered, "the TTL of what is served unsigned is forgotten")
    elif after.unsigned_ttl < before.unsigned_ttl:
        gone = after.newest + before.propagation + before.unsigned_ttl
        _require(after.data_cached_until >= gone, "the TTL of what was served unsigned is forgotten")
    if before.unsigned_since is not None:
        _require(after.unsigned_since == before.unsigned_since, "it is forgotten that the zone was served unsigned")
    if any(zsk.activated is not None for zsk in before.zsks):
        _require(after.earlier_ttl >= before.earlier_ttl, "what another server answered is forgotten")


def _ds_forgotten(before: Keyring, after: Keyring) -> None:
    """Whether nothing is taken from validators that a DS may lead them to, unless a person has forced it."""
    later = {ksk.name: ksk for ksk in after.ksks}
    _require(after.deleted_ds_until >= before.deleted_ds_until, "the wait for the DS of a deleted KSK became shorter")
    for ksk in before.ksks:
        now = later.get(ksk.name)
        if now is None:
            gone = max(ksk.ds_until or 0, after.newest + before.propagation + ksk.ds_ttl if ksk.ds_named else 0)
            _require(after.deleted_ds_until >= gone, f"{ksk.name} was deleted, and its DS is forgotten")
        if ksk.public_key is None or now is None:
            continue
        _require((now.ds_until or 0) >= (ksk.ds_until or 0), f"the wait for the DS of {ksk.name} became shorter")
        if ksk.ds_named and not now.ds_named:
            gone = after.newest + before.propagation + ksk.ds_ttl
            _require((now.ds_until or 0) >= gone, f"the DS of {ksk.name} is forgotten while caches may hold it")
        leaves = {KskStatus.INACTIVE, KskStatus.DELETING}
        if now.status in leaves and now.status is not ksk.status and now.forced == ksk.forced:
            gone = not now.ds_named and (now.ds_until or 0) <= after.newest
            _require(gone, f"{ksk.name} is taken away while a DS may name it")
    if after.signing or not before.signing or after.unsigned_by_force != before.unsigned_by_force:
        return
    led_to = max(before.keyset_ttl, before.keyset.ttl) if before.keyset is not None else 0
    for ksk in after.ksks:
        if ksk.public_key is not None:
            gone = not ksk.ds_named and (ksk.ds_until is None or ksk.ds_until + led_to <= after.newest)
            _require(gone, f"signing ends while a DS may lead to {ksk.name}")
    until = after.deleted_ds_until
    _require(until == 0 or until + led_to <= after.newest, "signing ends while a DS may have led to a deleted KSK")


def _keyset_complete(keyring: Keyring, keyset: SignedDnskeyRRset) -> None:
    _require(keyset.owner == keyring.origin, "the keyset is another zone's")
    _require(keyset.rdatas == canonical_order(keyset.rdatas), "the DNSKEY RRset is not in canonical order")
    slots: dict[bytes, set[int]] = {}
    for signature in keyset.signatures:
        slots.setdefault(signature.ksk, set()).add(signature.start)
    _require(set(slots) <= set(keyset.rdatas), "a KSK signed a DNSKEY RRset that it is not in")
    _require(bool(slots), "the DNSKEY RRset is not signed")
    # One that has become ACTIVE again since may lack the newest slots until the refresh that follows.
    signing = [ksk for ksk in keyring.signing_ksks if ksk.published is not None and ksk.trouble is None]
    last = max((max(slots.get(ksk.rdata, {0})) for ksk in signing), default=0)
    for ksk in signing:
        _require(ksk.rdata in keyset.rdatas, f"{ksk.name} is ACTIVE but not in the DNSKEY RRset")
        if not keyring.refresh_wanted:
            signed = slots.get(ksk.rdata, set())
            fullest = max((slots.get(other.rdata, set()) for other in signing), key=len)
            _require(
                bool(signed) and max(signed) == last and signed == fullest, f"{ksk.name} has not signed every slot"
            )


def _signers_known(before: Keyring, after: Keyring, keyset: SignedDnskeyRRset) -> None:
    signing = [zsk for zsk in after.zsks if zsk.activated is not None and zsk.retired is None]
    _require(len(signing) == 1, f"{len(signing)} ZSKs are active")
    for zsk in after.zsks:
        if zsk.activated is not None and zsk.removed is None:
            _require(zsk.rdata in keyset.rdatas, f"ZSK {zsk.sequence} signs but is not in the DNSKEY RRset")
    earlier = {zsk.sequence for zsk in before.zsks if zsk.activated is not None}
    for zsk in signing:
        if earlier and zsk.activated is not None and zsk.sequence not in earlier:
            known = zsk.ready is not None and zsk.out is not None
            _require(known, f"ZSK {zsk.sequence} signs without having been published")
            seen = max(zsk.ready or 0, (zsk.out or 0) + zsk.unseen)
            _require(zsk.activated >= seen, f"ZSK {zsk.sequence} signs too early")
            _require(not before.needing_action, f"ZSK {zsk.sequence} signs while rotation is suspended")


def _set_may_change(before: Keyring, after: Keyring, old: SignedDnskeyRRset, new: SignedDnskeyRRset) -> None:
    """Whether the keys that leave the DNSKEY RRset may: nothing in a cache needs them."""
    if old.rdatas == new.rdatas:
        return
    _require(not before.is_set_bound, "the DNSKEY RRset changed although a KSK can't sign")
    left = set(old.rdatas) - set(new.rdatas)
    for ksk in after.ksks:
        if ksk.public_key is not None and ksk.rdata in left:
            out = ksk.status in {KskStatus.INACTIVE, KskStatus.DELETING}
            _require(out, f"{ksk.name} left the DNSKEY RRset while {ksk.status.value}")
    at = after.refreshed or 0
    for zsk in before.zsks:
        if zsk.rdata not in left:
            continue
        objection = f"ZSK {zsk.sequence} left the DNSKEY RRset while caches may hold what it signed"
        _require(not before.needing_action, f"ZSK {zsk.sequence} left while rotation is suspended")
        if zsk.superseded is None:
            raise UnsafeTransitionError(objection)
        windows = 0 if zsk.lost is not None else before.window
        _require(at >= zsk.superseded + before.propagation + windows + before.data_ttl, objection)
        _require(at >= before.data_cached_until, objection)
    for zsk in before.zsks:
        if before.needing_action and zsk.rdata in set(new.rdatas) - set(old.rdatas):
            raise UnsafeTransitionError(f"ZSK {zsk.sequence} was published while rotation is suspended")
