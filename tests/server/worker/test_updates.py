"""What crosses the stream to a worker: every set of zones, and every step to the next, arrives as it was."""

from __future__ import annotations

from typing import Any

import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.worker.messages import (
    Commit,
    Hello,
    KeysReplaced,
    Nodes,
    ToWorker,
    ZoneBegun,
    ZoneGone,
    ZoneMapped,
    decode_to_worker,
    encode,
)
from server.worker.updates import NODES_A_MESSAGE, Follower, updates
from tests.lab import NOW, ask, new_key, signed, wire_name, zone_keys
from tests.strategies import MadeZone, zones
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.node import Node, RRset
from zones.routing_policy import Multivalue, Weighted
from zones.rrtypes import TYPE_A, TYPE_NS, TYPE_SOA
from zones.storage.zone_contents import Contents
from zones.storage.zone_image import ImageError, image_of, read_image
from zones.zone import Zone
from zones.zoneset import ZoneSet

LAB = wire_name("lab.example")
APEX = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n"


IMAGES: dict[bytes, bytes] = {}


def of_image(zone: Zone) -> Zone:
    """The same zone, mapped from an image that both sides have."""
    octets = b"".join(image_of(zone, (), new_key))
    image = read_image(memoryview(octets))
    IMAGES[image.digest] = octets
    return image.zone


def mapped(origin: bytes, digest: bytes) -> Zone:
    zone = read_image(memoryview(IMAGES[digest])).zone
    assert zone.origin == origin
    return zone


def send(follower: Follower, before: ZoneSet, after: ZoneSet, version: int = 1) -> list[ToWorker]:
    """Bring a follower from one set to the next, by octets; the messages."""
    messages = list(updates(before, after))
    for message in messages:
        assert follower.follow(decode_to_worker(encode(message))) is None
    assert follower.follow(decode_to_worker(encode(Commit(version)))) == version
    return messages


def look(rrset: RRset) -> Any:
    """An RRset, down to its octets."""
    if isinstance(rrset, Weighted):
        return "weighted", rrset.records, rrset.canonical, [(weight, look(option)) for weight, option in rrset.options]
    if isinstance(rrset, Multivalue):
        return "multivalue", rrset.records, rrset.canonical, rrset.values
    return rrset.type, rrset.ttl, rrset.records, rrset.canonical


def look_at_node(node: Node) -> Any:
    addresses = [[(owner, look(rrset)) for owner, rrset in glue] for glue in (node.glue, node.sibling_glue)]
    return [(t, look(r)) for t, r in node.rrsets.items()], node.is_cut, node.bitmap, addresses


def look_at(zoneset: ZoneSet) -> Any:
    """All that answers come from."""
    found = {}
    for origin in zoneset:
        served = zoneset.get(origin)
        assert served is not None
        zone, keys = served.zone, served.keys
        signers = [(s.since, s.signer.rdata, s.signer.sign(b"x")) for s in keys.signers] if keys is not None else []
        found[origin] = (
            {owner: look_at_node(node) for owner, node in zone.nodes.items()},
            (zone.origin, zone.signed, zone.denial, zone.flood_denial),
            (zone.serial, zone.maximum_ttl, zone.rrset_count),
            list(zone.chain),
            keys and (keys.keyset, signers, keys.policy, keys.delegation),
            (served.valid_from, served.valid_until),
        )
    return found


made_zones = st.lists(zones(), min_size=1, max_size=3, unique_by=lambda made: made.origin.canonicalize())


@st.composite
def steps(draw: st.DrawFn, zoneset: ZoneSet) -> ZoneSet:
    """Another set, as hosting makes it out of this one."""
    origins = sorted(zoneset)
    kind = draw(st.sampled_from(["load", "keys", "no keys", "gone", "unsigned", "nodes", "nothing"]))
    if kind == "load" or not origins:
        made = draw(zones())
        zone = parsed(made, sign=draw(st.booleans()), denial=draw(st.sampled_from(DenialMode)))
        flood_denial = draw(st.sampled_from([None, DenialMode.NSEC]))
        zone = zone.answered_as(signed=zone.signed, denial=zone.denial.mode, flood_denial=flood_denial)
        return zoneset.with_zone(of_image(zone) if draw(st.booleans()) else zone)
    origin = draw(st.sampled_from(origins))
    served = zoneset.get(origin)
    assert served is not None
    if kind == "keys":
        return zoneset.with_keys(origin, zone_keys(origin, zsks=((0, draw(st.integers(2001, 2003))),)))
    if kind == "no keys":
        return zoneset.with_keys(origin, None)
    if kind == "gone":
        return zoneset.without_zone(origin)
    if kind == "unsigned":
        return zoneset.with_zone(served.loaded.as_unsigned())
    if kind == "nodes":
        owners = st.sampled_from([owner for owner in served.zone.nodes if owner != origin] or [b"\x03new" + origin])
        node = st.sampled_from([None, *served.zone.nodes.values()])
        return zoneset.with_nodes(origin, draw(st.dictionaries(owners, node, max_size=3)))
    return zoneset


