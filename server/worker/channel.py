"""Messages over a stream socket: each with its length before it, four octets."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

import trio

LARGEST = 1 << 28
"""Octets of a message; a longer one is a sign that the stream is out of step."""
_READ = 1 << 18


class Channel:
    """One end. Leaving the context closes it."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock` is a connected stream socket."""
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._received = bytearray()
        self._sending = trio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close it, which the peer takes for our end."""
        await self._stream.aclose()

    async def send(self, message: bytes) -> None:
        """Send a message whole. Raises `trio.BrokenResourceError` where the peer is gone."""
        async with self._sending:
            await self._stream.send_all(len(message).to_bytes(4) + message)

    async def receive(self) -> bytes | None:
        """The next message; `None` where the peer is gone, be it within one.

        Raises `ValueError` for a length that no message has.
        """
        size = await self._take(4)
        if size is None:
            return None
        length = int.from_bytes(size)
        if length > LARGEST:
            raise ValueError(f"a message of {length} octets")
        return await self._take(length)

    async def _take(self, count: int) -> bytes | None:
        received = self._received
        while len(received) < count:
            try:
                octets = await self._stream.receive_some(_READ)
            except trio.BrokenResourceError:
                return None
            if not octets:
                return None
            received += octets
        taken = bytes(received[:count])
        del received[:count]
        return taken
