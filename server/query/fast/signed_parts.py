"""Parts of denials that many responses share, placed and signed once: the negative SOA, and the gaps of a chain."""

from __future__ import annotations

from keys.dnssec.zone_keys import ZoneKeys
from server.query.decide_sections import place, place_negative_soa
from server.query.fast.answer_caches import Caches, Premade
from server.query.sections import Placed
from zones.denial_nsec_chain import gap
from zones.live_signing import sign
from zones.zone import Zone


def negative_soa(zone: Zone, keys: ZoneKeys, now: int, caches: Caches) -> Premade:
    """The SOA that each denial of a zone shows: remembering it by zone saves a fifth of a denial's time."""
    known = caches.negative_soas.get(zone.origin)
    if known is None or now >= known.until:
        known = _signed(place_negative_soa(zone, signed=True), zone, keys, now, caches)
        caches.negative_soas[zone.origin] = known
    return known


def signed_gap(holder: bytes, following: bytes, zone: Zone, keys: ZoneKeys, now: int, caches: Caches) -> Premade:
    """The NSEC record of `holder` in a zone's chain: 6 µs less for each response that shows it (7 µs joined anew)."""
    key = holder + zone.origin  # an apex has an NSEC record in its parent, too
    known = caches.gaps.get(key)
    if known is None or now >= known.until:
        known = _signed(place(*gap(zone, holder, following), signed=True), zone, keys, now, caches)
        caches.gaps.put(key, known)
    return known


def _signed(placed: Placed, zone: Zone, keys: ZoneKeys, now: int, caches: Caches) -> Premade:
    owner, records, signing = placed
    assert signing is not None
    rrsig, until = sign(keys, zone.origin, signing.owner, signing.rrset, now, caches.signatures, signing.ttl)
    return Premade(Placed(owner, (*records, rrsig)), until)
