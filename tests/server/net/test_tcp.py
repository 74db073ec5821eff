"""DNS over TCP (RFC 7766): over loopback sockets, and over local ones where time is virtual."""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import dns.message
import pytest
import trio
import trio.testing
from trio.abc import Stream

from server.net.addresses import Address
from server.net.listen import STREAM_BUFFER, bind
from server.net.tcp import TcpClients, serve_tcp
from server.net.tcp_framing import Deframer, frame
from server.net.tcp_load import LEAST_IDLE, Ended, Limits, TcpLoad
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
        nursery.start_soon(serve_tcp, [sock], responder(), clock, TcpLoad(Limits(connections=2, idle=_IDLE)))
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


async def test_one_connection_too_many_takes_the_place_of_the_one_that_is_idle_longest(server: Server) -> None:
    wire = query("www.lab.example", "A")
    async with await server.connect() as first, await server.connect() as second:
        for stream in (first, second):
            await stream.send_all(frame(wire))
            assert await read(stream, 1) == [expected(wire)]
        async with await server.connect() as third:
            await third.send_all(frame(wire))
            assert await read(third, 1) == [expected(wire)]
        assert await first.receive_some() == b""


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
            nursery.start_soon(serve_tcp, [sock], responder(), clock, TcpLoad(Limits()))
            stream = await Server(sock).connect()
            await stream.send_all(frame(query("www.lab.example", "A")))
            await read(stream, 1)
            nursery.cancel_scope.cancel()
        async with stream:
            assert await stream.receive_some() == b""


async def test_what_was_asked_before_the_end_is_answered_and_who_comes_later_is_left_to_the_next() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        sock.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_tcp, [sock], responder(), clock, TcpLoad(Limits()))
            early = await Server(sock).connect()
            await early.send_all(frame(query("www.lab.example", "A")))
            await read(early, 1)
            await early.send_all(frame(query("nope.lab.example", "A")))
            nursery.cancel_scope.cancel()
        async with early:
            assert await read(early, 1) == [expected(query("nope.lab.example", "A"))]
            assert await early.receive_some() == b""
        late = await Server(sock).connect()
        await late.send_all(frame(query("www.lab.example", "A")))
        async with late, trio.open_nursery() as nursery:
            nursery.start_soon(serve_tcp, [sock], responder(), clock, TcpLoad(Limits()))
            assert await read(late, 1) == [expected(query("www.lab.example", "A"))]
            nursery.cancel_scope.cancel()


# Time, which is virtual here. Local sockets move octets at once, so that time never jumps while some are under way.


class Local:
    """A server on a local socket."""

    def __init__(self, path: Path, load: TcpLoad) -> None:
        self.connect = partial(trio.open_unix_socket, path)
        self.load = load

    async def ends_at(self, moment: float) -> None:
        """The only connection ends then, since its client was too slow."""
        await trio.sleep(moment - 0.01 - trio.current_time())
        assert self.load.open == 1
        await trio.sleep(0.02)
        assert (self.load.open, self.load.ended[Ended.SLOW]) == (0, 1)


