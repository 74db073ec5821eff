"""The judge is judged: what is left out, altered or moved in time is bogus."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import pytest
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st

from server.query.respond import Via
from tests.lab import NOW, anchor, served, wire_name
from tests.properties.test_answers import asked
from tests.strategies import MadeQuery, MadeZone, scenarios
from tests.validator import Bogus, judge
from zones.denial import DenialMode


def without(response: bytes, section: int, number: int) -> bytes:
    """The response without one record."""
    message = dns.message.from_wire(response, one_rr_per_rrset=True)
    del message.sections[section][number]
    return message.to_wire(max_size=65535)


@pytest.mark.parametrize("denial", list(DenialMode))
@given(scenarios(most=2))
def test_no_record_can_be_left_out(denial: DenialMode, scenario: tuple[MadeZone, list[MadeQuery]]) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text(), denial=denial)
    keys = anchor(wire_name(zone.origin.to_text()))
    for made in (made._replace(edns=True, do=True) for made in queries):
        response = asked(zoneset, made, Via.TCP)
        message = dns.message.from_wire(response, one_rr_per_rrset=True)
        if message.flags & dns.flags.TC:
            continue
        for section in (1, 2):
            for number, record in list(enumerate(message.sections[section]))[:12]:
                if section == 2 and record.rdtype == RdataType.NS:
                    continue  # a delegation's NS records are not signed by the parent
                with pytest.raises(Bogus):
                    judge(without(response, section, number), made.qname, made.qtype, keys, NOW, co=made.co)


@given(scenarios(most=2), st.data())
def test_no_octet_of_signed_records_can_be_altered(
    scenario: tuple[MadeZone, list[MadeQuery]], data: st.DataObject
) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text())
    keys = anchor(wire_name(zone.origin.to_text()))
    for made in (made._replace(edns=True, do=True) for made in queries):
        response = asked(zoneset, made, Via.TCP)
        message = dns.message.from_wire(response)
        rrsigs = [rrset for rrset in message.answer + message.authority if rrset.rdtype == RdataType.RRSIG]
        if not rrsigs or made.qtype == RdataType.RRSIG:
            continue
        signature = data.draw(st.sampled_from(rrsigs))[0].signature
        position = response.index(signature) + data.draw(st.integers(0, 63))
        altered = response[:position] + bytes([response[position] ^ 1]) + response[position + 1 :]
        with pytest.raises((Bogus, dns.exception.DNSException)):
            judge(altered, made.qname, made.qtype, keys, NOW, co=made.co)


@pytest.mark.parametrize("later", [-3 * 24 * 3600, 8 * 24 * 3600])
@given(scenarios(most=2))
def test_no_answer_is_good_at_another_time(later: int, scenario: tuple[MadeZone, list[MadeQuery]]) -> None:
    zone, queries = scenario
    zoneset = served(zone.text, zone.origin.to_text())
    keys = anchor(wire_name(zone.origin.to_text()))
    for made in (made._replace(edns=True, do=True) for made in queries):
        response = asked(zoneset, made, Via.TCP)
        message = dns.message.from_wire(response)
        is_signed = any(rrset.rdtype == RdataType.RRSIG for rrset in message.answer + message.authority)
        if made.qtype == RdataType.RRSIG or not is_signed:
            continue
        with pytest.raises(Bogus, match=r"expires|valid only"):
            judge(response, made.qname, made.qtype, keys, NOW + later, co=made.co)
