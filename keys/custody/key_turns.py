"""Turns to sign, by the KMS key: many zones may share one, and a slow one must not take the turns of all others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import trio


@dataclass
class _Key:
    """One key that is used, or waited for."""

    turns: trio.CapacityLimiter
    users: int = 0


class KeyTurns:
    """Bounds how many zones have signatures of one key made at a time. What waits here holds nobody else's turn."""

    def __init__(self, each: int) -> None:
        """`each` key is used for so many zones at a time."""
        self._each = each
        self._keys: dict[str, _Key] = {}

    @asynccontextmanager
    async def of(self, arns: Iterable[str | None]) -> AsyncIterator[None]:
        """Have a turn of each of these keys."""
        async with AsyncExitStack() as held:
            # In one order for all, or two zones could wait for each other.
            for arn in sorted({arn for arn in arns if arn is not None}):
                await held.enter_async_context(self._of(arn))
            yield

    @asynccontextmanager
    async def _of(self, arn: str) -> AsyncIterator[None]:
        key = self._keys.setdefault(arn, _Key(trio.CapacityLimiter(self._each)))
        key.users += 1
        try:
            async with key.turns:
                yield
        finally:
            key.users -= 1
            if not key.users:
                del self._keys[arn]
