"""Whether a zone is signed: what the configuration changes, and what keyrings of earlier versions say."""

from __future__ import annotations

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import msgspec
import pytest
from msgspec.structs import replace

from keys.dnssec.ds import ds_rdata, names_key
from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.rules.events import (
    ClockJumped,
    ClockTrusted,
    Event,
    Observed,
    ServedUnsigned,
    SigningConfigured,
    SigningDisabled,
    SigningEnabled,
)
from keys.rules.forecast import steps
from keys.rules.keyring import Keyring, Ksk, KskStatus, Zsk
from keys.rules.signedness import (
    as_configured,
    disablable_at,
    is_to_be_disabled,
    lowered_ttl,
    new_unsigned,
    of_earlier_version,
    unsigned_news,
)
from keys.rules.transitions import evolve
from tests.keys.rules.test_next_action import SIGNED as WITH_KEYS
from tests.keys.world import EPOCH, LAB

SIGNED = Keyring(LAB, "Z1", configured=True)
UNSIGNED = new_unsigned(LAB, "Z1", False, HOUR, EPOCH)


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


@pytest.mark.parametrize(
    ("keyring", "configured", "events"),
    [
        (SIGNED, True, []),
        (SIGNED, None, ["SigningConfigured"]),  # it is hosted now
        (UNSIGNED, None, ["SigningConfigured"]),
        (SIGNED, False, []),  # the parent's DS is asked first
        (UNSIGNED, False, []),
        (UNSIGNED, True, ["SigningConfigured", "SigningEnabled"]),
        (replace(SIGNED, configured=None), True, ["SigningConfigured"]),
        (replace(UNSIGNED, configured=None), True, ["SigningConfigured", "SigningEnabled"]),  # it was hosted
        (evolve(SIGNED, SigningDisabled(EPOCH)), True, []),  # as a person ordered
        (evolve(SIGNED, SigningDisabled(EPOCH)), False, ["SigningConfigured"]),
        # Of an earlier version: what was in force stays.
        (Keyring(LAB, "Z1", version=3), True, ["SigningConfigured"]),
        (Keyring(LAB, "Z1", version=3, signing=False), True, ["SigningConfigured"]),
        (Keyring(LAB, "Z1", version=3), False, ["SigningConfigured", "SigningDisabled"]),
        (Keyring(LAB, "Z1", version=3, signing=False), False, ["SigningConfigured"]),
    ],
)
def test_what_the_setting_changes(keyring: Keyring, configured: bool | None, events: list[str]) -> None:
    found = as_configured(keyring, configured, EPOCH)
    assert names(found) == events
    for event in found:
        keyring = evolve(keyring, event)
    if events:
        assert as_configured(keyring, configured, EPOCH) == []
        assert not is_to_be_disabled(keyring, configured)


def test_only_a_signed_zone_is_to_be_disabled() -> None:
    assert is_to_be_disabled(SIGNED, False)
    assert not is_to_be_disabled(SIGNED, True)
    assert not is_to_be_disabled(SIGNED, None)
    assert not is_to_be_disabled(UNSIGNED, False)


def test_a_zone_that_was_never_answered_unsigned_is_servfail_until_its_first_keyset() -> None:
    assert not SIGNED.served_unsigned
    enabled = evolve(UNSIGNED, SigningEnabled(EPOCH + DAY))
    assert enabled.served_unsigned
    for _, _, keyring in steps(enabled, Policy(), EPOCH + DAY, EPOCH + 2 * DAY):
        assert keyring.served_unsigned == (keyring.keyset is None)


def test_since_when_it_was_served_unsigned_is_never_forgotten() -> None:
    keyring = UNSIGNED
    events = (
        SigningEnabled(EPOCH + 1),
        SigningDisabled(EPOCH + 2),
        ServedUnsigned(EPOCH + 3, DAY),
        SigningConfigured(EPOCH + 4, False),
        Observed(EPOCH + 5, 60, 0, 0, settled=True),
    )
    for event in events:
        keyring = evolve(keyring, event)
        assert keyring.unsigned_since == EPOCH
    # What was lowered is remembered as long as caches may hold it.
    assert (keyring.unsigned_ttl, keyring.data_cached_until) == (60, EPOCH + 5 + DAY)


