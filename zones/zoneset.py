"""All zones that are served, each with its keys: one immutable value, swapped by one assignment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from keys.dnssec.ds import ds_rdata
from keys.dnssec.registry_numbers import FLAG_KSK
from keys.dnssec.zone_keys import ZoneKeys
from zones import names
from zones.node import Node, RRset, with_delegation_signers
from zones.persistent_map import differing
from zones.rrtypes import TYPE_DS, TYPE_SOA
from zones.zone import Zone


class ServedZone(NamedTuple):
    """A zone and what signs it."""

    zone: Zone
    """As it is answered: with the DS records of children that are served here."""
    keys: ZoneKeys | None
    """None for an unsigned zone, and for a signed one that has no valid keyset yet: the latter answers SERVFAIL."""
    loaded: Zone
    """As it was loaded."""
    valid_from: int = 0
    valid_until: int = 0
    """The seconds since the epoch from and until which its DNSKEY RRset has a valid RRSIG; until 0: never."""


def signed_with(served: ServedZone, keys: ZoneKeys | None) -> ServedZone:
    """The zone with these keys."""
    signatures = keys.keyset.signatures if keys is not None else ()
    valid_from = min((s.inception for s in signatures), default=0)
    valid_until = max((s.expiration for s in signatures), default=0)
    return served._replace(keys=keys, valid_from=valid_from, valid_until=valid_until)


class ZoneSet:
    """The zones by origin. Every change gives a new set; what it does not touch is shared."""

    __slots__ = ("_served",)

    def __init__(self, served: Mapping[bytes, ServedZone] | None = None) -> None:
        self._served = dict(served or {})

    @classmethod
    def _of(cls, served: dict[bytes, ServedZone]) -> ZoneSet:
        """The set that these zones are, which nobody changes afterwards."""
        made = cls.__new__(cls)
        made._served = served
        return made

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    def get(self, origin: bytes) -> ServedZone | None:
        """The zone whose apex is `origin`."""
        return self._served.get(origin)

    def find(self, owner: bytes, rrtype: int) -> ServedZone | None:
        """The zone that answers for `owner`: the longest match; DS at an apex is its parent's (RFC 4035 §3.1.4.1)."""
        served = self._served
        found = served.get(owner)
        if found is not None and rrtype != TYPE_DS:
            return found
        above = owner
        while above != names.ROOT:
            above = names.parent(above)
            if (parent := served.get(above)) is not None:
                return parent
        return found

    def with_zone(self, zone: Zone) -> ZoneSet:
        """A set in which `zone` takes the place of the zone with its origin, or joins."""
        current = self._served.get(zone.origin)
        if current is not None and zone.signed:
            made = self._with(zone.origin, current._replace(zone=zone, loaded=zone))
        else:
            made = self._with(zone.origin, ServedZone(zone, None, zone))
        return made._linked(zone.origin)._relinked(zone.origin)

    def with_new(self, zones: Iterable[Zone]) -> ZoneSet:
        """A set that many zones join, none of which is there yet, at the cost of one."""
        new = {zone.origin: ServedZone(zone, None, zone) for zone in zones}
        made = self._of({**self._served, **new})
        if any(served.keys is not None for served in self._served.values()):
            for origin in new:  # one of them may be the parent of a zone that is signed
                made = made._linked(origin)
        return made

    def with_unloaded(self, origin: bytes) -> ZoneSet:
        """A set in which the zone `origin`, whose data could not be loaded, answers SERVFAIL: it is ours all the same.

        It stands there as a signed zone that never gets keys. A zone that is there already stays.
        """
        if origin in self._served:
            return self
        soa = RRset(TYPE_SOA, 0, (names.ROOT * 2 + bytes(20),))
        return self.with_zone(Zone(origin, {origin: Node({TYPE_SOA: soa})}))

    def without_zone(self, origin: bytes) -> ZoneSet:
        """A set without the zone `origin`."""
        remaining = self._served.copy()
        remaining.pop(origin, None)
        return self._of(remaining)._relinked(origin)

    def with_keys(self, origin: bytes, keys: ZoneKeys | None) -> ZoneSet:
        """A set in which the zone `origin` is signed with `keys`. A zone that is not there changes nothing."""
        current = self._served.get(origin)
        if current is None or not current.zone.signed:
            return self
        return self._with(origin, signed_with(current, keys))._relinked(origin)

    def _with(self, origin: bytes, served: ServedZone) -> ZoneSet:
        return self._of({**self._served, origin: served})

    def with_nodes(self, origin: bytes, replaced: Mapping[bytes, Node | None]) -> ZoneSet:
        """A set in which the zone `origin` has other nodes at these names, as `Zone.with_nodes` makes it.

        Raises `KeyError` for a zone that is not there.
        """
        current = self._served[origin]
        loaded = zone = current.loaded.with_nodes(replaced)
        linked = {owner: self._linked_node(owner, node, signed=zone.signed) for owner, node in replaced.items()}
        if current.zone is not current.loaded or any(linked[owner] is not node for owner, node in replaced.items()):
            zone = current.zone.with_nodes(linked)
        return self._with(origin, current._replace(zone=zone, loaded=loaded))

    def _relinked(self, origin: bytes) -> ZoneSet:
        """The set in which the parent of `origin` has the DS records that `origin` now wants."""
        parent = self.find(origin, TYPE_DS)
        if parent is None or parent.zone.origin == origin:
            return self
        node = parent.loaded.nodes.get(origin)
        linked = self._linked_node(origin, node, signed=parent.loaded.signed)
        if node is None or linked is None or _same_signers(linked, parent.zone.nodes[origin]):
            return self
        zone = parent.zone.with_nodes({origin: linked})
        return self._with(zone.origin, parent._replace(zone=zone))

    def _linked(self, origin: bytes) -> ZoneSet:
        """The set in which the zone `origin` has the DS records of all its children that are served and signed here."""
        parent = self._served[origin]
        linked: dict[bytes, Node | None] = {}
        # Of many small zones each has few names; of few large ones, no name but an apex matters.
        fewer = min(self._served, parent.loaded.nodes, key=len)
        for child in fewer if parent.loaded.signed else ():
            node = parent.loaded.nodes.get(child)
            if (made := self._linked_node(child, node, signed=True)) is not node:
                linked[child] = made
        zone = parent.loaded.with_nodes(linked) if linked else parent.loaded
        return self if zone is parent.zone else self._with(origin, parent._replace(zone=zone))

    def _linked_node(self, owner: bytes, node: Node | None, *, signed: bool) -> Node | None:
        """The node with the DS records of the child that is served and signed here, where it delegates to one."""
        child = self._served.get(owner)
        if not signed or node is None or not node.is_cut or child is None or child.keys is None:
            return node
        return with_delegation_signers(node, delegation_signers(child.keys), signed=signed)


