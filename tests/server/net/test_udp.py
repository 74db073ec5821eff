"""The UDP loop over real loopback sockets."""

from __future__ import annotations

import errno
import select
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest
import trio
from structlog.testing import capture_logs

from server.net.addresses import Address
from server.net.listen import Pair, bind
from server.net.mmsg import Clients, KernelBatch, batch_for
from server.net.udp import Loop, serve_udp
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, query, served, surprised

_ZONES = served("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\n", "lab.example")


def clock() -> float:
    return NOW + 0.5


def expected(wire: bytes) -> bytes:
    response = respond(wire, _ZONES, NOW, Via.UDP)
    assert response is not None
    return response


async def client(host: str, port: int) -> trio.socket.SocketType:
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    await sock.connect((host, port))
    return sock


@pytest.fixture
async def bound() -> AsyncIterator[Pair]:
    pair = bind(Address("127.0.0.1", 0))
    with pair.udp, pair.tcp:
        yield pair


async def test_what_has_piled_up_is_drained(bound: Pair, nursery: trio.Nursery) -> None:
    queries = [query(("www" if n % 3 else f"n{n}") + ".lab.example", "A", ident=n) for n in range(150)]
    with await client(*bound.address) as sock:
        for wire in queries:
            await sock.send(wire)
        nursery.start_soon(serve_udp, [bound.udp], Responder(lambda: _ZONES, Caches(), surprised), clock)
        with trio.fail_after(60):
            # What is remembered overtakes what is not.
            assert sorted([await sock.recv(4096) for _ in queries]) == sorted(expected(wire) for wire in queries)
    nursery.cancel_scope.cancel()


async def test_all_that_waited_before_the_start_is_answered(bound: Pair, nursery: trio.Nursery) -> None:
    # More than may wait once it is taken, and nothing of it is remembered.
    queries = [query(f"n{n}.lab.example", "A", ident=n) for n in range(1000)]
    with await client(*bound.address) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        for wire in queries:
            await sock.send(wire)
        nursery.start_soon(serve_udp, [bound.udp], Responder(lambda: _ZONES, Caches(), surprised), clock)
        with trio.fail_after(10):
            assert sorted([await sock.recv(4096) for _ in queries]) == sorted(expected(wire) for wire in queries)
    nursery.cancel_scope.cancel()


async def test_silence_amid_a_batch_confuses_no_addresses(bound: Pair, nursery: trio.Nursery) -> None:
    clients = [await client(*bound.address) for _ in range(9)]
    wires = [query("www.lab.example", "A", ident=number) for number in range(9)]
    for number, sock in enumerate(clients):
        if number % 3 == 1:
            await sock.send(wires[number][:2] + b"\x80" + wires[number][3:])  # a response, not a query
        elif number % 3 == 2:
            await sock.send(b"short")
        else:
            await sock.send(wires[number])
    nursery.start_soon(serve_udp, [bound.udp], Responder(lambda: _ZONES, Caches(), surprised), clock)
    with trio.fail_after(60):
        for number in (0, 3, 6):
            assert await clients[number].recv(4096) == expected(wires[number])
        # Once a later query is answered, those that got silence would have got theirs.
        await clients[8].send(wires[8])
        assert await clients[8].recv(4096) == expected(wires[8])
    assert not select.select([clients[1]], [], [], 0)[0]
    for sock in clients:
        sock.close()
    nursery.cancel_scope.cancel()


async def test_the_answer_leaves_from_the_address_that_was_asked_also_before_we_listened(
    nursery: trio.Nursery,
) -> None:
    pair = bind(Address("0.0.0.0", 0))
    wire = query("www.lab.example", "A")
    with pair.udp, pair.tcp, await client("127.0.0.2", pair.address.port) as early:
        await early.send(wire)
        nursery.start_soon(serve_udp, [pair.udp], Responder(lambda: _ZONES, Caches(), surprised), clock)
        with trio.fail_after(60):
            assert await early.recv(4096) == expected(wire)
            for host in ("127.0.0.2", "127.0.0.1", "127.9.9.9"):
                with await client(host, pair.address.port) as sock:
                    await sock.send(wire)
                    assert await sock.recv(4096) == expected(wire)
        nursery.cancel_scope.cancel()


