"""Who holds the places for TCP clients, and who goes."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from server.net.tcp_load import LEAST_IDLE, Ended, Limits, TcpLoad
from server.net.tcp_places import Places, packed, prefix_of


class One:
    """A connection."""

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self.since = 0.0


def filled(places: Places[One], *prefixes: str) -> list[One]:
    """A connection of each of these, one after the other."""
    made = [One(prefix.encode()) for prefix in prefixes]
    for number, one in enumerate(made):
        places.take(one, float(number))
    return made


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:ff:1:2:3:4", True),  # the same /56
        ("2001:db8:0:1::1", "2001:db8:0:101::1", False),
        ("fe80::1%eth0", "fe80::2%1", True),
    ],
)
def test_a_client_is_one_address_of_ipv4_or_a_56_of_ipv6(one: str, other: str, same: bool) -> None:
    assert (prefix_of(packed(one)) == prefix_of(packed(other))) is same


def test_as_long_as_half_of_the_places_are_free_nobody_goes() -> None:
    places: Places[One] = Places(40)
    filled(places, *["a"] * 20)
    assert places.must_go(b"a") is None
    assert places.must_go(b"b") is None


def test_above_half_a_prefix_with_its_share_gives_up_its_own_longest_idle() -> None:
    places: Places[One] = Places(40)
    _, first, *_ = filled(places, "b", *["a"] * 20)
    assert places.must_go(b"a") == (first, Ended.SHARE)
    assert places.must_go(b"b") is None
    assert places.must_go(b"c") is None
    filled(places, "b", "b")
    assert places.must_go(b"b") is None
    filled(places, "b")
    (goes, why) = places.must_go(b"b") or (None, None)
    assert (goes in filled(places), goes and goes.prefix, why) == (False, b"b", Ended.SHARE)


def test_a_full_house_makes_room_where_most_are_held() -> None:
    places: Places[One] = Places(20)
    idle, first, second, *others = filled(places, "x", "a", "a", *map(str, range(17)))
    assert places.must_go(b"new") == (first, Ended.FULL)
    places.renew(first, 100.0)
    assert places.must_go(b"new") == (second, Ended.FULL)
    places.leave(second)
    filled(places, "y")
    assert places.must_go(b"new") == (idle, Ended.FULL)  # all hold one
    places.renew(idle, 101.0)
    assert places.must_go(b"new") == (others[0], Ended.FULL)


def test_the_prefix_that_holds_most_is_known_after_any_history() -> None:
    chance = random.Random(5)
    for _ in range(50):
        places: Places[One] = Places(30)
        standing: list[One] = []
        for step in range(200):
            if len(places) == 30 or (standing and chance.random() < 0.4):
                places.leave(standing.pop(chance.randrange(len(standing))))
            elif standing and chance.random() < 0.3:
                one = chance.choice(standing)
                standing.remove(one)
                places.renew(one, float(step))
                standing.append(one)
            else:
                standing += filled(places, chance.choice("abcdef"))
            assert [*places] == standing
            if len(places) == 30:
                goes, why = places.must_go(b"new") or pytest.fail("nobody goes")
                held = Counter(one.prefix for one in standing)
                assert (held[goes.prefix], why) == (max(held.values()), Ended.FULL)
                assert goes == next(one for one in standing if one.prefix == goes.prefix)


def test_the_idle_time_follows_load() -> None:
    load = TcpLoad(Limits(connections=100, idle=10.0))
    idle = []
    for load.open in (0, 50, 75, 100, 101):
        idle.append(load.idle)
    assert idle == [10.0, 10.0, (10 + LEAST_IDLE) / 2, LEAST_IDLE, LEAST_IDLE]


def test_an_idle_time_that_is_short_already_stays() -> None:
    load = TcpLoad(Limits(connections=100, idle=1.0))
    load.open = 100
    assert load.idle == 1.0


@pytest.mark.parametrize(("idle", "tenths"), [(10.0, 100), (3600.0, 36000), (7000.0, 65535)])
def test_edns_tcp_keepalive_has_the_idle_time_in_tenths_of_a_second(idle: float, tenths: int) -> None:
    assert TcpLoad(Limits(idle=idle)).keepalive == tenths