def test_a_lower_ttl_makes_the_wait_shorter_once_caches_have_dropped_the_higher() -> None:
    (event,) = lowered_ttl(UNSIGNED, 60, EPOCH + DAY)
    keyring = evolve(UNSIGNED, event)
    assert lowered_ttl(keyring, 60, EPOCH + DAY) == []
    policy = Policy()
    for at, signed_at in ((EPOCH + DAY + 1, EPOCH + DAY + HOUR), (EPOCH + 9 * DAY, EPOCH + 9 * DAY + 300 + 60)):
        enabled = evolve(keyring, SigningEnabled(at))
        for _, _, after in steps(enabled, policy, at, at + HOUR):
            signed = after
        assert signed.ksks[0].ready == signed_at


def test_a_first_signing_waits_for_what_another_server_answered() -> None:
    policy = Policy(earlier_ttl=DAY)
    for _, _, after in steps(Keyring(LAB, "Z1"), policy, EPOCH, EPOCH + HOUR):
        keyring = after
    assert keyring.ksks[0].ready == EPOCH + 300 + DAY
    assert keyring.delegation(EPOCH + 300 + DAY - 1) == ()
    # Of a zone that is signed, nothing of that kind can come.
    for _, _, after in steps(keyring, Policy(earlier_ttl=7 * DAY), EPOCH + HOUR, EPOCH + 2 * HOUR):
        assert after.earlier_ttl == DAY


def old(**fields: object) -> Keyring:
    """A keyring as version 3 stored it."""
    document = msgspec.json.decode(msgspec.json.encode(Keyring(LAB, "Z1", version=3)))
    new = ("configured", "unsigned_since", "unsigned_ttl", "unsigned_by_force", "earlier_ttl", "foreign_ds")
    for name in new:
        del document[name]
    return of_earlier_version(msgspec.convert({**document, **fields}, Keyring))


@pytest.mark.parametrize(
    ("fields", "unsigned"),
    [({}, False), ({"signing": False}, True), ({"enabled": True}, True)],
)
def test_an_earlier_keyring_is_served_as_it_was(fields: dict[str, object], unsigned: bool) -> None:
    keyring = old(**fields, newest=EPOCH, data_ttl=HOUR)
    assert keyring.served_unsigned is unsigned
    assert (keyring.unsigned_since, keyring.unsigned_ttl) == ((EPOCH, HOUR) if unsigned else (None, 0))


def test_the_waits_of_an_earlier_keyring_are_facts_now() -> None:
    for _, _, after in steps(Keyring(LAB, "Z1"), Policy(), EPOCH, EPOCH + HOUR):
        keyring = after
    (ksk,) = keyring.ksks
    earlier = replace(keyring, version=3, ksks=(replace(ksk, out=None, unseen=0),))
    (read,) = of_earlier_version(earlier).ksks
    assert read.out is not None
    assert read.out + read.unseen == ksk.ready


@pytest.mark.parametrize("digest_type", [1, 2, 4, 77])
def test_a_ds_names_a_key_by_whichever_digest_the_parent_has_chosen(digest_type: int) -> None:
    for _, _, after in steps(Keyring(LAB, "Z1"), Policy(), EPOCH, EPOCH + HOUR):
        keyring = after
    dnskey = keyring.ksks[0].rdata
    name = dns.name.from_wire(LAB, 0)[0]
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.DNSKEY, dnskey, 0, len(dnskey))
    ds: bytes | None = ds_rdata(LAB, dnskey)[:3] + bytes([77]) + bytes(20)
    if digest_type != 77:
        digest = dns.dnssectypes.DSDigest(digest_type)
        ds = dns.dnssec.make_ds(name, rdata, digest, policy=dns.dnssec.allow_all_policy).to_wire()
    assert ds is not None
    assert names_key(ds, LAB, dnskey)
    assert not names_key(ds, LAB, dnskey[:-1] + bytes([dnskey[-1] ^ 1]))
    if digest_type != 77:
        assert not names_key(ds[:-1] + bytes([ds[-1] ^ 1]), LAB, dnskey)


