"""Which queries of a batch are looked at, where not all are: each with the same chance. Pure."""

from __future__ import annotations

_MULTIPLIER, _INCREMENT, _MODULUS = 6364136223846793005, 1442695040888963407, 1 << 64  # Knuth's MMIX


class Sampler:
    """Takes one query of `every`."""

    __slots__ = ("_state", "every")

    def __init__(self, every: int = 1) -> None:
        self.every = every
        self._state = 1

    def start(self) -> int:
        """Where to begin in the next batch, from which each `every`-th is taken: from 0 to `every` - 1.

        It depends on nothing that a stranger sends, and has no period that queries could have too.
        """
        every = self.every
        if every == 1:
            return 0
        self._state = (self._state * _MULTIPLIER + _INCREMENT) % _MODULUS
        return (self._state >> 33) % every
