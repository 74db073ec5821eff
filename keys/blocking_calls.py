"""A call that blocks: in a thread in production, direct under a virtual clock, which leaps while a thread runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class RunBlocking(Protocol):
    """Calls something that blocks: `trio.to_thread.run_sync`, or a direct call in a test or simulation."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]:
        """Call it, and give what it returns; its exceptions are raised."""
        ...
