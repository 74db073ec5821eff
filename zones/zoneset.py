"""All zones that are served, each with its keys: one immutable value, swapped by one assignment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from keys.dnssec.ds import ds_rdata
from keys.dnssec.registry_numbers import FLAG_KSK
from keys.dnssec.zone_keys import ZoneKeys
from zones import names
from zones.node import Node, RRset
from zones.parent_child import NO_DS, ChildDs, linked_node, lost_delegation, same_ds, turned_points
from zones.persistent_map import SortedMap, differing
from zones.rrtypes import TYPE_DS, TYPE_SOA
from zones.zone import Zone

_MANY = 64
"""Zones that change at once from which on all are looked at, rather than what is below each."""


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
    ds: ChildDs = NO_DS
    """What a parent that is served here has for it: from what is durable, whether its keys are loaded or not."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Spans in between, from and until before which it has none: where the clock has jumped (`Keyring.behind`)."""

    def has_valid_keyset(self, now: int) -> bool:
        """Whether its DNSKEY RRset has a valid RRSIG at `now`."""
        if not self.valid_from <= now < self.valid_until:
            return False
        return not self.gaps or not any(since <= now < until for since, until in self.gaps)

    def end_of_validity(self, now: int) -> int:
        """Until before which second it has one without a break, if it has one at `now`."""
        if not self.gaps:
            return self.valid_until
        return next((since for since, _ in self.gaps if now < since), self.valid_until)


def signed_with(served: ServedZone, keys: ZoneKeys | None) -> ServedZone:
    """The zone with these keys."""
    spans = keys.keyset.spans() if keys is not None else ()
    if not spans:
        return served._replace(keys=keys, valid_from=0, valid_until=0, gaps=())
    gaps = tuple((before[1], after[0]) for before, after in pairwise(spans))
    return served._replace(keys=keys, valid_from=spans[0][0], valid_until=spans[-1][1], gaps=gaps)


class Withheld(NamedTuple):
    """A zone that is here and is not answered."""

    served: ServedZone
    parent: bytes
    """The origin of the signed zone above, which does not delegate it."""
    lost: bytes
    """What that one delegates below it, and would be lost if it were answered."""


