"""What one process grants its TCP clients, how much of it is taken, and what became of them. Pure.

All listeners of a process share one of these. The writer of edns-tcp-keepalive (RFC 7828) asks it for `keepalive`.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

LEAST_IDLE = 2.0
"""Seconds that a connection may be idle while all places are taken: a query that is lost on the way is sent again
after one (RFC 6298 §2.1), so a client with a bad line still has its first query answered."""
_UNIT = 0.1  # seconds, of edns-tcp-keepalive
_LONGEST_KEEPALIVE = 0xFFFF


class Limits(NamedTuple):
    """What one process grants its TCP clients."""

    connections: int = 1000
    """Open at once."""
    idle: float = 10.0
    """Seconds without a whole query, or in which the client takes next to nothing of its responses, after which a
    connection ends; fewer under load."""
    untaken: int = 32 << 20
    """Octets of responses that wait for clients, of all connections, with what the kernel may hold of them."""


class Ended(enum.StrEnum):
    """Why the server ended a connection."""

    IDLE = "idle"
    """No whole query within the time."""
    SLOW = "slow"
    """The client took next to nothing of its responses."""
    FULL = "full"
    """All places were taken: this one had done nothing for longest, and a new client has its place."""
    SHARE = "share"
    """More than half of the places were taken, and its prefix held more than its share."""
    OCTETS = "octets"
    """Too many octets waited for clients, and it had waited for longest."""
    SILENCE = "silence"
    """It sent what no DNS client sends."""


class TcpLoad:
    """The connections of one process, as numbers."""

    __slots__ = ("ended", "limits", "open", "untaken")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open = 0
        """Connections now."""
        self.untaken = 0
        """Octets held now for clients that don't take them, as `Limits.untaken` counts them."""
        self.ended = dict.fromkeys(Ended, 0)
        """Connections that the server ended, by cause."""

    @property
    def idle(self) -> float:
        """Seconds that a connection may be idle now (RFC 7766 §6.2.3: fewer while resources are short).

        As set while at most half of the places are taken; from there it falls evenly to `LEAST_IDLE`, when all are.
        """
        connections, idle = self.limits.connections, self.limits.idle
        above = 2 * self.open - connections
        if above <= 0 or idle <= LEAST_IDLE:
            return idle
        return idle - (idle - LEAST_IDLE) * min(above / connections, 1.0)

    @property
    def keepalive(self) -> int:
        """`idle` as edns-tcp-keepalive has it: in tenths of a second, at most 65,535 (RFC 7828 §3.1)."""
        return min(int(self.idle / _UNIT), _LONGEST_KEEPALIVE)
