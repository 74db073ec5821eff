"""Whatever the zone and the question: the answer is true, and it is proved."""

from __future__ import annotations

from collections.abc import Iterable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.name import Name
from dns.rdatatype import RdataType
from hypothesis import given

from server.query.respond import Via, respond
from tests.lab import NOW, anchor, query, served, wire_name
from tests.oracle import Kind, Oracle, Truth
from tests.strategies import MadeQuery, MadeZone, scenarios
from tests.validator import Verdict, judge
from zones.denial import DenialMode
from zones.zoneset import ZoneSet

_VERDICTS = {
    Kind.POSITIVE: {Verdict.POSITIVE},
    Kind.ALIAS: {Verdict.ALIAS},
    Kind.NODATA: {Verdict.NODATA},
    Kind.NXDOMAIN: {Verdict.NXDOMAIN},
    Kind.YXDOMAIN: {Verdict.YXDOMAIN},
    Kind.REFERRAL: {Verdict.SECURE_REFERRAL, Verdict.INSECURE_REFERRAL},
}
_CHOSEN = (RdataType.ANY, RdataType.RRSIG, RdataType.NSEC)
"""Types whose answer is of the server's choice, or made by signing."""


def asked(zoneset: ZoneSet, made: MadeQuery, via: Via) -> bytes:
    """The response to a made query."""
    wire = query(made.qname, made.qtype, do=made.do, co=made.co, edns=made.edns, size=made.size)
    response = respond(wire, zoneset, NOW, via)
    assert response is not None
    return response


def same_rrsets(got: Iterable[dns.rrset.RRset], wanted: Iterable[dns.rrset.RRset]) -> None:
    """The same RRsets in the same order, TTLs included, signatures aside."""
    plain = [rrset for rrset in got if rrset.rdtype != RdataType.RRSIG]
    expected = list(wanted)
    assert [(r.name, r.rdtype, r.ttl) for r in plain] == [(r.name, r.rdtype, r.ttl) for r in expected]
    assert plain == expected


def has_the_content(response: bytes, made: MadeQuery, truth: Truth, oracle: Oracle, *, compact: bool) -> None:
    """RCODE, AA and sections against the truth."""
    message = dns.message.from_wire(response)
    assert message.question[0].name.labels == made.qname.labels  # spelled as asked
    if made.qtype in _CHOSEN and truth.kind in (Kind.POSITIVE, Kind.NODATA, Kind.NXDOMAIN):
        has_chosen_content(message, made, truth, oracle)
        return
    hides = compact and made.do and not made.co
    rcode = {
        Kind.NXDOMAIN: dns.rcode.NOERROR if hides else dns.rcode.NXDOMAIN,
        Kind.YXDOMAIN: dns.rcode.YXDOMAIN,
    }.get(truth.kind, dns.rcode.NOERROR)
    assert message.rcode() == rcode
    same_rrsets(message.answer, truth.answer)
    assert bool(message.flags & dns.flags.AA) == (truth.kind is not Kind.REFERRAL or bool(truth.answer))
    authority = [r for r in message.authority if r.rdtype not in (RdataType.RRSIG, RdataType.NSEC)]
    if truth.kind in (Kind.NODATA, Kind.NXDOMAIN):
        soa = oracle.rrset(oracle.origin, RdataType.SOA)
        assert soa is not None
        soa.ttl = oracle.negative_ttl
        same_rrsets(authority, [soa])
    elif truth.kind is Kind.REFERRAL:
        assert truth.cut is not None
        signers = oracle.rrset(truth.cut, RdataType.DS) if made.do and oracle.signed else None
        nameservers = oracle.rrset(truth.cut, RdataType.NS)
        assert nameservers is not None
        same_rrsets(authority, [nameservers] if signers is None else [nameservers, signers])
        glue = {(r.name, int(r.rdtype)): r for r in message.additional}
        assert oracle.glue(truth.cut).items() <= glue.items()
        for (name, rdtype), rrset in glue.items():
            assert rrset == oracle.rrset(name, rdtype)
    else:
        assert not authority
    if truth.kind is not Kind.REFERRAL:
        assert not message.additional


def has_chosen_content(message: dns.message.Message, made: MadeQuery, truth: Truth, oracle: Oracle) -> None:
    """For ANY one RRset of the name (RFC 8482); for RRSIG one RRSIG; for NSEC the name's own."""
    rest = [r for r in message.answer if r.name == truth.final and r.rdtype != RdataType.CNAME]
    if made.qtype == RdataType.ANY and truth.present and truth.kind is Kind.NODATA:
        plain = [r for r in message.answer if r.rdtype != RdataType.RRSIG][len(truth.answer) :]
        assert len(plain) == 1
        assert int(plain[0].rdtype) in truth.present
    elif made.qtype == RdataType.RRSIG:
        assert all(r.rdtype == RdataType.RRSIG for r in rest)
        assert sum(len(r) for r in rest) <= 1 or truth.answer
    elif made.qtype == RdataType.NSEC and not oracle.signed:
        assert not rest


@pytest.mark.parametrize("denial", list(DenialMode))
@given(scenarios())
def test_a_signed_answer_is_true_and_proved(denial: DenialMode, scenario: tuple[MadeZone, list[MadeQuery]]) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text(), denial=denial)
    oracle = Oracle(zone.text, zone.origin, signed=True)
    keys = anchor(wire_name(zone.origin.to_text()))
    oracle.add(keys)
    for made in queries:
        truth = oracle.answer(made.qname, made.qtype)
        response = asked(zoneset, made, Via.TCP)
        assert len(response) <= 65535
        if dns.message.from_wire(response).flags & dns.flags.TC:
            continue  # more than 65,535 octets
        has_the_content(response, made, truth, oracle, compact=denial is DenialMode.COMPACT)
        if made.do:
            judgement = judge(response, made.qname, made.qtype, keys, NOW, co=made.co)
            compare(judgement.verdict, truth, made, denial)
            if denial is DenialMode.COMPACT:
                proofs_are_compact(judgement.nsecs, truth)


def compare(verdict: Verdict, truth: Truth, made: MadeQuery, denial: DenialMode) -> None:
    """The validator came to the oracle's conclusion."""
    wanted = set(_VERDICTS[truth.kind])
    if made.qtype in _CHOSEN and truth.kind in (Kind.NODATA, Kind.NXDOMAIN):
        wanted.add(Verdict.POSITIVE)  # there was something of the server's own to give
    assert verdict in wanted
    if truth.kind is Kind.REFERRAL:
        assert (verdict is Verdict.SECURE_REFERRAL) == (RdataType.DS in truth.present)


def proofs_are_compact(nsecs: tuple[Name, ...], truth: Truth) -> None:
    """RFC 9824: one NSEC, at the name itself."""
    assert len(nsecs) <= 1
    assert set(nsecs) <= {truth.final, truth.cut}
