"""DNS over TCP: pipelined queries, on a bounded number of connections (RFC 7766).

One task serves all connections of all listeners: they wait in an epoll of their own, and the task waits until that has
something to tell. So a connection costs neither a task nor a trip through the scheduler, only waiting for all of them
at once does. What that brings (CPU µs, one core, CPython 3.11): a connection for one query 24, where a task for each
took 97; a query among many on one connection 1.0, where it took 1.7.

What clients may cost, so that they starve nobody else:

- Time. The task gives way after half a millisecond where UDP waits, and each connection to the next one after a fifth
  of that: so a datagram waits for half a millisecond, and a connection for one spell of each other. Where nothing came
  by UDP, a turn may take 3 ms, since a trip through the scheduler takes as long as 50 queries.
- Places. `server.net.tcp_places` says who goes for a new client, `server.net.tcp_load` how long one may be idle.
- Memory. What a client sends is read 4 KiB at a time, and not before all that came earlier is answered and taken. It is
  answered 32 KiB at a time (or one response), and not before the kernel has taken what went before. All that clients
  don't take together is bounded: beyond that, the one that has waited for longest goes. What the kernel may hold of a
  connection is set at the listener (`server.net.listen`).
"""

from __future__ import annotations

import errno
import fcntl
import math
import select
import socket
import struct
import sys
import termios
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog
import trio

from server.net.listen import STREAM_BUFFER
from server.net.mmsg import QUERY_LIMIT
from server.net.tcp_framing import Deframer
from server.net.tcp_load import Ended, TcpLoad
from server.net.tcp_places import Places, packed, prefix_of
from server.query.fast.responder import Responder
from server.query.read_query import ID_SIZE

_TURN = 0.0004  # seconds; after that no connection has a spell before UDP had its turn, where anything came by it
_LONGEST_TURN = 0.003  # seconds; after that no connection has one before all other tasks had their turn
_SPELL = 0.0001  # seconds; after that a connection has no further query answered that costs much
_READ = 4 << 10  # octets taken at once
_QUERIES_AT_ONCE = 64
_OCTETS_AT_ONCE = 32 << 10  # of responses; the one that passes them is the last
_EVENTS_AT_ONCE = 64  # the kernel tells of the others next time
_ACCEPTED_AT_ONCE = 16
_GO_FOR_ONE = 2  # connections at most, so that a prefix with more than its share comes down to it
_PAUSE = 0.1  # seconds without accepting, where there are no sockets left
_LAST_QUERIES = 0.1  # seconds at the end for the first query of those who have just connected
_TELL_AGAIN = 60.0  # seconds between two lines of the log about that
_SLOWEST = 2000
"""Octets a second that a client must take of its responses, to the end of the wire: one that takes an octet now and
then must not hold a connection for ever."""
_OUT_OF_SOCKETS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC)
"""ENOSPC is what epoll says where a user watches as many descriptors as one may (fs.epoll.max_user_watches)."""
_GONE_BEFORE_ACCEPTED = (
    errno.ECONNABORTED, errno.EPROTO, errno.EPERM,
    # What became of that one connection, by accept(2) of Linux.
    errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH,
    errno.ETIMEDOUT,
)  # fmt: skip
_NOTHING = memoryview(b"")
_RESET = struct.pack("ii", 1, 0)
_log = structlog.get_logger("signwright.tcp")


Seen = Callable[[Sequence[bytes], Sequence[bytes | None], bytes | None], None]
"""Sees messages, the responses to them without their IDs, and the address of their client."""


async def serve_tcp(
    socks: Sequence[socket.socket],
    responder: Responder,
    clock: Callable[[], float],
    load: TcpLoad,
    datagrams: Sequence[socket.socket] = (),
    seen: Seen | None = None,
) -> NoReturn:
    """Answer connections to `socks`, listening non-blocking stream sockets, until cancelled; then what they have asked.

    `clock` gives seconds since the epoch. The limits of `load` are those of all of them together. What comes to the
    sockets `datagrams`, which another task serves, is not kept waiting. `seen` sees all that is answered.
    """
    clients = TcpClients(socks, responder, clock, load, datagrams, seen=seen)
    try:
        while True:
            if clients.turn(trio.current_time()):
                await trio.lowlevel.checkpoint()
                continue
            try:
                with trio.CancelScope(deadline=clients.next_deadline()):
                    await trio.lowlevel.wait_readable(clients.fileno())  # lets others run, even where it need not wait
            except OSError as error:
                if error.errno not in _OUT_OF_SOCKETS:
                    raise
                await trio.sleep(_PAUSE)  # trio has an epoll of its own
    except trio.Cancelled:
        await _finish(clients)
        raise
    finally:
        clients.close()


