"""Batches of datagrams over real sockets: every response goes to who asked, from the address that was asked."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from server.net.mmsg import BATCH, Batch, KernelBatch, PlainBatch, batch_for

Make = Callable[[socket.socket], Batch]


@pytest.fixture(params=[KernelBatch, PlainBatch])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def udp(sockets: ExitStack, host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = sockets.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


def client(sockets: ExitStack, host: str = "127.0.0.1") -> socket.socket:
    sock = udp(sockets, host)
    sock.settimeout(60)
    return sock


def received(batch: Batch, count: int) -> list[bytes]:
    """One batch, once as many datagrams as that have arrived: loopback delivers at once, but let it."""
    queries: list[bytes] = []
    deadline = time.monotonic() + 60
    while not queries and time.monotonic() < deadline:
        queries = batch.receive()
    assert len(queries) == count
    return queries


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


HOSTS = ["127.0.0.1", *(["::1"] if has_ipv6() else [])]


@pytest.mark.parametrize("host", HOSTS)
def test_each_client_gets_its_own_answer_also_where_some_deserve_silence(
    make: Make, sockets: ExitStack, host: str
) -> None:
    server = udp(sockets, host)
    batch = make(server)
    clients = [client(sockets, host) for _ in range(10)]
    for round_ in range(3):  # the same slots again, with silence elsewhere
        for number, sock in enumerate(clients):
            sock.sendto(b"%02dquery %d" % (number + round_, number), server.getsockname())
        queries = received(batch, 10)
        assert queries == [b"query %d" % number for number in range(10)]
        # After a batch with silences, one without: each slot must be back where it was.
        silent = {round_, 4, 9 - round_} if round_ != 1 else set()
        responses = [None if number in silent else b" to " + query for number, query in enumerate(queries)]
        assert batch.send(responses) == 10
        for number, sock in enumerate(clients):
            if number in silent:
                sock.setblocking(False)
                with pytest.raises(BlockingIOError):
                    sock.recv(100)
                sock.settimeout(60)
            else:
                assert sock.recv(100) == b"%02d to query %d" % (number + round_, number)


@pytest.mark.parametrize("host", HOSTS)
def test_who_asks_one_by_one_and_all_at_once(make: Make, sockets: ExitStack, host: str) -> None:
    server = udp(sockets, host)
    batch = make(server)
    hosts = [host] * 3 if ":" in host else ["127.0.0.1", "127.1.2.3", "127.0.0.200"]
    for number, one in enumerate(hosts):
        client(sockets, one).sendto(b"%02d" % number, server.getsockname())
    received(batch, 3)
    packed = [socket.inet_pton(server.family, one) for one in hosts]
    assert [batch.host(slot) for slot in range(3)] == packed
    assert list(batch.networks(3)) == [one[: 7 if ":" in host else 3] for one in packed]
    assert list(batch.networks(2)) == list(batch.networks(3))[:2]


def test_more_than_a_batch_is_taken_by_batches(make: Make, sockets: ExitStack) -> None:
    server, asking = udp(sockets), client(sockets)
    batch = make(server)
    for number in range(BATCH + 7):
        asking.sendto(b"%02d%d" % (number, number), server.getsockname())
    first, second = received(batch, BATCH), None
    assert batch.send([b" re " + query for query in first]) == BATCH
    second = received(batch, 7)
    assert batch.send([b" re " + query for query in second]) == 7
    assert batch.receive() == []
    assert {asking.recv(100) for _ in range(BATCH + 7)} == {
        b"%02d re %d" % (number, number) for number in range(BATCH + 7)
    }


def test_nothing_there_is_an_empty_batch(make: Make, sockets: ExitStack) -> None:
    batch = make(udp(sockets))
    assert batch.receive() == []
    assert batch.send([]) == 0


def test_only_silence(make: Make, sockets: ExitStack) -> None:
    server, asking = udp(sockets), client(sockets)
    batch = make(server)
    asking.sendto(b"idx", server.getsockname())
    assert batch.send([None for _ in received(batch, 1)]) == 1


def test_sending_goes_on_from_where_it_stopped(make: Make, sockets: ExitStack) -> None:
    server = udp(sockets)
    batch = make(server)
    clients = [client(sockets) for _ in range(6)]
    for number, sock in enumerate(clients):
        sock.sendto(b"i%dq" % number, server.getsockname())
    received(batch, 6)
    responses = [b"0", None, b"2", b"3", None, b"5"]
    assert batch.send(responses, 2) == 6
    got = [sock.recv(9) for number, sock in enumerate(clients) if number in (2, 3, 5)]
    assert got == [b"i22", b"i33", b"i55"]
    clients[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        clients[0].recv(9)


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "127.1.2.3"])
def test_on_a_wildcard_address_the_answer_leaves_from_where_it_was_asked(
    make: Make, sockets: ExitStack, asked: str
) -> None:
    server = udp(sockets, "0.0.0.0")
    batch = make(server)
    clients = [client(sockets) for _ in range(3)]
    for sock in clients:
        sock.connect((asked, server.getsockname()[1]))  # takes nothing from any other address
        sock.send(b"idq")
    assert batch.send([None if number == 1 else b"r" for number, _ in enumerate(received(batch, 3))]) == 3
    assert clients[0].recv(9) == clients[2].recv(9) == b"idr"


def test_different_local_addresses_in_one_batch(make: Make, sockets: ExitStack) -> None:
    server = udp(sockets, "0.0.0.0")
    batch = make(server)
    clients = []
    for number in range(8):
        sock = client(sockets)
        sock.connect((f"127.0.0.{number + 1}", server.getsockname()[1]))
        sock.send(b"i%d%d" % (number, number))
        clients.append(sock)
    queries = received(batch, 8)
    assert batch.send([None if query in (b"0", b"5") else query for query in queries]) == 8
    assert [clients[number].recv(9) for number in (1, 2, 3, 4, 6, 7)] == [
        b"i11",
        b"i22",
        b"i33",
        b"i44",
        b"i66",
        b"i77",
    ]


@pytest.mark.parametrize("host", [*HOSTS, "0.0.0.0", *(["::"] if len(HOSTS) > 1 else [])])
def test_who_waited_is_answered_after_others_have_taken_the_places(make: Make, sockets: ExitStack, host: str) -> None:
    server = udp(sockets, host)
    batch = make(server)
    asked = {"0.0.0.0": "127.0.0.3", "::": "::1"}.get(host, host)
    clients = [client(sockets, asked) for _ in range(5)]
    for number, sock in enumerate(clients):
        sock.connect((asked, server.getsockname()[1]))  # takes nothing from any other address
        sock.send(b"%02dearly" % number)
    received(batch, 5)
    waiting = [batch.sender(slot) for slot in range(5)]
    octets = socket.inet_pton(server.family, asked)
    assert [sender.host for sender in waiting] == [batch.host(slot) for slot in range(5)] == [octets] * 5
    for sock in reversed(clients):
        sock.send(b"xxlate")
    received(batch, 5)
    assert batch.send_to(waiting[::-1], [b"4", b"3", None, b"1" * 1400, b"0"]) == 5
    assert batch.send([b" late"] * 5) == 5
    for number, response in enumerate([b"0", b"1" * 1400, None, b"3", b"4"]):
        got = [clients[number].recv(2000) for _ in range(1 if response is None else 2)]
        assert got == [*([] if response is None else [b"%02d" % number + response]), b"xx late"]


def test_who_waited_is_answered_from_where_sending_stopped(make: Make, sockets: ExitStack) -> None:
    server, asking = udp(sockets), client(sockets)
    batch = make(server)
    for number in range(4):
        asking.sendto(b"i%dq" % number, server.getsockname())
    received(batch, 4)
    waiting = [batch.sender(slot) for slot in range(4)]
    assert batch.send_to(waiting, [b"0", b"1", None, b"3"], 1) == 4
    assert [asking.recv(9) for _ in range(2)] == [b"i11", b"i33"]
    assert batch.send_to([], []) == 0


@pytest.mark.skipif(len(HOSTS) == 1, reason="this host has no ::1")
def test_on_the_ipv6_wildcard(make: Make, sockets: ExitStack) -> None:
    server = udp(sockets, "::")
    batch = make(server)
    asking = client(sockets, "::1")
    asking.connect(("::1", server.getsockname()[1]))
    asking.send(b"idq")
    assert batch.send([b"r" for _ in received(batch, 1)]) == 1
    assert asking.recv(9) == b"idr"


def test_a_client_that_is_gone_does_not_stop_the_others(make: Make, sockets: ExitStack) -> None:
    server, asking = udp(sockets), client(sockets)
    batch = make(server)
    for _ in range(3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            gone.sendto(b"idgone", server.getsockname())
        asking.sendto(b"idhere", server.getsockname())
        responses = [b" r " + query for query in received(batch, 2)]
        assert batch.send(responses) == 2
        assert asking.recv(9) == b"id r here"


def test_large_and_empty_datagrams(make: Make, sockets: ExitStack) -> None:
    server, asking = udp(sockets), client(sockets)
    batch = make(server)
    for size in (0, 1, 2, 4096):
        asking.sendto(bytes(size), server.getsockname())
    assert [len(query) for query in received(batch, 4)] == [0, 0, 0, 4094]
    assert batch.send([None, None, bytes(1232), bytes(60000)]) == 4
    assert [len(asking.recv(65535)) for _ in range(2)] == [1234, 60002]


def test_the_platform_chooses(sockets: ExitStack) -> None:
    assert isinstance(batch_for(udp(sockets)), KernelBatch | PlainBatch)


def test_it_is_known_whether_any_have_come(make: Make, sockets: ExitStack) -> None:
    server, asks = udp(sockets), client(sockets)
    batch = make(server)
    if make is KernelBatch:
        assert not batch.has_come()
    for number in range(3):
        asks.sendto(b"ID%d" % number, server.getsockname())
        assert batch.has_come()
        assert received(batch, 1) == [b"%d" % number]
    # What the kernel wrote last is in place of no later length.
    for size in (4, 40, 400):
        for _ in range(3):
            asks.sendto(b"ID" + bytes(size), server.getsockname())
        assert received(batch, 3) == [bytes(size)] * 3
        assert batch.send([b"x"] * 3) == 3
        assert [asks.recv(99) for _ in range(3)] == [b"IDx"] * 3
