"""The classic chain of NSEC records (RFC 4035 §3.1.3): each shows the gap between two neighbours that do exist."""

from __future__ import annotations

from zones import names
from zones.denial import DenialMode, DeniedZone, Proof
from zones.node import Node, RRset
from zones.rrtypes import TYPE_NSEC


class NsecChainDenial:
    """As `zones.denial.Denial`."""

    mode = DenialMode.NSEC
    needs_chain = True
    has_every_name = False

    def is_nxdomain(self, *, compact_answers_ok: bool) -> bool:
        """As `Denial.is_nxdomain`."""
        del compact_answers_ok
        return True

    def no_name(self, zone: DeniedZone, owner: bytes, closest_encloser: bytes) -> list[Proof]:
        """As `Denial.no_name`."""
        return _distinct(_covering(zone, owner), _covering(zone, b"\x01*" + closest_encloser))

    def no_data(self, zone: DeniedZone, owner: bytes, _: Node, wildcard: bytes | None) -> list[Proof]:
        """As `Denial.no_data`."""
        if wildcard is not None:
            return _distinct(_covering(zone, wildcard), _covering(zone, owner))
        return [_covering(zone, owner)]

    def expansion(self, zone: DeniedZone, owner: bytes) -> list[Proof]:
        """As `Denial.expansion`."""
        return [_covering(zone, owner)]

    def signed_as(self, _: bytes, wildcard: bytes) -> bytes:
        """As `Denial.signed_as`: its labels say that the wildcard was expanded (RFC 4034 §3.1.3)."""
        return wildcard

    def no_signer(self, zone: DeniedZone, cut: bytes, _: Node) -> list[Proof]:
        """As `Denial.no_signer`."""
        return [_covering(zone, cut)]

    def nsec_at(self, zone: DeniedZone, owner: bytes, _: Node | None, wildcard: bytes | None) -> RRset | None:
        """As `Denial.nsec_at`."""
        holder = owner if wildcard is None else wildcard
        proof = _covering(zone, holder)
        return proof.rrset if proof.owner == holder else None


def gap(zone: DeniedZone, holder: bytes, following: bytes) -> Proof:
    """The NSEC record of `holder`, which `following` comes after in the zone's chain."""
    rdata = following + zone.nodes[holder].bitmap
    return Proof(holder, RRset.of_one(TYPE_NSEC, zone.negative_ttl, rdata, rdata))


def _covering(zone: DeniedZone, owner: bytes) -> Proof:
    """The NSEC record of the chain that matches `owner`, or else the one whose gap holds it."""
    return gap(zone, *zone.chain.around(names.canonical_key(owner)))


def _distinct(first: Proof, second: Proof) -> list[Proof]:
    return [first] if first.owner == second.owner else [first, second]
