r"""Compact denial (RFC 9824): answers as if every name existed, with one NSEC at the queried name, made on the spot."""

from __future__ import annotations

from zones import names
from zones.denial import DenialMode, DeniedZone, Proof
from zones.node import Node, RRset
from zones.rrtypes import TYPE_NSEC, TYPE_NXNAME, TYPE_RRSIG
from zones.type_bitmap import type_bitmap

NO_SUCH_NAME = type_bitmap((TYPE_RRSIG, TYPE_NSEC, TYPE_NXNAME))
"""The types at a name that does not exist (RFC 9824 §3.1)."""


class CompactDenial:
    """As `zones.denial.Denial`. A wildcard's expansion is signed as the queried name's own, and proves nothing."""

    mode = DenialMode.COMPACT
    needs_chain = False
    has_every_name = True

    def is_nxdomain(self, *, compact_answers_ok: bool) -> bool:
        """As `Denial.is_nxdomain`: only for a client that sets CO (RFC 9824 §5)."""
        return compact_answers_ok

    def no_name(self, zone: DeniedZone, owner: bytes, _: bytes) -> list[Proof]:
        """As `Denial.no_name`."""
        return [_at(zone, owner, NO_SUCH_NAME)]

    def no_data(self, zone: DeniedZone, owner: bytes, node: Node, _: bytes | None) -> list[Proof]:
        """As `Denial.no_data`."""
        return [_at(zone, owner, node.bitmap)]

    def expansion(self, _: DeniedZone, __: bytes) -> list[Proof]:
        """As `Denial.expansion`."""
        return []

    def signed_as(self, owner: bytes, _: bytes) -> bytes:
        """As `Denial.signed_as`."""
        return owner

    def no_signer(self, zone: DeniedZone, cut: bytes, node: Node) -> list[Proof]:
        """As `Denial.no_signer`."""
        return [_at(zone, cut, node.bitmap)]

    def nsec_at(self, zone: DeniedZone, owner: bytes, node: Node | None, _: bytes | None) -> RRset | None:
        """As `Denial.nsec_at`."""
        return _at(zone, owner, node.bitmap if node is not None else NO_SUCH_NAME).rrset


def absent_rdata(zone: DeniedZone, owner: bytes) -> bytes:
    """The rdata of the NSEC record that denies `owner`."""
    return names.successor(owner, zone.origin) + NO_SUCH_NAME


def _at(zone: DeniedZone, owner: bytes, bitmap: bytes) -> Proof:
    rdata = names.successor(owner, zone.origin) + bitmap
    return Proof(owner, RRset.of_one(TYPE_NSEC, zone.negative_ttl, rdata, rdata))