async def test_what_looks_at_responses_before_they_leave_may_change_them(bound: Pair, nursery: trio.Nursery) -> None:
    seen: list[tuple[bytes, bytes]] = []

    def outgoing(queries: Sequence[bytes], responses: list[bytes | None], clients: Clients) -> None:
        for slot, asked in enumerate(queries):
            response = responses[slot]
            if response is not None:  # or it waits, and is seen again
                seen.append((asked, clients.host(slot)))
                responses[slot] = None if b"silent" in asked else response + b"!"

    nursery.start_soon(serve_udp, [bound.udp], Responder(lambda: _ZONES, Caches(), surprised), clock, outgoing)
    wires = [query(f"{name}.lab.example", "A") for name in ("silent", "www")]
    with await client(*bound.address) as sock:
        for wire in wires:
            await sock.send(wire)
        with trio.fail_after(60):
            assert await sock.recv(4096) == expected(wires[1]) + b"!"
    assert sorted(seen) == sorted((wire[2:], bytes([127, 0, 0, 1])) for wire in wires)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.ENOBUFS])
async def test_a_system_that_lacks_memory_for_a_moment_ends_nothing(
    bound: Pair, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    receive, failures = KernelBatch.receive, [number] * 3

    def fails(batch: KernelBatch) -> list[bytes]:
        if failures:
            raise OSError(failures.pop(), "as recvmmsg(2) says")
        return receive(batch)

    monkeypatch.setattr(KernelBatch, "receive", fails)
    wire = query("www.lab.example", "A")
    with capture_logs() as lines:
        nursery.start_soon(serve_udp, [bound.udp], Responder(lambda: _ZONES, Caches(), surprised), clock)
        with await client(*bound.address) as sock, trio.fail_after(60):
            await sock.send(wire)
            assert await sock.recv(4096) == expected(wire)
    assert not failures
    assert [line["log_level"] for line in lines] == ["warning"]
    nursery.cancel_scope.cancel()


async def test_a_datagram_that_is_too_long_is_no_query(bound: Pair, nursery: trio.Nursery) -> None:
    nursery.start_soon(serve_udp, [bound.udp], Responder(lambda: _ZONES, Caches(), surprised), clock)
    wire = query("www.lab.example", "A")
    with await client(*bound.address) as sock, trio.fail_after(60):
        await sock.send(wire + bytes(5000))
        await sock.send(wire)
        response = await sock.recv(4096)
        if response != expected(wire):
            assert response[3] & 0xF == 1  # FORMERR
            assert await sock.recv(4096) == expected(wire)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("size", "whole"), [(1232, True), (4096, False)])
async def test_answers_of_the_usual_size_are_never_fragmented(
    bound: Pair, nursery: trio.Nursery, size: int, whole: bool
) -> None:
    with await client(*bound.address) as sock:
        nursery.start_soon(serve_udp, [bound.udp], Responder(lambda: _ZONES, Caches(), surprised, size), clock)
        await sock.send(query("www.lab.example", "A"))
        with trio.fail_after(60):
            await sock.recv(4096)
    mtu_discover, probe = 10, 3  # Linux: IP_MTU_DISCOVER, IP_PMTUDISC_PROBE
    if sys.platform == "linux":
        assert (bound.udp.getsockopt(socket.IPPROTO_IP, mtu_discover) == probe) == whole
    nursery.cancel_scope.cancel()


async def test_what_has_been_taken_from_the_socket_is_answered_before_the_end(bound: Pair) -> None:
    # Signatures take so long that most of what came still waits when the server is ended.
    queries = [query(f"n{n}.lab.example", "A", ident=n) for n in range(64)]
    responder = Responder(lambda: _ZONES, Caches(), surprised)
    left: list[int] = []

    def elapsed() -> float:
        """So little time passes that a slice ends at once."""
        left.append(1)
        return 0.001 * len(left)

    with await client(*bound.address) as sock:
        for wire in queries:
            await sock.send(wire)
        loop = Loop([partial(batch_for, bound.udp)], responder, clock, elapsed)
        with loop.finishing():
            await loop.turn()
            assert loop.is_behind
        with trio.fail_after(60):
            assert sorted([await sock.recv(4096) for _ in queries]) == sorted(expected(wire) for wire in queries)


async def test_the_end_finishes_what_waits(bound: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.net.udp.TURN", 0)
    queries = [query(f"n{n}.lab.example", "A", ident=n) for n in range(100)]
    scope = trio.CancelScope()

    def outgoing(queries: Sequence[bytes], responses: list[bytes | None], clients: Clients) -> None:
        scope.cancel()

    async with trio.open_nursery() as nursery:
        with await client(*bound.address) as sock:
            for wire in queries:
                await sock.send(wire)
            with scope:
                await serve_udp([bound.udp], Responder(lambda: _ZONES, Caches(), surprised), clock, outgoing)
            # The next one that has the socket answers what is left in it.
            nursery.start_soon(serve_udp, [bound.udp], Responder(lambda: _ZONES, Caches(), surprised), clock)
            with trio.fail_after(10):
                assert sorted([await sock.recv(4096) for _ in queries]) == sorted(expected(wire) for wire in queries)
        nursery.cancel_scope.cancel()
