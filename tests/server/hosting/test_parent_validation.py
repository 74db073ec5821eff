"""A parent's answers, signed by dnspython: what is proved by an anchor, and what is not."""

from __future__ import annotations

from base64 import b32hexdecode
from collections.abc import Callable
from typing import Any

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keys.custody.parent_interface import ParentUnavailable
from keys.kms.fake_kms import seeded
from keys.rules.wanted_ds import ParentDs
from server.hosting.parent_validation import anchored_zone, proven_ttl, trusted_keys
from server.hosting.remote_parent import RemoteParent
from server.settings.parent_servers import Anchor, ParentServers, anchor
from tests.server.hosting.test_remote_parent import CHILD as CHILD_WIRE
from tests.server.hosting.test_remote_parent import DS, NOW, RDATA, SOA, serving

ZONE = dns.name.from_text("lab.example.")
CHILD = dns.name.from_text("child.lab.example.")
HOUR = 3600
KEY, OTHER_KEY = (seeded(b"a parent")(number) for number in range(2))


def dnskey(key: ec.EllipticCurvePrivateKey) -> Any:
    return dns.dnssec.make_dnskey(key.public_key(), "ECDSAP256SHA256", flags=257)


def anchor_of(key: ec.EllipticCurvePrivateKey, zone: dns.name.Name = ZONE) -> str:
    return f"{zone} 3600 IN DS {dns.dnssec.make_ds(zone, dnskey(key), 'SHA256')}"


def rrset(owner: str, rrtype: str, *texts: str, ttl: int = 1800) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(owner, ttl, "IN", rrtype, texts)


def signed(
    one: dns.rrset.RRset,
    key: ec.EllipticCurvePrivateKey = KEY,
    signer: dns.name.Name = ZONE,
    *,
    inception: float = NOW - HOUR,
    expiration: float = NOW + HOUR,
) -> list[dns.rrset.RRset]:
    made = dns.dnssec.sign(one, key, signer, dnskey(key), int(inception), int(expiration))
    return [one, dns.rrset.from_rdata(one.name, one.ttl, made)]


def keys_of(*keys: ec.EllipticCurvePrivateKey) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(ZONE, HOUR, [dnskey(key) for key in keys])


def response(*, answer: list[dns.rrset.RRset] = [], authority: list[dns.rrset.RRset] = []) -> dns.message.Message:  # noqa: B006
    made = dns.message.make_response(dns.message.make_query(CHILD, "DS"))
    made.flags |= dns.flags.AA
    made.answer, made.authority = answer, [*signed(rrset("lab.example.", "SOA", SOA)), *authority]
    return dns.message.from_wire(made.to_wire())


def nsec(owner: str, following: str, types: str) -> dns.rrset.RRset:
    return rrset(owner, "NSEC", f"{following} {types}", ttl=300)


def hashed(name: str, iterations: int = 0) -> str:
    return dns.dnssec.nsec3_hash(dns.name.from_text(name), "AB", iterations, 1)


def nsec3(owner: str, following: str, types: str, *, flags: int = 0, iterations: int = 0) -> dns.rrset.RRset:
    return rrset(f"{owner}.lab.example.", "NSEC3", f"1 {flags} {iterations} AB {following} {types}", ttl=300)


def step(hash_text: str, by: int) -> str:
    """The hash that lies `by` after this one."""
    number = int.from_bytes(b32hexdecode(hash_text)) + by
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
    return "".join(alphabet[number >> shift & 31] for shift in range(155, -1, -5))


def around(name: str, types: str = "A", **named: int) -> dns.rrset.RRset:
    """The NSEC3 record that covers the hash of a name."""
    at = hashed(name, named.get("iterations", 0))
    return nsec3(step(at, -1), step(at, 1), types, **named)


def judged(made: dns.message.Message, key: ec.EllipticCurvePrivateKey = KEY) -> int:
    return proven_ttl(made, CHILD, ZONE, keys_of(key).to_rdataset(), NOW)


def test_a_ds_rrset_that_the_zone_has_signed_is_kept_as_long_as_was_signed() -> None:
    found = signed(rrset("child.lab.example.", "DS", DS))
    found[0].ttl = 0  # which anybody on the way can write
    assert judged(response(answer=found)) == 1800