class ZoneSet:
    """The zones by origin. Every change gives a new set; what it does not touch is shared.

    A zone may be withheld: it is here, and not answered, as `zones.parent_child` says.
    """

    __slots__ = ("_order", "_served", "_withheld")

    def __init__(self, served: Mapping[bytes, ServedZone] | None = None) -> None:
        """Zones that are answered as they are."""
        self._served = dict(served or {})
        self._withheld: dict[bytes, Withheld] = {}
        self._order: SortedMap[bytes, bytes] | None = None
        """The origins of all zones in canonical order, once somebody has asked what is below one."""

    def __iter__(self) -> Iterator[bytes]:
        """The origins of the zones that are answered."""
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    def get(self, origin: bytes) -> ServedZone | None:
        """The zone whose apex is `origin`, if it is answered."""
        return self._served.get(origin)

    def withheld(self, origin: bytes) -> Withheld | None:
        """The zone whose apex is `origin`, if it is not answered."""
        return self._withheld.get(origin)

    def find(self, owner: bytes, rrtype: int) -> ServedZone | None:
        """The zone that answers for `owner`: the longest match; DS at an apex is its parent's (RFC 4035 §3.1.4.1)."""
        served = self._served
        found = served.get(owner)
        if found is not None and rrtype != TYPE_DS:
            return found
        above = owner
        # Not until it is the root: octets that are not a name, as the fast paths may pass, may leave nothing.
        while len(above) > 1:
            above = names.parent(above)
            if (parent := served.get(above)) is not None:
                return parent
        return found

    def below(self, origin: bytes) -> list[bytes]:
        """The origins of the zones here that lie below the name `origin`, in canonical order."""
        return [one for one in self._at_and_below((origin,)) if one != origin]

    # Zones that join, change and leave

    def with_zone(self, zone: Zone, ds: ChildDs | None = None) -> ZoneSet:
        """A set in which `zone` takes the place of the zone with its origin, or joins; as `with_zones`."""
        return self.with_zones((zone,), {} if ds is None else {zone.origin: ds})

    def with_zones(self, zones: Iterable[Zone], ds: Mapping[bytes, ChildDs] | None = None) -> ZoneSet:
        """A set in which these zones take the places of those with their origins, or join, at the cost of one.

        A signed zone keeps keys and DS of the one before. `ds` says by origin what a parent has for one.
        """
        told = ds or {}
        return self._with({zone.origin: self._joined(zone, told.get(zone.origin)) for zone in zones})

    def with_unloaded(self, origin: bytes, ds: ChildDs = NO_DS) -> ZoneSet:
        """A set in which the zone `origin`, whose data could not be loaded, answers SERVFAIL: it is ours all the same.

        It stands there as a signed zone that never gets keys. A zone that is there already stays.
        """
        if self._known(origin) is not None:
            return self
        soa = RRset(TYPE_SOA, 0, (names.ROOT * 2 + bytes(20),))
        return self.with_zone(Zone(origin, {origin: Node({TYPE_SOA: soa})}), ds)

    def without_zone(self, origin: bytes) -> ZoneSet:
        """A set without the zone `origin`."""
        return self._with({origin: None})

    def with_nodes(self, origin: bytes, replaced: Mapping[bytes, Node | None]) -> ZoneSet:
        """A set in which the zone `origin` has other nodes at these names, as `Zone.with_nodes` makes it.

        Raises `KeyError` for a zone that is not there.
        """
        current = self._known(origin)
        if current is None:
            raise KeyError(origin)
        loaded = zone = current.loaded.with_nodes(replaced)
        linked = {owner: self._linked(owner, node, zone) for owner, node in replaced.items()}
        if current.zone is not current.loaded or any(linked[owner] is not node for owner, node in replaced.items()):
            zone = current.zone.with_nodes(linked)
        made = self._changed({origin: current._replace(zone=zone, loaded=loaded)})
        turned = turned_points(current.loaded.nodes, replaced) if loaded.signed else []
        if turned:
            affected = made._beside(origin, turned)
            made._answer_or_withhold(affected)
            made._relinked(affected)
        return made

    def in_flood(self, origins: Collection[bytes]) -> ZoneSet:
        """A set in which these zones are denied as `Zone.in_flood` has it, to be answered from and not to be changed.

        Those that are not answered do not matter.
        """
        flooded = {
            origin: served._replace(zone=served.zone.in_flood())
            for origin in origins
            if (served := self._served.get(origin)) is not None
        }
        return self._changed(flooded) if flooded else self

    # Their keys

    def with_keys(self, origin: bytes, keys: ZoneKeys | None) -> ZoneSet:
        """A set in which the zone `origin` is signed with `keys`. A zone that is not there changes nothing."""
        current = self._known(origin)
        if current is None or not current.zone.signed:
            return self
        ds = ChildDs(delegation_signers(keys)) if keys is not None else NO_DS
        return self._changed({origin: signed_with(current, keys)._replace(ds=ds)})._relinked((origin,))

    def with_ds(self, ds: Mapping[bytes, ChildDs]) -> ZoneSet:
        """A set in which parents have these DS for the zones with these origins; those that are not there do not."""
        changed = {
            origin: current._replace(ds=new)
            for origin, new in ds.items()
            if (current := self._known(origin)) is not None and current.ds != new
        }
        return self._changed(changed)._relinked(changed) if changed else self

    # How

    def _known(self, origin: bytes) -> ServedZone | None:
        """The zone, whether it is answered or withheld."""
        served = self._served.get(origin)
        if served is None and (withheld := self._withheld.get(origin)) is not None:
            return withheld.served
        return served

    def _joined(self, zone: Zone, ds: ChildDs | None) -> ServedZone:
        current = self._known(zone.origin)
        if current is None or not zone.signed:
            return ServedZone(zone, None, zone, ds=ds or NO_DS)
        return current._replace(zone=zone, loaded=zone, ds=current.ds if ds is None else ds)

    def _changed(self, changed: Mapping[bytes, ServedZone | None]) -> ZoneSet:
        """The set in which these zones are these, each where it is, and those that are None are gone.

        Nobody has it yet, so what follows for others may be changed in it.
        """
        made = ZoneSet.__new__(ZoneSet)
        made._served, made._withheld, made._order = self._served.copy(), self._withheld, self._order
        if self._withheld and any(origin in self._withheld for origin in changed):
            made._withheld = self._withheld.copy()
        joined: dict[bytes, bytes | None] = {}
        for origin, served in changed.items():
            if served is None:
                joined[names.canonical_key(origin)] = None
                made._served.pop(origin, None)
                made._withheld.pop(origin, None)
            elif origin in made._withheld:
                made._withheld[origin] = made._withheld[origin]._replace(served=served)
            else:
                if origin not in made._served:
                    joined[names.canonical_key(origin)] = origin
                made._served[origin] = served
        if joined and made._order is not None:
            made._order = made._order.changed(joined)
        return made

    def _with(self, changed: Mapping[bytes, ServedZone | None]) -> ZoneSet:
        """The set in which these zones have other data, or are there no more, with all that follows for others."""
        made = self._changed(changed)
        affected = made._at_and_below(changed)
        made._answer_or_withhold(affected)
        for origin in changed:
            made._link_children(origin)
        return made._relinked({*affected, *changed})

    def _at_and_below(self, origins: Collection[bytes]) -> list[bytes]:
        """The zones here with these origins, and those below them, in canonical order: a parent before its children."""
        order = self._sorted()
        if len(origins) > _MANY:
            return list(order.values())
        found: dict[bytes, bytes] = {}
        for origin in origins:
            apex = names.canonical_key(origin)
            if (itself := order.get(apex)) is not None:
                found[apex] = itself
            for key, below in order.after(apex):
                if not key.startswith(apex):
                    break
                found[key] = below
        return [found[key] for key in sorted(found)]

    def _beside(self, origin: bytes, owners: Sequence[bytes]) -> list[bytes]:
        """The zones below `origin` whose answering may depend on whether it delegates these names."""
        tops = set(owners)
        for owner in owners:
            while (owner := names.parent(owner)) != origin:
                if self._known(owner) is not None:
                    tops.add(owner)
        return self._at_and_below(tops)

    def _sorted(self) -> SortedMap[bytes, bytes]:
        if self._order is None:
            origins = (*self._served, *self._withheld)
            self._order = SortedMap.of({names.canonical_key(origin): origin for origin in origins})
        return self._order

    def _answer_or_withhold(self, origins: Sequence[bytes]) -> None:
        """Decide of each of these zones whether it is answered; those above one have been decided of before it."""
        for origin in origins:
            served = self._known(origin)
            assert served is not None
            above = self.find(origin, TYPE_DS)
            lost = None
            if above is not None and above.zone.origin != origin:
                lost = lost_delegation(above.loaded, origin)
            if lost is None and origin in self._served:
                continue
            self._withheld = {**self._withheld}
            if lost is None:
                del self._withheld[origin]
                self._served[origin] = served
            else:
                assert above is not None
                self._served.pop(origin, None)
                self._withheld[origin] = Withheld(served._replace(zone=served.loaded), above.zone.origin, lost)

    def _relinked(self, children: Iterable[bytes]) -> ZoneSet:
        """The set in which the parents of these zones have the DS records that those want."""
        for origin in children:
            parent = self.find(origin, TYPE_DS)
            if parent is None or parent.zone.origin == origin:
                continue
            node = parent.loaded.nodes.get(origin)
            linked = self._linked(origin, node, parent.loaded)
            if linked is not None and not same_ds(linked, parent.zone.nodes[origin]):
                zone = parent.zone.with_nodes({origin: linked})
                self._served[zone.origin] = parent._replace(zone=zone)
        return self

    def _link_children(self, origin: bytes) -> None:
        """Give the zone `origin`, if it is answered, the DS records of all its children that are served here."""
        parent = self._served.get(origin)
        if parent is None:
            return
        linked: dict[bytes, Node | None] = {}
        # Of many small zones each has few names; of few large ones, no name but an apex matters.
        fewer = min(self._served, parent.loaded.nodes, key=len)
        for child in fewer if parent.loaded.signed else ():
            node = parent.loaded.nodes.get(child)
            if (made := self._linked(child, node, parent.loaded)) is not node:
                linked[child] = made
        zone = parent.loaded.with_nodes(linked) if linked else parent.loaded
        if zone is not parent.zone:
            self._served[origin] = parent._replace(zone=zone)

    def _linked(self, owner: bytes, node: Node | None, parent: Zone) -> Node | None:
        """The node of a parent with the DS records of the child that is served here, where it delegates to one."""
        child = self._served.get(owner)
        return linked_node(node, child.ds if child is not None else None, signed=parent.signed)


