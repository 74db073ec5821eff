"""Which zone answers, and how parent and child find each other."""

from __future__ import annotations

import pytest

from keys.dnssec.ds import ds_rdata
from keys.dnssec.registry_numbers import FLAG_KSK
from keys.dnssec.rrsig import dnskey_rdata
from tests.lab import NOW, signed, signer, wire_name, zone_keys
from zones.masterfile.load import parse_zone
from zones.node import RRset
from zones.rrtypes import TYPE_A, TYPE_DS, TYPE_NS
from zones.storage.zone_contents import Contents
from zones.zoneset import ZoneSet

APEX = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns.elsewhere.test.\n"
LAB, CHILD = wire_name("lab.example"), wire_name("child.lab.example")
PARENT = parse_zone(APEX + "child 600 NS ns.elsewhere.test.\n", "lab.example")
OF_CHILD = parse_zone(APEX, "child.lab.example")
EXPECTED = ds_rdata(CHILD, dnskey_rdata(FLAG_KSK, signer(1001).public_key))


def signers(zoneset: ZoneSet) -> tuple[bytes, ...]:
    served = zoneset.get(LAB)
    assert served is not None
    rrset = served.zone.nodes[CHILD].rrsets.get(TYPE_DS)
    return rrset.canonical if rrset else ()


@pytest.mark.parametrize(
    ("qname", "rrtype", "origin"),
    [
        ("lab.example", TYPE_A, LAB),
        ("x.lab.example", TYPE_A, LAB),
        ("child.lab.example", TYPE_A, CHILD),
        ("x.y.child.lab.example", TYPE_A, CHILD),
        ("xchild.lab.example", TYPE_A, LAB),
        ("child.lab.example", TYPE_DS, LAB),
        ("x.child.lab.example", TYPE_DS, CHILD),
        ("lab.example", TYPE_DS, LAB),  # nobody above: the child itself denies it
        ("example", TYPE_A, None),
        ("xlab.example", TYPE_A, None),
    ],
)
def test_the_longest_match_but_ds_is_the_parents(qname: str, rrtype: int, origin: bytes | None) -> None:
    found = ZoneSet().with_zone(PARENT).with_zone(OF_CHILD).find(wire_name(qname), rrtype)
    assert (found and found.zone.origin) == origin


def test_the_parent_has_the_ds_of_its_child_whichever_came_first() -> None:
    assert signers(signed(OF_CHILD, others=signed(PARENT))) == (EXPECTED,)
    assert signers(signed(PARENT, others=signed(OF_CHILD))) == (EXPECTED,)


def test_without_a_child_that_can_be_validated_there_is_no_ds() -> None:
    both = signed(OF_CHILD, others=signed(PARENT))
    assert signers(both.without_zone(CHILD)) == ()
    assert signers(both.with_keys(CHILD, None)) == ()
    assert signers(both.with_zone(parse_zone(APEX, "child.lab.example", signed=False))) == ()
    assert signers(signed(PARENT)) == ()


def test_a_reload_keeps_keys_and_ds() -> None:
    both = signed(OF_CHILD, others=signed(PARENT))
    again = both.with_zone(PARENT).with_zone(OF_CHILD)
    assert signers(again) == (EXPECTED,)
    for origin in (LAB, CHILD):
        served = again.get(origin)
        assert served is not None
        assert served.keys == zone_keys(origin)


def test_the_ds_of_the_zone_file_stands_beside_it() -> None:
    given = parse_zone(APEX + f"child 600 NS ns\nchild 7 DS 1 13 2 {'AB' * 32}\n", "lab.example")
    both = signed(OF_CHILD, others=signed(given))
    assert set(signers(both)) == {EXPECTED, bytes.fromhex("00010d02" + "ab" * 32)}
    served = both.get(LAB)
    assert served is not None
    assert served.zone.nodes[CHILD].rrsets[TYPE_DS].ttl == 7
    assert signers(both.without_zone(CHILD)) == (bytes.fromhex("00010d02" + "ab" * 32),)


def test_a_change_leaves_the_old_set_as_it_was() -> None:
    before = signed(PARENT)
    signed(OF_CHILD, others=before)
    assert signers(before) == ()
    assert list(before) == [LAB]


def test_keys_of_a_zone_that_is_not_there_or_not_signed_change_nothing() -> None:
    before = ZoneSet().with_zone(parse_zone(APEX, "lab.example", signed=False))
    assert before.with_keys(LAB, zone_keys(LAB, NOW)) is before
    assert before.with_keys(CHILD, zone_keys(CHILD, NOW)) is before


def changed(
    zoneset: ZoneSet, contents: Contents, changes: dict[bytes, dict[int, RRset] | None]
) -> tuple[ZoneSet, Contents]:
    contents, replaced = contents.changed(changes)
    return zoneset.with_nodes(LAB, replaced), contents


def test_a_parent_that_changes_name_by_name_keeps_and_gets_the_ds_of_its_children() -> None:
    delegation = {TYPE_NS: RRset(TYPE_NS, 600, (wire_name("ns.elsewhere.test"),))}
    contents = Contents.of(LAB, {LAB: dict(PARENT.nodes[LAB].rrsets), CHILD: delegation})
    both = signed(OF_CHILD, others=signed(contents.zone()))
    assert signers(both) == (EXPECTED,)
    www = wire_name("www.lab.example")
    both, contents = changed(both, contents, {www: {TYPE_A: RRset(TYPE_A, 60, (bytes(4),))}})
    served = both.get(LAB)
    assert served is not None
    assert www in served.zone.nodes
    assert www in served.loaded.nodes
    assert signers(both) == (EXPECTED,)
    # Undelegated and delegated again, the parent is as if made at once.
    both, contents = changed(both, contents, {CHILD: None})
    served = both.get(LAB)
    assert served is not None
    assert CHILD not in served.zone.nodes
    both, contents = changed(both, contents, {CHILD: delegation})
    assert signers(both) == (EXPECTED,)
    # And what the child does is seen in the parent that has changed since.
    assert signers(both.with_keys(CHILD, None)) == ()
    gone = both.without_zone(CHILD)
    assert signers(gone) == ()
    assert signers(signed(OF_CHILD, others=gone)) == (EXPECTED,)
    served = gone.get(LAB)
    assert served is not None
    assert www in served.zone.nodes


def test_a_refresh_that_changes_no_ds_leaves_the_parent_alone() -> None:
    both = signed(OF_CHILD, others=signed(PARENT))
    before, again = both.get(LAB), both.with_keys(CHILD, zone_keys(CHILD, NOW)).get(LAB)
    assert before is not None
    assert again is not None
    assert again.zone is before.zone


def test_many_zones_join_as_one_after_the_other() -> None:
    zones = [parse_zone(APEX, f"z{n}.example") for n in range(5)]
    many, one_by_one = signed(OF_CHILD).with_zones([*zones, PARENT]), signed(OF_CHILD)
    for zone in (*zones, PARENT):
        one_by_one = one_by_one.with_zone(zone)
    assert signers(many) == signers(one_by_one) == (EXPECTED,)
    assert set(many) == set(one_by_one)
    assert [many.get(zone.origin) for zone in zones] == [one_by_one.get(zone.origin) for zone in zones]


def test_many_zones_that_join_are_linked_to_no_zone_without_keys() -> None:
    both = ZoneSet().with_zones([PARENT, OF_CHILD])
    assert signers(both) == ()
    assert signers(both.with_keys(CHILD, zone_keys(CHILD))) == (EXPECTED,)
