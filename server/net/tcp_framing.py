"""DNS messages in a byte stream: each behind its length in two octets (RFC 1035 §4.2.2, RFC 7766 §8). Pure."""

from __future__ import annotations

LONGEST_MESSAGE = 0xFFFF


class Deframer:
    """Takes octets as they come, gives messages. Never holds more than `longest` octets and a length."""

    __slots__ = ("_longest", "_pending", "_skipped")

    def __init__(self, longest: int = LONGEST_MESSAGE) -> None:
        """Of a message longer than `longest` octets, only so many are given, and the others skipped as they come."""
        self._longest = longest
        self._pending = b""
        self._skipped = 0
        """Octets of the last message that are yet to come."""

    def feed(self, octets: bytes) -> list[bytes]:
        """The messages that `octets` completes."""
        position = 0
        if self._skipped:
            position = min(self._skipped, len(octets))
            self._skipped -= position
        pending = self._pending + octets if self._pending else octets
        messages, size = [], len(pending)
        while size - position >= 2:
            length = pending[position] << 8 | pending[position + 1]
            end = position + 2 + min(length, self._longest)
            if end > size:
                break
            messages.append(pending[position + 2 : end])
            position = end
            if length > self._longest:
                left = length - self._longest
                position = min(end + left, size)
                self._skipped = left - (position - end)
        self._pending = pending[position:]
        return messages


def frame(message: bytes) -> bytes:
    """A message of at most 65,535 octets behind its length."""
    return len(message).to_bytes(2) + message
