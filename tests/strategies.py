"""Zones and queries made by hypothesis: small, and full of what goes wrong.

All names are made of few labels, so that they meet: wildcards above existing names, aliases into delegated children,
empty non-terminals below wildcards, queries right beside what exists.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import dns.name
from dns.name import Name
from hypothesis import strategies as st

from server.query.edns import CO

_LABELS = [b"a", b"b", b"c", b"w", b"*", b"*", b"B", b"\x00", b"a.b", b"@", b"Z[", b"\xff", b"z" * 63, b"\x20;", b"1"]
_TYPES = [1, 2, 5, 6, 15, 16, 28, 33, 35, 39, 43, 46, 47, 48, 52, 59, 64, 65, 99, 255, 257, 1234, 32768, 65534]
_DATA = [
    ("A", "192.0.2.1"),
    ("A", "192.0.2.2"),
    ("AAAA", "2001:db8::1"),
    ("TXT", '"" "a;b" "\\255"'),
    ("TYPE1234", "\\# 4 0A000001"),
    ("TYPE65534", "\\# 0"),
    ("CAA", '0 issue "ca.example.net"'),
]
_WITH_NAME = ["MX 10 {}", "SRV 0 1 53 {}", "PTR {}", "SVCB 1 {}", "HTTPS 0 {}", 'NAPTR 1 2 "" "" "" {}']


class MadeZone(NamedTuple):
    """A master file, and what a query may aim at."""

    text: str
    origin: Name
    names: list[Name]
    """Owners and targets in the zone."""


class MadeQuery(NamedTuple):
    """A question and how it is asked."""

    qname: Name
    qtype: int
    edns: bool
    do: bool
    co: bool
    size: int

    @property
    def flags(self) -> int:
        """The EDNS flags."""
        return (0x8000 if self.do else 0) | (CO if self.co else 0)


def _joined(labels: list[bytes], origin: Name) -> Name:
    kept = list(labels)
    while sum(len(label) + 1 for label in (*kept, *origin.labels)) > 255:
        kept.pop(0)
    return Name((*kept, *origin.labels))


labels = st.sampled_from(_LABELS)
origins = st.sampled_from(["zone.example.", "zone.example.", "Zone.Example.", "example.", "."]).map(dns.name.from_text)


@st.composite
def deep_labels(draw: st.DrawFn) -> list[bytes]:
    """Labels that fill a name up to 255 octets, or nearly: short ones and long, of small or large octets."""
    octet = draw(st.sampled_from([b"d", b"\xff", b"@"]))
    short = draw(st.integers(0, 64))
    return ([octet * short] if 0 < short < 64 else []) + [octet * 63] * 3


@st.composite
def owners(draw: st.DrawFn, origin: Name) -> Name:
    """A name in the zone."""
    chosen = draw(deep_labels()) if draw(st.integers(0, 11)) == 0 else draw(st.lists(labels, min_size=1, max_size=4))
    return _joined(chosen, origin)


@st.composite
def zones(draw: st.DrawFn) -> MadeZone:
    """A valid zone."""
    origin = draw(origins)
    pool = draw(st.lists(owners(origin), min_size=2, max_size=9))
    # Parents of what exists are where things get interesting.
    pool += [Name(name.labels[1:]) for name in pool if len(name.labels) > len(origin.labels) + 1]
    pool = list(dict.fromkeys(pool))
    outside = [dns.name.from_text("www.elsewhere.test."), dns.name.root]
    targets = st.sampled_from([*pool, origin]) | st.sampled_from(outside) | owners(origin)
    ttls = st.sampled_from([0, 1, 60, 3600, 604800, 604801, 2**31 - 1])
    lines = [
        f"{origin} {draw(ttls)} SOA ns1.{origin.to_text().lstrip('.')} host.example. 1 2 3 4 {draw(ttls)}",
        f"{origin} 300 NS {draw(targets)}",
    ]
    if draw(st.integers(0, 9)) == 0:
        lines.append(f"{origin} 60 DNAME {draw(targets)}")
    seen = [origin]
    for owner in pool:
        if owner == origin or draw(st.integers(0, 4)) == 0:
            continue  # only an empty non-terminal, or not there at all
        lines += draw(_records(owner, targets, ttls))
        seen.append(owner)
    return MadeZone("\n".join(lines) + "\n", origin, list(dict.fromkeys([*seen, *pool])))


@st.composite
def _records(draw: st.DrawFn, owner: Name, targets: st.SearchStrategy[Name], ttls: st.SearchStrategy[int]) -> list[str]:
    kinds = ["data", "data", "cname"]
    if owner.labels[0] != b"*":
        kinds += ["dname", "insecure", "secure"]
    kind = draw(st.sampled_from(kinds))
    ttl = draw(ttls)
    if kind == "cname":
        return [f"{owner} {ttl} CNAME {draw(targets)}"]
    if kind in ("insecure", "secure"):
        servers = draw(st.lists(targets, min_size=1, max_size=2, unique=True))
        if draw(st.booleans()):
            servers.append(_joined([b"ns"], owner))
        lines = [f"{owner} {ttl} NS {server}" for server in dict.fromkeys(servers)]
        lines += [f"{server} 60 A 192.0.2.53" for server in servers if server.labels[0] == b"ns" and server != owner]
        if kind == "secure":
            lines += [f"{owner} {ttl} DS {number} 13 2 {'AB' * 32}" for number in range(draw(st.integers(1, 2)))]
        return lines
    lines = []
    ttls_of: dict[str, int] = {}
    for rdtype, rdata in draw(st.lists(st.sampled_from(_DATA), min_size=1, max_size=3, unique=True)):
        lines.append(f"{owner} {ttls_of.setdefault(rdtype, draw(ttls))} {rdtype} {rdata}")
    if draw(st.integers(0, 2)) == 0:
        lines.append(f"{owner} {ttl} {draw(st.sampled_from(_WITH_NAME)).format(draw(targets))}")
    if draw(st.integers(0, 15)) == 0 and "TXT" not in ttls_of:
        size = draw(st.sampled_from([5, 60, 250]))
        lines += [f'{owner} 60 TXT "{number:03} {"x" * 200}"' for number in range(size)]
    if kind == "dname":
        lines.append(f"{owner} {ttl} DNAME {draw(targets)}")
    return lines


@st.composite
def queries(draw: st.DrawFn, zone: MadeZone) -> MadeQuery:
    """A question that the zone has something to say about."""
    qname = draw(st.sampled_from(zone.names))
    where = draw(st.integers(0, 7))
    if where in (1, 2):
        qname = _joined(draw(st.lists(labels, min_size=1, max_size=2)), qname)
    elif where == 3 and qname != zone.origin:
        qname = _joined([draw(labels)], qname.parent())
    elif where == 4 and qname != zone.origin:
        qname = qname.parent()
    elif where == 5:
        qname = draw(owners(zone.origin))
    elif where == 6:
        qname = _joined(draw(deep_labels()), qname)
    if draw(st.booleans()):
        qname = _mixed_case(qname, draw(st.integers(0, 2**32 - 1)))
    return MadeQuery(
        qname,
        draw(st.sampled_from(_TYPES)),
        edns=(edns := draw(st.integers(0, 9)) > 0),
        do=edns and draw(st.integers(0, 9)) > 0,
        co=edns and draw(st.booleans()),
        size=draw(st.sampled_from([0, 512, 600, 1232, 4096, 65535])),
    )


def _mixed_case(name: Name, bits: int) -> Name:
    def spelled(label: bytes) -> bytes:
        return bytes(o ^ 0x20 if bits >> n % 32 & 1 and bytes([o]).isalpha() else o for n, o in enumerate(label))

    return Name(tuple(spelled(label) for label in name.labels))


def scenarios(most: int = 6) -> st.SearchStrategy[tuple[MadeZone, list[MadeQuery]]]:
    """A zone with queries to it."""

    def with_queries(zone: MadeZone) -> Any:
        return st.tuples(st.just(zone), st.lists(queries(zone), min_size=1, max_size=most))

    return zones().flatmap(with_queries)
