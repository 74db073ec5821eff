"""Record sets compiled: policies and aliases in valid answers; and changed name by name as if made from scratch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dns.message
import dns.name
import pytest
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st

from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, anchor, ask, datagrams, query, signed, surprised, wire_name
from tests.validator import judge
from tests.zones.storage.test_zone_contents import compare
from zones.recordsets.compiled_record_sets import Compiled, sources_of
from zones.recordsets.record_sets import MOST_ALIASES_IN_A_ROW, AliasTarget, RecordSet
from zones.recordsets.record_values import ValueRefusedError
from zones.zoneset import ZoneSet

APEX = "lab.example."
ORIGIN = wire_name(APEX)
SOA = RecordSet(APEX, "SOA", 900, ("ns.test. hostmaster.test. 1 7200 900 1209600 86400",))
NS = RecordSet(APEX, "NS", 172800, ("ns1.test.", "ns2.test."))


def weighted(name: str, value: str, weight: int, rrtype: str = "A") -> RecordSet:
    return RecordSet(name, rrtype, 60, (value,), set_identifier=value, weight=weight)


def multivalue(name: str, value: str) -> RecordSet:
    return RecordSet(name, "A", 60, (value,), set_identifier=value, multivalue=True)


def alias(name: str, target: str, rrtype: str = "A") -> RecordSet:
    return RecordSet(name, rrtype, alias=AliasTarget("Z", target))


STORED = [
    SOA,
    NS,
    RecordSet("www.lab.example.", "A", 300, ("192.0.2.1", "192.0.2.2")),
    weighted("w.lab.example.", "192.0.2.10", 3),
    weighted("w.lab.example.", "192.0.2.20", 1),
    weighted("w.lab.example.", "192.0.2.30", 0),
    weighted("even.lab.example.", "192.0.2.10", 0),
    weighted("even.lab.example.", "192.0.2.20", 0),
    weighted("only.lab.example.", "192.0.2.10", 1),
    weighted("cname.lab.example.", "www.lab.example.", 1, "CNAME"),
    weighted("cname.lab.example.", "even.lab.example.", 1, "CNAME"),
    *(multivalue("few.lab.example.", f"192.0.2.{n}") for n in range(3)),
    *(multivalue("many.lab.example.", f"192.0.2.{n}") for n in range(20)),
    *(multivalue(r"\052.wild.lab.example.", f"192.0.2.{n}") for n in range(20)),
    alias(APEX, "www.lab.example."),
    alias("alias.lab.example.", "w.lab.example."),
    alias("further.lab.example.", "alias.lab.example."),
    alias("gone.lab.example.", "nowhere.lab.example."),
    alias("circle.lab.example.", "circle2.lab.example."),
    alias("circle2.lab.example.", "circle.lab.example."),
    RecordSet("a.lab.example.", "A", set_identifier="x", weight=1, alias=AliasTarget("Z", "many.lab.example.")),
    RecordSet("a.lab.example.", "A", 60, ("192.0.2.99",), set_identifier="y", weight=1),
    RecordSet("nods.lab.example.", "DS", 60, ("1 13 2 " + "AB" * 32,)),
    RecordSet("long.lab.example.", "A", 2**31 - 1, ("192.0.2.1",)),
]
ZONE = Compiled.of(APEX, STORED).zone()


def answered(zoneset: ZoneSet, name: str, now: int, rrtype: str = "A") -> frozenset[str]:
    """The data in the answer section, which is valid."""
    wire = ask(zoneset, name, rrtype, now=now)
    judge(wire, dns.name.from_text(name), RdataType[rrtype], anchor(ORIGIN), now)
    wanted = dns.name.from_text(name), RdataType[rrtype]
    answer = dns.message.from_wire(wire).answer
    return frozenset(r.to_text() for rrset in answer if (rrset.name, rrset.rdtype) == wanted for r in rrset)


def over_time(zoneset: ZoneSet, name: str, seconds: int, rrtype: str = "A") -> Counter[frozenset[str]]:
    return Counter(answered(zoneset, name, NOW + second, rrtype) for second in range(seconds))


def one(*values: str) -> frozenset[str]:
    return frozenset(values)


def test_weights_are_shares_of_the_answers() -> None:
    seen = over_time(signed(ZONE), "w.lab.example.", 600)
    assert set(seen) == {one("192.0.2.10"), one("192.0.2.20")}
    assert 400 < seen[one("192.0.2.10")] < 500  # three in four
    even = over_time(signed(ZONE), "even.lab.example.", 400)
    assert min(even[one("192.0.2.10")], even[one("192.0.2.20")]) > 150
    assert set(over_time(signed(ZONE), "only.lab.example.", 5)) == {one("192.0.2.10")}


def test_weights_of_which_no_value_can_be_read_are_nothing() -> None:
    refused = [weighted("x.lab.example.", value, 1) for value in ("a", "b")]
    told: list[RecordSet] = []
    assert sources_of(refused, lambda record_set, _: told.append(record_set)) == {}
    assert told == refused


def test_a_weighted_cname_is_followed() -> None:
    zoneset = signed(ZONE)
    seen = over_time(zoneset, "cname.lab.example.", 60, "CNAME")
    assert set(seen) == {one("www.lab.example."), one("even.lab.example.")}
    for second in range(10):
        wire = ask(zoneset, "cname.lab.example.", "A", now=NOW + second)
        judge(wire, dns.name.from_text("cname.lab.example."), RdataType.A, anchor(ORIGIN), NOW + second)
        first, target = (rrset for rrset in dns.message.from_wire(wire).answer if rrset.rdtype != RdataType.RRSIG)
        assert (first.rdtype, target.name) == (RdataType.CNAME, first[0].target)


def test_up_to_eight_of_many_values_are_answered() -> None:
    zoneset = signed(ZONE)
    assert set(over_time(zoneset, "few.lab.example.", 3)) == {one("192.0.2.0", "192.0.2.1", "192.0.2.2")}
    for name in ("many.lab.example.", "x.wild.lab.example."):
        seen = over_time(zoneset, name, 60)
        assert {len(values) for values in seen} == {8}
        assert len(seen) > 50
        assert len(frozenset().union(*seen)) == 20


def test_an_alias_answers_as_its_target_under_its_own_name() -> None:
    zoneset = signed(ZONE)
    assert answered(zoneset, APEX, NOW) == one("192.0.2.1", "192.0.2.2")
    for name in ("alias.lab.example.", "further.lab.example."):
        assert set(over_time(zoneset, name, 60)) == {one("192.0.2.10"), one("192.0.2.20")}
    for name in ("gone.lab.example.", "circle.lab.example."):
        assert answered(zoneset, name, NOW) == frozenset()
        assert wire_name(name) in ZONE.nodes
    assert {len(values) for values in over_time(zoneset, "a.lab.example.", 60)} == {1, 8}


@pytest.mark.parametrize("rrtype", ["ANY", "RRSIG"])
def test_of_any_and_rrsig_one_choice_is_shown(rrtype: str) -> None:
    wires = {ask(signed(ZONE), "w.lab.example.", rrtype, now=NOW + second) for second in range(30)}
    assert len(wires) == 2


def test_what_has_no_meaning_is_not_answered() -> None:
    assert answered(signed(ZONE), "nods.lab.example.", NOW, "DS") == frozenset()
    assert ZONE.nodes[wire_name("long.lab.example.")].rrsets[1].ttl == 604800
    assert ZONE.maximum_ttl == 604800


def test_a_choice_lasts_one_second_in_every_cache_and_what_is_plain_lasts() -> None:
    zoneset = signed(ZONE)
    names = ["w.lab.example.", "alias.lab.example.", "many.lab.example.", "cname.lab.example.", "www.lab.example."]
    wires = [query(name, "A") for name in names]
    one_process, another = (
        Responder(lambda: zoneset, Caches(), surprised),
        Responder(lambda: zoneset, Caches(), surprised),
    )
    for second in range(30):
        now = NOW + second
        fresh = [respond(wire, zoneset, now, Via.UDP) for wire in wires]
        assert datagrams(one_process, wires, now) == datagrams(one_process, wires, now) == fresh
        assert datagrams(another, wires[::-1], now) == fresh[::-1]
    caches = Caches()
    datagrams(Responder(lambda: zoneset, caches, surprised), wires * 2)
    untils = sorted(until for _, until in caches.packets.young.values())
    assert untils[:4] == [NOW + 1] * 4
    assert untils[4] > NOW + 600
    assert all(response.until == NOW + 1 for response in caches.answers.young.values())


_NAMES = [APEX, "a.lab.example.", "b.lab.example.", "c.lab.example.", "x.c.lab.example.", r"\052.lab.example."]


@st.composite
def of_one_name(draw: st.DrawFn, name: str) -> list[RecordSet]:
    made = [SOA, NS] if name == APEX else []
    kinds = ["a", "alias", "weighted", "multivalue", "none"] + (["cname", "ns", "ds"] if name in _NAMES[1:5] else [])
    kind = draw(st.sampled_from(kinds))
    target = draw(st.sampled_from(_NAMES))
    ttl = draw(st.sampled_from([0, 60, 604801]))
    if kind == "a":
        made.append(RecordSet(name, "A", ttl, (f"192.0.2.{draw(st.integers(0, 5))}",)))
    elif kind == "alias":
        made.append(alias(name, target))
    elif kind == "weighted":
        made += [weighted(name, f"192.0.2.{n}", draw(st.integers(0, 2))) for n in range(draw(st.integers(1, 3)))]
        made.append(RecordSet(name, "A", set_identifier="t", weight=1, alias=AliasTarget("Z", target)))
    elif kind == "multivalue":
        made += [multivalue(name, f"192.0.2.{n}") for n in range(draw(st.sampled_from([2, 9])))]
    elif kind == "cname":
        made.append(RecordSet(name, "CNAME", ttl, (target,)))
    elif kind == "ns":
        made.append(RecordSet(name, "NS", ttl, (target, "x.c.lab.example.")))
    if kind in ("ns", "ds"):
        made.append(RecordSet(name, "DS", ttl, ("1 13 2 " + "AB" * 32,)))
    return made


@st.composite
def batches(draw: st.DrawFn) -> list[dict[str, list[RecordSet]]]:
    sizes = draw(st.lists(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True), max_size=6))
    return [{name: draw(of_one_name(name)) for name in chosen} for chosen in sizes]


@given(batches())
def test_changed_name_by_name_it_is_as_compiled_from_scratch(made: list[dict[str, list[RecordSet]]]) -> None:
    compiled = Compiled.of(APEX, [SOA, NS])
    zone = compiled.zone()
    stored: dict[str, Sequence[RecordSet]] = {APEX: [SOA, NS]}
    for batch in made:
        compiled, replaced = compiled.changed(batch)
        zone = zone.with_nodes(replaced)
        stored.update(batch)
        compare(zone, Compiled.of(APEX, [r for group in stored.values() for r in group]).zone())


def lead_on(name: str, target: str, identifier: str) -> RecordSet:
    return RecordSet(name, "A", set_identifier=identifier, weight=1, alias=AliasTarget("Z", target))


def test_a_choice_within_a_choice_is_drawn_by_itself() -> None:
    values = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
    held = [SOA, NS, *(weighted(f"{n // 2}.lab.example.", value, 1) for n, value in enumerate(values))]
    held += [lead_on("x.lab.example.", f"{n}.lab.example.", str(n)) for n in range(2)]
    seen = over_time(signed(Compiled.of(APEX, held).zone()), "x.lab.example.", 400)
    assert set(seen) == {one(value) for value in values}
    assert min(seen.values()) > 60


def test_weighted_aliases_that_lead_on_without_end_cost_no_more_than_a_limit() -> None:
    held = [SOA, NS, RecordSet("0.lab.example.", "A", 60, ("192.0.2.1",))]
    held += [
        lead_on(f"{n + 1}.lab.example.", f"{n}.lab.example.", str(option)) for n in range(30) for option in range(3)
    ]
    zone = Compiled.of(APEX, held).zone()  # 3 ** 30 ways
    assert answered(signed(zone), "1.lab.example.", NOW) == one("192.0.2.1")
    assert answered(signed(zone), "30.lab.example.", NOW) == one("192.0.2.1")


def test_aliases_beyond_the_limit_have_nothing() -> None:
    held = [SOA, NS, RecordSet("0.lab.example.", "A", 60, ("192.0.2.1",))]
    held += [alias(f"{n + 1}.lab.example.", f"{n}.lab.example.") for n in range(2000)]
    zoneset = signed(Compiled.of(APEX, held).zone())
    assert answered(zoneset, f"{MOST_ALIASES_IN_A_ROW}.lab.example.", NOW) == one("192.0.2.1")
    assert answered(zoneset, f"{MOST_ALIASES_IN_A_ROW + 1}.lab.example.", NOW) == one()


def test_what_is_drawn_does_not_depend_on_the_order_in_which_it_was_stored() -> None:
    ways = [weighted("w.lab.example.", f"192.0.2.{n}", 1) for n in range(4)]
    one_way, other_way = (signed(Compiled.of(APEX, [SOA, NS, *group]).zone()) for group in (ways, ways[::-1]))
    for second in range(20):
        now = NOW + second
        assert answered(one_way, "w.lab.example.", now) == answered(other_way, "w.lab.example.", now)


UNREADABLE = [
    SOA,
    NS,
    RecordSet("a.lab.example.", "A", 60, ("192.0.2.1", "192.0.2.999")),
    RecordSet("b.lab.example.", "A", 60, ("192.0.2.999",)),
    RecordSet("b.lab.example.", "TXT", 60, ('"x"',)),
    weighted("w.lab.example.", "192.0.2.999", 9),
    weighted("w.lab.example.", "192.0.2.2", 1),
    multivalue("m.lab.example.", "192.0.2.999"),
    multivalue("m.lab.example.", "192.0.2.3"),
    alias("alias.lab.example.", "b.lab.example."),
    weighted("none.lab.example.", "192.0.2.999", 1),
]
READ = {
    "a.lab.example.": one("192.0.2.1"),
    "w.lab.example.": one("192.0.2.2"),
    "m.lab.example.": one("192.0.2.3"),
    "b.lab.example.": one(),
    "alias.lab.example.": one(),
    "none.lab.example.": one(),
}


def test_a_stored_value_that_can_not_be_read_is_left_out() -> None:
    left_out: list[tuple[str, str]] = []
    compiled = Compiled.of(APEX, UNREADABLE, lambda record_set, error: left_out.append((record_set.name, str(error))))
    assert [name.partition(".")[0] for name, _ in left_out] == ["a", "b", "w", "m", "none"]
    assert all("ARRDATAIllegalIPv4Address" in told for _, told in left_out)
    zoneset = signed(compiled.zone())
    for name, values in READ.items():
        assert answered(zoneset, name, NOW) == values
    assert answered(zoneset, "b.lab.example.", NOW, "TXT") == one('"x"')
    with pytest.raises(ValueRefusedError):
        Compiled.of(APEX, UNREADABLE)


def test_a_name_with_one_can_be_changed() -> None:
    compiled = Compiled.of(APEX, UNREADABLE, lambda *_: None)
    after, replaced = compiled.changed(
        {"b.lab.example.": [*UNREADABLE[3:5], RecordSet("b.lab.example.", "CAA", 60, ('0 issue ";"',))]}
    )
    zone = compiled.zone().with_nodes(replaced)
    compare(zone, after.zone())
    assert answered(signed(zone), "b.lab.example.", NOW, "CAA") == one('0 issue ";"')
