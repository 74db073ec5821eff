"""Sockets that the service manager opened, holds and passes on (sd_listen_fds): queries wait in them while we restart.

They are the descriptors from 3 on. LISTEN_PID says for which process, LISTEN_FDS how many, LISTEN_FDNAMES how each is
called. A socket belongs to the setting that names its address; where that leaves the port to the system, to the one for
which it is named. One that no setting wants is an error: nobody would ever read what comes to it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import MutableMapping, Sequence
from typing import NamedTuple

from server.net.addresses import Address
from server.net.listen import Pair, ready_pair

_FIRST = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
DNS, METRICS, ROUTE53, KMS = "dns", "metrics", "route53", "kms"
"""What FileDescriptorName= may say that a socket is for."""
_SETTINGS = {DNS: "listen", METRICS: "metrics", ROUTE53: "route53.listen", KMS: "kms.emulator"}
_KINDS = {int(socket.SOCK_DGRAM): "UDP", int(socket.SOCK_STREAM): "TCP"}
_UNIT_LINES = {int(socket.SOCK_DGRAM): "ListenDatagram=", int(socket.SOCK_STREAM): "ListenStream="}


class PassedSocketError(Exception):
    """What the service manager passes is not what the server needs: the socket unit or the configuration is wrong."""


class PassedSocket(NamedTuple):
    """One of them."""

    sock: socket.socket
    name: str
    """FileDescriptorName=, or that of the socket unit."""
    address: Address

    def __str__(self) -> str:
        return f"{_KINDS[self.sock.type]} {self.address} ({self.name})"


def take_passed_sockets(environment: MutableMapping[str, str] = os.environ) -> tuple[PassedSocket, ...]:
    """The sockets that were passed to this process. It is to be called once, and first of all.

    As sd_listen_fds(3) with `unset_environment`: the variables are gone afterwards, and programs that are started from
    here get neither them nor the sockets. Raises `PassedSocketError` for what can't be listened on.
    """
    pid, count, names, _ = (environment.pop(variable, None) for variable in _VARIABLES)
    if pid is None or count is None or pid != str(os.getpid()):
        return ()  # they were passed to a process that this one was started by
    if not (count.isascii() and count.isdigit()):
        raise PassedSocketError(f"LISTEN_FDS={count}: not a number; it is the service manager that sets it")
    called = names.split(":") if names else []
    return tuple(_taken(_FIRST + n, called[n] if n < len(called) else "unknown") for n in range(int(count)))


def _taken(descriptor: int, name: str) -> PassedSocket:
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise PassedSocketError(
            f"descriptor {descriptor} ({name}), as the service manager passes it, is not a socket ({error.strerror}): "
            "the socket unit may have ListenStream= and ListenDatagram= only"
        ) from None
    try:
        return _checked(sock, name, descriptor)
    except PassedSocketError:
        sock.close()
        raise


def _checked(sock: socket.socket, name: str, descriptor: int) -> PassedSocket:
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type not in _KINDS:
        raise PassedSocketError(
            f"descriptor {descriptor} ({name}), as the service manager passes it, is not a UDP or TCP socket: "
            "the socket unit may have ListenStream=ADDRESS:PORT and ListenDatagram=ADDRESS:PORT only"
        )
    host, port = sock.getsockname()[:2]
    passed = PassedSocket(sock, name, Address(str(ipaddress.ip_address(host)), port))
    if sock.type == socket.SOCK_STREAM and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise PassedSocketError(
            f"the service manager passes {passed} as a connection: set Accept=no in the socket unit"
        )
    if passed.address.host == "::" and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        raise PassedSocketError(
            f"the service manager passes {passed}, which takes IPv4 too: set BindIPv6Only=ipv6-only in the socket "
            "unit, and add lines with 0.0.0.0 for IPv4"
        )
    sock.setblocking(False)
    return passed


class Claims:
    """Which of the sockets that were passed are taken, in one run of the server. What it gives is to be closed."""

    def __init__(self, passed: Sequence[PassedSocket]) -> None:
        self._left = [*passed]

    def pair(self, address: Address) -> Pair | None:
        """The sockets that answer DNS at an address; None where neither was passed.

        Raises `PassedSocketError` where only one was: the other transport would not be held while we restart.
        """
        udp = self._claimed(DNS, address, socket.SOCK_DGRAM)
        tcp = self._claimed(DNS, udp.address if udp is not None else address, socket.SOCK_STREAM)
        if udp is not None and tcp is not None:
            return ready_pair(udp.address, udp.sock.dup(), tcp.sock.dup())
        one = udp or tcp
        if one is None:
            return None
        missing = int(socket.SOCK_STREAM if one is udp else socket.SOCK_DGRAM)
        raise PassedSocketError(
            f"the service manager passes {one} and not {_KINDS[missing]} at the same address: "
            f"add {_UNIT_LINES[missing]}{one.address} to the socket unit"
        )

    def stream(self, role: str, address: Address) -> socket.socket | None:
        """The TCP socket for `role` at its address; None where it was not passed."""
        claimed = self._claimed(role, address, socket.SOCK_STREAM)
        return claimed.sock.dup() if claimed is not None else None

    def refuse_the_rest(self) -> None:
        """Raises `PassedSocketError` where one is left that nobody has claimed."""
        for passed in self._left:
            kind = passed.sock.type
            setting = f"the setting {_SETTINGS[passed.name]}" if passed.name in _SETTINGS else "any setting"
            raise PassedSocketError(
                f"the service manager passes {passed}, which does not belong to {setting}: configure that address, "
                f"or remove {_UNIT_LINES[kind]}{passed.address} from the "
                "socket unit"
            )

    def _claimed(self, role: str, address: Address, kind: int) -> PassedSocket | None:
        for passed in self._left:
            if passed.sock.type != kind or passed.address.host != address.host:
                continue
            if passed.name in _SETTINGS and passed.name != role:
                continue
            if passed.address.port == address.port or (not address.port and passed.name == role):
                self._left.remove(passed)
                return passed
        return None