async def _finish(clients: TcpClients) -> None:
    """Answer what has been asked, and what those are about to ask who have just connected; accept nobody any more.

    Who connects from now on waits in the listening socket, where another process has it too.
    """
    clients.accept_no_longer()
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_QUERIES):
        while True:
            if clients.turn(trio.current_time()):
                await trio.lowlevel.checkpoint()
            elif clients.someone_waits():
                await trio.lowlevel.wait_readable(clients.fileno())
            else:
                return


class _Connection:
    """One client: what came of a query so far, what is not yet answered, and what it has not yet taken."""

    __slots__ = ("at_once", "client", "deframer", "ended", "ending", "has_asked", "left", "prefix", "queries", "since",
                 "sock", "unsent", "watched")  # fmt: skip

    def __init__(self, sock: socket.socket, client: bytes | None) -> None:
        self.sock = sock
        self.client = client
        """Its address, 4 or 16 octets, where it has one."""
        self.prefix = prefix_of(client or b"")
        self.since = 0.0
        self.deframer = Deframer(QUERY_LIMIT)  # as by UDP, anything longer is not a known query: FORMERR
        self.queries: list[bytes] = []
        self.at_once = _QUERIES_AT_ONCE
        """How many queries it is worth while to look at: few, where the last responses were large."""
        self.unsent = _NOTHING
        self.left = 0
        """Octets that the client had yet to take of `unsent` and of what the kernel holds, when its time began."""
        self.ending = False
        """Whether it ends once its responses are taken."""
        self.has_asked = False
        self.ended = False
        self.watched: int | None = None
        """What epoll waits for; None: it does not have it yet."""


