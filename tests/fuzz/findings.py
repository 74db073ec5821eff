"""What a fuzzer does and what it finds: chunks of numbered cases, each made from its seed and number alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType

import msgspec

HANGS_AFTER = 20.0
"""Seconds in which any case has to end."""


class Chunk(msgspec.Struct, frozen=True):
    """So many cases of one kind, from a number on."""

    kind: str
    seed: int
    first: int
    count: int

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.count)


class Finding(msgspec.Struct, frozen=True):
    """A case that broke a rule. `octets` is what was sent, in hexadecimal digits."""

    kind: str
    seed: int
    number: int
    what: str
    octets: str

    def __str__(self) -> str:
        replay = f"scripts/fuzz --replay {self.kind}:{self.seed}:{self.number}"
        return f"{self.what}\n  {replay}\n  {self.octets}"


class Done(msgspec.Struct, frozen=True):
    """What a chunk came to."""

    chunk: Chunk
    findings: tuple[Finding, ...]
    seconds: float
    grown: int
    """Octets by which the memory of what was fuzzed grew meanwhile."""
    code: str = ""


class Broken(Exception):  # noqa: N818 - a finding is not an error of the fuzzer
    """A rule that a case broke; the message says which."""


class Hang(Broken):
    """A case that did not end."""


def dice_of(kind: str, seed: int, number: int) -> Random:
    """What a case is made with: the same for the same case, in any process."""
    return Random(f"{kind}:{seed}:{number}")


@contextmanager
def ending(seconds: float = HANGS_AFTER) -> Iterator[None]:
    """Raise `Hang` where the block takes longer. For the main thread of a process."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"no end within {seconds:g} s")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
