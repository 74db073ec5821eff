"""The short way to say that a name does not exist, in a signed zone to a query with DO.

Random names are what an attacker sends, so nothing but what is really new should cost. With compact denial that is one
signature. With a chain it is finding the gaps: what follows the question depends on them and on the name's length
alone, so the whole is remembered by these.
"""

from __future__ import annotations

from keys.dnssec.rrsig import record
from keys.dnssec.zone_keys import ZoneKeys
from server.query.emit_to_size import Response, emit, emit_compact_denial
from server.query.fast.answer_caches import Caches
from server.query.fast.query_shapes import SignedShape
from server.query.fast.signed_parts import negative_soa, signed_gap
from server.query.read_query import Rcode
from server.query.sections import Decision
from zones.denial import DenialMode
from zones.denial_compact import absent_rdata
from zones.live_signing import sign_canonical
from zones.lookup import NoName, find
from zones.names import canonical_key
from zones.rrtypes import TYPE_NSEC
from zones.zone import Zone
from zones.zoneset import ServedZone

WILDCARD_KEY = b"*\x00"
"""What the `canonical_key` of a wildcard adds to that of the name below which it stands."""
Gap = tuple[bytes, bytes]
"""Two neighbours in a zone's chain."""


def deny_absent(owner: bytes, served: ServedZone, now: int, shape: SignedShape, caches: Caches) -> Response | None:
    """The response where `owner` does not exist in a signed zone whose keyset serves; None where anything else is due,
    or where there is no short way to it.
    """
    outcome, keys = find(served.zone, owner, shape.qtype), served.keys
    way = _WAYS.get(served.zone.denial.mode)
    if type(outcome) is not NoName or way is None or keys is None:
        return None
    return way(owner, outcome.closest_encloser, served, keys, now, shape, caches)


def _deny_by_chain(
    owner: bytes, encloser: bytes, served: ServedZone, keys: ZoneKeys, now: int, shape: SignedShape, caches: Caches
) -> Response:
    """Denial by the chain of NSEC records: remembered by gaps, and by the name's length."""
    zone = served.zone
    first = zone.chain.around(canonical_key(owner))
    second = caches.wildcard_gaps.get(encloser)
    if second is None:
        second = zone.chain.around(canonical_key(encloser) + WILDCARD_KEY)
        caches.wildcard_gaps.put(encloser, second)
    key = first[0] + len(owner).to_bytes(1) + chain_key(second, shape, zone)
    known = caches.chain_denials.get(key)
    if known is not None and now < known.until:
        return known
    return deny_by_gaps(key, owner, first, second, served, keys, now, shape, caches)


def _deny_compact(
    owner: bytes, _: bytes, served: ServedZone, keys: ZoneKeys, now: int, shape: SignedShape, caches: Caches
) -> Response | None:
    """Compact denial (RFC 9824 §3.1): one NSEC record, signed for this name and not worth remembering."""
    zone = served.zone
    ttl, origin = zone.negative_ttl, zone.origin
    soa, until = negative_soa(zone, keys, now, caches)
    nsec = record(TYPE_NSEC, ttl, absent_rdata(zone, owner))
    rrsig, ended = sign_canonical(keys, origin, owner, TYPE_NSEC, ttl, owner + nsec, now)
    until = min(until, ended, served.end_of_validity(now))
    rcode = Rcode.NXDOMAIN if shape.co else Rcode.NOERROR
    return emit_compact_denial(
        owner, shape.flags, rcode, soa.records, (nsec, rrsig), origin, until, shape.opt, shape.limit
    )


def deny_by_gaps(
    key: bytes,
    owner: bytes,
    first: Gap,
    second: Gap,
    served: ServedZone,
    keys: ZoneKeys,
    now: int,
    shape: SignedShape,
    caches: Caches,
) -> Response:
    """The denial by the gaps that hold `owner` and its wildcard, each shown once (RFC 4035 §3.1.3.2).

    Remembered under `key`, for all names of this length in that gap.
    """
    zone = served.zone
    made = [negative_soa(zone, keys, now, caches)]
    made += [
        signed_gap(*one, zone, keys, now, caches) for one in ((first,) if first[0] == second[0] else (first, second))
    ]
    until = min(one.until for one in made)
    decision = Decision(Rcode.NXDOMAIN, True, (), [one.placed for one in made], until=until)
    response = emit(decision, owner, shape.flags, served, now, shape.opt, shape.limit)
    caches.chain_denials.put(key, response)
    return response


def chain_key(second: Gap, shape: SignedShape, zone: Zone) -> bytes:
    """What a denial's key in `Caches.chain_denials` has behind the holder of the first gap and the name's length.

    Names in wire form are self-terminating, so they stay distinct.
    """
    return b"".join((second[0], shape.key, zone.origin))


_WAYS = {DenialMode.COMPACT: _deny_compact, DenialMode.NSEC: _deny_by_chain}
"""By the zone's denial; another kind takes the general way."""
