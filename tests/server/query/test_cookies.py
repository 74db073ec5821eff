"""DNS cookies: the vectors of RFC 9018 Appendix A, and what becomes of good and bad ones."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.query.cookies import (
    CLIENT_COOKIE,
    NEWEST,
    OLDEST,
    RENEWED,
    SECRET_LIFE,
    STEP,
    CookieAnswer,
    CookieKey,
    Standing,
    hashed,
    is_well_formed,
)

KEY = CookieKey(bytes(range(32)))
ALICE = socket.inet_pton(socket.AF_INET, "198.51.100.100")
BOB = socket.inet_pton(socket.AF_INET6, "2001:db8:220:1:59de:d0f4:8769:82b8")
MINE = bytes.fromhex("2464c4abcf10c957")
NOW = 1_800_000_000  # 300 divides it

FIRST_SECRET = "e5e973e5a6b2a43f48e7dc849e37bfcf"


@pytest.mark.parametrize(
    ("secret", "client", "client_cookie", "server_cookie"),
    [
        (FIRST_SECRET, "198.51.100.100", "2464c4abcf10c957", "010000005cf79f111f8130c3eee29480"),
        (FIRST_SECRET, "198.51.100.100", "2464c4abcf10c957", "010000005cf7a871d4a564a1442aca77"),
        (FIRST_SECRET, "203.0.113.203", "fc93fc62807ddb86", "01abcdef5cf78f71a314227b6679ebf5"),
        (FIRST_SECRET, "203.0.113.203", "fc93fc62807ddb86", "010000005cf7a9acf73a7810aca2381e"),
        (
            "dd3bdf9344b678b185a6f5cb60fca715",
            "2001:db8:220:1:59de:d0f4:8769:82b8",
            "22681ab97d52c298",
            "010000005cf7c57926556bd0934c72f8",
        ),
        (
            "445536bcd2513298075a5d379663c962",
            "2001:db8:220:1:59de:d0f4:8769:82b8",
            "22681ab97d52c298",
            "010000005cf7c609a6bb79d16625507a",
        ),
    ],
    ids=["learned", "renewed", "reserved-bits", "renewed-by-another", "ipv6-old-secret", "ipv6-new-secret"],
)
def test_the_vectors_of_rfc_9018(secret: str, client: str, client_cookie: str, server_cookie: str) -> None:
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    expected = bytes.fromhex(server_cookie)
    address = socket.inet_pton(family, client)
    assert hashed(bytes.fromhex(secret), bytes.fromhex(client_cookie), address, expected[:8]) == expected


def learned(now: int, client: bytes = ALICE, client_cookie: bytes = MINE, key: CookieKey = KEY) -> bytes:
    """The COOKIE data that a client has after it has asked for it."""
    answer = key.answer(client_cookie, client, now)
    assert answer.standing is Standing.CLIENT_ONLY
    assert answer.option[:4] == b"\x00\x0a\x00\x18"
    return answer.option[4:]


def standing(cookie: bytes, now: int, client: bytes = ALICE, key: CookieKey = KEY) -> Standing:
    return key.answer(cookie, client, now).standing


def test_what_was_learned_is_valid_and_comes_back() -> None:
    cookie = learned(NOW)
    assert cookie[:CLIENT_COOKIE] == MINE
    assert KEY.answer(cookie, ALICE, NOW + 9) == CookieAnswer(
        Standing.VALID, b"\x00\x0a\x00\x18" + cookie, NOW + RENEWED
    )


def test_after_half_an_hour_a_valid_cookie_is_renewed() -> None:
    cookie = learned(NOW)
    renewed = KEY.answer(cookie, ALICE, NOW + RENEWED)
    assert renewed.standing is Standing.VALID
    assert renewed.option[4:] != cookie
    assert renewed.option[4:] == learned(NOW + RENEWED)


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        (OLDEST, Standing.VALID),
        (OLDEST + 1, Standing.BAD),
        (-NEWEST, Standing.VALID),
        (-NEWEST - 1, Standing.BAD),
    ],
)
def test_a_cookie_is_valid_for_an_hour_and_five_minutes_early(moved: int, expected: Standing) -> None:
    assert standing(learned(NOW), NOW + moved) is expected


def test_a_cookie_outlives_the_secret_that_it_was_made_with() -> None:
    midnight = NOW - NOW % SECRET_LIFE + SECRET_LIFE
    cookie = learned(midnight - STEP)
    assert standing(cookie, midnight) is Standing.VALID
    # By a clock that is ahead, it is of tomorrow's secret.
    assert standing(learned(midnight), midnight - NEWEST) is Standing.VALID
    # Secrets do differ from day to day: what tomorrow's makes is not what today's makes.
    assert learned(midnight)[16:] != learned(midnight - STEP)[16:]


def test_time_goes_on_after_2106() -> None:
    later = (1 << 32) - STEP
    cookie = learned(later)
    assert standing(cookie, later + 2 * STEP) is Standing.VALID
    assert standing(learned(later + STEP), later + STEP) is Standing.VALID


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda c: (c, BOB, KEY), id="another address"),
        pytest.param(lambda c: (bytes(8) + c[8:], ALICE, KEY), id="another client cookie"),
        pytest.param(lambda c: (c[:-1] + bytes([c[-1] ^ 1]), ALICE, KEY), id="another hash"),
        pytest.param(lambda c: (c[:9] + b"\x01" + c[10:], ALICE, KEY), id="other reserved bits"),
        pytest.param(lambda c: (c[:8] + b"\x02" + c[9:], ALICE, KEY), id="another version"),
        pytest.param(lambda c: (c + b"\x00", ALICE, KEY), id="longer"),
        pytest.param(lambda c: (c[:16], ALICE, KEY), id="shorter"),
        pytest.param(lambda c: (c, ALICE, CookieKey(bytes(32))), id="another key"),
    ],
)
def test_a_bad_cookie_gets_a_good_one(other: object) -> None:
    assert callable(other)
    cookie, client, key = other(learned(NOW))
    answer = key.answer(cookie, client, NOW)
    assert answer.standing is Standing.BAD
    assert answer.option[4:] == learned(NOW, client, cookie[:8], key)


@pytest.mark.parametrize("size", range(45))
def test_a_cookie_has_eight_octets_or_sixteen_to_forty(size: int) -> None:
    assert is_well_formed(size) is (size == 8 or 16 <= size <= 40)


def test_the_key_is_not_shown() -> None:
    assert repr(KEY) == "<CookieKey>"
    with pytest.raises(ValueError, match="32 octets, not 5"):
        CookieKey(b"short")


@given(
    cookie=st.one_of(st.binary(min_size=8, max_size=8), st.binary(min_size=16, max_size=40)),
    made=st.integers(-4000, 700),
    own=st.booleans(),
    now=st.integers(0, 1 << 34),
    data=st.data(),
)
def test_an_answer_is_the_same_until_it_says(
    cookie: bytes, made: int, own: bool, now: int, data: st.DataObject
) -> None:
    """So that remembering it changes nothing."""
    if own and now + made >= 0:
        cookie = learned(now + made, client_cookie=cookie[:8])
    answer = CookieKey(bytes(range(32))).answer(cookie, ALICE, now)
    assert answer.until > now
    later = data.draw(st.integers(now, answer.until - 1))
    assert KEY.answer(cookie, ALICE, later) == answer
