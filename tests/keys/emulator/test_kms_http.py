"""HTTP on sockets that are handed in."""

from __future__ import annotations

import re
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from keys.aws.http_server import drop_connection, read_body, serve_http

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


class Nothing(Response):
    async def __call__(self, *_: object) -> None:
        await drop_connection()


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def drop(_: Request) -> Response:
    return Nothing()


async def broken(_: Request) -> Response:
    raise RuntimeError("a bug")


APP = Starlette(routes=[Route("/hello", hello), Route("/drop", drop), Route("/broken", broken)])


@pytest.fixture(params=["tcp", "tcp6", "unix"])
def sock(request: pytest.FixtureRequest, tmp_path: Path) -> socket.socket:
    if request.param == "unix":
        made = socket.socket(socket.AF_UNIX)
        made.bind(str(tmp_path / "control"))
    elif request.param == "tcp6" and socket.has_ipv6:
        made = socket.socket(socket.AF_INET6)
        made.bind(("::1", 0))
    else:
        made = socket.socket()
        made.bind(("127.0.0.1", 0))
    made.listen()
    return made


async def ask(address: Any, family: int, *paths: bytes) -> list[bytes]:
    """The answers on one connection, up to its end."""
    answers = []
    with trio.socket.socket(family) as connection:
        await connection.connect(address)
        stream = trio.SocketStream(connection)
        for path in paths:
            await stream.send_all(GET % path)
            with trio.fail_after(60):
                answers.append(await one_answer(stream))
    return answers


async def one_answer(stream: trio.SocketStream) -> bytes:
    """A response with its body, or what came before the end of the stream."""
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if end and length and len(body) >= int(length[1]):
            return received
        more = await stream.receive_some()
        if not more:
            return received
        received += more


async def test_it_serves_until_cancelled_and_says_nothing(
    sock: socket.socket, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    address, family = sock.getsockname(), sock.family
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_http, APP, sock)
        first, second = await ask(address, family, b"hello", b"hello")
        assert first.startswith(b"HTTP/1.1 200")
        assert b"hello" in second
        assert b"server:" not in first.lower()
        assert await ask(address, family, b"drop") == [b""]
        assert b"hello" in (await ask(address, family, b"hello"))[0]
        nursery.cancel_scope.cancel()
    assert sock.fileno() == -1
    with pytest.raises(OSError):
        await ask(address, family, b"hello")
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


async def test_cancelled_in_the_middle_of_requests(sock: socket.socket) -> None:
    address, family = sock.getsockname(), sock.family
    tell, begun = trio.open_memory_channel[None](3)

    async def endless(_: Request) -> Response:
        tell.send_nowait(None)
        await trio.sleep_forever()
        return PlainTextResponse("never")

    app = Starlette(routes=[Route("/endless", endless)])
    async with trio.open_nursery() as clients, trio.open_nursery() as nursery:
        await nursery.start(serve_http, app, sock)
        got: list[bytes] = []

        async def wait() -> None:
            got.extend(await ask(address, family, b"endless"))

        for _ in range(3):
            clients.start_soon(wait)
        with trio.fail_after(60):
            for _ in range(3):
                await begun.receive()
        nursery.cancel_scope.cancel()
    assert got == [b"", b"", b""]


async def test_one_request_that_fails_ends_no_other(sock: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    address, family = sock.getsockname(), sock.family
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_http, APP, sock))
        assert (await ask(address, family, b"broken"))[0].startswith(b"HTTP/1.1 500")
        connection = trio.socket.socket(family)
        await connection.connect(address)
        async with trio.SocketStream(connection) as stream:
            await stream.send_all(b"\x16\x03\x01 not HTTP\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
        assert b"hello" in (await ask(address, family, b"hello"))[0]
        nursery.cancel_scope.cancel()
    assert any("a bug" in (record.exc_text or "") for record in caplog.records)


async def test_a_body_that_trickles_ends_with_its_connection(
    sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keys.aws.http_server.BODY_WITHIN", 0.2)
    address, family, told = sock.getsockname(), sock.family, list[str]()

    async def take(request: Request) -> Response:
        try:
            return PlainTextResponse(str(await read_body(request, 100)))
        except ClientDisconnect:
            told.append("too slow")
            return Nothing()

    app = Starlette(routes=[Route("/take", take, methods=["POST"])])
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_http, app, sock)
        connection = trio.socket.socket(family)
        await connection.connect(address)
        async with trio.SocketStream(connection) as stream:
            await stream.send_all(b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na")
            with trio.fail_after(60):
                assert await stream.receive_some() == b""
        nursery.cancel_scope.cancel()
    assert told == ["too slow"]
