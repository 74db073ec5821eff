"""Mutated queries to the real program: datagrams in bursts, and streams whose frames may lie about their lengths."""

from __future__ import annotations

import select
import socket
import time

from tests.fuzz import packets
from tests.fuzz.findings import Broken, Finding, dice_of
from tests.fuzz.real_program import ZONE, Program
from tests.fuzz.streams import exchanged

KIND = "sockets"
TOGETHER = 20
"""Cases in one burst or on one connection."""
_SETTLES = 0.3
_OURS = ZONE.partition(".")[0].encode()
_THEIRS = [(bytes([len(name)]) + name, bytes([len(_OURS)]) + _OURS) for name in (b"compact", b"chain", b"plain")]


def message(seed: int, number: int) -> bytes:
    """The octets of a case: one of `packets`, for the program's own zone. Its ID says which of a burst it is."""
    wire = packets.packet(seed, number)
    for theirs, ours in _THEIRS:
        wire = wire.replace(theirs, ours)
    return bytes([0x5A, number % 256]) + wire[2:] if len(wire) > 1 else wire


def run(program: Program, seed: int, numbers: range) -> list[Finding]:
    """Send these, a burst by UDP and the next by TCP, and check what comes back."""
    found = []
    for first in range(numbers.start, numbers.stop, TOGETHER):
        together = range(first, min(first + TOGETHER, numbers.stop))
        messages = [message(seed, number) for number in together]
        try:
            if first // TOGETHER % 2:
                _by_tcp(program.dns, messages, dice_of(KIND, seed, first).random())
            else:
                _by_udp(program.dns, messages)
        except (Broken, OSError) as error:
            joined = b"".join(len(wire).to_bytes(4, "big") + wire for wire in messages)
            found.append(Finding(KIND, seed, first, f"{type(error).__name__}: {error}", joined.hex()))
    return found


def _by_udp(port: int, messages: list[bytes]) -> None:
    asked = {wire[:2]: wire for wire in messages}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        missing = 0
        for wire in messages:
            if len(wire) <= 60_000:
                sock.send(wire)
                missing += len(wire) >= 12 and not wire[2] & 0x80
        deadline = time.monotonic() + _SETTLES
        while missing > 0 and (left := deadline - time.monotonic()) > 0 and select.select([sock], [], [], left)[0]:
            response = sock.recv(65535)
            _check(asked, response, packets.allowed(asked.get(response[:2], b"")))
            missing -= 1


def _by_tcp(port: int, messages: list[bytes], chance: float) -> None:
    """The messages in one stream, ended by us. By chance, a frame that promises more than comes, or nothing."""
    asked = {wire[:2]: wire for wire in messages}
    stream = b"".join(len(wire).to_bytes(2, "big") + wire for wire in messages if len(wire) <= 65535)
    if chance < 0.2:
        stream += b"\x00\x00" * 3
    elif chance < 0.4:
        stream += b"\xff\xff" + messages[0]
    received, is_whole = exchanged(port, stream)
    if not is_whole:
        return
    at = 0
    while at + 2 <= len(received):
        size = int.from_bytes(received[at : at + 2])
        response = received[at + 2 : at + 2 + size]
        if len(response) < size:
            raise Broken("a response that isn't whole")
        _check(asked, response, 65535)
        at += 2 + size


def _check(asked: dict[bytes, bytes], response: bytes, limit: int) -> None:
    wire = asked.get(response[:2])
    if wire is None:
        raise Broken(f"a response to nothing that was asked: {response[:40].hex()}")
    if len(wire) < 12 or wire[2] & 0x80:
        raise Broken("an answer to something other than a query")
    if wrong := packets.broken_rule(wire, response, limit):
        raise Broken(wrong)
