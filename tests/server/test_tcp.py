"""DNS over TCP (RFC 7766): over real loopback sockets, and over streams in memory where time is virtual."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from functools import partial

import dns.message
import pytest
import trio
import trio.testing
from trio.abc import Stream

from server.answer import Via, respond
from server.framing import Deframer, frame
from server.hot import Responder
from server.memo import Memo
from server.tcp import Limits, _connection, serve_tcp
from tests.lab import NOW, query, served

_ZONE = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\n" + "".join(
    f'big 60 TXT "{number:03} {"x" * 240}"\n' for number in range(100)
)
_ZONES = served(_ZONE, "lab.example")
_IDLE = 10.0


def responder() -> Responder:
    return Responder(lambda: _ZONES, Memo())


def clock() -> float:
    return NOW + 0.5


def expected(wire: bytes) -> bytes:
    response = respond(wire, _ZONES, NOW, Via.TCP)
    assert response is not None
    return response


async def read(stream: Stream, count: int) -> list[bytes]:
    """That many messages."""
    deframer, messages = Deframer(), list[bytes]()
    while len(messages) < count:
        octets = await stream.receive_some(4096)
        assert octets, f"closed after {len(messages)} messages"
        messages += deframer.feed(bytes(octets))
    assert len(messages) == count
    return messages


class Server:
    """A server on a port of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self._address = sock.getsockname()

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(*self._address[:2])


@pytest.fixture
async def server(nursery: trio.Nursery) -> AsyncIterator[Server]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        sock.listen()
        nursery.start_soon(serve_tcp, sock, responder(), clock, Limits(connections=2, idle=_IDLE))
        yield Server(sock)
        nursery.cancel_scope.cancel()


async def test_pipelined_queries_are_answered_in_turn(server: Server) -> None:
    queries = [query(name, "A", ident=n) for n, name in enumerate(["www.lab.example", "nope.lab.example"] * 100)]
    async with await server.connect() as stream, trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, b"".join(map(frame, queries)))
        assert await read(stream, len(queries)) == [expected(one) for one in queries]


async def test_a_query_may_come_octet_by_octet(server: Server) -> None:
    wire = query("www.lab.example", "A")
    async with await server.connect() as stream:
        for octet in frame(wire):
            await stream.send_all(bytes([octet]))
        assert await read(stream, 1) == [expected(wire)]


async def test_a_large_answer_is_whole(server: Server) -> None:
    wire = query("big.lab.example", "TXT")
    async with await server.connect() as stream:
        await stream.send_all(frame(wire))
        (response,) = await read(stream, 1)
    assert response == expected(wire)
    assert len(response) > 20_000
    assert len(dns.message.from_wire(response).answer[0]) == 100


@pytest.mark.parametrize("silence", [b"", b"short", b"\x00\x01\x80" + bytes(20)])
async def test_what_deserves_silence_ends_the_connection_after_the_answers(server: Server, silence: bytes) -> None:
    wire = query("www.lab.example", "A")
    async with await server.connect() as stream:
        await stream.send_all(frame(wire) + frame(silence))
        assert await read(stream, 1) == [expected(wire)]
        assert await stream.receive_some() == b""


async def test_a_client_may_close_its_half_first(server: Server) -> None:
    wire = query("www.lab.example", "A")
    async with await server.connect() as stream:
        await stream.send_all(frame(wire) * 3)
        await stream.send_eof()
        assert await read(stream, 3) == [expected(wire)] * 3
        assert await stream.receive_some() == b""


async def test_a_client_that_vanishes_disturbs_nobody(server: Server) -> None:
    wire = query("big.lab.example", "TXT")
    for _ in range(5):
        stream = await server.connect()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # RST on close
        await stream.send_all(frame(wire) * 20)
        await stream.aclose()
    async with await server.connect() as stream:
        await stream.send_all(frame(wire))
        assert await read(stream, 1) == [expected(wire)]


async def test_one_connection_too_many_waits_for_a_place(server: Server) -> None:
    wire = query("www.lab.example", "A")
    first, second, third = [await server.connect() for _ in range(3)]
    async with first, second, third:
        for stream in (first, second):
            await stream.send_all(frame(wire))
            assert await read(stream, 1) == [expected(wire)]
        await third.send_all(frame(wire))
        with trio.move_on_after(0.05) as waited:
            await third.receive_some()
        assert waited.cancelled_caught
        await first.aclose()
        assert await read(third, 1) == [expected(wire)]


# Time, which is virtual here


async def hold(stream: Stream) -> float:
    """Serve one connection to its end; how many seconds that took."""
    places, place = trio.CapacityLimiter(1), object()
    await places.acquire_on_behalf_of(place)
    started = trio.current_time()
    await _connection(stream, responder(), clock, _IDLE, places, place)  # type: ignore[arg-type]
    assert places.borrowed_tokens == 0
    return trio.current_time() - started


async def test_a_client_that_says_nothing_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    assert await hold(ours) == _IDLE
    assert await theirs.receive_some() == b""


async def test_a_client_that_dribbles_is_idle(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def dribble() -> None:
        with pytest.raises(trio.BrokenResourceError):
            for octet in frame(query("www.lab.example", "A")):
                await theirs.send_all(bytes([octet]))
                await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dribble)
        assert await hold(ours) == _IDLE


async def test_each_query_renews_the_time(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    wire = query("www.lab.example", "A")

    async def ask() -> None:
        for _ in range(3):
            await trio.sleep(_IDLE - 1)
            await theirs.send_all(frame(wire))
            assert await read(theirs, 1) == [expected(wire)]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        assert await hold(ours) == 3 * (_IDLE - 1) + _IDLE


async def test_a_client_that_takes_no_answers_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(theirs.send_all, frame(query("www.lab.example", "A")) * 100))
        assert await hold(ours) == _IDLE
        nursery.cancel_scope.cancel()
