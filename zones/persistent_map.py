"""Mappings that are never changed: a changed one is made from another, and shares with it all but a small part.

Both kinds are cut into pieces, so that a change costs the copy of one piece and of the list of pieces: the square root
of the size or so, with no moment at which all is copied.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar, overload

V = TypeVar("V")
K = TypeVar("K", bytes, int)
D = TypeVar("D")

_BUCKETS = 1024
_SMALL = 2048
"""Up to here one dict is copied whole: that is as cheap."""
_BLOCK = 256
_MOST_IN_BLOCK = 2 * _BLOCK
_FEW_IN_BLOCK = _BLOCK // 4


class Persistent(Mapping[bytes, V]):
    """A mapping that makes a changed one out of itself."""

    __slots__ = ()

    @abstractmethod
    def changed(self, changes: Mapping[bytes, V | None]) -> Persistent[V]:
        """A mapping in which each key of `changes` has that value, or is not there where it is None."""

    @abstractmethod
    def differing(self, other: Mapping[bytes, V]) -> Iterator[tuple[bytes, V | None, V | None]] | None:
        """As the function `differing`; None where the two have nothing in common by which it would be faster."""


class Buckets(Persistent[V]):
    """A large mapping, its keys spread over many dicts by their hash."""

    __slots__ = ("_buckets", "_size")

    def __init__(self, buckets: tuple[dict[bytes, V], ...], size: int) -> None:
        self._buckets = buckets
        self._size = size

    @classmethod
    def of(cls, mapping: Mapping[bytes, V]) -> Buckets[V]:
        """The same entries."""
        buckets: tuple[dict[bytes, V], ...] = tuple({} for _ in range(_BUCKETS))
        for key, value in mapping.items():
            buckets[hash(key) % _BUCKETS][key] = value
        return cls(buckets, len(mapping))

    def __getitem__(self, key: bytes) -> V:
        return self._buckets[hash(key) % _BUCKETS][key]

    @overload
    def get(self, key: bytes, /) -> V | None: ...
    @overload
    def get(self, key: bytes, /, default: V | D) -> V | D: ...
    def get(self, key: bytes, default: Any = None) -> Any:
        """As a dict's."""
        return self._buckets[hash(key) % _BUCKETS].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._buckets[hash(key) % _BUCKETS]

    def __iter__(self) -> Iterator[bytes]:
        for bucket in self._buckets:
            yield from bucket

    def __len__(self) -> int:
        return self._size

    def changed(self, changes: Mapping[bytes, V | None]) -> Buckets[V]:
        """As `Persistent.changed`."""
        buckets, size = list(self._buckets), self._size
        for key, value in changes.items():
            number = hash(key) % _BUCKETS
            bucket = buckets[number]
            if bucket is self._buckets[number]:
                bucket = buckets[number] = bucket.copy()
            size -= len(bucket)
            _set(bucket, key, value)
            size += len(bucket)
        return Buckets(tuple(buckets), size)

    def differing(self, other: Mapping[bytes, V]) -> Iterator[tuple[bytes, V | None, V | None]] | None:
        """As `Persistent.differing`."""
        if not isinstance(other, Buckets):
            return None
        pairs = zip(self._buckets, other._buckets, strict=True)
        return (each for mine, theirs in pairs if mine is not theirs for each in differing(mine, theirs))


def _set(into: dict[bytes, V], key: bytes, value: V | None) -> None:
    if value is None:
        into.pop(key, None)
    else:
        into[key] = value


def persistent(mapping: Mapping[bytes, V]) -> Mapping[bytes, V]:
    """The same entries in the form from which `changed` is cheap. `mapping` must not be changed afterwards."""
    if isinstance(mapping, Persistent) or len(mapping) <= _SMALL:
        return mapping
    return Buckets.of(mapping)


def changed(mapping: Mapping[bytes, V], changes: Mapping[bytes, V | None]) -> Mapping[bytes, V]:
    """A mapping in which each key of `changes` has that value, or is not there where it is None."""
    if not changes:
        return mapping
    if isinstance(mapping, Persistent):
        return mapping.changed(changes)
    if len(mapping) > _SMALL:
        return Buckets.of(mapping).changed(changes)
    small = dict(mapping)
    for key, value in changes.items():
        _set(small, key, value)
    return small


def differing(one: Mapping[bytes, V], other: Mapping[bytes, V]) -> Iterator[tuple[bytes, V | None, V | None]]:
    """Each key that has another value in `other` than in `one`, with both, None where there is none.

    Values are compared by identity, and so are the parts that a mapping shares with what it was made from.
    """
    if one is other:
        return
    for mapping, against in ((one, other), (other, one)):
        if isinstance(mapping, Persistent) and (known := mapping.differing(against)) is not None:
            yield from known if mapping is one else ((key, before, after) for key, after, before in known)
            return
    for key, value in one.items():
        if key not in other:
            yield key, value, None
    for key, value in other.items():
        before = one.get(key)
        if before is not value:
            yield key, before, value


