"""All RRsets of a zone that changes while it is served: from a few changed names to the few nodes that they change.

A snapshot (`zones.zone`) holds what is answered; here is also what is occluded, which comes back when a delegation
goes, and which names lie below which. A change costs what it changes: the names themselves, the empty non-terminals
above them, delegation points whose glue they are, and all that lies below a delegation or a DNAME that comes or goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from zones import names
from zones.build_zone import RRsets, capped, empty_non_terminal, is_below, make_node
from zones.denial import DenialMode
from zones.node import Node, RRset
from zones.persistent_map import SortedMap, changed, persistent
from zones.rrtypes import TYPE_A, TYPE_AAAA, TYPE_DNAME, TYPE_NS
from zones.zone import Zone

_EMPTY = empty_non_terminal(signed=True)
_NOTHING: Mapping[int, RRset] = {}
_NOBODY: frozenset[bytes] = frozenset()


class Contents:
    """The RRsets of one zone by owner and type, an immutable value. TTLs are those that can be signed."""

    __slots__ = ("_owners", "_referrers", "origin", "rrsets")

    def __init__(
        self,
        origin: bytes,
        rrsets: RRsets,
        owners: SortedMap[bytes, bytes],
        referrers: Mapping[bytes, frozenset[bytes]],
    ) -> None:
        self.origin = origin
        self.rrsets = rrsets
        """By owner; a name may be there without any."""
        self._owners = owners
        """By canonical key."""
        self._referrers = referrers
        """The delegation points that have a name as name server."""

    @classmethod
    def of(cls, origin: bytes, rrsets: RRsets) -> Contents:
        """The contents of a zone with these RRsets, SOA and NS at the apex among them."""
        kept = {owner: capped(of_owner) for owner, of_owner in rrsets.items()}
        referrers: dict[bytes, frozenset[bytes]] = {}
        for owner, of_owner in kept.items():
            for target in _nameservers(owner, origin, of_owner):
                referrers[target] = referrers.get(target, _NOBODY) | {owner}
        owners = SortedMap.of({names.canonical_key(owner): owner for owner in kept})
        return cls(origin, persistent(kept), owners, persistent(referrers))

    def zone(self, *, denial: DenialMode = DenialMode.COMPACT) -> Zone:
        """The snapshot, made from all of it."""
        nodes: dict[bytes, Node] = {}
        for owner in self._owners.values():
            for touched in (owner, *_between(owner, self.origin, nodes)):
                node = self._node(touched)
                if node is not None:
                    nodes[touched] = node
        return Zone(self.origin, persistent(nodes), denial=denial)

    def changed(self, changes: Mapping[bytes, Mapping[int, RRset] | None]) -> tuple[Contents, dict[bytes, Node | None]]:
        """The contents in which each owner of `changes` has these RRsets, or none and no name where there is None.

        And how the snapshot of these contents becomes the one of those: by `Zone.with_nodes`.
        """
        wanted = {owner: capped(after) if after is not None else None for owner, after in changes.items()}
        made = Contents(
            self.origin,
            changed(self.rrsets, wanted),
            self._owners.changed(
                {names.canonical_key(o): o if after is not None else None for o, after in wanted.items()}
            ),
            changed(self._referrers, self._changed_referrers(wanted)),
        )
        return made, {owner: made._node(owner) for owner in self._touched(wanted, made)}

    def names_below(self, owner: bytes) -> Iterator[bytes]:
        """The names with RRsets below `owner`, in canonical order."""
        key = names.canonical_key(owner)
        for below, name in self._owners.after(key):
            if not below.startswith(key):
                return
            yield name

    def _node(self, owner: bytes) -> Node | None:
        if owner in self.rrsets:
            return make_node(owner, self.origin, self.rrsets, signed=True)
        if next(self.names_below(owner), None) is None or self._is_occluded(owner):
            return None
        return _EMPTY

    def _is_occluded(self, owner: bytes) -> bool:
        return is_below(owner, self.origin, self.rrsets, (TYPE_NS, TYPE_DNAME))

    def _changed_referrers(
        self, changes: Mapping[bytes, Mapping[int, RRset] | None]
    ) -> dict[bytes, frozenset[bytes] | None]:
        found: dict[bytes, frozenset[bytes]] = {}
        for owner, after in changes.items():
            old = _nameservers(owner, self.origin, self.rrsets.get(owner, _NOTHING))
            new = _nameservers(owner, self.origin, after or _NOTHING)
            for target in old ^ new:
                referring = found.get(target, self._referrers.get(target, _NOBODY))
                found[target] = referring | {owner} if target in new else referring - {owner}
        return {target: referring or None for target, referring in found.items()}

    def _touched(self, changes: Mapping[bytes, Mapping[int, RRset] | None], after: Contents) -> Set[bytes]:
        """The names whose nodes may differ."""
        touched = set()
        for owner, wanted in changes.items():
            touched.add(owner)
            # Up to the first name that has data before and after: what is above exists because of that.
            for above in _between(owner, self.origin, ()):
                touched.add(above)
                if above in self.rrsets and above in after.rrsets:
                    break
            before, now = self.rrsets.get(owner, _NOTHING), wanted or _NOTHING
            if _hides(owner, self.origin, before) != _hides(owner, self.origin, now):
                touched |= after._below_and_their_referrers(owner)
            if any(before.get(rrtype) is not now.get(rrtype) for rrtype in (TYPE_A, TYPE_AAAA, TYPE_NS)):
                touched |= after._referrers.get(owner, _NOBODY)
        return touched

    def _below_and_their_referrers(self, owner: bytes) -> set[bytes]:
        found: set[bytes] = set()
        for below in self.names_below(owner):
            found.add(below)
            found.update(_between(below, owner, found))
            found |= self._referrers.get(below, _NOBODY)
        return found


def _between(owner: bytes, top: bytes, known: Set[bytes] | Mapping[bytes, Node] | tuple[()]) -> Iterator[bytes]:
    """The names above `owner` and below `top`, upwards, until one that is known."""
    while owner != top and (owner := names.parent(owner)) != top and owner not in known:
        yield owner


def _nameservers(owner: bytes, origin: bytes, of_owner: Mapping[int, RRset]) -> Set[bytes]:
    """The targets of a delegation."""
    nameservers = of_owner.get(TYPE_NS) if owner != origin else None
    return frozenset(nameservers.canonical) if nameservers is not None else frozenset()


def _hides(owner: bytes, origin: bytes, of_owner: Mapping[int, RRset]) -> tuple[bool, bool]:
    """What hides the names below: a delegation, a DNAME."""
    return TYPE_NS in of_owner and owner != origin, TYPE_DNAME in of_owner