class Differences(NamedTuple):
    """In what two sets of zones differ."""

    names: set[bytes]
    """Where they have other nodes or DNSKEY RRsets."""
    denied_otherwise: set[bytes]
    """The origins of zones that say no in another way."""


def differences(before: ZoneSet, after: ZoneSet, most: int, now: int) -> Differences | None:
    """In what two sets differ, as at `now` (seconds since the epoch) and later; None where that is more than
    `Differences` can say, or are over `most` names.

    Cheap for sets that share what they have in common, as those do that were made from each other.
    """
    if len(before) != len(after):
        return None
    found: set[bytes] = set()
    denied_otherwise: set[bytes] = set()
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
        if old.zone.signed != new.zone.signed:
            return None
        if old.zone.denial is not new.zone.denial:
            denied_otherwise.add(origin)
        for owner, _, _ in differing(old.zone.nodes, new.zone.nodes):
            found.add(owner)
            if len(found) > most:
                return None
    return Differences(found, denied_otherwise)


def _signs_alike(old: ServedZone, new: ServedZone, now: int) -> bool:
    """Whether the keys of both make the same RRSIGs at `now` and later, and only the DNSKEY RRset is another.

    So it is with each refresh: one in a few seconds, where there are thousands of zones.
    """
    if old.gaps or new.gaps or old.keys is None or new.keys is None:
        return False
    if not new.valid_from <= now < old.valid_until <= new.valid_until:
        return False
    one, other = old.keys, new.keys
    if (one.policy, one.delegation) != (other.policy, other.delegation):
        return False
    return [(s.since, s.signer.rdata) for s in one.signers] == [(s.since, s.signer.rdata) for s in other.signers]


def delegation_signers(keys: ZoneKeys) -> tuple[bytes, ...]:
    """The DS rdatas that a parent served here has for the zone with these keys (RFC 4034 §5)."""
    return tuple(ds_rdata(keys.keyset.owner, rdata) for rdata in keys.delegation)


def trust_anchors(keys: ZoneKeys) -> tuple[bytes, ...]:
    """The DS rdatas of all KSKs in the DNSKEY RRset."""
    return _trust_anchors(keys.keyset.owner, keys.keyset.rdatas)


@lru_cache(maxsize=1 << 14)  # asked for all zones whenever one has changed
def _trust_anchors(owner: bytes, rdatas: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(ds_rdata(owner, rdata) for rdata in rdatas if int.from_bytes(rdata[:2]) == FLAG_KSK)
