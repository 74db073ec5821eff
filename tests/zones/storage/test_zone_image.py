"""A zone's image is the zone: every name, every gap, every answer; and an image that is damaged is none."""

from __future__ import annotations

import sys
from hashlib import sha256
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.dnssec.zone_keys import ZoneKeys
from tests.lab import NOW, ask, new_key, wire_name, zone_keys
from tests.strategies import MadeQuery, MadeZone, scenarios, zones
from tests.zones.storage.test_zone_contents import compare, shown
from zones import names
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.node import Node, RRset
from zones.persistent_map import changed, differing
from zones.routing_policy import Weighted
from zones.rrtypes import TYPE_A
from zones.storage import zone_image
from zones.storage.mapped_nodes import MappedChain, MappedNodes
from zones.storage.zone_image import Image, ImageError, SourceFile, image_of, read_image
from zones.zone import Zone
from zones.zoneset import ZoneSet, differences

LAB = wire_name("lab.example")
SMALL = (
    "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\nchild 300 NS ns.child\nns.child 60 A 192.0.2.1\n"
)
SOURCES = (SourceFile("lab.zone", b"\x01" * 32), SourceFile("more.zone", b"\x02" * 32))
denials = st.sampled_from(DenialMode)


def octets_of(zone: Zone) -> bytes:
    return b"".join(image_of(zone, SOURCES, new_key))


def mapped(zone: Zone) -> Image:
    return read_image(memoryview(octets_of(zone)))


def parsed(made: MadeZone, denial: DenialMode, *, sign: bool = True) -> Zone:
    return parse_zone(made.text, made.origin.to_text(), denial=denial, signed=sign)


def lab(text: str = SMALL, denial: DenialMode = DenialMode.COMPACT) -> Zone:
    return parse_zone(text, "lab.example", denial=denial)


@given(zones(), denials, st.booleans())
def test_it_holds_all_that_the_zone_holds(made: MadeZone, denial: DenialMode, sign: bool) -> None:
    zone = parsed(made, denial, sign=sign)
    seen, sources, *_ = mapped(zone)
    compare(seen, zone)
    assert (seen.origin, seen.signed, seen.denial.mode, seen.serial) == (zone.origin, sign, denial, zone.serial)
    assert sources == SOURCES
    assert list(seen.nodes) == sorted(zone.nodes, key=names.canonical_key)


@given(scenarios(), denials)
def test_every_answer_is_the_same(scenario: tuple[MadeZone, list[MadeQuery]], denial: DenialMode) -> None:
    made, queries = scenario
    zone = parsed(made, denial)
    keys = zone_keys(zone.origin)
    parsed_set, mapped_set = (ZoneSet().with_zone(z).with_keys(z.origin, keys) for z in (zone, mapped(zone).zone))
    for asked in queries:
        wires = [
            ask(zoneset, asked.qname, asked.qtype, do=asked.do, co=asked.co, edns=asked.edns, size=asked.size)
            for zoneset in (parsed_set, mapped_set)
        ]
        assert wires[0] == wires[1]


@given(zones(), st.data())
def test_a_gap_of_the_chain_is_the_same(made: MadeZone, data: st.DataObject) -> None:
    zone = parsed(made, DenialMode.NSEC)
    chain = mapped(zone).zone.chain
    assert isinstance(chain, MappedChain)
    for _ in range(4):
        label = data.draw(st.binary(min_size=1, max_size=3))
        owner = bytes([len(label)]) + label + data.draw(st.sampled_from(sorted(zone.nodes)))
        for asked in (owner, names.parent(owner)):
            key = names.canonical_key(asked)
            assert chain.around(key) == zone.chain.around(key)


@given(zones(), denials, st.data())
def test_a_changed_one_is_the_changed_zone(made: MadeZone, denial: DenialMode, data: st.DataObject) -> None:
    zone = parsed(made, denial)
    seen = mapped(zone).zone
    owners = st.sampled_from([owner for owner in zone.nodes if owner != zone.origin] or [b"\x03new" + zone.origin])
    node = st.sampled_from([None, Node({}, (46, 47)), *zone.nodes.values()])
    for _ in range(3):
        owner_changes = data.draw(st.dictionaries(owners | st.just(b"\x05other" + zone.origin), node, max_size=3))
        before, old = dict(seen.nodes), seen
        zone, seen = zone.with_nodes(owner_changes), seen.with_nodes(owner_changes)
        compare(seen, zone)
        assert {o: shown(n) for o, n in old.nodes.items()} == {o: shown(n) for o, n in before.items()}
        found = {owner: (one, other) for owner, one, other in differing(old.nodes, seen.nodes)}
        assert found.keys() <= owner_changes.keys()
        assert all(one is not other for one, other in found.values())
        for owner, wanted in owner_changes.items():
            assert (seen.nodes.get(owner) is wanted) and (owner in seen.nodes) == (wanted is not None)
            assert owner in found or old.nodes.get(owner) is wanted


@given(zones(), zones())
def test_whatever_else_it_is_compared_with_differs_in_every_name(one: MadeZone, other: MadeZone) -> None:
    first, second = parsed(one, DenialMode.COMPACT), parsed(other, DenialMode.COMPACT)
    nodes, others = mapped(first).zone.nodes, read_image(memoryview(b"".join(image_of(second, (), new_key)))).zone.nodes
    for before, after in ((nodes, second.nodes), (first.nodes, others), (nodes, others)):
        found = list(differing(before, after))
        assert {owner for owner, _, _ in found} == {*before, *after}
        for owner, old, new in found:
            assert (old is None, new is None) == (owner not in before, owner not in after)
            assert old is None or shown(old) == shown(before[owner])
            assert new is None or shown(new) == shown(after[owner])


