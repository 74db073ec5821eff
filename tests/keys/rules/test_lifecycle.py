from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from keys.dnssec.model import DAY, HOUR, Policy, PolicyError
from keys.rules.events import (
    ActivateZsk,
    ClockJumped,
    ConfirmPublished,
    Event,
    GenerateZsk,
    IntendKsk,
    KeysetSigned,
    KmsFailed,
    KskCreated,
    KskIntended,
    KskLearned,
    LearnKsk,
    MakeKsk,
    Observed,
    ObservePolicy,
    Published,
    SignKeyset,
    TriedAgain,
    ZskActivated,
    ZskGenerated,
    entry,
)
from keys.rules.lifecycle import RULES, evolve, plan, retry_delay
from keys.rules.refresh import keyset_request, next_refresh, wanted_zsks
from keys.rules.ring import KskStatus, Ring, ZskPhase, hosted_zone_id, zsk_phase
from keys.rules.rollover import removals
from keys.rules.safety import UnsafeTransitionError, assert_safe
from keys.rules.spread import spread
from tests.keys.world import EPOCH, LAB, POLICY

ARN = "arn:aws:kms:us-east-1:000000000000:key/1"
POINT = bytes(range(64))
OTHER_POINT = bytes(range(1, 65))
NEW = Ring(LAB, "Z1")


def after(ring: Ring, *events: Event) -> Ring:
    for event in events:
        before, ring = ring, evolve(ring, event)
        assert_safe(before, ring)
    return ring


def signed(ring: Ring, at: int, policy: Policy = POLICY) -> KeysetSigned:
    request = keyset_request(ring, policy, at)
    keyset = request.signed(tuple(slot.signed(bytes(64)) for slot in request.slots))
    return KeysetSigned(at, keyset)


OBSERVED = after(NEW, Observed(EPOCH, 0, POLICY.window, POLICY.propagation, False))
BEGUN = after(
    OBSERVED,
    KskIntended(EPOCH, "ksk_1", "token", None),
    KskCreated(EPOCH, "ksk_1", ARN),
    KskLearned(EPOCH, "ksk_1", POINT),
    ZskGenerated(EPOCH, 1, OTHER_POINT),
)
SIGNED = after(BEGUN, signed(BEGUN, EPOCH), Published(EPOCH))


def failure(at: int, code: str = "ThrottlingException") -> KmsFailed:
    return KmsFailed(at, "ksk_1", "Sign", code, "slow down", "request", False)


def test_a_first_start_step_by_step() -> None:
    assert plan(NEW, POLICY, EPOCH).action == ObservePolicy("the policy says so", POLICY.window, POLICY.propagation)
    ring = OBSERVED
    step = plan(ring, POLICY, EPOCH)
    assert isinstance(step.action, IntendKsk)
    assert (step.action.name, step.action.arn) == ("ksk_1", None)
    ring = after(ring, KskIntended(EPOCH, "ksk_1", "token", None))
    assert isinstance(plan(ring, POLICY, EPOCH).action, MakeKsk)
    ring = after(ring, KskCreated(EPOCH, "ksk_1", ARN))
    assert isinstance(plan(ring, POLICY, EPOCH).action, LearnKsk)
    ring = after(ring, KskLearned(EPOCH, "ksk_1", POINT))
    assert plan(ring, POLICY, EPOCH).action == GenerateZsk("the zone has no ZSK", 1)
    ring = after(ring, ZskGenerated(EPOCH, 1, OTHER_POINT))
    assert plan(ring, POLICY, EPOCH).action == SignKeyset("the zone has no signed DNSKEY RRset")
    ring = after(ring, signed(ring, EPOCH))
    assert plan(ring, POLICY, EPOCH).action == ConfirmPublished("the new keys are published")
    ring = after(ring, Published(EPOCH))
    step = plan(ring, POLICY, EPOCH)
    assert step.action is None
    assert step.wake_at == next_refresh(LAB, EPOCH, POLICY)


