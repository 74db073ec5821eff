"""Parent and child among the zones that are served here: who delegates to whom, and which DS stands where.

Pure: all of it follows from the zones' data and from what is durable of a child's keys, never from whether those keys
are loaded yet. `zones.zoneset` asks again whenever one of them is another.

    a zone above has a delegation for the child      its DS is the parent's own data, and what the child's keys want
    the child's keys can't be told                   its DS can't be told either: SERVFAIL, and never a signed denial
    the child is served here no more                 the parent's own data stand
    a signed zone above has no delegation for a      the zone between is not answered: its parent proves that it is not
    zone, and one for a name below it                there, and the delegation below it would be lost
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from zones import names
from zones.node import Node, UnknownDs, with_delegation_signers
from zones.rrtypes import TYPE_DS, TYPE_NS
from zones.zone import Zone


class ChildDs(NamedTuple):
    """The DS that a parent served here has for a child beside what its own data hold."""

    rdatas: tuple[bytes, ...] = ()
    """DS rdata (RFC 4034 §5.1)."""
    known: bool = True
    """Whether it can be told; where not, the parent says nothing of its DS at all."""


NO_DS = ChildDs()
UNKNOWN_DS = ChildDs(known=False)


def linked_node(node: Node | None, child: ChildDs | None, *, signed: bool) -> Node | None:
    """A parent's node with the DS records of the child that is served here, if it is a delegation point.

    `child` is None where none of that name is served. `signed` is whether the parent is.
    """
    if not signed or node is None or not node.is_cut or child is None:
        return node
    if not child.known:
        signers = UnknownDs(node.rrsets[TYPE_NS].ttl)
        return node.with_rrset(signers, signed=signed)
    return with_delegation_signers(node, child.rdatas, signed=signed)


def same_ds(one: Node, other: Node) -> bool:
    """Whether two nodes have the same DS."""
    mine, others = one.rrsets.get(TYPE_DS), other.rrsets.get(TYPE_DS)
    if mine is None or others is None:
        return mine is others
    return (type(mine), mine.ttl, mine.canonical) == (type(others), others.ttl, others.canonical)


def delegation_point(zone: Zone, owner: bytes) -> bytes | None:
    """Where `zone` delegates `owner`, its apex or a name below: there or above; `None`: it doesn't."""
    while owner != zone.origin:
        node = zone.nodes.get(owner)
        if node is not None and node.is_cut:
            return owner
        owner = names.parent(owner)
    return None


def lost_delegation(parent: Zone, origin: bytes) -> bytes | None:
    """A delegation of `parent` that would be lost if a zone `origin` below it, and above that one, were answered.

    None where the parent delegates `origin` itself, delegates nothing below it, or is not signed: what an unsigned zone
    leaves out, no resolver can know.
    """
    if not parent.signed or delegation_point(parent, origin) is not None:
        return None
    if parent.nodes.get(origin) is None:
        return None  # not even an empty non-terminal (RFC 4592 §2.2.2): there is nothing below
    owner = parent.chain.around(names.canonical_key(origin))[1]
    while owner != origin and names.is_subdomain(owner, origin):
        if parent.nodes[owner].is_cut:
            return owner
        owner = parent.chain.around(names.canonical_key(owner))[1]
    return None


def turned_points(before: Mapping[bytes, Node], replaced: Mapping[bytes, Node | None]) -> list[bytes]:
    """The names among `replaced` that become delegation points, or are such no more."""
    return [
        owner
        for owner, node in replaced.items()
        if (node is not None and node.is_cut) != ((old := before.get(owner)) is not None and old.is_cut)
    ]
