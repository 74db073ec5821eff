"""A compiled zone as octets that can be written to a file, and answered from as they are mapped into memory.

An image is made once from a zone that was loaded, and shared by all processes that map it: opening one of a million
RRsets takes a twentieth of a second, nearly all of it for the checksum. It knows which files it was made from. It is a
cache and no format for keeping: of another version or byte order, cut short or damaged, it is refused and made anew.

    magic    8 octets
    digest   SHA-256 of the length and the header with its zeros
    length   of the header, 4 octets, big-endian
    header   msgpack (`Header`), and zeros up to a multiple of 8; it has the SHA-256 of what follows
    entries, offsets, filled, table   (`mapped_nodes.Sections`), each with zeros up to a multiple of 8
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

import dns.version
import msgspec

from zones import names
from zones.denial import DenialMode
from zones.persistent_map import SortedMap
from zones.storage.mapped_nodes import Entries, MappedNodes, Sections
from zones.storage.name_hash import MOST_PROBES, HashKey, key_of
from zones.storage.node_values import node_value
from zones.zone import Zone

FORMAT = f"7, dnspython {dns.version.version}"
"""The number is raised with every change to what an image holds: to `Header` and `NodeValue`, and to what
`zones.build_zone`, `zones.masterfile.zone_rules` or anything in `zones.masterfile` that decides octets makes of a file.
Beside it stands the version of the library that reads rdata.
"""

MAGIC = b"SIGNWZON"
_DIGEST = 32
_LENGTH_AT = len(MAGIC) + _DIGEST
_HEADER_AT = _LENGTH_AT + 4
_ALIGNMENT = 8
_NAMES_A_STEP = 4096
_MOST_KEYS = 8
MOST_OCTETS = 8 << 30
"""Of the entries of an image, unless the caller sets another limit."""


class ImageError(Exception):
    """No image that can be used; the message says why."""


class SourceFile(msgspec.Struct, frozen=True, array_like=True):
    """A file that a zone was made from, and the SHA-256 of its octets."""

    path: str
    digest: bytes


class Header(msgspec.Struct, frozen=True):
    """What an image is of."""

    format: str
    byteorder: str
    origin: bytes
    signed: bool
    denial: str
    sources: tuple[SourceFile, ...]
    """The zone file first, then what it includes."""
    names: int
    rrsets: int
    glue: int
    ttls: tuple[tuple[int, int], ...]
    """TTLs and how many RRsets have them, ascending."""
    sizes: tuple[int, int, int, int]
    """Octets of each section."""
    content: bytes
    """SHA-256 of the sections before the table."""
    key: HashKey
    """Of the table: another one in each image."""
    table: bytes
    """SHA-256 of the table."""
    left_out: tuple[str, ...]
    """Warnings of records in the files that the zone does not have (`zones.masterfile.warnings.left_out`)."""


class Image(NamedTuple):
    """An image that was read."""

    zone: Zone
    sources: tuple[SourceFile, ...]
    content: bytes
    """Equal for equal zones, whatever they were made from."""
    digest: bytes
    """Equal for equal images."""
    left_out: tuple[str, ...]
    """Warnings of records in the files that the zone does not have (`zones.masterfile.warnings.left_out`)."""


def image_of(
    zone: Zone,
    sources: Iterable[SourceFile],
    new_key: Callable[[], bytes],
    progress: Callable[[int, int], None] | None = None,
    left_out: tuple[str, ...] = (),
    most: int = MOST_OCTETS,
) -> Iterator[bytes]:
    """The octets of an image, in pieces. `progress` is called with the number of names done and of all names.

    `new_key` gives `name_hash.KEY_OCTETS` random octets; `left_out` are warnings that `read_image` gives back. Raises
    `ImageError` for a zone that makes an image of more than `most` octets.
    """
    owners = [owner for _, owner in sorted(names.canonical_keys(zone.nodes))]
    parts = _sections(zone, owners, most, progress)
    key, table = _index(owners, new_key)
    sections = [section + bytes(-len(section) % _ALIGNMENT) for section in (*parts, table)]
    ttls = Counter(rrset.ttl for node in zone.nodes.values() for rrset in node.rrsets.values())
    content = sha256()
    for section in sections[:-1]:
        content.update(section)
    header = msgspec.msgpack.encode(
        Header(
            FORMAT,
            sys.byteorder,
            zone.origin,
            zone.signed,
            zone.denial.mode.value,
            tuple(sources),
            len(zone.nodes),
            ttls.total(),
            zone.glue_count,
            tuple(sorted(ttls.items())),
            (len(sections[0]), len(sections[1]), len(sections[2]), len(sections[3])),
            content.digest(),
            key,
            sha256(sections[-1]).digest(),
            left_out,
        )
    )
    sized = len(header).to_bytes(4) + header + bytes(-(_HEADER_AT + len(header)) % _ALIGNMENT)
    yield MAGIC + sha256(sized).digest() + sized
    yield from sections


def digest_of(octets: bytes | memoryview) -> bytes:
    """The digest of the image that begins with these octets."""
    return bytes(octets[len(MAGIC) : _LENGTH_AT])


def _sections(
    zone: Zone, owners: Sequence[bytes], most: int, progress: Callable[[int, int], None] | None
) -> tuple[bytes, bytes, bytes]:
    """Entries, offsets, filled."""
    nodes, encode = zone.nodes, msgspec.msgpack.Encoder().encode
    entries, offsets, filled = bytearray(), array("Q"), bytearray()
    for place, owner in enumerate(owners):
        node = nodes[owner]
        offsets.append(len(entries))
        entries.append(len(owner))
        entries += owner
        entries += encode(node_value(b"", node))
        filled.append(bool(node.rrsets))
        if place % _NAMES_A_STEP == 0 and progress is not None:
            progress(place, len(owners))
        if len(entries) > most:
            raise ImageError(f"it would exceed {most} octets, because each delegation carries its glue")
    offsets.append(len(entries))
    return bytes(entries), offsets.tobytes(), bytes(filled)


def _index(owners: Sequence[bytes], new_key: Callable[[], bytes]) -> tuple[HashKey, bytes]:
    """The hash table of these names in which no search is longer than `MOST_PROBES`, and its key."""
    slots = 1 << (2 * len(owners)).bit_length()
    for attempt in range(_MOST_KEYS):
        key = key_of(new_key())
        # More room is only needed where many names are few integers apart, which is nearly never.
        table = _table(owners, key, slots << attempt // 2)
        if table is not None:
            return key, table.tobytes()
    raise ImageError(f"no key of {_MOST_KEYS} gives an index of short searches: check the source of random numbers")


def _table(owners: Sequence[bytes], key: HashKey, slots: int) -> array[int] | None:
    """The hash table by this key; None where a search in it would be too long."""
    multiplier, modulus, mask = key.multiplier, key.modulus, slots - 1
    table = array("I", bytes(4 * slots))
    for number, owner in enumerate(owners, 1):
        slot = first = int.from_bytes(owner) * multiplier % modulus & mask
        while table[slot]:
            slot = (slot + 1) & mask
            if (slot - first) & mask >= MOST_PROBES:
                return None
        table[slot] = number
    filled = bytes(map(bool, table))
    # Who looks for a name that is not there passes all slots up to an empty one.
    return None if bytes([1]) * MOST_PROBES in filled + filled[:MOST_PROBES] else table


def read_image(octets: memoryview) -> Image:
    """The zone of an image. It stays where it is: `octets` must remain what they are. Raises `ImageError`."""
    if bytes(octets[: len(MAGIC)]) != MAGIC:
        raise ImageError("not a zone image")
    digest = digest_of(octets)
    end = _HEADER_AT + int.from_bytes(octets[_LENGTH_AT:_HEADER_AT])
    at = end + -end % _ALIGNMENT
    if sha256(octets[_LENGTH_AT:at]).digest() != digest:
        raise ImageError("damaged: wrong checksum of its header")
    header = _header(octets[_HEADER_AT:end])
    table_at = at + sum(header.sizes[:-1])
    if (sha256(octets[at:table_at]).digest(), sha256(octets[table_at:]).digest()) != (header.content, header.table):
        raise ImageError("damaged: wrong checksum")
    found: list[memoryview] = []
    for size in header.sizes:
        found.append(octets[at : at + size])
        at += size
    sections = Sections(found[0], found[1].cast("Q"), found[2], found[3].cast("I"))
    entries = Entries(sections, header.names, header.key, digest, octets)
    zone = Zone(header.origin, MappedNodes(entries), signed=header.signed, denial=DenialMode(header.denial))
    zone.ttls = SortedMap.of(dict(header.ttls))
    zone.rrset_count, zone.glue_count = header.rrsets, header.glue
    return Image(zone.with_chain_ready(), header.sources, header.content, digest, header.left_out)


# Made here, by one thread; images are opened by several: see `keys.custody.stored_keyring`.
_decoder = msgspec.msgpack.Decoder(Header)


def _header(octets: memoryview) -> Header:
    try:
        header = _decoder.decode(octets)
    except (msgspec.MsgspecError, ValueError) as error:  # one that is whole, and of another version
        raise ImageError(f"cannot read its header: {error}") from None
    if (header.format, header.byteorder) != (FORMAT, sys.byteorder):
        raise ImageError(f"has format {header.format} ({header.byteorder}-endian), not {FORMAT} ({sys.byteorder})")
    return header
