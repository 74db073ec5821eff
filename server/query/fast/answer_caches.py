"""Caches bounded in bytes. Each is a memo of a pure function: deleting it changes only speed.

Eviction is by generations: when the young one is full it becomes the old one, and the old one is dropped whole. What is
asked for again moves up. So an insertion costs the same whether or not something has to go.

When a name changes, or a DNSKEY RRset is signed anew, what was composed for others stays: composing costs hundreds of
times what remembering does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Generic, NamedTuple, TypeVar

from server.query.cookies import Standing
from server.query.emit_to_size import Response
from server.query.sections import Placed
from zones.zoneset import ZoneSet, differences

_ENTRY_OVERHEAD = 250  # bytes: a dict slot, two bytes objects, a tuple (sys.getsizeof on CPython 3.11)
_PREMADE_OVERHEAD = 200  # bytes: three tuples more, likewise
_MOST_CHANGED = 2000
"""Names by which two sets of zones may differ, and answers of others stay."""
_MOST_FORMS = 1000
"""Forms of queries that are distinguished: ordinary traffic has dozens."""
_MOST_TRIED = 20_000
"""Keys that are tried to find the answers of changed names: beyond, it is cheaper to forget all."""

_TAGS = 1 << 16
"""Octets that tell what was offered before."""

V = TypeVar("V")


def _octets(response: Response) -> int:
    return len(response.body)


def _premade_octets(premade: Premade) -> int:
    return sum(map(len, premade.placed.records)) + _PREMADE_OVERHEAD


class Premade(NamedTuple):
    """Records of one owner with their RRSIG, ready for a section (`signed_parts`)."""

    placed: Placed
    until: int
    """The second from which another RRSIG must be served, in seconds since the epoch."""


class Cookied(NamedTuple):
    """What becomes of a query's octets behind its name, where a cookie is its only option, from one address."""

    bare: bytes
    """The same octets without the option."""
    room: int
    """Octets that the response without it may have, and without its ID."""
    suffix: bytes
    """The option for the response behind its length: what takes the place of the length of no options."""
    until: int
    """The second from which this must be worked out anew, in seconds since the epoch."""
    standing: Standing


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
        """How often something new was made, to be stored: the look-ups that found nothing."""

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

    def forget_all_with(self, octets: bytes) -> None:
        """Forget what is stored under keys with these octets in them: 0.1 µs for each key that is looked at."""
        for key in [key for kept in (self.young, self._old) for key in kept if octets in key]:
            self.pop(key)

    def pop(self, key: bytes) -> None:
        """Forget what is stored under `key`, if anything is."""
        value = self.young.pop(key, None)
        if value is not None:
            self._used -= len(key) + self._weigh(value) + _ENTRY_OVERHEAD
        self._old.pop(key, None)


class Denials(Generations[Response]):
    """Responses to names that do not exist. Random ones come once and are not worth their place: what is offered a
    second time is kept (0.4 µs of 27.5 less for a name that comes once).
    """

    __slots__ = ("_tags",)

    def __init__(self, budget: int) -> None:
        super().__init__(budget, _octets)
        self._tags = bytearray(_TAGS)
        """By a part of a key's hash, another part of what was offered last."""

    def offer(self, key: bytes, response: Response) -> None:
        """Store `response` if, as far as can be told, it was offered before."""
        mark = hash(key)
        place, tag = mark % _TAGS, mark // _TAGS & 0xFF
        if self._tags[place] == tag:
            self.put(key, response)
        else:
            self._tags[place] = tag
            self.stored += 1


class Answers(Generations[V]):
    """Answers of names that exist, which outlive the changes of other names.

    A key is a name within what else tells queries apart, its form. Forms are few, so the answers of a name are found by
    trying each. Where there are too many, any change forgets all. Answers that depend on more than their name's node
    are entangled: they go with any change.
    """

    __slots__ = ("_entangled", "_entangled_before", "_forms")

    def __init__(self, budget: int, weigh: Callable[[V], int]) -> None:
        super().__init__(budget, weigh)
        self._forms: set[tuple[bytes, bytes]] = set()
        self._entangled: set[bytes] = set()
        self._entangled_before: set[bytes] = set()
        """Of the old generation; those of the young may be among them."""

    def keep(self, before: bytes, name: bytes, behind: bytes, value: V, *, alone: bool) -> None:
        """Store `value` under the three parts of a key.

        `alone` says that it follows from the node at `name` and the zone's keys.
        """
        key = b"".join((before, name, behind))
        if len(self._forms) < _MOST_FORMS:
            self._forms.add((before, behind))
        if not alone:
            self._entangled.add(key)
        self.put(key, value)

    def is_alone(self, key: bytes) -> bool:
        """Whether what is stored under `key` follows from one node and the zone's keys."""
        return key not in self._entangled and key not in self._entangled_before

    def forget_names(self, changed: Collection[bytes]) -> None:
        """Forget what other nodes at these names may alter."""
        if len(self._forms) == _MOST_FORMS or len(self._forms) * len(changed) > _MOST_TRIED:
            self.clear()
            return
        for key in self._entangled | self._entangled_before:
            self.pop(key)
        self._entangled, self._entangled_before = set(), set()
        for before, behind in self._forms:
            for name in changed:
                self.pop(b"".join((before, name, behind)))

    def forget_entangled(self, octets: bytes) -> None:
        """Forget what depends on more than one node, of keys with these octets in them."""
        for key in [key for key in self._entangled | self._entangled_before if octets in key]:
            self.pop(key)
            self._entangled.discard(key)
            self._entangled_before.discard(key)

    def clear(self) -> None:
        """Forget all."""
        super().clear()
        self._forms, self._entangled, self._entangled_before = set(), set(), set()

    def _put(self, key: bytes, value: V) -> None:
        young = self.young
        if key in self._entangled_before:
            self._entangled.add(key)
        super()._put(key, value)
        if self.young is not young:
            self._entangled, self._entangled_before = self._entangled & self.young.keys(), self._entangled


