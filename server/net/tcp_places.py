"""Who holds the places for TCP clients, and whose place a new client gets (RFC 7766 §6.2.2, RFC 9210 §4.2). Pure.

No client is refused. While at most half of the places are taken, anybody may have any number of them. Above that, each
/32 (IPv4) or /56 (IPv6), which is what one customer has, may hold a tenth: a new connection of a prefix that holds as
many takes the place of the one among its own that has done nothing for longest. Where all places are taken, the one
that has done nothing for longest goes, of the prefix that holds most of them.

Each of these takes a time that does not depend on how many connections there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from socket import AF_INET, AF_INET6, inet_pton
from typing import Generic, Protocol, TypeVar

from server.net.tcp_load import Ended

_SHARE = 10  # a prefix may hold one in so many places
_CUSTOMER = 7  # octets: a /56 of IPv6, which one customer has, and all of an IPv4 address


class Holder(Protocol):
    """A connection, as it is known here."""

    prefix: bytes
    since: float
    """When it last did something that counts; set by `Places`."""


Held = TypeVar("Held", bound=Holder)


def packed(host: str) -> bytes:
    """An address as a socket gives it, in 4 or 16 octets."""
    return inet_pton(AF_INET6, host.partition("%")[0]) if ":" in host else inet_pton(AF_INET, host)


def prefix_of(address: bytes) -> bytes:
    """What counts as one client of an address of 4 or 16 octets."""
    return address[:_CUSTOMER]


class Places(Generic[Held]):
    """All connections, from the one that has done nothing for longest to the one that did something last."""

    def __init__(self, connections: int) -> None:
        """`connections` is how many there may be."""
        self._connections = connections
        self._share = max(1, connections // _SHARE)
        self._all: OrderedDict[Held, None] = OrderedDict()
        self._of: dict[bytes, OrderedDict[Held, None]] = {}
        """By prefix, in the same order."""
        self._holding: dict[int, dict[bytes, None]] = {}
        """Prefixes by how many places they hold."""
        self._most = 0
        """How many the prefix holds that holds most."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._all)

    def oldest(self) -> Held | None:
        """The one that has done nothing for longest."""
        return next(iter(self._all), None)

    def must_go(self, prefix: bytes) -> tuple[Held, Ended] | None:
        """Who has to go before a new connection of `prefix` is taken, if anybody, and why.

        Asked again after each that went. A prefix that came by more than its share while there was room has to give
        them up one by one: the accepting task asks twice, so that each new connection takes two from it.
        """
        taken = len(self._all)
        own = self._of.get(prefix)
        if own is not None and len(own) >= self._share and 2 * taken > self._connections:
            return next(iter(own)), Ended.SHARE
        if taken < self._connections:
            return None
        # Where everybody holds one, that is nobody's fault.
        among = self._of[next(iter(self._holding[self._most]))] if self._most > 1 else self._all
        return next(iter(among)), Ended.FULL

    def take(self, one: Held, now: float) -> None:
        """A new connection, which has a prefix already."""
        one.since = now
        self._all[one] = None
        own = self._of.get(one.prefix)
        if own is None:
            own = self._of[one.prefix] = OrderedDict()
        own[one] = None
        self._counted(one.prefix, len(own) - 1, len(own))

    def renew(self, one: Held, now: float) -> None:
        """It did something that counts."""
        one.since = now
        self._all.move_to_end(one)
        self._of[one.prefix].move_to_end(one)

    def leave(self, one: Held) -> None:
        """It has ended."""
        del self._all[one]
        own = self._of[one.prefix]
        del own[one]
        self._counted(one.prefix, len(own) + 1, len(own))
        if not own:
            del self._of[one.prefix]

    def _counted(self, prefix: bytes, before: int, after: int) -> None:
        if before:
            holders = self._holding[before]
            del holders[prefix]
            if not holders:
                del self._holding[before]
                if before == self._most and after < before:
                    self._most = after  # whatever it held, nobody else holds as much
        if after:
            self._holding.setdefault(after, {})[prefix] = None
            self._most = max(self._most, after)
