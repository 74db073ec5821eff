"""The second opinion on transitions, by keyrings in which one wait is an hour too short, or one fact is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from keys.dnssec.ds import ds_rdata
from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.rules.events import (
    Event,
    KskDeleted,
    KskIntended,
    ParentSeen,
    Published,
    ServedUnsigned,
    SigningDisabled,
    SigningEnabled,
    ZskActivated,
)
from keys.rules.forecast import steps
from keys.rules.keyring import Keyring
from keys.rules.safety import UnsafeTransitionError, _ds_forgotten, assert_nameable, assert_safe
from keys.rules.signedness import new_unsigned
from keys.rules.transitions import evolve
from tests.keys.world import EPOCH, LAB

POLICY = Policy(zsk_jitter=0)
HIGH = 2 * DAY


def ahead(keyring: Keyring, until: int, now: int = EPOCH) -> Iterator[tuple[int, Keyring, Keyring]]:
    """Time, keyring before and keyring after each step that the forecast makes."""
    for at, _, after in steps(keyring, POLICY, now, until):
        yield at, keyring, after
        keyring = after


def signed(keyring: Keyring | None = None) -> Keyring:
    """A zone that has been signed for a day."""
    keyring = keyring or Keyring(LAB, "Z1")
    for _, before, after in ahead(keyring, EPOCH + DAY):
        assert_safe(before, after)
        keyring = after
    return keyring


def unsigned_before() -> Keyring:
    """A zone that was served unsigned, and is to be signed."""
    return evolve(new_unsigned(LAB, "Z1", True, HIGH, EPOCH), SigningEnabled(EPOCH))


def activation() -> tuple[int, Keyring, Keyring]:
    """The time at which a second ZSK is activated, and the keyrings before and after."""
    for at, before, after in ahead(signed(), EPOCH + 30 * DAY, EPOCH + DAY):
        if after.active_zsk is not None and after.active_zsk.sequence == 2:
            return at, before, after
    raise AssertionError("no rollover")


def with_second_zsk(keyring: Keyring, **changed: int | None) -> Keyring:
    return replace(keyring, zsks=tuple(replace(z, **changed) if z.sequence == 2 else z for z in keyring.zsks))


def test_a_regular_rollover_is_safe() -> None:
    for _, before, after in ahead(signed(), EPOCH + 40 * DAY, EPOCH + DAY):
        assert_safe(before, after)


@pytest.mark.parametrize("early", [1, HOUR])
def test_a_zsk_is_not_activated_by_a_ready_that_is_early(early: int) -> None:
    at, before, _ = activation()
    ready = before.zsk(2).ready
    assert ready is not None
    before = with_second_zsk(before, ready=ready - early)
    with pytest.raises(UnsafeTransitionError, match="too early"):
        assert_safe(before, evolve(before, ZskActivated(at - early, 2)))


def test_a_zsk_is_not_activated_before_it_is_published() -> None:
    at, before, _ = activation()
    before = with_second_zsk(before, ready=at - HOUR, out=None)
    with pytest.raises(UnsafeTransitionError, match="without having been published"):
        assert_safe(before, evolve(before, ZskActivated(at, 2)))


def test_a_zone_has_two_ksks_at_most() -> None:
    keyring = evolve(signed(), KskIntended(EPOCH + DAY, "second", "token2", None))
    assert_safe(signed(), keyring)
    with pytest.raises(UnsafeTransitionError, match="3 KSKs"):
        assert_safe(keyring, evolve(keyring, KskIntended(EPOCH + DAY, "third", "token3", None)))


def before_publication(keyring: Keyring) -> tuple[int, Keyring]:
    """The keyring whose first keyset is stored, and not known to be out."""
    for at, before, _ in ahead(keyring, EPOCH + HOUR):
        if before.keyset is not None:
            return at, before
    raise AssertionError("no keyset")


def _early(keyring: Keyring) -> Keyring:
    return replace(keyring, ksks=tuple(replace(k, ready=(k.ready or 0) - HOUR) for k in keyring.ksks))


def _short(keyring: Keyring) -> Keyring:
    ksks = tuple(replace(k, ready=(k.ready or 0) - HOUR, unseen=k.unseen - HOUR) for k in keyring.ksks)
    return replace(keyring, ksks=ksks)


def _out_early(keyring: Keyring) -> Keyring:
    ksks = tuple(replace(k, ready=(k.ready or 0) - HOUR, out=(k.out or 0) - HOUR) for k in keyring.ksks)
    return replace(keyring, ksks=ksks)


def _unsigned_forgotten(keyring: Keyring) -> Keyring:
    return replace(keyring, unsigned_since=None)


def _unsigned_ttl_forgotten(keyring: Keyring) -> Keyring:
    return replace(keyring, unsigned_ttl=0)


def _mark_forgotten(keyring: Keyring) -> Keyring:
    return replace(keyring, cached_until=0)


@pytest.mark.parametrize(
    "wrong", [_early, _short, _out_early, _unsigned_forgotten, _unsigned_ttl_forgotten, _mark_forgotten]
)
def test_a_ksk_waits_for_what_was_served_unsigned(wrong: Callable[[Keyring], Keyring]) -> None:
    at, before = before_publication(unsigned_before())
    after = evolve(before, Published(at))
    assert_safe(before, after)
    assert after.ksks[0].ready == at + POLICY.propagation + HIGH
    with pytest.raises(UnsafeTransitionError):
        assert_safe(before, wrong(after))


def test_the_first_keyset_does_not_forget_what_was_served_unsigned() -> None:
    for _, before, after in ahead(unsigned_before(), EPOCH + HOUR):
        if before.keyset is None and after.keyset is not None:
            with pytest.raises(UnsafeTransitionError, match="is forgotten"):
                assert_safe(before, replace(after, unconfirmed=HIGH - 1))
            return
    raise AssertionError("no keyset")


def test_the_first_keyset_does_not_forget_what_another_server_answered() -> None:
    policy = replace(POLICY, earlier_ttl=HIGH)
    before = Keyring(LAB, "Z1")
    for _, _, after in steps(before, policy, EPOCH, EPOCH + HOUR):
        if before.keyset is None and after.keyset is not None:
            assert_safe(before, after)
            with pytest.raises(UnsafeTransitionError, match="is forgotten"):
                assert_safe(before, replace(after, unconfirmed=HIGH - 1))
            return
        before = after
    raise AssertionError("no keyset")


def test_an_unsigned_answer_needs_the_fact_stored() -> None:
    keyring = Keyring(LAB, "Z1", data_ttl=HOUR)
    with pytest.raises(UnsafeTransitionError, match="served unsigned"):
        assert_safe(keyring, replace(keyring, signing=False))
    with pytest.raises(UnsafeTransitionError, match="TTL"):
        assert_safe(keyring, replace(keyring, signing=False, unsigned_since=EPOCH))
    assert_safe(keyring, evolve(keyring, SigningDisabled(EPOCH)))


def named(keyring: Keyring, at: int) -> Keyring:
    return evolve(keyring, ParentSeen(at, ("ksk_1",), HOUR))


@pytest.mark.parametrize(
    ("looks", "at", "safe"),
    [
        ([("ksk_1",)], 90 * DAY, False),  # the DS stands
        ([("ksk_1",), ()], 300 + HOUR, False),  # a cache may hold DNSKEYs that the last DS led to
        ([("ksk_1",), ()], 300 + 2 * HOUR - 1, False),
        ([("ksk_1",), ()], 300 + 2 * HOUR, True),
        ([], 0, True),
    ],
)
def test_signing_does_not_end_while_a_ds_may_lead_to_it(looks: list[tuple[str, ...]], at: int, safe: bool) -> None:
    keyring = signed()
    gone = EPOCH + DAY + 60
    for names in looks:
        before, keyring = keyring, evolve(keyring, ParentSeen(gone, names, HOUR))
        assert_safe(before, keyring)
    events: list[Event] = [SigningDisabled(gone + at), SigningDisabled(gone + at, forced=True)]
    if safe:
        assert_safe(keyring, evolve(keyring, events[0]))
    else:
        with pytest.raises(UnsafeTransitionError, match="signing ends while a DS"):
            assert_safe(keyring, evolve(keyring, events[0]))
    assert_safe(keyring, evolve(keyring, events[1]))


@pytest.mark.parametrize("forced", [False, True])
def test_what_the_ds_of_a_deleted_ksk_led_to_outlasts_it(forced: bool) -> None:
    before = named(signed(), EPOCH + DAY)
    at = EPOCH + 3 * DAY
    if not forced:
        before = evolve(before, ParentSeen(EPOCH + 2 * DAY, (), 0))
        at = before.ksk("ksk_1").ds_until or 0
    after = evolve(before, KskDeleted(at, "ksk_1"))
    gone = at + 300 + HOUR if forced else at  # by force, the DS may have been there until just now
    assert after.deleted_ds_until == gone
    _ds_forgotten(before, after)
    with pytest.raises(UnsafeTransitionError, match="ksk_1 was deleted, and its DS is forgotten"):
        _ds_forgotten(before, replace(after, deleted_ds_until=gone - 1))
    with pytest.raises(UnsafeTransitionError, match="deleted KSK became shorter"):
        _ds_forgotten(after, replace(after, deleted_ds_until=gone - 1))
    with pytest.raises(UnsafeTransitionError, match="may have led to a deleted KSK"):
        _ds_forgotten(after, evolve(after, SigningDisabled(gone + HOUR - 1)))
    _ds_forgotten(after, evolve(after, SigningDisabled(gone + HOUR)))
    _ds_forgotten(after, evolve(after, SigningDisabled(gone, forced=True)))


def test_the_wait_for_a_ds_that_is_gone_is_not_forgotten() -> None:
    keyring = named(signed(), EPOCH + DAY)
    gone = evolve(keyring, ParentSeen(EPOCH + 2 * DAY, (), 0))
    assert_safe(keyring, gone)
    early = replace(gone, ksks=tuple(replace(k, ds_until=EPOCH + 2 * DAY) for k in gone.ksks))
    with pytest.raises(UnsafeTransitionError, match="DS of ksk_1"):
        assert_safe(keyring, early)


def test_a_ds_names_a_first_ksk_at_once_only_if_the_zone_was_never_served_unsigned() -> None:
    keyring = signed()
    rdata = keyring.ksks[0].rdata
    assert_nameable(keyring, (rdata,), EPOCH)
    keyring = signed(unsigned_before())
    ready = keyring.ksks[0].ready
    assert ready is not None
    assert keyring.delegation(ready - 1) == ()
    assert keyring.delegation(ready) == (keyring.ksks[0],)
    assert_nameable(keyring, (rdata,), ready)
    with pytest.raises(UnsafeTransitionError, match="may know nothing of it"):
        assert_nameable(keyring, (rdata,), ready - 1)
    with pytest.raises(UnsafeTransitionError, match="not in the DNSKEY RRset"):
        assert_nameable(Keyring(LAB, "Z1"), (ds_rdata(LAB, rdata),), ready)


def test_a_higher_ttl_of_an_unsigned_zone_is_kept() -> None:
    keyring = new_unsigned(LAB, "Z1", None, HOUR, EPOCH)
    higher = evolve(keyring, ServedUnsigned(EPOCH + DAY, HIGH))
    assert (higher.unsigned_since, higher.unsigned_ttl) == (EPOCH, HIGH)
    assert_safe(keyring, higher)
    with pytest.raises(UnsafeTransitionError, match="TTL of what is served unsigned"):
        assert_safe(higher, replace(higher, unsigned_ttl=HOUR))
