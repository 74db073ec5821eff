"""DNS over TCP (RFC 7766): over loopback sockets, and over local ones where time is virtual."""

from __future__ import annotations

import os
import resource
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import dns.message
import pytest
import trio
import trio.testing
from trio.abc import Stream

from server.net.tcp import Limits, serve_tcp
from server.net.tcp_framing import Deframer, frame
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, query, served, surprised

_ZONE = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\n" + "".join(
    f'big 60 TXT "{number:03} {"x" * 240}"\n' for number in range(100)
)
_ZONES = served(_ZONE, "lab.example")
_IDLE = 10.0


def responder() -> Responder:
    return Responder(lambda: _ZONES, Caches(), surprised)


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


async def is_silent(sock: trio.socket.SocketType) -> bool:
    """Whether nothing has come once the server, which runs in this loop, has nothing left to do."""
    await trio.testing.wait_all_tasks_blocked(cushion=0.01)
    return not select.select([sock], [], [], 0)[0]


class Server:
    """A server on a port of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self._address = sock.getsockname()

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(*self._address[:2])

    async def connect_with(self, sock: trio.socket.SocketType) -> None:
        await sock.connect(self._address)


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
        assert await is_silent(third.socket)
        await first.aclose()
        assert await read(third, 1) == [expected(wire)]


async def test_without_sockets_left_it_tries_again(server: Server) -> None:
    wire = query("www.lab.example", "A")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with trio.socket.socket() as client:
        async with await server.connect() as stream:
            await stream.send_all(frame(wire))
            await read(stream, 1)  # so the server is up, and needs nothing more than a socket for a client
            await stream.send_eof()
            assert await stream.receive_some() == b""
        lowest_free = os.dup(client.fileno())
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            await server.connect_with(client)
            await client.send(frame(wire))
            silent = await is_silent(client)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert silent
        assert await read(trio.SocketStream(client), 1) == [expected(wire)]


async def test_a_client_that_takes_no_answers_holds_up_nobody(server: Server) -> None:
    wire = query("big.lab.example", "TXT")
    async with await server.connect() as greedy, await server.connect() as other:
        await greedy.send_all(frame(wire) * 400)
        await other.send_all(frame(wire))
        assert await read(other, 1) == [expected(wire)]
        assert await read(greedy, 400) == [expected(wire)] * 400


async def test_its_end_is_the_end_of_all_connections() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        sock.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_tcp, sock, responder(), clock, Limits())
            stream = await Server(sock).connect()
            await stream.send_all(frame(query("www.lab.example", "A")))
            await read(stream, 1)
            nursery.cancel_scope.cancel()
        async with stream:
            assert await stream.receive_some() == b""


# Time, which is virtual here. Local sockets move octets at once, so that time never jumps while some are under way.


Connect = Callable[[], Awaitable[trio.SocketStream]]


@pytest.fixture
async def local(nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[Connect]:
    """A server for one client at a time: how to connect to it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.setblocking(False)
        sock.listen()
        nursery.start_soon(serve_tcp, sock, responder(), clock, Limits(connections=1, idle=_IDLE))
        yield partial(trio.open_unix_socket, tmp_path / "socket")
        nursery.cancel_scope.cancel()


async def until_closed(stream: trio.SocketStream) -> float:
    """The time at which the server closes."""
    assert await stream.receive_some() == b""
    return trio.current_time()


async def test_a_client_that_says_nothing_is_let_go(local: Connect, autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    async with await local() as stream:
        assert await until_closed(stream) == started + _IDLE


async def test_a_client_that_dribbles_is_idle(local: Connect, autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    async with await local() as stream, trio.open_nursery() as nursery:

        async def dribble() -> None:
            with pytest.raises(trio.BrokenResourceError):
                for octet in frame(query("www.lab.example", "A")):
                    await stream.send_all(bytes([octet]))
                    await trio.sleep(3)

        nursery.start_soon(dribble)
        assert await until_closed(stream) == started + _IDLE


async def test_each_query_renews_the_time(local: Connect, autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    wire = query("www.lab.example", "A")
    async with await local() as stream:
        for _ in range(3):
            await trio.sleep(_IDLE - 1)
            await stream.send_all(frame(wire))
            assert await read(stream, 1) == [expected(wire)]
        assert await until_closed(stream) == started + 3 * (_IDLE - 1) + _IDLE


async def test_a_client_that_takes_no_answers_is_let_go(local: Connect, autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    wire = query("big.lab.example", "TXT")
    async with await local() as greedy, await local() as next_one:
        await greedy.send_all(frame(wire) * 100)
        await next_one.send_all(frame(wire))
        assert await read(next_one, 1) == [expected(wire)]
        assert trio.current_time() == started + _IDLE


async def test_a_slow_client_that_takes_its_answers_gets_all_of_them(
    local: Connect, autojump_clock: trio.testing.MockClock
) -> None:
    """A batch of them takes it much longer than a connection may be idle."""
    wire = query("big.lab.example", "TXT")
    deframer, messages = Deframer(), list[bytes]()
    started = trio.current_time()
    async with await local() as slow:
        await slow.send_all(frame(wire) * 100)
        while len(messages) < 100:
            octets = await slow.receive_some(50_000)
            assert octets, f"closed after {len(messages)} messages"
            messages += deframer.feed(bytes(octets))
            await trio.sleep(1)
        assert messages == [expected(wire)] * 100
        assert trio.current_time() - started > 4 * _IDLE


@pytest.mark.parametrize("octets", [1, 1000])
async def test_a_client_that_takes_next_to_nothing_is_let_go(
    local: Connect, autojump_clock: trio.testing.MockClock, octets: int
) -> None:
    """It takes so many octets a second."""
    wire = query("big.lab.example", "TXT")
    started = trio.current_time()
    async with await local() as slow, await local() as next_one, trio.open_nursery() as nursery:

        async def sip() -> None:
            while True:
                await slow.receive_some(octets)
                await trio.sleep(1)

        await slow.send_all(frame(wire) * 100)
        nursery.start_soon(sip)
        await next_one.send_all(frame(wire))
        assert await read(next_one, 1) == [expected(wire)]
        assert trio.current_time() == started + _IDLE
        nursery.cancel_scope.cancel()
