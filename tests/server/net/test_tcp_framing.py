"""Messages in a byte stream, however it is cut (RFC 7766 §8)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.net.tcp_framing import Deframer, frame
from tests.growth import growth


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


@given(
    st.lists(st.integers(0, 40), max_size=8), st.integers(0, 20), st.lists(st.integers(1, 30), min_size=1, max_size=4)
)
def test_of_a_message_that_is_too_long_the_beginning_is_given(
    lengths: list[int], longest: int, sizes: list[int]
) -> None:
    messages = [bytes([number]) * length for number, length in enumerate(lengths)]
    stream = b"".join(frame(message) for message in messages) + frame(b"end"[:longest])
    deframer, taken, position = Deframer(longest), list[bytes](), 0
    while position < len(stream):
        size = sizes[len(taken) % len(sizes)]
        taken += deframer.feed(stream[position : position + size])
        position += size
    assert taken == [*(message[:longest] for message in messages), b"end"[:longest]]


def test_a_message_that_comes_octet_by_octet_is_held_up_to_its_bound_and_takes_linear_time() -> None:
    def dribble(length: int) -> None:
        deframer = Deframer(512)
        for octet in frame(bytes(length)):
            deframer.feed(bytes([octet]))

    assert growth(lambda: dribble(4_000), lambda: dribble(32_000)) <= 12