def parsed(made: MadeZone, *, sign: bool = True, denial: DenialMode = DenialMode.COMPACT) -> Zone:
    return parse_zone(made.text, made.origin.to_text(), signed=sign, denial=denial)


@given(st.data())
@settings(max_examples=60)
def test_what_follows_is_the_same_after_every_step(data: st.DataObject) -> None:
    follower, before = Follower(mapped), ZoneSet()
    for version in range(data.draw(st.integers(1, 6))):
        after = data.draw(steps(before))
        send(follower, before, after, version)
        for origin in follower.zoneset:
            there = follower.zoneset.get(origin)
            assert there is not None
            # A flood must not wait for the chain to be made.
            assert "chain" in vars(there.zone) or not there.zone.signed or there.zone.flood_denial is None
        assert look_at(follower.zoneset) == look_at(after)
        before = after
    late = Follower(mapped)  # who comes later gets it whole
    send(late, ZoneSet(), before)
    assert look_at(late.zoneset) == look_at(before)


@given(made_zones, st.data())
@settings(max_examples=30)
def test_what_follows_answers_byte_for_byte(made: list[MadeZone], data: st.DataObject) -> None:
    zoneset = ZoneSet()
    for one in made:
        zoneset = signed(parsed(one), others=zoneset)
    follower = Follower(mapped)
    send(follower, ZoneSet(), zoneset)
    for _ in range(12):
        one = data.draw(st.sampled_from(made))
        qname = data.draw(st.sampled_from([*one.names, *(dns.name.Name((b"x", *n.labels)) for n in one.names[:1])]))
        qtype = data.draw(st.sampled_from([1, 2, 6, 16, 43, 48, 255]))
        assert ask(follower.zoneset, qname, qtype) == ask(zoneset, qname, qtype)


def large(count: int) -> ZoneSet:
    rrsets = {
        LAB: dict(parse_zone(APEX, "lab.example").nodes[LAB].rrsets),
        **{b"\x05%05d" % n + LAB: {TYPE_A: RRset(TYPE_A, 60, (n.to_bytes(4),))} for n in range(count)},
    }
    return ZoneSet().with_zone(Contents.of(LAB, rrsets).zone())


