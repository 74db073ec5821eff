"""Where responses pass by: with nobody looking, with observers, with one that fails; over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import trio

from server.net.addresses import Address
from server.net.listen import Pair, bind
from server.net.mmsg import Clients
from server.net.tcp import serve_tcp
from server.net.tcp_framing import frame
from server.net.tcp_load import Limits, TcpLoad
from server.net.udp import serve_udp
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from server.watching.process_watch import ProcessWatch
from server.watching.seen_responses import SeenResponses
from tests.lab import NOW, query, served, surprised
from zones import names

ZONES = served("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\n", "lab.example")
WWW = query("www.lab.example", "A")


class Someone:
    def host(self, slot: int) -> bytes:
        return bytes([192, 0, 2, slot])

    def networks(self, count: int) -> list[bytes]:
        return [b"\xc0\x00\x02"] * count


class NeverCopied(list[bytes | None]):
    def copy(self) -> list[bytes | None]:
        raise AssertionError("nobody looks")


def never() -> None:
    raise AssertionError


def test_with_nobody_looking_nothing_is_looked_at() -> None:
    seen, passed = SeenResponses(never), NeverCopied([b"x"])
    seen([WWW[2:]], passed, Someone())
    seen.stream([WWW], [b"x"], b"\x7f\x00\x00\x01")
    assert passed == [b"x"]


def test_a_limit_is_asked_first_and_an_observer_sees_both() -> None:
    seen_by: list[tuple[object, ...]] = []

    def limit(queries: Sequence[bytes], responses: list[bytes | None], clients: Clients) -> None:
        responses[1] = None

    def observer(
        queries: Sequence[bytes],
        before: Sequence[bytes | None],
        after: Sequence[bytes | None],
        host: Callable[[int], bytes],
        *,
        over_tcp: bool,
    ) -> None:
        seen_by.append(([*queries], [*before], [*after], host(1), over_tcp))

    seen = SeenResponses(never, limit)
    for _ in range(2):
        seen.add(observer)
    responses: list[bytes | None] = [b"a", b"b"]
    seen([b"1", b"2"], responses, Someone())
    assert responses == [b"a", None]
    seen.stream([b"ID1"], [b"c"], b"\x7f\x00\x00\x01")
    seen.stream([b"ID1"], [b"c"], None)  # a client without an address
    assert seen_by == [
        ([b"1", b"2"], [b"a", b"b"], [b"a", None], b"\xc0\x00\x02\x01", False),
        ([b"1"], [b"c"], [b"c"], b"\x7f\x00\x00\x01", True),
    ]
    seen.remove(observer)
    seen([b"1", b"2"], responses, Someone())
    assert len(seen_by) == 2


def test_an_observer_that_fails_is_taken_away_and_holds_nobody_up() -> None:
    failures: list[bool] = []

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    seen = SeenResponses(lambda: failures.append(True))
    seen.add(fails)
    responses: list[bytes | None] = [b"a"]
    for _ in range(3):
        seen([b"1"], responses, Someone())
    assert (responses, failures) == ([b"a"], [True])


@pytest.fixture
async def bound() -> AsyncIterator[Pair]:
    pair = bind(Address("127.0.0.1", 0))
    with pair.udp, pair.tcp:
        yield pair


async def test_the_loops_show_what_they_answer_and_answer_the_same(bound: Pair, nursery: trio.Nursery) -> None:
    watch = ProcessWatch(lambda: ZONES, lambda: NOW)
    responder = Responder(lambda: ZONES, Caches(), surprised)
    nursery.start_soon(serve_udp, [bound.udp], responder, lambda: NOW, watch.seen)
    load = TcpLoad(Limits())
    nursery.start_soon(serve_tcp, [bound.tcp], responder, lambda: NOW, load, [bound.udp], watch.seen.stream)
    wires = [WWW, query("no.lab.example", "TXT"), WWW, query("nor.lab.example", "TXT")]
    expected = [respond(wire, ZONES, NOW, Via.UDP) for wire in wires]
    with trio.fail_after(60):
        for on in (False, True, False):
            watch.switch_watching(on)
            with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
                await sock.connect(bound.address)
                for wire, response in zip(wires, expected, strict=True):
                    await sock.send(wire)
                    assert await sock.recv(4096) == response
            async with await trio.open_tcp_stream(*bound.address) as stream:
                await stream.send_all(frame(WWW))
                assert await stream.receive_some(4096) == frame(respond(WWW, ZONES, NOW, Via.TCP) or b"")
            counts = watch.drain_watched()
            assert counts.transports.counts == ({b"udp": 4, b"tcp": 1} if on else {})
            assert counts.names.counts.get(names.from_text("www.lab.example"), 0) == (3 if on else 0)
            assert counts.clients.counts == ({b"\x7f\x00\x00": 5} if on else {})
    nursery.cancel_scope.cancel()
