"""A relay that parts keys from data: what asks for DNSKEY goes to one place, what asks for anything else to another.

With a cache (or a `hoard`) at one of them and the server itself at the other, a validator behind it meets signatures as
old as caches keep them with keys as new as can be, or the other way round, as some resolver of the world does at any
time.
"""

from __future__ import annotations

import socket
from typing import NamedTuple, Protocol

import dns.name
import dns.rdatatype
import trio

from server.net.addresses import Address

_AA, _RD = 0x04, 0x01  # of the third octet (RFC 1035 §4.1.1)
_RA = 0x80  # of the fourth
_PATIENCE = 5


class Source(Protocol):
    """Who has answers."""

    async def answer(self, query: bytes) -> bytes | None:
        """The response to a query, as a server with authority gives it; `None` if there is none in time."""


class Place(NamedTuple):
    """Where queries are sent to."""

    address: Address
    is_cache: bool
    """A resolver, which has to be asked for recursion and answers without authority."""

    async def answer(self, query: bytes) -> bytes | None:
        """The response to `query`; `None` if there is none in time."""
        if self.is_cache:
            query = query[:2] + bytes([query[2] | _RD]) + query[3:]
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as onward, trio.move_on_after(_PATIENCE):
            await onward.connect((self.address.host, self.address.port))
            await onward.send(query)
            response = await onward.recv(65535)
            if self.is_cache:
                # To the validator, it comes from the server.
                response = response[:2] + bytes([response[2] & ~_RD | _AA, response[3] & ~_RA]) + response[4:]
            return response
        return None


class Relay:
    """Listens on 127.0.0.1, UDP alone; start `run` as a task."""

    def __init__(self, keys: Source, data: Source) -> None:
        """`keys` is asked for DNSKEY, `data` for the rest."""
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
        response = await (self._keys if _asks_for_keys(query) else self._data).answer(query)
        if response is not None:
            await listening.sendto(response, client)


def _asks_for_keys(query: bytes) -> bool:
    at = 12 + dns.name.from_wire(query, 12)[1]
    return int.from_bytes(query[at : at + 2]) == dns.rdatatype.DNSKEY
