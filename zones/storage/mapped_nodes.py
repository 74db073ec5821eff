"""The names of an image (`zone_image`) as `zones.zone.Zone` wants them, read where they lie when asked for.

A node that is asked for is made out of its octets, in 4 µs. Answers are remembered elsewhere
(`server.query.fast.responder`), so few are; the nodes asked for last are kept here, as every answer that denies needs
the apex or so. To see whether a name is there costs 0.8 to 1.1 µs, where a dict takes 0.1, and a gap of the NSEC chain
7 µs instead of 1.1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, overload

import msgspec

from zones import names
from zones.node import Node
from zones.persistent_map import Persistent, SortedMap, changed
from zones.storage.name_hash import HashKey
from zones.storage.node_values import NodeValue, node_of
from zones.zone import Zone

D = TypeVar("D")

_KEPT = 256
"""Nodes that are kept once they are made: at most 16 MiB, were each as large as a message."""
_STRIDE = 16
"""Of so many names one has its key in memory: 4 octets a name, and four keys to make in a search."""

_as_integer: Final = int.from_bytes  # to look it up takes as long as all the rest of the hash

_GONE: Final = Node({})
"""Stands at names that a change took away."""


class Sections(NamedTuple):
    """The parts of an image behind its header. All numbers are in the machine's byte order."""

    entries: memoryview
    """Of each name, in canonical order: its length (1 octet), the name, and a `NodeValue` without it."""
    offsets: Sequence[int]
    """Where each entry begins, and behind them where the last one ends."""
    filled: memoryview
    """An octet for each name: 1 where it has RRsets, 0 at an empty non-terminal."""
    table: Sequence[int]
    """A hash table by `name_hash`, linearly probed: its place among the entries and 1; 0 is an empty slot.

    As many slots as the power of two above twice the number of names, so that most searches look at one or two, and
    none at more than `name_hash.MOST_PROBES`.
    """


class Entries:
    """What an image says of names. Shared by all mappings that were made from it."""

    def __init__(self, sections: Sections, count: int, key: HashKey, digest: bytes, octets: memoryview) -> None:
        """`count` is how many names there are, `key` the table's, `digest` that of the image, which is `octets`."""
        self.count = count
        self.digest = digest
        self.octets = octets
        self._entries = sections.entries
        self._offsets = sections.offsets
        self._filled = sections.filled
        self._table = sections.table
        self._mask = len(sections.table) - 1
        self._multiplier, self._modulus = key.multiplier, key.modulus
        self._decode = msgspec.msgpack.Decoder(NodeValue).decode
        self._kept: dict[int, Node] = {}

    def place(self, owner: bytes) -> int | None:
        """The place of a name in canonical order; None where it is not there."""
        table, offsets, entries, mask = self._table, self._offsets, self._entries, self._mask
        length = len(owner)
        slot = _as_integer(owner) * self._multiplier % self._modulus & mask
        while number := table[slot]:
            start = offsets[number - 1] + 1
            # A name ends where it says, so one is never the beginning of another.
            if entries[start : start + length] == owner:
                return number - 1
            slot = (slot + 1) & mask
        return None

    def owner(self, place: int) -> bytes:
        """The name at a place."""
        start = self._offsets[place]
        return bytes(self._entries[start + 1 : start + 1 + self._entries[start]])

    def node(self, place: int) -> Node:
        """What is at the name there."""
        node = self._kept.get(place)
        if node is None:
            start = self._offsets[place]
            octets = self._entries[start + 1 + self._entries[start] : self._offsets[place + 1]]
            node = node_of(self._decode(octets))
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[place] = node
        return node

    def is_filled(self, place: int) -> bool:
        """Whether the name there has RRsets."""
        return self._filled[place] == 1

    def filled_count(self) -> int:
        """How many names have RRsets."""
        return bytes(self._filled).count(1)


