"""Mutated queries, in this process: `respond`, which asks no cache, and the `Responder`, which does, must agree.

The rules are checked without the server's own reading of a message. They hold for any octets: silence for anything but
a query, no more than the size that the query grants, the query's ID, opcode and RD, and an answer that dnspython reads.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import cache
from random import Random

import dns.exception
import dns.message

from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.fuzz.findings import Broken, Finding, dice_of, ending
from tests.fuzz.mutations import mutated
from tests.lab import NOW, datagrams, query, signed, surprised
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.zoneset import ZoneSet

KIND = "packets"
BATCH = 50
LARGEST_UDP = 1232
SHORT = 300
"""Octets of an answer that leave room for all that might be added within 512."""
SLOWEST = 25.0
"""Times the median cost of a batch, by its octets, that any batch may cost."""
_ZONE = """
@ 300 SOA ns host 1 2 3 4 60
@ 300 NS ns
@ 300 MX 10 mail
ns 300 A 192.0.2.53
www 60 A 192.0.2.1
www 60 AAAA 2001:db8::1
*.w 60 TXT "any"
*.c 60 CNAME x.old
alias 60 CNAME x.old
old 60 DNAME w
a.b.c.d 60 A 192.0.2.2
child 60 NS ns.child
ns.child 60 A 192.0.2.9
secure 60 NS ns.elsewhere.test.
secure 60 DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
big 60 TXT "%s" "%s" "%s" "%s" "%s" "%s"
""" % (("x" * 250,) * 6)
_ORIGINS = ("compact.test", "chain.test", "plain.test")
_LABELS = (
    "",
    *["www.", "q.w.", "nope.", "x.y.nope.", "alias.", "x.old.", "q.c.", "b.c.d.", "big.", "a.child.", "secure."],
)
_TYPES = (1, 2, 5, 6, 16, 28, 43, 46, 47, 48, 39, 41, 128, 250, 251, 252, 255, 0, 65, 97, 65535)
_OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00"
_TOKENS = (
    b"\xc0\x0c", b"\xc0\x00", b"\xff\xff", b"\x00", b"\x3f" + b"a" * 63, b"\x40", b"\x80",
    _OPT + b"\x00\x00", _OPT + b"\x00\x0c\x00\x0a\x00\x08abcdefgh", _OPT + b"\x00\x1c\x00\x0a\x00\x18" + bytes(24),
    _OPT + b"\x00\x04\x00\x03\x00\x00", _OPT + b"\x00\x06\x00\x0b\x00\x02\x00\x01", b"\x00\x0f\x00\x01\x00",
    b"\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00", b"\x03www\x07compact\x04test\x00\x00\x01\x00\x01",
)  # fmt: skip
"""Pointers, long labels, OPT records with cookies, NSID and keepalive, a TSIG without data, a whole question."""


@cache
def zones() -> ZoneSet:
    """The same zone with each kind of denial, and unsigned."""
    made = ZoneSet()
    for origin, denial in zip(_ORIGINS, (DenialMode.COMPACT, DenialMode.NSEC), strict=False):
        made = signed(parse_zone(_ZONE, origin, signed=True, denial=denial), others=made)
    return made.with_zone(parse_zone(_ZONE, _ORIGINS[-1], signed=False))


@cache
def valid() -> Sequence[bytes]:
    """What is mutated: each name and type, with one of several forms of EDNS."""
    names = [*(f"{label}{origin}" for origin in _ORIGINS for label in _LABELS), "elsewhere.test", "."]
    forms = itertools.cycle(
        [{"do": True}, {"do": False}, {"do": True, "co": True}, {"edns": False}, {"size": 512}, {"size": 65535}]
    )
    return [
        query(name, rdtype, **form)  # type: ignore[arg-type]
        for (name, rdtype), form in zip(itertools.product(names, _TYPES), forms, strict=False)
    ]


def packet(seed: int, number: int) -> bytes:
    """The octets of a case."""
    dice = dice_of(KIND, seed, number)
    chance = dice.random()
    base = valid()[dice.randrange(len(valid()))]
    if chance < 0.05:
        return base
    if chance < 0.08:
        return dice.randbytes(dice.randrange(100))
    if chance < 0.082:
        return _large(base, dice)
    return mutated(base, dice, _TOKENS)


def _large(base: bytes, dice: Random) -> bytes:
    """A message that takes long to read: as many records or options as there is room for."""
    counts = dice.choice([(0, 0, 65535), (65535, 0, 1), (0, 6000, 1), (0, 0, 5900)])
    record = dice.choice([b"\xc0\x0c" + bytes(10), b"\x00" + bytes(10), b"\x01a\xc0\x0c" + bytes(10)])
    header = base[:6] + b"".join(count.to_bytes(2, "big") for count in counts)
    return (header + base[12:] + record * 6000)[: dice.choice([4096, 65535])]


def run(seed: int, numbers: range) -> list[Finding]:
    """Answer all of these cases, and check each."""
    responder = Responder(zones, Caches(2_000_000), surprised)
    found: list[Finding] = []
    costs: list[tuple[float, range]] = []
    for first in range(numbers.start, numbers.stop, BATCH):
        batch = range(first, min(first + BATCH, numbers.stop))
        wires = [packet(seed, number) for number in batch]
        began = time.process_time()
        found += _checked(responder, seed, batch, wires)
        costs.append(((time.process_time() - began) / (1 + sum(map(len, wires)) / 5000), batch))
    return found + _slow(responder, seed, costs)


def _checked(responder: Responder, seed: int, batch: Sequence[int], wires: Sequence[bytes]) -> list[Finding]:
    try:
        with ending():
            answered = {Via.UDP: datagrams(responder, wires), Via.TCP: responder.messages(wires, NOW)}
            for position, (number, wire) in enumerate(zip(batch, wires, strict=True)):
                by_udp, by_tcp = (responses[position] for responses in answered.values())
                check(wire, by_udp, Via.UDP, thorough=number % 16 == 0)
                # What is short by UDP has lost nothing, and is the same by TCP.
                if by_tcp != by_udp or by_udp is None or len(by_udp) > SHORT:
                    check(wire, by_tcp, Via.TCP, thorough=number % 16 == 0)
            return []
    except Exception as error:
        if len(batch) > 1:
            found = [
                one
                for number, wire in zip(batch, wires, strict=True)
                for one in _checked(responder, seed, [number], [wire])
            ]
            if found:
                return found
        joined = b"".join(len(wire).to_bytes(4, "big") + wire for wire in wires) if len(wires) > 1 else wires[0]
        return [Finding(KIND, seed, batch[0], f"{type(error).__name__}: {error}", joined.hex())]


def check(wire: bytes, response: bytes | None, via: Via, *, thorough: bool) -> None:
    """The rules. Raises `Broken`, and what `respond` raises. `thorough` has dnspython read the answer, too."""
    expected = respond(wire, zones(), NOW, via, failed=surprised)
    if response != expected:
        raise Broken(f"{via.name}: the responder says {response!r}, respond says {expected!r}")
    if len(wire) < 12 or wire[2] & 0x80:
        if response is not None:
            raise Broken(f"{via.name}: an answer to something other than a query")
        return
    if response is None:
        raise Broken(f"{via.name}: silence")
    wrong = broken_rule(wire, response, 65535 if via is Via.TCP else allowed(wire))
    if wrong:
        raise Broken(f"{via.name}: {wrong}")
    if respond(response, zones(), NOW, via, failed=surprised) is not None:
        raise Broken(f"{via.name}: an answer to an answer")
    if thorough:
        try:
            dns.message.from_wire(_as_to_a_query(response))
        except dns.exception.DNSException as error:
            raise Broken(f"{via.name}: an answer that can't be read: {error!r}") from None


def broken_rule(wire: bytes, response: bytes, limit: int) -> str:
    """What is wrong with the header or the size of a response to `wire`; empty where nothing is."""
    if len(response) < 12:
        return "no whole header"
    if len(response) > limit:
        return f"{len(response)} octets, not {limit}"
    if response[:2] != wire[:2]:
        return "another ID"
    if not response[2] & 0x80:
        return "QR is clear"
    if (response[2] ^ wire[2]) & 0x79:
        return "another opcode or RD"
    return "RA or AD is set" if response[3] & 0xA0 else ""


def _as_to_a_query(response: bytes) -> bytes:
    """A response with the opcode QUERY. Where the opcode says UPDATE, dnspython reads the question that a NOTIMP echoes
    as the zone to be updated (RFC 2136, section 2.3), and refuses most of them.
    """
    return response[:2] + bytes([response[2] & 0x87]) + response[3:]


def allowed(wire: bytes) -> int:
    """The octets that an answer by UDP may have: what an OPT record grants, within our bounds; 512 without one."""
    at = _behind_name(wire, 12) + 4
    for _ in range(sum(int.from_bytes(wire[place : place + 2]) for place in (6, 8, 10))):
        at = _behind_name(wire, at)
        if at + 10 > len(wire):
            break
        if wire[at : at + 2] == b"\x00\x29":
            return min(max(int.from_bytes(wire[at + 2 : at + 4]), 512), LARGEST_UDP)
        at += 10 + int.from_bytes(wire[at + 8 : at + 10])
    return 512


def _behind_name(wire: bytes, at: int) -> int:
    while at < len(wire):
        if wire[at] >= 0xC0:
            return at + 2
        if not wire[at]:
            return at + 1
        at += 1 + wire[at]
    return at


def _slow(responder: Responder, seed: int, costs: Sequence[tuple[float, range]]) -> list[Finding]:
    """Batches that cost far more than the median one of as many octets, three times in a row."""
    if len(costs) < 20:
        return []
    usual = sorted(cost for cost, _ in costs)[len(costs) // 2]
    found = []
    for cost, batch in costs:
        if cost <= SLOWEST * usual:
            continue
        wires = [packet(seed, number) for number in batch]
        again = []
        for _ in range(3):
            began = time.process_time()
            _checked(responder, seed, batch, wires)
            again.append((time.process_time() - began) / (1 + sum(map(len, wires)) / 5000))
        if min(again) > SLOWEST * usual:
            joined = b"".join(len(wire).to_bytes(4, "big") + wire for wire in wires)
            found.append(Finding(KIND, seed, batch[0], f"{min(again) / usual:.0f} × the usual cost", joined.hex()))
    return found
