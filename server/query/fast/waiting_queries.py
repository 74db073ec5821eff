"""Queries that wait to be answered, and which of them is next: pure, the moment is handed in.

What is remembered never waits. What has to be made does, where more comes than can be signed, and then it matters whose
query is answered. Below that nothing is decided: the first `IN_ORDER` that wait are answered in the order of arrival,
and do so where they were received (`server.net.udp`). Only what comes while as many wait is sorted, until nothing waits
any more:

- Queries for names that exist come first, oldest first. Those names are finitely many and their answers remembered, so
  this ends, whatever a stranger sends.
- Then all other names, newest first: of more than can be answered, the last to come are those whose clients still
  wait. Each fourth is one of these in any case, so that neither kind can keep the other waiting for ever.
- Within each kind, clients have turns by prefix (/24 of IPv4, /56 of IPv6). Where there is no more room, the oldest
  queries of the prefixes with the most go. So a flood from few prefixes fills only the turns of these.
- A query that its client has sent again (the same question; the ID may be new) is answered once, to the later one.

Nothing is answered after `OLDEST`: its client has asked again, or asks elsewhere. To let a query wait and to take it
costs 2 µs, in constant time on average: room is made for many at once. What cannot be answered is not let in, for 0.3.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

IN_ORDER = 256
"""Queries that wait in the order of arrival before any is sorted: 8 ms of signatures."""
MOST_OTHERS = 256
"""Queries for names that do not exist, or exist by a wildcard, that wait sorted."""
MOST_EXISTING = 1024
"""Queries for names that exist, likewise: a worker that has just begun remembers nothing."""
_ADMITTED = 16
"""Queries of one prefix for names that do not exist that came together and are put where many wait: more than are
made until the next come."""
OLDEST = 0.3
"""Seconds: resolvers ask again after 0.4 to 0.8."""
_TURN_OF_OTHERS = 4
_IPV4 = 4  # octets of an address
_MOST_ANSWERED = 1024


class Waiting(Protocol):
    """A query that waits."""

    @property
    def client(self) -> bytes:
        """The address that it came from, 4 or 16 octets."""

    @property
    def question(self) -> bytes:
        """The same in whatever its client sends again."""


Q = TypeVar("Q", bound=Waiting)
A = TypeVar("A")


class Dropped:
    """How many queries were left without an answer, by cause."""

    __slots__ = ("repeated", "too_many", "too_old")

    def __init__(self) -> None:
        self.too_many = 0
        """There was no room for it, or a later one took it."""
        self.too_old = 0
        """It has waited longer than `OLDEST`."""
        self.repeated = 0
        """Its client has sent it again, and that one was answered."""

    def by_cause(self) -> dict[str, int]:
        """All counts."""
        return {"too_many": self.too_many, "too_old": self.too_old, "repeated": self.repeated}


class WaitingQueries(Generic[Q]):
    """All queries of one process that wait sorted."""

    def __init__(self, dropped: Dropped) -> None:
        self._dropped = dropped
        self._existing: ByPrefix[Q] = ByPrefix(MOST_EXISTING, dropped, newest_first=False)
        self._others: ByPrefix[Q] = ByPrefix(MOST_OTHERS, dropped, newest_first=True)
        self._turn = 0
        self.count = 0
        """How many wait."""
        self.is_sorting = False
        """Whether more came than could be answered, since there last was nothing that waited. The caller sets it."""

    def put(self, query: Q, now: float, *, exists: bool) -> None:
        """Let a query wait that has come at `now` (seconds of a clock that only goes forward).

        `exists` tells whether it is for one of the finitely many names that stand in zones.
        """
        (self._existing if exists else self._others).put(query, now)
        self.count = self._existing.count + self._others.count

    def admitted(self, others: Sequence[A], client: Callable[[A], bytes]) -> Sequence[A]:
        """Of queries for names that do not exist, which came together, those that are worth being put, in their order.

        Where many wait, these are the newest of each prefix, as many as are made before the next ones come: what would
        be answered after them, or never, costs no more than a look at its address (0.3 µs, not 2).
        """
        if len(others) <= _ADMITTED or self._others.count <= MOST_OTHERS // 2:
            return others
        admitted: list[A] = []
        counts: dict[bytes, int] = {}
        for one in reversed(others):
            prefix = prefix_of(client(one))
            count = counts.get(prefix, 0)
            if count < _ADMITTED:
                counts[prefix] = count + 1
                admitted.append(one)
        self._dropped.too_many += len(others) - len(admitted)
        admitted.reverse()
        return admitted

    def take(self, now: float) -> Q | None:
        """The query to answer next, which waits no more; None where none is left."""
        self._turn = (self._turn + 1) % _TURN_OF_OTHERS
        first, second = (self._existing, self._others) if self._turn else (self._others, self._existing)
        found = first.take(now)
        if found is None:
            found = second.take(now)
        self.count = self._existing.count + self._others.count
        return found

    def take_some(self, most: int, now: float) -> list[Q]:
        """As `take`, at most so many, in the order in which they are to be answered."""
        taken: list[Q] = []
        while len(taken) < most and (query := self.take(now)) is not None:
            taken.append(query)
        return taken


def prefix_of(client: bytes) -> bytes:
    """Of an address, what has a turn of its own."""
    return client[:3] if len(client) == _IPV4 else client[:7]


class ByPrefix(Generic[Q]):
    """At most `most` queries, of which each prefix has its turn."""

    def __init__(self, most: int, dropped: Dropped, *, newest_first: bool) -> None:
        self._most = most
        self._dropped = dropped
        self._newest_first = newest_first
        self.count = 0
        """How many wait."""
        self._turns: OrderedDict[bytes, list[tuple[float, Q]]] = OrderedDict()
        """What waits by prefix, that whose turn is next first; of each the oldest first."""
        self._answered: dict[tuple[bytes, bytes], float] = {}
        """By client and question, when that query came which was answered last: what came before is its predecessor."""

    def put(self, query: Q, now: float) -> None:
        """Let `query` wait. Others may have to go."""
        if self.count == self._most:
            self._make_room()
        prefix = prefix_of(query.client)
        waiting = self._turns.get(prefix)
        if waiting is not None:
            waiting.append((now, query))
        else:
            self._turns[prefix] = [(now, query)]
        self.count += 1

    def take(self, now: float) -> Q | None:
        """The next query, which waits no more; None where none is left."""
        turns, at = self._turns, -1 if self._newest_first else 0
        while turns:
            prefix, waiting = next(iter(turns.items()))
            came, query = waiting.pop(at)
            self.count -= 1
            if waiting:
                turns.move_to_end(prefix)
            else:
                del turns[prefix]
            if now - came > OLDEST:
                self._dropped.too_old += 1
            elif self._newest_first and self._is_repeated(query, came):
                self._dropped.repeated += 1
            else:
                return query
        self._answered.clear()
        return None

    def _is_repeated(self, query: Q, came: float) -> bool:
        """Whether a later query of the same client for the same is answered; notes this one where not."""
        key = query.client, query.question
        later = self._answered.get(key)
        if later is not None and came <= later:
            return True
        if len(self._answered) >= _MOST_ANSWERED:
            self._answered.clear()
        self._answered[key] = came
        return False

    def _make_room(self) -> None:
        """Let half of the queries go: the oldest of the prefixes with the most, so that all with more keep as many."""
        turns, room = self._turns, self._most // 2
        while len(turns) > room:  # each has about one: the prefix that waits longest for its turn goes
            _, waiting = turns.popitem(last=False)
            self.count -= len(waiting)
            self._dropped.too_many += len(waiting)
        left, level = room, self._most
        for number, size in enumerate(sorted(map(len, turns.values()))):
            level = left // (len(turns) - number)
            if size > level:
                break
            left -= size
        for waiting in turns.values():
            over = len(waiting) - level
            if over > 0:
                del waiting[:over]
                self.count -= over
                self._dropped.too_many += over
