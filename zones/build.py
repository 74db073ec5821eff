"""From the RRsets of a zone to its compiled snapshot: occlusion, delegation points, glue, empty non-terminals."""

from __future__ import annotations

from collections.abc import Mapping

from keys.model import MAXIMUM_SIGNED_TTL
from zones import names
from zones.zone import (
    TYPE_A,
    TYPE_AAAA,
    TYPE_DNAME,
    TYPE_DNSKEY,
    TYPE_DS,
    TYPE_NS,
    Denial,
    Glue,
    Node,
    RRset,
    Zone,
    signed_types,
)

RRsets = Mapping[bytes, Mapping[int, RRset]]


def build_zone(origin: bytes, rrsets: RRsets, *, signed: bool = True, denial: Denial = Denial.COMPACT) -> Zone:
    """Compile a zone. `rrsets` is by owner and type, validated (`zones.validate`); all owners lie within the zone."""
    if signed:
        rrsets = {owner: {t: _capped(r) for t, r in of_owner.items()} for owner, of_owner in rrsets.items()}
    cuts = {owner for owner, of_owner in rrsets.items() if TYPE_NS in of_owner and owner != origin}
    redirects = {owner for owner, of_owner in rrsets.items() if TYPE_DNAME in of_owner}
    extra = signed_types(signed)
    nodes: dict[bytes, Node] = {}
    for owner, of_owner in rrsets.items():
        if _occluded(owner, origin, cuts, redirects):
            continue
        if owner in cuts:
            kept = {t: r for t, r in of_owner.items() if t in (TYPE_NS, TYPE_DS)}
            glue, sibling_glue = _glue(owner, of_owner[TYPE_NS], rrsets, origin, cuts)
            nodes[owner] = Node(kept, extra, is_cut=True, glue=glue, sibling_glue=sibling_glue)
        else:
            apex_types = (TYPE_DNSKEY,) if signed and owner == origin else ()
            nodes[owner] = Node(dict(of_owner), (*extra, *apex_types))
    _add_empty_non_terminals(nodes, origin, extra)
    return Zone(origin, nodes, signed=signed, denial=denial)


def _capped(rrset: RRset) -> RRset:
    return rrset.with_ttl(MAXIMUM_SIGNED_TTL) if rrset.ttl > MAXIMUM_SIGNED_TTL else rrset


def _occluded(owner: bytes, origin: bytes, cuts: set[bytes], redirects: set[bytes]) -> bool:
    """Whether `owner` lies below a delegation point or a DNAME, and so is no authoritative data (RFC 6672 §2.4)."""
    while owner != origin:
        owner = names.parent(owner)
        if owner in cuts or owner in redirects:
            return True
    return False


def _glue(cut: bytes, nameservers: RRset, rrsets: RRsets, origin: bytes, cuts: set[bytes]) -> tuple[Glue, Glue]:
    """The addresses at or below the cut itself, and those below other cuts (sibling glue, RFC 9471 §2)."""
    own: list[tuple[bytes, RRset]] = []
    sibling: list[tuple[bytes, RRset]] = []
    for target in nameservers.canonical:
        of_target = rrsets.get(target)
        if of_target is None or not (target in cuts or _occluded(target, origin, cuts, set())):
            continue
        group = own if names.is_subdomain(target, cut) else sibling
        group.extend((target, of_target[rrtype]) for rrtype in (TYPE_A, TYPE_AAAA) if rrtype in of_target)
    return tuple(own), tuple(sibling)


def _add_empty_non_terminals(nodes: dict[bytes, Node], origin: bytes, extra: tuple[int, ...]) -> None:
    empty = Node({}, extra)
    for owner in list(nodes):
        above = owner
        while above != origin:
            above = names.parent(above)
            if above in nodes:
                break
            nodes[above] = empty
