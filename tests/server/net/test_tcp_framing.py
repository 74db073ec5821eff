"""Messages in a byte stream, however it is cut (RFC 7766 §8)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.net.tcp_framing import Deframer, frame


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 50), min_size=1))
def test_messages_come_out_whole_wherever_the_stream_is_cut(messages: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(frame(message) for message in messages)
    deframer, taken = Deframer(), []
    position = number = 0
    while position < len(stream):
        size = sizes[number % len(sizes)]
        taken += deframer.feed(stream[position : position + size])
        position += size
        number += 1
    assert taken == messages


def test_a_message_of_the_largest_size() -> None:
    message = bytes(65535)
    assert frame(message)[:2] == b"\xff\xff"
    assert Deframer().feed(frame(message)) == [message]


def test_half_a_length_is_no_message() -> None:
    deframer = Deframer()
    assert deframer.feed(b"\x00") == []
    assert deframer.feed(b"\x02a") == []
    assert deframer.feed(b"b\x00\x00") == [b"ab", b""]