class TcpClients:
    """All clients of one process."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        responder: Responder,
        clock: Callable[[], float],
        load: TcpLoad,
        datagrams: Sequence[socket.socket] = (),
        timer: Callable[[], float] = time.perf_counter,
        seen: Seen | None = None,
    ) -> None:
        """`timer` gives seconds from any moment: turns are measured by it."""
        self._datagrams = select.poll()
        for sock in datagrams:
            self._datagrams.register(sock, select.POLLIN)
        self._responder = responder
        self._clock = clock
        self._seen = seen
        self._load = load
        self._timer = timer
        self._epoll = select.epoll()
        self._listeners = listeners
        self._known: dict[int, _Connection | socket.socket] = {}
        """What epoll tells of, by descriptor."""
        self._places: Places[_Connection] = Places(load.limits.connections)
        self._round: deque[_Connection | socket.socket] = deque()
        """What has something to do, and has not had its spell in this round."""
        self._busy: list[_Connection] = []
        """What had its spell, and has queries left."""
        self._waiting: OrderedDict[_Connection, int] = OrderedDict()
        """Which octets are held for clients that don't take them, from the one that has waited for longest."""
        self._turn_until = self._longest_until = self._spell_until = 0.0
        self._paused_until = -math.inf
        self._told_of_pause = -math.inf
        self._accepting = False
        self._accept_again(-math.inf)

    def fileno(self) -> int:
        """Readable when `turn` has something to do."""
        return self._epoll.fileno()

    def next_deadline(self) -> float:
        """When `turn` has something to do in any case, by the clock that is passed to it."""
        oldest = self._places.oldest()
        idle = math.inf if oldest is None else oldest.since + self._load.idle
        return idle if self._accepting else min(idle, self._paused_until)

    def turn(self, now: float) -> bool:
        """Do what can be done at once, for a while; whether more may be left to do. `now` is by trio's clock."""
        began = self._timer()
        self._turn_until, self._longest_until = began + _TURN, began + _LONGEST_TURN
        while (oldest := self._places.oldest()) is not None and oldest.since + self._load.idle <= now:
            self._look_at_idle(oldest, now)
            if self._is_over():
                return True
        if not self._accepting and now >= self._paused_until:
            self._accept_again(now)
        while self._round or self._begin_round():
            one = self._round.popleft()
            if isinstance(one, _Connection):
                if not one.ended:
                    self._proceed(one, now)
            else:
                self._accept(one, now)
            if self._is_over():
                return True
        return False

    def accept_no_longer(self) -> None:
        """Leave those who connect from now on to the listening sockets."""
        if self._accepting:
            for sock in self._listeners:
                if sock.fileno() >= 0:  # epoll has forgotten one that is closed
                    self._epoll.unregister(sock)
        self._accepting, self._paused_until = False, math.inf
        self._round = deque(one for one in self._round if isinstance(one, _Connection))

    def someone_waits(self) -> bool:
        """Whether a client has yet to ask its first query, or to take a response."""
        return bool(self._waiting) or any(not connection.has_asked for connection in self._places)

    def close(self) -> None:
        """End all connections."""
        for connection in [*self._places]:
            connection.sock.close()
            self._places.leave(connection)
        self._load.open = 0
        self._epoll.close()

    def _is_over(self) -> bool:
        """Whether the turn is: its time is, and others wait for theirs."""
        now = self._timer()
        if now < self._turn_until:
            return False
        if now >= self._longest_until or self._datagrams.poll(0):
            return True
        self._turn_until = min(now + _TURN, self._longest_until)
        return False

    def _spell_is_over(self) -> bool:
        return self._timer() >= self._spell_until

    def _begin_round(self) -> bool:
        """Whether anything has something to do: first what is left of the last round, then what the kernel tells of."""
        self._round.extend(self._busy)
        self._busy.clear()
        for descriptor, _ in self._epoll.poll(0, _EVENTS_AT_ONCE):
            one = self._known.get(descriptor)
            if one is not None and not (
                isinstance(one, _Connection) and one.queries and not one.unsent
            ):  # it is there already
                self._round.append(one)
        return bool(self._round)

    def _accept_again(self, now: float) -> None:
        for number, sock in enumerate(self._listeners):
            self._known[sock.fileno()] = sock
            if not self._watch(sock, now):
                for other in self._listeners[:number]:
                    self._epoll.unregister(other)
                return
        self._accepting = True

    def _watch(self, sock: socket.socket, now: float, wanted: int = select.EPOLLIN) -> bool:
        """Have epoll tell of a socket; False where it takes no more, and then no connections are accepted for a while.

        Raises `OSError` where that fails for any other reason.
        """
        try:
            self._epoll.register(sock, wanted)
        except OSError as error:
            if error.errno not in _OUT_OF_SOCKETS:
                raise
            self._accept_no_more(now, error)
            return False
        return True

    def _accept_no_more(self, now: float, error: OSError) -> None:
        if self._accepting:
            for sock in self._listeners:
                self._epoll.unregister(sock)
        self._accepting = False
        self._paused_until = now + _PAUSE
        if now >= self._told_of_pause + _TELL_AGAIN:
            self._told_of_pause = now
            _log.warning("cannot accept TCP connections", error=str(error), open=len(self._places))

    def _accept(self, listener: socket.socket, now: float) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _GONE_BEFORE_ACCEPTED:
                    continue
                if error.errno not in _OUT_OF_SOCKETS:
                    raise
                self._accept_no_more(now, error)
                return
            sock.setblocking(False)
            connection = _Connection(sock, packed(address[0]) if address else None)
            for _ in range(_GO_FOR_ONE):
                goes = self._places.must_go(connection.prefix)
                if goes is None:
                    break
                self._end(*goes)
            self._places.take(connection, now)
            self._load.open += 1
            self._round.append(connection)  # most clients send their query as soon as they are connected

    def _proceed(self, connection: _Connection, now: float) -> None:
        """Give a connection its spell."""
        try:
            stands = self._converse(connection, now)
        except BlockingIOError:
            stands = True
        except OSError:
            stands = False  # the client is gone
        if connection.ended:
            return
        if not stands:
            self._end(connection, Ended.SILENCE if connection.ending else None)
            return
        if connection.unsent:
            wanted = select.EPOLLOUT
        elif connection.queries:
            wanted = 0
            self._busy.append(connection)
        else:
            wanted = select.EPOLLIN
        if connection.watched != wanted:
            if connection.watched is None:
                if not self._watch(connection.sock, now, wanted):
                    self._end(connection, Ended.FULL)
                    return
                self._known[connection.sock.fileno()] = connection
            else:
                self._epoll.modify(connection.sock, wanted)
            connection.watched = wanted

    def _converse(self, connection: _Connection, now: float) -> bool:
        """Write what is due, or read; then answer. Whether it stands. Raises `OSError`, also where it would wait."""
        if connection.unsent:
            self._write(connection, connection.unsent, now)
        elif not connection.queries:
            octets = connection.sock.recv(_READ)
            if not octets:
                return False
            connection.queries = connection.deframer.feed(octets)
        if connection.queries and not connection.unsent:
            octets = self._answered(connection)
            # Only a whole query counts as activity: a client that dribbles octets is idle.
            connection.has_asked = True
            self._places.renew(connection, now)
            self._write(connection, octets, now)
        return bool(connection.unsent or connection.queries) or not connection.ending

    def _answered(self, connection: _Connection) -> bytes:
        """Responses to some of its queries, each behind its length; these queries are done."""
        queries, at_once = connection.queries, connection.at_once
        self._spell_until = self._timer() + _SPELL
        responses = self._responder.stream(
            queries[:at_once], int(self._clock()), connection.client, self._spell_is_over, _OCTETS_AT_ONCE
        )
        done, parts = len(responses), list[bytes]()
        for query, response in zip(queries, responses, strict=False):
            if response is None:
                connection.ending = True  # no DNS client sends what deserves silence (RFC 7766 §6.2.4: close)
                continue
            length = len(response) + ID_SIZE
            parts += length.to_bytes(2) + query[:ID_SIZE], response
        if self._seen is not None:
            self._seen(queries[:done], responses[:done], connection.client)
        if connection.ending or done == len(queries):
            connection.queries = []
        else:
            del queries[:done]
            connection.at_once = min(2 * done, _QUERIES_AT_ONCE)
        return b"".join(parts)

    def _write(self, connection: _Connection, octets: bytes | memoryview, now: float) -> None:
        try:
            sent = connection.sock.send(octets)
        except BlockingIOError:
            sent = 0
        if sent == len(octets):
            if connection.unsent:
                self._wait_no_more(connection)
                self._places.renew(connection, now)
        else:
            is_first = not connection.unsent
            connection.unsent = memoryview(octets)[sent:]
            if is_first:  # its time has just begun
                connection.left = _left(connection)
                self._wait(connection, len(octets) + STREAM_BUFFER)

    def _wait(self, connection: _Connection, octets: int) -> None:
        """So many octets are held for a client from now on; others go where these are too many."""
        self._waiting[connection] = octets
        self._load.untaken += octets
        while self._load.untaken > self._load.limits.untaken:
            self._end(next(iter(self._waiting)), Ended.OCTETS)

    def _wait_no_more(self, connection: _Connection) -> None:
        connection.unsent = _NOTHING
        self._load.untaken -= self._waiting.pop(connection)

    def _look_at_idle(self, connection: _Connection, now: float) -> None:
        """End a connection whose time is over, unless the client has taken its responses all the while.

        Where nobody has looked meanwhile, as this process was stopped, that is not held against the client: what it has
        asked is read before, and where it has taken all that the kernel had for it, its time begins anew.
        """
        if not connection.unsent:
            if connection.queries:  # it waits for us
                self._places.renew(connection, now)
                return
            self._proceed(connection, now)
            if not connection.ended and connection.since < now:
                self._end(connection, Ended.IDLE)
            return
        left = _left(connection)
        if left == len(connection.unsent):
            self._places.renew(connection, now)
            self._proceed(connection, now)
            if not connection.ended:
                connection.left = _left(connection)
            return
        if connection.left - left < _SLOWEST * (now - connection.since):
            self._end(connection, Ended.SLOW)
            return
        connection.left = left
        self._places.renew(connection, now)

    def _end(self, connection: _Connection, why: Ended | None) -> None:
        """`why` is None where the client has ended it."""
        connection.ended = True
        if connection.unsent or (why is Ended.IDLE and _left(connection)):
            # Else the kernel would try for minutes to deliver what it holds, and hold that for as long.
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if connection.unsent:
            self._wait_no_more(connection)
        connection.queries = []
        self._known.pop(connection.sock.fileno(), None)
        connection.sock.close()  # epoll forgets it by itself
        self._places.leave(connection)
        self._load.open -= 1
        if why is not None:
            self._load.ended[why] += 1


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