def changed_names(before: ZoneSet, after: ZoneSet, most: int, now: int) -> set[bytes] | None:
    """The names at which two sets have other nodes or DNSKEY RRsets; None where they differ in more than that, or in
    over `most` names, as at `now` (seconds since the epoch) and later.

    Cheap for sets that share what they have in common, as those do that were made from each other.
    """
    if len(before) != len(after):
        return None
    found: set[bytes] = set()
    earlier = before._served
    for origin, new in after._served.items():
        if (old := earlier.get(origin)) is new:
            continue
        if old is None:
            return None
        if old.keys is not new.keys:
            if not _signs_alike(old, new, now):
                return None
            found.add(origin)
        if (old.zone.signed, old.zone.denial) != (new.zone.signed, new.zone.denial):
            return None
        for owner, _, _ in differing(old.zone.nodes, new.zone.nodes):
            found.add(owner)
            if len(found) > most:
                return None
    return found


def _signs_alike(old: ServedZone, new: ServedZone, now: int) -> bool:
    """Whether the keys of both make the same RRSIGs at `now` and later, and only the DNSKEY RRset is another.

    So it is with each refresh: one in a few seconds, where there are thousands of zones.
    """
    if old.keys is None or new.keys is None or not new.valid_from <= now < old.valid_until <= new.valid_until:
        return False
    one, other = old.keys, new.keys
    if (one.policy, one.delegation) != (other.policy, other.delegation):
        return False
    return [(s.since, s.signer.rdata) for s in one.signers] == [(s.since, s.signer.rdata) for s in other.signers]


def _same_signers(one: Node, other: Node) -> bool:
    mine, others = one.rrsets.get(TYPE_DS), other.rrsets.get(TYPE_DS)
    return (mine and (mine.ttl, mine.canonical)) == (others and (others.ttl, others.canonical))


def delegation_signers(keys: ZoneKeys) -> tuple[bytes, ...]:
    """The DS rdatas that a parent served here has for the zone with these keys (RFC 4034 §5)."""
    return tuple(ds_rdata(keys.keyset.owner, rdata) for rdata in keys.delegation)


def trust_anchors(keys: ZoneKeys) -> tuple[bytes, ...]:
    """The DS rdatas of all KSKs in the DNSKEY RRset."""
    return _trust_anchors(keys.keyset.owner, keys.keyset.rdatas)


@lru_cache(maxsize=1 << 14)  # asked for all zones whenever one has changed
def _trust_anchors(owner: bytes, rdatas: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(ds_rdata(owner, rdata) for rdata in rdatas if int.from_bytes(rdata[:2]) == FLAG_KSK)
