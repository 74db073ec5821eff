"""Every type's values: what Route 53 takes gives the rdata it means, what it refuses is refused in its words."""

from __future__ import annotations

import struct

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.IN.A
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones.recordsets.record_sets import TYPES
from zones.recordsets.record_values import ValueRefusedError, rdata_of

GOOD = [
    ("A", "192.0.2.1", "192.0.2.1"),
    ("AAAA", "2001:DB8::1", "2001:db8::1"),
    ("CAA", '0 issue "ca.example.net; account=\\"1\\""', '0 issue "ca.example.net; account=\\"1\\""'),
    ("CNAME", "WWW.example.net", "WWW.example.net."),
    ("CNAME", r"\052.example.net.", "*.example.net."),
    ("DS", "12345 13 2 " + "AB" * 32, "12345 13 2 " + "ab" * 32),
    ("DS", "12345 13 2 " + "AB" * 16 + " " + "AB" * 16, "12345 13 2 " + "ab" * 32),
    ("HTTPS", '1 . alpn="h3,h2" ipv4hint=192.0.2.1', '1 . alpn="h3,h2" ipv4hint="192.0.2.1"'),
    ("HTTPS", "0 svc.example.net", "0 svc.example.net."),
    ("MX", "10 mail.example.net", "10 mail.example.net."),
    ("NAPTR", '100 50 "u" "E2U+sip" "!^.*$!sip:i@example.net!" .', '100 50 "u" "E2U+sip" "!^.*$!sip:i@example.net!" .'),
    ("NS", "ns1.example.net.", "ns1.example.net."),
    ("PTR", "host.example.net", "host.example.net."),
    ("SOA", "ns. host.example. 1 7200 900 1209600 86400", "ns. host.example. 1 7200 900 1209600 86400"),
    ("SPF", '"v=spf1 -all"', '"v=spf1 -all"'),
    ("SRV", "1 2 443 host.example.net", "1 2 443 host.example.net."),
    ("SSHFP", "4 2 " + "01" * 32, "4 2 " + "01" * 32),
    ("SVCB", "1 svc.example.net port=8443", '1 svc.example.net. port="8443"'),
    ("TLSA", "3 1 1 " + "0F" * 32, "3 1 1 " + "0f" * 32),
    ("TXT", '"one" "two"', '"one" "two"'),
    ("TXT", '"one""two"', '"one" "two"'),
    ("TXT", r'"say \"x\" \\ \101\377"', r'"say \"x\" \\ A\255"'),
    ("TXT", '""', '""'),
    ("TXT", '"' + "x" * 255 + '"', '"' + "x" * 255 + '"'),
]


@pytest.mark.parametrize(("rrtype", "value", "expected"), GOOD)
def test_a_value_is_read_as_it_is_meant(rrtype: str, value: str, expected: str) -> None:
    rdtype = dns.rdatatype.from_text(rrtype)
    wanted = dns.rdata.from_text(dns.rdataclass.IN, rdtype, expected, origin=dns.name.root, relativize=False)
    made = rdata_of(rrtype, value)
    assert made.wire == wanted.to_wire()
    assert made.canonical == wanted.to_digestable()


def test_every_type_has_an_example() -> None:
    assert {rrtype for rrtype, _, _ in GOOD} == set(TYPES)


@pytest.mark.parametrize(
    ("rrtype", "value", "problem"),
    [
        ("A", "192.0.2.256", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        ("A", "", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        ("A", "192.0.2.1 ; comment", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        ("A", "2001:db8::1", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        ("AAAA", "192.0.2.1", "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)"),
        ("CAA", "0 issue ca.example.net", "CAARRDATAInvalid ("),
        ("CAA", '256 issue "ca.example.net"', "CAARRDATAInvalid ("),
        ("CNAME", "two names", "RRDATANotSingleField (Value contains spaces)"),
        ("CNAME", "a..b", "DomainLabelEmpty (Domain label is empty)"),
        ("CNAME", "x" * 64, "DomainLabelTooLong (Domain label is too long)"),
        ("DS", "12345 13 2", "DSRRDATAInvalid ("),
        ("DS", "12345 13 2 xyz", "DSRRDATAInvalid ("),
        ("HTTPS", "1", "HTTPSRRDATAInvalid ("),
        ("HTTPS", "1 . alpn=h2 ; alpn=h3", "HTTPSRRDATAInvalid ("),
        ("HTTPS", "1 . nonsense=1", "HTTPSRRDATAInvalid ("),
        ("MX", "mail.example.net", "MXRRDATANotTwoFields ("),
        ("MX", "70000 mail.example.net", "MXRRDATANotTwoFields ("),
        ("NAPTR", "1 1 u x y .", "NAPTRRRDATAInvalid ("),
        ("SOA", "ns. host. 1 2 3 4", "SOARRDATANotSevenFields ("),
        ("SRV", "1 2 host.example.net", "SRVRRDATANotFourFields ("),
        ("SSHFP", "4 2", "SSHFPRRDATAInvalid ("),
        ("SVCB", "x .", "SVCBRRDATAInvalid ("),
        ("TLSA", "3 1 1", "TLSARRDATAInvalid ("),
        ("TXT", "plain", "InvalidCharacterString (Value should be enclosed in quotation marks)"),
        ("TXT", '"a" b', "InvalidCharacterString (Value should be enclosed in quotation marks)"),
        ("TXT", '"open', "InvalidCharacterString (Value should be enclosed in quotation marks)"),
        ("TXT", '"' + "x" * 256 + '"', "CharacterStringTooLong (Value is too long)"),
        ("TXT", '"bücher"', "UnsupportedCharacter (Value contains unsupported characters)"),
        ("SPF", ('"' + "x" * 250 + '" ') * 16, "TXTRDATATooLong (Value is too long)"),
    ],
)
def test_what_is_no_value_is_refused_in_route_53s_words(rrtype: str, value: str, problem: str) -> None:
    with pytest.raises(ValueRefusedError) as caught:
        rdata_of(rrtype, value)
    assert str(caught.value).startswith(f"FATAL problem: {problem}")
    if problem.startswith("Domain"):
        return  # names the name, not the value
    told = "ü" if problem.startswith("UnsupportedCharacter") else value  # the character alone
    assert str(caught.value).endswith(f" encountered with '{told}'")


@given(st.sampled_from(TYPES), st.text(alphabet=st.sampled_from('0123456789abc."\\ ();=\tü\x00,'), max_size=24))
def test_any_text_is_read_or_refused(rrtype: str, value: str) -> None:
    try:
        made = rdata_of(rrtype, value)
    except ValueRefusedError as error:
        assert "FATAL problem: " in str(error)
    else:
        rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.from_text(rrtype), made.wire, 0, len(made.wire))
        assert rdata.to_digestable() == made.canonical


@pytest.mark.parametrize("error", [ZeroDivisionError, OverflowError, struct.error])
@pytest.mark.parametrize("step", ["to_wire", "to_digestable"])
def test_whatever_a_library_raises_is_the_fault_of_the_value(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], step: str
) -> None:
    def raising(*_: object, **__: object) -> bytes:
        raise error("odd")

    monkeypatch.setattr(dns.rdata.Rdata, step, raising)
    with pytest.raises(ValueRefusedError, match="ARRDATAIllegalIPv4Address"):
        rdata_of("A", "192.0.2.1")


def test_a_lack_of_memory_is_no_fault_of_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_: object, **__: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(dns.rdtypes.IN.A.A, "from_text", raising)  # what dnspython turns into a syntax error
    with pytest.raises(MemoryError):
        rdata_of("A", "192.0.2.1")