@pytest.mark.parametrize(("left", "then"), [(30 * DAY, 30 * DAY), (3 * DAY, 7 * DAY + 300)])
def test_a_clock_that_is_trusted_cuts_no_wait_for_a_ttl_beyond_a_week(left: int, then: int) -> None:
    """What was served unsigned, or by another server, or is a DS, may have any TTL."""
    ahead = EPOCH + 365 * DAY
    ksk = Ksk("ksk_1", "token", KskStatus.ACTIVE, ahead, published=ahead, out=ahead, ready=ahead + left, unseen=left)
    before = replace(
        SIGNED,
        newest=ahead,
        propagation=300,
        cached_until=ahead + left,
        data_cached_until=ahead + left,
        deleted_ds_until=ahead + left,
        ksks=(replace(ksk, ds_until=ahead + left),),
    )
    after = evolve(before, ClockTrusted(EPOCH))
    assert (after.cached_until, after.data_cached_until) == (EPOCH + then, EPOCH + then)
    assert after.deleted_ds_until == EPOCH + then
    assert (after.ksks[0].ready, after.ksks[0].ds_until) == (EPOCH + then, EPOCH + then)


def test_a_clock_that_jumps_moves_the_wait_for_what_the_ds_of_a_deleted_ksk_led_to() -> None:
    assert WITH_KEYS.keyset is not None
    led_to = max(WITH_KEYS.keyset_ttl, WITH_KEYS.keyset.ttl)
    for until, moved in ((EPOCH + 1 - led_to, 90), (EPOCH - led_to, 0)):
        before = replace(WITH_KEYS, deleted_ds_until=until)
        after = evolve(before, ClockJumped(EPOCH + 90, 90))
        assert after.deleted_ds_until == until + moved
        assert (after.waits != before.waits) >= bool(moved)  # so that it is stored


def test_a_clock_that_is_trusted_makes_no_later_ksk_the_first_one() -> None:
    """The first KSK of a zone that was never served unsigned is named at once, and no other."""
    ahead = EPOCH + 365 * DAY
    first, second = (
        Ksk(f"ksk_{number}", "token", KskStatus.ACTIVE, at, published=at, out=at, ready=at + HOUR, unseen=HOUR)
        for number, at in ((1, ahead), (2, ahead + DAY))
    )
    zsk = Zsk(1, b"p" * 64, ahead, published=ahead, activated=ahead)
    before = replace(SIGNED, newest=ahead + DAY, ksks=(first, second), zsks=(zsk,))
    assert [before.nameable_at(ksk) for ksk in before.ksks] == [0, ahead + DAY + HOUR]
    after = evolve(before, ClockTrusted(EPOCH))
    assert after.nameable_at(after.ksks[0]) == 0
    assert (after.nameable_at(after.ksks[1]) or 0) > EPOCH + HOUR


# The parts of the rules


def test_a_longer_propagation_of_an_unsigned_zone_is_news() -> None:
    keyring = new_unsigned(LAB, "Z1", False, 300, EPOCH, 60)
    assert unsigned_news(keyring, 300, EPOCH + 9, 60) == []
    assert unsigned_news(keyring, 300, EPOCH + 9, 61) == [ServedUnsigned(EPOCH + 9, 300, 61)]
    assert unsigned_news(keyring, 301, EPOCH + 9, 60) == [ServedUnsigned(EPOCH + 9, 301, 60)]


def test_a_wish_that_was_carried_out_ends_no_signing_that_a_person_ordered_since() -> None:
    assert is_to_be_disabled(replace(SIGNED, configured=True), False)
    assert not is_to_be_disabled(replace(SIGNED, configured=False), False)
    assert not is_to_be_disabled(replace(SIGNED, configured=True), None)
    assert not is_to_be_disabled(replace(SIGNED, configured=True, signing=False), False)


def test_signing_can_be_disabled_once_caches_have_dropped_what_the_ds_led_to() -> None:
    (ksk,) = WITH_KEYS.ksks
    assert WITH_KEYS.keyset is not None
    led_to = max(WITH_KEYS.keyset_ttl, WITH_KEYS.keyset.ttl)
    assert led_to > 0
    assert disablable_at(replace(WITH_KEYS, ksks=(replace(ksk, ds_named=True, ds_until=EPOCH),))) is None
    assert disablable_at(replace(WITH_KEYS, ksks=(replace(ksk, ds_until=EPOCH),))) == EPOCH + led_to
    assert disablable_at(WITH_KEYS) == 0
    assert disablable_at(replace(WITH_KEYS, deleted_ds_until=EPOCH)) == EPOCH + led_to
