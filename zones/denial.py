r"""How we say no: the NSEC records that prove what is not there.

Compact denial (RFC 9824) answers as if every name existed: one NSEC at the queried name, made on the spot. The classic
chain (RFC 4035 §3.1.3) shows the gap between two neighbours that do exist. A zone uses one or the other.
"""

from __future__ import annotations

from typing import NamedTuple

from zones import names
from zones.type_bitmap import type_bitmap
from zones.zone import TYPE_NSEC, TYPE_NXNAME, TYPE_RRSIG, Denial, Node, RRset, Zone

NO_SUCH_NAME = type_bitmap((TYPE_RRSIG, TYPE_NSEC, TYPE_NXNAME))
"""The types that compact denial shows at a name that does not exist (RFC 9824 §3.1)."""


class Proof(NamedTuple):
    """One NSEC record, to be signed under its owner."""

    owner: bytes
    rrset: RRset


def no_name(zone: Zone, owner: bytes, closest_encloser: bytes) -> list[Proof]:
    """`owner` does not exist, and no wildcard stands for it."""
    if zone.denial is Denial.COMPACT:
        return [_at(zone, owner, NO_SUCH_NAME)]
    return _distinct(_covering(zone, owner), _covering(zone, b"\x01*" + closest_encloser))


def no_data(zone: Zone, owner: bytes, node: Node, wildcard: bytes | None) -> list[Proof]:
    """`owner`, or the wildcard that stands for it, exists without the type asked for."""
    if zone.denial is Denial.COMPACT:
        return [_at(zone, owner, node.bitmap)]
    if wildcard is not None:
        return _distinct(_covering(zone, wildcard), _covering(zone, owner))
    return [_covering(zone, owner)]


def expansion(zone: Zone, owner: bytes) -> list[Proof]:
    """`owner` was answered from a wildcard: no closer match exists (RFC 4035 §3.1.3.3).

    Compact denial has nothing to prove: the answer is signed as the queried name's own.
    """
    return [] if zone.denial is Denial.COMPACT else [_covering(zone, owner)]


def no_signer(zone: Zone, cut: bytes, node: Node) -> list[Proof]:
    """The delegation point `cut` has no DS (RFC 4035 §3.1.4.1)."""
    return [_at(zone, cut, node.bitmap)] if zone.denial is Denial.COMPACT else [_covering(zone, cut)]


def nsec_at(zone: Zone, owner: bytes, node: Node | None) -> RRset | None:
    """The NSEC record that `owner` itself has, as an explicit query for it wants; None where there is none."""
    if zone.denial is Denial.COMPACT:
        return _at(zone, owner, node.bitmap if node is not None else NO_SUCH_NAME).rrset
    proof = _covering(zone, owner)
    return proof.rrset if proof.owner == owner else None


def gap(zone: Zone, holder: bytes, following: bytes) -> Proof:
    """The NSEC record of `holder`, which `following` comes after in the zone's chain."""
    return Proof(holder, RRset(TYPE_NSEC, zone.negative_ttl, (following + zone.nodes[holder].bitmap,)))


def _at(zone: Zone, owner: bytes, bitmap: bytes) -> Proof:
    return Proof(owner, RRset(TYPE_NSEC, zone.negative_ttl, (names.successor(owner, zone.origin) + bitmap,)))


def _covering(zone: Zone, owner: bytes) -> Proof:
    """The NSEC record of the chain that matches `owner`, or else the one whose gap holds it."""
    return gap(zone, *zone.chain.around(names.canonical_key(owner)))


def _distinct(first: Proof, second: Proof) -> list[Proof]:
    return [first] if first.owner == second.owner else [first, second]
