"""Chains of aliases, where one response holds what several look-ups found."""

from __future__ import annotations

import dns.message
import dns.name
import pytest
from dns.rdatatype import RdataType

from keys.dnssec.zone_signer import ZoneSigner
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, anchor, ask, datagrams, query, served, surprised, wire_name
from tests.validator import Verdict, judge
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone

_ZONE = """
@ 300 SOA ns host 1 2 3 4 60
@ 300 NS ns.elsewhere.test.
*.w 60 CNAME @
*.e 60 CNAME www
www 60 A 192.0.2.1
circle 60 DNAME b.circle
"""


@pytest.mark.parametrize("denial", list(DenialMode))
@pytest.mark.parametrize("qtype", ["DNSKEY", "RRSIG", "NSEC", "SOA", "ANY"])
def test_an_alias_from_a_wildcard_is_proved_whatever_is_asked_of_its_target(denial: DenialMode, qtype: str) -> None:
    response = ask(served(_ZONE, "lab.example", denial=denial), "q.w.lab.example", qtype)
    keys = anchor(wire_name("lab.example"))
    judgement = judge(response, dns.name.from_text("q.w.lab.example"), RdataType.make(qtype), keys, NOW)
    assert judgement.verdict is Verdict.POSITIVE


def test_a_dname_that_a_chain_passes_twice_is_in_the_answer_once() -> None:
    response = dns.message.from_wire(
        ask(served(_ZONE, "lab.example"), "x.circle.lab.example", "A"), one_rr_per_rrset=True
    )
    kinds = [record.rdtype for record in response.answer]
    assert kinds.count(RdataType.DNAME) == 1
    assert kinds.count(RdataType.CNAME) == 16


@pytest.mark.parametrize("qtype", ["RRSIG", "NSEC"])
def test_in_an_unsigned_zone_nothing_stands_beside_a_cname(qtype: str) -> None:
    unsigned = served(_ZONE, "lab.example", sign=False)
    response = dns.message.from_wire(ask(unsigned, "x.e.lab.example", qtype))
    assert [rrset.rdtype for rrset in response.answer] == [RdataType.CNAME]


def test_an_alias_into_a_child_without_a_delegation_is_not_remembered_past_the_delegation() -> None:
    text = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns.elsewhere.test.\n"
    parent = text + "alias 60 CNAME www.child\n"
    delegating = parse_zone(parent + "child 60 NS ns.elsewhere.test.\n", "lab.example", signed=False)
    zoneset = served(parent, "lab.example", sign=False)
    zoneset = zoneset.with_zone(parse_zone(text + "www 60 A 192.0.2.1\n", "child.lab.example", signed=False))
    caches, wire, cut = Caches(), query("alias.lab.example", "A"), wire_name("child.lab.example")
    (before,) = datagrams(Responder(lambda: zoneset, caches, surprised), [wire])
    zoneset = zoneset.with_nodes(wire_name("lab.example"), {cut: delegating.nodes[cut]})
    (after,) = datagrams(Responder(lambda: zoneset, caches, surprised), [wire])
    assert after == respond(wire, zoneset, NOW, Via.UDP)
    assert after != before


_CHAIN = """
@ 300 SOA ns host 1 2 3 4 60
@ 300 NS ns.elsewhere.test.
*.w1 60 CNAME x.w2
*.w2 60 CNAME x.w3
*.w3 60 CNAME c
c 60 CNAME x.d
d 60 DNAME e
*.e 60 CNAME www
www 60 A 192.0.2.1
*.n1 60 CNAME x.n2
*.n2 60 CNAME nope
*.o 60 CNAME d
f 60 DNAME g
y1.g 60 A 192.0.2.1
y2.g 60 A 192.0.2.1
"""


@pytest.mark.parametrize(
    ("first", "second", "made"),
    [
        ("y1.w1", "y2.w1", 1),  # the CNAME of the name itself
        ("y1.n1", "y2.n1", 1),
        ("y1.o", "y2.o", 1),
        ("y1.d", "y2.d", 1),  # that which the DNAME makes is not signed, but where it leads to
        ("c", "x.w3", 1),
        ("y1.g", "y1.f", 1),  # the DNAME
        ("y1.f", "y1.g", 0),
        ("y1.n2", "y2.n2", 1),
    ],
)
def test_each_link_of_a_chain_of_aliases_is_signed_once(
    monkeypatch: pytest.MonkeyPatch, first: str, second: str, made: int
) -> None:
    zoneset, sign, signed = served(_CHAIN, "lab.example"), ZoneSigner.sign, []

    def counted(self: ZoneSigner, data: bytes) -> bytes:
        signed.append(data)
        return sign(self, data)

    monkeypatch.setattr(ZoneSigner, "sign", counted)
    responder = Responder(lambda: zoneset, Caches(), surprised)
    wires = [query(f"{name}.lab.example", "A") for name in (first, second)]
    datagrams(responder, wires[:1])
    signed.clear()
    assert datagrams(responder, wires[1:])[0] is not None
    assert len(signed) == made
    assert datagrams(responder, wires) == [respond(wire, zoneset, NOW, Via.UDP) for wire in wires]
