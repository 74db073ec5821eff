"""From sections to octets: compression, counts, and what is left out where there is no room."""

from __future__ import annotations

from server.query.emit_to_size import emit
from server.query.read_query import Rcode
from server.query.sections import Decision, Placed
from tests.lab import NOW, served, wire_name

_ZONES = served("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\n", "lab.example", sign=False)
_QNAME, _OTHER = wire_name("a.lab.example"), wire_name("other.lab.example")
_LARGE = b"\x00\x10\x00\x01\x00\x00\x00\x3c\x10\x00" + bytes(0x1000)
_EMPTY = b"\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x00"


def emitted(decision: Decision, limit: int = 65535) -> tuple[tuple[int, ...], bytes]:
    zone = _ZONES.get(wire_name("lab.example"))
    assert zone is not None
    response = emit(decision, _QNAME, 0, zone, NOW, b"", limit)
    numbers = tuple(int.from_bytes(response.head[at : at + 2]) for at in range(0, 10, 2))
    return numbers, response.body


def test_owners_are_compressed_up_to_where_pointers_reach() -> None:
    answer = [*[Placed(_QNAME, [_LARGE])] * 5, Placed(_OTHER, [_EMPTY] * 2), Placed(_OTHER, [_EMPTY])]
    (_, _, answers, _, _), body = emitted(Decision(Rcode.NOERROR, True, answer, ()))
    assert answers == 8
    assert len(body) > 0x4000
    assert body.count(b"\x05other\xc0") == 3  # out of reach: spelled each time
    assert body.startswith(b"\xc0\x0c")


def test_sibling_glue_goes_before_the_answer_is_truncated() -> None:
    decision = Decision(
        Rcode.NOERROR, False, (), [Placed(_QNAME, [_EMPTY])], [Placed(_OTHER, [_EMPTY])], [Placed(_QNAME, [_LARGE])]
    )
    whole, all_of_it = emitted(decision)
    assert whole[2:] == (0, 1, 2)
    short, less = emitted(decision, 512)
    assert short == (whole[0], 1, 0, 1, 1)
    assert all_of_it.startswith(less)
    truncated, nothing = emitted(decision, 40)
    assert (truncated, nothing) == ((whole[0] | 0x0200, 1, 0, 0, 0), b"")
