"""A zone as a master file (RFC 1035 §5): canonical order, absolute names, the SOA first.

What is exported is what is answered: with the DS records of children that are served here, without what is never
answered. With signatures, it is the zone at one moment, always with an NSEC chain (RFC 4035 §2.3), whatever kind of
denial it is answered with: compact denial has no records that could be listed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from keys.dnssec.dnskey_rrset import TYPE_DNSKEY, ServedDnskeyRRset
from keys.dnssec.rrsig import TYPE_RRSIG
from keys.dnssec.signature_validity import live_times
from keys.dnssec.zone_keys import ZoneKeys
from zones import names
from zones.denial_nsec_chain import gap
from zones.live_signing import sign
from zones.node import Node, RRset, UnknownDs
from zones.rdata_text import rdata_text
from zones.rrtypes import TYPE_NS, TYPE_SOA
from zones.zone import Zone

_A_STEP = 500
"""Names that are looked at before the caller may do something else."""
_RECORD_HEAD = 10
"""Octets of a record between its owner and its rdata."""


class CannotExportError(Exception):
    """A zone that can't be exported now; the message says why."""


class _Keys(NamedTuple):
    keys: ZoneKeys
    dnskey: ServedDnskeyRRset
    expiration: int
    """When the first of the RRSIGs over the DNSKEY RRset expires."""


def exported(zone: Zone, keys: ZoneKeys | None, now: int, *, valid: bool) -> Iterator[str]:
    """The text of `zone` in pieces of a name each, as it is at `now`; signed where there are `keys`.

    An empty piece only gives the caller time for something else. `valid` tells whether the DNSKEY RRset has a valid
    RRSIG. Raises `CannotExportError` before the first piece that is not empty.
    """
    signing = None if keys is None else _signing(keys, now, valid=valid)
    siblings: dict[bytes, dict[bytes, list[RRset]]] = {}
    until = signing.expiration if signing is not None else 0
    for number, (owner, node) in enumerate(zone.nodes.items()):
        if number % _A_STEP == 0:
            yield ""
        if any(isinstance(rrset, UnknownDs) for rrset in node.rrsets.values()):
            name = names.to_text(owner)
            raise CannotExportError(f"the DS of {name} is not known now, as the keys of that zone are not: try again")
        if signing is not None and node.rrsets:
            ttls = {zone.negative_ttl, *(rrset.ttl for rrset in _signed(node))}
            until = min(until, *(_expiration(owner, ttl, now, signing.keys) for ttl in (min(ttls), max(ttls))))
        for target, rrset in node.sibling_glue:
            siblings.setdefault(names.canonical_key(target), {}).setdefault(target, []).append(rrset)
    yield _heading(zone, now, until if signing is not None else None)
    owners = _in_order(zone)
    order = sorted(siblings)
    for owner, following in owners:
        node = zone.nodes[owner]
        yield "".join(_of_node(zone, owner, following, node, signing, now))
        if node.is_cut:
            yield "".join(_glue_of(owner, node, siblings, order))


def _signing(keys: ZoneKeys, now: int, *, valid: bool) -> _Keys:
    dnskey = keys.keyset.served(now) if valid else None
    if dnskey is None:
        raise CannotExportError("its DNSKEY RRset has no valid signature now: signwright status says why")
    return _Keys(keys, dnskey, min(int.from_bytes(rrsig[8:12]) for rrsig in dnskey.rrsigs))


def _expiration(owner: bytes, ttl: int, now: int, keys: ZoneKeys) -> int:
    return live_times(owner, ttl, now, keys.policy)[3]


def _heading(zone: Zone, now: int, until: int | None) -> str:
    state = "" if until is None else f", signed, valid until {_time(until)}"
    return f"; {names.to_text(zone.origin)} serial {zone.serial}{state}, exported {_time(now)} by Signwright\n"


def _time(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_order(zone: Zone) -> Iterator[tuple[bytes, bytes]]:
    """Each owner of records with the one that follows; after the last comes the apex."""
    owner: bytes | None = None
    for following in zone.chain.values():
        if owner is not None:
            yield owner, following
        owner = following
    if owner is not None:
        yield owner, zone.origin


def _of_node(zone: Zone, owner: bytes, following: bytes, node: Node, signing: _Keys | None, now: int) -> Iterator[str]:
    name = names.to_text(owner)
    for rrtype in sorted(node.rrsets, key=lambda rrtype: (rrtype != TYPE_SOA, rrtype)):
        rrset = node.rrsets[rrtype]
        yield from _lines(name, rrset.ttl, rrtype, _rdatas(rrset))
        if signing is not None and not (node.is_cut and rrtype == TYPE_NS):
            yield _signature(zone, owner, name, rrset, signing, now)
    if signing is None:
        return
    if owner == zone.origin:
        dnskey = signing.dnskey
        yield from _lines(name, dnskey.ttl, TYPE_DNSKEY, dnskey.rdatas)
        yield from _lines(name, dnskey.ttl, TYPE_RRSIG, dnskey.rrsigs)
    nsec = gap(zone, owner, following).rrset
    yield from _lines(name, nsec.ttl, nsec.type, _rdatas(nsec))
    yield _signature(zone, owner, name, nsec, signing, now)


def _signature(zone: Zone, owner: bytes, name: str, rrset: RRset, signing: _Keys, now: int) -> str:
    record = sign(signing.keys, zone.origin, owner, rrset, now).record
    return "".join(_lines(name, rrset.ttl, TYPE_RRSIG, (record[_RECORD_HEAD:],)))


def _signed(node: Node) -> Iterator[RRset]:
    return (rrset for rrset in node.rrsets.values() if not (node.is_cut and rrset.type == TYPE_NS))


def _glue_of(
    cut: bytes, node: Node, siblings: dict[bytes, dict[bytes, list[RRset]]], order: Sequence[bytes]
) -> Iterator[str]:
    """The addresses at and below a delegation point, which follow it in canonical order."""
    found: dict[bytes, dict[bytes, dict[int, RRset]]] = {}
    for owner, rrset in node.glue:
        found.setdefault(names.canonical_key(owner), {}).setdefault(owner, {})[rrset.type] = rrset
    prefix = names.canonical_key(cut)
    for key in order[bisect_left(order, prefix) :]:
        if not key.startswith(prefix):
            break
        for owner, rrsets in siblings[key].items():
            found.setdefault(key, {}).setdefault(owner, {}).update({rrset.type: rrset for rrset in rrsets})
    for key in sorted(found):
        for owner, by_type in found[key].items():
            for rrtype in sorted(by_type):
                rrset = by_type[rrtype]
                yield from _lines(names.to_text(owner), rrset.ttl, rrtype, _rdatas(rrset))


def _rdatas(rrset: RRset) -> Sequence[bytes]:
    """In canonical order, as they are answered."""
    rdatas = rrset.rdatas()
    return rrset.canonical if set(rdatas) == set(rrset.canonical) else sorted(rdatas, key=bytes.lower)


def _lines(name: str, ttl: int, rrtype: int, rdatas: Iterable[bytes]) -> Iterator[str]:
    mnemonic = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype))
    for rdata in rdatas:
        yield f"{name}\t{ttl}\tIN\t{mnemonic}\t{rdata_text(rrtype, rdata)}\n"
