"""Which zones are answered and which DS stands where: the same whatever way a set of zones came about."""

from __future__ import annotations

import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.dnssec.ds import ds_rdata
from server.query.fast.answer_caches import Caches
from tests.lab import NOW, ask, signed, wire_name, zone_keys
from zones import names
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.node import UnknownDs
from zones.parent_child import UNKNOWN_DS, ChildDs, delegation_point, linked_node, same_ds
from zones.rrtypes import TYPE_DS
from zones.zone import Zone
from zones.zoneset import ZoneSet

SOA = "@ 300 SOA ns host 1 7200 3600 1209600 300\n@ 300 NS ns\nns 300 A 192.0.2.53\n"
GRANDPARENT, MIDDLE, CHILD = "example.", "b.example.", "a.b.example."
DELEGATES_CHILD = SOA + "a.b 300 NS ns.a.b\nns.a.b 300 A 192.0.2.54\n"
ORIGINS = (GRANDPARENT, MIDDLE, CHILD, "c.a.b.example.", "d.b.example.", "e.example.")


def zone(origin: str, *delegated: str, is_signed: bool = True, denial: DenialMode = DenialMode.COMPACT) -> Zone:
    """A zone that delegates these names."""
    return parse_zone(SOA + "".join(f"{name} 300 NS ns.elsewhere.test.\n" for name in delegated), origin,
                      signed=is_signed, denial=denial)  # fmt: skip


def ds_of(zoneset: ZoneSet, origin: str) -> tuple[bytes, ...] | str:
    """What the zone that answers for the DS of `origin` has there."""
    response = dns.message.from_wire(ask(zoneset, origin, "DS"))
    if response.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(response.rcode())
    return tuple(rdata.to_wire() for rrset in response.answer if rrset.rdtype == TYPE_DS for rdata in rrset)


def ksks_of(origin: str, number: int) -> tuple[bytes, ...]:
    name = wire_name(origin)
    return tuple(ds_rdata(name, rdata) for rdata in zone_keys(name, ksks=(number,)).delegation)


def family(*zones: Zone) -> ZoneSet:
    zoneset = ZoneSet()
    for one in zones:
        zoneset = signed(one, others=zoneset) if one.signed else zoneset.with_zone(one)
    return zoneset


# A zone between two others that comes and goes


def test_a_zone_between_that_leaves_gives_the_child_back_to_the_zone_above() -> None:
    above, between, child = zone(GRANDPARENT, "b", "a.b"), zone(MIDDLE, "a"), zone(CHILD)
    # While it is here, the KSK of the child rolls; then it goes, and the zone above no more delegates it.
    zoneset = family(above, between, child).with_keys(child.origin, zone_keys(child.origin, ksks=(1002,)))
    assert ds_of(zoneset, CHILD) == ksks_of(CHILD, 1002)
    zoneset = zoneset.with_zone(zone(GRANDPARENT, "a.b")).without_zone(between.origin)
    assert ds_of(zoneset, CHILD) == ksks_of(CHILD, 1002)


def test_the_zone_above_has_the_ds_of_now_when_the_zone_between_goes() -> None:
    between = zone(MIDDLE, "a")
    zoneset = family(zone(GRANDPARENT, "a.b", is_signed=False), between, zone(CHILD))
    zoneset = signed(zone(GRANDPARENT, "a.b"), others=zoneset.with_zone(zone(GRANDPARENT, "a.b")))
    assert zoneset.withheld(between.origin) is not None
    zoneset = zoneset.with_keys(wire_name(CHILD), zone_keys(wire_name(CHILD), ksks=(1002,)))
    assert ds_of(zoneset, CHILD) == ksks_of(CHILD, 1002)
    assert ds_of(zoneset.without_zone(between.origin), CHILD) == ksks_of(CHILD, 1002)


def test_an_undelegated_zone_between_is_not_answered_until_its_parent_delegates_it() -> None:
    above, between, child = parse_zone(DELEGATES_CHILD, GRANDPARENT), zone(MIDDLE, is_signed=False), zone(CHILD)
    zoneset = family(above, child, between)
    withheld = zoneset.withheld(between.origin)
    assert withheld is not None
    assert (withheld.parent, withheld.lost) == (above.origin, child.origin)
    assert zoneset.get(between.origin) is None
    assert ds_of(zoneset, CHILD) == ksks_of(CHILD, 1001)
    # Delegated, it answers; and no more delegated, it doesn't.
    delegating = zone(GRANDPARENT, "b")
    cut = wire_name(MIDDLE)
    answered = zoneset.with_nodes(above.origin, {cut: delegating.nodes[cut]})
    assert answered.withheld(cut) is None
    assert answered.get(cut) is not None
    assert ds_of(answered, CHILD) == "NXDOMAIN"  # the zone between has no such name
    again = answered.with_nodes(above.origin, {cut: above.nodes[cut]})
    assert again.withheld(cut) is not None
    assert ds_of(again, CHILD) == ksks_of(CHILD, 1001)


