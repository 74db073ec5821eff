"""What a server says of itself, and to one client: cookies, NSID, keepalive, and class CHAOS, in whole responses."""

from __future__ import annotations

import struct

import dns.edns
import dns.message
import dns.rdataclass
import pytest

from server.net.tcp_load import Limits, TcpLoad
from server.query.cookies import OPTION_COOKIE
from server.query.read_query import Rcode
from server.query.respond import Via, respond
from server.query.server_facts import NSID_LIMIT, ServerFacts
from tests.lab import CLIENT, FACTS, NOW, served

OTHER = b"\xc0\x00\x02\x02"
MINE = b"abcdefgh"
_ZONES = served(
    "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\nwww 60 A 192.0.2.1\n"
    "child 60 NS ns.child\nns.child 60 A 192.0.2.54\n"
    # Sibling glue, which can be left out.
    "glued 60 NS a.other\nother 60 NS a.other\n" + "".join(f"a.other 60 A 192.0.2.{n}\n" for n in range(60)),
    "lab.example",
)


def asked(qname: str = "www.lab.example", qtype: str = "A", **options: bytes) -> dns.message.QueryMessage:
    """A query with these EDNS options: `cookie`, `nsid`, `keepalive`."""
    codes = {"cookie": 10, "nsid": 3, "keepalive": 11}
    generic: list[dns.edns.Option] = [
        dns.edns.GenericOption(dns.edns.OptionType.make(codes[name]), data) for name, data in options.items()
    ]
    return dns.message.make_query(qname, qtype, use_edns=0, want_dnssec=True, payload=1232, options=generic)


def answer(
    query: dns.message.Message, *, via: Via = Via.UDP, client: bytes = CLIENT, facts: ServerFacts = FACTS
) -> dns.message.Message:
    wire = respond(query.to_wire(), _ZONES, NOW, via, client=client, facts=facts)
    assert wire is not None
    assert via is Via.TCP or len(wire) <= 1232
    return dns.message.from_wire(wire)


def options_of(message: dns.message.Message) -> dict[int, bytes]:
    return {int(option.otype): option.to_wire() or b"" for option in message.options}


def learned(client: bytes = CLIENT) -> bytes:
    return options_of(answer(asked(cookie=MINE), client=client))[OPTION_COOKIE]


@pytest.mark.parametrize(
    ("qname", "qtype", "rcode"),
    [
        ("www.lab.example", "A", Rcode.NOERROR),
        ("www.lab.example", "MX", Rcode.NOERROR),
        ("nope.lab.example", "A", Rcode.NOERROR),
        ("child.lab.example", "A", Rcode.NOERROR),
        ("elsewhere.test", "A", Rcode.REFUSED),
        ("www.lab.example", "AXFR", Rcode.REFUSED),
        ("www.lab.example", "TYPE128", Rcode.FORMERR),
    ],
)
@pytest.mark.parametrize("via", Via)
def test_every_answer_has_the_cookie_and_the_nsid(qname: str, qtype: str, rcode: Rcode, via: Via) -> None:
    bare = answer(asked(qname, qtype), via=via)
    told = answer(asked(qname, qtype, cookie=MINE, nsid=b""), via=via)
    assert int(told.rcode()) == int(bare.rcode()) == rcode
    assert options_of(told) == {**options_of(bare), 10: learned(), 3: b"fra1"}
    assert (told.answer, told.authority, told.additional) == (bare.answer, bare.authority, bare.additional)


def test_a_good_cookie_comes_back_and_a_bad_one_is_replaced() -> None:
    good = learned()
    assert good[:8] == MINE
    assert options_of(answer(asked(cookie=good)))[OPTION_COOKIE] == good
    for bad in (good[:-1] + b"\x00", good[:16], MINE + bytes(32)):
        message = answer(asked(cookie=bad))
        assert int(message.rcode()) == Rcode.NOERROR
        assert message.answer
        assert options_of(message)[OPTION_COOKIE] == good
    assert options_of(answer(asked(cookie=good), client=OTHER))[OPTION_COOKIE] == learned(OTHER) != good


def test_nobody_gets_a_cookie_where_there_are_none_or_who_asks_is_not_known() -> None:
    assert options_of(answer(asked(cookie=MINE), client=b"")) == {}
    assert options_of(answer(asked(cookie=MINE), facts=ServerFacts())) == {}
    assert options_of(answer(asked(nsid=b""), facts=ServerFacts())) == {}


