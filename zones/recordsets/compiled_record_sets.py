"""The record sets of a zone compiled for answering, in a form that changes cheaply.

Each name's record sets become RRsets; those of one name and type with a routing policy become one `RoutedRRset`, and an
alias has what its target has. An alias whose target is gone, or that goes in a circle or too far, has nothing: its name
exists all the same. TTLs over one week are answered as one week, so that signing can begin at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import NamedTuple

import dns.rdatatype

from zones.node import Node, RRset
from zones.persistent_map import changed
from zones.recordsets.record_sets import MOST_ALIASES_IN_A_ROW, MOST_FOLLOWED, RecordSet
from zones.recordsets.record_values import Rdata, ValueRefusedError, rdata_of
from zones.recordsets.route53_names import from_text
from zones.routing_policy import MOST_VALUES, Multivalue, Weighted
from zones.rrtypes import TYPE_DS, TYPE_NS
from zones.storage.zone_contents import Contents
from zones.zone import Zone


class Target(NamedTuple):
    """What an alias has: the RRset of another name, with the same type."""

    name: bytes


class Weights(NamedTuple):
    """Weighted record sets of one name and type."""

    options: tuple[tuple[int, RRset | Target], ...]


RecordSource = RRset | Target | Weights
RecordSources = Mapping[int, RecordSource]
"""What a name has, by type, before its aliases are followed."""

TargetLookup = Callable[[bytes, int], RecordSource | None]

LeftOut = Callable[[RecordSet, ValueRefusedError], object]
"""Told of a value that is stored and can't be read: an earlier version took it. It is left out of its record set."""

_NOBODY: frozenset[bytes] = frozenset()


class Compiled:
    """The record sets of one zone, an immutable value."""

    __slots__ = ("_aliases", "_sources", "contents")

    def __init__(
        self, contents: Contents, sources: Mapping[bytes, RecordSources], aliases: Mapping[bytes, frozenset[bytes]]
    ) -> None:
        self.contents = contents
        self._sources = sources
        """Of the names that have an alias among their record sets."""
        self._aliases = aliases
        """The names that have an alias to a name."""

    @classmethod
    def of(cls, apex: str, record_sets: Iterable[RecordSet], left_out: LeftOut | None = None) -> Compiled:
        """Compile all record sets of a zone, the SOA and NS at its apex among them.

        Raises `ValueRefusedError` for a value that can't be read, or where `left_out` is given, leaves it out.
        """
        by_name: dict[str, list[RecordSet]] = {}
        for record_set in record_sets:
            by_name.setdefault(record_set.name, []).append(record_set)
        sources = {from_text(name): sources_of(group, left_out) for name, group in by_name.items()}
        aliases: dict[bytes, frozenset[bytes]] = {}
        for owner, of_owner in sources.items():
            for target in _targets(of_owner):
                aliases[target] = aliases.get(target, _NOBODY) | {owner}
        lookup = partial(_source, (sources,))
        resolved = {owner: _resolved(owner, of_owner, lookup) for owner, of_owner in sources.items()}
        with_aliases = {owner: of_owner for owner, of_owner in sources.items() if _targets(of_owner)}
        return cls(Contents.of(from_text(apex), resolved), with_aliases, aliases)

    def zone(self) -> Zone:
        """The snapshot, made from all of it: as it is when it is signed."""
        return self.contents.zone()

    def changed(self, by_name: Mapping[str, Sequence[RecordSet]]) -> tuple[Compiled, dict[bytes, Node | None]]:
        """The zone in which each name of `by_name` has these record sets and no others.

        And the nodes that differ, for `Zone.with_nodes`. Values that can't be read are left out: new ones were refused.
        """
        wanted = {from_text(name): sources_of(group, _pass_over) if group else None for name, group in by_name.items()}
        with_aliases = {o: of_owner if of_owner and _targets(of_owner) else None for o, of_owner in wanted.items()}
        sources = changed(self._sources, with_aliases)
        aliases = changed(self._aliases, self._changed_aliases(with_aliases))
        lookup = partial(_source, (wanted, sources, self.contents.rrsets))
        changes: dict[bytes, Mapping[int, RRset] | None] = {}
        for owner in _followed(wanted, aliases):
            of_owner = wanted[owner] if owner in wanted else sources[owner]
            changes[owner] = None if of_owner is None else _resolved(owner, of_owner, lookup)
        contents, replaced = self.contents.changed(changes)
        return Compiled(contents, sources, aliases), replaced

    def _changed_aliases(
        self, with_aliases: Mapping[bytes, RecordSources | None]
    ) -> dict[bytes, frozenset[bytes] | None]:
        found: dict[bytes, frozenset[bytes]] = {}
        for owner, of_owner in with_aliases.items():
            old, new = _targets(self._sources.get(owner) or {}), _targets(of_owner or {})
            for target in old ^ new:
                owners = found.get(target, self._aliases.get(target, _NOBODY))
                found[target] = owners | {owner} if target in new else owners - {owner}
        return {target: owners or None for target, owners in found.items()}