def test_a_ksk_of_the_configuration_is_not_made() -> None:
    step = plan(OBSERVED, POLICY, EPOCH, ARN)
    assert step.action == IntendKsk("the configuration names the KSK", "ksk_1", ARN)
    ring = after(OBSERVED, KskIntended(EPOCH, "ksk_1", "token", ARN))
    assert isinstance(plan(ring, POLICY, EPOCH, ARN).action, LearnKsk)
    # As long as it is not known, it can be replaced, also by one that is to be made.
    for wanted in (None, "arn:other"):
        action = plan(ring, POLICY, EPOCH, wanted).action
        assert isinstance(action, IntendKsk)
        assert action.arn == wanted
    replaced = after(ring, KskIntended(EPOCH + 1, "ksk_1", "token2", None))
    assert [(k.intent, k.arn, k.brought) for k in replaced.ksks] == [("token2", None, False)]
    # From then on it can't.
    assert plan(SIGNED, POLICY, EPOCH, "arn:other").action is None


def test_a_ksk_that_was_asked_for_is_not_the_configurations_to_replace() -> None:
    ring = after(OBSERVED, KskIntended(EPOCH, "mine", "token", ARN, asked=True))
    assert plan(ring, POLICY, EPOCH).action == LearnKsk("the public key of the KSK is not known", "mine")


def test_a_zsk_is_made_while_the_ksk_waits() -> None:
    ring = after(OBSERVED, KskIntended(EPOCH, "ksk_1", "token", None), failure(EPOCH))
    assert isinstance(plan(ring, POLICY, EPOCH).action, GenerateZsk)


def test_every_rule_acts_in_some_state() -> None:
    """The table has no rule that a test never sees."""
    assert len(RULES) == 11


def test_the_first_zsk_signs_from_its_publication_on() -> None:
    (zsk,) = SIGNED.zsks
    assert (zsk.published, zsk.activated, zsk.retired, zsk.removed) == (EPOCH, EPOCH, None, None)
    assert zsk_phase(zsk, EPOCH) is ZskPhase.ACTIVE
    (ksk,) = SIGNED.ksks
    assert (ksk.published, ksk.ready) == (EPOCH, EPOCH + POLICY.propagation)


@given(st.integers(EPOCH, EPOCH + 100 * DAY), st.binary(min_size=1, max_size=20))
def test_refresh_times_are_one_refresh_apart_and_never_further_off(refreshed: int, label: bytes) -> None:
    origin = bytes([len(label)]) + label + b"\x00"
    first = next_refresh(origin, refreshed, POLICY)
    half = POLICY.refresh // 2
    assert refreshed + half < first <= refreshed + half + POLICY.refresh
    assert next_refresh(origin, first, POLICY) == first + POLICY.refresh
    assert next_refresh(origin, first - half - 1, POLICY) == first


