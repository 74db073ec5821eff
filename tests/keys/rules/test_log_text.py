"""What is read back from the reasons of the event log is what was written."""

from __future__ import annotations

import pytest

from keys.custody.key_event_log import entries
from keys.rules.events import (
    Event,
    KmsFailed,
    KskCreated,
    KskDeactivated,
    KskDeleted,
    KskDeleting,
    KskIntended,
    KskLearned,
    KskRecovered,
    ParentSeen,
    entry,
)
from keys.rules.log_text import Changed, DsSeen, changed_keys, changed_zsks, ds_seen, error_code, ksk_of
from tests.keys.rules.key_history import DAY, START, history


@pytest.mark.parametrize(
    "event",
    [
        KskIntended(0, "ksk_1", "t", None),
        KskIntended(0, "ksk_1", "t", None, active=False),
        KskCreated(0, "ksk_1", "arn:aws:kms:eu-central-1:1:key/2"),
        KskLearned(0, "ksk_1", b""),
        KskRecovered(0, "ksk_1"),
        KskDeactivated(0, "ksk_1"),
        KskDeactivated(0, "ksk_1", forced=True),
        KskDeleting(0, "ksk_1", forced=True),
        KskDeleted(0, "ksk_1"),
        KmsFailed(0, "ksk_1", "Sign", "DisabledException", "it: is, off", "r", refused=True),
    ],
)
def test_the_ksk_that_a_line_is_about(event: Event) -> None:
    line = entry(event, "requested: do that")
    assert ksk_of(line.kind, line.reason) == "ksk_1"


def test_the_ds_records_of_the_parent() -> None:
    def seen(*names: str, foreign: tuple[bytes, ...] = ()) -> DsSeen | None:
        return ds_seen(entry(ParentSeen(0, names, 300, foreign), "the parent was looked at").reason)

    assert seen() == DsSeen((), foreign=False)
    assert seen("ksk_1", "ksk_new") == DsSeen(("ksk_1", "ksk_new"), foreign=False)
    assert seen("ksk_1", foreign=(b"\0\1\x0d\2" + bytes(32),)) == DsSeen(("ksk_1",), foreign=True)
    assert ds_seen("the parent was looked at") is None


def test_the_keys_that_a_signed_dnskey_rrset_adds_and_removes() -> None:
    _, log = history(START + 16 * DAY)
    told = [changed_zsks(line.reason) for line in log if line.kind == "KeysetSigned"]
    changed = [one for one in told if one is not None]
    assert changed[:3] == [Changed((1,), ()), Changed((2,), ()), Changed((), (1,))]
    assert told.count(None) > 3  # a refresh changes no key
    first = next(line.reason for line in log if line.kind == "KeysetSigned")
    assert first.endswith("; adds KSK ksk_1 and ZSK 1")
    keyring, _ = history(START + DAY)
    assert changed_keys(keyring, keyring) == ""
    assert entries([], "", keyring, keyring) == []


def test_the_code_of_a_failure() -> None:
    failed = entry(KmsFailed(0, "ksk_1", "Sign", "DisabledException", "it: is off", "r", refused=True), "")
    assert error_code(failed.reason) == "DisabledException"