def test_comparing_two_images_for_a_few_names_looks_at_a_few() -> None:
    text = SMALL + "".join(f"host{number} 300 A 192.0.2.1\n" for number in range(5000))
    one, other = (ZoneSet().with_zone(mapped(lab(text + more)).zone) for more in ("", "@ 300 TXT x\n"))
    nodes = other.get(LAB).zone.nodes  # type: ignore[union-attr]
    assert differences(one, other, most=10, now=NOW) is None
    assert len(list(islice(differing(one.get(LAB).zone.nodes, nodes), 11))) == 11  # type: ignore[union-attr]


def test_an_image_opened_twice_is_the_same_twice() -> None:
    one, other = (mapped(lab()).zone.nodes for _ in range(2))
    assert list(differing(one, other)) == []
    name = wire_name("ns.lab.example")
    assert [owner for owner, _, _ in differing(changed(one, {name: None}), other)] == [name]
    assert [owner for owner, _, _ in differing(one, changed(other, {name: None}))] == [name]
    assert [owner for owner, _, _ in differing(other, changed(other, {name: Node({})}))] == [name]


def test_a_parent_links_its_children_in_an_image_as_anywhere() -> None:
    child = parse_zone("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n", "child.lab.example")
    keys: ZoneKeys = zone_keys(child.origin)
    linked = []
    for parent in (lab(), mapped(lab()).zone):
        zoneset = ZoneSet().with_zone(parent).with_zone(child).with_keys(child.origin, keys)
        served = zoneset.get(LAB)
        assert served is not None
        linked.append(served.zone)
    compare(linked[1], linked[0])
    assert isinstance(linked[1].nodes, MappedNodes)
    assert 43 in linked[1].nodes[child.origin].rrsets


def test_more_nodes_than_are_kept_are_read_again() -> None:
    text = SMALL + "".join(f"host{number} 300 A 192.0.2.{number % 256}\n" for number in range(1000))
    zone = lab(text)
    nodes = mapped(zone).zone.nodes
    for _ in range(2):
        assert {owner: shown(node) for owner, node in nodes.items()} == {o: shown(n) for o, n in zone.nodes.items()}
    assert nodes[LAB] is nodes[LAB]


def test_what_is_not_there_is_not_there() -> None:
    nodes = mapped(lab()).zone.nodes
    assert b"\x04none" + LAB not in nodes
    with pytest.raises(KeyError, match="none"):
        nodes[b"\x04none" + LAB]


def test_a_chosen_answer_is_held_too() -> None:
    chosen = Weighted([(1, RRset(TYPE_A, 60, (b"\xc0\x00\x02\x01",))), (2, RRset(TYPE_A, 60, (b"\xc0\x00\x02\x02",)))])
    owner = b"\x03www" + LAB
    zone = lab().with_nodes({owner: Node({TYPE_A: chosen}, (46, 47))})
    found = mapped(zone).zone.nodes[owner].rrsets[TYPE_A]
    assert isinstance(found, Weighted)
    assert [weight for weight, _ in found.options] == [1, 2]


@given(st.data())
def test_damage_anywhere_is_seen(data: st.DataObject) -> None:
    octets = bytearray(octets_of(lab()))
    place = data.draw(st.integers(0, len(octets) - 1))
    octets[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ImageError):
        read_image(memoryview(octets))


@given(st.integers(0, 10_000))
def test_one_that_was_cut_short_is_none(length: int) -> None:
    octets = octets_of(lab())
    with pytest.raises(ImageError):
        read_image(memoryview(octets[: min(length, len(octets) - 1)]))


@given(st.binary(max_size=200), st.booleans())
def test_any_other_octets_are_none(octets: bytes, whole: bool) -> None:
    if whole:
        octets = zone_image.MAGIC + sha256(octets).digest() + octets
    with pytest.raises(ImageError):
        read_image(memoryview(octets))


def test_one_of_another_format_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = memoryview(octets_of(lab()))
    assert read_image(octets).sources == SOURCES
    monkeypatch.setattr(zone_image, "FORMAT", zone_image.FORMAT + ".1")
    with pytest.raises(ImageError, match="format"):
        read_image(octets)


def test_one_of_the_other_byte_order_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = memoryview(octets_of(lab()))
    monkeypatch.setattr(sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    with pytest.raises(ImageError, match="endian"):
        read_image(octets)


def test_equal_zones_have_equal_content_whatever_they_were_made_from() -> None:
    one, other = (
        read_image(memoryview(b"".join(image_of(lab(), sources, new_key)))) for sources in (SOURCES, SOURCES[:1])
    )
    assert one.content == other.content
    assert one.digest != other.digest
    assert mapped(lab(SMALL + "www 60 A 192.0.2.1\n")).content != one.content


def test_progress_is_told() -> None:
    text = SMALL + "".join(f"host{number} 300 A 192.0.2.1\n" for number in range(9000))
    told: list[tuple[int, int]] = []
    list(image_of(lab(text), (), new_key, lambda done, of: told.append((done, of))))
    assert told == [(0, 9003), (4096, 9003), (8192, 9003)]


def test_no_change_is_the_same_mapping() -> None:
    nodes = mapped(lab()).zone.nodes
    assert changed(nodes, {}) is nodes
    assert changed(nodes, {LAB: None}).get(LAB) is None
