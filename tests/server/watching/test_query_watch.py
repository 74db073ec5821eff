"""Counting while somebody looks: what is read, what it stands for, and how much of it there is at most."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.finished_response import truncated
from server.watching.query_counts import QueryCounts
from server.watching.query_facts import SENT, FactsReader, outcome_of, prefix_of, rcode_of
from server.watching.query_watch import READ, QueryWatch
from server.watching.recent_queries import client_text
from server.watching.sampling import Sampler
from tests.lab import NOW, query, served, surprised
from zones import names

ZONES = served("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\n", "lab.example")
WWW = query("WWW.lab.example", "A")[2:]
HOST = bytes([192, 0, 2, 7])


def answers(queries: list[bytes]) -> list[bytes | None]:
    return Responder(lambda: ZONES, Caches(), surprised).datagrams(queries, NOW)


def watch() -> QueryWatch:
    return QueryWatch(FactsReader(lambda: ZONES))


def test_each_query_is_counted_by_all_that_is_told_of_it() -> None:
    watched = watch()
    queries = [WWW, query("no.lab.example", "TXT", do=False)[2:], query("elsewhere.test", "A")[2:], b"\x00\x00short"]
    responses = answers(queries)
    hosts = [HOST, HOST, bytes(15) + b"\x01", HOST]
    watched(queries, responses, responses, hosts.__getitem__, over_tcp=True)
    counts = watched.drain()
    assert (counts.queries, counts.read) == (3, 3)  # what deserves silence is not among them
    assert counts.names.counts == {
        names.from_text(n): 1 for n in ("www.lab.example", "no.lab.example", "elsewhere.test")
    }
    assert counts.clients.counts == {HOST[:3]: 2, bytes(7): 1}
    assert counts.zones.counts == {names.from_text("lab.example"): 2, b"": 1}
    assert counts.types.counts == {b"\x00\x01": 2, b"\x00\x10": 1}
    assert counts.rcodes.counts == {b"\x00": 1, b"\x03": 1, b"\x05": 1}
    assert counts.transports.counts == {b"tcp": 3}
    assert counts.octets == sum(len(one) for one in responses if one is not None)
    assert watched.drain() == QueryCounts()


def test_what_a_limit_keeps_back_is_told_apart() -> None:
    watched = watch()
    queries = [WWW] * 3
    before = answers(queries)
    assert before[0] is not None
    after = [before[0], truncated(before[0]), None]
    watched(queries, before, after, lambda _: HOST, over_tcp=False)
    counts = watched.drain()
    assert counts.outcomes.counts == {b"sent": 1, b"slipped": 1, b"dropped": 1}
    assert counts.names.counts == {names.from_text("www.lab.example"): 3}
    assert outcome_of(before[0], before[0] + b"an option") == SENT


def test_under_load_some_are_read_and_stand_for_the_others() -> None:
    watched = watch()
    batch = [WWW if number % 2 else query("other.lab.example", "A")[2:] for number in range(64)]
    responses = answers(batch)
    for _ in range(3):
        for _ in range(3000):  # 192,000 queries
            watched(batch, responses, responses, lambda _: HOST, over_tcp=False)
        counts = watched.drain()
        assert counts.queries == 3000 * 64
    assert counts.read <= 1.1 * READ
    # Every second query is for the same name, and so is every second one that is read.
    for name in ("www.lab.example", "other.lab.example"):
        assert counts.names.counts[names.from_text(name)] == pytest.approx(counts.queries / 2, rel=0.1)
    watched(batch, responses, responses, lambda _: HOST, over_tcp=False)
    watched.drain()
    watched(batch, responses, responses, lambda _: HOST, over_tcp=False)
    assert watched.drain().read == 64  # it is quiet again


def test_a_flood_that_begins_is_not_read_whole_either() -> None:
    watched = watch()
    batch, responses = [WWW] * 64, answers([WWW] * 64)
    for _ in range(10_000):
        watched(batch, responses, responses, lambda _: HOST, over_tcp=False)
    assert watched.drain().read <= 5 * READ


@given(st.lists(st.integers(1, 64), min_size=1), st.integers(1, 100))
def test_a_sample_is_within_its_batch_and_always_the_same(sizes: list[int], every: int) -> None:
    one, other = Sampler(every), Sampler(every)
    starts = [one.start() for _ in sizes]
    assert starts == [other.start() for _ in sizes]
    assert all(0 <= start < every for start in starts)


def test_queries_that_come_in_turn_are_sampled_alike() -> None:
    sampler = Sampler(8)
    picked = [0] * 8
    for _ in range(80_000):
        start = sampler.start()
        if start < 2:  # batches of two queries
            picked[start] += 1
    assert picked[0] == pytest.approx(10_000, rel=0.05)
    assert picked[1] == pytest.approx(10_000, rel=0.05)


@given(st.binary(max_size=600))
def test_whatever_is_asked_can_be_read(octets: bytes) -> None:
    facts = FactsReader(lambda: ZONES).read(octets)
    assert facts == FactsReader(lambda: ZONES).read(octets)


def test_the_zone_is_that_of_now() -> None:
    zones = served("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\n", "example")
    now = [zones]
    reader = FactsReader(lambda: now[0])
    assert reader.read(WWW).zone == names.from_text("example")
    now[0] = ZONES
    assert reader.read(WWW).zone == names.from_text("lab.example")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.watching.query_facts._MOST", 10)
    reader = FactsReader(lambda: ZONES)
    for number in range(100):
        assert reader.read(query(f"n{number}.lab.example", "A")[2:]).name
        assert len(reader._known) <= 10


def test_rcodes_beyond_the_header() -> None:
    assert rcode_of(b"\x84\x03", 0) == 3
    assert rcode_of(b"\x84\x00", 1) == 16
    assert rcode_of(b"\x84\x07", 0) == 23


@given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)))
def test_a_client_is_told_by_its_network(host: bytes) -> None:
    network = ipaddress.ip_network(client_text(prefix_of(host)))
    assert ipaddress.ip_address(host) in network
    assert network.prefixlen == (24 if len(host) == 4 else 56)
