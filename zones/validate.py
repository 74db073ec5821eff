"""What makes a set of records a zone that can be served: each rule here has its RFC, each refusal its file and line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import dns.rdatatype

from zones import names
from zones.zone import TYPE_CNAME, TYPE_DNAME, TYPE_DNSKEY, TYPE_DS, TYPE_NS, TYPE_NSEC, TYPE_RRSIG, TYPE_SOA, RRset

TYPE_NSEC3, TYPE_NSEC3PARAM = 50, 51
_MADE_BY_SIGNING = {TYPE_RRSIG, TYPE_NSEC, TYPE_NSEC3, TYPE_NSEC3PARAM}
_AT_MOST_ONE = {TYPE_SOA: "RFC 1035 §5.2", TYPE_CNAME: "RFC 2181 §10.1", TYPE_DNAME: "RFC 6672 §2.4"}

_MAXIMUM_TTL = 0x7FFFFFFF
_RECORD_FIXED = 12  # octets: pointer to the owner, type, class, TTL, RDLENGTH
_LARGEST_RRSET = 0xFFFF - 12 - (255 + 4) - (_RECORD_FIXED + 18 + 255 + 64) - 11
"""Octets that a message of 65,535 has left beside header, question, RRSIG and OPT record."""


class ZoneFileError(Exception):
    """A zone that cannot be served: `file`, `line` (0 where no single line is at fault) and `reason`."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class Entry(NamedTuple):
    """One record of a master file."""

    owner: bytes
    ttl: int
    type: int
    rdata: bytes
    canonical: bytes
    """The rdata in canonical form (RFC 4034 §6.2)."""
    file: str
    line: int


def validated_rrsets(
    entries: Iterable[Entry], origin: bytes, file: str, *, signed: bool
) -> dict[bytes, dict[int, RRset]]:
    """The records gathered to RRsets, by owner and type. Raises `ZoneFileError` for what makes no zone."""
    grouped: dict[bytes, dict[int, list[Entry]]] = {}
    for entry in entries:
        _check_record(entry, origin, signed=signed)
        grouped.setdefault(entry.owner, {}).setdefault(entry.type, []).append(entry)
    apex = grouped.get(origin, {})
    for rrtype in (TYPE_SOA, TYPE_NS):
        if rrtype not in apex:
            raise ZoneFileError(file, 0, f"no {_mnemonic(rrtype)} record at the apex {names.to_text(origin)}")
    for owner, of_owner in grouped.items():
        _check_owner(owner, of_owner, origin)
    return {owner: {t: _rrset(t, group) for t, group in of_owner.items()} for owner, of_owner in grouped.items()}


def _rrset(rrtype: int, group: list[Entry]) -> RRset:
    ttl = group[0].ttl
    for entry in group:
        if entry.ttl != ttl:
            raise _refused(
                entry,
                f"TTL {entry.ttl} differs from the {ttl} of the RRset's first record, line {group[0].line}: "
                "all records of an RRset have one TTL (RFC 2181 §5.2)",
            )
    distinct = {entry.canonical: entry.rdata for entry in group}
    if sum(_RECORD_FIXED + len(rdata) for rdata in distinct.values()) > _LARGEST_RRSET:
        raise _refused(
            group[0], f"{_mnemonic(rrtype)} RRset of more than {_LARGEST_RRSET} octets, which no DNS message can hold"
        )
    return RRset(rrtype, ttl, list(distinct.values()), distinct)


def _check_record(entry: Entry, origin: bytes, *, signed: bool) -> None:
    if not names.is_subdomain(entry.owner, origin):
        raise _refused(entry, f"{names.to_text(entry.owner)} is outside the zone {names.to_text(origin)}")
    if entry.type in _MADE_BY_SIGNING or (signed and entry.type == TYPE_DNSKEY):
        what = "" if entry.type != TYPE_DNSKEY else ", or serve the zone with signed = false"
        raise _refused(
            entry,
            f"{_mnemonic(entry.type)} records are made by the server as it signs: take them out of the file{what}",
        )
    if entry.type == 0 or 128 <= entry.type <= 255 or entry.type == 41:
        raise _refused(entry, f"{_mnemonic(entry.type)} is no type of data (RFC 6895 §3.1)")
    if entry.owner.startswith(b"\x01*") and entry.type in (TYPE_NS, TYPE_DNAME, TYPE_DS):
        raise _refused(entry, f"{_mnemonic(entry.type)} at a wildcard has no defined meaning (RFC 4592 §4.2, §4.4)")
    if entry.type == TYPE_SOA and entry.owner != origin:
        raise _refused(entry, f"SOA below the apex {names.to_text(origin)}")
    if entry.type == TYPE_DS and entry.owner == origin:
        raise _refused(entry, "DS at the apex: it belongs into the parent zone (RFC 4035 §2.4)")
    if entry.ttl > _MAXIMUM_TTL:
        raise _refused(entry, f"TTL {entry.ttl} is over {_MAXIMUM_TTL} (RFC 2181 §8)")
    if len(entry.rdata) > 0xFFFF:
        raise _refused(entry, "rdata of more than 65,535 octets")


def _check_owner(owner: bytes, of_owner: Mapping[int, list[Entry]], origin: bytes) -> None:
    for rrtype, section in _AT_MOST_ONE.items():
        group = of_owner.get(rrtype, [])
        if len({entry.canonical for entry in group}) > 1:
            raise _refused(group[1], f"a second {_mnemonic(rrtype)} at {names.to_text(owner)} ({section})")
    if TYPE_CNAME in of_owner and len(of_owner) > 1:
        other = next(group for rrtype, group in of_owner.items() if rrtype != TYPE_CNAME)[0]
        last = max(of_owner[TYPE_CNAME][0], other, key=lambda entry: entry.line)
        raise _refused(
            last, f"{names.to_text(owner)} has a CNAME and other data ({_mnemonic(other.type)}) (RFC 2181 §10.1)"
        )
    if TYPE_DS in of_owner and TYPE_NS not in of_owner:
        raise _refused(of_owner[TYPE_DS][0], "DS where there is no delegation: no NS beside it (RFC 4035 §2.4)")
    if TYPE_DNAME in of_owner and TYPE_NS in of_owner and owner != origin:
        raise _refused(of_owner[TYPE_DNAME][0], "DNAME at a delegation point (RFC 6672 §2.3)")


def _refused(entry: Entry, reason: str) -> ZoneFileError:
    return ZoneFileError(entry.file, entry.line, reason)


def _mnemonic(rrtype: int) -> str:
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype))
