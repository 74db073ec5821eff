"""Jitter without dice: what is spread over zones, and over time, follows from a hash."""

from __future__ import annotations

from hashlib import sha256


def jitter(origin: bytes, what: str, below: int) -> int:
    """A number from 0 to `below` - 1 that is the same in every process and differs from zone to zone: never dice."""
    return int.from_bytes(sha256(what.encode() + b"/" + origin).digest()[:8]) % below
