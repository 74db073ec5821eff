"""How the cost of work grows with its size, on whatever machine and however busy: a ratio, never a time."""

from __future__ import annotations

import time
from collections.abc import Callable

_ROUNDS = 7


def growth(small: Callable[[], object], large: Callable[[], object], *, rounds: int = _ROUNDS) -> float:
    """How many times what `small` costs `large` costs, by the processor time of this process.

    They are measured in turn, and of each the least counts: whatever else goes on only adds to it.
    """
    costs = [(_cost(small), _cost(large)) for _ in range(rounds)]
    return min(cost for _, cost in costs) / min(cost for cost, _ in costs)


def _cost(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
