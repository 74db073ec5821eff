"""DNS over TCP: pipelined queries, an idle time-out, a bound on connections (RFC 7766)."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import structlog
import trio

from server.framing import Deframer, frame
from server.hot import Responder

_READ = 16 << 10  # octets taken at once
_RESPONSES_A_WRITE = 64  # so that a client that pipelines thousands of queries makes us hold few responses
_OUT_OF_SOCKETS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_log = structlog.get_logger("signwright.tcp")


class Limits(NamedTuple):
    """What one process grants its TCP clients."""

    connections: int = 1000
    """Open at once; one more waits in the kernel's queue until another has ended."""
    idle: float = 10.0
    """Seconds without a whole query, or without the client taking its responses, after which a connection ends."""


async def serve_tcp(sock: socket.socket, responder: Responder, clock: Callable[[], float], limits: Limits) -> NoReturn:
    """Answer connections to `sock`, a listening non-blocking TCP socket, until cancelled."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    places = trio.CapacityLimiter(limits.connections)
    async with trio.open_nursery() as nursery:
        while True:
            # The place is taken on behalf of a connection that is yet to come, and given back by its task.
            place = object()
            await places.acquire_on_behalf_of(place)
            try:
                stream = await listener.accept()
            except OSError as error:
                places.release_on_behalf_of(place)
                if error.errno not in _OUT_OF_SOCKETS:
                    raise
                _log.warning("cannot accept a TCP connection", error=str(error))
                await trio.sleep(0.1)
                continue
            except BaseException:
                places.release_on_behalf_of(place)
                raise
            nursery.start_soon(_connection, stream, responder, clock, limits.idle, places, place)
    raise AssertionError("unreachable")


async def _connection(
    stream: trio.SocketStream,
    responder: Responder,
    clock: Callable[[], float],
    idle: float,
    places: trio.CapacityLimiter,
    place: object,
) -> None:
    try:
        # Ends when the client does, and abandons one that does nothing: cancelling is how the idle time-out acts.
        async with stream:
            with trio.CancelScope() as scope:
                await _converse(stream, responder, clock, idle, scope)
    except (trio.BrokenResourceError, OSError):
        pass  # the client is gone
    finally:
        places.release_on_behalf_of(place)


async def _converse(
    stream: trio.SocketStream,
    responder: Responder,
    clock: Callable[[], float],
    idle: float,
    scope: trio.CancelScope,
) -> None:
    deframer = Deframer()
    scope.deadline = trio.current_time() + idle
    while octets := await stream.receive_some(_READ):
        messages = deframer.feed(octets)
        for start in range(0, len(messages), _RESPONSES_A_WRITE):
            answered = responder.messages(messages[start : start + _RESPONSES_A_WRITE], int(clock()))
            written = b"".join(frame(response) for response in answered if response is not None)
            # Only a whole query counts as activity: a client that dribbles octets is idle.
            scope.deadline = trio.current_time() + idle
            await stream.send_all(written)
            if None in answered:
                return  # no DNS client sends what deserves silence (RFC 7766 §6.2.4: close)
            scope.deadline = trio.current_time() + idle
