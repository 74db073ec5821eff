"""Owner names in wire form: uncompressed, lower case, `bytes` that end with the root's zero octet (RFC 1035 §3.1)."""

from __future__ import annotations

from collections.abc import Iterable

import dns.name

MAXIMUM_NAME = 255  # octets, RFC 1035 §2.3.4
MAXIMUM_LABEL = 63
ROOT = b"\x00"


def from_text(text: str) -> bytes:
    """The name that `text` spells, taken as absolute. Raises `dns.exception.DNSException` when it spells none."""
    return from_dnspython(dns.name.from_text(text))


def from_dnspython(name: dns.name.Name) -> bytes:
    """An absolute dnspython name in our form."""
    return spelled(name.canonicalize())


def spelled(name: dns.name.Name) -> bytes:
    """An absolute dnspython name in wire form, upper case kept."""
    wire = name.to_wire()
    assert wire is not None  # only with a file to write to is there none
    return wire


def to_text(owner: bytes) -> str:
    """The name as text, with its final dot."""
    return dns.name.from_wire(owner, 0)[0].to_text()


def end_of(octets: bytes, start: int) -> int:
    """The position behind the uncompressed name that begins at `start`."""
    while length := octets[start]:
        start += length + 1
    return start + 1


def parent(owner: bytes) -> bytes:
    """The name without its first label. `owner` must not be the root."""
    return owner[owner[0] + 1 :]


def labels(owner: bytes) -> tuple[bytes, ...]:
    """The labels, leftmost first, without the root's."""
    found = []
    position = 0
    while length := owner[position]:
        found.append(owner[position + 1 : position + 1 + length])
        position += length + 1
    return tuple(found)


def canonical_key(owner: bytes) -> bytes:
    """A key that sorts names in canonical order: labels from the right, as unsigned octets (RFC 4034 §6.1).

    The key of a name begins with the key of each name above it.
    """
    found = labels(owner)
    if not found:
        return b""
    joined = b"\x00".join(found[::-1])
    if b"\x01" in joined or joined.count(0) >= len(found):
        # What ends a label must sort before all that can stand in one.
        joined = b"\x00".join(
            label.replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01") for label in found[::-1]
        )
    return joined + b"\x00"


def canonical_keys(owners: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """The `canonical_key` of each name, with the name: 0.6 µs each where many share what is above them, not 0.9."""
    above: dict[bytes, bytes] = {}
    found = []
    for owner in owners:
        length = owner[0]
        label, rest = owner[1 : length + 1], owner[length + 1 :]
        if b"\x00" in label or b"\x01" in label or not length:
            found.append((canonical_key(owner), owner))
            continue
        if (key := above.get(rest)) is None:
            key = above[rest] = canonical_key(rest)
        found.append((key + label + b"\x00", owner))
    return found


def is_subdomain(owner: bytes, origin: bytes) -> bool:
    """Whether `owner` is `origin` or lies below it."""
    if not owner.endswith(origin):
        return False
    # The bytes of `origin` may also end a longer label, so look for a label boundary.
    position, end = 0, len(owner) - len(origin)
    while position < end:
        position += owner[position] + 1
    return position == end


def successor(owner: bytes, origin: bytes) -> bytes:
    r"""The name that follows `owner` in canonical order with nothing between (RFC 4471 §3.1.2, the absolute method).

    Usually `\000.owner`. Where that would pass 255 octets: the leftmost label with a zero octet added, or counted up.
    After the last name that can exist in the zone comes its apex, `origin`.
    """
    if len(owner) + 2 <= MAXIMUM_NAME:
        return b"\x01\x00" + owner
    while owner != origin:
        label, rest = owner[1 : owner[0] + 1], parent(owner)
        if len(owner) < MAXIMUM_NAME and len(label) < MAXIMUM_LABEL:
            return bytes([len(label) + 1]) + label + b"\x00" + rest
        label = label.rstrip(b"\xff")
        if label:
            following = label[-1] + 1
            if following == ord("A"):
                following = ord("Z") + 1  # upper case is not canonical
            label = label[:-1] + bytes([following])
            return bytes([len(label)]) + label + rest
        owner = rest
    return origin
