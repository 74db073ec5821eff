"""What a zone knows of a name and type: the cases of RFC 1034 §4.3.2, as values.

`find` answers for one name. Following aliases is the answering's part: a chain is a sequence of these.
"""

from __future__ import annotations

from typing import NamedTuple

from zones import names
from zones.node import Node, RRset
from zones.rrtypes import TYPE_ANY, TYPE_CNAME, TYPE_DNAME, TYPE_DS, TYPE_NSEC, TYPE_RRSIG
from zones.zone import Zone


class Found(NamedTuple):
    """The name has the type asked for."""

    rrset: RRset
    node: Node
    wildcard: bytes | None
    """The wildcard that this was expanded from, or None (RFC 4592)."""


class Alias(NamedTuple):
    """The name is an alias: a CNAME that is there."""

    rrset: RRset
    node: Node
    wildcard: bytes | None


class Redirect(NamedTuple):
    """The name lies below a DNAME (RFC 6672)."""

    owner: bytes
    rrset: RRset
    target: bytes | None
    """The name put in its place, or None where that would pass 255 octets (RFC 6672 §2.2: YXDOMAIN)."""


class Referral(NamedTuple):
    """The name is at or below a delegation point: the child knows more."""

    cut: bytes
    node: Node


class NoData(NamedTuple):
    """The name exists without that type; an empty non-terminal, too, is a name that exists."""

    node: Node
    wildcard: bytes | None


class NoName(NamedTuple):
    """The name does not exist."""

    closest_encloser: bytes


Outcome = Found | Alias | Redirect | Referral | NoData | NoName


def find(zone: Zone, owner: bytes, rrtype: int) -> Outcome:
    """Look up `owner`, a name at or below the zone's apex.

    NSEC, RRSIG and DNSKEY records that signing makes are in no zone file, and so are not found here.
    """
    nodes = zone.nodes
    node = nodes.get(owner)
    if node is not None:
        return _at_node(node, owner, rrtype, None, signed=zone.signed)
    encloser = names.parent(owner)
    while (node := nodes.get(encloser)) is None:
        encloser = names.parent(encloser)
    if node.is_cut:
        return Referral(encloser, node)
    redirect = node.rrsets.get(TYPE_DNAME)
    if redirect is not None:
        return Redirect(encloser, redirect, _substitute(owner, encloser, redirect))
    wildcard = b"\x01*" + encloser
    source = nodes.get(wildcard)
    if source is not None:
        return _at_node(source, owner, rrtype, wildcard, signed=zone.signed)
    return NoName(encloser)


def _at_node(node: Node, owner: bytes, rrtype: int, wildcard: bytes | None, *, signed: bool) -> Outcome:
    if node.is_cut and not (rrtype == TYPE_DS or (signed and rrtype == TYPE_NSEC)):
        return Referral(owner, node)
    rrset = node.rrsets.get(rrtype)
    if rrset is not None:
        return Found(rrset, node, wildcard)
    alias = node.rrsets.get(TYPE_CNAME)
    # In a signed zone NSEC and RRSIG stand beside a CNAME (RFC 4034 §3, §4), and ANY takes the CNAME itself.
    if alias is not None and not (rrtype == TYPE_ANY or (signed and rrtype in (TYPE_NSEC, TYPE_RRSIG))):
        return Alias(alias, node, wildcard)
    return NoData(node, wildcard)


def _substitute(owner: bytes, redirected: bytes, redirect: RRset) -> bytes | None:
    target = owner[: -len(redirected)] + redirect.canonical[0]
    return target if len(target) <= names.MAXIMUM_NAME else None
