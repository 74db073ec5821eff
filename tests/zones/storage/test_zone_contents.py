"""A zone changed name by name is the zone made from scratch; and the change of one name costs what one name costs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.growth import growth
from tests.lab import NOW, wire_name, zone_keys
from zones import names
from zones.build_zone import build_zone
from zones.denial import DenialMode
from zones.node import Node, RRset
from zones.rrtypes import TYPE_A, TYPE_AAAA, TYPE_DNAME, TYPE_DS, TYPE_NS, TYPE_SOA
from zones.storage.zone_contents import Contents
from zones.zone import Zone
from zones.zoneset import ZoneSet

ORIGIN = wire_name("zone.example")
RRsets = Mapping[int, RRset]
SOA = RRset(TYPE_SOA, 900, (b"\x02ns\x00\x04host\x00" + bytes(16) + (86400).to_bytes(4),))
APEX: RRsets = {TYPE_SOA: SOA, TYPE_NS: RRset(TYPE_NS, 300, (wire_name("ns.elsewhere.test"),))}

labels = st.sampled_from([b"a", b"b", b"ns", b"*", b"\x00", b"\x01\x02"])
owners = st.lists(labels, min_size=1, max_size=4).map(
    lambda made: b"".join(bytes([len(label)]) + label for label in made) + ORIGIN
)
ttls = st.sampled_from([0, 60, 300, 604800, 604801, 2**31 - 1])


@st.composite
def of_one_name(draw: st.DrawFn) -> RRsets:
    kind = draw(st.sampled_from(["data", "data", "glue", "cut", "cut", "dname", "nothing"]))
    ttl = draw(ttls)
    if kind == "nothing":
        return {}
    if kind == "cut":
        servers = draw(st.lists(owners, min_size=1, max_size=3, unique=True))
        made = {TYPE_NS: RRset(TYPE_NS, ttl, servers)}
        if draw(st.booleans()):
            made[TYPE_DS] = RRset(TYPE_DS, ttl, (b"\x00\x01\x0d\x02" + bytes(32),))
        return made
    made = {TYPE_A: RRset(TYPE_A, ttl, (bytes([192, 0, 2, draw(st.integers(1, 3))]),))}
    if kind == "glue":
        made[TYPE_AAAA] = RRset(TYPE_AAAA, draw(ttls), (bytes(16),))
    if kind == "dname":
        made[TYPE_DNAME] = RRset(TYPE_DNAME, ttl, (wire_name("elsewhere.test"),))
    return made


batches = st.lists(st.dictionaries(owners, st.none() | of_one_name(), min_size=1, max_size=4), min_size=1, max_size=8)
at_the_apex = st.lists(st.sampled_from([{}, {TYPE_DNAME: RRset(TYPE_DNAME, 5, (wire_name("elsewhere.test"),))}]))


def shown(node: Node) -> object:
    def seen(rrset: RRset) -> object:
        return rrset.type, rrset.ttl, rrset.records, rrset.canonical

    return (
        {rrtype: seen(rrset) for rrtype, rrset in node.rrsets.items()},
        node.is_cut,
        {(owner, seen(rrset)) for owner, rrset in node.glue},
        {(owner, seen(rrset)) for owner, rrset in node.sibling_glue},
        node.bitmap,
    )


def compare(zone: Zone, expected: Zone) -> None:
    assert {owner: shown(node) for owner, node in zone.nodes.items()} == {
        owner: shown(node) for owner, node in expected.nodes.items()
    }
    assert len(zone.nodes) == len(expected.nodes)
    assert list(zone.chain) == list(expected.chain)
    assert list(zone.chain.values()) == list(expected.chain.values())
    assert list(zone.ttls) == list(expected.ttls)
    assert zone.maximum_ttl == expected.maximum_ttl
    assert (zone.rrset_count, zone.glue_count) == (expected.rrset_count, expected.glue_count)
    assert zone.soa.canonical == expected.soa.canonical


@given(batches, at_the_apex)
def test_any_sequence_of_changes_gives_the_zone_made_from_scratch(
    made: list[dict[bytes, RRsets | None]], redirects: list[RRsets]
) -> None:
    contents = Contents.of(ORIGIN, {ORIGIN: APEX})
    data: dict[bytes, RRsets] = {ORIGIN: APEX}
    zone = contents.zone()
    compare(zone, build_zone(ORIGIN, data))  # and what is derived later is derived from the difference
    for number, batch in enumerate(made):
        changes = dict(batch)
        if number < len(redirects):
            changes[ORIGIN] = {**APEX, **redirects[number]}
        before, unchanged = zone, dict(zone.nodes)
        contents, replaced = contents.changed(changes)
        zone = zone.with_nodes(replaced)
        data.update({owner: of_owner for owner, of_owner in changes.items() if of_owner is not None})
        data = {owner: of_owner for owner, of_owner in data.items() if changes.get(owner, ()) is not None}
        compare(zone, build_zone(ORIGIN, data))
        compare(contents.zone(), zone)
        assert dict(before.nodes) == unchanged
        compare(Contents.of(ORIGIN, data).zone(), zone)


@given(batches)
def test_a_zone_without_what_was_derived_derives_it_itself(made: list[dict[bytes, RRsets | None]]) -> None:
    contents = Contents.of(ORIGIN, {ORIGIN: APEX})
    zone = contents.zone()
    for batch in made:
        contents, replaced = contents.changed(batch)
        zone = zone.with_nodes(replaced)
    compare(zone, contents.zone())


def test_unsigned_it_has_the_same_nodes() -> None:
    zone = Contents.of(ORIGIN, {ORIGIN: APEX}).zone(denial=DenialMode.NSEC)
    unsigned = zone.as_unsigned()
    assert unsigned.nodes is zone.nodes
    assert (unsigned.signed, unsigned.denial.mode, unsigned.maximum_ttl) == (False, DenialMode.NSEC, 900)


def large(count: int) -> tuple[Contents, Zone]:
    rrset = RRset(TYPE_A, 300, (b"\xc0\x00\x02\x01",))
    data: dict[bytes, RRsets] = {ORIGIN: APEX}
    for number in range(count):
        label = b"host%d" % number
        data[bytes([len(label)]) + label + ORIGIN] = {TYPE_A: rrset}
    contents = Contents.of(ORIGIN, data)
    zone = contents.zone()
    assert (zone.maximum_ttl, zone.rrset_count, len(zone.chain)) == (900, count + 2, count + 1)
    return contents, zone


def change(contents: Contents, zoneset: ZoneSet) -> None:
    """Change one name and the SOA, 50 times."""
    for number in range(50):
        changes = {
            wire_name(f"host{number * 7 % 1000}.zone.example"): {TYPE_A: RRset(TYPE_A, 60 + number, (bytes(4),))},
            wire_name(f"new{number}.deep.zone.example"): {TYPE_A: RRset(TYPE_A, 60, (bytes(4),))},
            ORIGIN: APEX,
        }
        contents, replaced = contents.changed(changes)
        zoneset = zoneset.with_nodes(ORIGIN, replaced)


def test_one_name_changed_costs_the_same_in_a_large_zone() -> None:
    changes = []
    for count in (1_000, 50_000):
        contents, zone = large(count)
        zoneset = ZoneSet().with_zone(zone).with_keys(ORIGIN, zone_keys(ORIGIN, NOW))
        changes.append(partial(change, contents, zoneset))
    assert growth(*changes) < 10


@pytest.mark.parametrize("count", [3, 5000])
def test_a_snapshot_shares_what_is_not_touched(count: int) -> None:
    contents, zone = large(count)
    owner = wire_name("host1.zone.example")
    _, replaced = contents.changed({owner: None})
    assert set(replaced) == {owner}
    after = zone.with_nodes(replaced)
    assert owner not in after.nodes
    assert owner in zone.nodes
    kept = [name for name in after.nodes if after.nodes[name] is zone.nodes[name]]
    assert len(kept) == len(zone.nodes) - 1
    assert names.canonical_key(owner) not in list(after.chain)
