"""Requests that were overheard: a signature is good for a quarter of an hour, but changes something only for seconds.

Two changes with the same signature may both be meant: an SDK that makes the same call twice within a second signs the
same, since it signs the time in seconds and no random id. What comes later under the same signature is a replay, as
every new try is signed anew. To read twice does no harm, so only changes are remembered.
"""

from __future__ import annotations

GRACE = 5.0
"""Seconds after which no client sends what it signed within the same second."""
MOST = 100_000
"""Signatures remembered of each generation; while there are as many, changes are refused."""


class Replays:
    """The signatures of the changes of a while, with the times they first came, in two generations."""

    def __init__(self, lasting: float, now: float) -> None:
        """`lasting` is how long a signature is accepted, in seconds from the earliest moment. `now` is monotonic."""
        self._lasting = lasting
        self._began = now
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    @property
    def is_full(self) -> bool:
        """Whether there is no room for a further signature now."""
        return len(self._young) >= MOST

    def is_fresh(self, signature: str, now: float) -> bool:
        """Whether `signature` comes for the first time, or just after it; `False` also where there is no room."""
        if now >= self._began + self._lasting:
            self._old = self._young if now < self._began + 2 * self._lasting else {}
            self._young, self._began = {}, now
        first = self._young.get(signature, self._old.get(signature))
        if first is not None:
            return now <= first + GRACE
        if self.is_full:
            return False
        self._young[signature] = now
        return True
