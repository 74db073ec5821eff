"""Sockets to listen on: bound plainly at first, so that a port in use is an error and never shared in silence."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import NamedTuple

from server.net.addresses import Address
from server.net.mmsg import ask_for_local_address

UDP_BUFFER = 4 << 20  # octets asked for; the kernel gives what its limit allows
STREAM_BUFFER = 32 << 10
"""Octets that the kernel may hold of a TCP connection in either direction; Linux doubles that for what it needs beside.

Left alone it takes up to 4 MiB that a client does not read, and 32 MiB that we do not. 32 KiB are enough for 160 kB a
second to the other side of the world, on each connection."""
_WAITING_CLIENTS = 4096  # connections that nobody has accepted yet; the kernel bounds it by net.core.somaxconn

_IP_FREEBIND, _IPV6_FREEBIND = 15, 78  # of Linux, which Python does not name
PRIVILEGED = 1024
"""Ports below this one take a capability (CAP_NET_BIND_SERVICE)."""


class PortInUse(Exception):  # noqa: N818
    """Another process listens there already."""


class CannotListen(Exception):  # noqa: N818
    """An address that this host does not have, or may not be bound by this user."""


class Pair(NamedTuple):
    """The UDP and the TCP socket of one address."""

    address: Address
    udp: socket.socket
    tcp: socket.socket


def bind(address: Address, *, late: bool = False) -> Pair:
    """Bind UDP and TCP on one address; port 0 takes a free one for both. With `late`, this host may lack the address.

    Raises `PortInUse` and `CannotListen`. SO_REUSEPORT is not set: with it, the kernel would share the port
    with another process of the same user without a word.
    """
    return ready_pair(address, *_bound_anywhere(address, late))


def bind_shared(address: Address, count: int, *, late: bool = False) -> tuple[Pair, ...]:
    """As many sockets for UDP and TCP on one address, each for another process: the kernel spreads what comes.

    Raises as `bind`, by which it is tried first that nobody else is there: SO_REUSEPORT would share with them too.
    """
    udp, tcp = _bound_anywhere(address, late)
    address = Address(address.host, udp.getsockname()[1])
    udp.close()
    tcp.close()
    pairs: list[Pair] = []
    with contextlib.ExitStack() as undone:
        for _ in range(count):
            udp = undone.enter_context(_bound(address, socket.SOCK_DGRAM, shared=True, late=late))
            tcp = undone.enter_context(_bound(address, socket.SOCK_STREAM, shared=True, late=late))
            pairs.append(ready_pair(address, udp, tcp))
        undone.pop_all()
    return tuple(pairs)


def ready_pair(address: Address, udp: socket.socket, tcp: socket.socket) -> Pair:
    """Bound sockets of one address, ready to answer from: their buffers, and how many clients may wait."""
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        _enlarge(udp, option)
    ask_for_local_address(udp, address.host)  # of sockets that somebody else has bound
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit these
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        tcp.setsockopt(socket.SOL_SOCKET, option, STREAM_BUFFER)
    tcp.listen(_WAITING_CLIENTS)
    return Pair(Address(address.host, udp.getsockname()[1]), udp, tcp)


def _enlarge(sock: socket.socket, option: int) -> None:
    """Have a buffer of `UDP_BUFFER`, or what the kernel gives. One that is larger stays: root may exceed its limit."""
    with socket.socket(sock.family, sock.type) as another:
        another.setsockopt(socket.SOL_SOCKET, option, UDP_BUFFER)
        given = another.getsockopt(socket.SOL_SOCKET, option)
    if given > sock.getsockopt(socket.SOL_SOCKET, option):
        sock.setsockopt(socket.SOL_SOCKET, option, UDP_BUFFER)


def has_ipv6_loopback() -> bool:
    """Whether this host has [::1]."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def check_host(address: Address) -> None:
    """Raises `CannotListen` where this host does not have the address. Whether the port is free is not tried."""
    _bound(Address(address.host, 0), socket.SOCK_DGRAM).close()


def check_free(address: Address, *, udp: bool, where: str) -> None:
    """Raises `PortInUse` and `CannotListen` as a bind of this address for TCP, and for `udp`; nothing stays bound."""
    if udp:
        _bound(address, socket.SOCK_DGRAM, where).close()
    _bound(address, socket.SOCK_STREAM, where).close()


def bind_stream(address: Address, where: str = "--listen", *, late: bool = False) -> socket.socket:
    """A listening TCP socket; `where` is what an error says to change. With `late`, this host may lack the address.

    Raises `PortInUse` and `CannotListen`.
    """
    sock = _bound(address, socket.SOCK_STREAM, where, late=late)
    sock.listen(128)
    return sock


def _bound_anywhere(address: Address, late: bool) -> tuple[socket.socket, socket.socket]:
    return _bound_to_free_port(address, late) if address.port == 0 else _bound_pair(address, late)


def _bound_to_free_port(address: Address, late: bool, tries: int = 32) -> tuple[socket.socket, socket.socket]:
    """A port that is free for UDP may not be for TCP: then another one."""
    for _ in range(tries - 1):
        with contextlib.suppress(PortInUse):
            return _bound_pair(address, late)
    return _bound_pair(address, late)


def _bound_pair(address: Address, late: bool) -> tuple[socket.socket, socket.socket]:
    udp = _bound(address, socket.SOCK_DGRAM, late=late)
    try:
        return udp, _bound(Address(address.host, udp.getsockname()[1]), socket.SOCK_STREAM, late=late)
    except Exception:
        udp.close()
        raise


def _bound(
    address: Address, kind: int, where: str = "--listen", *, shared: bool = False, late: bool = False
) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Only lets a restart bind beside connections that linger; two listeners still exclude each other.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            ask_for_local_address(sock, address.host)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        _bind_to(sock, address, late)
    except OSError as error:
        sock.close()
        name = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"{name} {address} is in use by another process: end it, or listen elsewhere with {where}"
            ) from None
        raise CannotListen(
            f"cannot listen on {name} {address}: {error.strerror}{way_out(address, error, where)}"
        ) from None
    return sock


def _bind_to(sock: socket.socket, address: Address, late: bool) -> None:
    """Bind it; with `late`, also to an address that comes later. Raises `OSError`."""
    try:
        sock.bind((address.host, address.port))
    except OSError as error:
        if not late or error.errno != errno.EADDRNOTAVAIL or sys.platform != "linux":
            raise
        level, option = (socket.IPPROTO_IPV6, _IPV6_FREEBIND) if address.is_ipv6 else (socket.IPPROTO_IP, _IP_FREEBIND)
        sock.setsockopt(level, option, 1)
        sock.bind((address.host, address.port))


def way_out(address: Address, error: OSError, where: str) -> str:
    """What a person can do about an address that can't be bound; `where` is what to change it with."""
    if error.errno == errno.EACCES and address.port < PRIVILEGED:
        return (
            f": a port below {PRIVILEGED} takes the capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=): "
            f"grant it, or listen on a higher port with {where}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f": no interface of this host has it; name another one with {where}"
    return ""
