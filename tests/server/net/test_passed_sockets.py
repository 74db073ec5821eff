"""Sockets that a service manager passes: which are taken, for what, and what is said of those that are not."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from server.net import passed_sockets
from server.net.addresses import Address
from server.net.listen import UDP_BUFFER, ready_pair
from server.net.passed_sockets import Claims, PassedSocket, PassedSocketError, take_passed_sockets

LOOPBACK = "127.0.0.1"


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def opened(held: ExitStack, kind: socket.SocketKind, host: str = LOOPBACK, *, port: int = 0) -> socket.socket:
    sock = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind))
    sock.bind((host, port))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


def both(held: ExitStack, name: str = "signwright.socket", host: str = LOOPBACK) -> tuple[PassedSocket, PassedSocket]:
    """UDP and TCP of one address, as they are passed."""
    while True:
        udp = opened(held, socket.SOCK_DGRAM, host)
        port = udp.getsockname()[1]
        try:
            tcp = opened(held, socket.SOCK_STREAM, host, port=port)
        except OSError:
            continue
        return PassedSocket(udp, name, Address(host, port)), PassedSocket(tcp, name, Address(host, port))


def passed(monkeypatch: pytest.MonkeyPatch, held: ExitStack, *socks: socket.socket, **environment: str) -> object:
    """What is taken of the sockets, at descriptors that are free here, with these variables."""
    first = fcntl.fcntl(socks[0], fcntl.F_DUPFD, 500) if socks else 500
    for n, sock in enumerate(socks[1:], 1):
        os.dup2(sock.fileno(), first + n)
    monkeypatch.setattr(passed_sockets, "_FIRST", first)
    given = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(socks)), **environment, "HOME": "/"}
    try:
        found = take_passed_sockets(given)
    finally:
        assert given == {"HOME": "/"}
        held.callback(_close, range(first, first + len(socks)))
    for one in found:
        held.enter_context(one.sock)
    return found


def _close(descriptors: range) -> None:
    for descriptor in descriptors:
        with suppress(OSError):  # what was taken is closed already
            os.close(descriptor)


def test_they_are_taken_with_their_names_and_inherited_by_nobody(
    monkeypatch: pytest.MonkeyPatch, held: ExitStack
) -> None:
    udp, tcp = both(held)
    found = passed(monkeypatch, held, udp.sock, tcp.sock, LISTEN_FDNAMES="dns:other")
    assert isinstance(found, tuple)
    assert [(one.name, one.address, one.sock.type) for one in found] == [
        ("dns", udp.address, socket.SOCK_DGRAM),
        ("other", tcp.address, socket.SOCK_STREAM),
    ]
    assert not any(one.sock.get_inheritable() or one.sock.getblocking() for one in found)


def test_those_of_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch, held: ExitStack) -> None:
    udp, _ = both(held)
    assert passed(monkeypatch, held, udp.sock, LISTEN_PID="1") == ()
    assert take_passed_sockets({}) == ()


def test_what_cannot_be_listened_on_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch, held: ExitStack) -> None:
    unix, connected, dual = socket.socket(socket.AF_UNIX), socket.socket(), socket.socket(socket.AF_INET6)
    for sock in (unix, connected, dual):
        held.enter_context(sock)
    dual.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    dual.bind(("::", 0))
    dual.listen()
    for sock, way_out in (
        (unix, r"\(x\), .* is not a UDP or TCP socket: the socket unit may have ListenStream=ADDRESS:PORT"),
        (connected, r"TCP 0\.0\.0\.0:0 \(x\) as a connection: set Accept=no"),
        (dual, r"TCP \[::\]:\d+ \(x\), which takes IPv4 too: set BindIPv6Only=ipv6-only"),
    ):
        with pytest.raises(PassedSocketError, match=way_out):
            passed(monkeypatch, held, sock, LISTEN_FDNAMES="x")
    with pytest.raises(PassedSocketError, match="is not a socket"):
        passed(monkeypatch, held, LISTEN_FDS="1")
    with pytest.raises(PassedSocketError, match="LISTEN_FDS=-1: not a number"):
        passed(monkeypatch, held, LISTEN_FDS="-1")


def test_one_belongs_to_the_setting_that_names_its_address(held: ExitStack) -> None:
    pair, api = both(held), opened(held, socket.SOCK_STREAM)
    there = Address(*api.getsockname())
    claims = Claims([*pair, PassedSocket(api, "signwright.socket", there)])
    assert claims.pair(Address(LOOPBACK, 1)) is None
    assert claims.stream("metrics", Address(LOOPBACK, 0)) is None
    claimed = claims.pair(pair[0].address)
    assert claimed is not None
    held.enter_context(claimed.udp)
    held.enter_context(claimed.tcp)
    assert claimed.address == pair[0].address == Address(*claimed.udp.getsockname())
    with pytest.raises(
        PassedSocketError, match=f"TCP {there} .*does not belong to any setting: .*ListenStream={there}"
    ):
        claims.refuse_the_rest()
    stream = claims.stream("metrics", there)
    assert stream is not None
    stream.close()
    claims.refuse_the_rest()


def test_one_that_is_named_serves_nothing_else(held: ExitStack) -> None:
    sock = opened(held, socket.SOCK_STREAM)
    there = Address(*sock.getsockname())
    claims = Claims([PassedSocket(sock, "metrics", there)])
    assert claims.stream("route53", there) is None
    assert claims.stream("route53", Address(LOOPBACK, 0)) is None
    with pytest.raises(PassedSocketError, match="does not belong to the setting metrics"):
        claims.refuse_the_rest()
    stream = claims.stream("metrics", Address(LOOPBACK, 0))  # the port is left to the system: it chose this one
    assert stream is not None
    stream.close()


def test_one_transport_alone_is_refused(held: ExitStack) -> None:
    udp, tcp = both(held)
    with pytest.raises(PassedSocketError, match=rf"passes UDP .* and not TCP .*add ListenStream={udp.address}"):
        Claims([udp]).pair(udp.address)
    with pytest.raises(PassedSocketError, match=rf"passes TCP .* and not UDP .*add ListenDatagram={udp.address}"):
        Claims([tcp]).pair(udp.address)


def test_a_run_after_another_claims_them_anew(held: ExitStack) -> None:
    pair = both(held)
    for _ in range(2):
        claimed = Claims(pair).pair(pair[0].address)
        assert claimed is not None
        claimed.udp.close()
        claimed.tcp.close()
    assert pair[0].sock.fileno() >= 0


def test_a_buffer_that_is_larger_than_ours_stays(held: ExitStack) -> None:
    udp, tcp = both(held)
    force = getattr(socket, "SO_RCVBUFFORCE", 33)
    try:
        udp.sock.setsockopt(socket.SOL_SOCKET, force, 4 * UDP_BUFFER)
    except OSError:
        pytest.skip("only root exceeds the limit of the kernel")
    before = udp.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    ready_pair(udp.address, udp.sock, tcp.sock)
    assert udp.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == before
