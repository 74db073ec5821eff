"""What a flood from one network costs: no signatures, once the network is known to be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import dns.flags
import dns.message
import pytest

from server.net.limited_responses import LimitedResponses
from server.net.response_rate_limit import ResponseRateLimit, network_of
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.finished_response import truncated
from server.query.respond import Via, respond
from server.query.response_class import CutAhead, ResponseClass
from server.watching.query_facts import DROPPED, SENT, SLIPPED, outcome_of
from tests.lab import FACTS, NOW, query, served, surprised

RATE, BATCH = 20, 64
FLOODER, HONEST = bytes([10, 0, 0, 9]), bytes([192, 0, 2, 1])
ZONES = served("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\n*.wild 60 A 192.0.2.2\n", "lab.example")


class From:
    """Clients of a batch."""

    def __init__(self, hosts: Sequence[bytes]) -> None:
        self.hosts = hosts

    def host(self, slot: int) -> bytes:
        return self.hosts[slot]

    def networks(self, count: int) -> Sequence[bytes]:
        return [network_of(host) for host in self.hosts[:count]]


class Process:
    """What a UDP loop does with each batch, and how much was made."""

    def __init__(self, exempt: Sequence[str] = ()) -> None:
        self.now = NOW
        self.limit = ResponseRateLimit(RATE)
        self.responder = Responder(lambda: ZONES, Caches(), surprised, facts=FACTS)
        self.limited = LimitedResponses(self.limit, self.responder, lambda: self.now)
        self.made: Counter[bytes] = Counter()
        self.outcomes: Counter[bytes] = Counter()

    def ask(self, wires: Sequence[bytes], client: bytes | Callable[[int], bytes]) -> list[bytes | None]:
        sent: list[bytes | None] = []
        for start in range(0, len(wires), BATCH):
            queries = [wire[2:] for wire in wires[start : start + BATCH]]
            hosts = [client(start + n) if callable(client) else client for n in range(len(queries))]
            clients = From(hosts)
            responses, missed = self.responder.remembered(queries, self.now, clients.host)
            wanted = self.limited.ahead(responses, missed, clients, self.now)
            slots = [one.slot for one in wanted]
            for slot, response in zip(slots, self.responder.make(wanted, slots, self.now), strict=True):
                responses[slot] = response
                self.made[hosts[slot]] += 1
            before = [*responses]
            self.limited(queries, responses, clients)
            self.outcomes.update(outcome_of(was, left) for was, left in zip(before, responses, strict=True))
            sent += responses
        return sent


def random_names(count: int, below: str = "lab.example", seed: str = "", option: bytes = b"") -> list[bytes]:
    wires = [query(f"{seed}{number}.{below}", "A") for number in range(count)]
    return [wire[:-2] + len(option).to_bytes(2) + option for wire in wires]


def test_a_flood_of_random_names_from_one_network_costs_no_signatures() -> None:
    process = Process()
    process.ask(random_names(1000), FLOODER)
    assert process.made[FLOODER] <= 3 * RATE + BATCH
    process.now += 1
    process.made.clear()
    process.outcomes.clear()
    wires = random_names(2000, seed="second")
    sent = process.ask(wires, FLOODER)
    # The first batch of a second finds out that it is one.
    assert process.made[FLOODER] == BATCH
    assert process.outcomes == {SLIPPED: 2000}
    assert process.limit.slipped[ResponseClass.DENIAL] >= 2000
    assert process.responder.datagrams_seen == 3000
    for wire, response in zip(wires, sent, strict=True):
        whole = respond(wire, ZONES, NOW, Via.UDP)
        assert response is not None
        assert whole is not None
        assert type(response) is bytes
        assert response == truncated(whole[2:])


def test_wildcards_are_counted_as_answers_of_which_half_are_dropped() -> None:
    process = Process()
    process.ask(random_names(1000, "wild.lab.example"), FLOODER)
    process.now += 1
    process.made.clear()
    process.outcomes.clear()
    process.ask(random_names(2000, "wild.lab.example", "second"), FLOODER)
    assert process.made[FLOODER] == BATCH
    assert process.outcomes == {SLIPPED: 1000, DROPPED: 1000}


def test_others_are_answered_as_ever() -> None:
    process = Process()
    process.ask(random_names(1000), FLOODER)
    process.now += 1
    woven = [*random_names(960, seed="a"), *random_names(RATE, seed="b")]
    clients = [FLOODER] * 960 + [HONEST] * RATE
    order = sorted(range(len(woven)), key=lambda n: (n * 7919) % len(woven))
    process.ask([woven[n] for n in order], lambda n: clients[order[n]])
    assert process.made[HONEST] == RATE
    # And in the network of the flood, other classes are.
    sent = process.ask([query("www.lab.example", "A")] * RATE, FLOODER)
    assert sent == [respond(query("www.lab.example", "A"), ZONES, NOW, Via.UDP)[2:]] * RATE  # type: ignore[index]


def test_a_valid_cookie_passes_by_and_one_that_is_not_gets_one() -> None:
    process = Process()
    asks = b"\x00\x0a\x00\x08clientco"
    process.ask(random_names(1000, option=asks), FLOODER)
    process.now += 1
    process.ask(random_names(BATCH), FLOODER)
    process.made.clear()
    (cut,) = process.ask(random_names(1, seed="c", option=asks), FLOODER)
    assert not process.made
    assert cut is not None
    message = dns.message.from_wire(b"\0\0" + cut)
    assert message.flags & dns.flags.TC
    cookie = message.options[0].to_wire()
    assert cookie is not None
    assert cookie[:8] == b"clientco"
    assert len(cookie) == 24
    option = b"\x00\x0a" + len(cookie).to_bytes(2) + cookie
    (whole,) = process.ask(random_names(1, seed="d", option=option), FLOODER)
    assert process.made[FLOODER] == 1
    assert whole is not None
    assert not dns.message.from_wire(b"\0\0" + whole).flags & dns.flags.TC
    forged = option[:-1] + bytes([option[-1] ^ 1])
    process.made.clear()
    process.ask(random_names(5, seed="e", option=forged), FLOODER)
    assert not process.made


def test_what_was_cut_is_no_harm_where_nobody_is_limited_any_more() -> None:
    """A second may begin between the look ahead and the sending."""
    process = Process()
    process.ask(random_names(1000), FLOODER)
    queries = [wire[2:] for wire in random_names(3, seed="f")]
    clients = From([FLOODER] * 3)
    responses, missed = process.responder.remembered(queries, process.now, clients.host)
    assert not process.limited.ahead(responses, missed, clients, process.now)
    process.now += 60
    process.limited(queries, responses, clients)
    assert [type(one) for one in responses] == [CutAhead] * 3
    assert [outcome_of(one, one) for one in responses] == [SENT] * 3
    for one in responses:
        assert dns.message.from_wire(b"\0\0" + (one or b"")).flags & dns.flags.TC


@pytest.mark.parametrize("octets", [b"", b"\x00", b"\x00" * 9, b"\x00\x00\x00\x01" + bytes(30), b"\xff" * 40])
def test_what_is_no_query_is_made_as_ever(octets: bytes) -> None:
    process = Process()
    process.ask(random_names(1000), FLOODER)
    process.made.clear()
    process.ask([b"\0\0" + octets], FLOODER)
    assert process.made[FLOODER] == 1


def test_a_cookie_over_tcp_vouches_for_no_datagram() -> None:
    """A datagram may wait while messages are answered: the holder of a cookie there did not send it."""
    responder = Responder(lambda: ZONES, Caches(), surprised, facts=FACTS)
    asks = b"\x00\x0a\x00\x08clientco"
    (first,) = responder.messages(random_names(1, option=asks), NOW, HONEST)
    assert first is not None
    cookie = dns.message.from_wire(first).options[0].to_wire()
    assert cookie is not None
    option = b"\x00\x0a" + len(cookie).to_bytes(2) + cookie
    queries = [wire[2:] for wire in random_names(2)]
    _, missed = responder.remembered(queries, NOW, lambda _: FLOODER)
    vouched: list[int] = []
    responder.look_again(lambda _: FLOODER, vouched)
    responder.make(missed[:1], [0], NOW)
    for _ in range(100):
        responder.messages(random_names(3, option=option), NOW, HONEST)
    assert vouched == []
    assert len(responder.vouched) <= 3
