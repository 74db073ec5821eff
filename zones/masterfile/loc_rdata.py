"""LOC records (RFC 1876) with exact altitudes and sizes: their text is read again after dnspython has read it.

dnspython computes metres as floating-point numbers and cuts them to centimetres: 8 % of altitudes with two decimals
are one centimetre off. It also takes `1e3m`, `nan` and `1_000m`, which RFC 1876 §3 does not have, and raises
`struct.error` or `OverflowError` for altitudes that do not fit. Latitudes and longitudes it computes in integers, so
those are taken from it; so is the form of RFC 3597, whose octets remain as they are given.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from dns.rdtypes.ANY.LOC import LOC

from zones.masterfile.rdata_fields import short

_METRES = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?m?")
_LOWEST_ALTITUDE, _HIGHEST_ALTITUDE = -10_000_000, 0xFFFFFFFF - 10_000_000  # centimetres, RFC 1876 §2
_LARGEST_SIZE = 9_000_000_000  # centimetres, RFC 1876 §2
_MOST_DIGITS = 8  # of whole metres, in both
_DEFAULT_SIZES = (100, 1_000_000, 1_000)  # centimetres, RFC 1876 §3
_SIZES = ("a size", "a horizontal precision", "a vertical precision")
_DEGREE = 3_600_000  # thousandths of an arc second
_MIDDLE = 1 << 31  # stands for the equator and the prime meridian
_HEMISPHERES = (("latitude", ("N", "S")), ("longitude", ("E", "W")))


class LocationError(ValueError):
    """A LOC record that is invalid by RFC 1876; its text says why."""


def exact_octets(location: LOC, words: Sequence[str]) -> bytes:
    """The rdata of a LOC record: its place as dnspython has read it, its metres from the `words` of its rdata.

    Raises `LocationError`.
    """
    return _octets(location, metres_of(words))


def metres_of(words: Sequence[str]) -> tuple[int, int, int, int]:
    """Altitude, size, horizontal and vertical precision, in centimetres. Raises `LocationError` for one that is wrong.

    `words` are a whole LOC record, whose latitude and longitude were read elsewhere.
    """
    at = 0
    for what, hemispheres in _HEMISPHERES:
        while at < len(words) and words[at] not in hemispheres:
            at += 1
        if at == len(words):
            raise LocationError(f"expected {' or '.join(hemispheres)} after the {what}")
        at += 1
    given = words[at:]
    if not given:
        raise LocationError("missing field: altitude")
    if len(given) > 1 + len(_SIZES):
        raise LocationError(f"unexpected {short(given[1 + len(_SIZES)])} after the end of the record")
    altitude = _centimetres("an altitude", given[0], _LOWEST_ALTITUDE, _HIGHEST_ALTITUDE)
    sizes = [_centimetres(what, word, 0, _LARGEST_SIZE) for what, word in zip(_SIZES, given[1:], strict=False)]
    size, horizontal, vertical = (*sizes, *_DEFAULT_SIZES[len(sizes) :])
    return altitude, size, horizontal, vertical


def _centimetres(what: str, word: str, least: int, most: int) -> int:
    """The whole centimetres that a word gives in metres. More decimals are cut off, as by the code in RFC 1876 §A."""
    found = _METRES.fullmatch(word)
    whole, decimals = (found[2].lstrip("0"), found[3] or "") if found is not None else ("", "")
    if found is not None and (found[2] or decimals) and len(whole) <= _MOST_DIGITS:
        negative = found[1] == "-"
        number = int((whole or "0") + decimals[:2].ljust(2, "0")) * (-1 if negative else 1)
        beyond = number == (least if negative else most) and decimals[2:].strip("0")
        if least <= number <= most and not beyond:
            return number
    limits = f"{least / 100:.2f} to {most / 100:.2f} m"
    raise LocationError(f'expected {what} of {limits}, such as 12.50m, found "{short(word)}"')


def _octets(taken: LOC, metres: tuple[int, int, int, int]) -> bytes:
    """The rdata: RFC 1876 §2. Raises `LocationError` for a latitude or longitude beyond the poles or the antimeridian.

    dnspython lets 90 and 180 degrees have minutes and seconds, though it does not take the octets of such a place.
    """
    places = []
    for name, most, (degrees, minutes, seconds, thousandths, sign) in (
        ("latitude", 90, taken.latitude),
        ("longitude", 180, taken.longitude),
    ):
        arc = degrees * _DEGREE + minutes * 60_000 + seconds * 1_000 + thousandths
        if arc > most * _DEGREE:
            raise LocationError(f"expected a {name} of at most {most} degrees, found {degrees} {minutes} {seconds}")
        places.append(_MIDDLE + sign * arc)
    altitude, *sizes = metres
    return struct.pack("!B3B3I", 0, *map(_size_octet, sizes), *places, altitude - _LOWEST_ALTITUDE)


def _size_octet(centimetres: int) -> int:
    """A digit and the power of ten that it is multiplied by, which is less than a given value in general."""
    exponent = max(len(str(centimetres)) - 1, 0)
    digit: int = centimetres // 10**exponent
    return digit << 4 | exponent
