"""The error for a record that cannot be read: its type, the text at fault, and what was expected."""

from __future__ import annotations

import pytest

from zones.masterfile.load import ZoneFileError, parse_zone

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n"

TOLD = r"""
www IN A 192.0.2.800                 A: expected an IPv4 address, found 192.0.2.800
www IN A                             A: missing field: address
www A "192.0.2.1"                    A: expected an IPv4 address, found "192.0.2.1"
www A 192.0.2.1 192.0.2.2            A: unexpected 192.0.2.2 after the end of the record
www AAAA 192.0.2.1                   AAAA: expected an IPv6 address, found 192.0.2.1
www AAAA 1::2::3                     AAAA: expected an IPv6 address, found 1::2::3
www IN MX mail                       MX: expected a preference (0 to 65535), found mail
www MX 65536 mail                    MX: expected a preference (0 to 65535), found 65536
www MX 10                            MX: missing field: exchange
www MX 10 a..b                       MX: invalid domain name a..b: A DNS label is empty
www MX 10 "mail"                     MX: invalid domain name "mail": remove the quotes
www SRV 0 x 53 a                     SRV: expected a weight (0 to 65535), found x
www SRV 0 0 53                       SRV: missing field: target
www NS                               NS: missing field: name server
www CNAME a b                        CNAME: unexpected b after the end of the record
www TXT                              TXT: missing field: string
www TXT "\999"                       TXT: expected a string, found "\999"
www CAA 256 issue "x"                CAA: expected a flags octet (0 to 255), found 256
www CAA 0 is-sue "x"                 CAA: expected a tag of letters and digits (such as issue), found is-sue
www CAA 0 issue                      CAA: missing field: value
www DS x 13 2 AB                     DS: expected a key tag (0 to 65535), found x
www DS 1 FOO 2 AB                    DS: expected an algorithm (0 to 255, or a name such as ECDSAP256SHA256), found FOO
www DS 1 13 2                        DS: missing field: digest
www DS 1 13 2 ABC                    DS: expected octets of two hexadecimal digits each, found ABC
www DS 1 13 2 ABCD                   DS: expected 20, 32 or 48 octets (digest type 1, 2 or 4), found 2
@ SOA ns host x 1 1 1 1              SOA: expected a serial (0 to 4294967295), found x
@ SOA ns host 1 1w x 1 1             SOA: expected a retry time (seconds, or as 1h30m), found x
@ SOA ns host 1 1 1 1                SOA: missing field: minimum
www HTTPS x .                        HTTPS: expected a priority (0 to 65535), found x
www HTTPS 1                          HTTPS: missing field: target
www HTTPS 1 . alpn="h2" port=99999   HTTPS: invalid parameter port=99999: not a uint16
www HTTPS 1 . ipv4hint=1.2.3         HTTPS: invalid parameter ipv4hint=1.2.3
www HTTPS 1 . alpn=h2 alpn=h3        HTTPS: invalid rdata 1 . alpn=h2 alpn=h3: duplicate key "1"
www SVCB 1 . foo="a b"               SVCB: invalid parameter foo="a b": Unknown SVCB ParamKey
www TYPE1234 x                       TYPE1234: expected rdata such as \# 2 ABCD (RFC 3597 §5), found x
www TYPE1234                         TYPE1234: missing rdata
www TYPE1234 \#                      TYPE1234: missing field: length in octets, as in \# 2 ABCD
www TYPE1234 \# 2 abc                TYPE1234: expected octets of two hexadecimal digits each, found abc
www TYPE1234 \# 2 abcdef             TYPE1234: \# announces 2 octets, but 3 follow
www A \# 3 010203                    A: invalid rdata of 3 octets
www SSHFP 1 1 xyz                    SSHFP: invalid rdata 1 1 xyz: Odd-length string
www                                  missing field: record type
www 60 IN                            missing field: record type
www "A" x                            expected a record type, found "A"
www 4294967296 A 192.0.2.1           expected a record type, found 4294967296
www CH A 192.0.2.1                   class CH is not supported; use IN
www BOGUS x                          unknown record type BOGUS; without a mnemonic, write TYPE65534 (RFC 3597)
a..b A 192.0.2.1                     invalid domain name a..b: A DNS label is empty
www A 192.0.2.1 )                    unbalanced parentheses: a ) without a ( before it
)                                    unbalanced parentheses: a ) without a ( before it
$GENERATE 1-2 h$ A 192.0.2)          unbalanced parentheses: a ) without a ( before it
$TTL soon                            $TTL: expected a TTL (seconds, or as 1h30m), found soon
$TTL                                 $TTL: missing TTL
$ORIGIN a..b                         $ORIGIN: invalid domain name a..b: A DNS label is empty
$GENERATE 254-258 h$ A 192.0.2.$     A: expected an IPv4 address, found 192.0.2.256
$GENERATE 1-5/2 h$ MX m${3}          MX: expected a preference (0 to 65535), found m4
$GENERATE 1-2 h$ MX 10 mail          $GENERATE: MX rdata of more than one word is not supported; write the records out
$GENERATE 5-2 h$ A 192.0.2.$         $GENERATE: expected a range (1-9, or 1-9/2 for steps of 2), found 5-2
$GENERATE 1-2                        $GENERATE: missing range or owner, as in $GENERATE 1-9 host$ A 192.0.2.$
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
    at_most = "a string holds at most 255: split it into several strings"
    assert caught.value.reason == f'TXT: "{"x" * 59}… has 300 octets; {at_most}'


def test_fields_on_several_lines() -> None:
    with pytest.raises(ZoneFileError, match="SOA: expected a retry time") as caught:
        parse_zone(f"{APEX}ok A 192.0.2.1\n\n@ SOA ns ( host 1\n 2\n x ; retry\n 4 5 )\n", "lab.example")
    assert caught.value.line == 6


def test_text_that_a_terminal_would_obey_is_told_in_escapes() -> None:
    with pytest.raises(ZoneFileError) as caught:
        parse_zone(f"{APEX}ok A \x1b[2J\n", "lab.example")
    assert caught.value.reason == "A: expected an IPv4 address, found \\027[2J"
