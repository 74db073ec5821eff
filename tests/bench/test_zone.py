"""The generated zone and the queries for it."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random

import dns.message
import dns.zone
import pytest

from bench.workloads import UNIQUE_LABEL, UNIQUE_LABEL_AT, WORKLOADS, Expect, Transport, Workload, framed
from bench.zone import ORIGIN, rrsets, zone_text

NAMES = 300


@pytest.fixture(scope="module")
def zone() -> dns.zone.Zone:
    return dns.zone.from_text(zone_text(NAMES), ORIGIN, relativize=False)


def test_the_zone_loads_and_has_every_rrset(zone: dns.zone.Zone) -> None:
    assert len(zone.nodes) == NAMES + 1
    for rrset in rrsets(NAMES):
        assert len(zone.find_rdataset(rrset.owner, rrset.type)) == len(rrset.rdatas)


@pytest.mark.parametrize("rrtype", ["A", "AAAA"])
def test_addresses_are_valid_and_distinct_at_the_largest_size(rrtype: str) -> None:
    addresses = [rrset.rdatas[0] for rrset in rrsets(200_000) if rrset.type == rrtype]
    assert len(set(addresses)) == len(addresses)
    for address in addresses[-1000:]:
        ip_address(address)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_what_is_asked_is_there_exactly_where_answers_are_expected(workload: Workload, zone: dns.zone.Zone) -> None:
    questions = workload.questions(NAMES, Random(1))
    assert questions
    for owner, rdtype in questions:
        found = zone.get_rdataset(owner, rdtype)
        assert (found is not None) == (workload.expect is Expect.ANSWER)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_queries_are_framed_as_the_generator_reads_them(workload: Workload) -> None:
    messages = workload.messages(NAMES, seed=1)
    stream = framed(messages)
    for message in messages:
        size = int.from_bytes(stream[:2], "big")
        read = dns.message.from_wire(stream[2 : 2 + size])
        assert read.question == message.question
        assert (read.edns == 0, bool(read.ednsflags & 0x8000)) == (workload.signed, workload.signed)
        stream = stream[2 + size :]
    assert stream == b""


def test_the_generator_writes_where_the_label_is() -> None:
    (message,) = WORKLOADS["nxdomain"].messages(NAMES, seed=1)
    wire = message.to_wire()
    assert wire[UNIQUE_LABEL_AT : UNIQUE_LABEL_AT + len(UNIQUE_LABEL)] == UNIQUE_LABEL.encode()


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_a_window_is_divided_among_the_sockets(workload: Workload) -> None:
    options = workload.generator_options(190)
    sockets, window = (int(options[options.index(name) + 1]) for name in ("-n", "-w"))
    assert 0 < window <= 190
    assert window % sockets == 0
    assert (window == sockets) == (workload.transport is Transport.ONCE)


def test_first_queries_are_all_but_the_hot_ones() -> None:
    hot, first, every = (WORKLOADS[name].questions(NAMES, Random(1)) for name in ("hot", "first", "uniform"))
    assert not set(hot) & set(first)
    assert set(hot) | set(first) == set(every)


def test_the_same_seed_asks_the_same() -> None:
    hot = WORKLOADS["hot"]
    assert hot.questions(NAMES, Random(1)) == hot.questions(NAMES, Random(1)) != hot.questions(NAMES, Random(2))
