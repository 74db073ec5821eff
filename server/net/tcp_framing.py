"""DNS messages in a byte stream: each behind its length in two octets (RFC 1035 §4.2.2, RFC 7766 §8). Pure."""

from __future__ import annotations


class Deframer:
    """Takes octets as they come, gives whole messages."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, octets: bytes) -> list[bytes]:
        """The messages that `octets` completes. What is pending never exceeds one message and its length."""
        pending = self._pending + octets
        messages, position = [], 0
        while len(pending) - position >= 2:
            end = position + 2 + int.from_bytes(pending[position : position + 2])
            if end > len(pending):
                break
            messages.append(pending[position + 2 : end])
            position = end
        self._pending = pending[position:]
        return messages


def frame(message: bytes) -> bytes:
    """A message of at most 65,535 octets behind its length."""
    return len(message).to_bytes(2) + message
