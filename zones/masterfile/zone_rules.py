"""What makes a set of records a zone that can be served: each rule here has its RFC, each refusal its file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import dns.rdatatype

from zones import names
from zones.masterfile.simple_lines import Record
from zones.masterfile.warnings import WarningKind, ZoneWarning, warnings_of
from zones.node import RRset
from zones.rrtypes import (
    TYPE_A,
    TYPE_AAAA,
    TYPE_CNAME,
    TYPE_DNAME,
    TYPE_DNSKEY,
    TYPE_DS,
    TYPE_NS,
    TYPE_NSEC,
    TYPE_RRSIG,
    TYPE_SOA,
)

TYPE_MX, TYPE_TXT, TYPE_NSEC3, TYPE_NSEC3PARAM = 15, 16, 50, 51
_MADE_BY_SIGNING = {TYPE_RRSIG, TYPE_NSEC, TYPE_NSEC3, TYPE_NSEC3PARAM}
_FOR_PARENT = (59, 60)
"""CDS and CDNSKEY, which a parent takes from the apex only if a key signed them that its DS names (RFC 7344 §4.1)."""
_TYPE_KEY = 25
_WITH_CNAME = (TYPE_CNAME, _TYPE_KEY)
"""What may stand at an alias (RFC 2181 §10.1). RRSIG and NSEC, which may as well, are in no file here."""
_AT_MOST_ONE = {TYPE_SOA: "RFC 1035 §5.2", TYPE_CNAME: "RFC 2181 §10.1", TYPE_DNAME: "RFC 6672 §2.4"}

_WITH_RULES = {*_AT_MOST_ONE, TYPE_DS}
"""An owner that has none of these types is refused for no other's sake."""
_WITHOUT_RULES = {TYPE_A, TYPE_AAAA, TYPE_TXT, TYPE_MX}
"""The most frequent types that are refused at no owner."""

_MAXIMUM_TTL = 0x7FFFFFFF
_RECORD_FIXED = 12  # octets: pointer to the owner, type, class, TTL, RDLENGTH
_LARGEST_RRSET = 0xFFFF - 12 - (255 + 4) - (_RECORD_FIXED + 18 + 255 + 64) - 11
"""Octets that a message of 65,535 has left beside header, question, RRSIG and OPT record."""


class ZoneFileError(Exception):
    """A zone that cannot be served: `file`, `line` (0 where no single line is at fault), `reason` and `code`."""

    code = "zone"
    """The kind of error, for programs."""

    def __init__(self, file: str, line: int, reason: str, code: str | None = None) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason
        if code is not None:
            self.code = code