@pytest.mark.parametrize(
    "above",
    [zone(GRANDPARENT, "b"), zone(GRANDPARENT, "a.b", is_signed=False), zone(GRANDPARENT), zone(GRANDPARENT, "x")],
    ids=["delegated", "unsigned", "nothing to lose", "elsewhere"],
)
def test_a_zone_that_takes_nothing_away_is_answered(above: Zone) -> None:
    between = zone(MIDDLE, "a")
    assert family(above, between).get(between.origin) is not None


# A DS that follows from what is durable


def test_the_ds_stands_before_the_keys_of_the_child_are_loaded() -> None:
    child = zone(CHILD)
    wanted = ksks_of(CHILD, 1001)
    loaded = signed(zone(GRANDPARENT, "a.b")).with_zones([child], {child.origin: ChildDs(wanted)})
    unloaded = signed(zone(GRANDPARENT, "a.b")).with_unloaded(child.origin, ChildDs(wanted))
    for zoneset in (loaded, unloaded):
        assert ds_of(zoneset, CHILD) == wanted
        assert dns.message.from_wire(ask(zoneset, CHILD, "A")).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("denial", DenialMode)
@pytest.mark.parametrize("with_caches", [False, True])
def test_a_ds_that_cannot_be_told_is_no_denial(denial: DenialMode, with_caches: bool) -> None:
    caches = Caches() if with_caches else None
    above = zone(GRANDPARENT, "a.b", denial=denial)
    child = wire_name(CHILD)
    zoneset = signed(above).with_unloaded(child, UNKNOWN_DS).without_zone(child).with_ds({})
    assert ds_of(zoneset, CHILD) == ()
    zoneset = signed(above).with_unloaded(child, UNKNOWN_DS)

    def rcode(qname: str, qtype: str, *, do: bool = True) -> str:
        wire = ask(zoneset, qname, qtype, do=do, caches=caches)
        return dns.rcode.to_text(dns.message.from_wire(wire).rcode())

    assert rcode(CHILD, "DS") == rcode(CHILD, "DS", do=False) == "SERVFAIL"
    # The child is served here, so only a query that it can't be asked leads to a referral: as an alias does.
    below = "alias.example."
    with_alias = parse_zone(SOA + "a.b 300 NS ns.elsewhere.test.\nalias 300 CNAME x.a.b\n", GRANDPARENT, denial=denial)
    zoneset = signed(with_alias).with_unloaded(child, UNKNOWN_DS)
    assert rcode(below, "CNAME") == "NOERROR"
    # Nor does any NSEC record deny it, which a resolver could take its word from (RFC 8198).
    for qname, qtype in ((CHILD, "NSEC"), ("a0.b.example.", "A"), ("nothing.example.", "A")):
        response = dns.message.from_wire(ask(zoneset, qname, qtype, caches=caches))
        for rrset in (*response.answer, *response.authority):
            if rrset.rdtype == 47 and rrset.name.to_text() == CHILD:
                assert "DS" in rrset[0].to_text().split()


def test_a_referral_that_would_carry_a_ds_that_cannot_be_told_fails() -> None:
    above = zone(GRANDPARENT, "a.b")
    child = wire_name(CHILD)
    unknown = signed(above).with_unloaded(child, UNKNOWN_DS)
    served = unknown.get(above.origin)
    assert served is not None
    assert isinstance(served.zone.nodes[child].rrsets[TYPE_DS], UnknownDs)
    # As where the child itself is on another server, and the parent's answering process has the node alone.
    zoneset = ZoneSet({above.origin: served})
    assert dns.message.from_wire(ask(zoneset, "x." + CHILD, "A")).rcode() == dns.rcode.SERVFAIL
    plain = dns.message.from_wire(ask(zoneset, "x." + CHILD, "A", do=False))
    assert plain.rcode() == dns.rcode.NOERROR
    assert {rrset.rdtype for rrset in plain.authority} == {2}


def test_where_the_parents_own_data_hold_a_ds_it_stands_when_the_child_leaves() -> None:
    own = f"a.b 300 NS ns.elsewhere.test.\na.b 300 DS 1 13 2 {'AB' * 32}\n"
    zoneset = signed(zone(CHILD), others=signed(parse_zone(SOA + own, GRANDPARENT)))
    assert set(ds_of(zoneset, CHILD)) == {*ksks_of(CHILD, 1001), bytes.fromhex("00010d02" + "ab" * 32)}
    assert ds_of(zoneset.without_zone(wire_name(CHILD)), CHILD) == (bytes.fromhex("00010d02" + "ab" * 32),)


# Whatever way it came about


