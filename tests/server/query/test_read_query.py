"""Reading queries and answering those that cannot be answered, as RFC 1035, 6891, 8906 and 9619 say."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.name
import pytest

from server.query.read_query import Rcode, Rejected, Unanswerable, read_query
from server.query.respond import Via, respond
from tests.lab import NOW, query, served
from zones import names

_ZONES = served("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\n", "lab.example")
QUESTION = b"\x03wWw\x03lab\x07example\x00\x00\x01\x00\x01"


def header(flags: int = 0, questions: int = 1, answers: int = 0, authorities: int = 0, additionals: int = 0) -> bytes:
    return struct.pack("!6H", 0xBEEF, flags, questions, answers, authorities, additionals)


def opt(owner: bytes = b"\x00", size: int = 1232, version: int = 0, flags: int = 0x8000, rdata: bytes = b"") -> bytes:
    return owner + struct.pack("!HHBBHH", 41, size, 0, version, flags, len(rdata)) + rdata


def rcode_of(wire: bytes) -> int:
    response = respond(wire, _ZONES, NOW, Via.UDP)
    assert response is not None
    return int(dns.message.from_wire(response).rcode())


@pytest.mark.parametrize("wire", [b"", bytes(11), header(0x8000) + QUESTION, header(0x8400, 0)])
def test_silence(wire: bytes) -> None:
    assert respond(wire, _ZONES, NOW, Via.UDP) is None
    with pytest.raises(Unanswerable):
        read_query(wire)


@pytest.mark.parametrize("opcode", range(1, 16))
def test_an_opcode_that_is_not_known_gets_a_header_only(opcode: int) -> None:
    response = respond(header(opcode << 11 | 0x0110) + QUESTION, _ZONES, NOW, Via.UDP)
    assert response == struct.pack("!6H", 0xBEEF, 0x8000 | opcode << 11 | 0x0110 | Rcode.NOTIMP, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("case", "wire"),
    [
        ("no question (RFC 9619)", header(questions=0)),
        ("two questions", header(questions=2) + QUESTION * 2),
        ("a question that is not there", header()),
        ("a name that does not end", header() + b"\x03www"),
        ("a question without its class", header() + QUESTION[:-1]),
        ("a compressed question", header() + b"\x03www\xc0\x0c\x00\x01\x00\x01"),
        ("a label of 64 octets", header() + b"\x40" + b"a" * 64 + b"\x00\x00\x01\x00\x01"),
        ("a name of 256 octets", header() + (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\x00\x00\x01\x00\x01"),
        ("octets behind the message", header() + QUESTION + b"\x00"),
        ("a record that is not there", header(additionals=1) + QUESTION),
        ("a record cut short", header(additionals=1) + QUESTION + opt()[:-1]),
        ("rdata cut short", header(additionals=1) + QUESTION + opt(rdata=b"\x00\x0a\x00\x01x")[:-1]),
        ("octets behind the OPT record", header(additionals=1) + QUESTION + opt() + b"\x00"),
        ("two OPT records (RFC 6891 §6.1.1)", header(additionals=2) + QUESTION + opt() * 2),
        ("an OPT record with an owner", header(additionals=1) + QUESTION + opt(owner=b"\x01a\x00")),
        ("an OPT record whose owner is compressed", header(additionals=1) + QUESTION + opt(owner=b"\xc0\x0c")),
        ("an OPT record in the answer section", header(answers=1) + QUESTION + opt()),
        ("an option longer than the record", header(additionals=1) + QUESTION + opt(rdata=b"\x00\x0a\x00\x09x")),
        ("an option without a length", header(additionals=1) + QUESTION + opt(rdata=b"\x00\x0a\x00")),
    ],
)
def test_formerr(case: str, wire: bytes) -> None:
    assert rcode_of(wire) == Rcode.FORMERR, case
    with pytest.raises(Rejected):
        read_query(wire)


def test_a_question_that_could_be_read_is_in_the_error() -> None:
    response = respond(header(answers=1) + QUESTION, _ZONES, NOW, Via.UDP)
    assert response == struct.pack("!6H", 0xBEEF, 0x8001, 1, 0, 0, 0) + QUESTION


@pytest.mark.parametrize(
    ("case", "wire"),
    [
        ("two OPT records", header(additionals=2) + QUESTION + opt() * 2),
        ("octets behind the OPT record", header(additionals=1) + QUESTION + opt() + b"x"),
        ("a malformed option", header(additionals=1) + QUESTION + opt(rdata=b"\x00\x0a\x00")),
        ("a cookie that is too short", header(additionals=1) + QUESTION + opt(rdata=b"\x00\x0a\x00\x07abcdefg")),
        (
            "a server cookie that is too short",
            header(additionals=1) + QUESTION + opt(rdata=b"\x00\x0a\x00\x0f" + b"x" * 15),
        ),
        ("a cookie that is too long", header(additionals=1) + QUESTION + opt(rdata=b"\x00\x0a\x00\x29" + b"x" * 41)),
    ],
)
def test_an_error_has_an_opt_record_where_the_query_has_one(case: str, wire: bytes) -> None:
    """RFC 6891 §6.1.1, §7; RFC 7873 §5.2.2."""
    response = respond(wire, _ZONES, NOW, Via.UDP)
    assert response == struct.pack("!6H", 0xBEEF, 0x8001, 1, 0, 0, 1) + QUESTION + opt(), case


@pytest.mark.parametrize("opcode", range(1, 16))
def test_an_unknown_opcode_has_an_opt_record_where_the_query_has_one(opcode: int) -> None:
    response = respond(header(opcode << 11, additionals=1) + QUESTION + opt(), _ZONES, NOW, Via.UDP)
    not_supported = opt(rdata=b"\x00\x0f\x00\x02\x00\x15")
    head = struct.pack("!6H", 0xBEEF, 0x8000 | opcode << 11 | Rcode.NOTIMP, 1, 0, 0, 1)
    assert response == head + QUESTION + not_supported
    # What has another form is not taken for a query's.
    strange = header(opcode << 11, additionals=1) + QUESTION + opt() + b"x"
    assert respond(strange, _ZONES, NOW, Via.UDP) == struct.pack("!6H", 0xBEEF, head[2] << 8 | head[3], 0, 0, 0, 0)


def test_options_of_an_unknown_version_are_not_looked_at() -> None:
    """RFC 6891 §6.1.3: BADVERS comes first."""
    for rdata in (b"\x00\x0a\x00", b"\x00\x0a\x00\x01x", b"\x00\x0a\x00\x08abcdefgh"):
        wire = header(additionals=1) + QUESTION + opt(version=1, rdata=rdata)
        assert rcode_of(wire) == Rcode.BADVERS


def test_keepalive_has_no_data_over_tcp_and_counts_for_nothing_over_udp() -> None:
    wire = header(additionals=1) + QUESTION + opt(rdata=b"\x00\x0b\x00\x02\x00\x64")
    over_tcp = respond(wire, _ZONES, NOW, Via.TCP)
    assert over_tcp is not None
    assert int(dns.message.from_wire(over_tcp).rcode()) == Rcode.FORMERR
    assert rcode_of(wire) == Rcode.NOERROR


def test_a_name_of_255_octets_is_read() -> None:
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\x00"
    assert read_query(header() + name + b"\x00\x01\x00\x01").qname == name


def test_what_a_query_says() -> None:
    read = read_query(header(0x0110, additionals=1) + QUESTION + opt(flags=0xC000, size=4096))
    assert read.qname == names.from_text("www.lab.example")
    assert (read.qtype, read.qclass, read.flags, read.question_end) == (1, 1, 0x0110, 12 + len(QUESTION))
    assert read.edns is not None
    assert (read.edns.size, read.edns.version, read.edns.do, read.edns.co) == (4096, 0, True, True)


def test_records_of_other_kinds_are_passed_over() -> None:
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + b"\x7f\x00\x00\x01"
    wire = header(answers=1, authorities=1, additionals=2) + QUESTION + record * 3 + opt()
    assert read_query(wire).edns is not None
    assert rcode_of(wire) == Rcode.NOERROR


def test_flags_of_a_response() -> None:
    # All flags a client may set: opcode 0, AA TC RD, RA Z AD CD.
    response = respond(header(0x07F0) + QUESTION, _ZONES, NOW, Via.UDP)
    assert response is not None
    flags = int.from_bytes(response[2:4])
    assert dns.flags.to_text(flags) == "QR AA RD CD"


def test_the_question_comes_back_as_it_was_spelled() -> None:
    response = respond(header() + QUESTION, _ZONES, NOW, Via.UDP)
    assert response is not None
    assert response[12:].startswith(QUESTION)
    assert dns.message.from_wire(response).answer[0].name.to_text() == "wWw.lab.example."


@pytest.mark.parametrize(
    ("qtype", "rcode", "error"),
    [
        ("TYPE128", Rcode.FORMERR, 30),  # RFC 9824 §3.5: NXNAME
        ("TYPE0", Rcode.FORMERR, 30),
        ("OPT", Rcode.FORMERR, 30),
        ("TSIG", Rcode.FORMERR, 30),
        ("AXFR", Rcode.REFUSED, 21),
        ("IXFR", Rcode.REFUSED, 21),
    ],
)
@pytest.mark.parametrize("do", [True, False])
def test_types_that_are_not_asked_for(qtype: str, rcode: Rcode, error: int, do: bool) -> None:
    response = respond(query("www.lab.example", qtype, do=do), _ZONES, NOW, Via.TCP)
    assert response is not None
    message = dns.message.from_wire(response)
    assert int(message.rcode()) == rcode
    assert [option.code for option in message.options] == [error]
    assert not message.answer


@pytest.mark.parametrize("qname", ["example", "elsewhere.test", "xlab.example", "."])
def test_other_peoples_names_are_refused(qname: str) -> None:
    response = respond(query(qname, "A"), _ZONES, NOW, Via.UDP)
    assert response is not None
    message = dns.message.from_wire(response)
    assert int(message.rcode()) == Rcode.REFUSED
    assert not message.flags & dns.flags.AA
    assert [option.code for option in message.options] == [20]


@pytest.mark.parametrize("rdclass", [3, 4, 254, 255, 0])
def test_other_classes_are_refused(rdclass: int) -> None:
    assert rcode_of(header() + QUESTION[:-2] + rdclass.to_bytes(2)) == Rcode.REFUSED
