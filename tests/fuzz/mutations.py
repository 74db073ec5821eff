"""What is changed in something valid: octets set, flipped, lost, doubled, moved, and tokens that mean something."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_LONGEST_PIECE = 40


def mutated(octets: bytes, dice: Random, tokens: Sequence[bytes], most: int = 4) -> bytes:
    """`octets` with up to `most` changes, each at a place of its own. `tokens` are what may be put in."""
    changed = bytearray(octets)
    for _ in range(dice.randint(1, most)):
        at = dice.randrange(len(changed) + 1)
        to = min(at + 1 + int(dice.random() ** 4 * _LONGEST_PIECE), len(changed))
        match dice.randrange(10):
            case 0 | 1:
                changed[at : at + 1] = bytes([dice.randrange(256)])
            case 2:
                changed[at : at + 1] = bytes(octet ^ 1 << dice.randrange(8) for octet in changed[at : at + 1])
            case 3:
                del changed[at:]
            case 4:
                del changed[at:to]
            case 5:
                changed[at:at] = dice.randbytes(to - at)
            case 6:
                changed[at:at] = changed[at:to] * dice.choice((1, 1, 2, 10))
            case 7:
                piece = bytes(changed[at:to])
                del changed[at:to]
                place = dice.randrange(len(changed) + 1)
                changed[place:place] = piece
            case 8:
                changed[at:to] = dice.choice(tokens)
            case 9:
                changed[at:at] = dice.choice(tokens)
    return bytes(changed)
