"""A change batch: from the record sets that there are and the changes to the new ones, or every reason against them.

Changes are taken in their order, and rules that concern more than one record set are asked of what comes out: so one
batch may take away a CNAME and put an address in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from zones.recordsets.change_checks import check_input, is_same, normalised_change, value_problems
from zones.recordsets.record_sets import (
    MOST_ALIASES_IN_A_ROW,
    MOST_CHANGES,
    MOST_CHARACTERS,
    MOST_WITH_ONE_NAME,
    ChangeAction,
    InvalidChangeBatchError,
    RecordSet,
    RecordSetChange,
    RecordSetKey,
)
from zones.recordsets.route53_names import NameSpellingError, order

RecordSetLookup = Callable[[str], Sequence[RecordSet]]
"""The record sets that a name has now."""

_MODULUS = 1 << 32
_REPLACING = ([ChangeAction.DELETE, ChangeAction.CREATE], [ChangeAction.DELETE, ChangeAction.UPSERT])


class Applied(NamedTuple):
    """What a batch comes to."""

    names: Mapping[str, tuple[RecordSet, ...]]
    """All record sets of each name that is touched, the apex among them, since its SOA is."""
    stored: tuple[RecordSet, ...]
    """The record sets that are new or differ."""
    removed: tuple[RecordSetKey, ...]
    added: int
    """By how many record sets the zone has grown."""


def apply_changes(zone_id: str, apex: str, current: RecordSetLookup, changes: Sequence[RecordSetChange]) -> Applied:
    """The outcome of a batch in the zone `apex` (normalised). The serial of its SOA moves (RFC 1982 §3.1).

    Raises `InvalidChangeBatchError` with every reason, and `ZoneRequestError` (InvalidInput) for what makes no sense.
    """
    _check_size(changes)
    normal = _normalised(changes)
    check_input(normal)
    batch = _Batch(zone_id, apex, current)
    for change in normal:
        batch.take(change)
    batch.check()
    if batch.problems:
        raise InvalidChangeBatchError(list(dict.fromkeys(batch.problems)))
    return batch.outcome()


def touched_names(apex: str, changes: Sequence[RecordSetChange]) -> set[str]:
    """The names that `apply_changes` will surely look up; spellings that are none are left out."""
    found = {apex}
    for change in changes:
        try:
            record_set = normalised_change(change).record_set
        except NameSpellingError:
            continue
        found.add(record_set.name)
        if record_set.alias is not None:
            found.add(record_set.alias.dns_name)
    return found


def _check_size(changes: Sequence[RecordSetChange]) -> None:
    records = characters = 0
    for action, record_set in changes:
        times = 2 if action is ChangeAction.UPSERT else 1
        records += times * max(len(record_set.values), 1)
        characters += times * sum(map(len, record_set.values))
    if records > MOST_CHANGES:
        raise InvalidChangeBatchError([f"Number of records limit of {MOST_CHANGES} exceeded."])
    if characters > MOST_CHARACTERS:
        raise InvalidChangeBatchError([f"Number of characters limit of {MOST_CHARACTERS} exceeded."])


def _normalised(changes: Sequence[RecordSetChange]) -> list[RecordSetChange]:
    problems, normal = [], []
    for change in changes:
        try:
            normal.append(normalised_change(change))
        except NameSpellingError as error:
            problems.append(str(error))
    if problems:
        raise InvalidChangeBatchError(problems)
    return normal


def _is_within(name: str, apex: str) -> bool:
    return apex in (name, ".") or name.endswith("." + apex)


class _Batch:
    """One batch while it is taken change by change."""

    def __init__(self, zone_id: str, apex: str, current: RecordSetLookup) -> None:
        self.zone_id = zone_id
        self.apex = apex
        self.problems: list[str] = []
        self._current = current
        self._before: dict[str, dict[RecordSetKey, RecordSet]] = {}
        self._after: dict[str, dict[RecordSetKey, RecordSet]] = {}
        self._actions: dict[RecordSetKey, list[ChangeAction]] = {}
        self._made: dict[RecordSetKey, None] = {}
        """What was created or replaced, in order."""

    def take(self, change: RecordSetChange) -> None:
        """Carry out one change, or note why it can't be."""
        action, given = change
        self.problems += value_problems(change)
        if not _is_within(given.name, self.apex):
            self.problems.append(f"RRSet with DNS name {given.name} is not permitted in zone {self.apex}")
            return
        earlier = self._actions.setdefault(given.key, [])
        earlier.append(action)
        if len(earlier) > 1 and earlier not in _REPLACING:
            self.problems.append(
                f"The request contains an invalid set of changes for a resource record set '{given.type} {given.name}'"
            )
            return
        held = self._held(given.name)
        existing = held.get(given.key)
        if action is ChangeAction.DELETE:
            self._delete(held, existing, given)
        elif action is ChangeAction.CREATE and existing is not None:
            self.problems.append(f"Tried to create resource record set {_called(given)} but it already exists")
        else:
            held[given.key] = given
            self._made[given.key] = None
            self._share_ttl(held, given)

    def _delete(self, held: dict[RecordSetKey, RecordSet], existing: RecordSet | None, given: RecordSet) -> None:
        if existing is None:
            self.problems.append(f"Tried to delete resource record set {_called(given)} but it was not found")
        elif not is_same(existing, given):
            self.problems.append(
                f"Tried to delete resource record set {_called(given)} "
                "but the values provided do not match the current values"
            )
        else:
            del held[given.key]
            self._made.pop(given.key, None)

    def _share_ttl(self, held: dict[RecordSetKey, RecordSet], given: RecordSet) -> None:
        """Records of one name, type and policy have one TTL: the last that was asked for (RFC 2181 §5.2)."""
        if given.ttl is None:
            return
        for key, other in held.items():
            if key[:2] == given.key[:2] and other.ttl is not None and other.ttl != given.ttl:
                held[key] = msgspec.structs.replace(other, ttl=given.ttl)

    def _held(self, name: str) -> dict[RecordSetKey, RecordSet]:
        if name not in self._after:
            self._before[name] = {record_set.key: record_set for record_set in self._current(name)}
            self._after[name] = dict(self._before[name])
        return self._after[name]

    # What the outcome must be like

    def check(self) -> None:
        """Note what the outcome breaks of the rules for names, types and policies together."""
        for key in self._made:
            self.problems += self._problems(self._after[key[0]][key])
        at_apex = [record_set for record_set in self._held(self.apex).values() if not record_set.set_identifier]
        if not any(record_set.type == "NS" for record_set in at_apex):
            self.problems.append("A HostedZone must contain at least one NS record for the zone itself.")
        if [len(record_set.values) for record_set in at_apex if record_set.type == "SOA"] != [1]:
            self.problems.append("A HostedZone must contain exactly one SOA record.")

    def _problems(self, made: RecordSet) -> Iterator[str]:
        name, rrtype, apex = made.name, made.type, self.apex
        of_type = f"RRSet of type {rrtype} with DNS name {name}"
        if name == apex and rrtype in ("CNAME", "DS"):
            yield f"{of_type} is not permitted at apex in zone {apex}"
        if name != apex and rrtype == "SOA":
            yield f"{of_type} is only permitted at apex in zone {apex}"
        if name.startswith("\\052.") and rrtype in ("NS", "DS"):
            yield f"{of_type} is not permitted at a wildcard in zone {apex}"
        if rrtype == "CNAME" and len(made.values) > 1:
            yield f"{of_type} must have exactly one resource record in zone {apex}"
        yield from self._conflicts(made, of_type)
        yield from self._mixtures(made)
        if made.alias is not None:
            yield from self._alias_problems(made)

    def _conflicts(self, made: RecordSet, of_type: str) -> Iterator[str]:
        types = {record_set.type for record_set in self._after[made.name].values()}
        if "CNAME" not in types or len(types) == 1:
            return
        if made.type == "CNAME":
            yield (
                f"{of_type} is not permitted as it conflicts with other records "
                f"with the same DNS name in zone {self.apex}"
            )
        elif not any(key[1] == "CNAME" for key in self._made if key[0] == made.name):
            yield (
                f"{of_type} is not permitted because a conflicting RRSet of type  CNAME "
                f"with the same DNS name already exists in zone {self.apex}"
            )

    def _mixtures(self, made: RecordSet) -> Iterator[str]:
        group = [other for other in self._after[made.name].values() if other.type == made.type]
        called = f"RRSet with DNS name {made.name}, type {made.type}"
        if made.set_identifier:
            called += f", SetIdentifier {made.set_identifier}"
        if any(bool(other.multivalue) != bool(made.multivalue) or _simple(other) != _simple(made) for other in group):
            why = "because a non multivalue answer rrset exists" if made.multivalue else "as other RRSets exist"
            yield f"{called} cannot be created {why} with the same name and type."
        if len(group) > MOST_WITH_ONE_NAME:
            yield f"{called} cannot be created: more than {MOST_WITH_ONE_NAME} RRSets have the same name and type."

    def _alias_problems(self, made: RecordSet) -> Iterator[str]:
        alias = made.alias
        assert alias is not None
        targets = (
            f"Tried to create an alias that targets {alias.dns_name}, type {made.type} in zone {alias.hosted_zone_id}"
        )
        if alias.hosted_zone_id != self.zone_id or not _is_within(alias.dns_name, self.apex):
            yield f"{targets}, but the alias target name does not lie within the target zone"
            yield f"{targets}, but that target was not found"
        elif not self._leads_somewhere(made):
            yield f"{targets}, but that target was not found"

    def _leads_somewhere(self, made: RecordSet) -> bool:
        """Whether records of its type are found along aliases, few enough of them, without going in a circle."""
        passed = {made.name}
        group = [made]
        for _ in range(MOST_ALIASES_IN_A_ROW):
            targets = {record_set.alias.dns_name for record_set in group if record_set.alias is not None} - passed
            passed |= targets
            found = [one for name in sorted(targets) for one in self._held(name).values() if one.type == made.type]
            if any(record_set.alias is None for record_set in found):
                return True
            group = found
        return False

    def outcome(self) -> Applied:
        """What it comes to, with the SOA's serial moved."""
        self._move_serial()
        stored: list[RecordSet] = []
        removed: list[RecordSetKey] = []
        changed = {name for name in self._after if self._after[name] != self._before[name]}
        for name in sorted(changed, key=order):
            before, after = self._before[name], self._after[name]
            removed += [key for key in before if key not in after]
            stored += [record_set for key, record_set in after.items() if before.get(key) != record_set]
        added = sum(len(self._after[name]) - len(self._before[name]) for name in changed)
        return Applied(
            {name: tuple(self._after[name].values()) for name in changed}, tuple(stored), tuple(removed), added
        )

    def _move_serial(self) -> None:
        key = (self.apex, "SOA", "")
        before, after = self._before[self.apex][key], self._after[self.apex][key]
        serial = moved_serial(_serial(before), _serial(after))
        fields = after.values[0].split()
        fields[2] = str(serial)
        self._after[self.apex][key] = msgspec.structs.replace(after, values=(" ".join(fields),))


def _simple(record_set: RecordSet) -> bool:
    return record_set.set_identifier is None


def _serial(soa: RecordSet) -> int:
    return int(soa.values[0].split()[2])


def moved_serial(before: int, wanted: int) -> int:
    """The serial after a change: the one wanted where that is greater, else the next one (RFC 1982 §3)."""
    if 0 < (wanted - before) % _MODULUS < _MODULUS // 2:
        return wanted
    return (before + 1) % _MODULUS


def _called(record_set: RecordSet) -> str:
    identifier = f", set-identifier='{record_set.set_identifier}'" if record_set.set_identifier else ""
    return f"[name='{record_set.name}', type='{record_set.type}'{identifier}]"
