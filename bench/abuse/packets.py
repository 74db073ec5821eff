"""The octets of queries as a flood sends them: what is the same in all of them, and the one label that varies."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import dns.name
import dns.rdatatype

LABEL = 12
"""Octets of the label that varies: hexadecimal digits, so that there are 2⁴⁸ of them."""
COOKIE, CLIENT_COOKIE = 10, b"abuse-15"
"""The EDNS option (RFC 7873 §4), and what this client puts into it."""
_DO = 0x8000


class Packet(NamedTuple):
    """One query behind its ID, which a sender repeats."""

    source: str
    """The address of 127/8 that it leaves from."""
    head: bytes
    """All up to the label that varies."""
    tail: bytes
    """All behind it. Where none varies, `head` is the whole query and this is empty."""

    @property
    def varies(self) -> bool:
        return bool(self.tail)


def packet(
    source: str, name: str, rdtype: str, *, size: int = 1232, cookie: bytes = b"", varies: bool = False
) -> Packet:
    """A query with DO for `name`, or, where it `varies`, for names with one more label."""
    labels = dns.name.from_text(name).to_digestable()
    option = struct.pack("!HH", COOKIE, len(cookie)) + cookie if cookie else b""
    end = struct.pack("!HH", dns.rdatatype.from_text(rdtype), 1)
    end += struct.pack("!BHHIH", 0, 41, size, _DO, len(option)) + option
    head = struct.pack("!HHHHH", 0, 1, 0, 0, 1)
    if varies:
        return Packet(source, head + bytes([LABEL]), labels + end)
    return Packet(source, head + labels + end, b"")


def whole(one: Packet, ident: int, label: bytes = b"") -> bytes:
    """A message as it travels."""
    return struct.pack("!H", ident) + one.head + label + one.tail


def framed(message: bytes) -> bytes:
    """A message as it travels over TCP (RFC 1035 §4.2.2)."""
    return struct.pack("!H", len(message)) + message


def addresses(first: int, count: int, *, each_prefix: int = 1) -> list[str]:
    """So many addresses of 127/8 in /24 prefixes that follow each other from the one numbered `first` on.

    `each_prefix` of them stand in one /24; prefix 0 is 127.0.0.0/24.
    """
    found = []
    for number in range(count):
        high, low = divmod(first + number // each_prefix, 256)
        found.append(f"127.{high}.{low}.{1 + number % each_prefix}")
    return found


def server_cookie(answer: bytes) -> bytes:
    """Client and server cookie in an answer's OPT record; empty where there is none (RFC 7873 §4)."""
    # It stands behind a header and names that a packet of ours has: looked for by its code, its length and our part.
    for length in (24, 16, 40):
        at = answer.find(struct.pack("!HH", COOKIE, length) + CLIENT_COOKIE)
        if at >= 0:
            return answer[at + 4 : at + 4 + length]
    return b""


def repeated(packets: Sequence[Packet], least: int) -> list[Packet]:
    """The packets again and again, whole rounds, until there are enough."""
    return list(packets) * -(-least // len(packets))
