"""What is stored of zones that are served unsigned without a key manager."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import msgspec
import pytest

from keys.custody.state_database import Transaction
from keys.custody.unsigned_zones import UnsignedZone, status_of_stored, store_unsigned
from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.rules.events import SigningEnabled
from keys.rules.key_status import Condition
from keys.rules.keyring import Keyring, Ksk, KskStatus
from keys.rules.transitions import evolve
from tests.keys.world import EPOCH, LAB, KillableStore, World


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KillableStore]:
    with World(tmp_path).open_store() as opened:
        yield opened


def stored(
    store: KillableStore, *zones: tuple[int, bool | None], lowered: bool = False, at: int = EPOCH
) -> dict[bytes, Keyring]:
    """Store zones, each a highest TTL and a setting; their keyrings."""
    tokens = (f"token{number}" for number in count())
    wanted = [
        UnsignedZone(b"\x04%04d" % number + LAB if number else LAB, ttl, 300, configured, lowered)
        for number, (ttl, configured) in enumerate(zones)
    ]
    found = store_unsigned(store, wanted, lambda: next(tokens), at)
    return {origin: keyring for origin, keyring in found.items() if isinstance(keyring, Keyring)}


def test_many_zones_take_few_transactions(store: KillableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    began = 0
    writing = KillableStore.writing

    @contextmanager
    def counted(self: KillableStore) -> Iterator[Transaction]:
        nonlocal began
        began += 1
        with writing(self) as transaction:
            yield transaction

    monkeypatch.setattr(KillableStore, "writing", counted)
    found = stored(store, *[(HOUR, None)] * 1200)
    assert (len(found), began) == (1200, 3)
    assert len({keyring.hosted_zone_id for keyring in found.values()}) == 1200
    assert {keyring.origin for keyring in store.load_unsigned(list(found)).good} == set(found)
    assert not any(standing.signed for standing in store.standings().values())


def test_what_is_stored_already_is_stored_no_more(store: KillableStore) -> None:
    first = stored(store, (HOUR, False))[LAB]
    assert stored(store, (HOUR, False), at=EPOCH + DAY)[LAB] == first
    assert stored(store, (60, False), at=EPOCH + DAY)[LAB] == first  # a higher one may still be answered
    higher = stored(store, (DAY, False), at=EPOCH + DAY)[LAB]
    assert (higher.unsigned_since, higher.unsigned_ttl, higher.revision) == (EPOCH, DAY, 2)
    lowered = stored(store, (60, False), lowered=True, at=EPOCH + 2 * DAY)[LAB]
    assert (lowered.unsigned_ttl, lowered.data_cached_until) == (60, EPOCH + 3 * DAY + 300)
    assert store.load_keyring(LAB) == lowered
    kinds = [entry.kind for entry in store.events(LAB)]
    assert kinds == ["ServedUnsigned", "ServedUnsigned", "Observed"]


def test_a_signed_zone_stays_signed_whatever_its_setting_says(store: KillableStore) -> None:
    zone_id = store.hosted_zone_id(LAB, lambda: "Z1", EPOCH)
    signed = store.save(Keyring(LAB, zone_id, configured=True), [])
    assert stored(store, (HOUR, False))[LAB] == signed
    assert not signed.served_unsigned


def test_a_zone_that_is_being_enabled_is_unsigned_still(store: KillableStore) -> None:
    unsigned = stored(store, (HOUR, False))[LAB]
    store.save(evolve(unsigned, SigningEnabled(EPOCH + 1)), [])
    higher = stored(store, (DAY, True), at=EPOCH + 2)[LAB]
    assert (higher.served_unsigned, higher.unsigned_ttl, higher.configured) == (True, DAY, True)


def test_the_status_of_what_is_stored_stores_nothing(store: KillableStore) -> None:
    position = store.position
    keyring, status = status_of_stored(store, LAB, Policy(), EPOCH)
    assert (keyring.ksks, status.condition, status.unsigned_since) == ((), Condition.UNSIGNED, None)
    stored(store, (HOUR, False))
    position = store.position
    _, status = status_of_stored(store, LAB, Policy(), EPOCH)
    assert (status.condition, status.unsigned_since) == (Condition.UNSIGNED, EPOCH)
    assert store.position == position


def test_a_keyring_that_can_not_be_used_is_its_zones_alone(store: KillableStore) -> None:
    first = stored(store, (HOUR, None), (HOUR, None))[LAB]
    ksk = Ksk("ksk_1", "token", KskStatus.INACTIVE, EPOCH)
    store.save(msgspec.structs.replace(first, ksks=(ksk, ksk)), [])
    wanted = [UnsignedZone(origin, DAY, 300, None) for origin in (LAB, b"\x040001" + LAB, b"\x040002" + LAB)]
    found = store_unsigned(store, wanted, lambda: "token", EPOCH)
    assert "the keyring of lab.example. can't be used (two KSKs have one name)" in str(found[LAB])
    assert all(isinstance(found[zone.origin], Keyring) for zone in wanted[1:])
