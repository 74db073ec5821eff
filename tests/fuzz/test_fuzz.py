"""A hundred thousand mutated cases, with those of `tests/properties/test_any_bytes.py`; `scripts/fuzz` does millions.

Queries are answered in this process, where most of the cases are. The real program gets some of each kind, over its
sockets: what reads a stream, a frame or a request there is reached by nothing else.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz import http_requests, over_sockets, packets, zone_texts
from tests.fuzz.findings import Broken
from tests.fuzz.real_program import running
from tests.lab import query

SEED = 15
QUERIES, PARTS = 86_000, 4
BOUNDED = find_spec("zones.masterfile.reading_limits") is not None
"""Whether reading a zone file has bounds, so that files without end can be among them."""


@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_queries(part: int) -> None:
    each = QUERIES // PARTS
    found = packets.run(SEED, range(part * each, (part + 1) * each))
    assert not found, "\n".join(map(str, found[:5]))


def test_mutated_zone_files() -> None:
    found = zone_texts.run(SEED, range(400), bombs=BOUNDED)
    assert not found, "\n".join(map(str, found[:5]))


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_the_real_program(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        found = over_sockets.run(program, SEED, range(1200))
        found += http_requests.run(program, http_requests.HTTP, SEED, range(250))
        found += http_requests.run(program, http_requests.BODIES, SEED, range(250))
        assert not found, "\n".join(map(str, found[:5]))
        assert not program.complaints()


def test_an_answer_to_an_update_is_read_as_one_to_a_query() -> None:
    assert not packets.run(1, range(2_080_032, 2_080_033))


def test_the_rules_see_what_breaks_them() -> None:
    asked = query("www.compact.test", "A")
    answer = bytearray(asked)
    assert packets.broken_rule(asked, asked, 512) == "QR is clear"
    answer[2] |= 0x80
    assert not packets.broken_rule(asked, bytes(answer), 512)
    assert packets.broken_rule(asked, bytes(answer), 20)
    assert packets.broken_rule(asked, bytes(answer[:3]) + b"\xff" + bytes(answer[4:]), 512) == "RA or AD is set"
    assert packets.broken_rule(asked, b"\0\0" + bytes(answer[2:]), 512) == "another ID"
    assert packets.allowed(asked) == 1232
    assert packets.allowed(query("www.compact.test", "A", edns=False)) == 512
    assert packets.allowed(query("www.compact.test", "A", size=100)) == 512
    with pytest.raises(Broken):
        http_requests.check(b"", b"HTTP/1.1 500 ", whole=True)
    with pytest.raises(Broken):
        http_requests.check(b"", b"", whole=True)
    http_requests.check(b"PRI * HTTP/2.0", b"HTTP/1.1 505 ", whole=True)
    http_requests.check(b"", b"", whole=False)
