"""A response as values: which RRsets stand in which section, and which of them get an RRSIG.

What `decide` gives and `emit` turns into octets. Owners are names in wire form, lower case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from server.query.read_query import Rcode
from zones.node import RRset

FOREVER = 1 << 62
"""Later than any second."""


class Signing(NamedTuple):
    """An RRSIG that a section shows: made when the section is turned into octets."""

    rrset: RRset
    owner: bytes
    """Under which it is signed: the wildcard itself, where the expansion of one is shown as such (RFC 4034 §3.1.3)."""
    ttl: int
    """With which it is shown, in seconds; a negative answer's SOA has a lower one (RFC 2308 §3)."""
    is_lasting: bool = True
    """Whether it will be wanted again; what is made for one name that does not exist is not worth remembering."""


class Placed(NamedTuple):
    """Records of one owner in a section."""

    owner: bytes
    records: Sequence[bytes]
    """Each without its owner."""
    signing: Signing | None = None


Section = Sequence[Placed]


class Decision(NamedTuple):
    """What a query gets, before it is known whether that fits."""

    rcode: Rcode
    authoritative: bool
    answer: Section
    authority: Section
    additional: Section = ()
    optional: Section = ()
    """Additional records that may be left out where there is no room (RFC 9471 §3.2)."""
    until: int = FOREVER
    """The second from which another decision is due, in seconds since the epoch; signatures may end earlier."""
    exists: bool = False
    """Whether the queried name is one of the finitely many that the zone holds."""
    alone: bool = False
    """Whether all of it follows from the node at the queried name and the zone's keys."""
