"""How often a user may ask: a bucket of tokens that fills steadily. Each request takes one, or is refused."""

from __future__ import annotations


class TokenBucket:
    """Tokens for one user: as many as a second's worth at once, and `rate` a second on average."""

    def __init__(self, rate: int, now: float) -> None:
        """`now` is the time in seconds of a clock that never goes back, as for `take`."""
        self._rate = rate
        self._tokens = float(rate)
        self._filled = now

    def take(self, now: float) -> bool:
        """Take a token, where there is one."""
        self._tokens = min(self._tokens + (now - self._filled) * self._rate, float(self._rate))
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
