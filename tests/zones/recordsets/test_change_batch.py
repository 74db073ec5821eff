"""Change batches: whole or not at all, with every reason against them in Route 53's words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from zones.recordsets.change_batch import Applied, apply_changes, moved_serial, touched_names
from zones.recordsets.record_sets import (
    MOST_ALIASES_IN_A_ROW,
    AliasTarget,
    ChangeAction,
    InvalidChangeBatchError,
    RecordSet,
    RecordSetChange,
    ZoneRequestError,
)

ZONE, APEX = "Z0123456789ABCDEFGHIJ", "lab.example."
SOA = RecordSet(APEX, "SOA", 900, ("ns.test. hostmaster.test. 1 7200 900 1209600 86400",))
NS = RecordSet(APEX, "NS", 172800, ("ns1.test.", "ns2.test."))
WWW = RecordSet("www.lab.example.", "A", 300, ("192.0.2.1", "192.0.2.2"))
BLUE = RecordSet("w.lab.example.", "A", 60, ("192.0.2.3",), set_identifier="blue", weight=1)
MANY = RecordSet("m.lab.example.", "A", 60, ("192.0.2.3",), set_identifier="one", multivalue=True)
CNAME = RecordSet("c.lab.example.", "CNAME", 60, ("elsewhere.test.",))
ALIAS = RecordSet("alias.lab.example.", "A", alias=AliasTarget(ZONE, "www.lab.example.", True))
STORED = [SOA, NS, WWW, BLUE, MANY, CNAME, ALIAS]


def apply(*changes: RecordSetChange) -> Applied:
    def current(name: str) -> list[RecordSet]:
        return [record_set for record_set in STORED if record_set.name == name]

    return apply_changes(ZONE, APEX, current, changes)


def create(name: str, rrtype: str, *values: str, ttl: int | None = 300, **more: object) -> RecordSetChange:
    return RecordSetChange(ChangeAction.CREATE, RecordSet(name, rrtype, ttl, values, **more))  # type: ignore[arg-type]


def upsert(name: str, rrtype: str, *values: str, ttl: int | None = 300, **more: object) -> RecordSetChange:
    return RecordSetChange(ChangeAction.UPSERT, RecordSet(name, rrtype, ttl, values, **more))  # type: ignore[arg-type]


def delete(record_set: RecordSet) -> RecordSetChange:
    return RecordSetChange(ChangeAction.DELETE, record_set)


def alias(name: str, target: str, zone: str = ZONE, rrtype: str = "A") -> RecordSetChange:
    return create(name, rrtype, ttl=None, alias=AliasTarget(zone, target))


def kept(applied: Applied, name: str) -> Mapping[str, tuple[str, ...]]:
    return {record_set.type: record_set.values for record_set in applied.names[name]}


def test_a_stored_value_that_begins_with_a_blank_can_be_deleted() -> None:
    blank = RecordSet("t.lab.example.", "TXT", 60, (' "a"',))

    def current(name: str) -> list[RecordSet]:
        return [record_set for record_set in (*STORED, blank) if record_set.name == name]

    assert apply_changes(ZONE, APEX, current, [delete(blank)]).removed == (blank.key,)


def test_a_batch_comes_to_the_record_sets_of_the_names_it_touches() -> None:
    applied = apply(
        create("New.Lab.Example", "A", "192.0.2.9"), delete(WWW), upsert("c.lab.example", "CNAME", "x.test")
    )
    assert kept(applied, "new.lab.example.") == {"A": ("192.0.2.9",)}
    assert applied.names["www.lab.example."] == ()
    assert kept(applied, "c.lab.example.") == {"CNAME": ("x.test",)}
    assert set(applied.names) == {"new.lab.example.", "www.lab.example.", "c.lab.example.", APEX}
    assert [record_set.key for record_set in applied.stored] == [
        (APEX, "SOA", ""),
        ("c.lab.example.", "CNAME", ""),
        ("new.lab.example.", "A", ""),
    ]
    assert applied.removed == (WWW.key,)
    assert applied.added == 0


def test_the_serial_moves_and_the_values_stay_as_they_were_given() -> None:
    applied = apply(create("t.lab.example", "TXT", '"As  Given"'))
    assert kept(applied, APEX)["SOA"] == ("ns.test. hostmaster.test. 2 7200 900 1209600 86400",)
    assert kept(applied, "t.lab.example.") == {"TXT": ('"As  Given"',)}
    later = apply(upsert(APEX, "SOA", "ns.test. me.test. 2026112401 7200 900 1209600 60", ttl=900))
    assert kept(later, APEX)["SOA"] == ("ns.test. me.test. 2026112401 7200 900 1209600 60",)


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [(1, 1, 2), (1, 5, 5), (5, 1, 6), (2**32 - 1, 2**32 - 1, 0), (2**32 - 1, 3, 3), (0, 2**31, 1)],
)
def test_serials_are_those_of_rfc_1982(before: int, wanted: int, after: int) -> None:
    assert moved_serial(before, wanted) == after


def test_one_batch_may_replace_a_cname_by_an_address() -> None:
    applied = apply(delete(CNAME), create("c.lab.example", "A", "192.0.2.1"))
    assert kept(applied, "c.lab.example.") == {"A": ("192.0.2.1",)}
    again = apply(delete(WWW), create("www.lab.example", "A", "192.0.2.7", ttl=5))
    assert kept(again, "www.lab.example.") == {"A": ("192.0.2.7",)}
    assert again.removed == ()


def test_values_are_compared_by_what_they_mean() -> None:
    other = RecordSet("www.lab.example", "A", 300, ("192.0.2.2", "192.0.2.1"))
    assert apply(delete(other)).removed == (WWW.key,)
    spelled = RecordSet("c.lab.example", "CNAME", 60, ("ELSEWHERE.test",))
    assert apply(delete(spelled)).removed == (CNAME.key,)


def test_records_of_one_policy_share_the_last_ttl() -> None:
    applied = apply(create("w.lab.example", "A", "192.0.2.4", ttl=7, set_identifier="green", weight=3))
    assert {(r.set_identifier, r.ttl) for r in applied.names["w.lab.example."]} == {("blue", 7), ("green", 7)}
    assert ("w.lab.example.", "A", "blue") in {record_set.key for record_set in applied.stored}


REFUSED = [
    (
        [create("www.lab.example", "A", "192.0.2.1")],
        "Tried to create resource record set [name='www.lab.example.', type='A'] but it already exists",
    ),
    (
        [create("w.lab.example", "A", "192.0.2.1", set_identifier="blue", weight=0)],
        "Tried to create resource record set [name='w.lab.example.', type='A', set-identifier='blue'] "
        "but it already exists",
    ),
    (
        [delete(RecordSet("x.lab.example", "A", 5, ("192.0.2.1",)))],
        "Tried to delete resource record set [name='x.lab.example.', type='A'] but it was not found",
    ),
    (
        [delete(RecordSet("www.lab.example", "A", 300, ("192.0.2.1",)))],
        "Tried to delete resource record set [name='www.lab.example.', type='A'] "
        "but the values provided do not match the current values",
    ),
    (
        [delete(RecordSet("www.lab.example", "A", 301, WWW.values))],
        "Tried to delete resource record set [name='www.lab.example.', type='A'] "
        "but the values provided do not match the current values",
    ),
    (
        [create("www.other.example", "A", "192.0.2.1")],
        "RRSet with DNS name www.other.example. is not permitted in zone lab.example.",
    ),
    (
        [create("xlab.example", "A", "192.0.2.1")],
        "RRSet with DNS name xlab.example. is not permitted in zone lab.example.",
    ),
    (
        [create("www.lab.example", "CNAME", "x.test")],
        "RRSet of type CNAME with DNS name www.lab.example. is not permitted as it conflicts with other records "
        "with the same DNS name in zone lab.example.",
    ),
    (
        [create("c.lab.example", "A", "192.0.2.1")],
        "RRSet of type A with DNS name c.lab.example. is not permitted because a conflicting RRSet of type  CNAME "
        "with the same DNS name already exists in zone lab.example.",
    ),
    (
        [create("new.lab.example", "CNAME", "x.test", "y.test")],
        "RRSet of type CNAME with DNS name new.lab.example. must have exactly one resource record in zone lab.example.",
    ),
    (
        [delete(NS)],
        "A HostedZone must contain at least one NS record for the zone itself.",
    ),
    ([delete(SOA)], "A HostedZone must contain exactly one SOA record."),
    (
        [create("x.lab.example", "SOA", SOA.values[0])],
        "RRSet of type SOA with DNS name x.lab.example. is only permitted at apex in zone lab.example.",
    ),
    (
        [create(APEX, "DS", "1 13 2 " + "AB" * 32)],
        "RRSet of type DS with DNS name lab.example. is not permitted at apex in zone lab.example.",
    ),
    (
        [create("*.lab.example", "NS", "ns.test")],
        r"RRSet of type NS with DNS name \052.lab.example. is not permitted at a wildcard in zone lab.example.",
    ),
    (
        [create("x.lab.example", "A", "1.2.3")],
        "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) "
        "encountered with '1.2.3''",
    ),
    ([create("x.lab.example", "A", "192.0.2.1", "192.0.2.1")], "Duplicate Resource Record: '192.0.2.1'"),
    (
        [create("x.lab.example", "A", *(f"10.0.{n // 200}.{n % 200}" for n in range(401)))],
        "Cannot have more than 400 records in a RRSet.",
    ),
    (
        [create("a..lab.example", "A", "192.0.2.1")],
        "FATAL problem: DomainLabelEmpty (Domain label is empty) encountered with 'a..lab.example'",
    ),
    (
        [upsert("x.lab.example", "A", "192.0.2.1"), upsert("x.lab.example", "A", "192.0.2.2")],
        "The request contains an invalid set of changes for a resource record set 'A x.lab.example.'",
    ),
    (
        [delete(WWW), delete(WWW)],
        "The request contains an invalid set of changes for a resource record set 'A www.lab.example.'",
    ),
    (
        [create("w.lab.example", "A", "192.0.2.1")],
        "RRSet with DNS name w.lab.example., type A cannot be created as other RRSets exist "
        "with the same name and type.",
    ),
    (
        [create("www.lab.example", "A", "192.0.2.1", set_identifier="x", weight=1)],
        "RRSet with DNS name www.lab.example., type A, SetIdentifier x cannot be created as other RRSets exist "
        "with the same name and type.",
    ),
    (
        [create("m.lab.example", "A", "192.0.2.1", set_identifier="x", weight=1)],
        "RRSet with DNS name m.lab.example., type A, SetIdentifier x cannot be created as other RRSets exist "
        "with the same name and type.",
    ),
    (
        [create("www.lab.example", "A", "192.0.2.1", set_identifier="x", multivalue=True)],
        "RRSet with DNS name www.lab.example., type A, SetIdentifier x cannot be created "
        "because a non multivalue answer rrset exists with the same name and type.",
    ),
    (
        [create("t.lab.example", "TXT", ' "a"')],
        "Invalid Resource Record: 'FATAL problem: UnsupportedCharacter (Value contains unsupported characters) "
        "encountered with ' ''",
    ),
    (
        [create("t.lab.example", "A", "192.0.2.1\t")],
        "Invalid Resource Record: 'FATAL problem: UnsupportedCharacter (Value contains unsupported characters) "
        "encountered with '\t''",
    ),
    (
        [alias("x.lab.example", "nowhere.lab.example")],
        f"Tried to create an alias that targets nowhere.lab.example., type A in zone {ZONE}, "
        "but that target was not found",
    ),
    (
        [alias("x.lab.example", "www.lab.example", rrtype="AAAA")],
        f"Tried to create an alias that targets www.lab.example., type AAAA in zone {ZONE}, "
        "but that target was not found",
    ),
    (
        [alias("x.lab.example", "x.lab.example")],
        f"Tried to create an alias that targets x.lab.example., type A in zone {ZONE}, but that target was not found",
    ),
    (
        [create("x.lab.example", "A", *["192.0.2.1"] * 1001)],
        "Number of records limit of 1000 exceeded.",
    ),
    (
        [upsert("x.lab.example", "A", *["192.0.2.1"] * 501)],
        "Number of records limit of 1000 exceeded.",
    ),
    (
        [create("x.lab.example", "TXT", *['"' + "x" * 250 + '"'] * 127)],
        "Number of characters limit of 32000 exceeded.",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_is_refused_is_refused_in_route_53s_words(changes: list[RecordSetChange], message: str) -> None:
    with pytest.raises(InvalidChangeBatchError) as caught:
        apply(*changes)
    assert caught.value.messages == (message,)
    assert str(caught.value) == f"InvalidChangeBatch: [{message}]"


def test_a_cname_at_the_apex_breaks_two_rules() -> None:
    with pytest.raises(InvalidChangeBatchError) as caught:
        apply(create(APEX, "CNAME", "x.test"))
    assert caught.value.messages == (
        "RRSet of type CNAME with DNS name lab.example. is not permitted at apex in zone lab.example.",
        "RRSet of type CNAME with DNS name lab.example. is not permitted as it conflicts with other records "
        "with the same DNS name in zone lab.example.",
    )


def test_every_reason_is_told() -> None:
    with pytest.raises(InvalidChangeBatchError) as caught:
        apply(create("www.lab.example", "A", "x"), create("a.test", "A", "192.0.2.1"), delete(NS))
    assert [message.split(" ")[0] for message in caught.value.messages] == ["Invalid", "Tried", "RRSet", "A"]


def test_an_alias_into_another_zone_is_refused() -> None:
    for change in (alias("x.lab.example", "www.lab.example", "Z2FDTNDATAQYW2"), alias("x.lab.example", "cdn.test")):
        with pytest.raises(InvalidChangeBatchError) as caught:
            apply(change)
        assert [message.partition(", but ")[2] for message in caught.value.messages] == [
            "the alias target name does not lie within the target zone",
            "that target was not found",
        ]


def test_an_alias_may_target_an_alias_but_not_in_a_circle() -> None:
    assert apply(alias("x.lab.example", "alias.lab.example")).added == 1
    circle = [alias("x.lab.example", "y.lab.example"), alias("y.lab.example", "x.lab.example")]
    with pytest.raises(InvalidChangeBatchError):
        apply(*circle)
    made_with_its_target = [alias("x.lab.example", "y.lab.example"), create("y.lab.example", "A", "192.0.2.1")]
    assert apply(*made_with_its_target).added == 2


def test_aliases_lead_on_to_a_limit() -> None:
    chain = [create("a0.lab.example", "A", "192.0.2.1")]
    chain += [alias(f"a{n + 1}.lab.example", f"a{n}.lab.example") for n in range(900)]
    assert apply(*chain[: MOST_ALIASES_IN_A_ROW + 1]).added == MOST_ALIASES_IN_A_ROW + 1
    with pytest.raises(InvalidChangeBatchError) as refused:
        apply(*chain)
    assert len(refused.value.messages) == 900 - MOST_ALIASES_IN_A_ROW


def where(action: str = "CREATE", identifier: str = "null", rrtype: str = "A") -> str:
    return f" in Change with [Action={action}, Name=x.lab.example., Type={rrtype}, SetIdentifier={identifier}]"


EXPECTED_DATA = "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId]"
EXPECTED_POLICY = (
    "Expected exactly one of [Weight, Region, Failover, GeoLocation, GeoProximityLocation, MultiValueAnswer, "
    "CidrRoutingConfig]"
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (create("x.lab.example", "A", ttl=None), f"{EXPECTED_DATA}, but found none{where()}"),
        (create("x.lab.example", "A", "192.0.2.1", ttl=None), f"{EXPECTED_DATA}, but found none{where()}"),
        (
            create("x.lab.example", "A", "192.0.2.1", alias=AliasTarget(ZONE, "www.lab.example")),
            f"{EXPECTED_DATA}, but found more than one{where()}",
        ),
        (
            create("x.lab.example", "A", alias=AliasTarget(ZONE, "www.lab.example")),
            f"{EXPECTED_DATA}, but found more than one{where()}",
        ),
        (
            create("x.lab.example", "A", "192.0.2.1", ttl=2**31),
            f"TTL 2147483648 is not between 0 and 2147483647{where()}",
        ),
        (create("x.lab.example", "A", "192.0.2.1", ttl=-1), f"TTL -1 is not between 0 and 2147483647{where()}"),
        (create("x.lab.example", "A", "192.0.2.1", weight=1), f"Missing field 'SetIdentifier'{where()}"),
        (
            create("x.lab.example", "A", "192.0.2.1", set_identifier="s"),
            f"{EXPECTED_POLICY}, but found none{where(identifier='s')}",
        ),
        (
            create("x.lab.example", "A", "192.0.2.1", set_identifier="s", weight=1, multivalue=True),
            f"{EXPECTED_POLICY}, but found more than one{where(identifier='s')}",
        ),
        (
            create("x.lab.example", "A", "192.0.2.1", set_identifier="s", weight=256),
            f"Weight 256 is not between 0 and 255{where(identifier='s')}",
        ),
        (
            create("x.lab.example", "A", "192.0.2.1", set_identifier="s" * 129, weight=1),
            f"SetIdentifier is longer than 128 characters{where(identifier='s' * 129)}",
        ),
        (
            create(
                "x.lab.example", "A", ttl=None, set_identifier="s", multivalue=True, alias=AliasTarget(ZONE, "a.test")
            ),
            f"MultiValueAnswer is not permitted with AliasTarget{where(identifier='s')}",
        ),
        (
            create("x.lab.example", "CNAME", "a.test", set_identifier="s", multivalue=True),
            f"MultiValueAnswer is not permitted for type CNAME{where(identifier='s', rrtype='CNAME')}",
        ),
        (
            create("x.lab.example", "NS", "a.test", set_identifier="s", weight=1),
            f"A routing policy is not permitted for type NS{where(identifier='s', rrtype='NS')}",
        ),
        (
            alias("x.lab.example", "www.lab.example", rrtype="NS"),
            f"AliasTarget is not permitted for type NS{where(rrtype='NS')}",
        ),
        (
            create("x.lab.example", "A", "192.0.2.1", unsupported=("Failover",)),
            f"Failover is not supported by this server: records are simple, weighted or multivalue answers{where()}",
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_invalid_input(change: RecordSetChange, message: str) -> None:
    with pytest.raises(ZoneRequestError) as caught:
        apply(change)
    assert (caught.value.code, caught.value.message) == ("InvalidInput", f"Invalid request: {message}")


def test_an_unknown_type_is_invalid_input() -> None:
    with pytest.raises(ZoneRequestError, match=r"Value 'LOC' is none of the types \[A, AAAA, "):
        apply(create("x.lab.example", "LOC", "x"))


def test_at_most_a_hundred_with_one_name_and_type() -> None:
    changes = [create("h.lab.example", "A", f"10.0.0.{n}", set_identifier=f"s{n}", weight=1) for n in range(101)]
    assert apply(*changes[:100]).added == 100
    with pytest.raises(InvalidChangeBatchError, match="more than 100 RRSets have the same name and type"):
        apply(*changes)


def test_the_names_that_will_be_looked_up() -> None:
    changes = [create("A.lab.example", "A", "192.0.2.1"), alias("b.lab.example", "c.lab.example"), create("..", "A")]
    assert touched_names(APEX, changes) == {APEX, "a.lab.example.", "b.lab.example.", "c.lab.example."}
