"""The hot path takes short cuts: what it must not mistake for what it knows already."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import accumulate

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.dnssec.zone_signer import ZoneSigner
from server.query.emit_to_size import Response
from server.query.fast.answer_caches import Caches
from server.query.fast.compact_below_apex import CompactBelowApex, Unsigned
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.growth import growth
from tests.lab import FACTS, NOW, datagrams, query, served, surprised, wire_name, zone_keys
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.zoneset import ZoneSet

_ZONE = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\na\\000b 60 A 192.0.2.2\n*.w 60 A 192.0.2.3\n"
_ZONES = served(_ZONE, "lab.example")


_TAIL = b"\x00\x00\x01\x00\x01"  # root label, type A, class IN


def plain(name: bytes, flags: int = 0) -> bytes:
    """A query without EDNS for a name given without its root label."""
    return struct.pack("!6H", 7, flags, 1, 0, 0, 0) + name + _TAIL


def knowing(*known: bytes) -> Responder:
    """A responder that has answered these, twice."""
    responder = Responder(lambda: _ZONES, Caches(), surprised)
    for _ in range(2):
        datagrams(responder, known, NOW)
    return responder


_LAB = b"\x03lab\x07example"


@pytest.mark.parametrize(
    "tricky",
    [
        plain((b"\x3f" + b"x" * 63) * 3 + b"\x32" + b"x" * 50 + _LAB),  # 256 octets
        plain((b"\x3f" + b"x" * 63) * 3 + b"\x31" + b"x" * 49 + _LAB),  # 255
        plain(b"\x40" + b"x" * 64 + _LAB),  # a label too long
        plain(b"\xc0\x0c" + _LAB),
        plain(b"\x77ww" + _LAB),  # 0x77 would be the lower case of 0x57
        plain(b"\x57ww" + _LAB),
        plain(b"\x03a\x00b" + _LAB),  # a zero octet that does not end the name
        plain(b"\x03A\x00B" + _LAB),
        plain(b"\x03a\x00c" + _LAB),
        plain(b"\x05www" + _LAB),  # the second label is part of the first
        plain(b"\x02www" + _LAB),
        plain(b"\x03www" + _LAB)[:-1],
        plain(b"\x03www" + _LAB) + b"\x00",
        plain(b"\x03www" + _LAB, 0x8000),
        plain(b"\x03www" + _LAB, 0x0800),
        plain(b""),
        b"",
        bytes(11),
    ],
)
def test_what_looks_like_something_known(tricky: bytes) -> None:
    responder = knowing(plain(b"\x03www" + _LAB), plain(b"\x03a\x00b" + _LAB), plain(b"\x04nope" + _LAB))
    for _ in range(2):
        assert datagrams(responder, [tricky], NOW) == [respond(tricky, _ZONES, NOW, Via.UDP)]


@pytest.mark.parametrize("first", [0x3F, 0x40, 0x5B, 0x80, 0xC0, 0xFF])
@pytest.mark.parametrize("denial", list(DenialMode))
def test_labels_that_are_too_long_are_no_names_that_do_not_exist(first: int, denial: DenialMode) -> None:
    zoneset = served(_ZONE, "lab.example", denial=denial)
    responder = Responder(lambda: zoneset, Caches(), surprised)
    behind = query("lab.example", "A")[12:]

    def asking(labels: bytes) -> bytes:
        return query("lab.example", "A")[:12] + labels + behind

    # One that tells the shape, one of two labels, and then something other than a name, of the same length.
    middle = min(first // 2, 0x3F)
    rest = min(first - middle - 1, 0x3F)
    wires = [
        asking(b"\x04nope"),
        asking(bytes([middle]) + b"z" * middle + bytes([rest]) + b"z" * rest),
        asking(bytes([first]) + b"z" * first),
    ]
    assert datagrams(responder, wires * 3, NOW) == [respond(wire, zoneset, NOW, Via.UDP) for wire in wires * 3]


def test_types_that_differ_by_what_lower_case_would_change() -> None:
    # Type 65 (HTTPS) is 0x41, "A"; lower case would make it 97.
    for known, asked in ((65, 97), (97, 65), (0x4100, 0x6100)):
        responder = knowing(query("www.lab.example", known))
        wire = query("WWW.lab.example", asked)
        assert datagrams(responder, [wire], NOW) == [respond(wire, _ZONES, NOW, Via.UDP)]


def test_options_are_the_clients_choice_and_fill_no_cache() -> None:
    caches = Caches()
    responder = Responder(lambda: _ZONES, caches, surprised)
    for number in range(50):
        option = struct.pack("!HHQ", 10, 8, number)
        wire = query("www.lab.example", "A")[:-2] + struct.pack("!H", len(option)) + option
        assert datagrams(responder, [wire], NOW) == [respond(wire, _ZONES, NOW, Via.UDP)]
    assert len(caches.packets) <= 1


@pytest.mark.parametrize(
    "options",
    [
        b"\x00\x0a\x00\x08abcdefgh",
        b"\x00\x0a\x00\x00" * 3,
        b"\x00\x0a\x00\x09abcdefgh",  # longer than the record
        b"\x00\x0a\x00",
        b"\x00",
        b"\x00\x0a\x00\x04\x00\x00\x29\x00",
    ],
)
@pytest.mark.parametrize("declared", [0, -1, 1])
def test_options_well_formed_and_not(options: bytes, declared: int) -> None:
    bare = query("www.lab.example", "A")
    responder = knowing(bare)
    wire = bare[:-2] + struct.pack("!H", len(options) + declared) + options
    for tricky in (wire, wire + b"\x00", wire.replace(b"www", b"wWw"), wire[:10] + b"\x00\x02" + wire[12:]):
        assert datagrams(responder, [tricky, tricky], NOW) == [respond(tricky, _ZONES, NOW, Via.UDP)] * 2


def test_names_without_end_do_not_evict_names_that_exist() -> None:
    caches = Caches(budget=200_000)
    responder = Responder(lambda: _ZONES, caches, surprised)
    hot = query("www.lab.example", "A")
    datagrams(responder, [hot, hot], NOW)
    kept = len(caches.packets)
    assert kept == 1
    for number in range(2000):
        name = f"n{number}.w.lab.example" if number % 2 else f"n{number}.lab.example"
        datagrams(responder, [query(name, "NSEC" if number % 3 else "A")], NOW)
    assert len(caches.packets) == kept
    assert caches.packets.get(hot[2:]) is not None


def test_another_set_of_zones_answers_at_once() -> None:
    current = [_ZONES]
    responder = Responder(lambda: current[0], Caches(), surprised)
    wire = query("www.lab.example", "A")
    (before,) = datagrams(responder, [wire], NOW)
    current[0] = served(_ZONE.replace("192.0.2.1", "192.0.2.99"), "lab.example")
    (after,) = datagrams(responder, [wire], NOW)
    assert after != before
    assert after == respond(wire, current[0], NOW, Via.UDP)


@pytest.mark.parametrize("denial", list(DenialMode))
def test_denials_follow_a_new_zsk_as_all_else_does(denial: DenialMode) -> None:
    origin = wire_name("lab.example")
    keys = zone_keys(origin, zsks=((0, 2001), (NOW + 1234, 2002)))
    zoneset = ZoneSet().with_zone(parse_zone(_ZONE, "lab.example", denial=denial)).with_keys(origin, keys)
    responder = Responder(lambda: zoneset, Caches(), surprised)
    wires = [query(f"n{number}.lab.example", "A") for number in range(8)]
    for now in range(NOW, NOW + 10 * 3600, 1000):
        assert datagrams(responder, wires, now) == [respond(wire, zoneset, now, Via.UDP) for wire in wires]


def test_denials_follow_zones_keys_and_the_clock() -> None:
    origin = wire_name("lab.example")
    sets = [
        served(_ZONE, "lab.example"),
        served(_ZONE.replace("1 2 3 4 60", "9 2 3 4 30"), "lab.example"),
        served(_ZONE, "lab.example", denial=DenialMode.NSEC),
        served(_ZONE + "* 60 A 192.0.2.9\n", "lab.example"),
        served(_ZONE, "lab.example", sign=False),
        _ZONES.with_keys(origin, None),
        _ZONES.with_keys(origin, zone_keys(origin, zsks=((0, 2003),))),
        _ZONES.with_zone(parse_zone("@ 5 SOA ns h 1 2 3 4 5\n@ 5 NS ns\n", "n.lab.example")),
        ZoneSet(),
    ]
    current = [_ZONES]
    responder = Responder(lambda: current[0], Caches(), surprised)
    wires = [query(f"{label}.lab.example", "A", co=bool(label)) for label in ("n", "absent", "WWW", "*")]
    for zoneset in [*sets, *reversed(sets)]:
        current[0] = zoneset
        for now in (NOW, NOW + 50 * 86_400, NOW + 20_000, NOW):
            assert datagrams(responder, wires * 2, now) == [respond(wire, zoneset, now, Via.UDP) for wire in wires * 2]


def test_however_many_shapes_there_were_denials_follow_the_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.query.fast.responder._SHAPES", 8)
    for denial in DenialMode:
        for shapes in range(1, 20):
            zoneset = served(_ZONE, "lab.example", denial=denial)
            current = [zoneset]
            responder = Responder(lambda current=current: current[0], Caches(), surprised)  # type: ignore[misc]
            responder.messages([query("n.lab.example", "A", co=co) for co in (False, True)], NOW)
            others = [
                query("n.lab.example", "A", size=700 + number, do=shapes < 10 or number % 3 > 0)
                for number in range(shapes)
            ]
            wire = query("absent.lab.example", "A")
            datagrams(responder, [wire, wire, *others, wire, wire], NOW)
            current[0] = served(_ZONE + "absent 60 A 192.0.2.7\n", "lab.example", denial=denial)
            assert datagrams(responder, [wire], NOW) == [respond(wire, current[0], NOW, Via.UDP)]


@given(
    option=st.integers(0, 0xFFFF),
    data=st.binary(max_size=40),
    change=st.integers(-4, 4),
    spelling=st.sampled_from(["www", "wWw", "a\\000b", "*.w", "absent"]),
    qtype=st.sampled_from(["A", 65, 97, 0x4100]),
    flags=st.sampled_from([0, 0x0100, 0x0110, 0x8000]),
)
def test_a_query_with_one_option_is_answered_as_the_one_without(
    option: int, data: bytes, change: int, spelling: str, qtype: int | str, flags: int
) -> None:
    bare = bytearray(query(f"{spelling}.lab.example", qtype))
    bare[2:4] = flags.to_bytes(2)
    responder = knowing(bytes(bare), query("www.lab.example", "A"))
    whole = struct.pack("!HH", option, len(data)) + data
    wire = bytes(bare[:-2]) + len(whole).to_bytes(2) + whole
    other = struct.pack("!HH", option, max(len(data) + change, 0)) + data
    misstated = bytes(bare[:-2]) + len(whole).to_bytes(2) + other
    shortened = wire[: len(wire) + min(change, 0)] + bytes(max(change, 0))
    wires = [wire, wire, misstated, wire, shortened, wire]
    assert datagrams(responder, wires, NOW) == [respond(one, _ZONES, NOW, Via.UDP) for one in wires]
    for _ in range(2):
        assert responder.messages(wires, NOW) == [respond(one, _ZONES, NOW, Via.TCP) for one in wires]
    if option not in (3, 10, 11):
        assert respond(wire, _ZONES, NOW, Via.UDP) == respond(bytes(bare), _ZONES, NOW, Via.UDP)


def test_what_the_old_generation_and_several_options_lead_to() -> None:
    caches = Caches()
    responder = Responder(lambda: _ZONES, caches, surprised)
    options = [struct.pack("!HHQ", 10, 8, number) for number in range(3)]
    wires = [query(name, "A") for name in ("www.lab.example", "wWw.lab.example", "absent.lab.example")]
    wires += [
        wire[:-2] + len(b"".join(options[:count])).to_bytes(2) + b"".join(options[:count])
        for wire in wires
        for count in (1, 2, 3)
    ]
    right = [respond(wire, _ZONES, NOW, Via.UDP) for wire in wires]
    for _ in range(3):
        assert datagrams(responder, wires, NOW) == right
        assert len(caches.packets) == 1
        made = caches.packets.stored
        caches.packets._old, caches.packets.young = caches.packets.young, {}
    assert datagrams(responder, wires[::-1], NOW) == right[::-1]
    assert caches.packets.stored == made == 1
    assert responder.datagrams_seen - sum(responder.udp_rcodes) > 0


@pytest.mark.parametrize("qname", ["www.lab.example", "absent.lab.example", "q.w.lab.example", "elsewhere.test"])
@pytest.mark.parametrize("size", [512, 1232])
def test_cookies_are_each_clients_own_and_remembered_by_no_answer(qname: str, size: int) -> None:
    caches = Caches()
    responder = Responder(lambda: _ZONES, caches, surprised, facts=FACTS)
    addresses = [bytes([192, 0, 2, number]) for number in range(3)] + [bytes(16)]
    bare = query(qname, "A", size=size)
    for now in (NOW, NOW + 1, NOW + 299, NOW + 1801):
        wires = []
        for client in addresses:
            asked = bare[:-2] + b"\x00\x0c\x00\x0a\x00\x08abcdefgh"
            learned = respond(asked, _ZONES, NOW, Via.UDP, client=client, facts=FACTS)
            assert learned is not None
            wires += [(asked, client), (bare[:-2] + b"\x00\x1c\x00\x0a\x00\x18" + learned[-24:], client)]
        wires.append((bare, addresses[0]))
        expected = [respond(wire, _ZONES, now, Via.UDP, client=client, facts=FACTS) for wire, client in wires]
        senders = [client for _, client in wires]
        for _ in range(2):
            answered = responder.datagrams([wire[2:] for wire, _ in wires], now, senders.__getitem__)
            assert [wire[:2] + answer for (wire, _), answer in zip(wires, answered, strict=True) if answer] == expected
            assert sorted(responder.vouched) == [1, 3, 5, 7]
    assert all(b"abcdefgh" not in packet for packet, _ in caches.packets.young.values())
    assert responder.standings == [0, 4 * 2 * 4, 0, 4 * 2 * 4]


def with_cookie(wire: bytes, cookie: bytes) -> bytes:
    """A query that has an OPT record without options, with a COOKIE option in it."""
    return wire[:-2] + struct.pack("!HHH", 4 + len(cookie), 10, len(cookie)) + cookie


def learned(client: bytes, now: int = NOW) -> bytes:
    """Client cookie and server cookie of a client, as it gets them at `now`."""
    asked = with_cookie(query("lab.example", "SOA"), b"abcdefgh")
    response = respond(asked, _ZONES, now, Via.UDP, client=client, facts=FACTS)
    assert response is not None
    return response[-24:]


def test_a_cookie_is_no_other_address_s_whose_octets_lead_to_the_same() -> None:
    responder = Responder(lambda: _ZONES, Caches(), surprised, facts=FACTS)
    whole = bytes.fromhex("20010db8000000000000000000000007")
    cookie = learned(whole)
    datagrams(responder, [with_cookie(query("www.lab.example", "A"), cookie)], NOW, whole)
    assert responder.vouched == [0]
    wire, client = with_cookie(query("www.lab.example", "A"), whole[4:] + cookie), whole[:4]
    expected = respond(wire, _ZONES, NOW, Via.UDP, client=client, facts=FACTS)
    assert datagrams(responder, [wire], NOW, client) == [expected]
    assert responder.vouched == []


@pytest.mark.parametrize("cookie", [b"abcdefgh", b"abc", b""])
def test_an_unknown_version_has_no_cookies(cookie: bytes) -> None:
    bare = bytearray(query("www.lab.example", "A"))
    bare[-5] = 1  # the version
    wire, client = with_cookie(bytes(bare), cookie), bytes(4)
    responder = Responder(lambda: _ZONES, Caches(), surprised, facts=FACTS)
    expected = respond(wire, _ZONES, NOW, Via.UDP, client=client, facts=FACTS)
    for _ in range(3):
        assert datagrams(responder, [wire], NOW, client) == [expected]
    assert responder.standings == [0, 0, 0, 0]


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("others", [b"", b"\x00\x03\x00\x00"])
def test_a_cookie_is_counted_once_where_the_options_do_not_fit(others: bytes, *, is_known: bool) -> None:
    client = bytes([192, 0, 2, 1])
    cookie = learned(client)
    for room in range(400, 470, 10):  # between 420 and 455 the answer fits, but not with its options
        zones = served(_ZONE + f'long 60 TXT "{"x" * 250}" "{"x" * (room - 250)}"\n', "lab.example", sign=False)
        responder = Responder(lambda zones=zones: zones, Caches(), surprised, facts=FACTS)  # type: ignore[misc]
        bare = query("long.lab.example", "TXT", do=False, size=512)
        if is_known:
            datagrams(responder, [bare] * 2, NOW)
        wire = with_cookie(bare, cookie)
        if others:
            wire = wire[: len(bare) - 2] + struct.pack("!H", 32) + wire[len(bare) :] + others
        for _ in range(2):
            assert datagrams(responder, [wire], NOW, client) == [
                respond(wire, zones, NOW, Via.UDP, client=client, facts=FACTS)
            ]
            assert responder.vouched == [0], room
        assert responder.standings == [0, 0, 0, 2]


def test_cookies_are_judged_anew_where_the_clock_went_back() -> None:
    client = bytes([192, 0, 2, 1])
    responder = Responder(lambda: _ZONES, Caches(), surprised, facts=FACTS)
    wire = with_cookie(query("www.lab.example", "A"), learned(client))
    for now in (NOW, NOW - 3600):
        expected = respond(wire, _ZONES, now, Via.UDP, client=client, facts=FACTS)
        assert datagrams(responder, [wire], now, client) == [expected]
    assert responder.vouched == []


@pytest.mark.parametrize("more", [[], ["other.test", "a.longer.test", "test", "www.another.one.test"]])
def test_names_that_exist_are_told_from_others_in_whichever_zone_they_would_be(more: Sequence[str]) -> None:
    zones = ZoneSet()
    for origin in ("lab.example", "deep.down.lab.example", "example", *more):
        zones = zones.with_zone(parse_zone(_ZONE, f"{origin}."))
    current = [zones]
    responder = Responder(lambda: current[0], Caches(), surprised)
    names = {
        "www.lab.example": True,
        "WWW.Deep.down.lab.example": True,
        "lab.example": True,
        "w.lab.example": True,  # an empty non-terminal
        "x.w.lab.example": False,
        "no.lab.example": False,
        "www.down.lab.example": False,
        "www.elsewhere": False,
        ".": False,
        "a." * 120 + "example": False,
    }
    for expected in (names, dict.fromkeys(names, False)):
        for name, exists in expected.items():
            _, missed = responder.remembered([query(name, "TXT")[2:]], NOW)
            assert responder.exist(missed) == [exists], name
        current[0] = ZoneSet()


def test_what_is_not_remembered_is_made_later_from_the_zones_of_then() -> None:
    current = [_ZONES]
    responder = Responder(lambda: current[0], Caches(), surprised)
    wires = [query("www.lab.example", "A"), b"short", query("nope.lab.example", "A"), query("www.lab.example", "A")]
    responses, missed = responder.remembered([wire[2:] for wire in wires], NOW)
    assert responses == [None] * 4
    assert [one.slot for one in missed] == [0, 1, 2, 3]
    assert responder.datagrams_seen == 0
    current[0] = served(_ZONE.replace("192.0.2.1", "192.0.2.9"), "lab.example")
    responder.begin(NOW)
    for wire, response in zip(wires, responder.make(missed, range(4), NOW), strict=True):
        assert (None if response is None else wire[:2] + response) == respond(wire, current[0], NOW, Via.UDP)
    assert responder.datagrams_seen == 4


@pytest.mark.parametrize("qname", ["www.lab.example", "absent.lab.example", "q.w.lab.example"])
def test_what_has_waited_gets_the_cookie_of_its_own_client(qname: str) -> None:
    responder = Responder(lambda: _ZONES, Caches(), surprised, facts=FACTS)
    bare, wires = query(qname, "A"), []
    for client in (bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])):
        asked = bare[:-2] + b"\x00\x0c\x00\x0a\x00\x08abcdefgh"
        learned = respond(asked, _ZONES, NOW, Via.UDP, client=client, facts=FACTS)
        assert learned is not None
        wires += [(asked, client), (bare[:-2] + b"\x00\x1c\x00\x0a\x00\x18" + learned[-24:], client)]
    _, missed = responder.remembered([wire[2:] for wire, _ in wires], NOW, lambda number: wires[number][1])
    responder.remembered([bare[2:]] * 9, NOW)  # others have taken their places
    responder.begin(NOW)
    vouched: list[int] = []
    # The last comes first, as where the newest are answered before.
    late = missed[::-1]
    responder.look_again(lambda number: wires[late[number].slot][1], vouched)
    for one, response in zip(late, responder.make(late, range(len(late)), NOW), strict=True):
        wire, client = wires[one.slot]
        assert response is not None
        assert wire[:2] + response == respond(wire, _ZONES, NOW, Via.UDP, client=client, facts=FACTS)
    assert vouched == [0, 2]


def test_over_tcp_the_rest_is_left_for_later_where_it_is_late_and_costs_more_than_a_look() -> None:
    responder = knowing(query("www.lab.example", "A"))
    hot, cold = query("www.lab.example", "A"), [query(f"{number}.absent.lab.example", "A") for number in range(3)]
    responder.messages([hot], NOW)
    asked: list[bool] = []

    def is_late() -> bool:
        asked.append(len(asked) > 0)
        return asked[-1]

    seen = responder.messages_seen
    expected_hot, expected_cold = (respond(wire, _ZONES, NOW, Via.TCP) or b"" for wire in (hot, cold[0]))
    assert responder.stream([hot] * 5, NOW, None, lambda: True) == [expected_hot[2:]] * 5
    assert responder.stream(cold, NOW, None, lambda: True) == [expected_cold[2:]]
    assert len(responder.stream([cold[0], hot, cold[1], hot, cold[2], hot], NOW, None, is_late)) == 4
    assert responder.messages_seen == seen + 5 + 1 + 4


@pytest.mark.parametrize("most", [1, 100, 250, 1000, 10_000])
def test_over_tcp_there_are_as_many_responses_as_pass_a_number_of_octets(most: int) -> None:
    hot, wires = query("www.lab.example", "A"), [query(f"{number}.absent.lab.example", "A") for number in range(9)]
    wires[2:2] = [hot] * 4
    whole = [respond(wire, _ZONES, NOW, Via.TCP) or b"" for wire in wires]
    sizes = [*accumulate(len(one) - 2 for one in whole)]
    count = sum(size < most for size in [0, *sizes[:-1]])
    responder = Responder(lambda: _ZONES, Caches(), surprised)
    for _ in range(3):
        seen = responder.messages_seen
        assert responder.stream(wires, NOW, None, most=most) == [one[2:] for one in whole[:count]]
        assert responder.messages_seen == seen + count
    assert sum(responder.tcp_rcodes) <= responder.messages_seen


@pytest.mark.parametrize("denial", list(DenialMode))
def test_a_name_whose_labels_do_not_end_where_it_ends_is_refused_beside_known_queries(denial: DenialMode) -> None:
    zoneset = served(_ZONE, "lab.example", denial=denial)
    known = query("www.lab.example", "A", do=True)
    wires = [known]
    for at in range(12, 24):
        for length in (0x01, 0x05, 0x0B, 0x0C, 0x0D, 0x30, 0x3F, 0x40, 0xC0, 0xFF):
            wires.append(known[:at] + bytes([length]) + known[at + 1 :])
    responder = Responder(lambda: zoneset, Caches(), surprised)
    for _ in range(2):
        assert datagrams(responder, wires) == [respond(one, zoneset, NOW, Via.UDP) for one in wires]
        assert responder.messages(wires, NOW) == [respond(one, zoneset, NOW, Via.TCP) for one in wires]


def test_a_bug_is_servfail_for_its_query_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[bytes] = []
    responder = Responder(lambda: _ZONES, Caches(), lambda name, _: failed.append(name))
    good = query("www.lab.example", "A")
    absent = query("nope.lab.example", "A")
    wires = [good, absent, absent[:-2] + b"\x00\x04\x00\x03\x00\x00"]  # the last with an option
    for _ in range(2):
        datagrams(responder, [good], NOW)
        responder.messages([good], NOW)

    def fail(*_: object) -> bytes:
        raise ZeroDivisionError

    for way in ("_respond", "_with_options", "_remembered_with_options", "_read"):
        monkeypatch.setattr(responder, way, fail)
    for answers in (datagrams(responder, wires, NOW), responder.messages(wires, NOW)):
        assert answers[0] == respond(good, _ZONES, NOW, Via.UDP)
        for wire, answer in zip(wires[1:], answers[1:], strict=True):
            assert answer is not None
            parsed = dns.message.from_wire(answer, ignore_trailing=True)
            assert (parsed.id, parsed.rcode(), parsed.flags & dns.flags.QR) == (
                int.from_bytes(wire[:2]), dns.rcode.SERVFAIL, dns.flags.QR,
            )  # fmt: skip
    assert len(failed) == 4
    assert responder.messages([b"\x00\x01\x80" + absent[3:]], NOW) == [None]


def test_denials_whose_signatures_are_made_together_are_those_that_are_made_one_by_one() -> None:
    wires = [query(f"absent{number}.lab.example", "A", co=bool(number % 3)) for number in range(7)]
    hot = query("www.lab.example", "A")
    wires[3:3] = [wires[0], hot, query("a.b.lab.example", "A"), query("www.lab.example", "MX")]
    responder = knowing(hot)
    responder.datagrams([wire[2:] for wire in [query("x.lab.example", "A"), query("x.lab.example", "A", co=True)]], NOW)
    counted = sum(responder.udp_rcodes)
    assert datagrams(responder, wires) == [respond(wire, _ZONES, NOW, Via.UDP) for wire in wires]
    assert sum(responder.udp_rcodes) == counted + len(wires) - wires.count(hot)


def test_of_responses_that_are_made_together_one_that_cannot_be_completed_is_made_the_general_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed: list[bytes] = []
    responder = Responder(lambda: _ZONES, Caches(), lambda name, _: failed.append(name))
    responder.datagrams([query("x.lab.example", "A")[2:]] * 2, NOW)
    wires = [query(f"{name}.lab.example", "A") for name in ("one", "evil", "two")]
    complete = CompactBelowApex.complete

    def fails(below: CompactBelowApex, unsigned: Unsigned, signature: bytes) -> Response:
        if b"evil" in unsigned[1]:
            raise ValueError
        return complete(below, unsigned, signature)

    monkeypatch.setattr(CompactBelowApex, "complete", fails)
    assert datagrams(responder, wires) == [respond(wire, _ZONES, NOW, Via.UDP) for wire in wires]
    assert failed == [wire_name("evil.lab.example")]
    assert sum(responder.udp_rcodes) == 2 + len(wires)


def test_of_signatures_that_are_made_together_one_that_fails_is_one_that_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed: list[bytes] = []
    responder = Responder(lambda: _ZONES, Caches(), lambda name, _: failed.append(name))
    responder.datagrams([query("x.lab.example", "A")[2:]] * 2, NOW)
    wires = [query(f"{name}.lab.example", "A") for name in ("one", "evil", "two")]
    sign = ZoneSigner.sign

    def fails(signer: ZoneSigner, data: bytes) -> bytes:
        if b"evil" in data:
            raise ValueError
        return sign(signer, data)

    monkeypatch.setattr(ZoneSigner, "sign", fails)
    one, evil, two = datagrams(responder, wires)
    assert [one, two] == [respond(wire, _ZONES, NOW, Via.UDP) for wire in (wires[0], wires[2])]
    assert evil is not None
    assert evil[3] & 15 == 2
    assert failed
    assert {wire_name("evil.lab.example")} == {*failed}


def test_whether_a_name_exists_is_told_as_fast_with_origins_of_many_sizes() -> None:
    text = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\n"

    def asked(origins: Sequence[str]) -> Callable[[], object]:
        zones = ZoneSet().with_zones([parse_zone(text, origin, signed=False) for origin in origins])
        responder = Responder(lambda: zones, Caches(), surprised)
        _, missed = responder.remembered([query(f"q{number}.elsewhere", "A")[2:] for number in range(500)], NOW)
        return lambda: responder.exist(missed)

    many_sizes = [f"{'a' * (number % 50 + 1)}.{('b' * 50 + '.') * (number // 50)}example." for number in range(150)]
    assert growth(asked(many_sizes[:5]), asked(many_sizes)) < 5
