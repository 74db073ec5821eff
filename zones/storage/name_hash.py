"""Where an image's index has a name: a hash with a key that the author of the zone cannot know.

By one that everybody can compute, such as CRC-32, 100,000 names can be forged that all belong into one slot: each
look-up then passes all of them, and to make the index takes their square. With a key from a random source, two names
that were chosen without knowing it meet no more often than by chance.

    slot = (name, as a big-endian integer) x multiplier mod modulus, in its lowest bits

is universal (Carter and Wegman 1979). The modulus is secret, too, as names are longer than it: were it known, names
could be chosen whose difference is a multiple of it. One of `_BITS` bits, drawn at random, divides the difference of
any two given names with a probability of less than 2**-48.

Measured side by side, for a name of 20 octets: CRC-32 0.15 µs, this 0.26, BLAKE2s with a key 0.55. A look-up in an
image takes 1.10 µs instead of 0.75 by CRC-32, and 0.77 instead of 0.57 for a name that is not there; a query that
comes to one takes about 30.
"""

from __future__ import annotations

import msgspec

KEY_OCTETS = 16
"""How many random octets a key is made of."""
MOST_PROBES = 128
"""Slots that a look-up passes at most: who makes an index in which one would pass more takes another key.

With half of the slots filled at random, one of 10,000,000 names passes this many with a probability of 10**-4.
"""

_BITS = 60
"""Of the modulus: two of the digits that Python computes with."""


class HashKey(msgspec.Struct, frozen=True, array_like=True):
    """What a name's slot is computed by."""

    multiplier: int
    modulus: int


def key_of(octets: bytes) -> HashKey:
    """The key that these `KEY_OCTETS` random octets stand for."""
    half = KEY_OCTETS // 2
    multiplier, modulus = int.from_bytes(octets[:half]), int.from_bytes(octets[half:])
    modulus = modulus % (1 << (_BITS - 1)) | 1 << (_BITS - 1) | 1
    # Fermat's test: of random odd numbers, one in 10**9 passes without being prime, which does no harm.
    while pow(2, modulus - 1, modulus) != 1:
        modulus += 2
    return HashKey(multiplier % (modulus - 1) + 1, modulus)
