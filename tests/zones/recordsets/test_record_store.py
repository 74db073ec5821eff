"""Hosted zones in the state database: durable, atomic, listed in Route 53's order page by page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from keys.custody.change_log import RecordsChanged, SnapshotNeeded, TagsChanged, ZoneDeleted
from keys.custody.state_database import StateUnavailable, Store
from keys.custody.zsk_encryption import StateError
from keys.rules.events import Entry
from keys.rules.keyring import Keyring
from tests.lab import wire_name
from zones.recordsets.record_sets import (
    ChangeAction,
    ChangeInfo,
    ChangeStatus,
    HostedZone,
    InvalidChangeBatchError,
    Position,
    RecordSet,
    RecordSetChange,
    ZoneRequestError,
)
from zones.recordsets.record_store import CHANGES_KEPT, RecordStore
from zones.recordsets.route53_names import order

APEX = "lab.example."
NOW = 1_900_000_000


def initial(apex: str) -> list[RecordSet]:
    return [
        RecordSet(apex, "NS", 172800, ("ns1.test.",)),
        RecordSet(apex, "SOA", 900, ("ns1.test. hostmaster.test. 1 7200 900 1209600 86400",)),
    ]


def zone(number: int = 0, name: str = APEX) -> HostedZone:
    return HostedZone(
        id=f"Z{number:020}",
        name=name,
        caller_reference=f"reference {number}",
        created=NOW,
        name_servers=("ns1.test",),
        record_set_count=2,
    )


def info(name: str, submitted: int = NOW) -> ChangeInfo:
    return ChangeInfo(f"C{name}", ChangeStatus.PENDING, submitted)


def made(*record_sets: RecordSet) -> list[RecordSetChange]:
    return [RecordSetChange(ChangeAction.CREATE, record_set) for record_set in record_sets]


def a(name: str, value: str = "192.0.2.1") -> RecordSet:
    return RecordSet(name, "A", 300, (value,))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state", bytes) as opened:
        yield opened


@pytest.fixture
def records(store: Store) -> RecordStore:
    created = RecordStore(store)
    created.create(zone(), initial(APEX), info("created"))
    return created


def test_a_zone_is_kept_with_what_it_was_made_of(records: RecordStore, store: Store) -> None:
    assert records.zone(zone().id) == zone()
    assert list(records.all_record_sets(zone().id)) == initial(APEX)
    assert store.hosted_zone_id(wire_name(APEX), lambda: "other", NOW) == zone().id
    assert records.zone_count() == 1


def test_a_reference_is_used_once_and_a_name_too(records: RecordStore) -> None:
    with pytest.raises(ZoneRequestError, match="HostedZoneAlreadyExists: A hosted zone has already been created"):
        records.create(zone(0, "other.example."), [], info("x"))
    with pytest.raises(ZoneRequestError, match="ConflictingDomainExists: "):
        records.create(zone(1), [], info("x"))
    assert records.zone_count() == 1


def test_a_zone_that_was_signed_from_a_file_keeps_its_id_and_keys(store: Store) -> None:
    store.hosted_zone_id(wire_name(APEX), lambda: "ZFILE", NOW)
    store.save(Keyring(wire_name(APEX), "ZFILE"), [])
    assert RecordStore(store).create(zone(), initial(APEX), info("x")).id == "ZFILE"
    assert RecordStore(store).zone("ZFILE").name == APEX
    assert store.load_keyring(wire_name(APEX)) is not None


@pytest.mark.parametrize("method", ["zone", "comment", "delete", "change_tags", "tags", "record_sets", "apply"])
def test_what_is_asked_of_no_zone_is_refused(records: RecordStore, method: str) -> None:
    more = {
        "zone": (),
        "comment": ("x",),
        "delete": (info("x"),),
        "change_tags": ({}, []),
        "tags": (),
        "record_sets": (None, 5),
        "apply": ([], info("x")),
    }
    first = ["Z0"] if method == "tags" else "Z0"
    with pytest.raises(ZoneRequestError, match="NoSuchHostedZone: No hosted zone found with ID: Z0"):
        getattr(records, method)(first, *more[method])


def test_zones_are_listed_by_id_and_by_name(records: RecordStore) -> None:
    for number, name in enumerate(["b.example.", "a.test.", "x.b.example.", "a.example."], start=1):
        records.create(zone(number, name), initial(name), info(str(number)))
    assert [listed.id for listed in records.zones("", 3)] == [zone(number).id for number in range(3)]
    assert [listed.id for listed in records.zones(zone(3).id, 9)] == [zone(3).id, zone(4).id]
    names = ["a.example.", "b.example.", "x.b.example.", APEX, "a.test."]
    assert [listed.name for listed in records.zones_by_name(None, "", 9)] == names
    assert [listed.name for listed in records.zones_by_name("b.example.", "", 2)] == names[1:3]
    assert [listed.name for listed in records.zones_by_name("b.example.", zone(2).id, 2)] == names[2:4]


def test_a_comment_is_changed_and_the_count_goes_along(records: RecordStore) -> None:
    records.apply(zone().id, made(a("x.lab.example")), info("1"))
    assert records.comment(zone().id, "new").comment == "new"
    kept = records.zone(zone().id)
    assert (kept.comment, kept.record_set_count) == ("new", 3)


def test_tags_are_put_and_removed(records: RecordStore) -> None:
    records.change_tags(zone().id, {"a": "1", "b": "2"}, [])
    records.change_tags(zone().id, {"b": "3", "c": ""}, ["a", "none"])
    assert records.tags([zone().id]) == {zone().id: {"b": "3", "c": ""}}


def test_only_an_empty_zone_is_deleted_and_nothing_of_it_remains(records: RecordStore, store: Store) -> None:
    records.apply(zone().id, made(a("x.lab.example")), info("1"))
    with pytest.raises(ZoneRequestError, match="HostedZoneNotEmpty: The specified hosted zone contains non-required"):
        records.delete(zone().id, info("2"))
    records.apply(zone().id, [RecordSetChange(ChangeAction.DELETE, a("x.lab.example"))], info("3"))
    records.change_tags(zone().id, {"a": "1"}, [])
    store.save(Keyring(wire_name(APEX), zone().id), [])
    records.delete(zone().id, info("4"))
    with store.writing() as transaction:
        for table in ("hosted_zone", "kept_zone", "record_set", "zone_tag", "ring", "zsk_secret"):
            assert transaction.connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    with pytest.raises(ZoneRequestError, match="HostedZoneAlreadyExists"):  # its caller reference is never free again
        records.create(zone(), initial(APEX), info("5"))
    again = msgspec.structs.replace(zone(), caller_reference="another")
    assert records.create(again, initial(APEX), info("6")) == again


def test_the_events_of_a_zone_go_with_it(records: RecordStore, store: Store) -> None:
    records.create(zone(1, "other.example."), initial("other.example."), info("other"))
    for number, name in enumerate((APEX, "other.example.")):
        store.save(Keyring(wire_name(name), zone(number).id), [Entry(5, "KskIntended", "why")])
    records.delete(zone().id, info("x"))
    records.create(zone(2), initial(APEX), info("again"))
    assert store.events(wire_name(APEX)) == ()
    assert len(store.events(wire_name("other.example."))) == 1


@pytest.mark.parametrize("damage", ["x'ff'", "5"])
def test_a_zone_that_can_not_be_read_concerns_itself_alone(records: RecordStore, store: Store, damage: str) -> None:
    records.create(zone(1, "other.example."), initial("other.example."), info("other"))
    with store.writing() as transaction:
        update = text(f"UPDATE kept_zone SET document = {damage} WHERE id = :id")
        transaction.connection.execute(update, {"id": zone().id})
    stored = records.stored_zones()
    assert stored.good == (zone(1, "other.example."),)
    assert list(stored.problems) == [wire_name(APEX)]
    assert f"a HostedZone of hosted zone {zone().id} can't be read" in str(stored.problems[wire_name(APEX)])
    listed, other = records.zones()
    assert other == zone(1, "other.example.")
    assert (listed.id, listed.name, listed.record_set_count) == (zone().id, APEX, 2)
    assert records.zones_by_name(APEX, "", 1) == (listed,)
    assert list(records.all_record_sets(zone().id)) == initial(APEX)  # they are whole
    with pytest.raises(StateError, match="can't be read"):
        records.comment(zone().id, "new")
    assert records.comment(zone(1).id, "new").comment == "new"


def test_a_zone_that_is_filed_as_another_one_is_not_served_as_that(records: RecordStore, store: Store) -> None:
    records.create(zone(1, "other.example."), initial("other.example."), info("other"))
    with store.writing() as transaction:
        transaction.connection.execute(
            text("UPDATE kept_zone SET document = (SELECT document FROM kept_zone WHERE id = :one) WHERE id = :id"),
            {"id": zone().id, "one": zone(1).id},
        )
    assert list(records.stored_zones().problems) == [wire_name(APEX)]


def test_each_change_is_in_the_log(records: RecordStore, store: Store) -> None:
    start = store.position
    records.apply(zone().id, made(a("x.lab.example")), info("1"))
    records.comment(zone().id, "new")
    records.change_tags(zone().id, {"a": "1"}, [])
    records.note_change(info("noted"))
    records.apply(zone().id, [RecordSetChange(ChangeAction.DELETE, a("x.lab.example"))], info("2"))
    records.delete(zone().id, info("3"))
    with pytest.raises(ZoneRequestError):
        records.delete(zone().id, info("4"))
    rows = store.changes_after(start)
    assert not isinstance(rows, SnapshotNeeded)
    origin = wire_name(APEX)
    assert [row.version for row in rows] == list(range(start.version + 1, start.version + 7))
    first, *others, last, gone = [row.changes for row in rows]
    assert [(change.origin, set(change.names)) for change in (*first, *last) if isinstance(change, RecordsChanged)] == [
        (origin, {APEX, "x.lab.example."})
    ] * 2
    assert others == [(TagsChanged(zone().id),), (TagsChanged(zone().id),), ()]
    assert gone == (ZoneDeleted(origin, zone().id),)


def test_two_changes_of_the_same_names_differ_in_the_log(tmp_path: Path) -> None:
    """Else two states that parted could come to the same position with other contents."""
    documents = []
    for value in ("192.0.2.1", "192.0.2.2"):
        with Store.open(tmp_path / value, bytes) as store:
            records = RecordStore(store)
            records.create(zone(), initial(APEX), info("created"))
            before = store.position
            records.apply(zone().id, made(a("x.lab.example", value)), info("1"))
            rows = store.changes_after(before)
            assert not isinstance(rows, SnapshotNeeded)
            documents.append(rows[0].document)
    assert documents[0] != documents[1]


def test_a_batch_is_stored_whole_with_its_change(records: RecordStore) -> None:
    applied = records.apply(zone().id, made(a("x.lab.example"), a("*.lab.example")), info("1"))
    assert set(applied.names) == {APEX, "x.lab.example.", r"\052.lab.example."}
    records.apply(zone().id, [RecordSetChange(ChangeAction.UPSERT, a("x.lab.example", "192.0.2.2"))], info("2"))
    listed = records.record_sets(zone().id, None, 9)
    assert [record_set.name for record_set in listed] == [APEX, APEX, r"\052.lab.example.", "x.lab.example."]
    assert listed[3].values == ("192.0.2.2",)
    assert listed[1].values[0].split()[2] == "3"
    assert records.change("C2") == ChangeInfo("C2", ChangeStatus.INSYNC, NOW)
    with pytest.raises(ZoneRequestError, match="NoSuchChange: Could not find resource with ID: C9"):
        records.change("C9")


def test_a_batch_that_is_refused_leaves_no_trace(records: RecordStore) -> None:
    with pytest.raises(InvalidChangeBatchError):
        records.apply(zone().id, made(a("x.lab.example"), a("x.test")), info("1"))
    assert list(records.all_record_sets(zone().id)) == initial(APEX)
    with pytest.raises(ZoneRequestError):
        records.change("C1")


def test_old_changes_are_forgotten(records: RecordStore) -> None:
    records.note_change(info("old"))
    records.note_change(info("new", NOW + CHANGES_KEPT + 1))
    with pytest.raises(ZoneRequestError):
        records.change("Cold")
    assert records.change("Cnew").submitted == NOW + CHANGES_KEPT + 1


def test_a_listing_is_a_range_of_the_table_in_route_53s_order(records: RecordStore, store: Store) -> None:
    names = ["b.lab.example.", "a.b.lab.example.", "a.lab.example.", r"\052.b.lab.example.", "-.lab.example."]
    for number, name in enumerate(names):
        both = [a(name), RecordSet(name, "TXT", 60, ('"x"',))]
        records.apply(zone().id, made(*both), info(str(number)))
    weighted = [
        RecordSet("w.lab.example.", "A", 60, ("192.0.2.1",), set_identifier=identifier, weight=1)
        for identifier in ("two", "one", "three")
    ]
    records.apply(zone().id, made(*weighted), info("w"))
    everything = list(records.all_record_sets(zone().id))
    assert everything == sorted(everything, key=lambda r: (order(r.name), r.type, r.set_identifier or ""))
    assert len(everything) == 15
    for size in (1, 2, 4):
        paged: list[RecordSet] = []
        start = None
        while page := records.record_sets(zone().id, start, size + 1):
            paged += page[:size]
            if len(page) <= size:
                break
            start = Position(*page[-1].key)
        assert paged == everything
    assert records.record_sets(zone().id, Position("b.lab.example.", "TXT"), 1)[0].type == "TXT"
    assert records.record_sets(zone().id, Position("bb.lab.example."), 1)[0].name == "w.lab.example."
    with store.writing() as transaction:
        plan = transaction.connection.execute(
            text(
                "EXPLAIN QUERY PLAN SELECT document FROM record_set WHERE zone = 'x' "
                "AND (position, type, identifier) >= ('a', 'b', 'c') ORDER BY position, type, identifier LIMIT 5"
            )
        ).all()
    assert len(plan) == 1
    assert "SEARCH record_set USING PRIMARY KEY (zone=? AND (position,type,identifier)>(?,?,?))" in plan[0].detail


def test_pages_are_read_one_after_the_other(records: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zones.recordsets.record_store._AT_ONCE", 3)
    added = [a(f"h{number}.lab.example.") for number in range(8)]
    records.apply(zone().id, made(*added), info("1"))
    assert [record_set.name for record_set in records.all_record_sets(zone().id)] == [
        APEX,
        APEX,
        *(record_set.name for record_set in added),
    ]


def test_what_returned_is_there_after_a_loss_of_power(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state", bytes) as first:
        records = RecordStore(first)
        records.create(zone(), initial(APEX), info("created"))
        records.apply(zone().id, made(a("x.lab.example")), info("1"))
        for file in (tmp_path / "state").glob("*"):  # what is on the disk while the process still runs
            copy = tmp_path / "copy" / file.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
            copy.chmod(0o600)
    with Store.open(tmp_path / "copy", bytes) as second:
        assert RecordStore(second).zone(zone().id).record_set_count == 3
        assert RecordStore(second).change("C1").status is ChangeStatus.INSYNC


def test_a_document_that_is_none_is_damage(records: RecordStore, store: Store) -> None:
    with store.writing() as transaction:
        transaction.connection.execute(text("UPDATE record_set SET document = '{' WHERE type = 'NS'"))
    with pytest.raises(StateError, match=f"a RecordSet of hosted zone {zone().id} can't be read"):
        records.record_sets(zone().id, None, 5)


def test_a_full_disk_changes_nothing(records: RecordStore, store: Store) -> None:
    with store.writing() as transaction:
        transaction.connection.execute(text("PRAGMA max_page_count = 1"))
    with pytest.raises(StateUnavailable):
        for number in range(200):
            records.apply(zone().id, made(*(a(f"h{number}-{n}.lab.example") for n in range(50))), info(str(number)))
    with store.writing() as transaction:
        transaction.connection.execute(text("PRAGMA max_page_count = 100000"))
    kept = records.zone(zone().id).record_set_count
    assert len(list(records.all_record_sets(zone().id))) == kept


def test_a_zone_costs_the_same_among_hundreds(store: Store) -> None:
    """Counted in steps of SQLite's virtual machine, a hundred at a time."""
    records, steps = RecordStore(store), 0

    def step() -> None:
        nonlocal steps
        steps += 1

    with store.writing() as transaction:
        database: Any = transaction.connection.connection.dbapi_connection
    spent = []
    for number in range(300):
        database.set_progress_handler(step, 100)
        records.create(zone(number, f"z{number}.example."), initial(f"z{number}.example."), info(str(number)))
        spent.append(steps)
        steps = 0
    assert 0 < sum(spent[-50:]) < 1.2 * sum(spent[:50])
    assert len(records.zones("", -1)) == records.zone_count() == 300