def _pass_over(_: RecordSet, __: ValueRefusedError) -> None:
    """A value that is left out without a word, since it was told of when its zone was loaded."""


def sources_of(record_sets: Sequence[RecordSet], left_out: LeftOut | None = None) -> RecordSources:
    """What one name has, by type, before its aliases are followed. All of `record_sets` have that name.

    For values that can't be read as `Compiled.of`.
    """
    by_type: dict[str, list[RecordSet]] = {}
    for record_set in record_sets:
        by_type.setdefault(record_set.type, []).append(record_set)
    sources = {int(dns.rdatatype.from_text(rrtype)): _source_of(group, left_out) for rrtype, group in by_type.items()}
    return {rrtype: source for rrtype, source in sources.items() if source is not None}


def _source_of(group: Sequence[RecordSet], left_out: LeftOut | None) -> RecordSource | None:
    """What the record sets of one name and type come to; None where none of their values can be read."""
    # In an order that does not depend on how they came here: which one is drawn goes by it.
    group = sorted(group, key=lambda record_set: record_set.set_identifier or "")
    first = group[0]
    if first.multivalue:
        rrtype, ttl, values = _values(group, left_out)
        return Multivalue(rrtype, ttl, values) if len(values) > MOST_VALUES else _rrset_of(rrtype, ttl, values)
    if first.weight is None:
        return _single(first, left_out)
    read = [(record_set.weight or 0, _single(record_set, left_out)) for record_set in group]
    weighted = [(weight, source) for weight, source in read if source is not None]
    if not any(weight for weight, _ in weighted):
        weighted = [(1, source) for _, source in weighted]  # all of them equally often
    options = tuple((weight, source) for weight, source in weighted if weight)
    return Weights(options) if options else None


def _single(record_set: RecordSet, left_out: LeftOut | None) -> RRset | Target | None:
    if record_set.alias is not None:
        return Target(from_text(record_set.alias.dns_name))
    return _rrset_of(*_values([record_set], left_out))


def _rrset_of(rrtype: int, ttl: int, values: Sequence[Rdata]) -> RRset | None:
    if not values:
        return None
    return RRset(rrtype, ttl, [value.wire for value in values], [value.canonical for value in values])


def _values(group: Sequence[RecordSet], left_out: LeftOut | None) -> tuple[int, int, list[Rdata]]:
    """Type, TTL, and each different value of record sets of one type."""
    found: dict[bytes, Rdata] = {}
    for record_set in group:
        for value in record_set.values:
            try:
                rdata = rdata_of(record_set.type, value)
            except ValueRefusedError as error:
                if left_out is None:
                    raise
                left_out(record_set, error)
                continue
            found.setdefault(rdata.canonical, rdata)
    return int(dns.rdatatype.from_text(group[0].type)), group[0].ttl or 0, list(found.values())


def _source(held: Sequence[Mapping[bytes, RecordSources | None]], name: bytes, rrtype: int) -> RecordSource | None:
    """What a name has of a type, in the first of `held` that knows the name."""
    for mapping in held:
        if name in mapping:
            return (mapping[name] or {}).get(rrtype)
    return None


def _resolved(owner: bytes, sources: RecordSources, lookup: TargetLookup) -> dict[int, RRset]:
    """The RRsets that a name is answered with."""
    found = {}
    for rrtype, source in sources.items():
        rrset = _rrset(source, rrtype, lookup, frozenset((owner,)), count(1))
        if rrset is not None:
            found[rrtype] = rrset
    if TYPE_DS in found and TYPE_NS not in found:
        del found[TYPE_DS]  # it says something of a delegation, and there is none (RFC 4035 §2.4)
    return found


def _rrset(
    source: RecordSource | None, rrtype: int, lookup: TargetLookup, passed: frozenset[bytes], followed: Iterator[int]
) -> RRset | None:
    """What a source is answered with. `followed` counts the aliases, over all that is answered in its place."""
    if isinstance(source, Target):
        if source.name in passed or len(passed) > MOST_ALIASES_IN_A_ROW or next(followed) > MOST_FOLLOWED:
            return None
        return _rrset(lookup(source.name, rrtype), rrtype, lookup, passed | {source.name}, followed)
    if not isinstance(source, Weights):
        return source
    options = [(weight, _rrset(option, rrtype, lookup, passed, followed)) for weight, option in source.options]
    there = [(weight, rrset) for weight, rrset in options if rrset is not None]
    if len(there) > 1:
        return Weighted(there)
    return there[0][1] if there else None


def _targets(sources: RecordSources) -> set[bytes]:
    """The names that a name has aliases to."""
    found = set()
    for source in sources.values():
        for option in (option for _, option in source.options) if isinstance(source, Weights) else (source,):
            if isinstance(option, Target):
                found.add(option.name)
    return found


def _followed(changed_names: Iterable[bytes], aliases: Mapping[bytes, frozenset[bytes]]) -> set[bytes]:
    """The names that change, and those that have an alias to one of them, directly or along other aliases."""
    found: set[bytes] = set()
    waiting = list(changed_names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += aliases.get(name, ())
    return found
