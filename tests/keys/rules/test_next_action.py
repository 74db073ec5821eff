from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from keys.dnssec.signing_policy import DAY, HOUR, Policy, PolicyError
from keys.rules.dnskey_refresh import keyset_request, next_refresh, wanted_zsks
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
from keys.rules.jitter import jitter
from keys.rules.keyring import Keyring, KskStatus, ZskPhase, hosted_zone_id, zsk_phase
from keys.rules.next_action import RULES, evolve, plan, retry_delay
from keys.rules.safety import UnsafeTransitionError, assert_safe
from keys.rules.zsk_rollover_times import removals
from tests.keys.world import EPOCH, LAB, POLICY

ARN = "arn:aws:kms:us-east-1:000000000000:key/1"
POINT = bytes(range(64))
OTHER_POINT = bytes(range(1, 65))
NEW = Keyring(LAB, "Z1")


def after(keyring: Keyring, *events: Event) -> Keyring:
    for event in events:
        before, keyring = keyring, evolve(keyring, event)
        assert_safe(before, keyring)
    return keyring


def signed(keyring: Keyring, at: int, policy: Policy = POLICY) -> KeysetSigned:
    request = keyset_request(keyring, policy, at)
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
    assert plan(NEW, POLICY, EPOCH).action == ObservePolicy("policy recorded", POLICY.window, POLICY.propagation)
    keyring = OBSERVED
    step = plan(keyring, POLICY, EPOCH)
    assert isinstance(step.action, IntendKsk)
    assert (step.action.name, step.action.arn) == ("ksk_1", None)
    keyring = after(keyring, KskIntended(EPOCH, "ksk_1", "token", None))
    assert isinstance(plan(keyring, POLICY, EPOCH).action, MakeKsk)
    keyring = after(keyring, KskCreated(EPOCH, "ksk_1", ARN))
    assert isinstance(plan(keyring, POLICY, EPOCH).action, LearnKsk)
    keyring = after(keyring, KskLearned(EPOCH, "ksk_1", POINT))
    assert plan(keyring, POLICY, EPOCH).action == GenerateZsk("the zone has no ZSK", 1)
    keyring = after(keyring, ZskGenerated(EPOCH, 1, OTHER_POINT))
    assert plan(keyring, POLICY, EPOCH).action == SignKeyset("the zone has no signed DNSKEY RRset")
    keyring = after(keyring, signed(keyring, EPOCH))
    assert plan(keyring, POLICY, EPOCH).action == ConfirmPublished("the new keys are published")
    keyring = after(keyring, Published(EPOCH))
    step = plan(keyring, POLICY, EPOCH)
    assert step.action is None
    assert step.wake_at == next_refresh(LAB, EPOCH, POLICY)


def test_a_ksk_of_the_configuration_is_not_made() -> None:
    step = plan(OBSERVED, POLICY, EPOCH, ARN)
    assert step.action == IntendKsk("the configuration names the KSK", "ksk_1", ARN)
    keyring = after(OBSERVED, KskIntended(EPOCH, "ksk_1", "token", ARN))
    assert isinstance(plan(keyring, POLICY, EPOCH, ARN).action, LearnKsk)
    # As long as it is not known, it can be replaced, also by one that is to be made.
    for wanted in (None, "arn:other"):
        action = plan(keyring, POLICY, EPOCH, wanted).action
        assert isinstance(action, IntendKsk)
        assert action.arn == wanted
    replaced = after(keyring, KskIntended(EPOCH + 1, "ksk_1", "token2", None))
    assert [(k.intent, k.arn, k.brought) for k in replaced.ksks] == [("token2", None, False)]
    # From then on it can't.
    assert plan(SIGNED, POLICY, EPOCH, "arn:other").action is None


def test_a_ksk_that_was_asked_for_is_not_the_configurations_to_replace() -> None:
    keyring = after(OBSERVED, KskIntended(EPOCH, "mine", "token", ARN, asked=True))
    assert plan(keyring, POLICY, EPOCH).action == LearnKsk("the public key of the KSK is unknown", "mine")


def test_a_zsk_is_made_while_the_ksk_waits() -> None:
    keyring = after(OBSERVED, KskIntended(EPOCH, "ksk_1", "token", None), failure(EPOCH))
    assert isinstance(plan(keyring, POLICY, EPOCH).action, GenerateZsk)


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
        assert plan(SIGNED, POLICY, now).action == SignKeyset("no signed slot covers the current time")


def test_a_keyset_is_signed_anew_when_the_rrset_changes() -> None:
    keyring = after(SIGNED, ZskGenerated(EPOCH + 60, 2, bytes(64)))
    assert plan(keyring, POLICY, EPOCH + 60).action == SignKeyset("the DNSKEY RRset changes")
    keyring = after(keyring, signed(keyring, EPOCH + 60))
    first, second = keyring.zsks
    assert first.activated == EPOCH
    assert (second.published, second.activated, second.ready) == (EPOCH + 60, None, None)
    # The disk was slow: what counts is when it was published.
    keyring = after(keyring, Published(EPOCH + 70))
    _, second = keyring.zsks
    assert second.ready == EPOCH + 70 + POLICY.propagation + HOUR
    assert zsk_phase(second, second.ready - 1) is ZskPhase.PUBLISHED
    assert zsk_phase(second, second.ready) is ZskPhase.READY


