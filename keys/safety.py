"""What no transition may do to a ring, whatever rule or event led to it.

It knows nothing of plans and waits for nobody: a second opinion, which looks at two rings only. Where it objects, the
new ring is neither stored nor published, the zone's keys stay as they are, and a person is called.
"""

from __future__ import annotations

from keys.keyset import SignedKeyset
from keys.ring import Ksk, Ring, Zsk
from keys.rrsig import canonical_order


class UnsafeTransitionError(Exception):
    """A transition that could make an answer bogus, or lose a key: always a bug."""


def assert_safe(before: Ring, after: Ring) -> None:
    """Compare a ring with the one that is to follow. Raises `UnsafeTransitionError`."""
    _require(before.origin == after.origin and before.hosted_zone_id == after.hosted_zone_id, "a ring changed its zone")
    _no_ksk_lost(before, after)
    _no_zsk_lost(before, after)
    if after.keyset is None:
        _require(before.keyset is None, "the signed keyset vanished")
    else:
        _keyset_complete(after, after.keyset)
        _signers_known(before, after, after.keyset)


def _require(condition: bool, objection: str) -> None:
    if not condition:
        raise UnsafeTransitionError(objection)


def _no_ksk_lost(before: Ring, after: Ring) -> None:
    names = [ksk.name for ksk in after.ksks]
    _require(len(set(names)) == len(names), "two KSKs have one name")
    kept = {ksk.name: ksk for ksk in after.ksks}
    for ksk in before.ksks:
        if ksk.public_key is None:
            continue
        now: Ksk | None = kept.get(ksk.name)
        same = now is not None and (now.arn, now.public_key, now.intent) == (ksk.arn, ksk.public_key, ksk.intent)
        _require(same, f"{ksk.name} vanished or became another key")


def _no_zsk_lost(before: Ring, after: Ring) -> None:
    sequences = [zsk.sequence for zsk in after.zsks]
    _require(len(set(sequences)) == len(sequences), "two ZSKs have one number")
    kept = {zsk.sequence: zsk for zsk in after.zsks}
    for zsk in before.zsks:
        if zsk.removed is not None:
            continue
        now: Zsk | None = kept.get(zsk.sequence)
        if now is None or now.public_key != zsk.public_key:
            raise UnsafeTransitionError(f"ZSK {zsk.sequence} vanished or became another key")
        for field in ("generated", "published", "ready", "activated", "retired"):
            was = getattr(zsk, field)
            _require(was is None or getattr(now, field) == was, f"the {field} time of ZSK {zsk.sequence} changed")


def _keyset_complete(ring: Ring, keyset: SignedKeyset) -> None:
    _require(keyset.owner == ring.origin, "the keyset is another zone's")
    _require(keyset.rdatas == canonical_order(keyset.rdatas), "the DNSKEY RRset is not in canonical order")
    slots: dict[bytes, set[int]] = {}
    for signature in keyset.signatures:
        slots.setdefault(signature.ksk, set()).add(signature.start)
    _require(set(slots) <= set(keyset.rdatas), "a KSK signed a DNSKEY RRset that it is not in")
    _require(bool(slots), "the DNSKEY RRset is not signed")
    for ksk in ring.signing_ksks:
        if ksk.published is None:
            continue  # not part of the present RRset yet
        _require(ksk.rdata in keyset.rdatas, f"{ksk.name} is ACTIVE but not in the DNSKEY RRset")
        _require(slots.get(ksk.rdata) == max(slots.values(), key=len), f"{ksk.name} has not signed every slot")


def _signers_known(before: Ring, after: Ring, keyset: SignedKeyset) -> None:
    signing = [zsk for zsk in after.zsks if zsk.activated is not None and zsk.retired is None]
    _require(len(signing) == 1, f"{len(signing)} ZSKs are active")
    for zsk in after.zsks:
        if zsk.activated is not None and zsk.removed is None:
            _require(zsk.rdata in keyset.rdatas, f"ZSK {zsk.sequence} signs but is not in the DNSKEY RRset")
    earlier = any(zsk.activated is not None for zsk in before.zsks)
    for zsk in signing:
        if earlier and zsk.activated is not None and zsk.ready is not None:
            _require(
                zsk.activated >= zsk.ready or zsk.sequence in _active(before), f"ZSK {zsk.sequence} signs too early"
            )


def _active(ring: Ring) -> set[int]:
    return {zsk.sequence for zsk in ring.zsks if zsk.activated is not None}
