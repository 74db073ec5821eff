"""The short way to an answer that stands in the zone: the name has the type asked for, and nothing else is due.

Each RRset of a zone is asked for a first time, and again in each window.
"""

from __future__ import annotations

from server.query.read_query import Rcode
from server.query.sections import FOREVER, Decision, Placed, Signing
from zones.node import RRset
from zones.zone import Zone


def decide_present(owner: bytes, qtype: int, zone: Zone) -> Decision | None:
    """What a query with DO gets where `owner` has an RRset of type `qtype` in a signed zone.

    None where anything else is due, also where the RRset is one of several (`zones.routing_policy`).
    """
    node = zone.nodes.get(owner)
    if node is None or node.is_cut:
        return None
    rrset = node.rrsets.get(qtype)
    if type(rrset) is not RRset:
        return None
    # By position, and without `place`: 1 µs less, for each RRset of a zone that is asked for a first time.
    placed = Placed(owner, rrset.records, Signing(rrset, owner, rrset.ttl))
    return Decision(Rcode.NOERROR, True, (placed,), (), (), (), FOREVER, True, True)