class SortedMap(Generic[K, V]):
    """A mapping in the order of its keys, cut into blocks."""

    __slots__ = ("_firsts", "_keys", "_values")

    def __init__(self, firsts: list[K], keys: list[list[K]], values: list[list[V]]) -> None:
        """Blocks that are not empty, and the first key of each; nothing here is changed afterwards."""
        self._firsts: list[K] = firsts
        self._keys: list[list[K]] = keys
        self._values: list[list[V]] = values

    @classmethod
    def of(cls, entries: Mapping[K, V]) -> SortedMap[K, V]:
        """The same entries."""
        ordered = sorted(entries)
        keys = [ordered[start : start + _BLOCK] for start in range(0, len(ordered), _BLOCK)]
        return cls([block[0] for block in keys], keys, [[entries[key] for key in block] for block in keys])

    def __len__(self) -> int:
        return sum(map(len, self._keys))

    def __iter__(self) -> Iterator[K]:
        for block in self._keys:
            yield from block

    def values(self) -> Iterator[V]:
        """The values in the order of their keys."""
        for block in self._values:
            yield from block

    def get(self, key: K) -> V | None:
        """What is stored under `key`."""
        number = bisect_right(self._firsts, key) - 1
        if number < 0:
            return None
        keys = self._keys[number]
        position = bisect_left(keys, key)
        return self._values[number][position] if position < len(keys) and keys[position] == key else None

    def around(self, key: K) -> tuple[V, V]:
        """The value at `key` or the last one before, and the one after that; after the last comes the first.

        `key` must not lie before the first.
        """
        number = bisect_right(self._firsts, key) - 1
        position = bisect_right(self._keys[number], key) - 1
        values = self._values[number]
        if position + 1 < len(values):
            return values[position], values[position + 1]
        following = self._values[number + 1] if number + 1 < len(self._values) else self._values[0]
        return values[position], following[0]

    def after(self, key: K) -> Iterator[tuple[K, V]]:
        """The entries behind `key`, in order."""
        number = max(bisect_right(self._firsts, key) - 1, 0)
        if not self._keys:
            return
        position = bisect_right(self._keys[number], key)
        while number < len(self._keys):
            yield from zip(self._keys[number][position:], self._values[number][position:], strict=True)
            number, position = number + 1, 0

    def last(self) -> K | None:
        """The last key; None where there is none."""
        return self._keys[-1][-1] if self._keys else None

    def changed(self, changes: Mapping[K, V | None]) -> SortedMap[K, V]:
        """A mapping in which each key of `changes` has that value, or is not there where it is None."""
        if not changes:
            return self
        made = SortedMap(self._firsts.copy(), self._keys.copy(), self._values.copy())
        shared = set(map(id, self._keys))
        for key, value in changes.items():
            made._set(key, value, shared)
        return made

    def _set(self, key: K, value: V | None, shared: set[int]) -> None:
        if not self._keys:
            if value is not None:
                self._put(0, 0, [([key], [value])])
            return
        number = max(bisect_right(self._firsts, key) - 1, 0)
        keys, values = self._keys[number], self._values[number]
        if id(keys) in shared:
            keys, values = keys.copy(), values.copy()
        position = bisect_left(keys, key)
        there = position < len(keys) and keys[position] == key
        if value is None and there:
            del keys[position], values[position]
        elif value is not None and there:
            values[position] = value
        elif value is not None:
            keys.insert(position, key)
            values.insert(position, value)
        self._put(number, number + 1, self._balanced(number, keys, values))

    def _balanced(self, number: int, keys: list[K], values: list[V]) -> list[tuple[list[K], list[V]]]:
        """What takes the place of the block `number`: nothing, itself, or two halves."""
        if not keys:
            return []
        if len(keys) > _MOST_IN_BLOCK:
            half = len(keys) // 2
            return [(keys[:half], values[:half]), (keys[half:], values[half:])]
        if len(keys) < _FEW_IN_BLOCK and number and len(self._keys[number - 1]) < _BLOCK:
            # It joins the block before it, which this leaves to be replaced by the caller's slice.
            joined = self._keys[number - 1] + keys, self._values[number - 1] + values
            self._put(number - 1, number, [joined])
            return []
        return [(keys, values)]

    def _put(self, start: int, end: int, blocks: list[tuple[list[K], list[V]]]) -> None:
        self._firsts[start:end] = [keys[0] for keys, _ in blocks]
        self._keys[start:end] = [keys for keys, _ in blocks]
        self._values[start:end] = [values for _, values in blocks]