class Gathering:
    """The records of a master file, gathered to RRsets as they are read."""

    def __init__(self, origin: bytes, *, signed: bool, lenient: bool = False) -> None:
        """With `lenient`, records that are no longer valid (`formerly_valid`) are left out, not refused."""
        self._origin = origin
        self._signed = signed
        self._lenient = lenient
        self._records: dict[bytes, dict[int, list[Record]]] = {}
        self._outdated: list[tuple[Record, str]] = []
        """The records that `lenient` leaves out, each with what is wrong with it."""
        self._left_out: list[ZoneWarning] = []

    def add(self, records: Sequence[Record]) -> None:
        """Take the next records. Raises `ZoneFileError` for the first that can't stand in the zone."""
        grouped = self._records
        for record in records:
            owner, ttl, rrtype, rdata, _, _, _ = record
            of_owner = grouped.get(owner)
            group = None if of_owner is None else of_owner.get(rrtype)
            if group is None:
                # All that a record's owner and type can be refused for is seen with the first of them.
                _check_owner_and_type(record, self._origin, signed=self._signed)
            if ttl > _MAXIMUM_TTL:
                raise _refused(record, f"TTL {ttl} is greater than {_MAXIMUM_TTL} (RFC 2181 §8)")
            if len(rdata) > 0xFFFF:
                raise _refused(record, "rdata is longer than 65,535 octets")
            if group is not None:
                group.append(record)
            elif of_owner is not None:
                of_owner[rrtype] = [record]
            else:
                grouped[owner] = {rrtype: [record]}

    def take_outdated(self, record: Record, reason: str) -> None:
        """Take a record that is no longer valid, for the `reason` given.

        Raises `ZoneFileError` for what every version refused, or else, unless this is lenient, for `reason`.
        """
        self.add([record])
        if not self._lenient:
            raise _refused(record, f"{_mnemonic(record[2])}: {reason}")
        self._outdated.append((record, reason))

    def check(self, file: str) -> None:
        """Check the whole, when all records are there. Raises `ZoneFileError`, in which `file` stands for all lines."""
        self._left_out += self._without_signals()
        for error in self._faults_of_owners(file):
            raise error
        self._left_out += self._without_outdated()

    def _faults_of_owners(self, file: str) -> Iterator[ZoneFileError]:
        """What is wrong with the apex, and with what stands together at one owner."""
        grouped = self._records
        apex = grouped.get(self._origin, {})
        for rrtype in (TYPE_SOA, TYPE_NS):
            if rrtype not in apex:
                reason = f"no {_mnemonic(rrtype)} record at the apex {names.to_text(self._origin)}"
                yield ZoneFileError(file, 0, reason, f"no-{_mnemonic(rrtype).lower()}")
        for owner, of_owner in grouped.items():
            if not of_owner.keys().isdisjoint(_WITH_RULES):
                yield from _faults_of_owner(owner, of_owner, self._origin)

    def _without_outdated(self) -> list[ZoneWarning]:
        """Leave out the records that are no longer valid. Raises `ZoneFileError` for an invalid RRset with one.

        They stay until all else is checked: a zone that was refused for one of them, as for its TTL or for a CNAME
        beside it, was never served, so it is refused still.
        """
        grouped = self._records
        outdated = {id(record) for record, _ in self._outdated}
        for owner, rrtype in dict.fromkeys((record[0], record[2]) for record, _ in self._outdated):
            of_owner = grouped[owner]
            _rrset(rrtype, of_owner[rrtype])
            if valid := [record for record in of_owner[rrtype] if id(record) not in outdated]:
                of_owner[rrtype] = valid
            else:
                del of_owner[rrtype]
            if not of_owner:
                del grouped[owner]
        return [
            ZoneWarning(file, line, owner, rrtype, WarningKind.OUTDATED, self._origin, reason)
            for (owner, _, rrtype, _, _, file, line), reason in self._outdated
        ]

    def _without_signals(self) -> Iterator[ZoneWarning]:
        """Leave out what the ZSK would sign at the apex and a parent then ignores: CDS and CDNSKEY.

        A zone whose signing is disabled for a time has none either: a parent takes no unsigned ones (RFC 7344 §4.1).
        """
        apex = self._records.get(self._origin, {}) if self._signed else {}
        for rrtype in _FOR_PARENT:
            for owner, _, _, _, _, file, line in apex.pop(rrtype, ()):
                yield ZoneWarning(file, line, owner, rrtype, WarningKind.FOR_PARENT, self._origin)

    def warnings(self) -> list[ZoneWarning]:
        """Probable mistakes in the whole zone, which was checked, and what was left out of it; by file and line."""
        found = warnings_of(self._origin, self._records)
        return sorted([*found, *self._left_out], key=lambda warning: warning[:2]) if self._left_out else found

    def rrsets(self) -> dict[bytes, dict[int, RRset]]:
        """The RRsets by owner and type, with which the gathering ends. Raises `ZoneFileError` for one that is none."""
        grouped = self._records
        rrsets: dict[bytes, dict[int, RRset]] = {}
        for owner, of_owner in grouped.items():
            rrsets[owner] = {rrtype: _rrset(rrtype, group) for rrtype, group in of_owner.items()}
            of_owner.clear()  # memory for two of each is more than a large zone should need
        self._records = {}
        return rrsets


class LenientGathering(Gathering):
    """Gathers what can be gathered, and hands each error on instead of raising it: to check a whole zone at once."""

    UNKNOWN = b"\x08\x00unknown\x00"
    """Stands for an owner or origin that could not be read: what is at or below it is left out, silently."""
    UNKNOWN_TTL = -1
    """Stands for a TTL that could not be read: it differs from no other."""

    def __init__(self, origin: bytes, found: Callable[[ZoneFileError], None], *, signed: bool) -> None:
        super().__init__(origin, signed=signed)
        self._found = found

    def add(self, records: Sequence[Record]) -> None:
        """Take the next records, except those that can't stand in the zone."""
        for record in records:
            if record[0].endswith(self.UNKNOWN):
                continue
            try:
                super().add([record])
            except ZoneFileError as error:
                self._found(error)

    def take_outdated(self, record: Record, reason: str) -> None:
        """Take a record that is no longer valid, which is an error."""
        if record[0].endswith(self.UNKNOWN):
            return
        try:
            super().take_outdated(record, reason)
        except ZoneFileError as error:
            self._found(error)

    def check_all(self, file: str) -> None:
        """Check the whole: as `check`, but every owner and every RRset."""
        self._left_out += self._without_signals()
        for error in self._faults_of_owners(file):
            self._found(error)
        for of_owner in self._records.values():
            for rrtype, group in of_owner.items():
                for error in self._faults_of_rrset(rrtype, group):
                    self._found(error)

    def _faults_of_rrset(self, rrtype: int, group: list[Record]) -> Iterator[ZoneFileError]:
        first = next((record for record in group if record[1] != self.UNKNOWN_TTL), None)
        if first is not None:
            _, ttl, _, _, _, _, line = first
            for record in group:
                if record[1] not in (ttl, self.UNKNOWN_TTL):
                    yield _other_ttl(record, ttl, line)
        try:
            _rrset(rrtype, [(o, 0, t, rdata, canonical, f, n) for o, _, t, rdata, canonical, f, n in group])
        except ZoneFileError as error:
            yield error


