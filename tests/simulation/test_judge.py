"""The judge, by histories made by hand in which one thing is a second too early or too late."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keys.dnssec.dnskey_rrset import SignedDnskeyRRset, SlotSignature
from keys.dnssec.registry_numbers import FLAG_KSK
from keys.dnssec.rrsig import canonical_order, dnskey_rdata
from keys.dnssec.signature_validity import slot_window
from keys.dnssec.signing_policy import HOUR, Policy
from keys.dnssec.zone_keys import ActiveSigner, ZoneKeys
from tests.keys.world import EPOCH, LAB
from tests.lab import signer
from tests.simulation.history import DsSet, Foretold, History, Publication, Step
from tests.simulation.judge import judge

POLICY = Policy()
TTL = 2 * HOUR
KSK = dnskey_rdata(FLAG_KSK, signer(1).public_key)
OLD, NEW = signer(2), signer(3)
PUBLISHED = EPOCH + 3 * HOUR
ACTIVE = PUBLISHED + POLICY.propagation + POLICY.dnskey_ttl
REMOVED = ACTIVE - 1 + POLICY.window + TTL


def keys(zsks: tuple[bytes, ...], *signers: tuple[int, int], ksk: bytes = KSK) -> ZoneKeys:
    """Keys whose DNSKEY RRset is signed for every slot; `signers` are pairs: since when, and a key's number."""
    signatures = []
    for ahead in range(POLICY.slots):
        window = slot_window(EPOCH, POLICY, ahead)
        signatures.append(SlotSignature(ksk, *window, b"%d" % ahead))
    keyset = SignedDnskeyRRset(LAB, POLICY.dnskey_ttl, canonical_order([ksk, *zsks]), tuple(signatures))
    return ZoneKeys(keyset, tuple(ActiveSigner(since, signer(number)) for since, number in signers), POLICY)


def rollover(*, activated: int = ACTIVE, removed: int = REMOVED) -> History:
    """A ZSK rollover, without any delay but the waits."""
    history = History(LAB, HOUR, POLICY.propagation)
    history.ttls.append(Step(0, TTL))
    history.offsets.append(Step(0, 0))
    history.ds.append(DsSet(EPOCH, frozenset({KSK})))
    history.publications += [
        Publication(EPOCH, keys((OLD.rdata,), (EPOCH, 2))),
        Publication(PUBLISHED, keys((OLD.rdata, NEW.rdata), (EPOCH, 2))),
        Publication(activated, keys((OLD.rdata, NEW.rdata), (EPOCH, 2), (activated, 3))),
        Publication(removed, keys((NEW.rdata,), (activated, 3))),
    ]
    for number, publication in enumerate(history.publications):
        assert publication.keys is not None
        history.foretold.append(Foretold(publication.at, publication.keys.keyset.expiration, None, number))
    history.end = EPOCH + 3 * 24 * HOUR
    return history


def test_exact_waits_are_safe() -> None:
    assert judge(rollover()) == []


@pytest.mark.parametrize("late", [1, 1000])
def test_longer_waits_are_safe(late: int) -> None:
    assert judge(rollover(removed=REMOVED + late)) == []


def test_a_successor_that_signs_a_second_early_is_found() -> None:
    (objection,) = judge(rollover(activated=ACTIVE - 1))
    assert (
        objection
        == f"{ACTIVE - 1:.2f}–{ACTIVE:.2f}: a datum signed by a ZSK that is not in the DNSKEY RRset, both in caches"
    )


def test_a_predecessor_that_leaves_a_second_early_is_found() -> None:
    (objection,) = judge(rollover(removed=REMOVED - 1))
    assert objection.startswith(f"{REMOVED - 1:.2f}–{REMOVED:.2f}: a datum")


def _set_back(history: History) -> None:
    """Just after the old ZSK has left, a clock goes back into its last windows."""
    history.offsets += [Step(REMOVED + 1, -2 * TTL), Step(REMOVED + 60, 0)]


def test_a_clock_that_is_behind_after_a_boot_is_not_that_of_servers_that_lag() -> None:
    history = rollover()
    _set_back(history)
    (objection,) = judge(history)  # the process goes on, and some other one of its machine lags
    assert "a datum signed by a ZSK" in objection
    history.boots.append(REMOVED + 1)
    assert judge(history) == []
    history.publications[-1] = history.publications[-1]._replace(
        at=REMOVED - 1
    )  # their own clock is right all the same
    assert judge(history) != []


def _higher_ttl(history: History) -> None:
    history.ttls[:] = [Step(0, TTL + 1), Step(ACTIVE + POLICY.window, TTL)]


def _ds_for_another_ksk(history: History) -> None:
    history.ds.append(DsSet(EPOCH + HOUR, frozenset({NEW.rdata})))


def _unsigned(history: History) -> None:
    history.publications.append(Publication(EPOCH + 48 * HOUR, None))


def _unsigned_too_soon(history: History) -> None:
    """After the last cache has dropped the DS, by a second less than the TTL of the DNSKEY RRset."""
    gone = EPOCH + 47 * HOUR
    history.ds.append(DsSet(gone, frozenset()))
    held = history.ds_lag + history.ds_ttl
    history.publications.append(Publication(gone + held + POLICY.dnskey_ttl - 1, None))


def _clock_wrong(history: History) -> None:
    history.offsets.append(Step(EPOCH + HOUR, POLICY.margin + 1))


def _foretold_too_soon(history: History) -> None:
    history.foretold[0] = Foretold(EPOCH, EPOCH + 2 * HOUR, None, 0)


def _runs_out(history: History) -> None:
    history.end = EPOCH + 7 * 24 * HOUR
    history.foretold[-1] = Foretold(EPOCH + HOUR, None, None, len(history.publications) - 1)


@pytest.mark.parametrize(
    ("change", "objection"),
    [
        (_higher_ttl, "a datum signed by a ZSK"),
        (_ds_for_another_ksk, "no KSK that the DS names"),
        (_unsigned, "unsigned data while"),
        (_unsigned_too_soon, "unsigned data while DNSKEYs that a DS led to may be cached"),
        (_clock_wrong, "is valid"),
        (_foretold_too_soon, "no SERVFAIL, which was foretold"),
        (_runs_out, "SERVFAIL, foretold was None"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_what_else_is_found(change: Callable[[History], None], objection: str) -> None:
    history = rollover()
    change(history)
    found = judge(history)
    assert found
    assert all(objection in one for one in found)