def test_lowering_the_ttl_does_not_shorten_the_wait_for_what_was_served_before() -> None:
    """High-water mark: the RRset of a day's TTL is in caches for a day after it was replaced."""
    long, short = Policy(dnskey_ttl=DAY), Policy(dnskey_ttl=60)
    keyring = after(BEGUN, signed(BEGUN, EPOCH, long))
    keyring = after(keyring, Published(EPOCH), signed(keyring, EPOCH + HOUR, short), Published(EPOCH + HOUR))
    gone = EPOCH + HOUR + long.propagation + DAY
    assert keyring.cached_until == gone
    keyring = after(keyring, ZskGenerated(EPOCH + 2 * HOUR, 2, bytes(64)))
    keyring = after(keyring, signed(keyring, EPOCH + 2 * HOUR, short), Published(EPOCH + 2 * HOUR))
    assert keyring.zsks[1].ready == gone


@given(st.integers(0, 10_000), st.binary(max_size=10))
def test_retries_are_capped_and_spread(attempts: int, origin: bytes) -> None:
    delay = retry_delay(origin, attempts, POLICY)
    longest = min(POLICY.retry_most, POLICY.retry * 2 ** max(0, attempts - 1))
    assert delay <= longest
    assert delay >= (longest // 2 if attempts else 0)


def test_a_failure_delays_the_next_try_and_a_success_ends_it() -> None:
    at = next_refresh(LAB, EPOCH, POLICY)
    keyring = after(SIGNED, failure(at), failure(at + 10), failure(at + 30, "KMSInternalException"))
    trouble = keyring.ksks[0].trouble
    assert trouble is not None
    assert (trouble.since, trouble.at, trouble.attempts, trouble.code) == (at, at + 30, 3, "KMSInternalException")
    step = plan(keyring, POLICY, at + 30)
    assert step.action is None
    assert step.wake_at == at + 30 + retry_delay(LAB, 3, POLICY)
    assert isinstance(plan(keyring, POLICY, step.wake_at).action, SignKeyset)
    # A clock set back behind the failure delays nothing.
    assert isinstance(plan(keyring, POLICY, at + 29).action, SignKeyset)
    # Somebody asks to try again.
    assert isinstance(plan(after(keyring, TriedAgain(at + 31)), POLICY, at + 31).action, SignKeyset)
    assert after(keyring, signed(keyring, at + 60)).ksks[0].trouble is None


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


def without_ksk(keyring: Keyring) -> Keyring:
    return replace(keyring, ksks=())


def other_ksk(keyring: Keyring) -> Keyring:
    return replace(keyring, ksks=(replace(keyring.ksks[0], public_key=OTHER_POINT),))


def without_zsk(keyring: Keyring) -> Keyring:
    return replace(keyring, zsks=())


def earlier_zsk(keyring: Keyring) -> Keyring:
    return replace(keyring, zsks=(replace(keyring.zsks[0], activated=EPOCH - 1),))


def two_active(keyring: Keyring) -> Keyring:
    keyring = after(keyring, ZskGenerated(EPOCH, 2, bytes(64)))
    keyring = after(keyring, signed(keyring, EPOCH))
    return replace(keyring, zsks=(keyring.zsks[0], replace(keyring.zsks[1], activated=EPOCH)))


def too_early(keyring: Keyring) -> Keyring:
    keyring = after(keyring, ZskGenerated(EPOCH, 2, bytes(64)))
    keyring = after(keyring, signed(keyring, EPOCH), Published(EPOCH))
    first, second = keyring.zsks
    assert second.ready is not None
    at = second.ready - 1
    return replace(keyring, zsks=(replace(first, retired=at), replace(second, activated=at)))


def without_keyset(keyring: Keyring) -> Keyring:
    return replace(keyring, keyset=None)


def a_slot_missing(keyring: Keyring) -> Keyring:
    assert keyring.keyset is not None
    second = replace(keyring.ksks[0], name="ksk_2", arn=ARN + "2", public_key=bytes(64))
    keyring = replace(keyring, ksks=(*keyring.ksks, second))
    keyring = after(keyring, signed(keyring, EPOCH))
    assert keyring.keyset is not None
    return replace(keyring, keyset=replace(keyring.keyset, signatures=keyring.keyset.signatures[:-1]))


def unsigned(keyring: Keyring) -> Keyring:
    assert keyring.keyset is not None
    return replace(keyring, keyset=replace(keyring.keyset, signatures=()))


def zsk_left_out(keyring: Keyring) -> Keyring:
    assert keyring.keyset is not None
    return replace(keyring, keyset=replace(keyring.keyset, rdatas=(keyring.ksks[0].rdata,)))


def active_ksk_left_out(keyring: Keyring) -> Keyring:
    assert keyring.keyset is not None
    return replace(keyring, keyset=replace(keyring.keyset, rdatas=(keyring.zsks[0].rdata,)))


def other_zone(keyring: Keyring) -> Keyring:
    return replace(keyring, hosted_zone_id="Z2")


def published(keyring: Keyring, at: int) -> Keyring:
    """With a second ZSK that every cache knows from `ready` on."""
    keyring = after(keyring, ZskGenerated(at, 2, bytes(64)))
    return after(keyring, signed(keyring, at), Published(at))


def retired(keyring: Keyring) -> Keyring:
    """With the second ZSK signing, and the first one's signatures in caches."""
    keyring = published(keyring, EPOCH + HOUR)
    ready = keyring.zsk(2).ready
    assert ready is not None
    return after(keyring, ZskActivated(ready, 2), Published(ready))


def test_a_zsk_leaves_not_a_second_before_caches_have_forgotten_it() -> None:
    keyring = after(SIGNED, Observed(EPOCH, DAY, POLICY.window, POLICY.propagation, False))
    keyring = retired(keyring)
    (removable,) = [at for at, _ in removals(keyring)]
    assert removable == (keyring.zsk(1).superseded or 0) + POLICY.propagation + POLICY.window + DAY
    early = replace(keyring, zsks=tuple(replace(z, superseded=1) if z.sequence == 1 else z for z in keyring.zsks))
    gone = signed(early, removable - 1)
    assert keyring.zsk(1).rdata not in gone.keyset.rdatas
    with pytest.raises(UnsafeTransitionError):
        assert_safe(keyring, evolve(keyring, gone))
    after(keyring, signed(keyring, removable))


def test_nothing_rotates_while_a_ksk_needs_action() -> None:
    refusal = KmsFailed(EPOCH + 2 * HOUR, "ksk_1", "Sign", "AccessDeniedException", "", "", True)
    keyring = after(published(SIGNED, EPOCH + HOUR), refusal)
    assert keyring.needing_action
    ready = keyring.zsk(2).ready
    assert ready is not None
    assert not isinstance(plan(keyring, POLICY, ready).action, ActivateZsk)
    with pytest.raises(UnsafeTransitionError):
        assert_safe(keyring, evolve(keyring, ZskActivated(ready, 2)))
    keyring = after(retired(SIGNED), refusal)
    assert wanted_zsks(keyring, EPOCH + 99 * DAY) == keyring.zsks


def test_marks_go_down_only_where_what_they_stood_for_is_waited_for() -> None:
    keyring = after(SIGNED, Observed(EPOCH, DAY, POLICY.window, POLICY.propagation, False))
    for forgetful in (
        replace(keyring, data_ttl=60),
        replace(keyring, window=60),
        replace(keyring, propagation=0),
        replace(keyring, cached_until=0),
    ):
        with pytest.raises(UnsafeTransitionError):
            assert_safe(keyring, forgetful)
    lower = after(keyring, Observed(EPOCH + HOUR, 60, POLICY.window, POLICY.propagation, True))
    assert lower.data_cached_until == EPOCH + HOUR + POLICY.propagation + DAY


def test_a_jump_of_the_clock_moves_every_wait_that_had_not_ended() -> None:
    keyring = published(SIGNED, EPOCH + HOUR)
    ready = keyring.zsk(2).ready
    assert ready is not None
    jumped = after(keyring, ClockJumped(EPOCH + 2 * HOUR + DAY, DAY))
    assert jumped.zsk(2).ready == ready + DAY
    keyring = retired(SIGNED)
    (removable,) = [at for at, _ in removals(keyring)]
    jumped = after(keyring, ClockJumped(removable - 1 + DAY, DAY))
    assert [at for at, _ in removals(jumped)] == [removable + DAY]
    # What had ended before is not begun anew.
    jumped = after(keyring, ClockJumped(removable + DAY, DAY))
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


def test_a_keyring_reads_back_as_it_was_written() -> None:
    keyring = after(SIGNED, failure(EPOCH + DAY))
    assert msgspec.json.decode(msgspec.json.encode(keyring), type=Keyring) == keyring
    assert keyring.ksks[0].status is KskStatus.ACTIVE


def test_log_entries_say_what_and_why_with_the_request_ids() -> None:
    assert entry(failure(5), "regular refresh").reason == "Sign for ksk_1: ThrottlingException: slow down"
    assert entry(failure(5), "").request_ids == ("request",)
    made = entry(KskCreated(7, "ksk_1", ARN), "the KSK needs a KMS key")
    assert (made.at, made.kind) == (7, "KskCreated")
    assert ARN in made.reason


def test_spread_is_the_same_in_every_process() -> None:
    assert jitter(LAB, "refresh", DAY) == 12005


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
