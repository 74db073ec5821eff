"""The chain of trust as a value: what each link is, and why."""

from __future__ import annotations

import dns.message
import pytest

from keys.dnssec.ds import ds_rdata, ds_text
from server.control.trust_chain import ParentsDs, TrustChain, trust_chain
from server.query.respond import Via, respond
from tests import lab
from zones import names
from zones.zoneset import ZoneSet

TEXT = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
sub 300 NS ns1
*.w 300 A 192.0.2.2
"""
ORIGIN = names.from_text("lab.example.")
DS = ds_text(ds_rdata(ORIGIN, lab.zone_keys(ORIGIN).delegation[0]))
OTHER = "1 13 2 " + "00" * 32


def chain(
    qname: str, qtype: str, *, ds: tuple[str, ...] | None = (DS,), zones: ZoneSet | None = None, later: int = 0
) -> TrustChain:
    zones = zones or lab.served(TEXT, "lab.example")

    def ask(name: str, rrtype: str) -> dns.message.Message:
        wire = respond(dns.message.make_query(name, rrtype, want_dnssec=True).to_wire(), zones, lab.NOW, Via.TCP)
        assert wire is not None
        return dns.message.from_wire(wire)

    parent = ParentsDs(ds or (), ds is not None, "a parent")
    return trust_chain("lab.example.", parent, ask("lab.example.", "DNSKEY"), ask(qname, qtype), lab.NOW + later)


def links(found: TrustChain) -> list[tuple[str, str, str]]:
    return [(link.kind, link.type, link.verdict) for link in found.links]


@pytest.mark.parametrize(
    ("qname", "qtype", "end"),
    [
        ("ns1.lab.example.", "A", [("answer", "A", "valid")]),
        ("x.w.lab.example.", "A", [("answer", "A", "valid")]),
        ("no.lab.example.", "A", [("denial", "SOA", "valid"), ("denial", "NSEC", "valid")]),
        ("ns1.lab.example.", "MX", [("denial", "SOA", "valid"), ("denial", "NSEC", "valid")]),
    ],
)
def test_each_link_of_a_good_chain_is_valid(qname: str, qtype: str, end: list[tuple[str, str, str]]) -> None:
    found = chain(qname, qtype)
    assert (found.verdict, links(found)) == ("valid", [("DS", "DS", "valid"), ("DNSKEY", "DNSKEY", "valid"), *end])
    times = [(one.inception, one.expiration) for link in found.links for one in link.signatures]
    assert len(times) == len(end) + 1
    assert all(inception < lab.NOW < expiration for inception, expiration in times)


@pytest.mark.parametrize(
    ("ds", "verdict", "first", "why"),
    [
        ((), "insecure", "insecure", "the parent has no DS of the zone (a parent)"),
        (None, "unknown", "unknown", "the parent's DS is not known here (a parent)"),
        ((OTHER,), "bogus", "bogus", "no DS of the parent names a DNSKEY of the zone (a parent)"),
        ((OTHER, DS), "valid", "valid", "names key "),
    ],
)
def test_the_ds_decides(ds: tuple[str, ...] | None, verdict: str, first: str, why: str) -> None:
    found = chain("ns1.lab.example.", "A", ds=ds)
    assert (found.verdict, found.links[0].verdict) == (verdict, first)
    assert found.links[0].why.startswith(why)


def test_signatures_that_have_expired_are_bogus() -> None:
    found = chain("ns1.lab.example.", "A", later=30 * 86400)
    assert found.verdict == "bogus"
    assert found.why == "lab.example. DNSKEY: expired"
    assert [one.why for link in found.links for one in link.signatures] == ["expired", "expired"]


def test_signatures_by_another_key_are_bogus() -> None:
    zones = lab.served(TEXT, "lab.example")
    other = lab.zone_keys(ORIGIN, zsks=((0, 2002),))
    keys = other._replace(keyset=lab.zone_keys(ORIGIN).keyset)
    found = chain("ns1.lab.example.", "A", zones=zones.with_keys(ORIGIN, keys))
    assert (found.verdict, links(found)[-1]) == ("bogus", ("answer", "A", "bogus"))


def test_an_unsigned_zone_is_insecure_and_bogus_with_a_ds() -> None:
    unsigned = lab.served(TEXT, "lab.example", sign=False)
    assert chain("ns1.lab.example.", "A", ds=(), zones=unsigned).verdict == "insecure"
    assert chain("ns1.lab.example.", "A", zones=unsigned).verdict == "bogus"


def test_a_zone_without_keys_is_bogus() -> None:
    found = chain("ns1.lab.example.", "A", zones=lab.served(TEXT, "lab.example").with_keys(ORIGIN, None))
    assert [link.why for link in found.links[1:]] == [
        "no DNSKEY RRset: the server answers SERVFAIL",
        "the server answers SERVFAIL",
    ]


def test_a_delegation_is_where_the_child_decides() -> None:
    found = chain("x.sub.lab.example.", "A")
    assert ("denial", "NS", "insecure") in links(found)
    assert ("denial", "NSEC", "valid") in links(found)