BAD: dict[str, Callable[[], list[dns.rrset.RRset]]] = {
    "no RRSIG": lambda: [rrset("child.lab.example.", "DS", DS)],
    "another key": lambda: signed(rrset("child.lab.example.", "DS", DS), OTHER_KEY),
    "another zone": lambda: signed(rrset("child.lab.example.", "DS", DS), KEY, dns.name.from_text("example.")),
    "expired": lambda: signed(rrset("child.lab.example.", "DS", DS), expiration=NOW - 1),
    "not yet valid": lambda: signed(rrset("child.lab.example.", "DS", DS), inception=NOW + 1),
    "changed": lambda: [
        rrset("child.lab.example.", "DS", DS.replace("AB", "AC")),
        signed(rrset("child.lab.example.", "DS", DS))[1],
    ],
    "from a wildcard": lambda: [
        rrset("child.lab.example.", "DS", DS),
        dns.rrset.from_rdata(CHILD, 1800, signed(rrset("*.lab.example.", "DS", DS))[1][0]),
    ],
}


@pytest.mark.parametrize("how", BAD)
def test_a_ds_rrset_that_is_not_signed_by_the_zone_proves_nothing(how: str) -> None:
    with pytest.raises(ValueError, match=r"child\.lab\.example\. DS has no"):
        judged(response(answer=BAD[how]()))


DENIALS = {
    "its own NSEC": [nsec("child.lab.example.", "z.lab.example.", "NS RRSIG NSEC")],
    "its own NSEC by compact denial": [nsec("child.lab.example.", "\\000.child.lab.example.", "RRSIG NSEC")],
    "an NSEC that covers it": [nsec("a.lab.example.", "z.lab.example.", "A RRSIG NSEC")],
    "the last NSEC of the zone": [nsec("a.lab.example.", "lab.example.", "A RRSIG NSEC")],
    "the NSEC of the apex": [nsec("lab.example.", "z.lab.example.", "NS SOA RRSIG NSEC DNSKEY")],
    "its own NSEC3": [nsec3(hashed("child.lab.example."), step(hashed("child.lab.example."), 9), "NS")],
    "a closest encloser, with opt-out": [
        nsec3(hashed("lab.example."), step(hashed("lab.example."), 1), "NS SOA RRSIG DNSKEY NSEC3PARAM"),
        around("child.lab.example.", "NS", flags=1),
    ],
}


@pytest.mark.parametrize("how", DENIALS)
def test_a_denial_that_is_proved(how: str) -> None:
    proof = [one for each in DENIALS[how] for one in signed(each)]
    assert judged(response(authority=proof)) == 300
    with pytest.raises(ValueError, match=r"has no valid RRSIG"):
        judged(response(authority=proof), OTHER_KEY)
    with pytest.raises(ValueError, match="has no RRSIG"):
        judged(response(authority=DENIALS[how]))


NO_DENIALS = {
    "nothing": [],
    "an NSEC that names a DS": [nsec("child.lab.example.", "z.lab.example.", "NS DS RRSIG NSEC")],
    "the NSEC of the child's apex": [nsec("child.lab.example.", "z.child.lab.example.", "NS SOA RRSIG NSEC")],
    "an NSEC of before": [nsec("a.lab.example.", "b.lab.example.", "A RRSIG NSEC")],
    "an NSEC of after": [nsec("x.lab.example.", "lab.example.", "A RRSIG NSEC")],
    "an NSEC3 that names a DS": [nsec3(hashed("child.lab.example."), hashed("a.lab.example."), "NS DS")],
    "no closest encloser": [around("child.lab.example.", "NS", flags=1)],
    "a closest encloser and nothing that covers": [
        nsec3(hashed("lab.example."), step(hashed("lab.example."), 1), "NS SOA")
    ],
}


@pytest.mark.parametrize("how", NO_DENIALS)
def test_a_denial_that_is_not_proved(how: str) -> None:
    with pytest.raises(ValueError, match="no NSEC or NSEC3 record proves"):
        judged(response(authority=[one for each in NO_DENIALS[how] for one in signed(each)]))


def test_what_an_ancestor_delegated_away_is_not_denied_by_it() -> None:
    """A name below a cut may well have a DS: at the zone that it was delegated to (RFC 6840 §4.1)."""
    below = dns.name.from_text("x.child.lab.example.")
    for types, denied in (("NS RRSIG NSEC", False), ("DNAME RRSIG NSEC", False), ("A RRSIG NSEC", True)):
        made = response(authority=signed(nsec("child.lab.example.", "z.lab.example.", types)))
        if denied:
            assert proven_ttl(made, below, ZONE, keys_of(KEY).to_rdataset(), NOW) == 300
            continue
        with pytest.raises(ValueError, match="no NSEC or NSEC3 record proves"):
            proven_ttl(made, below, ZONE, keys_of(KEY).to_rdataset(), NOW)
    for types, denied in (("NS", False), ("DNAME", False), ("A", True)):
        proofs = [
            nsec3(hashed("child.lab.example."), step(hashed("child.lab.example."), 1), types),
            around("x.child.lab.example."),
        ]
        made = response(authority=[one for each in proofs for one in signed(each)])
        if denied:
            assert proven_ttl(made, below, ZONE, keys_of(KEY).to_rdataset(), NOW) == 300
            continue
        with pytest.raises(ValueError, match="no NSEC or NSEC3 record proves"):
            proven_ttl(made, below, ZONE, keys_of(KEY).to_rdataset(), NOW)


