"""The parent zone, as far as a child's keys depend on it: which DS records it holds, and how long caches keep them.

Who looks is handed in. A zone with no `Parent` is one of which nothing is checked.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class ParentUnavailable(Exception):  # noqa: N818 - it names what happened
    """The parent's DS RRset could not be looked up. The message says what was asked, of whom, and what came of it."""


class ParentDs(NamedTuple):
    """The DS RRset of a zone, as every authoritative server of its parent that was asked has it."""

    rdatas: tuple[bytes, ...]
    """DS rdata (RFC 4034 §5.1); none where the parent says that there is no DS."""
    ttl: int
    """Seconds for which a cache keeps this answer: of the RRset, or of its denial."""
    seen_at: int
    """When it was looked at, in seconds since the epoch."""
    known: bool = True
    """Whether there is a parent to look at; without one, a DS may be there that nobody here knows of."""


class Parent(Protocol):
    """Looks up DS RRsets."""

    async def look_up(self, origin: bytes) -> ParentDs:
        """The DS RRset of `origin` (wire form, lower case), from the parent itself. Raises `ParentUnavailable`."""
        ...

    async def changed(self) -> None:
        """Wait until the DS RRset may have changed since this returned last; for ever, where nobody can know."""
        ...