def test_a_small_change_to_a_large_zone_is_a_small_update() -> None:
    before = large(3000)
    follower = Follower(mapped)
    whole = send(follower, ZoneSet(), before)
    assert [type(message) for message in whole] == [ZoneBegun, *[Nodes] * (1 + 3001 // NODES_A_MESSAGE)]
    owner = b"\x0500007" + LAB
    after = before.with_nodes(LAB, {owner: None, b"\x03new" + LAB: Node({TYPE_A: RRset(TYPE_A, 1, (bytes(4),))})})
    changed = send(follower, before, after)
    assert [type(message) for message in changed] == [ZoneBegun, Nodes]
    assert isinstance(changed[1], Nodes)
    assert ([value.owner for value in changed[1].nodes], changed[1].gone) == ([b"\x03new" + LAB], (owner,))
    assert look_at(follower.zoneset) == look_at(after)


def test_a_large_zone_that_was_loaded_again_is_a_small_update_too() -> None:
    before, again = large(3000), large(3001)
    follower = Follower(mapped)
    send(follower, ZoneSet(), before)
    changed = send(follower, before, again)
    assert isinstance(changed[1], Nodes)
    assert ([value.owner for value in changed[1].nodes], changed[1].gone) == ([b"\x0503000" + LAB], ())
    assert look_at(follower.zoneset) == look_at(again)
    assert send(follower, again, large(3001)) == [ZoneBegun(LAB, True, "compact", fresh=False)]


def test_a_mapped_zone_is_named_and_what_differs_is_sent() -> None:
    before = ZoneSet().with_zone(of_image(parse_zone(APEX, "lab.example")))
    node = Node({TYPE_A: RRset(TYPE_A, 60, (bytes(4),))}, (46, 47))
    after = before.with_nodes(LAB, {b"\x03new" + LAB: node, b"\x02ns" + LAB: None})
    follower, late = Follower(mapped), Follower(mapped)
    (whole,) = send(follower, ZoneSet(), before)
    assert isinstance(whole, ZoneMapped)
    assert [type(message) for message in send(follower, before, after)] == [ZoneBegun, Nodes]
    assert [type(message) for message in send(late, ZoneSet(), after)] == [ZoneMapped, Nodes]
    assert look_at(follower.zoneset) == look_at(late.zoneset) == look_at(after)


def test_another_image_leaves_the_keys_where_they_are() -> None:
    before = signed(of_image(parse_zone(APEX, "lab.example")))
    after = before.with_zone(of_image(parse_zone(APEX + "www 60 A 192.0.2.1\n", "lab.example")))
    follower = Follower(mapped)
    send(follower, ZoneSet(), before)
    assert [type(message) for message in send(follower, before, after)] == [ZoneMapped]
    assert look_at(follower.zoneset) == look_at(after)


def test_an_image_that_is_not_there_is_no_zone() -> None:
    def missing(origin: bytes, digest: bytes) -> Zone:
        raise ImageError(f"{origin!r} {digest!r}")

    with pytest.raises(ImageError):
        Follower(missing).follow(ZoneMapped(LAB, True, "compact", bytes(32)))


def test_who_compares_much_says_something_now_and_then() -> None:
    messages = list(updates(large(9000), large(9000)))
    assert messages == [ZoneBegun(LAB, True, "compact", fresh=False), Nodes(()), Nodes(())]


def test_keys_that_change_are_sent_alone() -> None:
    before = signed(parse_zone(APEX, "lab.example"))
    after = before.with_keys(LAB, zone_keys(LAB, NOW, zsks=((0, 2001), (NOW, 2002))))
    follower = Follower(mapped)
    send(follower, ZoneSet(), before)
    (message,) = send(follower, before, after)
    assert isinstance(message, KeysReplaced)
    assert look_at(follower.zoneset) == look_at(after)


def test_the_private_keys_are_in_no_repr() -> None:
    zoneset = signed(parse_zone(APEX, "lab.example"))
    served = zoneset.get(LAB)
    assert served is not None
    assert served.keys is not None
    private_key = served.keys.signers[0].signer.private_key()
    (message,) = [message for message in updates(ZoneSet(), zoneset) if isinstance(message, KeysReplaced)]
    assert private_key in encode(message)
    assert repr(private_key)[2:-1] not in repr(message)


def test_choices_cross_the_stream() -> None:
    some = [RRset(TYPE_A, 60, (bytes([192, 0, 2, n]),)) for n in range(3)]
    several = Multivalue(TYPE_A, 30, [(bytes([198, 51, 100, n]),) * 2 for n in range(12)])
    chosen = {
        b"\x01w" + LAB: Node({TYPE_A: Weighted([(1, some[0]), (0, some[1]), (3, Weighted([(5, several)]))])}),
        b"\x01m" + LAB: Node({TYPE_A: several}),
    }
    zoneset = signed(parse_zone(APEX, "lab.example")).with_nodes(LAB, chosen)
    follower = Follower(mapped)
    send(follower, ZoneSet(), zoneset)
    assert look_at(follower.zoneset) == look_at(zoneset)
    for name in ("w.lab.example", "m.lab.example"):
        for now in range(NOW, NOW + 20):
            assert ask(follower.zoneset, name, "A", now=now) == ask(zoneset, name, "A", now=now)


@pytest.mark.parametrize(
    "messages",
    [
        [Hello(1, 1232, 1, 1.0, 0.0)],
        [Nodes(())],
        [KeysReplaced(LAB, None)],
        [ZoneBegun(LAB, True, "compact", fresh=False)],
        [ZoneBegun(LAB, True, "compact", fresh=True), Commit(1)],
        [ZoneGone(LAB), Nodes(())],
    ],
    ids=lambda messages: type(messages[-1]).__name__,
)
def test_what_makes_no_sense_is_refused(messages: list[ToWorker]) -> None:
    follower = Follower(mapped)
    with pytest.raises(ValueError, match=r"."):
        for message in messages:
            follower.follow(message)


def test_what_is_not_committed_is_not_there() -> None:
    follower = Follower(mapped)
    for message in updates(ZoneSet(), signed(parse_zone(APEX, "lab.example"))):
        follower.follow(message)
    assert len(follower.zoneset) == 0
    follower.follow(Commit(7))
    assert list(follower.zoneset) == [LAB]


def test_the_types_of_an_apex_are_there() -> None:
    follower = Follower(mapped)
    send(follower, ZoneSet(), signed(parse_zone(APEX, "lab.example")))
    served = follower.zoneset.get(LAB)
    assert served is not None
    assert {TYPE_SOA, TYPE_NS} <= served.zone.nodes[LAB].rrsets.keys()
