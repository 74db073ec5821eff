"""A program: hot queries by schedule, and how long each waited for its answer.

A wait begins when the query was due, not when it was sent, so that nothing is left out where this program is late. It
ends when the kernel had the answer (SO_TIMESTAMPNS), not when this program looked: what the load beside it takes of the
core is not part of it. With the right to do so, it runs before all other programs of its core.

The intervals are random (exponential), so that no rhythm of a server's can hide between the queries.
"""

from __future__ import annotations

import gc
import multiprocessing
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from random import Random
from typing import Any

from bench.abuse.datagrams import from_address, wake_exactly, wildcard_socket
from bench.abuse.packets import CLIENT_COOKIE, Packet, framed, packet, server_cookie, whole
from bench.abuse.programs import Told, go_first, ready, work

LOST = 2.0
"""Seconds after which an answer is not waited for."""
TCP_WITHIN = 5.0
_SO_TIMESTAMPNS = 35
_ANCILLARY = 64
_TRIES = 8


def probe(order: dict[str, Any], told: Told) -> Mapping[str, Any]:
    """`order`: port, names (pairs of name and type), sources, rate, seconds, cookies (whether), seed."""
    port: int = order["port"]
    with wildcard_socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        cookies = [ask_cookie(sock, port, source) if order["cookies"] else b"" for source in order["sources"]]
        packets = [
            packet(source, name, rdtype, cookie=cookie)
            for source, cookie in zip(order["sources"], cookies, strict=True)
            for name, rdtype in order["names"]
        ]
        ours, theirs = multiprocessing.Pipe()
        retries = multiprocessing.Process(target=_ask_again, args=(theirs, port), daemon=True)
        retries.start()
        wake_exactly()
        first = go_first()
        gc.disable()
        ready()
        hot = _Hot(sock, port, packets, ours, Random(order["seed"]))
        hot.run(order["rate"], order["seconds"], told)
        ours.send(None)
        answered, failed = ours.recv() if ours.poll(2 * TCP_WITHIN) else (0, hot.truncated)
        retries.kill()
    seen = summary(hot.waits, hot.sent - len(hot.waits) - hot.truncated + failed)
    return seen | {
        "late_p99_ms": _share(sorted(hot.late), 0.99) / 1e6,
        "truncated": hot.truncated,
        "tcp_answered": answered,
        "errors": hot.errors,
        "cookies": sum(map(bool, cookies)),
        "first": first,
    }


def summary(waits: Sequence[int], lost: int) -> dict[str, Any]:
    """Of waits in nanoseconds: percentiles in ms. What was lost counts as one that lasted `LOST` seconds."""
    values = sorted(waits) + [int(LOST * 1e9)] * max(lost, 0)
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999}
    return {
        "samples": len(values),
        "lost": max(lost, 0),
        **{name: _share(values, share) / 1e6 for name, share in shares.items()},
        "most_ms": (values[-1] if values else 0) / 1e6,
    }


def _share(values: Sequence[int], share: float) -> float:
    return float(values[min(len(values) - 1, int(len(values) * share))]) if values else 0.0


class _Hot:
    """The schedule, what is outstanding, and the waits so far."""

    def __init__(
        self, sock: socket.socket, port: int, packets: Sequence[Packet], retries: Connection, dice: Random
    ) -> None:
        self._sock = sock
        self._packets = [(whole(one, 0)[2:], [from_address(one.source)], one.source) for one in packets]
        self._to = ("127.0.0.1", port)
        self._retries = retries
        self._dice = dice
        self._due: list[int] = [0] * 65536
        self._asked: list[int] = [0] * 65536
        self.sent = self.truncated = self.errors = 0
        self.waits: list[int] = []
        self.late: list[int] = []

    def run(self, rate: float, seconds: float, told: Told) -> None:
        clock = time.time_ns
        began = due = clock()
        end = began + int(seconds * 1e9)
        while due < end and not told.to_stop:
            now = clock()
            if now < due:
                self._receive()
                if (left := due - clock()) > 0:
                    time.sleep(left / 1e9)
                continue
            self._send(due, now)
            due += int(self._dice.expovariate(rate) * 1e9)
        until = clock() + int(LOST * 1e9)
        while clock() < until and not told.to_stop and len(self.waits) + self.truncated < self.sent:
            self._receive()
            time.sleep(0.005)

    def _send(self, due: int, now: int) -> None:
        ident = self.sent & 0xFFFF
        chosen = self._dice.randrange(len(self._packets))
        octets, control, _ = self._packets[chosen]
        self._due[ident], self._asked[ident] = due, chosen
        self.sent += 1
        self.late.append(now - due)
        try:
            self._sock.sendmsg((struct.pack("!H", ident), octets), control, 0, self._to)
        except OSError:
            self.errors += 1

    def _receive(self) -> None:
        while True:
            try:
                answer, control, _, _ = self._sock.recvmsg(4096, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                self.errors += 1
                continue
            ident = int.from_bytes(answer[:2])
            due, self._due[ident] = self._due[ident], 0
            if not due:
                continue
            seconds, nanoseconds = struct.unpack("=qq", control[0][2][:16])
            wait = seconds * 1_000_000_000 + nanoseconds - due
            if wait > LOST * 1e9:
                continue
            if answer[2] & 2:
                self.truncated += 1
                octets, _, source = self._packets[self._asked[ident]]
                self._retries.send((source, answer[:2] + octets))
            elif answer[3] & 15:
                self.errors += 1  # a refused query counts as lost
            else:
                self.waits.append(wait)


def ask_cookie(sock: socket.socket, port: int, source: str) -> bytes:
    """The cookie that the server gives to this address; empty where it gives none."""
    asked = whole(packet(source, ".", "NS", cookie=CLIENT_COOKIE), 1)
    for _ in range(_TRIES):
        sock.sendmsg([asked], [from_address(source)], 0, ("127.0.0.1", port))
        deadline = time.monotonic() + 0.25
        while time.monotonic() < deadline:
            try:
                answer = sock.recvmsg(4096, _ANCILLARY)[0]
            except BlockingIOError:
                time.sleep(0.002)
                continue
            return server_cookie(answer)
    return b""


def _ask_again(orders: Connection, port: int) -> None:
    """What was truncated, over TCP from the same address, one after another: how many were answered, and not."""
    answered = failed = 0
    while (order := orders.recv()) is not None:
        source, message = order
        try:
            with socket.create_connection(("127.0.0.1", port), TCP_WITHIN, (source, 0)) as sock:
                sock.sendall(framed(message))
                answered += sock.recv(4)[2:4] == message[:2]
        except OSError:
            failed += 1
    orders.send((answered, failed))


if __name__ == "__main__":
    work(probe)
