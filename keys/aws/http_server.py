"""HTTP/1.1 on a socket that is already bound and listening: an ASGI application, and connections that are bounded.

Sockets are handed in, so that the caller decides their addresses, modes and inheritance, and knows that they are bound
before it says so. h11 reads and writes HTTP (`http_connection`), trio moves the octets, and `http_limits` says what
clients may take. Whatever one of them sends is a line of log at most, and the end of its connection.
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from contextlib import aclosing
from contextvars import ContextVar
from typing import NoReturn

import trio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from keys.aws.http_connection import HttpConnection
from keys.aws.http_connections import Connections, Held
from keys.aws.http_limits import BODY_WITHIN, Limits, Turns, client_of
from keys.aws.limited_log import LimitedLog

CLOSES_WITHIN = 2.0
"""Seconds in which clients who have signed can take what is being sent when the server ends. Strangers have none: there
are several listeners, which end one after the other.
"""
FULL_PAUSE = 0.002
"""Seconds after a connection for which another was closed: a client with thousands waits in the kernel's queue."""
EXHAUSTED_PAUSE = 0.1
"""Seconds until it is tried again to accept, such as where the system has no descriptors or memory."""
_BROKEN = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}
"""What `accept` says of a socket that accepts nothing any more. All else passes: Linux tells here also what befell the
network of a connection that was never taken (accept(2)).
"""

_log = logging.getLogger("signwright.http")
_connection: ContextVar[HttpConnection] = ContextVar("connection")


async def serve_http(
    app: ASGIApp,
    sock: socket.socket,
    *,
    tls: ssl.SSLContext | None = None,
    limits: Limits = Limits(),  # noqa: B008 - a tuple
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on `sock` (TCP or Unix, bound and listening, owned and closed by this function) until cancelled.

    With `tls` each connection is encrypted, and one that fails to become so is closed. Lifespan events are not sent:
    the caller opens what the application needs.
    """
    with sock:
        listener = _Listener(app, trio.SocketListener(trio.socket.from_stdlib_socket(sock)), tls, limits)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.connections.close_at_the_end, CLOSES_WITHIN)
            task_status.started()
            await listener.accept(nursery)


class _Listener:
    """A socket that listens, and what its connections share."""

    def __init__(self, app: ASGIApp, listener: trio.SocketListener, tls: ssl.SSLContext | None, limits: Limits) -> None:
        self._app = app
        self._listener = listener
        self._tls = tls
        self._limits = limits
        self._log = LimitedLog(_log, trio.current_time)
        self._turns = Turns()
        self.connections = Connections(limits, self._log)

    async def accept(self, nursery: trio.Nursery) -> NoReturn:
        """Take connections as they come, one in each pass of trio's loop."""
        while True:
            try:
                stream = await self._listener.accept()
            except OSError as error:
                if error.errno in _BROKEN:
                    raise
                self._log.note("cannot accept HTTP connections", error.strerror or "")
                await trio.sleep(EXHAUSTED_PAUSE)
                continue
            try:
                client = client_of(stream.socket.getpeername())
            except OSError:  # it is gone already
                stream.socket.close()
                continue
            full = self.connections.is_full
            if self.connections.make_room(client):
                held = Held(stream.socket, client, known=self._limits.trusted)
                self.connections.add(held)
                nursery.start_soon(self._serve, stream, held)
            else:
                stream.socket.close()
            if full:
                await trio.sleep(FULL_PAUSE)

    async def _serve(self, stream: trio.SocketStream, held: Held) -> None:
        carried = (
            stream if self._tls is None else trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        )
        connection = HttpConnection(carried, held, self._app, self._limits, self.connections, self._turns, self._log)
        _connection.set(connection)
        try:
            await connection.serve()
        except Exception:
            # What one client provokes must not end the server for all the others.
            self._log.note("HTTP request failed", with_traceback=True)
        finally:
            self.connections.remove(held)
            # Not `aclose`, which would wait for a client to take the end of TLS.
            await trio.aclose_forcefully(carried)


def know_client() -> None:
    """The request being handled was signed as it must be: later ones of its connection do not wait for strangers."""
    _connection.get().know_client()


async def next_turn() -> None:
    """Let queries and other requests be answered before the request being handled goes on."""
    await _connection.get().next_turn()


async def drop_connection() -> None:
    """Close the connection of the request being handled, without another byte; the handler should then return."""
    await _connection.get().drop()


class Dropped(Response):
    """The answer of a server that has gone: the connection is closed without a byte."""

    async def __call__(self, *_: object) -> None:
        """Close the connection of the request being handled."""
        await drop_connection()


async def read_body(request: Request, maximum: int) -> bytes | None:
    """The body of a request, `None` where it has more octets than `maximum`, which it says itself, or sends.

    Raises `ClientDisconnect`, also where it is not here within `BODY_WITHIN`: nobody whose signature is yet to be
    looked at holds a connection for ever.
    """
    if int(request.headers.get("content-length", "0")) > maximum:  # h11 has read it as a number
        return None
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
    await next_turn()
    return bytes(body)
