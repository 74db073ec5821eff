"""A relay that parts keys from data: what asks for DNSKEY goes to one place, what asks for anything else to another.

With a cache at one of them and the server itself at the other, a validator behind it meets signatures as old as caches
keep them with keys as new as can be, or the other way round, as some resolver of the world does at any time.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

import dns.name
import dns.rdatatype
import trio

from server.addresses import Address

_AA, _RD = 0x04, 0x01  # of the third octet (RFC 1035 §4.1.1)
_RA = 0x80  # of the fourth
_PATIENCE = 5


class Place(NamedTuple):
    """Where queries are sent to."""

    address: Address
    is_cache: bool
    """A resolver, which has to be asked for recursion and answers without authority."""


class Relay:
    """Listens on 127.0.0.1, UDP alone; start `run` as a task."""

    def __init__(self, keys: Place, data: Place) -> None:
        """`keys` is where DNSKEY is asked for."""
        self._keys = keys
        self._data = data
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    async def run(self) -> None:
        """Pass queries on, and responses back, until cancelled."""
        listening = trio.socket.from_stdlib_socket(self._socket)
        async with trio.open_nursery() as nursery:
            while True:
                query, client = await listening.recvfrom(65535)
                nursery.start_soon(self._pass_on, listening, query, client)

    async def _pass_on(self, listening: trio.socket.SocketType, query: bytes, client: tuple[str, int]) -> None:
        place = self._keys if _asks_for_keys(query) else self._data
        if place.is_cache:
            query = query[:2] + bytes([query[2] | _RD]) + query[3:]
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as onward, trio.move_on_after(_PATIENCE):
            await onward.connect((place.address.host, place.address.port))
            await onward.send(query)
            response = await onward.recv(65535)
            if place.is_cache:
                # To the validator, it comes from the server.
                response = response[:2] + bytes([response[2] & ~_RD | _AA, response[3] & ~_RA]) + response[4:]
            await listening.sendto(response, client)


def _asks_for_keys(query: bytes) -> bool:
    at = 12 + dns.name.from_wire(query, 12)[1]
    return int.from_bytes(query[at : at + 2]) == dns.rdatatype.DNSKEY
