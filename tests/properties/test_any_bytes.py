"""Whatever the octets: no exception, no amplification beyond the limits, no answer to an answer."""

from __future__ import annotations

from itertools import product
from unittest import mock

import dns.edns
import dns.exception
import dns.message
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.query.edns import Edns
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from server.query.server_facts import SILENT, ServerFacts, told
from tests.lab import CLIENT, FACTS, NOW, datagrams, query, served, surprised
from zones.denial import DenialMode
from zones.zoneset import ZoneSet

_ZONE = """
@ 300 SOA ns host 1 2 3 4 60
@ 300 NS ns
ns 300 A 192.0.2.53
www 60 A 192.0.2.1
*.w 60 TXT "any"
alias 60 CNAME x.old
old 60 DNAME w
child 60 NS ns.child
ns.child 60 A 192.0.2.9
big 60 TXT "%s" "%s" "%s" "%s" "%s" "%s"
""" % (("x" * 250,) * 6)
_ZONES = [served(_ZONE, "lab.example", denial=denial) for denial in DenialMode]
_NAMES = ["lab.example", *(f"{name}.lab.example" for name in ("www", "q.w", "nope", "alias", "big", "a.child"))]

_GOOD = told(Edns(512, 0, False, False, cookie=b"abcdefgh"), CLIENT, NOW, FACTS, over_tcp=False).options
_OPTIONS = [
    b"\x00\x0a\x00\x08abcdefgh",
    _GOOD,
    _GOOD[:-1] + b"\x00",
    b"\x00\x0a\x00\x09abcdefghi",
    b"\x00\x0b\x00\x00",
    b"\x00\x0b\x00\x02xx",
    b"\x00\x03\x00\x00",
    b"\x00\x00\x29\x00",
]
_WITH_BROKEN_SUBNET = query("big.lab.example", 16, size=1232)[:-2] + b"\x00\x05\x00\x08\x00\x01\x00"
"""With an option that we pass over (RFC 7871), too short for what it is."""

valid = st.builds(
    query,
    st.sampled_from([*_NAMES, "elsewhere.test", "."]),
    st.sampled_from([1, 16, 48, 255, 47, 128, 250, 251, 252, 41, 0, 65535]),
    do=st.booleans(),
    co=st.booleans(),
    edns=st.booleans(),
    size=st.sampled_from([0, 511, 512, 1232, 65535]),
)


with_options = st.builds(
    lambda wire, options, wrong: wire[:-2] + (len(options) + wrong).to_bytes(2) + options,
    st.builds(query, st.sampled_from(_NAMES), st.sampled_from([1, 16, 65, 97]), do=st.booleans()),
    st.lists(st.sampled_from(_OPTIONS), min_size=1).map(b"".join),
    st.sampled_from([0, 0, 0, 1, 4]),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid query of which a few octets are changed, lost or added."""
    wire = bytearray(draw(valid | with_options))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, max(len(wire) - 1, 0)))
        match draw(st.sampled_from(["set", "flip", "cut", "insert", "append", "pointer"])):
            case "set":
                wire[position : position + 1] = bytes([draw(st.integers(0, 255))])
            case "flip":
                wire[position : position + 1] = bytes(octet ^ 0x20 for octet in wire[position : position + 1])
            case "cut":
                del wire[position:]
            case "insert":
                wire[position:position] = draw(st.binary(max_size=8))
            case "append":
                wire += draw(st.binary(max_size=40) | st.just(b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00"))
                wire[10:12] = draw(st.integers(0, 3)).to_bytes(2)
            case "pointer":
                wire[position : position + 2] = b"\xc0" + bytes([draw(st.sampled_from([0, 12, position & 255]))])
    return bytes(wire)


def responder_of(zoneset: ZoneSet, caches: Caches, facts: ServerFacts) -> Responder:
    return Responder(lambda: zoneset, caches, surprised, facts=facts)


def edns_size(wire: bytes) -> int | None:
    """The size that the query's OPT record grants, read by dnspython.

    What is in an option that we don't know is nothing to us, so it does not have to be what dnspython takes.
    """
    try:
        with mock.patch.object(dns.edns, "get_option_class", lambda _: dns.edns.GenericOption):
            message = dns.message.from_wire(wire)
    except Exception:
        return None
    return message.payload if message.edns >= 0 else None


@settings(max_examples=20 * settings().max_examples)
@given(st.binary(max_size=600) | mutated() | valid, st.sampled_from(list(Via)))
@example(b"", Via.UDP)
@example(bytes(11), Via.TCP)
@example(bytes(12), Via.UDP)
@example(b"\x00\x01\x80" + bytes(30), Via.UDP)
@example(bytes(4) + b"\x00\x01" + bytes(6) + b"\xc0\x0c\x00\x01\x00\x01", Via.UDP)  # a name that points to itself
@example(bytes(4) + b"\x00\x01" + bytes(6) + b"\x3f" + b"a" * 63, Via.UDP)
@example(bytes(4) + b"\x00\x01" + bytes(6) + (b"\x3f" + b"a" * 63) * 4 + b"\x00\x00\x01\x00\x01", Via.UDP)
@example(_WITH_BROKEN_SUBNET, Via.UDP)
def test_any_octets_are_answered_within_the_limits(wire: bytes, via: Via) -> None:
    for zoneset in _ZONES:
        responder = responder_of(zoneset, Caches(), FACTS)
        response = respond(wire, zoneset, NOW, via, failed=surprised, client=CLIENT, facts=FACTS)
        for _ in range(2):
            if via is Via.UDP:
                assert datagrams(responder, [wire], NOW, CLIENT) == [response]
            else:
                assert responder.messages([wire], NOW, CLIENT) == [response]
        if len(wire) < 12 or wire[2] & 0x80:
            assert response is None
            continue
        assert response is not None
        assert len(response) >= 12
        size = edns_size(wire)
        if size is None:  # dnspython also refuses options that mean nothing here
            size = 1232 if b"\x00\x00\x29" in wire else 512
        assert len(response) <= (65535 if via is Via.TCP else min(max(512, size), 1232))
        assert response[:2] == wire[:2]
        assert response[2] & 0x80
        assert (response[2] ^ wire[2]) & 0x79 == 0  # opcode and RD as in the query
        assert response[3] & 0xA0 == 0  # neither RA nor AD
        parsed = dns.message.from_wire(response)
        if b"\x00\x00\x29" not in wire:
            assert parsed.edns < 0  # RFC 6891 §6.1.1


@settings(max_examples=10 * settings().max_examples)
@given(st.lists(st.binary(max_size=100) | mutated() | valid | with_options, max_size=20))
def test_a_batch_is_answered_as_its_datagrams_one_by_one(wires: list[bytes]) -> None:
    for zoneset, facts in product(_ZONES, (SILENT, FACTS)):
        responder = responder_of(zoneset, Caches(50_000), facts)
        expected = [respond(wire, zoneset, NOW, Via.UDP, client=CLIENT, facts=facts) for wire in wires]
        for _ in range(3):
            assert datagrams(responder, wires, NOW, CLIENT) == expected
        hot = responder.datagrams_seen - sum(responder.udp_rcodes)
        assert 0 <= hot <= responder.datagrams_seen