class Caches:
    """The caches of one process that answers.

    Answers are good for one set of zones, to which belongs how each zone denies. Where the next set differs in nodes
    alone, answers of other names stay; where a zone denies in another way, all but its denials and expansions; and else
    they are dropped. Signatures are keyed by content and always stay. Answers of names that do not exist are kept
    apart: random names must not evict what is asked for.
    """

    def __init__(self, budget: int = 128 << 20) -> None:
        """`budget` in bytes, over all caches."""
        self.packets: Answers[tuple[bytes, int]] = Answers(budget // 4, lambda packet: len(packet[0]))
        """Whole responses behind the ID, and until when, by the query's octets behind the ID (`responder`)."""
        self.stream_packets: Answers[tuple[bytes, int]] = Answers(budget // 16, lambda packet: len(packet[0]))
        """The same over TCP."""
        self.answers: Answers[Response] = Answers(budget * 3 // 16, _octets)
        self.denials = Denials(budget // 16)
        self.signatures: Generations[bytes] = Generations(budget // 8, len)
        """Signatures by content (`zones.live_signing`)."""
        self.negative_soas: dict[bytes, Premade] = {}
        """The SOA of denials with its RRSIG, by origin: as many as there are zones."""
        self.gaps: Generations[Premade] = Generations(budget // 8, _premade_octets)
        """NSEC records of chains with their RRSIGs, by owner and origin."""
        self.wildcard_gaps: Generations[tuple[bytes, bytes]] = Generations(budget // 32, lambda gap: len(gap[0]))
        """The gap in a chain that holds the wildcard below a name, by that name."""
        self.chain_denials: Generations[Response] = Generations(budget // 16, _octets)
        """Responses by the gaps that they show, and the length of the name asked for (`absent_names`)."""
        self.cookies: Generations[Cookied] = Generations(budget // 32, lambda cookied: len(cookied.suffix))
        """What becomes of cookies, by the client's address and its query's octets behind the name (`responder`)."""
        self.stream_cookies: Generations[Cookied] = Generations(budget // 128, lambda cookied: len(cookied.suffix))
        """The same over TCP."""
        self._zoneset: ZoneSet | None = None

    def for_zoneset(self, zoneset: ZoneSet, now: int) -> None:
        """Forget what is not so in this set of zones at `now`."""
        if zoneset is not self._zoneset:
            before = self._zoneset
            found = differences(before, zoneset, _MOST_CHANGED, now) if before is not None else None
            self._zoneset = zoneset
            if found is None:
                self.forget_answers()
                return
            if found.names:
                for answers in (self.packets, self.stream_packets, self.answers):
                    answers.forget_names(found.names)
                self._forget_denials()
                return
            for origin in found.denied_otherwise:
                self._forget_denials_of(origin)

    def forget_answers(self) -> None:
        """Forget all but signatures, which are keyed by the window they are for."""
        self.packets.clear()
        self.stream_packets.clear()
        self.answers.clear()
        self._forget_denials()

    def _forget_denials_of(self, origin: bytes) -> None:
        """Forget what the zone `origin` says by way of its denial: that names or types are not there, and expansions.

        What stands at a name, the SOA, and gaps in the zone's chain are the same however the zone denies.
        """
        for answers in (self.packets, self.stream_packets, self.answers):
            answers.forget_entangled(origin)
        self.denials.forget_all_with(origin)

    def _forget_denials(self) -> None:
        # Each shows the SOA, whose serial moves with every change.
        self.denials.clear()
        self.negative_soas.clear()
        self.gaps.clear()
        self.wildcard_gaps.clear()
        self.chain_denials.clear()
