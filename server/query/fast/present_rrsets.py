"""The short way to an RRset that stands in a signed zone at the queried name, where nothing else is due.

Each RRset of a zone is asked for a first time, and again in each window.
"""

from __future__ import annotations

from server.query.emit_to_size import Response, emit_rrset
from server.query.fast.answer_caches import Caches
from server.query.fast.query_shapes import SignedShape
from zones.node import RRset
from zones.zoneset import ServedZone


def answer_present(owner: bytes, served: ServedZone, now: int, shape: SignedShape, caches: Caches) -> Response | None:
    """The response to a query with DO where `owner` has an RRset of the type asked for.

    None where anything else is due, also where the RRset is one of several (`zones.routing_policy`), or does not fit.
    """
    node = served.zone.nodes.get(owner)
    if node is None or node.is_cut:
        return None
    rrset = node.rrsets.get(shape.qtype)
    if type(rrset) is not RRset:
        return None
    return emit_rrset(owner, rrset, shape.flags, served, now, shape.opt, shape.limit, caches.signatures)
