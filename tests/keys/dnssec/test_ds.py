from __future__ import annotations

import dns.dnssec
import dns.name
import dns.rdata
from hypothesis import given
from hypothesis import strategies as st

from keys.dnssec.ds import ds_rdata, ds_text
from keys.dnssec.name_text import to_text
from keys.dnssec.registry_numbers import FLAG_KSK
from keys.dnssec.rrsig import dnskey_rdata
from keys.rules.wanted_ds import wanted_ds
from tests.keys.rules.test_next_action import BEGUN, SIGNED
from tests.keys.world import LAB


@given(st.binary(min_size=64, max_size=64))
def test_ds_is_what_dnspython_makes_of_the_dnskey(public_key: bytes) -> None:
    dnskey = dnskey_rdata(FLAG_KSK, public_key)
    expected = dns.dnssec.make_ds("lab.example.", dns.rdata.from_wire("IN", "DNSKEY", dnskey, 0, len(dnskey)), "SHA256")
    assert ds_rdata(LAB, dnskey) == expected.to_wire()
    assert ds_text(ds_rdata(LAB, dnskey)).lower() == expected.to_text()


def test_the_parent_gets_only_what_a_stored_rrset_holds() -> None:
    assert wanted_ds(BEGUN) == ()
    assert wanted_ds(SIGNED) == (ds_rdata(LAB, SIGNED.ksks[0].rdata),)


def test_names_as_text() -> None:
    assert to_text(LAB) == "lab.example."
    assert to_text(b"\x00") == "."
