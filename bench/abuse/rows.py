"""What is measured: each row of `ROWS` has its loads, and says which servers meet them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import botocore.session

from bench.abuse.cases import (
    HONEST,
    HOT_RATE,
    Context,
    Load,
    Seen,
    Values,
    abused,
    flood_order,
    peak,
    probe_order,
    warm,
)
from bench.abuse.datagrams import wildcard_socket
from bench.abuse.limits import Variant, has_limits
from bench.abuse.packets import CLIENT_COOKIE, Packet, addresses, framed, packet, whole
from bench.abuse.prober import ask_cookie
from bench.abuse.programs import Program
from bench.abuse.requests import LISTENERS, access_key, half, hostile, signed, signer
from bench.abuse.stand import Stand, standing
from bench.zone import ORIGIN

OWN = "signwright"
PEERS = ("nsd", "knot", "bind")
HUGE = f"huge.{ORIGIN}"
HUGE_RECORDS = "".join(f'{HUGE} IN TXT "{number:03}{"x" * 240}"\n' for number in range(235))
"""Another part of the zone: an RRset of 60 kB."""
RATES = (10_000, 30_000)
SPOOFED = 50_000
AMPLIFYING = (100, 5_000)
"""Queries a second: below all limits, and far above."""
TYPES = ("A", "AAAA", "NS", "SOA", "MX", "TXT", "DNSKEY", "ANY", "RRSIG", "NXDOMAIN")
CROWDS = {"16 pipelining": 16, "1,505 that ask every 4 s": 1505, "200 dripping": 200, "400 that don't read": 400}
HTTP_CONNECTIONS = 2000
MANY_PREFIXES = 10_000
SPREAD = 2000
"""Prefixes from which hot queries come as fast as they are answered: so that none of them meets a limit."""
_ATTACKERS = addresses(9 * 256, 250, each_prefix=250)
_RESOLVERS = addresses(20 * 256, 64)
_LARGEST = 4096
_RECORDS = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    title: str
    servers: tuple[str, ...]
    measure: Callable[[Context, Sequence[str]], Iterator[Seen]]
    """Yields each case's figures. Of the servers that it is given it takes those that the row is about."""


def random_names(sources: Sequence[str]) -> list[Packet]:
    """Queries for names that don't exist, each once."""
    return [packet(source, ORIGIN, "A", varies=True) for source in sources]


def measure_random(context: Context, servers: Sequence[str]) -> Iterator[Seen]:
    packets = random_names(_RESOLVERS)
    if OWN in servers:
        yield peak("random", Variant(OWN), "as many as are answered", lambda _: packets, context)
    for rate in RATES:
        load = Load(f"{rate:,}/s", lambda stand, _, rate=rate: [flood_order(stand.port, packets, rate)])  # type: ignore[misc]
        for server in servers:
            yield abused("random", Variant(server), load, context)


def measure_flood_denial(context: Context, servers: Sequence[str]) -> Iterator[Seen]:
    packets = random_names(_RESOLVERS)
    variants = [Variant(server) for server in servers]
    variants += [Variant(OWN, flood=True)] if OWN in servers else []
    for variant in variants:
        yield peak("flood-denial", variant, "as many as are answered", lambda _: packets, context)


def measure_spoofed(context: Context, servers: Sequence[str]) -> Iterator[Seen]:
    def from_one(stand: Stand, context: Context) -> list[tuple[str, Mapping[str, Any]]]:
        hot = context.questions[: len(_ATTACKERS)]
        packets = [packet(source, *asked) for source, asked in zip(_ATTACKERS, hot, strict=True)]
        return [flood_order(stand.port, packets, SPOOFED)]

    def from_many(stand: Stand, _: Context) -> list[tuple[str, Mapping[str, Any]]]:
        return [flood_order(stand.port, random_names(addresses(20 * 256, MANY_PREFIXES)), SPOOFED)]

    probes = {"hot": False, "hot with a cookie": True}
    for load in (
        Load(f"{SPOOFED:,}/s from one /24", from_one, probes),
        Load(f"random names, {SPOOFED:,}/s from {MANY_PREFIXES:,} prefixes", from_many, probes),
    ):
        for server in servers:
            yield abused("spoofed", Variant(server, limited=True), load, context)


