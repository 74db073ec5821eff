"""One change by itself: its parts in their one spelling, and all that is wrong with it whatever the zone holds."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from zones.recordsets.record_sets import (
    INVALID_INPUT,
    MAXIMUM_TTL,
    MAXIMUM_WEIGHT,
    MOST_IN_A_SET,
    TYPES,
    ChangeAction,
    RecordSet,
    RecordSetChange,
    ZoneRequestError,
)
from zones.recordsets.record_values import ValueRefusedError, rdata_of, unsupported
from zones.recordsets.route53_names import normalised

_LONGEST_IDENTIFIER = 128
_POLICIES = "[Weight, Region, Failover, GeoLocation, GeoProximityLocation, MultiValueAnswer, CidrRoutingConfig]"
_DATA = "[AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId]"


def normalised_change(change: RecordSetChange) -> RecordSetChange:
    """The change with its names in their one spelling, and without what says nothing. Raises `NameSpellingError`."""
    given = change.record_set
    alias = given.alias
    if alias is not None:
        alias = msgspec.structs.replace(alias, dns_name=normalised(alias.dns_name))
    record_set = msgspec.structs.replace(
        given,
        name=normalised(given.name),
        set_identifier=given.set_identifier or None,
        multivalue=given.multivalue or None,
        alias=alias,
    )
    return RecordSetChange(change.action, record_set)


def check_input(changes: list[RecordSetChange]) -> None:
    """Refuse requests that make no sense whatever the zone holds. Raises `ZoneRequestError` (InvalidInput)."""
    problems = [problem for change in changes for problem in _input_problems(change)]
    if problems:
        raise ZoneRequestError(INVALID_INPUT, "Invalid request: " + ", ".join(problems))


def _input_problems(change: RecordSetChange) -> Iterator[str]:
    given = change.record_set
    where = (
        f"in Change with [Action={change.action.value}, Name={given.name}, Type={given.type}, "
        f"SetIdentifier={given.set_identifier or 'null'}]"
    )
    if given.type not in TYPES:
        yield f"Value '{given.type}' is none of the types [{', '.join(TYPES)}] {where}"
        return
    for element in given.unsupported:
        yield f"{element} is not supported by this server: records are simple, weighted or multivalue answers {where}"
    if given.unsupported:
        return
    found = (given.alias is not None) + (given.ttl is not None or bool(given.values))
    if found != 1 or (given.alias is None and (given.ttl is None or not given.values)):
        yield f"Expected exactly one of {_DATA}, but found {'more than one' if found > 1 else 'none'} {where}"
    if given.ttl is not None and not 0 <= given.ttl <= MAXIMUM_TTL:
        yield f"TTL {given.ttl} is not between 0 and {MAXIMUM_TTL} {where}"
    if given.weight is not None and not 0 <= given.weight <= MAXIMUM_WEIGHT:
        yield f"Weight {given.weight} is not between 0 and {MAXIMUM_WEIGHT} {where}"
    yield from _policy_problems(given, where)


def _policy_problems(given: RecordSet, where: str) -> Iterator[str]:
    policies = (given.weight is not None) + bool(given.multivalue)
    if policies and not given.set_identifier:
        yield f"Missing field 'SetIdentifier' {where}"
    if given.set_identifier and policies != 1:
        yield f"Expected exactly one of {_POLICIES}, but found {'more than one' if policies else 'none'} {where}"
    if len(given.set_identifier or "") > _LONGEST_IDENTIFIER:
        yield f"SetIdentifier is longer than {_LONGEST_IDENTIFIER} characters {where}"
    if given.multivalue and given.alias is not None:
        yield f"MultiValueAnswer is not permitted with AliasTarget {where}"
    if given.multivalue and given.type == "CNAME":
        yield f"MultiValueAnswer is not permitted for type {given.type} {where}"
    if policies and given.type in ("NS", "SOA", "DS"):
        yield f"A routing policy is not permitted for type {given.type} {where}"
    if given.alias is not None and given.type in ("NS", "SOA", "DS"):
        yield f"AliasTarget is not permitted for type {given.type} {where}"


def value_problems(change: RecordSetChange) -> Iterator[str]:
    """What is wrong with the values of a record set that is to be stored, in Route 53's words."""
    given = change.record_set
    if change.action is ChangeAction.DELETE:
        return
    if len(given.values) > MOST_IN_A_SET:
        yield f"Cannot have more than {MOST_IN_A_SET} records in a RRSet."
    seen = set()
    for value in given.values:
        try:
            _refuse_blanks(value)
            canonical = rdata_of(given.type, value).canonical
        except ValueRefusedError as error:
            yield f"Invalid Resource Record: '{error}'"
            continue
        if canonical in seen:
            yield f"Duplicate Resource Record: '{value}'"
        seen.add(canonical)


def _refuse_blanks(value: str) -> None:
    """No new value begins or ends with a blank. Stored ones may: they are answered, and can be deleted as they are."""
    for end in (value[:1], value[-1:]):
        if end.isspace():
            raise unsupported(end)


def is_same(one: RecordSet, other: RecordSet) -> bool:
    """Whether two record sets say the same, whatever the order and spelling of their values."""
    if msgspec.structs.replace(one, values=()) != msgspec.structs.replace(other, values=()):
        return False
    return sorted(one.values) == sorted(other.values) or _meaning(one) == _meaning(other)


def _meaning(record_set: RecordSet) -> list[bytes | str]:
    try:
        return sorted(rdata_of(record_set.type, value).canonical for value in record_set.values)
    except ValueRefusedError:
        return list(record_set.values)
