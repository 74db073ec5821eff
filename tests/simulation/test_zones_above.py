"""What is objected to in the zones above a child: each rule, with one thing that is not as it has to be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.lab import NOW, zone_keys
from tests.simulation.schedule import draw
from tests.simulation.world import World
from tests.simulation.zones_above import GRANDPARENT, MIDDLE, ZonesAbove
from zones.parent_child import UNKNOWN_DS, ChildDs

PLAN = draw(4)
CHILD = PLAN.origin
KEYS = zone_keys(CHILD, ksks=(1001, 1002))
PUBLISHED = NOW - 100


class Seen:
    """As much of a world as is asked, with the objections that were made."""

    def __init__(self) -> None:
        ksks = [
            SimpleNamespace(rdata=rdata, published=PUBLISHED, ready=NOW, withdrawn=None, public_key=b"")
            for rdata in KEYS.delegation
        ]
        self.plan = PLAN
        self.objections: list[str] = []
        self.named: frozenset[bytes] = frozenset()
        self.keyring: Any = SimpleNamespace(
            origin=CHILD, keyset=KEYS.keyset, ksks=ksks, zsks=[], served_unsigned=False, was_unsigned=False
        )

    def now(self) -> float:
        return NOW

    def set_ds(self, named: frozenset[bytes]) -> None:
        self.named = named

    def object(self, objection: str) -> None:
        self.objections.append(objection)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def above(seen: Seen) -> ZonesAbove:
    """A signed grandparent that delegates the child, whose keys are published."""
    made = ZonesAbove(cast(World, seen))
    made.stored(seen.keyring)
    made.put(GRANDPARENT, delegates="child", signed=True, by_api=False)
    made.zoneset = made.zoneset.with_zone(made._child_as_served())
    made.publish(KEYS)
    seen.objections.clear()
    return made


def test_the_ds_of_all_published_ksks_is_as_it_has_to_be(above: ZonesAbove, seen: Seen) -> None:
    for by_api in (False, True):
        above.put(MIDDLE, delegates="child", signed=True, by_api=by_api)
        above.put(GRANDPARENT, delegates="middle", signed=True, by_api=by_api)
        above.remove(MIDDLE)
        above.put(GRANDPARENT, delegates="child", signed=True, by_api=by_api)
    assert seen.objections == []
    assert seen.named == {*KEYS.delegation}


def test_the_ds_of_a_withdrawn_ksk_is_objected_to(above: ZonesAbove, seen: Seen) -> None:
    seen.keyring.ksks[0].withdrawn = NOW
    above.publish(KEYS._replace(delegation=KEYS.delegation[1:]))
    assert seen.objections == []
    above.zoneset = above.zoneset.with_keys(CHILD, KEYS)
    above._look()
    assert seen.objections == ["a zone above shows the DS of a KSK that no DS may name"]


@pytest.mark.parametrize(
    ("shown", "unknown", "objection"),
    [
        (ChildDs(), False, "a zone above denies a DS that has to stand"),
        (ChildDs(), True, "a DS that is unknown is not SERVFAIL: denied"),
        (UNKNOWN_DS, False, "a zone above that delegates the child says nothing of its DS: servfail"),
    ],
)
def test_a_ds_that_is_not_what_is_known_of_it_is_objected_to(
    above: ZonesAbove, seen: Seen, shown: ChildDs, unknown: bool, objection: str
) -> None:
    above._is_unknown = unknown
    above.zoneset = above.zoneset.with_ds({CHILD: shown})
    above._look()
    assert seen.objections == [objection]


def test_a_middle_zone_that_takes_a_delegation_away_is_objected_to(
    above: ZonesAbove, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zones.zoneset.lost_delegation", lambda *_: None)
    above.put(MIDDLE, delegates="nothing", signed=False, by_api=True)
    assert {*seen.objections} == {"a middle zone that is not delegated is answered"}


def test_a_middle_zone_that_stays_withheld_is_objected_to(
    above: ZonesAbove, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    above.put(MIDDLE, delegates="child", signed=True, by_api=False)
    monkeypatch.setattr("zones.zoneset.turned_points", lambda *_: [])
    above.put(GRANDPARENT, delegates="middle", signed=True, by_api=True)
    assert seen.objections == ["a middle zone is not answered"]
