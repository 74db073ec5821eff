"""What clients of an HTTP listener may take of this process: connections, octets, time, turns.

All of it is bounded before anybody knows who a client is. Who has signed a request is known from then on, and waits no
longer for strangers; nobody but the users of this machine reaches a listener whose clients are trusted from the start.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

import trio

HEAD_WITHIN = 10.0
"""Seconds in which a request's line and headers must be here, from their first octet or from the connection's start."""
KEEP_ALIVE = 60.0
"""Seconds for which a connection may be idle between requests."""
BODY_WITHIN = 60.0
"""Seconds in which the body of a request must be here."""
TAKEN_WITHIN = 10.0
"""Seconds in which a client must take an answer, beside those for its size."""
SLOWEST = 64 << 10
"""Octets of an answer that a client must take in a second."""
LINGER = 2.0
"""Seconds for which the rest of a request is read after its refusal: closing at once could destroy the answer."""
LARGEST_REST = 256 << 10
"""Octets that are read, and forgotten, of a request that was refused."""

LONGEST_HEAD = 16 << 10
"""Octets of a request's line and headers."""
MOST_HEADERS = 100
"""Headers of a request."""
STRANGERS_GAP = 0.004
"""Seconds between the starts of two requests of clients who have not signed any yet: a tenth of a processor at most."""
_IPV6_PREFIX = 56
"""Bits of an IPv6 address that stand for one client."""


class Limits(NamedTuple):
    """What differs between listeners."""

    connections: int = 128
    """At one time."""
    bodies: int = 8 << 20
    """Octets of requests' bodies, over all connections: a few of the largest there are."""
    trusted: bool = False
    """Whether all clients are trusted, as on a socket that only its owner can open. Bodies may then come
    without a length in advance, and may be as long as the application allows.
    """
    hosts: frozenset[str] | None = None
    """Names by which the listener may be called, in lower case, beside localhost and addresses; `None`: by any."""
    signed: bool = True
    """Whether requests with a signature need no allowed host: a web page that was led here by DNS can't sign."""


class Turns:
    """Whose request is looked at next. Others, queries over UDP among them, are answered between any two."""

    def __init__(self) -> None:
        self._one_at_a_time = trio.Lock()
        self._strangers = trio.Lock()
        self._next_stranger = float("-inf")

    async def wait(self) -> None:
        """Let one request of a listener begin in each pass of trio's loop, in the order in which they came."""
        async with self._one_at_a_time:
            pass

    async def wait_as_stranger(self) -> None:
        """As `wait`, and `STRANGERS_GAP` after the stranger before."""
        async with self._strangers:
            await trio.sleep_until(self._next_stranger)
            self._next_stranger = trio.current_time() + STRANGERS_GAP
        await self.wait()


def may_be_called(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header names an address, localhost, or one of `names` (lower case, without last dots)."""
    host = host.strip().lower()
    name, bracket, port = host.removeprefix("[").partition("]") if host.startswith("[") else (host, "", "")
    if not bracket:
        name, _, port = host.partition(":")
    elif port:
        port = port.removeprefix(":") if port.startswith(":") else "none"
    if port and not (port.isascii() and port.isdigit()):
        return False
    if not bracket and (name.removesuffix(".") == "localhost" or name.removesuffix(".") in names):
        return True
    try:
        return ip_address(name).version == (6 if bracket else 4)
    except ValueError:
        return False


def client_of(address: object) -> str:
    """Whom a peer's address stands for: an IPv4 address, 56 bits of an IPv6 address, or this machine's user."""
    if not isinstance(address, tuple):
        return ""
    host = str(address[0]).partition("%")[0]
    if ":" not in host:
        return host
    return (int(ip_address(host)) >> (128 - _IPV6_PREFIX)).to_bytes(_IPV6_PREFIX // 8).hex()
