"""Response rate limiting: floods are cut short, and nobody else is ever limited."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import dns.flags
import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.net import response_rate_limit
from server.net.response_rate_limit import Network, ResponseRateLimit
from server.query import response_class
from server.query.respond import Via, respond
from server.query.response_class import ResponseClass, class_of
from tests.lab import CLIENT, FACTS, NOW, query, served
from zones.masterfile.load import parse_zone

RATE = 20
_ZONES = served(
    "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\nwww 60 A 192.0.2.1\nchild 60 NS ns.child\n"
    "ns.child 60 A 192.0.2.54\nbig 60 TXT " + '"%s" ' % ("x" * 250) * 6 + "\n",
    "lab.example",
).with_zone(parse_zone("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\n", "other.example", signed=False))


def response_to(qname: str, qtype: str = "A", *, edns: bool = True) -> bytes:
    """A response without its ID."""
    wire = respond(query(qname, qtype, edns=edns), _ZONES, NOW, Via.UDP)
    assert wire is not None
    return wire[2:]


ANSWER = response_to("www.lab.example")
DENIAL = response_to("absent.lab.example")
REFERRAL = response_to("child.lab.example")
ERROR = response_to("elsewhere.test")


class Sent(NamedTuple):
    """What became of responses, by network."""

    whole: Counter[bytes]
    slipped: Counter[bytes]
    dropped: Counter[bytes]


def _given(nets: Sequence[bytes]) -> Callable[[int], Sequence[bytes]]:
    return lambda _: nets


def send(
    limit: ResponseRateLimit,
    targets: Sequence[bytes],
    now: int,
    response: bytes = ANSWER,
    vouched: Collection[int] = (),
) -> Sent:
    """Give responses to these addresses to `limit`, as batches."""
    sent = Sent(Counter(), Counter(), Counter())
    for start in range(0, len(targets), 64):
        batch = targets[start : start + 64]
        nets = [address[: 3 if len(address) == 4 else 7] for address in batch]
        passed = limit.apply([response] * len(batch), _given(nets), batch.__getitem__, vouched, now)
        for net, one in zip(nets, passed, strict=True):
            if one is None:
                sent.dropped[net] += 1
            elif one == response:
                sent.whole[net] += 1
            else:
                sent.slipped[net] += 1
    return sent


def random_targets(count: int, seed: int = 1) -> list[bytes]:
    """Addresses in so many networks."""
    return [(11 << 24 | (number * 7919 + seed) % (1 << 16) << 8 | 1).to_bytes(4) for number in range(count)]


def woven(one: Sequence[bytes], other: Sequence[bytes]) -> list[bytes]:
    """Both, evenly mixed."""
    placed = [(number / len(part), target) for part in (one, other) for number, target in enumerate(part)]
    return [target for _, target in sorted(placed, key=lambda pair: pair[0])]


FLOODER = b"\x0a\x00\x00\x09"


@pytest.mark.parametrize(
    ("response", "kind", "zone"),
    [
        (ANSWER, ResponseClass.ANSWER, b""),
        (response_to("big.lab.example", "TXT"), ResponseClass.ANSWER, b""),  # with TC set
        (DENIAL, ResponseClass.DENIAL, b"\x03lab\x07example\x00"),
        (response_to("ABSENT.lab.EXAMPLE", edns=False), ResponseClass.DENIAL, b"\x03lab\x07example\x00"),
        (response_to("www.lab.example", "MX"), ResponseClass.DENIAL, b"\x03lab\x07example\x00"),
        (response_to("nope.other.example"), ResponseClass.DENIAL, b"\x05other\x07example\x00"),
        (response_to("lab.example", "MX"), ResponseClass.DENIAL, b"\x03lab\x07example\x00"),
        (REFERRAL, ResponseClass.REFERRAL, b""),
        (ERROR, ResponseClass.ERROR, b""),
        (response_to("www.lab.example", "AXFR"), ResponseClass.ERROR, b""),
        (b"\x80\x01" + bytes(8), ResponseClass.ERROR, b""),
    ],
)
def test_classes(response: bytes, kind: ResponseClass, zone: bytes) -> None:
    assert class_of(response) == (kind, zone)


@pytest.mark.parametrize("response", [ANSWER, DENIAL, REFERRAL, ERROR])
def test_a_flood_is_cut_short_and_slips_say_ask_over_tcp(response: bytes) -> None:
    limit = ResponseRateLimit(RATE)
    first = send(limit, [FLOODER] * 1000, NOW, response)
    assert first.whole.total() <= 3 * RATE  # one that is not counted, one that makes a suspect, one that is allowed
    second = send(limit, [FLOODER] * 1000, NOW + 1, response)
    assert second.whole.total() == 0
    always = class_of(response)[0] in (ResponseClass.DENIAL, ResponseClass.ERROR)
    assert second.slipped.total() == (1000 if always else 500)
    assert second.dropped.total() == (0 if always else 500)
    kind = class_of(response)[0]
    assert limit.slipped[kind] == first.slipped.total() + second.slipped.total()
    assert limit.dropped[kind] == first.dropped.total() + second.dropped.total()


@pytest.mark.parametrize("qname", ["www.lab.example", "absent.lab.example", "child.lab.example", "elsewhere.test"])
@pytest.mark.parametrize("edns", [True, False])
def test_a_slip_is_the_question_with_tc_and_the_same_opt_record(qname: str, edns: bool) -> None:
    option = b"\x00\x0a\x00\x08abcdefgh"
    asked = query(qname, "A", edns=edns)
    if edns:
        asked = asked[:-2] + len(option).to_bytes(2) + option
    wire = respond(asked, _ZONES, NOW, Via.UDP, client=CLIENT, facts=FACTS)
    assert wire is not None
    limit = ResponseRateLimit(1)
    passed: list[bytes | None] = []
    for _ in range(20):
        passed += limit.apply([wire[2:]], lambda _: [CLIENT[:3]], lambda _: CLIENT, (), NOW)
    slip = next(one for one in passed if one is not None and one != wire[2:])
    whole, message = dns.message.from_wire(wire), dns.message.from_wire(wire[:2] + slip)
    assert message.flags == whole.flags | dns.flags.TC
    assert message.rcode() == whole.rcode()
    assert message.question == whole.question
    assert not (message.answer or message.authority or message.additional)
    assert message.opt == whole.opt
    cookie = 16 if edns else 0  # more octets than the query's, so that the next one can pass by the limit
    assert len(slip) + 2 <= len(asked) + cookie + 6 * (qname == "elsewhere.test")  # and its Extended DNS Error


def test_a_network_that_goes_on_just_above_the_rate_gets_the_rate() -> None:
    limit = ResponseRateLimit(RATE)
    for second in range(1, 10):
        sent = send(limit, [FLOODER] * (3 * RATE), NOW + second)
        if second > 1:
            assert sent.whole.total() == RATE


def test_when_a_flood_ends_its_network_is_answered_again() -> None:
    limit = ResponseRateLimit(RATE)
    for second in range(3):
        send(limit, [FLOODER] * 1000, NOW + second)
    assert send(limit, [FLOODER] * RATE, NOW + 3).whole.total() == 0
    assert send(limit, [FLOODER] * RATE, NOW + 4).whole.total() == RATE
    send(limit, [FLOODER] * 1000, NOW + 5)
    assert send(limit, [FLOODER] * RATE, NOW + 100).whole.total() == RATE  # whatever was long ago


def test_each_class_and_each_zone_is_counted_apart() -> None:
    limit = ResponseRateLimit(RATE)
    for response in (ANSWER, DENIAL):
        send(limit, [FLOODER] * 1000, NOW, response)
    for response in (REFERRAL, ERROR, response_to("nope.other.example")):
        assert send(limit, [FLOODER] * RATE, NOW, response).whole.total() == RATE


def test_denials_of_very_many_zones_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    zones = iter([number.to_bytes(4) for number in range(10_000)])
    monkeypatch.setattr(response_class, "_zone_of", lambda response: next(zones))
    limit = ResponseRateLimit(RATE)
    sent = send(limit, [FLOODER] * 10_000, NOW, DENIAL)
    assert sent.whole.total() <= 66 + 3 * RATE
    (suspect,) = limit._suspects.values()
    assert len(suspect.counts) <= 65


def test_holders_of_a_server_cookie_are_not_limited() -> None:
    limit = ResponseRateLimit(RATE)
    for second in range(3):
        sent = send(limit, [FLOODER] * 640, NOW + second, vouched=range(1, 64, 2))
    assert sent.whole.total() == 320
    assert sent.slipped.total() + sent.dropped.total() == 320


def exempting(*texts: str) -> list[Network]:
    return [ipaddress.ip_network(text) for text in texts]


@pytest.mark.parametrize("exempt", ["10.0.0.0/8", "10.0.0.0/24", "10.0.0.8/30", "10.0.0.9/32"])
def test_who_is_listed_is_not_limited(exempt: str) -> None:
    limit = ResponseRateLimit(RATE, exempting("2001:db8::/32", exempt, "192.0.2.0/24"))
    assert send(limit, [FLOODER] * 1000, NOW).whole.total() == 1000


@pytest.mark.parametrize("exempt", ["10.0.1.0/24", "10.0.0.0/30", "::/0", "10.0.0.8/32"])
def test_who_is_not_listed_is_limited(exempt: str) -> None:
    limit = ResponseRateLimit(RATE, exempting(exempt))
    assert send(limit, [FLOODER] * 1000, NOW).whole.total() <= 3 * RATE


def test_ipv6_is_counted_by_56_bits() -> None:
    limit = ResponseRateLimit(RATE)
    here, there = bytes.fromhex("20010db80000aa"), bytes.fromhex("20010db80000ab")
    many = [here + number.to_bytes(9) for number in range(1000)]
    sent = send(limit, woven(many, [there + bytes(9)] * RATE), NOW)
    assert sent.whole[here] <= 3 * RATE
    assert sent.whole[there] == RATE
    assert [one.network for one in limit.news] == ["2001:db8:0:aa00::/56"]


def test_zero_limits_nothing() -> None:
    assert send(ResponseRateLimit(0), [FLOODER] * 5000, NOW).whole.total() == 5000


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),  # seconds from the one before
            st.dictionaries(st.sampled_from(random_targets(12)), st.integers(1, 200), max_size=6),
            st.integers(0, 300),  # networks that are asked for once
        ),
        max_size=4,
    )
)
def test_nobody_is_limited_who_stays_below_the_rate(seconds: list[tuple[int, dict[bytes, int], int]]) -> None:
    """However many others there are, and whatever they do. And nobody else gets more than three times the rate."""
    limit, now = ResponseRateLimit(RATE), NOW
    last: dict[bytes, int] = {}
    for step, loads, once in seconds:
        now += step
        targets: list[bytes] = random_targets(once, now)
        for target, count in loads.items():
            targets = woven(targets, [target] * count) if targets else [target] * count
        sent = send(limit, targets, now)
        asked = Counter(target[:3] for target in targets)
        for network, count in asked.items():
            if count <= RATE and last.get(network, 0) <= 4 * RATE:
                assert sent.whole[network] == count
            if len(targets) <= 8 * RATE:
                assert sent.whole[network] <= 3 * RATE
        last = dict(asked) if step else {}


@pytest.mark.parametrize("others", [0, 5_000, 30_000])
def test_random_networks_neither_hide_a_flood_nor_fill_the_memory(others: int) -> None:
    limit = ResponseRateLimit(RATE)
    for second in range(3):
        targets = woven(random_targets(others, second), [FLOODER] * 3000)
        sent = send(limit, targets, NOW + second)
        assert sent.whole.total() - sent.whole[FLOODER[:3]] == others
        assert len(limit._counts) <= 8192
        assert len(limit._suspects) == 1
        if second:
            assert sent.whole[FLOODER[:3]] == 0
        else:
            # What three batches of four do not see, and what is forgotten with the networks that are random.
            assert sent.whole[FLOODER[:3]] <= 3 * RATE + 64 * 4 + others // 1000


def test_suspects_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_rate_limit, "_MOST_SUSPECTS", 10)
    limit = ResponseRateLimit(1)
    for second in range(3):
        send(limit, [target for target in random_targets(100) for _ in range(64)], NOW + second)
        assert len(limit._suspects) == 10


def test_nothing_is_counted_below_the_rate() -> None:
    def unasked(_: int) -> Iterable[bytes]:
        raise AssertionError

    limit = ResponseRateLimit(RATE)
    for second in range(3):
        for _ in range(RATE // 4):
            limit.apply([ANSWER] * 4, unasked, lambda _: b"", (), NOW + second)  # type: ignore[arg-type]


def test_the_log_is_told_of_a_network_once_a_minute_and_of_ten_at_most() -> None:
    limit = ResponseRateLimit(1)
    flooders = list(islice(random_targets(100), 30))
    for second in range(130):
        send(limit, [target for target in flooders for _ in range(4)], NOW + second)
        if second % 40 == 39:
            send(limit, [], NOW + second)
    assert 10 <= len(limit.news) <= 30
    assert len({one.network for one in limit.news[:10]}) == 10
    assert {one[1:] for one in limit.news[:10]} == {(ResponseClass.ANSWER, 0)}
    assert len(limit._untold) <= 30


def test_silence_stays_silence() -> None:
    limit = ResponseRateLimit(1)
    for _ in range(50):
        assert limit.apply([None], lambda _: [FLOODER[:3]], lambda _: FLOODER, (), NOW) == [None]


def test_a_query_that_waits_counts_once() -> None:
    """It passes by twice: as a place without a response, and with it."""
    limit, address = ResponseRateLimit(RATE), bytes([192, 0, 2, 1])
    nets = _given([address[:3]] * 64)
    for number in range(RATE):
        assert limit.apply([None] * 64, nets, lambda _: address, (), NOW) == [None] * 64
        assert limit.apply([ANSWER], nets, lambda _: address, (), NOW) == [ANSWER], number
    assert not limit._suspects