def measure_amplification(context: Context, servers: Sequence[str]) -> Iterator[Seen]:
    """What comes back for each octet, without a cookie and with one that the server has not seen yet."""
    seconds = max(0.3, context.seconds / (2 * len(AMPLIFYING) * len(TYPES)))
    for server in servers:
        variant = Variant(server, limited=True)
        for cookie, title in ((b"", "without a cookie"), (CLIENT_COOKIE, "with a client cookie")):
            context.said(f"amplification: {variant.title}: {title}")
            with standing(variant, context.zone, context.folder, preferred=context.preferred) as stand:
                warm(stand, context)
                of_rate = {
                    str(rate): {kind: _amplification(stand, kind, cookie, rate, seconds) for kind in TYPES}
                    for rate in AMPLIFYING
                }
                name, order = flood_order(stand.port, _of_type("ANY", cookie), AMPLIFYING[-1])
                with Program(name, order):
                    gone = stand.end()
            yield Seen("amplification", title, variant, {"times": of_rate, "gone_seconds": gone})


def _of_type(kind: str, cookie: bytes) -> list[Packet]:
    apex = ORIGIN if kind in {"NS", "SOA", "DNSKEY", "ANY", "RRSIG"} else f"n00000.{ORIGIN}"
    if kind == "NXDOMAIN":
        return [packet(source, ORIGIN, "A", size=_LARGEST, cookie=cookie, varies=True) for source in _ATTACKERS]
    return [packet(source, apex, kind, size=_LARGEST, cookie=cookie) for source in _ATTACKERS]


def _amplification(stand: Stand, kind: str, cookie: bytes, rate: int, seconds: float) -> float:
    name, order = flood_order(stand.port, _of_type(kind, cookie), rate, seconds=seconds)
    with Program(name, order) as program:
        seen = program.wait(seconds + 60)
    return float(seen["octets"] / max(seen["sent"] * seen["packet_octets"], 1))


def measure_tcp(context: Context, servers: Sequence[str]) -> Iterator[Seen]:
    question = framed(whole(packet(_ATTACKERS[0], *context.questions[0]), 2))
    (random,) = random_names(_ATTACKERS[:1])
    size = len(random.head) + len(random.tail) + 2 + 12
    fresh = [(size.to_bytes(2, "big") + b"\0\3" + random.head).hex(), random.tail.hex()]
    large = framed(whole(packet(_ATTACKERS[0], HUGE, "TXT"), 4)) * 64
    orders: Mapping[str, Mapping[str, Any]] = {
        "16 pipelining": {"fresh": fresh, "sources": _ATTACKERS[:16]},
        "1,505 that ask every 4 s": {"opening": question.hex(), "again": question.hex(), "every": 4.0},
        "200 dripping": {"again": question.hex(), "every": 1.0, "drip": True},
        "400 that don't read": {"opening": large.hex(), "again": large.hex(), "every": 2.0, "reads": False},
    }

    def crowd(title: str) -> Load:
        def programs(stand: Stand, _: Context) -> list[tuple[str, Mapping[str, Any]]]:
            order = {"sources": _ATTACKERS[:1], **orders[title], "count": CROWDS[title], "port": stand.port}
            return [("streams", {**order, "seconds": 3600})]

        return Load(title, programs, newcomers=True)

    for title in CROWDS:
        for server in servers:
            yield abused("tcp", Variant(server), crowd(title), context)


