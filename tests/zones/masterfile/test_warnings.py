"""What is warned of in a zone that is served all the same: with file and line, and never of what is meant so."""

from __future__ import annotations

from collections.abc import Container

import pytest
from hypothesis import given, settings

from tests import strategies
from tests.zones.masterfile.test_simple_lines import Kept
from zones import names
from zones.lookup import Alias, NoData, NoName, Redirect, find
from zones.masterfile.load import ZoneWarning, parse_zone
from zones.masterfile.master_file_reader import Reader, Reading
from zones.masterfile.warnings import MOST_LEFT_OUT, MOST_LOGGED, WarningKind, first, left_out, serial_warning
from zones.rrtypes import TYPE_A, TYPE_AAAA, TYPE_NS
from zones.zone import Zone

TYPE_MX, TYPE_SRV = 15, 33

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"

CASES = """
; a zone without fault
www CNAME ns
@ MX 10 ns
child NS ns.child
ns.child A 192.0.2.2
ns.child AAAA 2001:db8::2
child DS 1 13 2 {digest}
_x._tcp SRV 0 0 53 ns
@ CAA 0 issue ";"

; name servers of the zone
@ NS ns2
  5: @ NS: ns2 has no records here
@ NS ns3
  7: @ NS: ns3 has no address (A or AAAA)
ns3 TXT x
@ NS ns4
  10: @ NS: ns4 must not be an alias (RFC 2181 §10.3, RFC 2782)
ns4 CNAME ns
@ NS ns.elsewhere.

; the name server of the zone is in a child, which knows its address
@ NS ns.child
child NS ns.child
ns.child A 192.0.2.2

; delegations and glue
one NS ns.one
  5: one NS: ns.one is below the delegation and needs glue here: add its A or AAAA record (RFC 9471)
two NS two
two A 192.0.2.2
three NS three
  9: three NS: three is below the delegation and needs glue here: add its A or AAAA record (RFC 9471)
four NS ns.two
five NS ns.elsewhere.
six NS gone
  13: six NS: gone has no records here
seven NS ns.six
ns.six AAAA 2001:db8::6

; targets of MX and SRV
a MX 10 alias
  5: a MX: alias must not be an alias (RFC 2181 §10.3, RFC 2782)
alias CNAME ns
b MX 10 gone
  8: b MX: gone has no records here
b MX 20 ns
c MX 10 b
  11: c MX: b has no address (A or AAAA)
d MX 0 .
e MX 10 mail.elsewhere.
f MX 10 ns.child
child NS ns.elsewhere.
_x._tcp SRV 0 0 53 Alias
  17: _x._tcp SRV: alias must not be an alias (RFC 2181 §10.3, RFC 2782)
_y._tcp SRV 0 0 53 gone
  19: _y._tcp SRV: gone has no records here
_z._tcp SRV 0 0 0 .

; what a wildcard has
*.a A 192.0.2.3
*.b CNAME ns
*.c TXT x
@ MX 10 x.a
@ MX 10 x.y.a
@ MX 10 x.b
  10: @ MX: x.b must not be an alias (RFC 2181 §10.3, RFC 2782)
@ MX 10 x.c
  12: @ MX: x.c has no address (A or AAAA)
z.a A 192.0.2.3
@ MX 10 x.z.a
  15: @ MX: x.z.a has no records here; a name outside the zone needs a final dot
y.e.a TXT x
@ MX 10 e.a
  18: @ MX: e.a has no records here; a name outside the zone needs a final dot
@ MX 10 x.e.a
  20: @ MX: x.e.a has no records here; a name outside the zone needs a final dot

; below a delegation
child NS ns.child
ns.child A 192.0.2.2
ns.child TXT x
  7: ns.child TXT: hidden: child is delegated, so the record is never in an answer
ns2.child A 192.0.2.2
  9: ns2.child A: hidden: child is delegated, so the record is never in an answer
child TXT x
  11: child TXT: hidden: child is delegated, so the record is never in an answer
child MX 10 gone
  13: child MX: hidden: child is delegated, so the record is never in an answer
deep.child NS ns.deep.child
  15: deep.child NS: hidden: child is delegated, so the record is never in an answer
ns.deep.child A 192.0.2.2
  17: ns.deep.child A: hidden: child is delegated, so the record is never in an answer

; below a DNAME
old DNAME new
old TXT x
a.old A 192.0.2.2
  7: a.old A: hidden: old has a DNAME, so the record is never in an answer (RFC 6672 §2.4)
b.a.old MX 10 gone
  9: b.a.old MX: hidden: old has a DNAME, so the record is never in an answer (RFC 6672 §2.4)
@ MX 10 c.old
  11: @ MX: c.old must not be an alias (RFC 2181 §10.3, RFC 2782)
gold A 192.0.2.2

; a DNAME at the apex
@ DNAME elsewhere.
a A 192.0.2.2
  6: a A: hidden: @ has a DNAME, so the record is never in an answer (RFC 6672 §2.4)
  3: @ NS: ns must not be an alias (RFC 2181 §10.3, RFC 2782)
  4: ns A: hidden: @ has a DNAME, so the record is never in an answer (RFC 6672 §2.4)
"""


