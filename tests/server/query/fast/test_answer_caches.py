"""The caches: bounded whatever is asked, and gone with the zones they were made from."""

from __future__ import annotations

import pytest

from keys.dnssec.signing_policy import Policy
from keys.dnssec.zone_keys import ZoneKeys
from server.query.emit_to_size import Response
from server.query.fast.answer_caches import Answers, Caches, Denials, Generations
from server.query.fast.responder import Responder
from server.query.respond import Via, respond
from tests.lab import NOW, datagrams, query, served, surprised, wire_name, zone_keys
from zones.denial import DenialMode
from zones.node import Node
from zones.zoneset import ZoneSet


def number(n: int) -> bytes:
    return n.to_bytes(8)


def test_what_was_put_is_there() -> None:
    kept: Generations[bytes] = Generations(10_000, len)
    kept.put(b"key", b"value")
    assert kept.get(b"key") == b"value"
    assert kept.get(b"other") is None


def test_what_is_asked_for_again_stays_and_what_is_not_goes() -> None:
    kept: Generations[bytes] = Generations(100_000, len)
    kept.put(b"hot", b"x" * 100)
    kept.put(b"cold", b"x" * 100)
    for n in range(2000):
        kept.put(number(n), b"y" * 100)
        assert kept.get(b"hot") is not None
    assert kept.get(b"cold") is None


@pytest.mark.parametrize("size", [0, 100, 20_000])
def test_the_bound_holds_also_when_everything_is_asked_for_again_and_again(size: int) -> None:
    budget = 100_000
    kept: Generations[bytes] = Generations(budget, len)
    for round_ in range(20):
        for n in range(round_ * 50):
            if kept.get(number(n)) is None:
                kept.put(number(n), bytes(size))
            assert len(kept) * (250 + 8 + size) <= budget or len(kept) <= 2


def test_a_clear_forgets_both_generations() -> None:
    kept: Generations[bytes] = Generations(2_000, len)
    for n in range(20):
        kept.put(number(n), b"")
    kept.clear()
    assert len(kept) == 0
    assert all(kept.get(number(n)) is None for n in range(20))


def test_an_answer_goes_with_its_name_and_an_entangled_one_with_any() -> None:
    kept: Answers[bytes] = Answers(100_000, len)
    for name in (b"one", b"two"):
        for form in (b"A", b"MX"):
            kept.keep(b"?", name, form, b"answer", alone=form == b"A")
    assert [kept.is_alone(key) for key in (b"?oneA", b"?oneMX")] == [True, False]
    kept.forget_names({b"three"})
    assert [kept.get(key) for key in (b"?oneA", b"?twoA", b"?oneMX", b"?twoMX")] == [b"answer", b"answer", None, None]
    kept.forget_names({b"two"})
    assert [kept.get(key) for key in (b"?oneA", b"?twoA")] == [b"answer", None]


def test_what_is_entangled_is_known_in_both_generations_and_when_it_moves_up() -> None:
    kept: Answers[bytes] = Answers(20_000, len)
    kept.keep(b"", b"hot", b"", b"", alone=False)
    for n in range(1000):
        kept.keep(b"", number(n), b"", b"", alone=True)
        assert kept.get(b"hot") is not None
        assert not kept.is_alone(b"hot")
    kept.forget_names({b"other"})
    assert kept.get(b"hot") is None
    assert kept.get(number(999)) is not None


def test_what_is_forgotten_leaves_its_room() -> None:
    kept: Answers[bytes] = Answers(20_000, len)
    kept.keep(b"", b"stays", b"", b"", alone=True)
    for _ in range(1000):
        kept.keep(b"", b"changes", b"", bytes(100), alone=True)
        kept.forget_names({b"changes"})
    assert b"stays" in kept.young


def test_too_many_forms_or_names_forget_all() -> None:
    kept: Answers[bytes] = Answers(10_000_000, len)
    for n in range(999):
        kept.keep(b"", b"name", number(n), b"", alone=True)
    kept.forget_names({b"other"})
    assert len(kept) == 999
    kept.forget_names({number(n) for n in range(21)})
    assert len(kept) == 0
    for n in range(2000):
        kept.keep(b"", b"name", number(n), b"", alone=True)
    kept.forget_names({b"other"})
    assert len(kept) == 0


