"""One computation for all who ask while it runs: what strangers ask for costs no more than they could ask for alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class SharedAnswer(Generic[T]):
    """The result of `make`, computed anew for each caller, and once for all callers that wait.

    Between two computations is a pause as long as the first took: half of the time is left for all else.
    """

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._making = trio.Lock()
        self._answer: T | None = None
        self._began = float("-inf")
        self._next = float("-inf")

    async def get(self) -> T:
        """The answer as of now or later: never one that was begun before it was asked for."""
        asked = trio.current_time()
        async with self._making:
            if self._answer is None or self._began <= asked:
                await trio.sleep_until(self._next)
                self._began = trio.current_time()
                self._answer = None
                self._answer = await self._make()
                self._next = 2 * trio.current_time() - self._began
            answer = self._answer
            if not self._making.statistics().tasks_waiting:
                self._answer = None  # nobody waits for it: it may have megabytes
            return answer
