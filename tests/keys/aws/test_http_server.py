"""A server that ends waits for no client."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keys.aws import http_server
from keys.aws.http_server import serve_http

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 1 << 25
"""Octets, more than all buffers between two sockets."""


@asynccontextmanager
async def serving(sent: int) -> AsyncIterator[socket.socket]:
    """A client's socket, connected to a server that answers so many octets, and ends with the context."""

    async def answer(_: Request) -> Response:
        return Response(bytes(sent))

    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    address = sock.getsockname()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_http, Starlette(routes=[Route("/", answer)]), sock)
        with socket.create_connection(address) as client:
            yield client
        nursery.cancel_scope.cancel()


async def test_a_client_that_takes_no_answer_keeps_no_server_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "CLOSES_WITHIN", 0.1)
    held: list[socket.socket] = []
    async with serving(LARGE) as client:
        client.sendall(REQUEST)
        assert await trio.to_thread.run_sync(client.recv, 1)  # it is being sent
        held.append(client.dup())
    held[0].close()


async def test_what_is_being_sent_when_the_server_ends_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "CLOSES_WITHIN", 60)  # on a busy machine too
    received: list[int] = []

    async def take(client: socket.socket) -> None:
        with client:
            take_all = partial(sum, iter(lambda: len(client.recv(1 << 20)), 0))
            received.append(await trio.to_thread.run_sync(take_all))

    async with trio.open_nursery() as nursery, serving(LARGE) as client:
        client.sendall(REQUEST)
        assert await trio.to_thread.run_sync(client.recv, 1)
        nursery.start_soon(take, client.dup())
    assert received[0] >= LARGE
