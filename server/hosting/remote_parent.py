"""A parent zone on other servers, asked for the DS RRset of a child: by TCP, and all of its servers that are named.

A parent is asked at its authoritative servers, never through a resolver: what a cache holds is neither what the
parent holds now, nor has it the TTL that other caches will count from. So an answer without AA tells nothing. Nor does
one of a server that has only the child: its denial of a DS is the child's, and carries the child's SOA. Nor does
UDP, where anybody who guesses a port and an ID may answer.

That a DS is gone lets a key go, so it takes more than one answer: all servers have to agree, and still so a minute
later. A DS that one of them has is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import trio

from keys.custody.parent_interface import ParentUnavailable
from keys.rules.wanted_ds import ParentDs
from server.hosting.parent_validation import anchored_zone, proven_ttl, trusted_keys
from server.net.addresses import Address
from server.settings.parent_servers import ParentServers, anchor

_TCP_SECONDS = 10.0
_APART = 60.0
"""Seconds from the first time that all servers said so until a DS counts as gone."""


class _Answer(NamedTuple):
    """What one server said: DS rdatas, and the seconds for which caches keep that."""

    rdatas: tuple[bytes, ...]
    ttl: int


class _Agreed(NamedTuple):
    """What all servers have said since then, in each answer that came."""

    rdatas: frozenset[bytes]
    since: float


class RemoteParent:
    """A parent zone at its authoritative servers."""

    def __init__(
        self,
        servers: ParentServers,
        now: Callable[[], float],
        *,
        tcp_seconds: float = _TCP_SECONDS,
        apart: float = _APART,
        monotonic: Callable[[], float] = trio.current_time,
    ) -> None:
        """`now` is the wall clock. `tcp_seconds` bounds one exchange; `apart` are seconds by the clock `monotonic`."""
        self._addresses = servers.addresses
        self._anchors = tuple(map(anchor, servers.anchors))
        self._now = now
        self._monotonic = monotonic
        self._tcp_seconds = tcp_seconds
        self._apart = apart
        self._agreed: dict[bytes, _Agreed] = {}
        """By child."""

    async def look_up(self, origin: bytes) -> ParentDs:
        """As `Parent.look_up`: the DS records that any of the servers has."""
        child = dns.name.from_wire(origin, 0)[0]
        if child == dns.name.root:
            raise ParentUnavailable("the root zone has no parent")
        answers: list[_Answer] = []
        failures: list[ParentUnavailable] = []

        async def ask(address: Address) -> None:
            try:
                answers.append(await self._ds(address, child))
            except ParentUnavailable as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            for address in self._addresses:
                nursery.start_soon(ask, address)
        rdatas = tuple(dict.fromkeys(rdata for answer in answers for rdata in answer.rdatas))
        named = [answer.ttl for answer in answers if answer.rdatas]
        ttl = max(named or [answer.ttl for answer in answers], default=0)
        agree = len({frozenset(answer.rdatas) for answer in answers}) == 1
        left = self._left(origin, frozenset(rdatas), agree=agree, whole=not failures)
        found = ParentDs(rdatas, ttl, ceil(self._now()), settled=not left, settles_in=ceil(left))
        if failures:
            raise ParentUnavailable("; ".join(map(str, failures)), found if rdatas else None)
        return found

    def _left(self, origin: bytes, rdatas: frozenset[bytes], *, agree: bool, whole: bool) -> float:
        """Seconds until all servers have agreed on these, and on no others, for a while; 0 once they have.

        One that did not answer has not said anything else; what the others say may still end what was agreed on.
        """
        earlier, now = self._agreed.get(origin), self._monotonic()
        if not whole:
            if earlier is not None and not rdatas <= earlier.rdatas:
                del self._agreed[origin]
            return self._apart
        if not agree:
            self._agreed.pop(origin, None)
            return self._apart
        if earlier is None or earlier.rdatas != rdatas:
            earlier = self._agreed[origin] = _Agreed(rdatas, now)
        return max(0.0, self._apart - (now - earlier.since))

    async def changed(self) -> None:
        """As `Parent.changed`: nobody can know."""
        await trio.sleep_forever()

    async def delegation(self, origin: bytes) -> frozenset[bytes] | None:
        """The name servers that the parent zone delegates the child to (wire form, lower case); `None`: it doesn't.

        Told by the first of its servers that answers. One that has the child too tells the child's own, and so `None`.
        Raises `ParentUnavailable`.
        """
        child = dns.name.from_wire(origin, 0)[0]
        failures: list[str] = []
        for address in self._addresses:
            try:
                return await self._ns(address, child)
            except ParentUnavailable as error:
                failures.append(str(error))
        raise ParentUnavailable("; ".join(failures))

    async def _ns(self, address: Address, child: dns.name.Name) -> frozenset[bytes] | None:
        response = await self._exchange(address, child, dns.rdatatype.NS)
        if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise _unavailable(
                address, child, dns.rdatatype.NS, f"the server answered {dns.rcode.to_text(response.rcode())}"
            )
        found = response.get_rrset(response.authority, child, dns.rdataclass.IN, dns.rdatatype.NS)
        if found is None:
            return None
        return frozenset(rdata.target.canonicalize().to_wire() or b"" for rdata in found)

    async def _ds(self, address: Address, child: dns.name.Name) -> _Answer:
        """What one server says. Raises `ParentUnavailable`, whatever it does instead."""
        try:
            response = await self._exchange(address, child, dns.rdatatype.DS)
            rdatas, ttl = read_ds(response, child)
            if self._anchors:
                zone = anchored_zone(self._anchors, child)
                apex = await self._exchange(address, zone, dns.rdatatype.DNSKEY)
                keys = trusted_keys(apex, self._anchors, zone, self._now())
                ttl = proven_ttl(response, child, zone, keys, self._now())
        except ParentUnavailable:
            raise
        except ValueError as error:
            raise _unavailable(address, child, dns.rdatatype.DS, str(error)) from None
        except Exception as error:  # what is read and validated is the peer's
            raise _unavailable(address, child, dns.rdatatype.DS, _said(error)) from error
        return _Answer(rdatas, ttl)

    async def _exchange(
        self, address: Address, name: dns.name.Name, rrtype: dns.rdatatype.RdataType
    ) -> dns.message.Message:
        """One query and its response; dnspython compares ID and question. Raises `ParentUnavailable`."""
        query = dns.message.make_query(name, rrtype, flags=0, want_dnssec=bool(self._anchors))
        try:
            with trio.move_on_after(self._tcp_seconds):
                return await dns.asyncquery.tcp(query, address.host, port=address.port, timeout=self._tcp_seconds)
        except Exception as error:  # a reset, an end in the middle, octets of any kind
            raise _unavailable(address, name, rrtype, _said(error)) from error
        raise _unavailable(address, name, rrtype, f"no response over TCP in {self._tcp_seconds:g} s")


def read_ds(response: dns.message.Message, child: dns.name.Name) -> tuple[tuple[bytes, ...], int]:
    """The DS rdatas in a parent's response, and their TTL; where there are none, that of the denial (RFC 2308 §5).

    Raises `ValueError` for a response that is not the parent's word.
    """
    rcode = response.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise ValueError(f"the server answered {dns.rcode.to_text(rcode)}")
    if not response.flags & dns.flags.AA:
        raise ValueError("the answer is not authoritative: name a server of the parent zone, not a resolver")
    if response.flags & dns.flags.TC:
        raise ValueError("the answer is truncated")
    found = response.get_rrset(response.answer, child, dns.rdataclass.IN, dns.rdatatype.DS)
    if found is not None:
        return tuple(rdata.to_wire() or b"" for rdata in found), found.ttl
    if response.answer:
        raise ValueError("the answer section contains no DS of this zone")
    return (), _denial_ttl(response.authority, child)


def _denial_ttl(authority: list[dns.rrset.RRset], child: dns.name.Name) -> int:
    for rrset in authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            if rrset.name == child or not child.is_subdomain(rrset.name):
                raise ValueError(f"the server answered from the zone {rrset.name}, which is not the parent")
            return min(rrset.ttl, int(rrset[0].minimum))
    raise ValueError("the negative response has no SOA record")


def _unavailable(
    address: Address, name: dns.name.Name, rrtype: dns.rdatatype.RdataType, reason: str
) -> ParentUnavailable:
    return ParentUnavailable(f"query to {address} for {name} {dns.rdatatype.to_text(rrtype)}: {reason}")


def _said(error: Exception) -> str:
    if isinstance(error, dns.exception.Timeout):
        return "no response over TCP in time"
    if isinstance(error, EOFError):
        return "the connection was closed before the response was complete"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # without the address, which is said already
    return str(error) or type(error).__name__
