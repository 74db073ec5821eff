"""The errors and warnings that a check of files has found: the first hundred of each file, and how many more."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

MOST_TOLD = 100
"""Errors reported per file, and warnings."""


class Finding(NamedTuple):
    """An error or a warning."""

    file: str
    line: int
    """0 where no single line is at fault."""
    severity: str
    """`error` or `warning`."""
    code: str
    """The kind, for programs."""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}" if self.severity == "error" else f"{place}: warning: {self.message}"


class FoundFaults:
    """Keeps the first findings of each file, by line; the memory that it takes depends on nothing else."""

    def __init__(self, severity: str) -> None:
        self._severity = severity
        self._kept: dict[str, list[tuple[int, int, str, str]]] = {}
        """By file, a heap with the last line on top: line and number of the finding, both negative, code, message."""
        self._more: dict[str, int] = {}
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._kept)

    def wants(self, file: str, line: int) -> bool:
        """Whether a finding on this line would be told, and not only be counted."""
        kept = self._kept.get(file, [])
        return len(kept) < MOST_TOLD or -line > kept[0][0]

    def take(self, file: str, line: int, code: str, message: str) -> None:
        """Take a finding."""
        kept = self._kept.setdefault(file, [])
        self._number += 1
        entry = (-line, -self._number, code, message)
        if len(kept) < MOST_TOLD:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
            self._more[file] = self._more.get(file, 0) + 1

    def told(self) -> Iterator[Finding]:
        """By file and line; behind those of a file, how many more it has."""
        for file in sorted(self._kept):
            for line, _, code, message in sorted(self._kept[file], reverse=True):
                yield Finding(file, -line, self._severity, code, message)
            if more := self._more.get(file):
                yield Finding(file, 0, self._severity, "more", f"and {more} more")
