"""The parent zone, asked for the DS RRset of a child: over the network, or in the zones that are served here.

A parent is asked at one of its authoritative servers, never through a resolver: what a cache holds is neither what the
parent holds now, nor has it the TTL that other caches will count from. So an answer without AA tells nothing. Nor does
one of a server that has only the child: its denial of a DS is the child's, and carries the child's SOA.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

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
from server.net.addresses import Address
from server.settings.configuration import LOCAL, Where
from zones import names
from zones.parent_child import delegation_point
from zones.rrtypes import TYPE_DS, TYPE_NS
from zones.zoneset import ServedZone, ZoneSet

_UDP_TRIES = 2
_UDP_SECONDS = 3.0
_TCP_SECONDS = 10.0


def parent_for(
    where: Where, zoneset: Callable[[], ZoneSet], now: Callable[[], float]
) -> RemoteParent | LocalParent | None:
    """Who looks up the DS as the zone's setting says; `None` where nothing is to be checked."""
    match where:
        case None:
            return None
        case "auto" | "local":
            return LocalParent(zoneset, now, required=where == LOCAL)
        case _:
            return RemoteParent(where, now)


class RemoteParent:
    """A parent zone at one of its authoritative servers: by UDP, and by TCP where that was truncated or lost."""

    def __init__(
        self,
        address: Address,
        now: Callable[[], float],
        *,
        udp_seconds: float = _UDP_SECONDS,
        tcp_seconds: float = _TCP_SECONDS,
    ) -> None:
        """`now` is the wall clock. The others bound one try, in seconds."""
        self._address = address
        self._now = now
        self._udp_seconds = udp_seconds
        self._tcp_seconds = tcp_seconds

    async def look_up(self, origin: bytes) -> ParentDs:
        """As `Parent.look_up`."""
        child = dns.name.from_wire(origin, 0)[0]
        if child == dns.name.root:
            raise ParentUnavailable("the root zone has no parent")
        response = await self._ask(dns.message.make_query(child, dns.rdatatype.DS))
        try:
            rdatas, ttl = read_ds(response, child)
        except ValueError as error:
            raise self._unavailable(child, str(error)) from None
        return ParentDs(rdatas, ttl, ceil(self._now()))

    async def changed(self) -> None:
        """As `Parent.changed`: nobody can know."""
        await trio.sleep_forever()

    async def delegation(self, origin: bytes) -> frozenset[bytes] | None:
        """The name servers that the parent zone delegates the child to (wire form, lower case); `None`: it doesn't.

        A server that has the child too tells the child's own, and so `None`. Raises `ParentUnavailable`.
        """
        child = dns.name.from_wire(origin, 0)[0]
        response = await self._ask(dns.message.make_query(child, dns.rdatatype.NS))
        if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise self._unavailable(child, f"it answered {dns.rcode.to_text(response.rcode())}")
        found = response.get_rrset(response.authority, child, dns.rdataclass.IN, dns.rdatatype.NS)
        if found is None:
            return None
        return frozenset(rdata.target.canonicalize().to_wire() or b"" for rdata in found)

    async def _ask(self, query: dns.message.Message) -> dns.message.Message:
        """The response; dnspython compares ID, question, and where it came from, and waits on for what fits."""
        host, port = self._address
        for _ in range(_UDP_TRIES):
            try:
                return await dns.asyncquery.udp(
                    query,
                    host,
                    port=port,
                    timeout=self._udp_seconds,
                    ignore_unexpected=True,
                    ignore_errors=True,
                    raise_on_truncation=True,
                )
            except dns.message.Truncated:
                break
            except (dns.exception.DNSException, OSError):
                continue  # what gets no answer may get one by TCP, which tells more when it fails
        try:
            return await dns.asyncquery.tcp(query, host, port=port, timeout=self._tcp_seconds)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise self._unavailable(query.question[0].name, _said(error)) from None

    def _unavailable(self, child: dns.name.Name, reason: str) -> ParentUnavailable:
        return ParentUnavailable(f"{self._address} was asked for {child} DS: {reason}")


