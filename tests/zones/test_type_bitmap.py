"""The type bitmap, against dnspython's and RFC 4034's own example."""

from __future__ import annotations

import dns.rdata
from hypothesis import given
from hypothesis import strategies as st

from zones.type_bitmap import type_bitmap


def test_the_example_of_rfc_4034() -> None:
    # §4.3: alfa.example.com. NSEC host.example.com. ( A MX RRSIG NSEC TYPE1234 )
    expected = "00 06 40 01 00 00 00 03 04 1b" + " 00" * 26 + " 20"
    assert type_bitmap((1, 15, 46, 47, 1234)) == bytes.fromhex(expected)


def test_no_types_are_no_octets() -> None:
    assert type_bitmap(()) == b""


@given(st.sets(st.integers(1, 65535), max_size=40))
def test_it_is_dnspythons(types: set[int]) -> None:
    text = "a. " + " ".join(f"TYPE{number}" for number in sorted(types))
    made = dns.rdata.from_text("IN", "NSEC", text).to_wire() or b""
    assert b"\x01a\x00" + type_bitmap(types) == made
