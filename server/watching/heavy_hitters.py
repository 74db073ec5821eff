"""The most frequent of any number of keys, in bounded memory (Misra and Gries 1982). Pure.

A tally holds at most twice as many keys as it keeps. When there are more, it forgets all but `kept`, and takes from
each of these the count of the most frequent that it forgets. So a count is never too high, and too low by `lost` at
most; and `lost` is at most total / (kept + 1), whatever comes in whatever order, since each one of it was taken from
`kept` + 1 keys at once. Two tallies can be merged, with the same bound for the sum (Agarwal et al. 2012, Mergeable
Summaries), so that workers and minutes are added up.

The libraries that do this (Apache DataSketches) would bring a compiled module into each process that answers, for these
thirty lines.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Frequent(NamedTuple):
    """One key, and how often it was counted."""

    key: bytes
    at_least: int
    at_most: int


class Tally(msgspec.Struct, array_like=True):
    """Counts by key."""

    kept: int
    """Keys that are not forgotten; twice as many are held."""
    counts: dict[bytes, int] = {}
    lost: int = 0
    """By how much a count may be too low; that of a key that is not here among them."""
    total: int = 0

    def add(self, key: bytes, weight: int = 1) -> None:
        """Count a key `weight` times."""
        counts = self.counts
        counts[key] = counts.get(key, 0) + weight
        self.total += weight
        if len(counts) > 2 * self.kept:
            self._forget()

    def merge(self, other: Tally) -> None:
        """Add what another tally has counted."""
        counts = self.counts
        for key, count in other.counts.items():
            counts[key] = counts.get(key, 0) + count
        self.lost += other.lost
        self.total += other.total
        if len(counts) > 2 * self.kept:
            self._forget()

    def top(self, most: int) -> list[Frequent]:
        """The most frequent keys, first the most frequent of all."""
        ordered = sorted(self.counts.items(), key=_by_count)[:most]
        return [Frequent(key, count, min(count + self.lost, self.total)) for key, count in ordered]

    def _forget(self) -> None:
        cut = sorted(self.counts.values(), reverse=True)[self.kept]
        self.counts = {key: count - cut for key, count in self.counts.items() if count > cut}
        self.lost += cut


def _by_count(item: tuple[bytes, int]) -> tuple[int, bytes]:
    return -item[1], item[0]