def test_hashes_that_cost_too_much_prove_nothing() -> None:
    proofs = [around("child.lab.example.", "NS", flags=1, iterations=151)]
    with pytest.raises(ValueError, match="151 iterations"):
        judged(response(authority=[one for each in proofs for one in signed(each)]))


def test_keys_are_those_that_an_anchor_leads_to() -> None:
    made = response(answer=signed(keys_of(KEY, OTHER_KEY)))
    by_key = Anchor(ZONE, dnskey(KEY))
    for own in (anchor(anchor_of(KEY)), by_key):
        assert set(trusted_keys(made, [own], ZONE, NOW)) == {dnskey(KEY), dnskey(OTHER_KEY)}
    # One that leads to a key which did not sign, to none, or to the key of another zone.
    with pytest.raises(ValueError, match="DNSKEY has no valid RRSIG"):
        trusted_keys(made, [anchor(anchor_of(OTHER_KEY))], ZONE, NOW)
    for wrong in (anchor(anchor_of(seeded(b"a parent")(2))), Anchor(CHILD, dnskey(KEY))):
        with pytest.raises(ValueError, match="no DNSKEY of lab"):
            trusted_keys(made, [wrong], ZONE, NOW)
    with pytest.raises(ValueError, match="has no DNSKEY RRset"):
        trusted_keys(response(), [by_key], ZONE, NOW)


def test_the_nearest_zone_above_is_the_parent() -> None:
    anchors = [Anchor(dns.name.from_text(name), dnskey(KEY)) for name in (".", "lab.example.", "child.lab.example.")]
    assert anchored_zone(anchors, CHILD) == ZONE
    with pytest.raises(ValueError, match="no zone above"):
        anchored_zone(anchors[1:], dns.name.from_text("other.example."))


async def test_a_parent_with_an_anchor_is_believed_what_it_proves() -> None:
    told: dict[str, list[dns.rrset.RRset]] = {}

    def tell(query: dns.message.Message) -> bytes:
        made = dns.message.make_response(query)
        made.flags |= dns.flags.AA
        if query.question[0].rdtype == dns.rdatatype.DNSKEY:
            made.answer = signed(keys_of(KEY))
        else:
            made.answer, made.authority = told.get("answer", []), told.get("authority", [])
        return made.to_wire()

    async with serving(tell) as server:
        remote = RemoteParent(ParentServers((server.address,), (anchor_of(KEY),)), lambda: NOW)
        told["answer"] = signed(rrset("child.lab.example.", "DS", DS))
        assert await remote.look_up(CHILD_WIRE) == ParentDs((RDATA,), 1800, 1_767_225_601, settled=False, settles_in=60)
        told["answer"] = signed(rrset("child.lab.example.", "DS", DS), OTHER_KEY)
        with pytest.raises(ParentUnavailable, match="DS has no valid RRSIG"):
            await remote.look_up(CHILD_WIRE)
        told["answer"] = []
        told["authority"] = signed(rrset("lab.example.", "SOA", SOA))
        with pytest.raises(ParentUnavailable, match="no NSEC or NSEC3 record proves"):
            await remote.look_up(CHILD_WIRE)
        told["authority"] += signed(nsec("child.lab.example.", "z.lab.example.", "NS RRSIG NSEC"))
        assert await remote.look_up(CHILD_WIRE) == ParentDs((), 300, 1_767_225_601, settled=False, settles_in=60)
        other = RemoteParent(ParentServers((server.address,), (anchor_of(OTHER_KEY),)), lambda: NOW)
        with pytest.raises(ParentUnavailable, match="no DNSKEY of lab"):
            await other.look_up(CHILD_WIRE)


@pytest.mark.parametrize("text", [f"LAB.Example. DS {DS}", f"lab.example 300 IN DS {DS}", f"lab.example. IN ds {DS}"])
def test_an_anchor_is_a_record_as_delv_and_unbound_have_it(text: str) -> None:
    assert anchor(text) == Anchor(ZONE, dns.rdata.from_text("IN", "DS", DS))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a DS or DNSKEY record"),
        ("example. A 192.0.2.1", "is not a DS or DNSKEY record"),
        ("example.", "is not a DS or DNSKEY record"),
        ("example. DS 1 13 2 xyz", "is not a valid DS record"),
        ("example. 300 IN DNSKEY 257 3", "is not a valid DNSKEY record"),
        (f"{'x' * 64}.example. DS {DS}", "is not a valid DS record"),
    ],
)
def test_an_anchor_that_is_none(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        anchor(text)