def test_a_denial_is_kept_when_it_is_offered_again() -> None:
    denials = Denials(1 << 20)
    keys = {b"%d" % n: Response(b"", b"body %d" % n, 5) for n in range(1000)}
    for key, response in keys.items():
        denials.offer(key, response)
    assert len(denials) < 100  # of 65,536 places few are shared, and then the other part of the hash tells
    assert denials.stored == 1000
    for key, response in keys.items():
        denials.offer(key, response)
    assert len(denials) > 900
    assert all(denials.get(key) in (response, None) for key, response in keys.items())


@pytest.mark.parametrize("under", ["lab.example", "deeper.lab.example"])
@pytest.mark.parametrize("edns", [True, False])
def test_names_that_are_not_there_are_kept_when_they_are_asked_for_again(under: str, edns: bool) -> None:
    caches, zoneset = Caches(), served("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\n", "lab.example")
    responder, wires = (
        Responder(lambda: zoneset, caches, surprised),
        [query(f"n{n}.{under}", "A", edns=edns) for n in range(100)],
    )
    datagrams(responder, wires)
    assert len(caches.denials) < 10
    assert caches.denials.stored == 100
    datagrams(responder, wires)
    assert len(caches.denials) > 80  # two whose hashes put them in one place displace each other
    made = caches.denials.stored
    assert 180 < made <= 200
    datagrams(responder, wires)
    assert caches.denials.stored - made == 100 - len(caches.denials)


def test_answers_are_those_of_the_zones_as_they_are_and_signatures_of_all() -> None:
    text = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\nmx 60 A 192.0.2.1\n"
    caches, first = Caches(), served(text, "lab.example")
    origin, owner = wire_name("lab.example"), wire_name("www.lab.example")
    caches.for_zoneset(first, NOW)

    def keep() -> None:
        caches.packets.keep(b"", owner, b"", (b"r", 5), alone=True)
        caches.denials.put(b"d", Response(b"", b"", 5))
        caches.signatures.put(b"content", b"signature")

    def kept() -> list[bool]:
        return [caches.packets.get(owner) is not None, caches.denials.get(b"d") is not None]

    keep()
    caches.for_zoneset(first, NOW)
    assert kept() == [True, True]
    zone = first.get(origin)
    assert zone is not None
    changed = first.with_nodes(origin, {wire_name("mx.lab.example"): None})
    caches.for_zoneset(changed, NOW)
    assert kept() == [True, False]
    changed = changed.with_nodes(origin, {owner: Node({})})
    caches.for_zoneset(changed, NOW)
    assert kept() == [False, False]
    for other in (
        changed.with_keys(origin, None),
        ZoneSet(),
        first,
        served(text, "lab.example", denial=DenialMode.NSEC),
    ):
        keep()
        caches.for_zoneset(other, NOW)
        assert kept() == [False, False]
    assert caches.signatures.get(b"content") == b"signature"


def test_a_dnskey_rrset_that_is_signed_anew_leaves_other_answers() -> None:
    text = "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\nmx 60 A 192.0.2.1\n"
    origin, slot = wire_name("lab.example"), Policy().slot
    current = [served(text, "lab.example")]
    caches = Caches()
    responder = Responder(lambda: current[0], caches, surprised)
    asked = [("www", "A"), ("mx", "A"), ("@", "DNSKEY"), ("@", "SOA"), ("absent", "A")]
    wires = [query("lab.example" if label == "@" else f"{label}.lab.example", rrtype) for label, rrtype in asked]
    now = NOW

    def kept(keys: ZoneKeys) -> bool:
        """Whether answers outlive these keys' coming, and all are those of now."""
        for _ in range(2):
            assert datagrams(responder, wires, now) == [respond(wire, current[0], now, Via.UDP) for wire in wires]
        current[0] = current[0].with_keys(origin, keys)
        made = caches.packets.stored
        assert datagrams(responder, wires, now) == [respond(wire, current[0], now, Via.UDP) for wire in wires]
        return caches.packets.stored == made + 2  # those of the apex

    now += slot
    assert kept(zone_keys(origin, now))
    assert not kept(zone_keys(origin, now, zsks=((0, 2002),)))
    assert not kept(zone_keys(origin, now, policy=Policy(window=3600)))
    assert not kept(zone_keys(origin, now, ksks=(1001, 1002)))  # so a parent served here has another DS RRset
    assert not kept(zone_keys(origin, now - 3 * slot))  # ends earlier
    assert not kept(zone_keys(origin, now + 3 * slot))  # begins later