def cases() -> list[tuple[str, str, list[str]]]:
    """A title, the lines of a zone with those of the warnings left empty, and the warnings."""
    found = []
    for case in CASES.format(digest="AB" * 32).strip().split("\n\n"):
        title, *lines = case.splitlines()
        text = "\n".join("" if line.startswith("  ") else line for line in lines) + "\n"
        warnings = sorted((line.strip() for line in lines if line.startswith("  ")), key=lambda w: int(w.split(":")[0]))
        found.append((title.removeprefix("; "), text, warnings))
    return found


def warnings_of(text: str) -> list[ZoneWarning]:
    found: list[ZoneWarning] = []
    parse_zone(text, "lab.example", file="zone", warned=found.extend)
    return found


def spelled(warning: ZoneWarning) -> str:
    """Without the file, and names relative to the zone's."""
    text = f"{warning.line}: {warning.reason}"
    return text.replace(".lab.example.", "").replace("lab.example.", "@")


@pytest.mark.parametrize(("text", "expected"), [pytest.param(*case[1:], id=case[0]) for case in cases()])
def test_what_is_warned_of(text: str, expected: list[str]) -> None:
    assert [spelled(warning) for warning in warnings_of(APEX + text)] == expected


def test_a_warning_has_file_and_line() -> None:
    (warning,) = warnings_of(APEX + "@ MX 10 gone\n")
    assert str(warning) == "zone:5: lab.example. MX: gone.lab.example. has no records here"


def test_a_log_bears_a_few() -> None:
    few = warnings_of(APEX + "".join(f"@ MX {number} gone{number}\n" for number in range(MOST_LOGGED)))
    assert list(first(few)) == [str(warning) for warning in few]
    many = warnings_of(APEX + "".join(f"@ MX {number} gone{number}\n" for number in range(100)))
    told = first(many)
    assert told[:-1] == tuple(map(str, many[:MOST_LOGGED]))
    assert told[-1] == f"and {100 - MOST_LOGGED} more"


def test_left_out_records_come_first_and_are_not_cut_off() -> None:
    absent = "".join(f"@ MX {number} gone{number}\n" for number in range(6))
    warned = warnings_of(APEX + absent + "@ CDS 0 0 0 00\n")
    told = first(warned)
    assert told[0].startswith("zone:11: lab.example. CDS: left out: ")
    assert told[1:] == (*map(str, warned[:MOST_LOGGED]), "and 1 more")
    assert left_out(warned) == told[:1]


def test_left_out_records_are_bounded() -> None:
    signals = "".join(f"@ CDS {number} 13 2 {'AB' * 32}\n" for number in range(MOST_LEFT_OUT + 7))
    told = first(warnings_of(APEX + signals + "@ MX 1 gone\n"))
    assert len(told) == MOST_LEFT_OUT + 2
    assert all(": left out: " in warning for warning in told[:MOST_LEFT_OUT])
    assert told[MOST_LEFT_OUT] == "and 7 more records left out"
    assert "gone" in told[-1]


