"""DNS over TCP: pipelined queries, an idle time-out, a bound on connections (RFC 7766).

One task serves all connections: they wait in a selector of their own, and the task waits until that has something to
tell. So a connection costs neither a task nor a trip through the scheduler, only waiting for all of them at once does.
What that brings (CPU µs, one core, CPython 3.11): a connection for one query 24, where a task for each took 97; a query
among many on one connection 1.0, where it took 1.7.
"""

from __future__ import annotations

import errno
import fcntl
import math
import selectors
import socket
import sys
import termios
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import structlog
import trio

from server.net.tcp_framing import Deframer, frame
from server.query.fast.responder import Responder

_READ = 4 << 10  # octets taken at once
_RESPONSES_A_WRITE = 64  # so that a client that pipelines thousands of queries makes us hold few responses
_ACCEPTED_AT_ONCE = 16
_SERVED_AT_ONCE = 16  # connections
_ROUNDS_A_TURN = 8  # before other tasks have theirs, after 3 ms where each connection asks once
_PAUSE = 0.1  # seconds without accepting, where there are no sockets left
_SLOWEST = 2000
"""Octets a second that a client must take of its responses, to the end of the wire: one that takes an octet now and
then must not hold a connection for ever."""
_OUT_OF_SOCKETS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GONE_BEFORE_ACCEPTED = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)
_READABLE, _WRITABLE = selectors.EVENT_READ, selectors.EVENT_WRITE
_log = structlog.get_logger("signwright.tcp")


class Limits(NamedTuple):
    """What one process grants its TCP clients."""

    connections: int = 1000
    """Open at once; one more waits in the kernel's queue until another has ended."""
    idle: float = 10.0
    """Seconds without a whole query, or in which the client takes next to nothing of its responses (`_SLOWEST`), after
    which a connection ends."""


async def serve_tcp(sock: socket.socket, responder: Responder, clock: Callable[[], float], limits: Limits) -> NoReturn:
    """Answer connections to `sock`, a listening non-blocking stream socket, until cancelled."""
    connections = _Connections(sock, responder, clock, limits)
    try:
        while True:
            with trio.CancelScope(deadline=connections.next_deadline()):
                await trio.lowlevel.wait_readable(connections.fileno())  # lets others run, even where it need not wait
            for _ in range(_ROUNDS_A_TURN):
                if not connections.serve(trio.current_time()):
                    break
    finally:
        connections.close()


class _Connection:
    """One client: what came of a query so far, what is not yet answered, and what it has not yet taken."""

    __slots__ = ("deframer", "ending", "left", "queries", "sock", "unsent", "watched")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deframer = Deframer()
        self.queries: list[bytes] = []
        self.unsent = memoryview(b"")
        self.left = 0
        """Octets that the client had yet to take of `unsent` and of what the kernel holds, when its time began."""
        self.ending = False
        """Whether it ends once its responses are taken."""
        self.watched = 0
        """What the selector waits for."""


