"""Look-ups in an image take few steps, whatever names somebody chose, and whatever key was drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import count
from zlib import crc32

import msgspec
import pytest

from tests.lab import new_key, wire_name
from zones.masterfile.load import parse_zone
from zones.storage import zone_image
from zones.storage.mapped_nodes import MappedNodes
from zones.storage.name_hash import KEY_OCTETS, MOST_PROBES, HashKey, key_of
from zones.storage.zone_image import ImageError, image_of, read_image
from zones.zone import Zone

LAB = wire_name("lab.example")
APEX = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n"
FORGED, SLOTS = 400, 1024


class CountingTable(Sequence[int]):
    """A hash table that knows how often it was looked at."""

    def __init__(self, table: Sequence[int]) -> None:
        self._table = table
        self.looked = 0

    def __getitem__(self, slot):  # type: ignore[no-untyped-def]  # as Sequence's, which is overloaded
        self.looked += 1
        return self._table[slot]

    def __len__(self) -> int:
        return len(self._table)


def forged() -> Iterator[str]:
    """First labels of names that CRC-32 puts into the first slot of so many."""
    for number in count():
        label = f"n{number}"
        if crc32(bytes((len(label),)) + label.encode() + LAB) % SLOTS == 0:
            yield label


def zone_of(labels: Sequence[str]) -> Zone:
    return parse_zone(APEX + "".join(f"{label} 60 A 192.0.2.1\n" for label in labels), "lab.example")


def nodes_of(zone: Zone) -> MappedNodes:
    nodes = read_image(memoryview(b"".join(image_of(zone, (), new_key)))).zone.nodes
    assert isinstance(nodes, MappedNodes)
    return nodes


def test_names_that_were_forged_to_meet_in_one_slot_do_not() -> None:
    names = forged()
    labels = [next(names) for _ in range(FORGED)]
    nodes = nodes_of(zone_of(labels))
    table = nodes._entries._table = CountingTable(nodes._entries._table)
    assert len(table) == SLOTS
    most = 0
    for label in [*labels, *(next(names) for _ in range(100))]:
        table.looked = 0
        assert (bytes((len(label),)) + label.encode() + LAB in nodes) == (label in labels)
        most = max(most, table.looked)
    assert most <= MOST_PROBES < FORGED


def test_a_key_by_which_a_look_up_would_be_long_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = zone_of([f"n{number}" for number in range(200)])
    bad = HashKey(0, 3)  # all in the first slot
    drawn: list[HashKey] = []

    def drawing(octets: bytes) -> HashKey:
        drawn.append(key_of(octets) if drawn else bad)
        return drawn[-1]

    monkeypatch.setattr(zone_image, "key_of", lambda _: bad)
    with pytest.raises(ImageError, match="no key of"):
        list(image_of(zone, (), new_key))
    monkeypatch.setattr(zone_image, "key_of", drawing)
    image = read_image(memoryview(b"".join(image_of(zone, (), new_key))))
    assert len(drawn) == 2
    assert set(image.zone.nodes) == set(zone.nodes)


def test_keys_differ_and_are_what_they_should_be() -> None:
    keys = {key_of(sha256(bytes((number,))).digest()[:KEY_OCTETS]) for number in range(20)}
    assert len({key.modulus for key in keys}) == len({key.multiplier for key in keys}) == 20
    keys |= {key_of(bytes(KEY_OCTETS)), key_of(b"\xff" * KEY_OCTETS)}
    for multiplier, modulus in ((key.multiplier, key.modulus) for key in keys):
        assert modulus.bit_length() in (60, 61)  # the next prime behind the highest
        assert 0 < multiplier < modulus
        assert pow(3, modulus - 1, modulus) == 1


def test_the_image_of_an_earlier_version_is_none() -> None:
    """It has no key: who finds it makes another one."""
    octets = b"".join(image_of(zone_of(["www"]), (), new_key))
    at = zone_image._HEADER_AT
    length = int.from_bytes(octets[at - 4 : at])
    header = msgspec.msgpack.decode(octets[at : at + length])
    del header["key"], header["table"]
    packed = msgspec.msgpack.encode({**header, "format": "5, dnspython 2.9.0"})
    sized = len(packed).to_bytes(4) + packed + bytes(-(at + len(packed)) % 8)
    old = zone_image.MAGIC + sha256(sized).digest() + sized + octets[at + length + -(at + length) % 8 :]
    with pytest.raises(ImageError, match="cannot read its header"):
        read_image(memoryview(old))


def test_more_octets_than_are_allowed_are_refused() -> None:
    """As where every delegation has the same 64 KiB of glue."""
    cuts = "ns2 60 NS ns2\n" + "".join(f"ns2 60 A 10.0.{number % 256}.{number // 256}\n" for number in range(1000))
    cuts += "".join(f"cut{number} 60 NS ns2\n" for number in range(100))
    zone = parse_zone(APEX + cuts, "lab.example")
    with pytest.raises(ImageError, match="glue"):
        list(image_of(zone, (), new_key, most=100_000))
    assert list(image_of(zone, (), new_key, most=1_000_000))