@pytest.fixture
async def local(nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[Local]:
    """A server, and how to connect to it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.setblocking(False)
        sock.listen()
        load = TcpLoad(Limits(connections=1000, idle=_IDLE))
        nursery.start_soon(serve_tcp, [sock], responder(), clock, load)
        yield Local(tmp_path / "socket", load)
        nursery.cancel_scope.cancel()


async def until_closed(stream: trio.SocketStream) -> float:
    """The time at which the server closes."""
    assert await stream.receive_some() == b""
    return trio.current_time()


async def test_a_client_that_says_nothing_is_let_go(local: Local, autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    async with await local.connect() as stream:
        assert await until_closed(stream) == started + _IDLE


async def test_a_client_that_dribbles_is_idle(local: Local, autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    async with await local.connect() as stream, trio.open_nursery() as nursery:

        async def dribble() -> None:
            with pytest.raises(trio.BrokenResourceError):
                for octet in frame(query("www.lab.example", "A")):
                    await stream.send_all(bytes([octet]))
                    await trio.sleep(3)

        nursery.start_soon(dribble)
        assert await until_closed(stream) == started + _IDLE


async def test_each_query_renews_the_time(local: Local, autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    wire = query("www.lab.example", "A")
    async with await local.connect() as stream:
        for _ in range(3):
            await trio.sleep(_IDLE - 1)
            await stream.send_all(frame(wire))
            assert await read(stream, 1) == [expected(wire)]
        assert await until_closed(stream) == started + 3 * (_IDLE - 1) + _IDLE


async def test_a_client_that_takes_no_answers_is_let_go(local: Local, autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    wire = query("big.lab.example", "TXT")
    async with await local.connect() as greedy:
        await greedy.send_all(frame(wire) * 100)
        await local.ends_at(started + _IDLE)


async def test_a_slow_client_that_takes_its_answers_gets_all_of_them(
    local: Local, autojump_clock: trio.testing.MockClock
) -> None:
    """A batch of them takes it much longer than a connection may be idle."""
    wire = query("big.lab.example", "TXT")
    deframer, messages = Deframer(), list[bytes]()
    started = trio.current_time()
    async with await local.connect() as slow:
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
    local: Local, autojump_clock: trio.testing.MockClock, octets: int
) -> None:
    """It takes so many octets a second."""
    wire = query("big.lab.example", "TXT")
    started = trio.current_time()
    async with await local.connect() as slow, trio.open_nursery() as nursery:

        async def sip() -> None:
            while True:
                await slow.receive_some(octets)
                await trio.sleep(1)

        await slow.send_all(frame(wire) * 100)
        nursery.start_soon(sip)
        await local.ends_at(started + _IDLE)
        nursery.cancel_scope.cancel()


# Turns, taken one by one by the test, and measured by a clock that goes on when a query is answered.


class Costly:
    """Answers like a `Responder` whose every query costs as much time as a signature, and takes it from `self.time`."""

    def __init__(self, cost: float) -> None:
        self.time = 0.0
        self.answered: list[int] = []
        """The IDs of queries, which tell the client."""
        self._cost = cost

    def stream(
        self, wires: Sequence[bytes], now: int, client: bytes, is_late: Callable[[], bool], most: int
    ) -> list[bytes | None]:
        responses: list[bytes | None] = []
        for wire in wires:
            if responses and is_late():
                break
            self.time += self._cost
            self.answered.append(int.from_bytes(wire[:2]))
            responses.append(wire[2:])
        return responses


class Driven:
    """The clients of one process, and sockets at their other ends."""

    def __init__(self, held: ExitStack, answers: Responder | Costly, limits: Limits) -> None:
        pair = bind(Address("127.0.0.1", 0))
        held.enter_context(pair.udp)
        held.enter_context(pair.tcp)
        self._held, self._address = held, tuple(pair.address)
        self.udp = pair.udp
        self.load = TcpLoad(limits)
        timer = (lambda: answers.time) if isinstance(answers, Costly) else (lambda: 0.0)
        self.clients = TcpClients([pair.tcp], answers, clock, self.load, [pair.udp], timer)  # type: ignore[arg-type]
        held.callback(self.clients.close)

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        sock = self._held.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind((host, 0))
        sock.connect(self._address)
        sock.setblocking(False)
        return sock

    def turns(self, now: float = 0.0) -> None:
        """All turns that there are to take."""
        while self.clients.turn(now):
            pass

    def ask(self, wire: bytes, *socks: socket.socket, now: float = 0.0) -> None:
        for sock in socks:
            sock.send(frame(wire))
        self.turns(now)


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def is_closed(sock: socket.socket) -> bool:
    try:
        while sock.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return True


@pytest.mark.parametrize(("waits", "most"), [(True, 0.000_55), (False, 0.003_15)])
def test_a_turn_ends_within_its_time_whoever_asks_how_much(held: ExitStack, waits: bool, most: float) -> None:
    """Soon where something waits that came by UDP."""
    costly = Costly(cost=25e-6)
    driven = Driven(held, costly, Limits())
    if waits:
        driven.udp.sendto(b"query", driven.udp.getsockname())
    for ident in range(16):
        driven.connect().send(frame(query("x.lab.example", "A", ident=ident)) * 60)
    longest, turns, more = 0.0, 0, True
    while more:
        before = costly.time
        more = driven.clients.turn(0.0)
        longest, turns = max(longest, costly.time - before), turns + 1
    assert len(costly.answered) == 16 * 60
    assert longest <= most
    assert turns >= 16 * 60 * 25e-6 / most


def test_connections_have_equal_parts_of_the_time(held: ExitStack) -> None:
    """One that asks a few queries is answered while others still have hundreds of theirs."""
    costly = Costly(cost=25e-6)
    driven = Driven(held, costly, Limits())
    driven.udp.sendto(b"query", driven.udp.getsockname())
    for ident in range(16):
        driven.connect().send(frame(query("x.lab.example", "A", ident=ident)) * 60)
    answered = [0] * 16
    while driven.clients.turn(0.0) and len(costly.answered) < 16 * 30:
        answered = [costly.answered.count(ident) for ident in range(16)]
        assert max(answered) - min(answered) <= 10  # two spells
    assert min(answered) > 20


def test_cheap_queries_are_answered_many_at_once(held: ExitStack) -> None:
    cheap = Costly(cost=0.2e-6)
    driven = Driven(held, cheap, Limits())
    for _ in range(8):
        driven.connect().send(frame(query("www.lab.example", "A")) * 24)
    assert not driven.clients.turn(0.0)
    assert len(cheap.answered) == 8 * 24


def test_one_client_that_takes_all_places_keeps_no_other_out(held: ExitStack) -> None:
    driven = Driven(held, responder(), Limits(connections=40))
    wire = query("www.lab.example", "A")
    many = [driven.connect("127.0.0.1") for _ in range(20)]  # as long as there is room
    many += [driven.connect(f"127.0.2.{number + 1}") for number in range(20)]
    driven.ask(wire, *many)
    for number in range(30):
        other = driven.connect(f"127.0.1.{number + 1}")
        driven.turns()
        driven.ask(wire, *[one for one in many if not is_closed(one)])  # they are busy all the while
        driven.ask(wire, other)
        assert other.recv(512), number
    assert driven.load.open == 40
    assert driven.load.ended[Ended.FULL] == 30


def test_above_half_of_the_places_a_prefix_has_a_tenth(held: ExitStack) -> None:
    driven = Driven(held, responder(), Limits(connections=40))
    wire = query("www.lab.example", "A")
    many = []
    for _ in range(60):
        many.append(driven.connect("127.0.0.1"))
        driven.ask(wire, many[-1])
    assert driven.load.open == 21  # half of them, and one that is here for another
    assert driven.load.ended[Ended.SHARE] == 39
    assert [is_closed(one) for one in many] == [True] * 39 + [False] * 21


def test_the_idle_time_goes_down_as_places_are_taken(held: ExitStack) -> None:
    driven = Driven(held, responder(), Limits(connections=10, idle=_IDLE))
    early = [driven.connect(f"127.0.0.{number + 1}") for number in range(5)]
    driven.turns(0.0)
    assert driven.clients.next_deadline() == _IDLE
    late = [driven.connect(f"127.0.1.{number + 1}") for number in range(5)]
    driven.turns(1.0)
    assert driven.clients.next_deadline() == LEAST_IDLE
    driven.turns(LEAST_IDLE)  # the first one ends, and then there is more time for the others
    assert [is_closed(one) for one in early + late] == [True] + [False] * 9
    assert driven.load.ended[Ended.IDLE] == 1
    assert LEAST_IDLE < driven.clients.next_deadline() < _IDLE


def test_who_takes_no_responses_has_few_of_them_held(held: ExitStack) -> None:
    driven = Driven(held, responder(), Limits())
    greedy = [driven.connect() for _ in range(10)]
    for sock in greedy:
        sock.send(frame(query("big.lab.example", "TXT")) * 60)  # 1.5 MB of responses
    driven.turns()
    assert driven.load.open == 10
    assert 0 < driven.load.untaken <= 10 * (STREAM_BUFFER + (32 << 10) + (26 << 10))


def is_reset(sock: socket.socket) -> bool:
    """Whether nothing more comes, since the server has given up what it had for this client."""
    try:
        while sock.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize(("count", "why"), [(60, Ended.SLOW), (1, Ended.IDLE)])
def test_the_kernel_does_not_go_on_with_what_a_client_did_not_take(held: ExitStack, count: int, why: Ended) -> None:
    driven = Driven(held, responder(), Limits(idle=_IDLE))
    greedy = driven.connect()
    greedy.send(frame(query("big.lab.example", "TXT")) * count)
    driven.turns()
    driven.turns(_IDLE)
    assert (driven.load.ended[why], driven.load.open) == (1, 0)
    assert is_reset(greedy)


def test_who_has_taken_all_is_not_reset(held: ExitStack) -> None:
    driven = Driven(held, responder(), Limits(idle=_IDLE))
    client = driven.connect()
    driven.ask(query("www.lab.example", "A"), client)
    driven.turns(_IDLE)
    assert driven.load.ended[Ended.IDLE] == 1
    assert is_closed(client)
    with pytest.raises(BrokenPipeError):
        client.send(b"x")
        client.send(b"x")


def test_a_client_that_waits_for_the_server_is_not_idle(held: ExitStack) -> None:
    costly = Costly(cost=1e-3)
    driven = Driven(held, costly, Limits(idle=_IDLE))
    client = driven.connect()
    client.send(frame(query("x.lab.example", "A")) * 60)
    assert driven.clients.turn(0.0)
    assert len(costly.answered) < 60
    driven.turns(_IDLE)
    assert len(costly.answered) == 60
    assert driven.load.open == 1
    driven.turns(2 * _IDLE)
    assert driven.load.ended[Ended.IDLE] == 1


def test_what_was_asked_while_this_process_was_stopped_is_answered_before_anybody_is_idle(held: ExitStack) -> None:
    driven = Driven(held, responder(), Limits(idle=_IDLE))
    asks, dribbles, says_nothing = (driven.connect() for _ in range(3))
    wire = query("www.lab.example", "A")
    driven.ask(wire, asks, dribbles, says_nothing)
    asks.send(frame(wire))
    dribbles.send(frame(wire)[:-1])
    driven.turns(3 * _IDLE)
    assert driven.load.ended[Ended.IDLE] == 2
    assert asks.recv(4096) == frame(expected(wire)) * 2
    assert [is_closed(one) for one in (asks, dribbles, says_nothing)] == [False, True, True]


def test_who_took_all_that_the_kernel_had_while_this_process_was_stopped_is_not_slow(held: ExitStack) -> None:
    driven = Driven(held, responder(), Limits(idle=_IDLE))
    client, wire = driven.connect(), query("big.lab.example", "TXT")
    client.send(frame(wire) * 60)
    driven.turns()
    while select.select([client], [], [], 0.5)[0]:  # longer than a kernel waits to send the rest
        client.recv(1 << 20)
    driven.turns(100 * _IDLE)  # in which any client could have taken more
    assert driven.load.open == 1
    driven.turns(200 * _IDLE)
    assert driven.load.ended[Ended.SLOW] == 1


@pytest.mark.parametrize("is_known", [False, True])
def test_each_message_is_counted_once_however_large_its_response_is(held: ExitStack, *, is_known: bool) -> None:
    answers = responder()
    driven = Driven(held, answers, Limits())
    client, wire = driven.connect(), query("big.lab.example", "TXT")
    if is_known:
        answers.messages([wire] * 3, NOW)
    before = answers.messages_seen
    client.send(frame(wire) * 60)
    received = 0
    while received < 60 * len(frame(expected(wire))):
        driven.turns()
        with suppress(BlockingIOError):
            received += len(client.recv(1 << 20))
    assert answers.messages_seen - before == 60


class Refusing(socket.socket):
    """A listener with one connection that went wrong before it was accepted."""

    number = errno.EHOSTUNREACH

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        number, self.number = self.number, 0
        if number:
            raise OSError(number, "as accept(2) says")
        return super().accept()


def test_a_connection_that_went_wrong_before_it_was_accepted_is_passed_over(held: ExitStack) -> None:
    listener = held.enter_context(Refusing(socket.AF_INET, socket.SOCK_STREAM))
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    load = TcpLoad(Limits())
    clients = TcpClients([listener], responder(), clock, load)
    held.callback(clients.close)
    held.enter_context(socket.create_connection(listener.getsockname()))
    clients.turn(0.0)
    assert load.open == 1


class FullEpoll:
    """An epoll of a user who may watch no more descriptors, while `room` is 0."""

    room = 0

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def __getattr__(self, name: str) -> object:
        return getattr(self._epoll, name)

    def register(self, sock: socket.socket, wanted: int) -> None:
        if not FullEpoll.room:
            raise OSError(errno.ENOSPC, "as epoll_ctl(2) says")
        FullEpoll.room -= 1
        self._epoll.register(sock, wanted)


def test_where_epoll_takes_no_more_sockets_it_tries_again(held: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name: value for name, value in vars(select).items() if name.isupper() or name == "poll"}
    monkeypatch.setattr("server.net.tcp.select", SimpleNamespace(**names, epoll=FullEpoll))
    monkeypatch.setattr(FullEpoll, "room", 0)
    driven = Driven(held, responder(), Limits())
    first, wire = driven.connect(), query("www.lab.example", "A")
    driven.turns(0.0)  # not even the listener has room
    FullEpoll.room = 1
    driven.turns(1.0)
    assert driven.load.open == 0
    assert is_closed(first)
    FullEpoll.room = 9
    second = driven.connect()
    driven.turns(1.01)
    assert driven.load.open == 0  # it waits a little
    driven.turns(2.0)
    driven.ask(wire, second, now=2.0)
    assert second.recv(4096) == frame(expected(wire))


def test_what_clients_do_not_take_is_bounded_in_octets_of_all_together(held: ExitStack) -> None:
    limits = Limits(untaken=1 << 20)
    driven = Driven(held, responder(), limits)
    wire = query("big.lab.example", "TXT")
    greedy = []
    for _ in range(40):
        greedy.append(driven.connect())
        greedy[-1].send(frame(wire) * 60)
        driven.turns()
        assert driven.load.untaken <= limits.untaken
    gone = driven.load.ended[Ended.OCTETS]
    assert 0 < gone < 40
    assert not is_closed(greedy[-1])
    assert sum(map(is_closed, greedy)) == gone
    taking = driven.connect()
    driven.ask(query("www.lab.example", "A"), taking)
    assert not is_closed(taking)


def test_what_was_not_taken_is_counted_no_more_once_it_is(held: ExitStack) -> None:
    driven = Driven(held, responder(), Limits())
    slow, gone = driven.connect(), driven.connect()
    driven.ask(query("big.lab.example", "TXT"), *[slow, gone] * 8)
    assert driven.load.untaken > 0
    gone.close()
    received = 0
    while received < 8 * 25_000 and driven.load.open:
        driven.turns()
        try:
            received += len(slow.recv(1 << 16))
        except BlockingIOError:
            continue
    driven.turns()
    assert (driven.load.untaken, driven.load.open) == (0, 1)


def test_the_kernel_holds_little_of_a_connection(held: ExitStack) -> None:
    pair = bind(Address("127.0.0.1", 0))
    held.enter_context(pair.udp)
    held.enter_context(pair.tcp)
    held.enter_context(socket.create_connection((pair.address.host, pair.address.port)))
    pair.tcp.setblocking(True)
    accepted = held.enter_context(pair.tcp.accept()[0])
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        assert accepted.getsockopt(socket.SOL_SOCKET, option) <= 2 * STREAM_BUFFER


def test_listeners_share_their_places(held: ExitStack) -> None:
    pairs = [bind(Address("127.0.0.1", 0)) for _ in range(2)]
    for pair in pairs:
        held.enter_context(pair.udp)
        held.enter_context(pair.tcp)
    load = TcpLoad(Limits(connections=4))
    clients = TcpClients([pair.tcp for pair in pairs], responder(), clock, load)
    held.callback(clients.close)
    for pair in pairs * 4:
        held.enter_context(socket.create_connection((pair.address.host, pair.address.port)))
        while clients.turn(0.0):
            pass
    assert load.open <= 4


async def test_who_has_just_connected_may_ask_yet_for_a_moment(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.setblocking(False)
        sock.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_tcp, [sock], responder(), clock, TcpLoad(Limits()))
            asks, says_nothing = [await trio.open_unix_socket(tmp_path / "socket") for _ in range(2)]
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            ended = trio.current_time()
            with trio.CancelScope(shield=True):
                await trio.sleep(0.01)
                await asks.send_all(frame(query("www.lab.example", "A")))
                assert await read(asks, 1) == [expected(query("www.lab.example", "A"))]
        assert 0.01 < trio.current_time() - ended < 0.2
        async with asks, says_nothing:
            assert await says_nothing.receive_some() == b""
