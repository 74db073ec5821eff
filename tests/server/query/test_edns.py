"""EDNS as RFC 6891 and RFC 9824 §5 have it, seen in whole responses."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import pytest

from server.query.edns import Edns, OptError, opt_record, read_opt
from server.query.respond import Via, respond
from tests.lab import NOW, ask, query, served

_ZONE = """
@ 300 SOA ns host 1 2 3 4 60
@ 300 NS ns
www 60 A 192.0.2.1
""" + "".join(f'big 60 TXT "{number:03} {"x" * 90}"\n' for number in range(6))
_ZONES = served(_ZONE, "lab.example")


def parsed(wire: bytes | None) -> dns.message.Message:
    assert wire is not None
    return dns.message.from_wire(wire)


def test_no_opt_in_no_opt_out() -> None:
    assert parsed(ask(_ZONES, "www.lab.example", "A", edns=False)).edns == -1


@pytest.mark.parametrize("do", [True, False])
@pytest.mark.parametrize("qname", ["www.lab.example", "nope.lab.example", "elsewhere.test"])
def test_opt_in_opt_out_with_do_echoed(do: bool, qname: str) -> None:
    message = parsed(ask(_ZONES, qname, "A", do=do))
    assert (message.edns, message.payload) == (0, 1232)
    assert message.ednsflags == (dns.flags.DO if do else 0)


@pytest.mark.parametrize(("do", "co", "echoed"), [(True, True, 0xC000), (True, False, 0x8000), (False, True, 0)])
def test_co_means_something_only_with_do(do: bool, co: bool, echoed: int) -> None:
    message = dns.message.make_query("nope.lab.example", "A", use_edns=0, ednsflags=do * 0x8000 + co * 0x4000)
    response = parsed(respond(message.to_wire(), _ZONES, NOW, Via.UDP))
    assert response.ednsflags == echoed
    assert response.rcode() == (0 if do and not co else 3)


@pytest.mark.parametrize("version", [1, 2, 255])
def test_an_unknown_version_is_badvers_with_ours(version: int) -> None:
    wire = bytearray(query("www.lab.example", "A"))
    wire[-5] = version  # the OPT record's: extended RCODE, version, flags, RDLENGTH
    message = parsed(respond(bytes(wire), _ZONES, NOW, Via.UDP))
    assert message.rcode() == 16
    assert message.edns == 0
    assert not message.answer


def test_unknown_options_and_flags_are_ignored() -> None:
    options: list[dns.edns.Option] = [dns.edns.GenericOption("65001", b"x" * 30)]
    message = dns.message.make_query("www.lab.example", "A", use_edns=0, ednsflags=0xBFFF, options=options)
    response = parsed(respond(message.to_wire(), _ZONES, NOW, Via.UDP))
    assert response.rcode() == 0
    assert response.answer
    assert response.ednsflags == 0x8000
    assert not response.options


@pytest.mark.parametrize(
    ("edns", "size", "most"),
    [(False, 0, 512), (True, 0, 512), (True, 511, 512), (True, 700, 700), (True, 1232, 1232), (True, 65535, 1232)],
)
def test_the_size_of_a_datagram(edns: bool, size: int, most: int) -> None:
    whole = ask(_ZONES, "big.lab.example", "TXT", edns=edns, size=size)
    short = ask(_ZONES, "big.lab.example", "TXT", edns=edns, size=size, via=Via.UDP)
    assert parsed(whole).answer
    if len(whole) > most:
        assert parsed(short).flags & dns.flags.TC
        assert not parsed(short).answer
        assert len(short) <= most
    else:
        assert short == whole


@pytest.mark.parametrize(("size", "fits"), [(-1, False), (0, True)])
def test_the_last_octet_counts(size: int, fits: bool) -> None:
    whole = ask(_ZONES, "big.lab.example", "TXT")
    short = ask(_ZONES, "big.lab.example", "TXT", via=Via.UDP, size=len(whole) + size)
    assert (short == whole) == fits


def test_reading_an_opt_record() -> None:
    assert read_opt(100, 0xFF01_C000, b"\x00\x0a\x00\x00") == Edns(512, 1, True, True)
    for rdata in (b"\x00", b"\x00\x0a\x00", b"\x00\x0a\x00\x01", b"\x00\x0a\x00\x00\x00"):
        with pytest.raises(OptError):
            read_opt(1232, 0, rdata)


def test_the_extended_rcode_is_in_the_opt_record() -> None:
    assert opt_record(Edns(512, 0, False, False), 1232, 16)[5] == 1
