"""What is told of a record that cannot be read: its type, the text at fault, and what was expected."""

from __future__ import annotations

import pytest

from zones.masterfile.load import ZoneFileError, parse_zone

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n"

TOLD = r"""
www IN A 192.0.2.800                 A: 192.0.2.800 is no IPv4 address
www IN A                             A: the record ends before its address
www A "192.0.2.1"                    A: "192.0.2.1" is no IPv4 address
www A 192.0.2.1 192.0.2.2            A: 192.0.2.2 stands behind the end
www AAAA 192.0.2.1                   AAAA: 192.0.2.1 is no IPv6 address
www AAAA 1::2::3                     AAAA: 1::2::3 is no IPv6 address
www IN MX mail                       MX: mail is no preference (0 to 65535)
www MX 65536 mail                    MX: 65536 is no preference (0 to 65535)
www MX 10                            MX: the record ends before its exchange
www MX 10 a..b                       MX: a..b is no domain name: A DNS label is empty
www MX 10 "mail"                     MX: "mail" is no domain name: it stands in quotes
www SRV 0 x 53 a                     SRV: x is no weight (0 to 65535)
www SRV 0 0 53                       SRV: the record ends before its target
www NS                               NS: the record ends before its name server
www CNAME a b                        CNAME: b stands behind the end
www TXT                              TXT: the record ends before its first string
www TXT "\999"                       TXT: "\999" is no string
www CAA 256 issue "x"                CAA: 256 is no flags octet (0 to 255)
www CAA 0 is-sue "x"                 CAA: is-sue is no tag of letters and digits, such as issue
www CAA 0 issue                      CAA: the record ends before its value
www DS x 13 2 AB                     DS: x is no key tag (0 to 65535)
www DS 1 FOO 2 AB                    DS: FOO is no algorithm (0 to 255, or a name such as ECDSAP256SHA256)
www DS 1 13 2                        DS: the record ends before its digest
www DS 1 13 2 ABC                    DS: ABC is no octets in hexadecimal digits, two each
www DS 1 13 2 ABCD                   DS: a digest of 2 octets: type 1 has 20, type 2 has 32, type 4 has 48
@ SOA ns host x 1 1 1 1              SOA: x is no serial (0 to 4294967295)
@ SOA ns host 1 1w x 1 1             SOA: x is no retry (seconds, or as 1h30m)
@ SOA ns host 1 1 1 1                SOA: the record ends before its minimum
www HTTPS x .                        HTTPS: x is no priority (0 to 65535)
www HTTPS 1                          HTTPS: the record ends before its target
www HTTPS 1 . alpn="h2" port=99999   HTTPS: port=99999 is no parameter: not a uint16
www HTTPS 1 . ipv4hint=1.2.3         HTTPS: ipv4hint=1.2.3 is no parameter
www HTTPS 1 . alpn=h2 alpn=h3        HTTPS: 1 . alpn=h2 alpn=h3 is no rdata: duplicate key "1"
www SVCB 1 . foo="a b"               SVCB: foo="a b" is no parameter: Unknown SVCB ParamKey
www TYPE1234 x                       TYPE1234: x is no rdata: of such a type it is written \# 2 ABCD (RFC 3597 §5)
www TYPE1234                         TYPE1234: the record ends before its rdata
www TYPE1234 \#                      TYPE1234: the record ends before its length in octets: \# 2 ABCD
www TYPE1234 \# 2 abc                TYPE1234: abc is no octets in hexadecimal digits, two each
www TYPE1234 \# 2 abcdef             TYPE1234: \# tells of 2 octets, and has 3
www A \# 3 010203                    A: these 3 octets are no rdata of type A
www SSHFP 1 1 xyz                    SSHFP: 1 1 xyz is no rdata: Odd-length string
www                                  the record ends before its type
www 60 IN                            the record ends before its type
www "A" x                            "A" stands where the type was expected
www 4294967296 A 192.0.2.1           4294967296 stands where the type was expected
www CH A 192.0.2.1                   class CH: only records of class IN are served
www BOGUS x                          unknown record type BOGUS; without a mnemonic, write TYPE65534 (RFC 3597)
a..b A 192.0.2.1                     a..b is no domain name: A DNS label is empty
www A 192.0.2.1 )                    a ) without a ( before it
)                                    a ) without a ( before it
$GENERATE 1-2 h$ A 192.0.2)          a ) without a ( before it
$TTL soon                            $TTL: soon is no TTL (seconds, or as 1h30m)
$TTL                                 $TTL ends before its TTL
$ORIGIN a..b                         $ORIGIN: a..b is no domain name: A DNS label is empty
$GENERATE 254-258 h$ A 192.0.2.$     A: 192.0.2.256 is no IPv4 address
$GENERATE 1-5/2 h$ MX m${3}        MX: m4 is no preference (0 to 65535)
$GENERATE 1-2 h$ MX 10 mail          $GENERATE: MX with rdata that is not one word; write these records out
$GENERATE 5-2 h$ A 192.0.2.$         $GENERATE: 5-2 is no range: 1-9, or 1-9/2 for each second number
$GENERATE 1-2                        $GENERATE ends before its range and owner: $GENERATE 1-9 host$ A 192.0.2.$
"""


def cases() -> list[tuple[str, str]]:
    split = (line.partition("   ") for line in TOLD.strip().splitlines())
    return [(text, told.strip()) for text, _, told in split]


@pytest.mark.parametrize(("text", "told"), [pytest.param(*case, id=case[0][:40]) for case in cases()])
@pytest.mark.parametrize("plain", [True, False])
def test_what_is_told(text: str, told: str, plain: bool) -> None:
    with pytest.raises(ZoneFileError) as caught:
        parse_zone(f"{APEX}ok A 192.0.2.1\n{text}\nok A 192.0.2.2\n", "lab.example", plain=plain)
    assert (caught.value.line, caught.value.reason) == (5, told)


def test_a_string_that_is_too_long() -> None:
    with pytest.raises(ZoneFileError) as caught:
        parse_zone(f'{APEX}ok TXT fine "{"x" * 300}"\n', "lab.example")
    at_most = "at most 255 fit into one string, and several may follow"
    assert caught.value.reason == f'TXT: "{"x" * 59}… has 300 octets: {at_most}'


def test_fields_on_several_lines() -> None:
    with pytest.raises(ZoneFileError, match="SOA: x is no retry") as caught:
        parse_zone(f"{APEX}ok A 192.0.2.1\n\n@ SOA ns ( host 1\n 2\n x ; retry\n 4 5 )\n", "lab.example")
    assert caught.value.line == 6


def test_text_that_a_terminal_would_obey_is_told_in_escapes() -> None:
    with pytest.raises(ZoneFileError) as caught:
        parse_zone(f"{APEX}ok A \x1b[2J\n", "lab.example")
    assert caught.value.reason == "A: \\027[2J is no IPv4 address"
