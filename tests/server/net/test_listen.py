"""Binding: a free port for both transports, and an error instead of a port shared in silence."""

from __future__ import annotations

import errno
import re
import socket
import sys
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from server.net.addresses import Address
from server.net.late_addresses import follow
from server.net.listen import (
    CannotListen,
    Pair,
    PortInUse,
    bind,
    bind_shared,
    bind_stream,
    has_ipv6_loopback,
    way_out,
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = bind(Address("127.0.0.1", 0))
    yield made
    made.udp.close()
    made.tcp.close()


def test_udp_and_tcp_share_the_port(pair: Pair) -> None:
    assert pair.udp.getsockname() == pair.tcp.getsockname() == (pair.address.host, pair.address.port)
    assert pair.address.port != 0
    assert pair.udp.type == socket.SOCK_DGRAM
    assert not pair.udp.getblocking()
    assert not pair.tcp.getblocking()


def test_a_port_in_use_is_an_error(pair: Pair) -> None:
    with pytest.raises(PortInUse, match=f"127.0.0.1:{pair.address.port} is in use"):
        bind(pair.address)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_one_transport_in_use_is_an_error_that_leaves_nothing_bound(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match="UDP" if kind == socket.SOCK_DGRAM else "TCP"):
            bind(Address("127.0.0.1", port))
    again = bind(Address("127.0.0.1", port))
    again.udp.close()
    again.tcp.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
@pytest.mark.skipif(sys.platform != "linux", reason="IP_FREEBIND is Linux's")
def test_an_address_may_come_later(host: str) -> None:
    if ":" in host and not has_ipv6_loopback():
        pytest.skip("no IPv6")
    address = bind(Address(host, 0), late=True)
    assert address.udp.getsockname()[0] == address.tcp.getsockname()[0] == host
    for sock in (
        address.udp,
        address.tcp,
        bind_stream(Address(host, 0), late=True),
        *(sock for pair in bind_shared(Address(host, 0), 2, late=True) for sock in (pair.udp, pair.tcp)),
    ):
        sock.close()
    with pytest.raises(CannotListen):
        bind(Address(host, 0))


async def test_it_is_a_trouble_until_it_has_come(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    there, told = {"127.0.0.1"}, list[tuple[float, str, bool]]()

    def check(address: Address) -> None:
        if address.host not in there:
            raise CannotListen

    def report(what: str, reason: str | None) -> None:
        told.append((trio.current_time(), what, reason is None))
        if trio.current_time() > 3:
            there.add("192.0.2.1")

    monkeypatch.setattr("server.net.late_addresses.check_host", check)
    started = trio.current_time()
    await follow([Address("127.0.0.1", 53), Address("192.0.2.1", 53)], report)
    late = "address 192.0.2.1:53"
    assert [(round(at - started), what, well) for at, what, well in told] == [
        (0, "address 127.0.0.1:53", True), (0, late, False), (2, late, False), (4, late, False), (6, late, True),
    ]  # fmt: skip


def test_an_address_that_this_host_does_not_have() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on UDP 192\.0\.2\.1:"):
        bind(Address("192.0.2.1", 0))


def test_a_port_that_takes_a_capability_is_told_with_the_way_out() -> None:
    refused = OSError(errno.EACCES, "Permission denied")
    assert re.search(
        r"CAP_NET_BIND_SERVICE.*higher port with --listen$", way_out(Address("::1", 53), refused, "--listen")
    )
    assert way_out(Address("::1", 5300), refused, "--listen") == ""


def test_a_restart_may_bind_beside_connections_that_linger(pair: Pair) -> None:
    port = pair.address.port
    with socket.create_connection(("127.0.0.1", port)) as client:
        pair.tcp.setblocking(True)
        accepted, _ = pair.tcp.accept()
        accepted.close()  # the server closes first: its end lingers in TIME_WAIT
        assert client.recv(1) == b""
    pair.udp.close()
    pair.tcp.close()
    again = bind(Address("127.0.0.1", port))
    again.udp.close()
    again.tcp.close()


def close(pairs: tuple[Pair, ...]) -> None:
    for one in pairs:
        one.udp.close()
        one.tcp.close()


def test_workers_share_a_port_with_each_other_and_with_nobody_else() -> None:
    pairs = bind_shared(Address("127.0.0.1", 0), 3)
    (address,) = {one.address for one in pairs}
    assert {one.udp.getsockname() for one in pairs} == {one.tcp.getsockname() for one in pairs} == {tuple(address)}
    with pytest.raises(PortInUse):
        bind(address)
    with pytest.raises(PortInUse):
        bind_shared(address, 3)
    # Each gets its part.
    for number in range(200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(number.to_bytes(2), tuple(address))
    received = [0, 0, 0]
    for place, one in enumerate(pairs):
        with pytest.raises(BlockingIOError):
            while one.udp.recv(16):
                received[place] += 1
    assert sum(received) == 200
    assert min(received) > 0
    close(pairs)
    close(bind_shared(address, 2))


def test_an_address_that_this_host_does_not_have_is_shared_with_nobody() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on UDP 192\.0\.2\.1:"):
        bind_shared(Address("192.0.2.1", 0), 2)