def test_refresh_times_are_spread_over_zones() -> None:
    hours = {next_refresh(b"\x04%04d\x00" % number, EPOCH, POLICY) // HOUR for number in range(500)}
    assert len(hours) in {24, 25}


def test_a_keyset_is_signed_anew_when_the_policy_or_the_clock_ask_for_it() -> None:
    assert plan(SIGNED, POLICY, EPOCH + HOUR).action is None
    assert plan(SIGNED, POLICY, EPOCH + HOUR).wake_at == next_refresh(LAB, EPOCH, POLICY)
    for policy in (Policy(dnskey_ttl=300), Policy(margin=1800), Policy(slot=DAY)):
        assert plan(SIGNED, policy, EPOCH + HOUR).action == SignKeyset("the policy has changed")
    for now in (EPOCH - 9 * HOUR, EPOCH + 5 * DAY, EPOCH + 10 * DAY):
        assert plan(SIGNED, POLICY, now).action == SignKeyset("no signed slot holds the present time")


def test_a_keyset_is_signed_anew_when_the_rrset_changes() -> None:
    ring = after(SIGNED, ZskGenerated(EPOCH + 60, 2, bytes(64)))
    assert plan(ring, POLICY, EPOCH + 60).action == SignKeyset("the DNSKEY RRset changes")
    ring = after(ring, signed(ring, EPOCH + 60))
    first, second = ring.zsks
    assert first.activated == EPOCH
    assert (second.published, second.activated, second.ready) == (EPOCH + 60, None, None)
    # The disk was slow: what counts is when it was published.
    ring = after(ring, Published(EPOCH + 70))
    _, second = ring.zsks
    assert second.ready == EPOCH + 70 + POLICY.propagation + HOUR
    assert zsk_phase(second, second.ready - 1) is ZskPhase.PUBLISHED
    assert zsk_phase(second, second.ready) is ZskPhase.READY


def test_lowering_the_ttl_does_not_shorten_the_wait_for_what_was_served_before() -> None:
    """High-water mark: the RRset of a day's TTL is in caches for a day after it was replaced."""
    long, short = Policy(dnskey_ttl=DAY), Policy(dnskey_ttl=60)
    ring = after(BEGUN, signed(BEGUN, EPOCH, long))
    ring = after(ring, Published(EPOCH), signed(ring, EPOCH + HOUR, short), Published(EPOCH + HOUR))
    gone = EPOCH + HOUR + long.propagation + DAY
    assert ring.cached_until == gone
    ring = after(ring, ZskGenerated(EPOCH + 2 * HOUR, 2, bytes(64)))
    ring = after(ring, signed(ring, EPOCH + 2 * HOUR, short), Published(EPOCH + 2 * HOUR))
    assert ring.zsks[1].ready == gone


@given(st.integers(0, 10_000), st.binary(max_size=10))
def test_retries_are_capped_and_spread(attempts: int, origin: bytes) -> None:
    delay = retry_delay(origin, attempts, POLICY)
    longest = min(POLICY.retry_most, POLICY.retry * 2 ** max(0, attempts - 1))
    assert delay <= longest
    assert delay >= (longest // 2 if attempts else 0)


def test_a_failure_delays_the_next_try_and_a_success_ends_it() -> None:
    at = next_refresh(LAB, EPOCH, POLICY)
    ring = after(SIGNED, failure(at), failure(at + 10), failure(at + 30, "KMSInternalException"))
    trouble = ring.ksks[0].trouble
    assert trouble is not None
    assert (trouble.since, trouble.at, trouble.attempts, trouble.code) == (at, at + 30, 3, "KMSInternalException")
    step = plan(ring, POLICY, at + 30)
    assert step.action is None
    assert step.wake_at == at + 30 + retry_delay(LAB, 3, POLICY)
    assert isinstance(plan(ring, POLICY, step.wake_at).action, SignKeyset)
    # A clock set back behind the failure delays nothing.
    assert isinstance(plan(ring, POLICY, at + 29).action, SignKeyset)
    # Somebody asks to try again.
    assert isinstance(plan(after(ring, TriedAgain(at + 31)), POLICY, at + 31).action, SignKeyset)
    assert after(ring, signed(ring, at + 60)).ksks[0].trouble is None


def test_the_request_asks_for_this_slot_and_fourteen_more() -> None:
    request = keyset_request(BEGUN, POLICY, EPOCH + 9 * HOUR)
    assert [slot.window.start for slot in request.slots] == [EPOCH + (8 + 8 * i) * HOUR for i in range(15)]
    assert request.rdatas == tuple(sorted((BEGUN.ksks[0].rdata, BEGUN.zsks[0].rdata)))
    # RFC 4034 §3.1.8.1: the RRSIG rdata without the signature comes first.
    for slot in request.slots:
        assert slot.message.startswith(slot.prefix)
        assert slot.window.inception == slot.window.start - HOUR
        assert slot.window.expiration == slot.window.end + 2 * HOUR


def test_unknown_events_and_keys_are_refused() -> None:
    with pytest.raises(TypeError):
        evolve(NEW, Event(EPOCH))
    with pytest.raises(KeyError):
        evolve(NEW, KskCreated(EPOCH, "ksk_9", ARN))


def without_ksk(ring: Ring) -> Ring:
    return replace(ring, ksks=())


def other_ksk(ring: Ring) -> Ring:
    return replace(ring, ksks=(replace(ring.ksks[0], public_key=OTHER_POINT),))


def without_zsk(ring: Ring) -> Ring:
    return replace(ring, zsks=())


def earlier_zsk(ring: Ring) -> Ring:
    return replace(ring, zsks=(replace(ring.zsks[0], activated=EPOCH - 1),))


def two_active(ring: Ring) -> Ring:
    ring = after(ring, ZskGenerated(EPOCH, 2, bytes(64)))
    ring = after(ring, signed(ring, EPOCH))
    return replace(ring, zsks=(ring.zsks[0], replace(ring.zsks[1], activated=EPOCH)))


def too_early(ring: Ring) -> Ring:
    ring = after(ring, ZskGenerated(EPOCH, 2, bytes(64)))
    ring = after(ring, signed(ring, EPOCH), Published(EPOCH))
    first, second = ring.zsks
    assert second.ready is not None
    at = second.ready - 1
    return replace(ring, zsks=(replace(first, retired=at), replace(second, activated=at)))


def without_keyset(ring: Ring) -> Ring:
    return replace(ring, keyset=None)


def a_slot_missing(ring: Ring) -> Ring:
    assert ring.keyset is not None
    second = replace(ring.ksks[0], name="ksk_2", arn=ARN + "2", public_key=bytes(64))
    ring = replace(ring, ksks=(*ring.ksks, second))
    ring = after(ring, signed(ring, EPOCH))
    assert ring.keyset is not None
    return replace(ring, keyset=replace(ring.keyset, signatures=ring.keyset.signatures[:-1]))


def unsigned(ring: Ring) -> Ring:
    assert ring.keyset is not None
    return replace(ring, keyset=replace(ring.keyset, signatures=()))


def zsk_left_out(ring: Ring) -> Ring:
    assert ring.keyset is not None
    return replace(ring, keyset=replace(ring.keyset, rdatas=(ring.ksks[0].rdata,)))


def active_ksk_left_out(ring: Ring) -> Ring:
    assert ring.keyset is not None
    return replace(ring, keyset=replace(ring.keyset, rdatas=(ring.zsks[0].rdata,)))


def other_zone(ring: Ring) -> Ring:
    return replace(ring, hosted_zone_id="Z2")


def published(ring: Ring, at: int) -> Ring:
    """With a second ZSK that every cache knows from `ready` on."""
    ring = after(ring, ZskGenerated(at, 2, bytes(64)))
    return after(ring, signed(ring, at), Published(at))


def retired(ring: Ring) -> Ring:
    """With the second ZSK signing, and the first one's signatures in caches."""
    ring = published(ring, EPOCH + HOUR)
    ready = ring.zsk(2).ready
    assert ready is not None
    return after(ring, ZskActivated(ready, 2), Published(ready))


def test_a_zsk_leaves_not_a_second_before_caches_have_forgotten_it() -> None:
    ring = after(SIGNED, Observed(EPOCH, DAY, POLICY.window, POLICY.propagation, False))
    ring = retired(ring)
    (removable,) = [at for at, _ in removals(ring)]
    assert removable == (ring.zsk(1).superseded or 0) + POLICY.propagation + POLICY.window + DAY
    early = replace(ring, zsks=tuple(replace(z, superseded=1) if z.sequence == 1 else z for z in ring.zsks))
    gone = signed(early, removable - 1)
    assert ring.zsk(1).rdata not in gone.keyset.rdatas
    with pytest.raises(UnsafeTransitionError):
        assert_safe(ring, evolve(ring, gone))
    after(ring, signed(ring, removable))


def test_nothing_rotates_while_a_ksk_needs_action() -> None:
    refusal = KmsFailed(EPOCH + 2 * HOUR, "ksk_1", "Sign", "AccessDeniedException", "", "", True)
    ring = after(published(SIGNED, EPOCH + HOUR), refusal)
    assert ring.needing_action
    ready = ring.zsk(2).ready
    assert ready is not None
    assert not isinstance(plan(ring, POLICY, ready).action, ActivateZsk)
    with pytest.raises(UnsafeTransitionError):
        assert_safe(ring, evolve(ring, ZskActivated(ready, 2)))
    ring = after(retired(SIGNED), refusal)
    assert wanted_zsks(ring, EPOCH + 99 * DAY) == ring.zsks


def test_marks_go_down_only_where_what_they_stood_for_is_waited_for() -> None:
    ring = after(SIGNED, Observed(EPOCH, DAY, POLICY.window, POLICY.propagation, False))
    for forgetful in (
        replace(ring, data_ttl=60),
        replace(ring, window=60),
        replace(ring, propagation=0),
        replace(ring, cached_until=0),
    ):
        with pytest.raises(UnsafeTransitionError):
            assert_safe(ring, forgetful)
    lower = after(ring, Observed(EPOCH + HOUR, 60, POLICY.window, POLICY.propagation, True))
    assert lower.data_cached_until == EPOCH + HOUR + POLICY.propagation + DAY


def test_a_jump_of_the_clock_moves_every_wait_that_had_not_ended() -> None:
    ring = published(SIGNED, EPOCH + HOUR)
    ready = ring.zsk(2).ready
    assert ready is not None
    jumped = after(ring, ClockJumped(EPOCH + 2 * HOUR + DAY, DAY))
    assert jumped.zsk(2).ready == ready + DAY
    ring = retired(SIGNED)
    (removable,) = [at for at, _ in removals(ring)]
    jumped = after(ring, ClockJumped(removable - 1 + DAY, DAY))
    assert [at for at, _ in removals(jumped)] == [removable + DAY]
    # What had ended before is not begun anew.
    jumped = after(ring, ClockJumped(removable + DAY, DAY))
    assert [at for at, _ in removals(jumped)] == [removable]


@pytest.mark.parametrize(
    "change",
    [
        without_ksk,
        other_ksk,
        without_zsk,
        earlier_zsk,
        two_active,
        too_early,
        without_keyset,
        a_slot_missing,
        unsigned,
        zsk_left_out,
        active_ksk_left_out,
        other_zone,
    ],
)
def test_unsafe_transitions_are_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(UnsafeTransitionError):
        assert_safe(SIGNED, change(SIGNED))


def test_a_ring_reads_back_as_it_was_written() -> None:
    ring = after(SIGNED, failure(EPOCH + DAY))
    assert msgspec.json.decode(msgspec.json.encode(ring), type=Ring) == ring
    assert ring.ksks[0].status is KskStatus.ACTIVE


def test_log_entries_say_what_and_why_with_the_request_ids() -> None:
    assert entry(failure(5), "regular refresh").reason == "Sign for ksk_1: ThrottlingException: slow down"
    assert entry(failure(5), "").request_ids == ("request",)
    made = entry(KskCreated(7, "ksk_1", ARN), "a KSK is to be made")
    assert (made.at, made.kind) == (7, "KskCreated")
    assert ARN in made.reason


def test_spread_is_the_same_in_every_process() -> None:
    assert spread(LAB, "refresh", DAY) == 12005


def test_hosted_zone_ids_look_like_route_53s() -> None:
    made = {hosted_zone_id(f"token{number}") for number in range(50)}
    assert len(made) == 50
    for one in made:
        assert len(one) == 21
        assert one[0] == "Z"
        assert one.isalnum()
        assert one == one.upper()


@pytest.mark.parametrize("settings", [{"retry": 0}, {"retry": 10, "retry_most": 5}, {"retry_most": -1}])
def test_a_policy_that_never_or_always_retries_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(PolicyError):
        Policy(**settings)
