"""The parent zone, to the keys of a child: something that can be asked for the DS RRset, and may fail.

Who looks is handed in. A zone with no `Parent` is one of which nothing is checked.
"""

from __future__ import annotations

from typing import Protocol

from keys.rules.wanted_ds import ParentDs


class ParentUnavailable(Exception):  # noqa: N818 - it names what happened
    """The parent's DS RRset could not be looked up. The message says what was asked, of whom, and what came of it."""

    def __init__(self, message: str, seen: ParentDs | None = None) -> None:
        """`seen` is what some of its servers told while others failed: a DS that one has is in caches."""
        super().__init__(message)
        self.seen = seen


class Parent(Protocol):
    """Looks up DS RRsets."""

    async def look_up(self, origin: bytes) -> ParentDs:
        """The DS RRset of `origin` (wire form, lower case), from the parent itself. Raises `ParentUnavailable`.

        To be asked through `parent_ds_checks.look`, which bounds it and takes any other failure for that one.
        """
        ...

    async def changed(self) -> None:
        """Wait until the DS RRset may have changed since this returned last; for ever, where nobody can know."""
        ...
