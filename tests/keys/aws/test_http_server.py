"""What clients may take of an HTTP listener, and that a server that ends waits for none of them."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from trio.testing import MockClock

from keys.aws import http_server
from keys.aws.http_limits import (
    BODY_WITHIN,
    HEAD_WITHIN,
    KEEP_ALIVE,
    LINGER,
    LONGEST_HEAD,
    SLOWEST,
    TAKEN_WITHIN,
    Limits,
    Turns,
    may_be_called,
)
from keys.aws.http_server import Dropped, know_client, read_body, serve_http

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
KNOWN = b"GET / HTTP/1.1\r\nHost: x\r\nKnown: 1\r\n\r\n"
LIMITS = Limits()
LARGE = 1 << 25
"""Octets, more than all buffers between two sockets."""
LONGEST_BODY = 1 << 20


class Server:
    """An application that knows clients who say so, and reads bodies when asked to."""

    def __init__(self, sent: int) -> None:
        self.answer = bytes(sent)
        self.bodies: list[int] = []
        self.port = 0

    async def handle(self, request: Request) -> Response:
        if "known" in request.headers:
            know_client()
        if request.method == "POST":
            try:
                body = await read_body(request, LONGEST_BODY)
            except ClientDisconnect:
                return Dropped()
            self.bodies.append(-1 if body is None else len(body))
        return Response(self.answer)

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def serving(sent: int = 2, limits: Limits = LIMITS) -> AsyncIterator[Server]:
    """A server that answers so many octets, and ends with the context."""
    server = Server(sent)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    server.port = sock.getsockname()[1]

    async def refuse(_: Request) -> Response:
        return Response(status_code=403)

    async def fail(_: Request) -> Response:
        raise OSError(errno.ENOSPC, "No space left on device")

    app = Starlette(
        routes=[
            Route("/", server.handle, methods=["GET", "POST"]),
            Route("/refused", refuse, methods=["GET", "POST"]),
            Route("/broken", fail),
        ]
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_http, app, sock, limits=limits))
        yield server
        nursery.cancel_scope.cancel()


async def received(stream: trio.SocketStream) -> bytes:
    """All until the end."""
    with trio.fail_after(3600):
        return b"".join([part async for part in stream])


async def status(stream: trio.SocketStream, sent: bytes) -> bytes:
    """The status of the answer to `sent`."""
    await stream.send_all(sent)
    with trio.fail_after(3600):
        return (await stream.receive_some(4096))[9:12]


@pytest.mark.parametrize("known", [False, True])
async def test_a_client_that_takes_no_answer_keeps_no_server_from_its_end(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "CLOSES_WITHIN", 0.1 if known else 3600)
    held: list[socket.socket] = []
    async with serving(LARGE) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(KNOWN if known else REQUEST)
        assert await trio.to_thread.run_sync(client.recv, 1)  # it is being sent
        held.append(client)
    held[0].close()


async def test_what_is_being_sent_when_the_server_ends_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "CLOSES_WITHIN", 60)  # on a busy machine too
    taken: list[int] = []

    async def take(client: socket.socket) -> None:
        with client:
            take_all = partial(sum, iter(lambda: len(client.recv(1 << 20)), 0))
            taken.append(await trio.to_thread.run_sync(take_all))

    async with trio.open_nursery() as nursery, serving(LARGE) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(KNOWN)
        assert await trio.to_thread.run_sync(client.recv, 1)
        nursery.start_soon(take, client)
    assert taken[0] >= LARGE


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),  # HTTP/2 by prior knowledge
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", b"200"),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
            b"200",
        ),
        (b"nonsense\r\n\r\n", b"400"),
        (b"\n\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\na:" + b" " * 12000 + b"\x00\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\na: b\rc\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 100 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"b" * LONGEST_HEAD, b"431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"200"),
        (b"GET / HTTP/1.0\r\n\r\n", b"200"),
        (b"GET http://elsewhere/none HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    ],
)
async def test_what_is_no_request_here_is_a_line_of_log(
    sent: bytes, answered: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as server, await server.connect() as client:
        assert await status(client, sent) == answered
    refused = answered[:1] != b"2" and answered != b"404"
    assert len(caplog.records) == refused
    assert len(caplog.text) < 300
    assert not any(record.exc_info for record in caplog.records)


async def test_a_stranger_fills_no_log(caplog: pytest.LogCaptureFixture, autojump_clock: MockClock) -> None:
    async with serving() as server:
        for pause in (0, 60):
            await trio.sleep(pause)
            for _ in range(30):
                async with await server.connect() as client:
                    assert await status(client, b"\0\r\n\r\n") == b"400"
    assert len(caplog.records) == 20
    assert [record.getMessage() for record in caplog.records if "20 more" in record.getMessage()]


async def test_requests_that_come_together_are_answered_one_after_the_other() -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    async with serving() as server, await server.connect() as client:
        await client.send_all((REQUEST + post) * 3 + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = await received(client)
    assert answers.count(b"HTTP/1.1 200") == 7
    assert server.bodies == [3, 3, 3]


async def test_what_a_refused_request_still_sends_is_read_and_the_next_one_answered() -> None:
    body = b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + bytes(200000)
    async with serving() as server, await server.connect() as client:
        assert await status(client, body) == b"403"
        assert await status(client, REQUEST) == b"200"


async def test_a_body_is_asked_for_only_when_it_is_wanted(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.02
    head = b" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    async with serving() as server:
        async with await server.connect() as client:
            assert await status(client, b"POST /" + head) == b"100"
            assert await status(client, b"abc") == b"200"
        async with await server.connect() as client:
            assert await status(client, b"POST /refused" + head) == b"403"
            assert not await received(client)


@pytest.mark.parametrize("headers", [b"Expect: 100-continue\r\nContent-Length: 27\r\n", b"Content-Length: 300000\r\n"])
async def test_a_client_is_told_that_its_body_is_not_read_and_what_it_sends_next_is_taken_for_none(
    headers: bytes, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.02
    async with serving() as server, await server.connect() as client:
        await client.send_all(b"POST /refused HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        answer = await client.receive_some(4096)
        assert answer[9:12] == b"403"
        assert b"\r\nconnection: close\r\n" in answer
        await client.send_all(REQUEST + REQUEST)
        assert not await received(client)


async def test_empty_lines_before_a_request_are_passed_over() -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\r\n"
    async with serving() as server, await server.connect() as client:
        await client.send_all(b"\r\n" + post + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await received(client)).count(b"HTTP/1.1 200") == 2


async def test_a_url_as_a_target_is_understood() -> None:
    limits = Limits(hosts=frozenset({"x"}))
    url = b"GET HTTP://%s HTTP/1.1\r\nHost: %s\r\n\r\n"
    async with serving(limits=limits) as server, await server.connect() as client:
        assert await status(client, url % (b"x", b"elsewhere")) == b"200"
        assert await status(client, url % (b"x:80/", b"x")) == b"200"
        assert await status(client, url % (b"x/none", b"x")) == b"404"
        assert await status(client, url % (b"elsewhere/", b"x")) == b"421"


async def test_what_the_application_fails_with_is_told_also_where_it_is_of_the_system(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as server, await server.connect() as client:
        assert await status(client, b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n") == b"500"
        assert not await received(client)
    assert "HTTP request failed" in caplog.text
    assert "No space left" in caplog.text


async def test_what_befell_a_connection_that_was_not_taken_ends_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EMFILE]
    accept = trio.SocketListener.accept

    async def failing(listener: trio.SocketListener) -> trio.SocketStream:
        if failures:
            raise OSError(failures.pop(), "failed")
        return await accept(listener)

    monkeypatch.setattr(trio.SocketListener, "accept", failing)
    async with serving() as server, await server.connect() as client:
        assert await status(client, REQUEST) == b"200"
    assert not failures


@pytest.mark.parametrize(
    ("sent", "seconds", "answered"),
    [
        (b"", HEAD_WITHIN, b""),
        (b"GET / HT", HEAD_WITHIN, b"408"),
        (REQUEST, KEEP_ALIVE, b"200"),
        (REQUEST + b"GET", HEAD_WITHIN, b"200"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", BODY_WITHIN, b""),
    ],
)
async def test_who_sends_nothing_more_is_not_waited_for(
    sent: bytes, seconds: float, answered: bytes, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.02  # what is on its way arrives first
    async with serving() as server, await server.connect() as client:
        began = trio.current_time()
        await client.send_all(sent)
        assert (await received(client))[9:12] == answered
        assert seconds <= trio.current_time() - began <= seconds + LINGER + 1


async def test_empty_lines_that_drip_are_no_way_to_stay(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.02
    async with serving() as server, await server.connect() as client:
        assert await status(client, REQUEST) == b"200"
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            while trio.current_time() < began + 10 * KEEP_ALIVE:
                await client.send_all(b"\r" if trio.current_time() == began else b"\n\r")
                await trio.sleep(HEAD_WITHIN - 1)
        assert trio.current_time() - began <= 3 * HEAD_WITHIN


async def test_an_answer_that_is_not_taken_is_given_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    autojump_clock.autojump_threshold = 0.02
    async with serving(LARGE) as server, await server.connect() as client:
        await client.send_all(REQUEST)
        await trio.sleep(TAKEN_WITHIN + LARGE / SLOWEST + 1)
        with pytest.raises(trio.BrokenResourceError):
            while await client.receive_some(1 << 20):
                pass
            raise trio.BrokenResourceError  # all that was in the buffers, and then the end
    assert len(caplog.records) == 1
    assert "the client did not read the response in time" in caplog.text


async def test_idle_connections_make_room_for_new_ones() -> None:
    limits = Limits(connections=4)
    async with serving(limits=limits) as server:
        known = await server.connect()
        assert await status(known, KNOWN) == b"200"
        idle = [await server.connect() for _ in range(20)]
        for _ in range(3):
            async with await server.connect() as client:
                assert await status(client, REQUEST) == b"200"
        assert await status(known, REQUEST) == b"200"
        for stream in (known, *idle):
            await stream.aclose()


async def test_strangers_with_many_addresses_close_nothing_of_who_is_known() -> None:
    async with serving(limits=Limits(connections=4)) as server:
        known = [await server.connect() for _ in range(2)]
        for stream in known:
            assert await status(stream, KNOWN) == b"200"
        strangers = []
        for number in range(1, 9):  # each has one, and one of those before goes for it
            sock = trio.socket.socket()
            await sock.bind((f"127.0.1.{number}", 0))
            await sock.connect(("127.0.0.1", server.port))
            strangers.append(trio.SocketStream(sock))
            assert await status(strangers[-1], REQUEST) == b"200"
        for stream in known:
            assert await status(stream, REQUEST) == b"200"
        for stream in (*known, *strangers):
            await stream.aclose()


async def test_bodies_are_bounded_over_all_connections() -> None:
    limits = Limits(bodies=3 * LONGEST_BODY)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % LONGEST_BODY
    async with serving(limits=limits) as server:
        idle = [await server.connect() for _ in range(8)]
        for stream in idle:
            await stream.send_all(head + bytes(LONGEST_BODY - 1))
        async with await server.connect() as client:
            assert await status(client, head + bytes(LONGEST_BODY)) == b"200"
        ended = 0
        for stream in idle:
            with trio.move_on_after(0.05) as waited:
                try:
                    ended += not await stream.receive_some(1)
                except trio.BrokenResourceError:
                    ended += 1
            await stream.aclose()
            assert waited
        assert server.bodies == [LONGEST_BODY]
        assert ended >= 5


async def test_what_is_not_allowed_to_be_called_is_misdirected() -> None:
    limits = Limits(hosts=frozenset({"ns1.example"}))
    signed = b"Authorization: AWS4-HMAC-SHA256 x\r\n"
    async with serving(limits=limits) as server:
        for host, more, answered in (
            (b"127.0.0.1:53", b"", b"200"),
            (b"NS1.example.:80", b"", b"200"),
            (b"attacker.example", b"", b"421"),
            (b"attacker.example", signed, b"200"),
        ):
            async with await server.connect() as client:
                asked = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n" + more + b"\r\n"
                assert await status(client, asked) == answered
    async with serving(limits=limits._replace(signed=False)) as server, await server.connect() as client:
        assert await status(client, b"GET / HTTP/1.1\r\nHost: a.example\r\n" + signed + b"\r\n") == b"421"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("LOCALHOST.:9153", True),
        ("127.0.0.1", True),
        ("127.0.0.1:9153", True),
        ("[::1]", True),
        ("[::1]:9153", True),
        ("ns1.example:9153", True),
        ("", False),
        ("::1", False),
        ("[127.0.0.1]", False),
        ("[::1]x", False),
        ("[::1", False),
        ("127.0.0.1:80x", False),
        ("localhost.attacker.example", False),
        ("127.0.0.1.attacker.example", False),
    ],
)
def test_hosts(host: str, allowed: bool) -> None:
    assert may_be_called(host, frozenset({"ns1.example"})) is allowed


async def test_strangers_take_turns_in_which_others_are_answered(autojump_clock: MockClock) -> None:
    turns = Turns()
    order: list[str] = []

    async def stranger() -> None:
        await turns.wait_as_stranger()
        order.append("stranger")

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(stranger)
        await trio.sleep(0.02)
        await turns.wait()
        order.append("known")
    assert 2 < order.index("known") < 10
