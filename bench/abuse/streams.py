"""A program: clients of one TCP port that abuse it, or honest ones that come one after another.

What a client does is data: what it sends when it is connected, what it sends again and how often, whether as a whole
or an octet at a time, and whether it reads. One whose connection the server closed comes again.
"""

from __future__ import annotations

import heapq
import os
import select
import selectors
import socket
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench.abuse.packets import LABEL
from bench.abuse.prober import summary
from bench.abuse.programs import Told, ready, work

WITHIN = 5.0
"""Seconds in which an honest client has to be answered."""
_TICK = 0.02
_OPENED_AT_ONCE, _OPENED_AGAIN = 64, 10
"""Connections a tick, while the crowd gathers and then."""
_SMALL_BUFFER = 2048
_PIPELINED = 240
"""Queries that are made at once: about 16 KiB."""
_MUCH = 1 << 16


class _Client:
    def __init__(self, sock: socket.socket, pending: bytes) -> None:
        self.sock = sock
        self.pending = pending
        self.closed = False
        self.at = 0
        """Of what it sends an octet at a time, how much it has sent."""


class _Crowd:
    """`order`: port, count, sources, opening, again, every, drip, reads, fresh (head and tail of random names)."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._to = ("127.0.0.1", order["port"])
        self._wanted: int = order["count"]
        self._sources: list[str] = order["sources"]
        self._opening = bytes.fromhex(order.get("opening", ""))
        self._again = bytes.fromhex(order.get("again", ""))
        self._every: float = order.get("every", 0.0)
        self._drip: bool = order.get("drip", False)
        self._reads: bool = order.get("reads", True)
        self._fresh = [bytes.fromhex(part) for part in order.get("fresh", ())]
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        """By the descriptor of their socket."""
        self._due: list[tuple[float, int, _Client]] = []
        self._number = 0
        self.seen: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()

    def tick(self) -> None:
        """Open what is missing, and do what clients have to do now."""
        at_once = _OPENED_AT_ONCE if self._number < self._wanted else _OPENED_AGAIN
        for _ in range(min(self._wanted - len(self._clients), at_once)):
            self._open()
        for descriptor, events in self._poll.poll(_TICK):
            client = self._clients[descriptor]
            if events & select.EPOLLIN and not self._read(client):
                continue
            if events & (select.EPOLLERR | select.EPOLLHUP):
                self._close(client)
            elif events & select.EPOLLOUT:
                self._write(client)
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, number, client = heapq.heappop(self._due)
            if not client.closed:
                heapq.heappush(self._due, (now + self._every, number, client))
                self._send_again(client)

    def open_now(self) -> int:
        """Connections that it holds."""
        return len(self._clients)

    def _open(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        if not self._reads:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        self._number += 1
        try:
            sock.bind((self._sources[self._number % len(self._sources)], 0))
        except OSError:  # no port is free
            self.seen["unconnected"] += 1
            sock.close()
            return
        sock.connect_ex(self._to)
        client = _Client(sock, self._opening)
        self._clients[sock.fileno()] = client
        self._poll.register(sock, self._events(client, unsent=True))
        if self._every:
            # Spread over the period, so that they don't come all at once.
            first = self._every * (self._number % self._wanted) / self._wanted
            heapq.heappush(self._due, (time.monotonic() + first, self._number, client))
        self.seen["opened"] += 1

    def _events(self, client: _Client, *, unsent: bool = False) -> int:
        writes = unsent or client.pending or self._fresh
        return (select.EPOLLIN if self._reads else 0) | (select.EPOLLOUT if writes else 0)

    def _send_again(self, client: _Client) -> None:
        if not self._again or len(client.pending) > _MUCH:
            return
        if self._drip:
            client.pending += self._again[client.at : client.at + 1]
            client.at += 1
        else:
            client.pending += self._again
        self._write(client)

    def _write(self, client: _Client) -> None:
        if self._fresh and not client.pending:
            head, tail = self._fresh
            labels = os.urandom(_PIPELINED * LABEL // 2).hex().encode()
            made = (head + labels[at : at + LABEL] + tail for at in range(0, _PIPELINED * LABEL, LABEL))
            client.pending = b"".join(made)
        if client.pending:
            try:
                done = client.sock.send(client.pending)
            except BlockingIOError:
                done = 0
            except OSError:
                self._close(client)
                return
            self.seen["sent_octets"] += done
            client.pending = client.pending[done:]
        self._poll.modify(client.sock, self._events(client))

    def _read(self, client: _Client) -> bool:
        """Whether the connection is still there."""
        try:
            octets = client.sock.recv(_MUCH)
        except BlockingIOError:
            return True
        except OSError:
            octets = b""
        if not octets:
            self._close(client)
            return False
        if octets.startswith(b"HTTP/"):
            self.statuses[octets[9:12].decode(errors="replace")] += 1
        self.seen["octets"] += len(octets)
        return True

    def _close(self, client: _Client) -> None:
        self.seen["closed"] += 1
        del self._clients[client.sock.fileno()]
        client.closed = True
        client.sock.close()


class _Newcomers:
    """Honest clients: one at a time comes from the next of the sources, asks once and has `WITHIN` seconds."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._to = ("127.0.0.1", order["port"])
        self._sources: list[str] = order["sources"]
        self._message = bytes.fromhex(order["opening"])
        self._every: float = order["every"]
        self._next = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, float] = {}
        self.asked = 0
        self.waits: list[int] = []

    def tick(self, *, comes: bool = True) -> None:
        now = time.monotonic()
        while comes and self._next <= now:
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind((self._sources[self.asked % len(self._sources)], 0))
            sock.connect_ex(self._to)
            self._selector.register(sock, selectors.EVENT_WRITE, sock)
            self._open[sock] = self._next
            self.asked += 1
            self._next += self._every
        for key, events in self._selector.select(_TICK):
            sock = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    sock.send(self._message)
                    self._selector.modify(sock, selectors.EVENT_READ, sock)
                    continue
                answered = len(sock.recv(_MUCH)) > 2
            except BlockingIOError:
                continue
            except OSError:
                answered = False
            if answered:
                self.waits.append(int((time.monotonic() - self._open[sock]) * 1e9))
            self._leave(sock)
        for sock in [sock for sock, since in self._open.items() if time.monotonic() - since > WITHIN]:
            self._leave(sock)

    def _leave(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        del self._open[sock]
        sock.close()

    @property
    def waiting(self) -> bool:
        return bool(self._open)


def streams(order: dict[str, Any], told: Told) -> Mapping[str, Any]:
    """`order`: what `_Crowd` or, where `honest`, `_Newcomers` takes, and seconds at most."""
    end = time.monotonic() + order["seconds"]
    if order.get("honest"):
        newcomers = _Newcomers(order)
        ready()
        while time.monotonic() < end and not told.to_stop:
            newcomers.tick()
        while newcomers.waiting:
            newcomers.tick(comes=False)
        answered = len(newcomers.waits)
        return {"asked": newcomers.asked, "answered": answered, **summary(newcomers.waits, 0)}
    crowd = _Crowd(order)
    while crowd.open_now() < order["count"] and not crowd.seen["closed"] and time.monotonic() < end:
        crowd.tick()
    ready()
    while time.monotonic() < end and not told.to_stop:
        crowd.tick()
    return {"open": crowd.open_now(), "statuses": dict(crowd.statuses), **crowd.seen}


if __name__ == "__main__":
    work(streams)