def test_keepalive_says_the_idle_time_over_tcp_to_who_asks() -> None:
    assert options_of(answer(asked(keepalive=b""), via=Via.TCP)) == {11: struct.pack("!H", 100)}
    assert options_of(answer(asked(keepalive=b""), via=Via.UDP)) == {}
    load = TcpLoad(Limits(connections=10, idle=10.0))
    facts = FACTS._replace(keepalive=lambda: load.keepalive)
    for taken, tenths in ((5, 100), (10, 20)):  # fewer while places are short (RFC 7766 §6.2.3)
        load.open = taken
        assert options_of(answer(asked(keepalive=b""), via=Via.TCP, facts=facts)) == {11: struct.pack("!H", tenths)}
    assert options_of(answer(asked(), via=Via.TCP)) == {}


def test_an_unknown_version_gets_no_options() -> None:
    message = asked(cookie=MINE, nsid=b"")
    message.use_edns(1, options=list(message.options))
    response = answer(message)
    assert (int(response.rcode()), options_of(response)) == (Rcode.BADVERS, {})


def test_options_count_for_the_size_limit() -> None:
    """Optional glue goes first, then all with TC set: never is a response too large."""
    facts = FACTS._replace(nsid=b"n" * NSID_LIMIT)
    seen = set()
    for payload in range(512, 1233, 8):
        for qname in ("glued.lab.example", "other.lab.example", "www.lab.example"):
            query = asked(qname, cookie=MINE, nsid=b"")
            query.use_edns(0, dns.flags.DO, payload, options=list(query.options))
            wire = respond(query.to_wire(), _ZONES, NOW, Via.UDP, client=CLIENT, facts=facts)
            assert wire is not None
            assert len(wire) <= payload
            message = dns.message.from_wire(wire)
            assert len(options_of(message)) == 2
            seen.add((qname, bool(message.flags & dns.flags.TC), bool(message.additional)))
    assert {("glued.lab.example", False, False), ("other.lab.example", True, False)} <= seen


# A cookie alone (RFC 7873 §5.4)


def cookie_query(cookie: bytes, questions: int = 0) -> bytes:
    option = struct.pack("!HH", 10, len(cookie)) + cookie
    return struct.pack("!6H", 7, 0, questions, 0, 0, 1) + struct.pack("!BHHIH", 0, 41, 1232, 0, len(option)) + option


@pytest.mark.parametrize("via", Via)
def test_a_query_for_a_cookie_alone(via: Via) -> None:
    for cookie, rcode in ((MINE, Rcode.NOERROR), (learned(), Rcode.NOERROR), (MINE + bytes(16), Rcode.BADCOOKIE)):
        wire = respond(cookie_query(cookie), _ZONES, NOW, via, client=CLIENT, facts=FACTS)
        assert wire is not None
        message = dns.message.from_wire(wire)
        assert int(message.rcode()) == rcode
        assert not message.question
        assert options_of(message) == {10: learned()}


def test_who_has_no_cookies_takes_a_query_without_a_question_for_malformed() -> None:
    for client, facts in ((b"", FACTS), (CLIENT, ServerFacts())):
        wire = respond(cookie_query(MINE), _ZONES, NOW, Via.UDP, client=client, facts=facts)
        assert wire is not None
        message = dns.message.from_wire(wire)
        assert (int(message.rcode()), options_of(message)) == (Rcode.FORMERR, {})


# Class CHAOS (RFC 4892)


@pytest.mark.parametrize(
    ("qname", "text"),
    [
        ("version.bind", "Signwright"),
        ("VERSION.server", "Signwright"),
        ("id.server", "ns1.example"),
        ("Hostname.Bind", "ns1.example"),
    ],
)
def test_chaos_is_answered_where_there_is_something_to_say(qname: str, text: str) -> None:
    query = dns.message.make_query(qname, "TXT", "CH")
    message = answer(query)
    assert int(message.rcode()) == Rcode.NOERROR
    (rrset,) = message.answer
    assert (rrset.rdclass, rrset.ttl, rrset[0].strings) == (dns.rdataclass.CH, 0, (text.encode(),))
    assert not answer(dns.message.make_query(qname, "A", "CH")).answer
    assert int(answer(query, facts=ServerFacts()).rcode()) == Rcode.REFUSED
    with_cookie = dns.message.make_query(qname, "TXT", "CH", options=[dns.edns.GenericOption("COOKIE", MINE)])
    assert options_of(answer(with_cookie)) == {10: learned()}


@pytest.mark.parametrize("qname", ["authors.bind", "version.bind.lab.example", "bind", "www.lab.example"])
def test_other_names_of_chaos_are_refused(qname: str) -> None:
    assert int(answer(dns.message.make_query(qname, "TXT", "CH")).rcode()) == Rcode.REFUSED


def test_what_chaos_says_is_not_said_in_class_in() -> None:
    assert int(answer(dns.message.make_query("version.bind", "TXT", "IN")).rcode()) == Rcode.REFUSED