class _Connections:
    """All clients of one listening socket."""

    def __init__(
        self, listener: socket.socket, responder: Responder, clock: Callable[[], float], limits: Limits
    ) -> None:
        self._listener = listener
        self._responder = responder
        self._clock = clock
        self._limits = limits
        self._selector = selectors.DefaultSelector()
        self._deadlines: OrderedDict[_Connection, float] = OrderedDict()
        """When each ends unless it does something: in order, since all are granted the same time."""
        self._ready: list[tuple[selectors.SelectorKey, int]] = []
        """What the selector told and is not yet done."""
        self._accepting = False
        self._paused_until = -math.inf
        self._accept_again()

    def fileno(self) -> int:
        """Readable when `serve` has something to do."""
        return self._selector.fileno()

    def next_deadline(self) -> float:
        """When `serve` has something to do in any case, by trio's clock."""
        if self._ready:
            return -math.inf
        oldest = next(iter(self._deadlines.values()), math.inf)
        return oldest if self._accepting or self._is_full() else min(oldest, self._paused_until)

    def serve(self, now: float) -> bool:
        """Do a part of what can be done at once; whether there was anything."""
        if not self._ready:
            while self._deadlines and next(iter(self._deadlines.values())) <= now:
                self._look_at_idle(next(iter(self._deadlines)), now)
            if not self._accepting and not self._is_full() and now >= self._paused_until:
                self._accept_again()
            self._ready = self._selector.select(0)
        ready = self._ready[:_SERVED_AT_ONCE]
        del self._ready[:_SERVED_AT_ONCE]
        for key, _ in ready:
            if key.data is None:
                self._accept(now)
            else:
                self._proceed(key.data, now)
        return bool(ready)

    def close(self) -> None:
        """End all connections."""
        for connection in self._deadlines:
            connection.sock.close()
        self._deadlines.clear()
        self._selector.close()

    def _is_full(self) -> bool:
        return len(self._deadlines) >= self._limits.connections

    def _accept_again(self) -> None:
        self._selector.register(self._listener, _READABLE)
        self._accepting = True

    def _accept_no_more(self) -> None:
        self._selector.unregister(self._listener)
        self._accepting = False

    def _accept(self, now: float) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if self._is_full():
                self._accept_no_more()
                return
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _GONE_BEFORE_ACCEPTED:
                    continue
                if error.errno not in _OUT_OF_SOCKETS:
                    raise
                _log.warning("cannot accept a TCP connection", error=str(error))
                self._accept_no_more()
                self._paused_until = now + _PAUSE
                return
            sock.setblocking(False)
            connection = _Connection(sock)
            self._deadlines[connection] = now + self._limits.idle
            self._proceed(connection, now)  # most clients send their query as soon as they are connected

    def _proceed(self, connection: _Connection, now: float) -> None:
        try:
            stands = self._converse(connection, now)
        except BlockingIOError:
            stands = True
        except OSError:
            stands = False  # the client is gone
        if not stands:
            self._end(connection)
            return
        wanted = _WRITABLE if connection.unsent else _READABLE
        if connection.watched != wanted:
            change = self._selector.modify if connection.watched else self._selector.register
            change(connection.sock, wanted, connection)
            connection.watched = wanted

    def _converse(self, connection: _Connection, now: float) -> bool:
        """Write what is due, then read, and answer; whether it stands. Raises `OSError`, also where it would wait."""
        if connection.unsent:
            self._write(connection, connection.unsent, now)
        elif octets := connection.sock.recv(_READ):
            connection.queries += connection.deframer.feed(octets)
        else:
            return False
        while connection.queries and not connection.unsent:
            batch = connection.queries[:_RESPONSES_A_WRITE]
            del connection.queries[:_RESPONSES_A_WRITE]
            answered = self._responder.messages(batch, int(self._clock()))
            if None in answered:
                connection.ending = True  # no DNS client sends what deserves silence (RFC 7766 §6.2.4: close)
                connection.queries.clear()
            # Only a whole query counts as activity: a client that dribbles octets is idle.
            self._renew(connection, now)
            self._write(connection, b"".join([frame(response) for response in answered if response is not None]), now)
        return bool(connection.unsent) or not connection.ending

    def _write(self, connection: _Connection, octets: bytes | memoryview, now: float) -> None:
        try:
            sent = connection.sock.send(octets)
        except BlockingIOError:
            sent = 0
        if sent == len(octets):
            connection.unsent = memoryview(b"")
            self._renew(connection, now)
        else:
            is_first = not connection.unsent
            connection.unsent = memoryview(octets)[sent:]
            if is_first:  # its time has just begun
                connection.left = _left(connection)

    def _renew(self, connection: _Connection, now: float) -> None:
        self._deadlines[connection] = now + self._limits.idle
        self._deadlines.move_to_end(connection)

    def _look_at_idle(self, connection: _Connection, now: float) -> None:
        """End a connection whose time is over, unless the client has taken its responses all the while."""
        if connection.unsent:
            left = _left(connection)
            if connection.left - left >= _SLOWEST * self._limits.idle:
                connection.left = left
                self._renew(connection, now)
                return
        self._end(connection)

    def _end(self, connection: _Connection) -> None:
        if connection.watched:
            self._selector.unregister(connection.sock)
        connection.sock.close()
        del self._deadlines[connection]


def _left(connection: _Connection) -> int:
    """Octets that the client has yet to take, those that the kernel holds among them.

    When the kernel takes more says little: its buffers may hold what a slow client reads in a minute.
    """
    queued = bytearray(4)
    try:
        fcntl.ioctl(connection.sock, termios.TIOCOUTQ, queued)
    except OSError:  # no such socket
        return len(connection.unsent)
    return len(connection.unsent) + int.from_bytes(queued, sys.byteorder)
