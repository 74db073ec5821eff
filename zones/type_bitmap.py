"""The type bitmap of an NSEC record (RFC 4034 §4.1.2)."""

from __future__ import annotations

from collections.abc import Iterable


def type_bitmap(types: Iterable[int]) -> bytes:
    """Window blocks, ascending, each without trailing zero octets; no types give no octets."""
    windows: dict[int, bytearray] = {}
    for rrtype in types:
        window = windows.setdefault(rrtype >> 8, bytearray(32))
        window[(rrtype & 0xFF) >> 3] |= 0x80 >> (rrtype & 7)
    blocks = []
    for number in sorted(windows):
        bits = windows[number].rstrip(b"\x00")
        blocks.append(bytes([number, len(bits)]) + bits)
    return b"".join(blocks)
