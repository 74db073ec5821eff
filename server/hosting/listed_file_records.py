r"""The zone of a file as record sets, for listings: it is changed where it comes from.

Records are listed in master file format, with octal escapes (`\052`) in place of decimal ones, as Route 53 does.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from operator import itemgetter
from typing import NamedTuple
from weakref import WeakKeyDictionary

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from zones.node import RRset
from zones.rdata_text import rdata_text
from zones.recordsets.record_sets import Position, RecordSet
from zones.recordsets.route53_names import order, to_text
from zones.rrtypes import TYPE_NS
from zones.zone import Zone

_DECIMAL = re.compile(r"\\(\d{3})")


class _Listing(NamedTuple):
    owners: list[bytes]
    """All names with record sets, in the order of listings."""
    glue: Mapping[bytes, Mapping[int, RRset]]
    """What delegations need of them."""


_listings: WeakKeyDictionary[Zone, _Listing] = WeakKeyDictionary()
"""Made when a zone is first listed, and kept as long as the zone: a reference to each name."""


def _listing(zone: Zone) -> _Listing:
    known = _listings.get(zone)
    if known is None:
        owners: set[bytes] = set()
        glue: dict[bytes, dict[int, RRset]] = {}
        for owner, node in zone.nodes.items():
            if node.rrsets:
                owners.add(owner)
            for target, rrset in node.glue + node.sibling_glue:
                glue.setdefault(target, {})[rrset.type] = rrset
        known = _listings[zone] = _Listing(sorted(owners | glue.keys(), key=_position), glue)
    return known


def _position(owner: bytes) -> str:
    return order(to_text(owner))


def count(zone: Zone) -> int:
    """How many record sets there are."""
    return zone.rrset_count + zone.glue_count


def listed(zone: Zone, start: Position | None, limit: int) -> tuple[RecordSet, ...]:
    """At most `limit` record sets in the order of listings, from `start` on."""
    listing = _listing(zone)
    first = (order(start.name), start.type) if start is not None else ("", "")
    found: list[RecordSet] = []
    for number in range(bisect_left(listing.owners, first[0], key=_position), len(listing.owners)):
        if len(found) >= limit:
            break
        owner = listing.owners[number]
        node = zone.nodes.get(owner)
        rrsets = {**listing.glue.get(owner, {}), **(node.rrsets if node is not None else {})}
        of_owner = sorted(((_mnemonic(t), rrset) for t, rrset in rrsets.items()), key=itemgetter(0))
        at_first = _position(owner) == first[0]
        found += [_record_set(owner, t, rrset) for t, rrset in of_owner if not at_first or t >= first[1]]
    return tuple(found[:limit])


def _record_set(owner: bytes, mnemonic: str, rrset: RRset) -> RecordSet:
    return RecordSet(to_text(owner), mnemonic, rrset.ttl, tuple(_value(rrset.type, r) for r in rrset.rdatas()))


def _mnemonic(rrtype: int) -> str:
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype))


def _value(rrtype: int, rdata: bytes) -> str:
    return _DECIMAL.sub(lambda escape: f"\\{int(escape.group(1)):03o}", rdata_text(rrtype, rdata))


def name_servers(zone: Zone) -> tuple[str, ...]:
    """The names of its name servers, without last dots."""
    return tuple(to_text(target).removesuffix(".") for target in zone.nodes[zone.origin].rrsets[TYPE_NS].canonical)