def with_serial(serial: int) -> Zone:
    return parse_zone(f"@ 60 SOA ns host {serial} 2 3 4 5\n@ 60 NS ns\n", "lab.example")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (1, 2, None),
        (2, 2, "the zone changed, but its serial is still 2: increase it (RFC 1982)"),
        (2, 1, "the serial went down from 2 to 1: secondaries will not transfer it (RFC 1982)"),
        (0xFFFFFFFF, 0, None),
        (0, 0x7FFFFFFF, None),
        (0, 0x80000000, "the serial went down from 0 to 2147483648: secondaries will not transfer it (RFC 1982)"),
        (2026010101, 1, "the serial went down from 2026010101 to 1: secondaries will not transfer it (RFC 1982)"),
        (3026010101, 1, None),
    ],
)
def test_a_serial_grows(before: int, after: int, told: str | None) -> None:
    assert serial_warning(with_serial(before), with_serial(after)) == told


BESIDES = {WarningKind.BELOW_CUT, WarningKind.BELOW_DNAME, WarningKind.OWNER_MISSING_DOT, WarningKind.NOT_ASCII}
"""Warnings that say nothing of a target."""


@given(strategies.zones())
@settings(max_examples=100)
def test_what_is_warned_of_is_what_is_answered_so(made: strategies.MadeZone) -> None:
    """Warnings against the zone as it is answered: what it does not have, and what it says of each target."""
    origin, kept, found = made.origin.to_text(), Kept(), list[ZoneWarning]()
    zone = parse_zone(made.text, origin, warned=found.extend)
    Reader(made.text.encode(), made.origin, Reading("zone", None, plain=True), kept).read_all()
    glue = {(o, s.type) for node in zone.nodes.values() for o, s in node.glue + node.sibling_glue}
    never = {(r[0], r[2]) for r in kept.records if r[2] not in rrsets_at(zone, r[0]) and (r[0], r[2]) not in glue}
    assert {(w.owner, w.rrtype) for w in found if w.kind in (WarningKind.BELOW_CUT, WarningKind.BELOW_DNAME)} == never

    expected = set()
    for owner, _, rrtype, _, canonical, _, line in kept.records:
        if rrtype not in (TYPE_NS, TYPE_MX, TYPE_SRV) or (owner, rrtype) in never:
            continue
        target = canonical[{TYPE_NS: 0, TYPE_MX: 2, TYPE_SRV: 6}[rrtype] :]
        is_cut = zone.nodes[owner].is_cut
        if is_cut and names.is_subdomain(target, owner):
            has_glue = any((target, address) in glue for address in (TYPE_A, TYPE_AAAA))
            kind = None if has_glue else WarningKind.NO_GLUE
        else:
            kind = expected_kind(zone, target)
        if kind is not None:
            expected.add((line, target, kind))
    absent = dict.fromkeys((WarningKind.NOT_HERE, WarningKind.MISSING_DOT), WarningKind.ABSENT)
    pointed = {
        (w.line, w.other, absent.get(w.kind, w.kind))
        for w in found
        if w.rrtype in (TYPE_NS, TYPE_MX, TYPE_SRV) and w.kind not in BESIDES
    }
    assert pointed == expected


def rrsets_at(zone: Zone, owner: bytes) -> Container[int]:
    node = zone.nodes.get(owner)
    return node.rrsets if node is not None else ()


def expected_kind(zone: Zone, target: bytes) -> WarningKind | None:
    """What the zone's answers for the addresses of a target are worth."""
    if target == names.ROOT or not names.is_subdomain(target, zone.origin):
        return None
    outcomes = [find(zone, target, address) for address in (TYPE_A, TYPE_AAAA)]
    match outcomes:
        case [Alias() | Redirect(), _]:
            return WarningKind.ALIAS
        case [NoName(), _]:
            return WarningKind.ABSENT
        case [NoData(node), NoData()]:
            return WarningKind.ADDRESSLESS if node.rrsets else WarningKind.ABSENT
    return None
