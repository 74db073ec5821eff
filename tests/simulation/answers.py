"""What the answering code makes of published keys: asked at the ends of spans, as it would be on a server.

Answering is a pure function of the query, the zones and the time, so it is asked after the run for any second in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import dns.exception
import dns.name
import dns.rdatatype

from keys.dnssec.rrsig import TYPE_RRSIG, record
from keys.dnssec.signature_validity import live_window
from keys.dnssec.zone_keys import ZoneKeys
from tests.lab import anchor, ask
from tests.simulation.history import History
from tests.simulation.judge import State, states
from tests.validator.judge import judge
from tests.validator.signatures import Bogus
from zones.live_signing import sign
from zones.masterfile.load import parse_zone
from zones.names import to_text
from zones.node import RRset
from zones.zoneset import ZoneSet

_ADDRESS = bytes([192, 0, 2, 1])
_TTL = 300
_RRSET = RRset(1, _TTL, (_ADDRESS,))
_HEADER = len(record(TYPE_RRSIG, 0, b""))
_OWNERS = 5
"""Owners whose windows begin at other times."""


def check_live(history: History) -> list[str]:
    """Whether each RRSIG made by a ZSK is valid whenever it may be looked at, a margin and a TTL beyond."""
    found = []
    for state in states(history):
        if state.keys is not None:
            owner = b"\x03www" + bytes([1, 97 + state.number % _OWNERS]) + history.origin
            found += list(_check_windows(owner, state, state.keys))
    return found


def _check_windows(owner: bytes, state: State, keys: ZoneKeys) -> Iterator[str]:
    policy = keys.policy
    start = live_window(owner, 0, int(state.first), policy).start
    for now in (start + policy.window - 1, start + policy.window):  # the last second of a window, the first of the next
        if not state.first <= now < state.last:
            continue
        signature = sign(keys, keys.keyset.owner, owner, _RRSET, now)
        expiration, inception = (int.from_bytes(signature.record[_HEADER + at : _HEADER + at + 4]) for at in (8, 12))
        if inception + policy.margin > now:
            yield f"{now}: an RRSIG of {to_text(owner)} is valid from {inception} only"
        if expiration < now + 1 + _TTL + policy.margin:
            yield f"{now}: an RRSIG of {to_text(owner)} is valid until {expiration} only"


def check_answers(history: History) -> list[str]:
    """Have the independent validator of the tests judge whole responses, with signatures that can be verified."""
    origin = to_text(history.origin)
    text = f"$TTL {_TTL}\n@ SOA ns hostmaster 1 7200 900 1209600 {_TTL}\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n"
    zone = parse_zone(text, origin)
    found = []
    for state in states(history):
        if state.keys is None:
            continue
        zoneset = ZoneSet().with_zone(zone).with_keys(history.origin, state.keys)
        dnskeys = anchor(history.origin, state.keys)
        for now in {ceil(state.first), ceil(state.last) - 1}:
            if state.keys.keyset.served(now) is None:
                continue
            for label, qtype in (("", "DNSKEY"), ("", "SOA"), ("www.", "A"), ("www.", "TXT"), ("absent.", "A")):
                qname = dns.name.from_text(label + origin)
                rdtype = dns.rdatatype.from_text(qtype)
                try:
                    judge(ask(zoneset, qname, rdtype, now=now), qname, rdtype, dnskeys, now, skew=0)
                except (Bogus, dns.exception.DNSException) as error:
                    found.append(f"{now}: {qname} {qtype}: {error}")
    return found