def _rrset(rrtype: int, group: list[Record]) -> RRset:
    first = group[0]
    _, ttl, _, rdata, canonical, _, line = first
    if len(group) == 1:
        if len(rdata) + _RECORD_FIXED > _LARGEST_RRSET:
            raise _too_large(first)
        return RRset.of_one(rrtype, ttl, rdata, canonical)
    for record in group:
        if record[1] != ttl:
            raise _other_ttl(record, ttl, line)
    distinct = {record[4]: record[3] for record in group}
    if sum(_RECORD_FIXED + len(rdata) for rdata in distinct.values()) > _LARGEST_RRSET:
        raise _too_large(first)
    return RRset(rrtype, ttl, list(distinct.values()), distinct)


def _other_ttl(record: Record, ttl: int, line: int) -> ZoneFileError:
    return _refused(
        record,
        f"TTL {record[1]} differs from the {ttl} of the RRset's first record, line {line}: "
        "all records of an RRset must have the same TTL (RFC 2181 §5.2)",
        "ttl-mismatch",
    )


def _too_large(record: Record) -> ZoneFileError:
    return _refused(
        record, f"{_mnemonic(record[2])} RRset is larger than {_LARGEST_RRSET} octets and fits no DNS message"
    )


def _check_owner_and_type(record: Record, origin: bytes, *, signed: bool) -> None:
    owner, rrtype = record[0], record[2]
    if not names.is_subdomain(owner, origin):
        raise _refused(record, f"{names.to_text(owner)} is outside the zone {names.to_text(origin)}", "outside")
    if rrtype in _WITHOUT_RULES:
        return
    if rrtype in _MADE_BY_SIGNING or (signed and rrtype == TYPE_DNSKEY):
        what = "" if rrtype != TYPE_DNSKEY else ", or serve the zone with signed = false"
        raise _refused(
            record,
            f"the server generates {_mnemonic(rrtype)} records when it signs: remove them from the file{what}",
        )
    if rrtype == 0 or 128 <= rrtype <= 255 or rrtype == 41:
        raise _refused(record, f"{_mnemonic(rrtype)} is not a data type; a zone cannot contain it (RFC 6895 §3.1)")
    if owner.startswith(b"\x01*") and rrtype in (TYPE_NS, TYPE_DNAME, TYPE_DS):
        raise _refused(record, f"{_mnemonic(rrtype)} at a wildcard is undefined (RFC 4592 §4.2, §4.4): remove it")
    if rrtype == TYPE_SOA and owner != origin:
        raise _refused(record, f"SOA below the apex {names.to_text(origin)}: only the apex can have one")
    if rrtype == TYPE_DS and owner == origin:
        raise _refused(record, "DS at the apex: it belongs in the parent zone (RFC 4035 §2.4)")


def _faults_of_owner(owner: bytes, of_owner: Mapping[int, list[Record]], origin: bytes) -> Iterator[ZoneFileError]:
    for rrtype, section in _AT_MOST_ONE.items():
        group = of_owner.get(rrtype, [])
        if len({record[4] for record in group}) > 1:
            reason = f"a second {_mnemonic(rrtype)} at {names.to_text(owner)} ({section})"
            yield _refused(group[1], reason, "more-than-one")
    beside = [group for rrtype, group in of_owner.items() if rrtype not in _WITH_CNAME]
    if TYPE_CNAME in of_owner and beside:
        other = beside[0][0]
        last = max(of_owner[TYPE_CNAME][0], other, key=lambda record: record[6])
        reason = f"{names.to_text(owner)} has a CNAME and other data ({_mnemonic(other[2])}) (RFC 2181 §10.1)"
        yield _refused(last, reason, "cname-and-other-data")
    if TYPE_DS in of_owner and TYPE_NS not in of_owner:
        reason = "DS without NS at the same name: only a delegation can have a DS (RFC 4035 §2.4)"
        yield _refused(of_owner[TYPE_DS][0], reason, "ds-without-ns")
    if TYPE_DNAME in of_owner and TYPE_NS in of_owner and owner != origin:
        yield _refused(of_owner[TYPE_DNAME][0], "DNAME at a delegation point (RFC 6672 §2.3)", "dname-and-ns")


def _refused(record: Record, reason: str, code: str | None = None) -> ZoneFileError:
    return ZoneFileError(record[5], record[6], reason, code)


def _mnemonic(rrtype: int) -> str:
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype))
