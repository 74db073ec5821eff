"""Messages over a stream, in whatever pieces it delivers them."""

from __future__ import annotations

import socket

import pytest
import trio

from server.worker.channel import LARGEST, Channel


async def test_messages_arrive_whole_and_in_order() -> None:
    ours, theirs = socket.socketpair()
    messages = [b"", b"x", bytes(3 << 20), b"last"]
    async with Channel(ours) as one, Channel(theirs) as other, trio.open_nursery() as nursery:
        # Two who send at once do not mix their messages.
        for message in messages:
            nursery.start_soon(one.send, message)
        received = [await other.receive() for _ in messages]
    assert sorted(received, key=lambda message: message or b"") == sorted(messages)


async def test_pieces_make_a_message() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        async with Channel(theirs) as channel, trio.open_nursery() as nursery:
            received = []

            async def receive() -> None:
                received.append(await channel.receive())
                received.append(await channel.receive())

            nursery.start_soon(receive)
            for octet in b"\x00\x00\x00\x02ab\x00\x00\x00\x00":
                ours.send(bytes([octet]))
                await trio.testing.wait_all_tasks_blocked()
    assert received == [b"ab", b""]


@pytest.mark.parametrize("begun", [b"", b"\x00\x00", b"\x00\x00\x00\x05", b"\x00\x00\x00\x05abc"])
async def test_a_stream_that_ends_within_a_message_has_ended(begun: bytes) -> None:
    ours, theirs = socket.socketpair()
    async with Channel(theirs) as channel:
        ours.send(begun)
        ours.close()
        assert await channel.receive() is None
        with pytest.raises(trio.BrokenResourceError):
            await channel.send(b"x")


async def test_a_length_that_no_message_has() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        async with Channel(theirs) as channel:
            ours.send((LARGEST + 1).to_bytes(4))
            with pytest.raises(ValueError, match="octets"):
                await channel.receive()
