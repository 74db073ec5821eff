"""The answer to a name that does not exist, by compact denial, joined from bytes without the general composition.

Random names are what an attacker sends, and each wants a fresh signature: nothing but the signature should cost. The
octets are those that `server.compose` makes (a test compares them); this path takes a third of its time.
"""

from __future__ import annotations

import struct

from keys.model import ECDSAP256SHA256
from keys.rrsig import CLASS_IN, label_count
from keys.windows import live_window
from server.compose import signed_negative_soa
from server.memo import Memo, Response
from server.wire import HEADER_SIZE, Query, Rcode, response_flags
from zones.denial import NO_SUCH_NAME
from zones.lookup import NoName, find
from zones.names import successor
from zones.zone import TYPE_DNSKEY, TYPE_NSEC, TYPE_RRSIG
from zones.zoneset import ServedZone

_RECORD = struct.Struct("!HHIH")
_RRSIG = struct.Struct("!HBBIIIH")
_HEAD = struct.Struct("!5H")
_QUESTION_POINTER = b"\xc0\x0c"
_SIGNATURE_SIZE = 64


def fresh_denial(query: Query, served: ServedZone, now: int, limit: int, memo: Memo, opt: bytes) -> Response | None:
    """The response to a query with DO for a name that does not exist in a signed zone with compact denial (RFC 9824).

    None where anything else is due. `opt` is the response's OPT record, `limit` its largest size in octets.
    """
    zone, keys = served.zone, served.keys
    if keys is None or query.edns is None or query.qtype in (TYPE_NSEC, TYPE_RRSIG, TYPE_DNSKEY):
        return None
    owner, origin = query.qname, zone.origin
    if owner in zone.nodes or type(find(zone, owner, query.qtype)) is not NoName:
        return None
    ttl = zone.negative_ttl
    next_and_types = successor(owner, origin) + NO_SUCH_NAME
    nsec = _RECORD.pack(TYPE_NSEC, CLASS_IN, ttl, len(next_and_types)) + next_and_types
    window = live_window(owner, ttl, now, keys.policy)
    signer = keys.signer_at(window.start)
    prefix = (
        _RRSIG.pack(
            TYPE_NSEC,
            ECDSAP256SHA256,
            label_count(owner),
            ttl,
            window.expiration,
            window.inception,
            signer.key_tag,
        )
        + origin
    )
    # One record in canonical form is its owner and the record as it is sent (RFC 4034 §3.1.8.1).
    signature = signer.sign(prefix + owner + nsec)
    rrsig = _RECORD.pack(TYPE_RRSIG, CLASS_IN, ttl, len(prefix) + _SIGNATURE_SIZE)
    (soa, soa_rrsig), until = signed_negative_soa(zone, keys, now, memo)
    apex = (0xC000 | HEADER_SIZE + len(owner) - len(origin)).to_bytes(2)
    question = _QUESTION_POINTER
    body = b"".join((apex, soa, apex, soa_rrsig, question, nsec, question, rrsig, prefix, signature, opt))
    if HEADER_SIZE + len(owner) + 4 + len(body) > limit:
        return None
    rcode = Rcode.NXDOMAIN if query.edns.co else Rcode.NOERROR
    head = _HEAD.pack(response_flags(query.flags, rcode, authoritative=True), 1, 0, 4, 1)
    return Response(head, body, min(window.end, until, served.valid_until))