def measure_http(context: Context, servers: Sequence[str]) -> Iterator[Seen]:
    """Connections in number, then each hostile request in turn, at each listener."""
    if OWN not in servers:
        return
    variant = Variant(OWN, http=True)
    for listener in LISTENERS:

        def unsigned(stand: Stand, _: Context, listener: str = listener) -> list[tuple[str, Mapping[str, Any]]]:
            return [_crowd(stand, listener, half(listener), HTTP_CONNECTIONS, again=b"x", every=5.0)]

        def whole_ones(stand: Stand, _: Context, listener: str = listener) -> list[tuple[str, Mapping[str, Any]]]:
            request = hostile(listener)["pipelined"]
            if listener != "metrics":
                request = signed(stand.directory / "state", listener)
            else:
                request = request[: len(request) // 900]
            return [_crowd(stand, listener, request, HTTP_CONNECTIONS, again=request, every=10.0)]

        kinds = {"half a request each": unsigned, "signed" if listener != "metrics" else "whole": whole_ones}
        for kind, programs in kinds.items():
            load = Load(f"{listener}: {HTTP_CONNECTIONS:,} connections, {kind}", programs, control=True)
            yield abused("http", variant, load, context)
        yield _each_request(context, variant, listener)


def _crowd(
    stand: Stand, listener: str, opening: bytes, count: int, *, again: bytes, every: float
) -> tuple[str, Mapping[str, Any]]:
    assert stand.ports is not None
    return "streams", {
        "port": getattr(stand.ports, listener),
        "count": count,
        "sources": _ATTACKERS,
        "opening": opening.hex(),
        "again": again.hex(),
        "every": every,
        "seconds": 3600,
    }


def _each_request(context: Context, variant: Variant, listener: str) -> Seen:
    """Four clients that send one kind of request over and over, kind after kind, on one server."""
    values: Values = {"kinds": {}, "control_seconds": 0.0}
    with standing(variant, context.zone, context.folder, preferred=context.preferred) as stand:
        warm(stand, context)
        requests = hostile(listener)
        if listener == "route53":
            requests["lists of a read-only user"] = _listing(stand)
        before = stand.resident()
        for number, (kind, request) in enumerate(requests.items(), 1):
            context.said(f"http: {listener}: {kind}")
            seconds = max(0.5, context.seconds / len(requests))
            name, order = _crowd(stand, listener, request, 4, again=request, every=0.1)
            with Program(name, order) as load:
                time.sleep(0.2)
                with Program("prober", probe_order(stand, context, seconds, cookies=False)) as prober:
                    while prober.at_work:
                        values["control_seconds"] = max(values["control_seconds"], stand.control())
                        time.sleep(0.25)
                    values["kinds"][kind] = prober.wait(60)
                if number == len(requests):
                    values |= {"memory_mib": (stand.resident() - before) / 2**20, "died": not stand.child.alive}
                    values["gone_seconds"] = stand.end()
                values["kinds"][kind]["statuses"] = load.stop().get("statuses", {})
    return Seen("http", f"{listener}: any one request", variant, values)


def _listing(stand: Stand) -> bytes:
    """A signed request for a page of a hosted zone that was just made, by a user who may only read."""
    assert stand.ports is not None
    key_id, secret = access_key(stand.directory / "state")
    client = botocore.session.Session().create_client(
        "route53", "us-east-1", endpoint_url=f"http://127.0.0.1:{stand.ports.route53}",
        aws_access_key_id=key_id, aws_secret_access_key=secret,
    )  # fmt: skip
    made = client.create_hosted_zone(Name="pages.example.", CallerReference="bench")["HostedZone"]["Id"]
    changes = [
        {
            "Action": "CREATE",
            "ResourceRecordSet": {
                "Name": f"h{number}.pages.example.", "Type": "TXT", "TTL": 60,
                "ResourceRecords": [{"Value": f'"{"x" * 180}"'}],
            },
        }
        for number in range(_RECORDS)
    ]  # fmt: skip
    for at in range(0, _RECORDS, 60):
        client.change_resource_record_sets(HostedZoneId=made, ChangeBatch={"Changes": changes[at : at + 60]})
    target = f"/2013-04-01/hostedzone/{made.rpartition('/')[2]}/rrset"
    return signer(stand.directory / "state", "route53", "audit")("GET", target, "")


def measure_hot(context: Context, servers: Sequence[str]) -> Iterator[Seen]:
    """The hot path from so many prefixes that none meets a limit, three rounds of each in turn."""
    sources = addresses(20 * 256, SPREAD)
    questions = context.questions

    def plain(_: Stand) -> list[Packet]:
        return [packet(source, *questions[number % len(questions)]) for number, source in enumerate(sources)]

    def known(stand: Stand) -> list[Packet]:
        with wildcard_socket() as sock:
            cookies = [ask_cookie(sock, stand.port, source) for source in sources]
        return [
            packet(source, *questions[number % len(questions)], cookie=cookie)
            for number, (source, cookie) in enumerate(zip(sources, cookies, strict=True))
        ]

    cases: list[tuple[Variant, str, Callable[[Stand], list[Packet]]]]
    cases = [(Variant(server), "plain", plain) for server in servers]
    if has_limits() and OWN in servers:
        cases += [
            (Variant(OWN, limited=True), "plain", plain),
            (Variant(OWN, limited=True), "with a valid cookie", known),
        ]
    for _ in range(3):
        for variant, title, packets in cases:
            yield peak("hot", variant, title, packets, context)


ROWS = {
    row.name: row
    for row in (
        Row("random", "random names beside hot queries, compact denial", (OWN, *PEERS), measure_random),
        Row("flood-denial", "the same with flood_denial", (OWN, "powerdns"), measure_flood_denial),
        Row("spoofed", "floods with forged sources", (OWN, *PEERS), measure_spoofed),
        Row("amplification", "amplification by type", (OWN, *PEERS), measure_amplification),
        Row("tcp", "clients that abuse TCP", (OWN, *PEERS), measure_tcp),
        Row("http", "clients that abuse HTTP", (OWN,), measure_http),
        Row("hot", "the hot path with limits, cookies and counters", (OWN, "nsd"), measure_hot),
    )
}
assert HOT_RATE / len(HONEST) < 500