class LocalParent:
    """A parent zone that is served by this process: what it answers now, with the DS records it has by itself."""

    def __init__(self, zoneset: Callable[[], ZoneSet], now: Callable[[], float], *, required: bool = True) -> None:
        """Without `required`, a zone whose parent isn't served here is one whose parent nobody knows."""
        self._zoneset = zoneset
        self._now = now
        self._required = required
        self._changed = trio.Event()

    async def look_up(self, origin: bytes) -> ParentDs:
        """As `Parent.look_up`."""
        served = self._served(origin)
        if served is None:
            if not self._required:
                return ParentDs((), 0, ceil(self._now()), known=False)
            raise ParentUnavailable(f"no parent zone of {names.to_text(origin)} is served here")
        if TYPE_NS not in served.zone.nodes[served.zone.origin].rrsets:
            raise ParentUnavailable(f"the parent zone {names.to_text(served.zone.origin)} could not be loaded")
        node = served.zone.nodes.get(origin)
        rrset = node.rrsets.get(TYPE_DS) if node is not None else None
        seen_at = ceil(self._now())
        if rrset is None:
            return ParentDs((), served.zone.negative_ttl, seen_at)
        return ParentDs(tuple(rrset.canonical), rrset.ttl, seen_at)

    def is_asked(self, origin: bytes) -> bool:
        """Whether anything is to be learned here, or refused for want of it."""
        return self._required or self._served(origin) is not None

    async def changed(self) -> None:
        """As `Parent.changed`, for one who waits."""
        await self._changed.wait()
        self._changed = trio.Event()

    def tell_changed(self) -> None:
        """To be told after the zone above was replaced."""
        self._changed.set()

    async def delegation(self, origin: bytes) -> frozenset[bytes] | None:
        """As `RemoteParent.delegation`; a parent that isn't served here delegates nothing."""
        served = self._served(origin)
        node = served.zone.nodes.get(origin) if served is not None else None
        rrset = node.rrsets.get(TYPE_NS) if node is not None else None
        return frozenset(rrset.canonical) if rrset is not None else None

    def _served(self, origin: bytes) -> ServedZone | None:
        """The zone above `origin`; `None` also where that has delegated what lies between to somebody else."""
        served = self._zoneset().find(origin, TYPE_DS)
        if served is None or served.zone.origin == origin:
            return None
        return served if delegation_point(served.zone, names.parent(origin)) is None else None


def read_ds(response: dns.message.Message, child: dns.name.Name) -> tuple[tuple[bytes, ...], int]:
    """The DS rdatas in a parent's response, and their TTL; where there are none, that of the denial (RFC 2308 §5).

    Raises `ValueError` for a response that is not the parent's word.
    """
    rcode = response.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise ValueError(f"it answered {dns.rcode.to_text(rcode)}")
    if not response.flags & dns.flags.AA:
        raise ValueError("the answer is not authoritative: name a server of the parent zone, not a resolver")
    found = response.get_rrset(response.answer, child, dns.rdataclass.IN, dns.rdatatype.DS)
    if found is not None:
        return tuple(rdata.to_wire() or b"" for rdata in found), found.ttl
    if response.answer:
        raise ValueError("the answer holds something else")
    return (), _denial_ttl(response.authority, child)


def _denial_ttl(authority: list[dns.rrset.RRset], child: dns.name.Name) -> int:
    for rrset in authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            if rrset.name == child or not child.is_subdomain(rrset.name):
                raise ValueError(f"it answered from the zone {rrset.name}, which is not the parent")
            return min(rrset.ttl, int(rrset[0].minimum))
    raise ValueError("it denied the DS without an SOA record")


def _said(error: Exception) -> str:
    if isinstance(error, dns.exception.Timeout):
        return "no answer by UDP or TCP"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
