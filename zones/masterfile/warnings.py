"""Warnings about valid but probably mistaken records; a zone with warnings is served.

They cover: a name server in the zone without an address; a delegation that lacks glue; targets of NS, MX and SRV that
are aliases or do not exist; names without their final dot; an address in place of a name; an "@" in a mailbox; records
hidden below a delegation or a DNAME; names that are not ASCII; and a serial that does not grow. Data of other zones is
not queried.

The checks look once at the types of each owner, and at NS, MX and SRV records. They add to the time of loading a zone
of 100,000 names: 2% where all names have addresses, 10% where a quarter have an MX, 9% where a third are aliases, 18%
with some delegations, 28% where half the names are delegations with glue; and 3 µs for each warning. They cost nothing
where no caller asks for warnings.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import dns.rdatatype

from zones import names
from zones.masterfile.a_labels import in_a_labels
from zones.masterfile.simple_lines import Record
from zones.rrtypes import TYPE_A, TYPE_AAAA, TYPE_CNAME, TYPE_DNAME, TYPE_DS, TYPE_NS
from zones.zone import Zone

_TYPE_MX, _TYPE_SRV = 15, 33
_TYPE_SOA, _TYPE_PTR, _TYPE_RP = 6, 12, 17
_NAMED_ONLY = {TYPE_CNAME, TYPE_DNAME, _TYPE_PTR, _TYPE_SOA, _TYPE_RP}
"""The types whose names are looked at, but need no address."""
_SERVICES = {64, 65}
"""SVCB and HTTPS."""
_SPELLED = _NAMED_ONLY | _SERVICES
_ALIAS_MODE = bytes(2)
_BEFORE_TARGET = {TYPE_NS: 0, _TYPE_MX: 2, _TYPE_SRV: 6}
"""The types whose target must have an address and be no alias, and how many octets stand before it in the rdata."""
_POINTING = set(_BEFORE_TARGET)
_LOOKED_AT = {*_POINTING, TYPE_DNAME}
_ADDRESSES = {TYPE_A, TYPE_AAAA}
_AT_CUT = {TYPE_NS, TYPE_DS}
"""What is answered at a delegation point."""
_HALF = 1 << 31
MOST_LOGGED = 5
"""Warnings of one zone that are logged, not counting records that are left out."""
MOST_LEFT_OUT = 20
"""Left-out records of one zone that are logged."""

Records = Mapping[bytes, Mapping[int, list[Record]]]
"""The records of a zone by owner and type."""


class WarningKind(enum.Enum):
    """What is probably a mistake about a record: {other} is the name in question, {detail} `ZoneWarning.detail`."""

    ABSENT = "{other} has no records here"
    ADDRESSLESS = "{other} has no address (A or AAAA)"
    ALIAS = "{other} must not be an alias (RFC 2181 §10.3, RFC 2782)"
    MISSING_DOT = "{other} ends in the zone's name twice and has no records: add the final dot"
    OWNER_MISSING_DOT = "the owner ends in the zone's name twice: add the final dot"
    NOT_HERE = "{other} has no records here; a name outside the zone needs a final dot"
    ADDRESS_FOR_NAME = "{other} looks like an IPv4 address where a host name belongs"
    AT_SIGN = '{other} contains "@": write the mailbox with a dot instead, hostmaster.example.com. (RFC 1035 §8)'
    NO_GLUE = "{other} is below the delegation and needs glue here: add its A or AAAA record (RFC 9471)"
    BELOW_CUT = "hidden: {other} is delegated, so the record is never in an answer"
    BELOW_DNAME = "hidden: {other} has a DNAME, so the record is never in an answer (RFC 6672 §2.4)"
    NOT_ASCII = "{other} has octets above 127, which stay as they are: {detail}"
    ALIAS_PARAMETERS = "clients ignore parameters at priority 0, AliasMode: remove them (RFC 9460 §2.4.2)"
    OUTDATED = "left out, because it is no longer valid: {detail}"
    FOR_PARENT = (
        "left out: a parent accepts it only with a KSK's signature (RFC 7344 §4.1), which is not supported; "
        "`signwright ds {other}` prints the DS for the parent"
    )


ON_WHAT_IS_MISSING = {
    WarningKind.ABSENT,
    WarningKind.ADDRESSLESS,
    WarningKind.NO_GLUE,
}
"""Warnings that are void where some record could not be read that may be the missing one."""

_LEAVING_OUT = {WarningKind.OUTDATED, WarningKind.FOR_PARENT}


class ZoneWarning(NamedTuple):
    """One warning; its text is made where it is read, since a zone may have many."""

    file: str
    line: int
    owner: bytes
    rrtype: int
    kind: WarningKind
    other: bytes
    detail: str = ""
    """What is wrong, where the kind alone does not say it."""

    @property
    def reason(self) -> str:
        """The owner, the type and what is probably wrong."""
        mnemonic = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(self.rrtype))
        told = self.kind.value.format(other=names.to_text(self.other), detail=self.detail)
        return f"{names.to_text(self.owner)} {mnemonic}: {told}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def warnings_of(origin: bytes, records: Records) -> list[ZoneWarning]:
    """All warnings of the zone `origin`, which is valid (`zones.masterfile.zone_rules`), by file and line."""
    return sorted(_Looking(origin, records).found(), key=lambda warning: warning[:2])


def first(warnings: Sequence[ZoneWarning]) -> tuple[str, ...]:
    """The warnings of a zone that are logged: those of `left_out`, then the first few others and how many more."""
    others = [warning for warning in warnings if warning.kind not in _LEAVING_OUT]
    return (*left_out(warnings), *_few(others, MOST_LOGGED, "more"))


def left_out(warnings: Sequence[ZoneWarning]) -> tuple[str, ...]:
    """The warnings of records that are not served: the first 20, and how many more there are."""
    found = [warning for warning in warnings if warning.kind in _LEAVING_OUT]
    return _few(found, MOST_LEFT_OUT, "more records left out")


def _few(warnings: Sequence[ZoneWarning], most: int, more: str) -> tuple[str, ...]:
    shown = tuple(str(warning) for warning in warnings[:most])
    return (*shown, f"and {len(warnings) - most} {more}") if len(warnings) > most else shown


def serial_warning(before: Zone, after: Zone) -> str | None:
    """What is wrong with the serial of a zone that takes the place of another with other data (RFC 1982 §3.2)."""
    grown = (after.serial - before.serial) % (1 << 32)
    if grown == 0:
        return f"the zone changed, but its serial is still {after.serial}: increase it (RFC 1982)"
    if grown < _HALF:
        return None
    return f"the serial went down from {before.serial} to {after.serial}: secondaries will not transfer it (RFC 1982)"


class _Looking:
    def __init__(self, origin: bytes, records: Records) -> None:
        self._origin = origin
        self._records = records
        looked_at = [(o, of_owner) for o, of_owner in records.items() if not _LOOKED_AT.isdisjoint(of_owner)]
        self._pointing = [(o, of_owner) for o, of_owner in looked_at if not _POINTING.isdisjoint(of_owner)]
        self._cuts = {o for o, of_owner in looked_at if TYPE_NS in of_owner and o != origin}
        self._hiding = self._cuts | {o for o, of_owner in looked_at if TYPE_DNAME in of_owner}
        self._above: dict[bytes, bytes | None] = {origin[origin[0] + 1 :]: None}
        """What hides the names below each name."""
        self._targets: dict[bytes, WarningKind | None] = {}
        self._glue: set[bytes] = set()
        """The name servers of delegations."""

    def found(self) -> Iterator[ZoneWarning]:
        """All warnings."""
        for owner, of_owner in self._pointing:
            if not self._hiding or self._hidden_by(owner) is None:
                for rrtype, group in of_owner.items():
                    if rrtype in _POINTING:
                        yield from self._of_targets(owner, rrtype, group)
        yield from self._of_spellings()
        if self._hiding:
            yield from self._of_hidden()

    def _of_spellings(self) -> Iterator[ZoneWarning]:
        """Names that are relative and should not be, and mailboxes as in mail."""
        origin = self._origin
        twice = origin[:-1] + origin
        can_be_twice = origin != names.ROOT
        for owner, of_owner in self._records.items():
            if can_be_twice and owner.endswith(twice) and names.is_subdomain(owner, twice):
                group = next(iter(of_owner.values()))
                yield _warning(group[0], WarningKind.OWNER_MISSING_DOT, owner)
            if not owner.isascii():
                yield _not_ascii(next(iter(of_owner.values()))[0], owner)
            if not _SPELLED.isdisjoint(of_owner):
                for rrtype in _SPELLED & of_owner.keys():
                    for record in of_owner[rrtype]:
                        yield from self._of_names(record, twice)

    def _of_names(self, record: Record, twice: bytes) -> Iterator[ZoneWarning]:
        rrtype, rdata = record[2], record[4]
        if rrtype in _SERVICES:
            if rdata.startswith(_ALIAS_MODE) and names.end_of(rdata, len(_ALIAS_MODE)) < len(rdata):
                yield _warning(record, WarningKind.ALIAS_PARAMETERS, record[0])
            return
        if not rdata.isascii() and rrtype not in (_TYPE_SOA, _TYPE_RP):
            yield _not_ascii(record, rdata)
        first = names.end_of(rdata, 0)
        target = rdata[:first]
        if rrtype == _TYPE_SOA:
            mailbox = rdata[first : names.end_of(rdata, first)]
            yield from self._of_mailbox(record, mailbox)
            if target.endswith(twice) and names.is_subdomain(target, twice) and target not in self._records:
                yield _warning(record, WarningKind.MISSING_DOT, target)
        elif rrtype == _TYPE_RP:
            yield from self._of_mailbox(record, target)
        elif kind := self._of_alias_target(target, twice):
            yield _warning(record, kind, target)

    def _of_mailbox(self, record: Record, mailbox: bytes) -> Iterator[ZoneWarning]:
        if b"@" in mailbox:
            yield _warning(record, WarningKind.AT_SIGN, mailbox)

    def _of_alias_target(self, target: bytes, twice: bytes) -> WarningKind | None:
        """What is wrong with the target of an alias or PTR record, which may be any name."""
        if target not in self._records and _is_address(target, self._origin):
            return WarningKind.ADDRESS_FOR_NAME
        if not names.is_subdomain(target, self._origin):
            return None
        if target in self._records or target in self._existing or (self._hiding and self._hidden_by(target)):
            return None
        if self._of_wildcard(target) is not None:
            return None
        if target.endswith(twice) and names.is_subdomain(target, twice):
            return WarningKind.MISSING_DOT
        below = target[: len(target) - len(self._origin)]
        return WarningKind.NOT_HERE if len(below) > 1 + below[0] else None

    def _hidden_by(self, owner: bytes) -> bytes | None:
        """The delegation point or owner of a DNAME that is the highest one above a name of the zone."""
        above = owner[owner[0] + 1 :]
        found = self._above.get(above, names.ROOT)
        if found is names.ROOT:  # which hides nothing
            found = self._hidden_by(above) or (above if above in self._hiding else None)
            self._above[above] = found
        return found

    def _of_hidden(self) -> Iterator[ZoneWarning]:
        cuts, above_of, none = self._cuts, self._above, frozenset[int]()
        for owner, of_owner in self._records.items():
            above = above_of.get(owner[owner[0] + 1 :], names.ROOT)
            if above is names.ROOT:
                above = self._hidden_by(owner)
            if above is None and owner not in cuts:
                continue  # as most are
            answered = _AT_CUT if above is None else none
            above = above or owner
            kind = WarningKind.BELOW_CUT if above in cuts else WarningKind.BELOW_DNAME
            if above in cuts and owner in self._glue:
                answered = answered | _ADDRESSES
            for rrtype, group in of_owner.items():
                if rrtype not in answered:
                    yield _warning(group[0], kind, above)

    def _of_targets(self, owner: bytes, rrtype: int, group: list[Record]) -> Iterator[ZoneWarning]:
        is_cut = owner in self._cuts
        if is_cut and rrtype != TYPE_NS:
            return  # never answered
        at = _BEFORE_TARGET[rrtype]
        for record in group:
            target = record[4][at:]
            if not target.isascii():
                yield _not_ascii(record, target)
            if is_cut:
                self._glue.add(target)
            if is_cut and target.endswith(owner) and names.is_subdomain(target, owner):
                kind = None if self._has_address(target) else WarningKind.NO_GLUE
            elif target in self._targets:
                kind = self._targets[target]
            else:
                kind = self._targets[target] = self._of_target(target)
            if kind is not None:
                yield _warning(record, kind, target)

    def _has_address(self, owner: bytes) -> bool:
        return not _ADDRESSES.isdisjoint(self._records.get(owner, ()))

    def _of_target(self, target: bytes) -> WarningKind | None:
        """What is wrong with a name that should have an address, as far as this zone knows."""
        of_target = self._records.get(target)
        if of_target is None and _is_address(target, self._origin):
            return WarningKind.ADDRESS_FOR_NAME
        if target == names.ROOT or (of_target is None and not names.is_subdomain(target, self._origin)):
            return None  # the root says that there is none (RFC 7505, RFC 2782)
        above = self._hidden_by(target) if self._hiding else None
        if above is None and target in self._cuts:
            above = target
        if above is not None:
            return None if above in self._cuts else WarningKind.ALIAS  # below a delegation, another zone knows
        if of_target is None:
            of_target = self._of_wildcard(target)
        if of_target is None:
            return self._of_absent(target)
        if TYPE_CNAME in of_target:
            return WarningKind.ALIAS
        return WarningKind.ADDRESSLESS if _ADDRESSES.isdisjoint(of_target) else None

    def _of_absent(self, target: bytes) -> WarningKind:
        twice = self._origin[:-1] + self._origin
        if self._origin != names.ROOT and target.endswith(twice) and names.is_subdomain(target, twice):
            return WarningKind.MISSING_DOT
        below = target[: len(target) - len(self._origin)]
        return WarningKind.NOT_HERE if len(below) > 1 + below[0] else WarningKind.ABSENT

    def _of_wildcard(self, owner: bytes) -> Mapping[int, list[Record]] | None:
        """What a wildcard has for a name that has no records (RFC 4592 §3.3.1)."""
        wildcards = [b"\x01*" + above for above in self._all_above(owner)]
        if self._records.keys().isdisjoint(wildcards) or owner in self._existing:
            return None  # mostly for the first reason, which costs less
        for wildcard in wildcards:
            encloser = wildcard[2:]
            if encloser in self._existing:
                return self._records.get(wildcard)
        return None

    @cached_property
    def _existing(self) -> set[bytes]:
        """All names that exist: those with records, and what is above them, down from the apex."""
        found = {self._origin}
        for owner in self._records:
            name = owner
            while name not in found:
                found.add(name)
                name = names.parent(name)
        return found

    def _all_above(self, owner: bytes) -> Iterator[bytes]:
        while owner != self._origin:
            owner = names.parent(owner)
            yield owner


def _is_address(name: bytes, origin: bytes) -> bool:
    """Whether it is an IPv4 address that stands for a host name, written with a final dot or not."""
    at = 0
    for _ in range(4):
        length = name[at] if at < len(name) else 0
        if not (0 < length <= 3 and name[at + 1 : at + 1 + length].isdigit()):
            return False
        at += 1 + length
    return name[at:] in (names.ROOT, origin)


def _not_ascii(record: Record, name: bytes) -> ZoneWarning:
    label = in_a_labels(name)
    said = f"clients ask for {label}, so write that" if label is not None else "they are not a name in UTF-8"
    return _warning(record, WarningKind.NOT_ASCII, name)._replace(detail=said)


def _warning(record: Record, kind: WarningKind, other: bytes) -> ZoneWarning:
    owner, _, rrtype, _, _, file, line = record
    return ZoneWarning(file, line, owner, rrtype, kind, other)
