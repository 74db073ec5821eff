"""HTTP/1.1 on a socket that is already bound and listening: a Starlette application on Hypercorn's trio worker.

Sockets are handed in, so that the caller decides their addresses, modes and inheritance, and knows that they are bound
before it says so. Hypercorn speaks the protocol on each connection; trio accepts them, so that a cancelled server
leaves no socket open and no line on stderr.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

KEEP_ALIVE = 60.0
"""Seconds for which a connection may be idle between requests."""
BODY_WITHIN = 60.0
"""Seconds in which the body of a request must be here."""

CLOSES_WITHIN = 2.0
"""Seconds in which clients can take what is being sent when the server ends; then their connections are closed."""

_log = logging.getLogger("signwright.http")
_connection: ContextVar[trio.SocketStream] = ContextVar("connection")


async def serve_http(
    app: ASGIApp,
    sock: socket.socket,
    *,
    tls: ssl.SSLContext | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on `sock` (TCP or Unix, bound and listening, owned and closed by this function) until cancelled.

    With `tls` each connection is encrypted, and one that fails to become so is closed. Lifespan events are not sent:
    what an application needs is opened by whoever composes it.
    """
    config = Config()
    config.errorlog = _log
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE
    context = WorkerContext(None)
    wrapped = ASGIWrapper(app)  # type: ignore[arg-type]  # Starlette's and Hypercorn's types for the same protocol

    connections = _Connections()

    async def serve_connection(stream: trio.SocketStream) -> None:
        _connection.set(stream)
        # Hypercorn shakes hands by itself on a stream that can.
        carried = stream if tls is None else trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        with connections.holding(stream):
            try:
                await TCPServer(wrapped, config, context, ConnectionState({}), carried)  # type: ignore[arg-type]
            except Exception:
                # What one client provokes must not end the server for all the others.
                _log.exception("a connection ended on an error")

    with sock:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connections.close_at_the_end)
            await nursery.start(trio.serve_listeners, serve_connection, [listener])
            task_status.started()


class _Connections:
    """Those that are open: Hypercorn lets nothing cut short what it sends, and a client may never take it."""

    def __init__(self) -> None:
        self._streams: set[trio.SocketStream] = set()
        self._none_left = trio.Event()

    @contextmanager
    def holding(self, stream: trio.SocketStream) -> Iterator[None]:
        self._streams.add(stream)
        try:
            yield
        finally:
            self._streams.remove(stream)
            if not self._streams:
                self._none_left.set()
                self._none_left = trio.Event()

    async def close_at_the_end(self) -> None:
        """Once cancelled, wait for a while until they have ended, and close the others."""
        try:
            await trio.sleep_forever()
        finally:
            if self._streams:
                with trio.move_on_after(CLOSES_WITHIN, shield=True):
                    await self._none_left.wait()
            for stream in self._streams:
                stream.socket.close()


async def drop_connection() -> None:
    """Close the connection of the request being handled, without another byte; the handler should then return."""
    await trio.aclose_forcefully(_connection.get())


class Dropped(Response):
    """The answer of a server that has gone: the connection is closed without a byte."""

    async def __call__(self, *_: object) -> None:
        """Close the connection of the request being handled."""
        await drop_connection()


async def read_body(request: Request, maximum: int) -> bytes | None:
    """The body of a request, `None` where it has more octets than `maximum`.

    Raises `ClientDisconnect`, also where it is not here within `BODY_WITHIN`: nobody whose signature is yet to be
    looked at holds a connection for ever.
    """
    body = bytearray()
    try:
        with trio.fail_after(BODY_WITHIN):
            async with aclosing(request.stream()) as parts:
                async for part in parts:
                    body += part
                    if len(body) > maximum:
                        return None
    except trio.TooSlowError:
        raise ClientDisconnect from None
    return bytes(body)
