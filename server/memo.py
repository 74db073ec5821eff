"""Caches bounded in bytes. Each is a memo of a pure function: deleting it changes only speed.

Eviction is by generations: when the young one is full it becomes the old one, and the old one is dropped whole. What is
asked for again moves up. So an insertion costs the same whether or not something has to go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from zones.zoneset import ZoneSet

_ENTRY_OVERHEAD = 250  # bytes: a dict slot, two bytes objects, a tuple (sys.getsizeof on CPython 3.11)

V = TypeVar("V")


class Response(NamedTuple):
    """A response without its ID and its question, which are the client's own."""

    head: bytes
    """Flags and counts: the ten octets between ID and question."""
    body: bytes
    """All that follows the question."""
    until: int
    """The second from which this must not be served any more, since an RRSIG in it makes room for the next."""


def _octets(response: Response) -> int:
    return len(response.body)


def _gap_octets(gap: tuple[bytes, bytes, int]) -> int:
    return len(gap[0]) + len(gap[1])


class Generations(Generic[V]):
    """A mapping from bytes that holds at most `budget` bytes, by its own reckoning."""

    __slots__ = ("_budget", "_old", "_used", "_weigh", "stored", "young")

    def __init__(self, budget: int, weigh: Callable[[V], int]) -> None:
        """`weigh` gives the bytes that a value holds."""
        self._budget = budget // 2
        self._weigh = weigh
        self._used = 0
        self.young: dict[bytes, V] = {}
        """What was stored last; for a reader that cannot spare the call of `get`."""
        self._old: dict[bytes, V] = {}
        self.stored = 0
        """How often something new was stored: the look-ups that found nothing."""

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def get(self, key: bytes) -> V | None:
        """What is stored under `key`."""
        value = self.young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self._put(key, value)  # what moves up weighs as much as what is new, or the young would have no bound
        return value

    def put(self, key: bytes, value: V) -> None:
        """Store `value`."""
        self.stored += 1
        self._put(key, value)

    def _put(self, key: bytes, value: V) -> None:
        weight = len(key) + self._weigh(value) + _ENTRY_OVERHEAD
        self._used += weight
        if self._used > self._budget:
            self._old = self.young
            self.young = {}
            self._used = weight
        self.young[key] = value

    def clear(self) -> None:
        """Forget all."""
        self.young, self._old, self._used = {}, {}, 0


class Memo:
    """The caches of one process that answers.

    Answers are good for one set of zones and are dropped with it; signatures are keyed by content and stay. Answers of
    names that do not exist are kept apart: random names must not evict what is asked for.
    """

    def __init__(self, budget: int = 128 << 20) -> None:
        """`budget` in bytes, over all caches."""
        self.packets: Generations[tuple[bytes, int]] = Generations(budget // 4, lambda packet: len(packet[0]))
        """Whole responses behind the ID, and until when, by the query's octets behind the ID (`server.hot`)."""
        self.stream_packets: Generations[tuple[bytes, int]] = Generations(budget // 16, lambda packet: len(packet[0]))
        """The same over TCP."""
        self.answers: Generations[Response] = Generations(budget * 3 // 16, _octets)
        self.denials: Generations[Response] = Generations(budget // 16, _octets)
        self.signatures: Generations[bytes] = Generations(budget // 8, len)
        """Signatures by content (`zones.signing`)."""
        self.negatives: dict[bytes, tuple[tuple[bytes, ...], int]] = {}
        """The SOA and RRSIG of denials, and until when, by origin: as many as there are zones."""
        self.gaps: Generations[tuple[bytes, bytes, int]] = Generations(budget // 8, _gap_octets)
        """NSEC records of chains with their RRSIGs, and until when, by owner and origin."""
        self.wildcard_gaps: Generations[tuple[bytes, bytes]] = Generations(budget // 32, lambda gap: len(gap[0]))
        """The gap in a chain that holds the wildcard below a name, by that name."""
        self.chain_denials: Generations[Response] = Generations(budget // 16, _octets)
        """Responses by the gaps that they show, and the length of the name asked for (`server.fresh_denial`)."""
        self._zoneset: ZoneSet | None = None

    def for_zoneset(self, zoneset: ZoneSet) -> None:
        """Forget the answers of any other set of zones."""
        if zoneset is not self._zoneset:
            self.forget_answers()
            self._zoneset = zoneset

    def forget_answers(self) -> None:
        """Forget all but signatures, which are keyed by the window they are for."""
        self.packets.clear()
        self.stream_packets.clear()
        self.answers.clear()
        self.denials.clear()
        self.negatives.clear()
        self.gaps.clear()
        self.wildcard_gaps.clear()
        self.chain_denials.clear()
