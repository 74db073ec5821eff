"""Queries at a steady rate, whether they are answered or not (open loop), and how long each waited for its answer.

They come from many networks, as those of resolvers do, so that the limit of responses concerns none of them. Nobody
asks twice: a query that is lost stays lost, and is counted.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import NamedTuple

import dns.message
import dns.rcode

from server.net.addresses import Address

_NETWORKS = 64
_BY_TCP = 50
"""One of so many queries comes by a TCP connection of its own."""
_CONNECTIONS = 256
_LAST = 20.0
"""Seconds after the last query until one that has no answer is taken for lost."""


class Load(NamedTuple):
    """What became of the queries."""

    asked: int
    delays: tuple[float, ...]
    """Seconds until each answer, in no order."""
    wrong: tuple[str, ...]
    """Answers that say nothing: RCODEs, or TC."""

    @property
    def lost(self) -> int:
        """How many got no answer."""
        return self.asked - len(self.delays)


def put_on(server: Address, questions: Sequence[tuple[str, str]], rate: float, is_over: Callable[[], bool]) -> Load:
    """Ask `questions` in turn, so many a second, until `is_over` says so; then wait for what is left."""
    asking = _Asking(server, [dns.message.make_query(*one, want_dnssec=True).to_wire() for one in questions])
    with ThreadPoolExecutor(_CONNECTIONS) as by_tcp:
        began, asked = time.monotonic(), 0
        while not is_over():
            due = int((time.monotonic() - began) * rate)
            while asked < due:
                asked += 1
                if asked % _BY_TCP:
                    asking.by_udp(asked)
                else:
                    by_tcp.submit(asking.by_tcp, asked)
            asking.hear(0.001)
        deadline = time.monotonic() + _LAST
        while asking.waits and time.monotonic() < deadline:
            asking.hear(0.01)
    asking.close()
    return Load(asked, tuple(asking.delays), tuple(asking.wrong))


class _Asking:
    def __init__(self, server: Address, queries: Sequence[bytes]) -> None:
        self._server = server
        self._queries = cycle(queries)
        self._sent: dict[tuple[int, int], float] = {}
        """When, by socket and ID."""
        self._selector = selectors.DefaultSelector()
        self._sockets = []
        for n in range(_NETWORKS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((f"127.0.{n + 1}.1", 0))
            sock.connect(server)
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, n)
            self._sockets.append(sock)
        self.delays: list[float] = []
        self.wrong: list[str] = []

    @property
    def waits(self) -> bool:
        """Whether a query by UDP has no answer yet."""
        return bool(self._sent)

    def by_udp(self, number: int) -> None:
        """Send a query."""
        place, ident = number % _NETWORKS, number // _NETWORKS & 0xFFFF
        wire = struct.pack("!H", ident) + next(self._queries)[2:]
        self._sent[place, ident] = time.monotonic()
        self._sockets[place].send(wire)

    def by_tcp(self, number: int) -> None:
        """Connect, ask, and wait for the answer."""
        wire, began = next(self._queries), time.monotonic()
        with socket.socket() as sock:
            sock.bind((f"127.0.{number % _NETWORKS + 1}.2", 0))
            sock.settimeout(_LAST)
            try:
                sock.connect(self._server)
                sock.sendall(len(wire).to_bytes(2) + wire)
                with sock.makefile("rb") as stream:
                    response = stream.read(int.from_bytes(stream.read(2)))
            except OSError as error:
                self.wrong.append(f"TCP: {error}")
                return
        if response:
            self._answered(response, began)
        else:
            self.wrong.append("TCP: closed without an answer")

    def hear(self, seconds: float) -> None:
        """Take the answers that come within so many seconds."""
        for key, _ in self._selector.select(seconds):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            while True:
                try:
                    response = sock.recv(4096)
                except BlockingIOError:
                    break
                except ConnectionRefusedError:  # an ICMP message about an earlier query, which is lost
                    self.wrong.append("UDP: nobody listens")
                    continue
                self._answered(response, self._sent.pop((key.data, int.from_bytes(response[:2]))))

    def _answered(self, response: bytes, began: float) -> None:
        self.delays.append(time.monotonic() - began)
        flags = int.from_bytes(response[2:4])
        rcode = dns.rcode.Rcode(flags & 0xF)
        if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or flags & 0x0200:
            self.wrong.append(rcode.name if rcode else "TC")

    def close(self) -> None:
        """Close all sockets."""
        self._selector.close()
        for sock in self._sockets:
            sock.close()
