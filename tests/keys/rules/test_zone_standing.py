"""What is known of a zone without its keyring is what its keyring says, at any time."""

from __future__ import annotations

import msgspec
import pytest

from keys.dnssec.ds import ds_rdata
from keys.rules.keyring import Keyring
from keys.rules.zone_standing import AT_ONCE, DelegatedDs, Standing, delegation_times, standing
from tests.keys.rules.test_next_action import SIGNED
from tests.keys.world import LAB


def second(**fields: object) -> Keyring:
    """A keyring with another KSK beside the first one, of the same DNSKEY RRset."""
    (first,) = SIGNED.ksks
    return msgspec.structs.replace(SIGNED, ksks=(first, msgspec.structs.replace(first, name="second", **fields)))


KEYRINGS = {
    "signed": SIGNED,
    "new": Keyring(LAB, "Z1"),
    "disabled": msgspec.structs.replace(SIGNED, signing=False),
    "enabled, and not signed yet": msgspec.structs.replace(SIGNED, enabled=True, keyset=None),
    "a KSK that caches do not know yet": second(published=1_000_000, ready=1_000_300),
    "a KSK that was withdrawn": second(withdrawn=5),
    "a KSK that was never published": second(published=None, ready=None),
    "a KSK without a public key": second(public_key=None, published=None),
    "a KSK that is not in the DNSKEY RRset": second(public_key=bytes(64)),
    "a KSK that is published and not known to be ready": second(published=1_000_000, ready=None),
}


@pytest.mark.parametrize("keyring", KEYRINGS.values(), ids=KEYRINGS.keys())
def test_the_times_are_those_of_the_keyring_itself(keyring: Keyring) -> None:
    times = delegation_times(keyring)
    served = () if keyring.keyset is None or keyring.served_unsigned else keyring.keyset.rdatas
    for now in (0, 999_999, 1_000_000, 1_000_299, 1_000_300, 1_000_301, 4_000_000_000):
        named = [ds_rdata(LAB, ksk.rdata) for ksk in keyring.delegation(now) if ksk.public_key and ksk.rdata in served]
        assert [ds.rdata for ds in times if ds.since <= now] == named
    assert standing(keyring) == Standing(not keyring.served_unsigned, times)


def test_the_first_ksk_is_named_at_once_and_a_further_one_when_it_is_ready() -> None:
    keyring = second(published=1_000_000, ready=1_000_300)
    ds = ds_rdata(LAB, SIGNED.ksks[0].rdata)
    assert delegation_times(keyring) == (DelegatedDs(ds, AT_ONCE), DelegatedDs(ds, 1_000_300))
