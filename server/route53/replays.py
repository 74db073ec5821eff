"""Requests that were carried out already: a signature that was overheard changes nothing a second time.

SDKs sign a random id with each call, and sign each new try of it anew, so no two requests that are meant have the same
signature. Only changes are remembered: to read twice does no harm, and simple clients may well do it in one second.
"""

from __future__ import annotations

MOST = 100_000
"""Signatures remembered of each generation; while there are as many, changes are refused."""


class Replays:
    """The signatures of the changes of a while, in two generations of `lasting` seconds each."""

    def __init__(self, lasting: float, now: float) -> None:
        """`lasting` is how long a signature is accepted, from the earliest moment to the last. `now` is monotonic."""
        self._lasting = lasting
        self._began = now
        self._young: set[str] = set()
        self._old: set[str] = set()

    def is_new(self, signature: str, now: float) -> bool:
        """Whether `signature` was not seen while it was accepted; it is remembered. `False` also where too many are."""
        if now >= self._began + self._lasting:
            self._old = self._young if now < self._began + 2 * self._lasting else set()
            self._young, self._began = set(), now
        if signature in self._young or signature in self._old or len(self._young) >= MOST:
            return False
        self._young.add(signature)
        return True
