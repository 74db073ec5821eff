"""A proxy between a resolver and the server, for UDP and TCP, that can flip one byte of rdata in every response."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dns.message
import dns.name
import dns.rdatatype

from server.net.addresses import Address
from server.net.listen import bind

_SPARED = (dns.rdatatype.OPT, dns.rdatatype.DNSKEY, dns.rdatatype.DS)


class Meddler:
    """Passes messages on; with `flips`, responses are changed on their way back."""

    def __init__(self, server: tuple[str, int], port: int, udp: socket.socket, tcp: socket.socket) -> None:
        self.port = port
        self.flips = False
        self.flipped = 0
        self._server = server
        self._udp = udp
        self._tcp = tcp

    def close(self) -> None:
        """Pass nothing on any more. Wakes tasks that wait for a query or a connection; closing alone would not."""
        for sock in (self._udp, self._tcp):
            with suppress(OSError):  # the one over UDP is connected to nobody, but woken all the same
                sock.shutdown(socket.SHUT_RDWR)

    def bent(self, wire: bytes) -> bytes:
        """The response, with the first octet of the last rdata that is not spared flipped."""
        if not self.flips:
            return wire
        where = _last_rdata(wire)
        if where is None:
            return wire
        self.flipped += 1
        return wire[:where] + bytes([wire[where] ^ 1]) + wire[where + 1 :]

    def relay_udp(self) -> None:
        while True:
            try:
                query, client = self._udp.recvfrom(65535)
            except OSError:
                return
            if not query:
                return  # shut down: the test is over
            threading.Thread(target=self._one_datagram, args=(query, client), daemon=True).start()

    def _one_datagram(self, query: bytes, client: tuple[str, int]) -> None:
        # Who asked may be gone, and the test over, before there is an answer.
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as onward:
            onward.settimeout(60)
            onward.sendto(query, self._server)
            self._udp.sendto(self.bent(onward.recv(65535)), client)

    def relay_tcp(self) -> None:
        while True:
            try:
                client, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._one_connection, args=(client,), daemon=True).start()

    def _one_connection(self, client: socket.socket) -> None:
        with (
            suppress(OSError),
            client,
            socket.create_connection(self._server, timeout=60) as onward,
            client.makefile("rb") as asked,
            onward.makefile("rb") as answered,
        ):
            while length := asked.read(2):
                onward.sendall(length + asked.read(int.from_bytes(length)))
                response = self.bent(answered.read(int.from_bytes(answered.read(2))))
                client.sendall(len(response).to_bytes(2) + response)


def _last_rdata(wire: bytes) -> int | None:
    """Where the last rdata begins that is data or a proof, not what leads to the keys."""
    counts = [int.from_bytes(wire[position : position + 2]) for position in (4, 6, 8, 10)]
    position, found = 12, None
    for _ in range(counts[0]):
        position = _after_name(wire, position) + 4
    for _ in range(sum(counts[1:])):
        position = _after_name(wire, position)
        rrtype = int.from_bytes(wire[position : position + 2])
        length = int.from_bytes(wire[position + 8 : position + 10])
        covered = int.from_bytes(wire[position + 10 : position + 12]) if rrtype == dns.rdatatype.RRSIG else rrtype
        if covered not in _SPARED and rrtype != dns.rdatatype.RRSIG and length:
            found = position + 10
        position += 10 + length
    return found


def _after_name(wire: bytes, position: int) -> int:
    return position + dns.name.from_wire(wire, position)[1]


@contextmanager
def meddling(server: tuple[str, int]) -> Iterator[Meddler]:
    """A meddler on a free port."""
    address, udp, tcp = bind(Address("127.0.0.1", 0))
    with udp, tcp:
        udp.setblocking(True)
        tcp.setblocking(True)
        meddler = Meddler(server, address.port, udp, tcp)
        relays = [threading.Thread(target=relay) for relay in (meddler.relay_udp, meddler.relay_tcp)]
        for relay in relays:
            relay.start()
        try:
            yield meddler
        finally:
            meddler.close()
            for relay in relays:
                relay.join()
