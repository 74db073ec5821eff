"""What is stored and what is answered are one: after any batches, the snapshot is the one that the store makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from keys.custody.state_database import Store
from tests.zones.recordsets.test_record_store import APEX, info, initial, zone
from tests.zones.storage.test_zone_contents import compare
from zones.recordsets.compiled_record_sets import Compiled
from zones.recordsets.record_sets import AliasTarget, ChangeAction, RecordSet, RecordSetChange, ZoneRequestError
from zones.recordsets.record_store import RecordStore
from zones.rrtypes import TYPE_SOA

_NAMES = [APEX, "a.lab.example.", "b.a.lab.example.", "c.lab.example.", "*.lab.example.", "x.y.c.lab.example."]
names = st.sampled_from(_NAMES)
addresses = st.integers(1, 3).map(lambda number: f"192.0.2.{number}")
ttls = st.sampled_from([0, 60, 604801])


@st.composite
def record_sets(draw: st.DrawFn) -> RecordSet:
    name, ttl = draw(names), draw(ttls)
    match draw(
        st.sampled_from(["A", "A", "NS", "CNAME", "DS", "weighted", "multivalue", "alias", "weighted alias", "SOA"])
    ):
        case "A":
            return RecordSet(name, "A", ttl, (draw(addresses),))
        case "NS":
            return RecordSet(name, "NS", ttl, (draw(names), "ns.elsewhere.test."))
        case "CNAME":
            return RecordSet(name, "CNAME", ttl, (draw(names),))
        case "DS":
            return RecordSet(name, "DS", ttl, ("1 13 2 " + "AB" * 32,))
        case "SOA":
            return RecordSet(APEX, "SOA", ttl, (f"ns. host. {draw(st.integers(0, 99))} 1 2 3 4",))
        case "alias":
            return RecordSet(name, "A", alias=AliasTarget(zone().id, draw(names)))
        case "multivalue":
            return RecordSet(
                name, "A", ttl, (draw(addresses),), set_identifier=draw(st.sampled_from("xyz")), multivalue=True
            )
    identifier, weight = draw(st.sampled_from("xyz")), draw(st.integers(0, 2))
    if draw(st.booleans()):
        return RecordSet(name, "A", ttl, (draw(addresses),), set_identifier=identifier, weight=weight)
    target = AliasTarget(zone().id, draw(names))
    return RecordSet(name, "A", set_identifier=identifier, weight=weight, alias=target)


changes = st.builds(
    RecordSetChange, st.sampled_from([ChangeAction.CREATE, ChangeAction.UPSERT, ChangeAction.UPSERT]), record_sets()
)


@contextmanager
def kept() -> Iterator[RecordStore]:
    with TemporaryDirectory() as folder, Store.open(Path(folder) / "state", bytes) as store:
        records = RecordStore(store)
        records.create(zone(), initial(APEX), info("created"))
        yield records


@given(st.lists(st.lists(changes, min_size=1, max_size=3), max_size=12))
def test_the_snapshot_is_that_of_the_store(batches: list[list[RecordSetChange]]) -> None:
    with kept() as records:
        compiled = Compiled.of(APEX, initial(APEX))
        snapshot = compiled.zone()
        for number, batch in enumerate(batches):
            stored = list(records.all_record_sets(zone().id))
            # Now and then something that is there is taken away.
            gone = [RecordSetChange(ChangeAction.DELETE, stored[number % len(stored)])] if number % 3 == 2 else []
            serial = snapshot.serial
            try:
                applied = records.apply(zone().id, [*gone, *batch], info(str(number)))
            except ZoneRequestError:
                assert list(records.all_record_sets(zone().id)) == stored
                continue
            compiled, replaced = compiled.changed(applied.names)
            snapshot = snapshot.with_nodes(replaced)
            now_stored = list(records.all_record_sets(zone().id))
            compare(snapshot, Compiled.of(APEX, now_stored).zone())
            assert records.zone(zone().id).record_set_count == len(now_stored)
            assert 0 < (snapshot.serial - serial) % 2**32 < 2**31
            assert len(snapshot.nodes[snapshot.origin].rrsets[TYPE_SOA].records) == 1