class MappedNodes(Persistent[Node]):
    """The nodes of an image, and over them those that changed since."""

    __slots__ = ("_changes", "_entries", "_size")

    def __init__(self, entries: Entries, changes: Mapping[bytes, Node] | None = None, size: int | None = None) -> None:
        self._entries = entries
        self._changes: Mapping[bytes, Node] = {} if changes is None else changes
        self._size = entries.count if size is None else size

    @property
    def image(self) -> bytes:
        """The digest of the image."""
        return self._entries.digest

    @property
    def octets(self) -> memoryview:
        """The image."""
        return self._entries.octets

    @property
    def unchanged(self) -> MappedNodes:
        """The nodes of the image alone."""
        return MappedNodes(self._entries) if self._changes else self

    def __getitem__(self, key: bytes) -> Node:
        node = self.get(key)
        if node is None:
            raise KeyError(key)
        return node

    @overload
    def get(self, key: bytes, /) -> Node | None: ...
    @overload
    def get(self, key: bytes, /, default: Node | D) -> Node | D: ...
    def get(self, key: bytes, default: Any = None) -> Any:
        """As a dict's."""
        if self._changes and (node := self._changes.get(key)) is not None:
            return node if node is not _GONE else default
        place = self._entries.place(key)
        return self._entries.node(place) if place is not None else default

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, bytes):
            return False
        if self._changes and (node := self._changes.get(key)) is not None:
            return node is not _GONE
        return self._entries.place(key) is not None

    def __iter__(self) -> Iterator[bytes]:
        changes = self._changes
        for place in range(self._entries.count):
            owner = self._entries.owner(place)
            if not changes or changes.get(owner) is not _GONE:
                yield owner
        for owner, node in changes.items():
            if node is not _GONE and self._entries.place(owner) is None:
                yield owner

    def __len__(self) -> int:
        return self._size

    def changed(self, changes: Mapping[bytes, Node | None]) -> MappedNodes:
        """As `Persistent.changed`."""
        size = self._size
        for owner, node in changes.items():
            size += (node is not None) - (owner in self)
        over = {owner: node if node is not None else _GONE for owner, node in changes.items()}
        return MappedNodes(self._entries, changed(self._changes, over), size)

    def nsec_chain(self) -> MappedChain | SortedMap[bytes, bytes]:
        """As `zones.denial.ChainedNodes`."""
        over = {names.canonical_key(owner): owner if node.rrsets else None for owner, node in self._changes.items()}
        return MappedChain(self._entries).changed(over)

    def differing(self, other: Mapping[bytes, Node]) -> Iterator[tuple[bytes, Node | None, Node | None]]:
        """As `Persistent.differing`. All nodes of another image are others: to compare takes seconds.

        Those of the same one, opened again, are the same.
        """
        if isinstance(other, MappedNodes) and other.image == self.image:
            touched = [*self._changes, *(owner for owner in other._changes if owner not in self._changes)]
            pairs = ((owner, self.get(owner), other.get(owner)) for owner in touched)
            yield from (each for each in pairs if each[1] is not each[2])
            return
        for owner, node in other.items():
            yield owner, self.get(owner), node
        for owner in self:
            if owner not in other:
                yield owner, self[owner], None


def image_digest(zone: Zone) -> bytes | None:
    """The digest of the image that a zone has its nodes of, if of any."""
    return zone.nodes.image if isinstance(zone.nodes, MappedNodes) else None


class MappedChain:
    """The NSEC chain of an image: what `Zone.chain` is elsewhere."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        places = range(0, entries.count, _STRIDE)
        self._firsts = [names.canonical_key(entries.owner(place)) for place in places]

    def around(self, key: bytes) -> tuple[bytes, bytes]:
        """As `SortedMap.around`: the name with RRsets at `key` or the last one before, and the one after that."""
        entries = self._entries
        block = (bisect_right(self._firsts, key) - 1) * _STRIDE
        within = range(block, min(block + _STRIDE, entries.count))
        place = after = block + bisect_right(within, key, key=lambda at: names.canonical_key(entries.owner(at))) - 1
        # Both steps pass empty non-terminals only: as many as a name has labels, as the last of them has RRsets below.
        while not entries.is_filled(place):
            place -= 1
        after = (after + 1) % entries.count
        while not entries.is_filled(after):
            after = (after + 1) % entries.count
        return entries.owner(place), entries.owner(after)

    def changed(self, changes: Mapping[bytes, bytes | None]) -> MappedChain | SortedMap[bytes, bytes]:
        """The chain in which the names with these keys are there, or are not where there is None."""
        entries = self._entries
        places = {key: entries.place(owner) for key, owner in changes.items() if owner is not None}
        if len(places) == len(changes) and all(p is not None and entries.is_filled(p) for p in places.values()):
            return self
        return SortedMap.of(dict(names.canonical_keys(self.values()))).changed(changes)

    def __len__(self) -> int:
        return self._entries.filled_count()

    def __iter__(self) -> Iterator[bytes]:
        return map(names.canonical_key, self.values())

    def values(self) -> Iterator[bytes]:
        """As `Chain.values`."""
        entries = self._entries
        return (entries.owner(place) for place in range(entries.count) if entries.is_filled(place))