def told(zoneset: ZoneSet) -> dict[str, object]:
    """Which zones are answered, why others are not, and each DS."""
    found: dict[str, object] = {}
    for origin in map(wire_name, ORIGINS):
        withheld = zoneset.withheld(origin)
        found[names.to_text(origin)] = (
            zoneset.get(origin) is not None,
            None if withheld is None else (withheld.parent, withheld.lost),
        )
    for origin in zoneset:
        served = zoneset.get(origin)
        assert served is not None
        for owner, node in served.zone.nodes.items():
            if TYPE_DS in node.rrsets:
                found[f"{names.to_text(origin)} {names.to_text(owner)}"] = (
                    type(node.rrsets[TYPE_DS]),
                    node.rrsets[TYPE_DS].canonical,
                    node.bitmap,
                )
    return found


@st.composite
def zones_of(draw: st.DrawFn) -> Zone:
    origin = draw(st.sampled_from(ORIGINS))
    below = [one[: -len(origin) - 1] for one in ORIGINS if one.endswith("." + origin)]
    delegated = draw(st.lists(st.sampled_from(below), unique=True)) if below else []
    cuts = [one for one in delegated if not any(one.endswith("." + other) for other in delegated)]
    return zone(origin, *cuts, is_signed=draw(st.booleans()))


steps = st.one_of(
    st.tuples(st.just("zone"), zones_of()),
    st.tuples(st.just("gone"), st.sampled_from(ORIGINS)),
    st.tuples(st.just("keys"), st.tuples(st.sampled_from(ORIGINS), st.sampled_from((None, 1001, 1002)))),
    st.tuples(st.just("unknown"), st.sampled_from(ORIGINS)),
    st.tuples(st.just("nodes"), zones_of()),
)


def stepped(zoneset: ZoneSet, kind: str, what: object) -> ZoneSet:
    if isinstance(what, Zone):
        if kind == "zone":
            return zoneset.with_zone(what)
        current = zoneset.get(what.origin) or (zoneset.withheld(what.origin) or (None,))[0]
        if current is None or current.loaded.signed != what.signed:
            return zoneset
        before = current.loaded.nodes
        gone = {owner: None for owner in before if owner not in what.nodes}
        return zoneset.with_nodes(what.origin, {**what.nodes, **gone})
    if kind == "keys":
        assert isinstance(what, tuple)
        origin = wire_name(what[0])
        return zoneset.with_keys(origin, None if what[1] is None else zone_keys(origin, NOW, ksks=(what[1],)))
    assert isinstance(what, str)
    origin = wire_name(what)
    return zoneset.without_zone(origin) if kind == "gone" else zoneset.with_ds({origin: UNKNOWN_DS})


@given(st.lists(steps, max_size=14))
def test_each_set_is_as_if_made_at_once(walk: list[tuple[str, object]]) -> None:
    zoneset = ZoneSet()
    for kind, what in walk:
        zoneset = stepped(zoneset, kind, what)
        known = [
            served
            for origin in map(wire_name, ORIGINS)
            if (served := zoneset.get(origin) or (zoneset.withheld(origin) or (None,))[0]) is not None
        ]
        at_once = ZoneSet().with_zones([one.loaded for one in known], {one.loaded.origin: one.ds for one in known})
        assert told(zoneset) == told(at_once)


# The parts of the rule


def test_a_name_is_delegated_at_the_cut_that_is_above_it() -> None:
    above = zone(GRANDPARENT, "b")
    cut = wire_name(MIDDLE)
    assert [delegation_point(above, wire_name(name)) for name in (MIDDLE, CHILD, "x.a.b.example.")] == [cut] * 3
    assert delegation_point(above, wire_name("c.example.")) is None
    assert delegation_point(above, wire_name(GRANDPARENT)) is None


def test_a_ds_with_another_ttl_is_another_ds() -> None:
    cut = wire_name(MIDDLE)
    rdatas = ChildDs(ksks_of(MIDDLE, 1))
    short, long = (
        parse_zone(SOA + f"b {ttl} NS ns.elsewhere.test.\n", GRANDPARENT, signed=True).nodes[cut] for ttl in (60, 600)
    )
    linked = [linked_node(node, rdatas, signed=True) for node in (short, long, short)]
    assert all(node is not None for node in linked)
    assert not same_ds(linked[0], linked[1])  # type: ignore[arg-type]
    assert same_ds(linked[0], linked[2])  # type: ignore[arg-type]
    assert not same_ds(linked[0], short)  # type: ignore[arg-type]
    assert same_ds(short, long)


def test_an_unsigned_parent_has_no_ds_of_a_child() -> None:
    above = zone(GRANDPARENT, "b", is_signed=False)
    node = above.nodes[wire_name(MIDDLE)]
    assert linked_node(node, ChildDs(ksks_of(MIDDLE, 1)), signed=False) is node
    zoneset = family(above, zone(MIDDLE))
    assert zoneset.get(wire_name(MIDDLE)).ds.rdatas  # type: ignore[union-attr]
    assert ds_of(zoneset, MIDDLE) == ()
