"""What `status` has a person do: the most urgent step first, and nothing while all is well."""

from __future__ import annotations

import re

import msgspec
import pytest

from keys.rules.key_status import CLOCK_WRONG, Condition
from keys.rules.keyring import KskStatus, Trouble
from keys.rules.parent_report import DsState, ParentReport
from server.control.server_operations import (
    STATE_TROUBLE,
    ClockHeld,
    Level,
    ServerStatus,
    WorkerReport,
    ZoneReport,
    server_level,
    zone_level,
)
from server.control.what_to_do import CODES, headline, to_do, zone_steps
from server.supervised import ServerTrouble
from tests.server.display.test_status_report import NOW, keys
from tests.server.display.test_status_report import status as whole

replace = msgspec.structs.replace
MATCHING = ParentReport(state=DsState.MATCHES, checked=NOW)


def lab(parent: ParentReport = MATCHING, **changed: object) -> ZoneReport:
    """A zone that is well but for what is `changed` in its keys."""
    ksk = replace(keys(Condition.SIGNING, None).ksks[0], ds_named=parent.state is DsState.MATCHES)
    kept = replace(replace(keys(Condition.SIGNING, None), ksks=(ksk,)), **changed)
    return replace(whole().zones[0], keys=kept, parent_ds=parent, parent="192.0.2.1:53")


def status(*zones: ZoneReport) -> ServerStatus:
    return replace(whole(), zones=zones)


def codes(zone: ZoneReport) -> list[tuple[str, str]]:
    return [(step.level, step.code) for step in zone_steps(zone, NOW)]


def test_where_all_is_well_there_is_nothing_to_do() -> None:
    well = status(lab())
    assert to_do(well) == []
    assert headline(server_level(well), []) == "OK: nothing to do"


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        (ParentReport(state=DsState.FOREIGN, records=("4660 13 2 00",)), [("critical", "ds-wrong")]),
        (ParentReport(state=DsState.ABSENT, is_gone=True), [("warning", "ds-gone")]),
        (ParentReport(state=DsState.ABSENT), [("ok", "ds-add")]),
        (ParentReport(state=DsState.UNKNOWN), []),
        (ParentReport(state=DsState.UNKNOWN, problem="no answer", since=NOW - 7200), [("warning", "ds-unknown")]),
        (ParentReport(state=DsState.UNWATCHED), []),
        (replace(MATCHING, parent_ns=("a.",), zone_ns=("b.",)), [("warning", "ns-mismatch")]),
    ],
)
def test_what_the_parent_has(parent: ParentReport, expected: list[tuple[str, str]]) -> None:
    zone = lab(parent)
    assert codes(zone) == expected
    assert zone_level(zone, NOW) == max([Level[level.upper()] for level, _ in expected], default=Level.OK)


def test_a_ds_that_must_wait_says_until_when() -> None:
    zone = lab(ParentReport(state=DsState.ABSENT))
    assert zone.keys is not None
    ksks = tuple(replace(ksk, ready=NOW + 3600) for ksk in zone.keys.ksks)
    (step,) = zone_steps(replace(zone, keys=replace(zone.keys, ksks=ksks)), NOW)
    assert step.not_before == NOW + 3600
    assert "not before 2026-01-01 01:00:00Z" in step.text


def test_a_ds_above_a_zone_that_is_served_unsigned_is_to_be_removed() -> None:
    zone = lab(ParentReport(state=DsState.FOREIGN), signing=False, is_served_unsigned=True)
    (step,) = zone_steps(zone, NOW)
    assert (step.level, step.code, step.command) == ("critical", "ds-wrong", None)


@pytest.mark.parametrize(("refused", "code"), [(True, "kms-key"), (False, "kms-unreachable")])
def test_a_kms_that_does_not_sign(refused: bool, code: str) -> None:
    trouble = Trouble("Sign", "X", "no", "r", refused, NOW - 60, NOW, 1)
    needy = replace(
        keys(Condition.SIGNING, None).ksks[0], status=KskStatus.ACTION_NEEDED, trouble=trouble, ds_named=True
    )
    (step,) = zone_steps(lab(condition=Condition.TROUBLED, problem="x", ksks=(needy,)), NOW)
    assert (step.level, step.code) == ("warning", code)
    assert step.command == "signwright ksk activate lab.example. ksk_1"


@pytest.mark.parametrize(("refused", "code"), [(True, "kms-key"), (False, "kms-unreachable")])
def test_a_kms_that_would_not_sign_is_told_before_the_refresh(refused: bool, code: str) -> None:
    trouble = Trouble("Sign with DryRun", "X", "no", "r", refused, NOW - 60, NOW, 1)
    probed = replace(keys(Condition.SIGNING, None).ksks[0], probe_trouble=trouble, ds_named=True)
    (step,) = zone_steps(lab(condition=Condition.TROUBLED, problem="x", ksks=(probed,)), NOW)
    assert (step.level, step.code) == ("warning", code)
    assert "Sign with DryRun: X: no" in step.text
    assert step.command == "signwright ksk activate lab.example. ksk_1"


def test_a_state_that_cannot_be_written_says_where_it_is_and_why() -> None:
    trouble = ServerTrouble(what=STATE_TROUBLE, since=NOW, reason="/s/signwright.db: No space left on device")
    (step,) = to_do(replace(status(lab()), troubles=(trouble,)))
    assert (step.level, step.code, step.command) == ("warning", "state-unwritable", None)
    assert step.text.startswith(
        "the state in /s has not been writable since 2026-01-01 00:00Z: /s/signwright.db: No sp"
    )
    assert "free space on its disk" in step.text


@pytest.mark.parametrize("condition", Condition)
def test_no_zone_that_wants_attention_is_without_a_step(condition: Condition) -> None:
    zone = lab(condition=condition, problem="a bug: KeyError")
    steps = zone_steps(zone, NOW)
    level = zone_level(zone, NOW)
    assert level is Level.OK or max(Level[step.level.upper()] for step in steps) is level
    wrong = lab(condition=Condition.FROZEN, problem=f"{CLOCK_WRONG}: it is 60d 0h behind")
    assert codes(wrong) == [("critical", "clock")]


def test_the_most_urgent_step_is_first_and_commands_carry_the_options() -> None:
    refused = replace(lab(), origin="b.example.", refused="b.zone:3: no")
    bogus = lab(ParentReport(state=DsState.FOREIGN))
    worker = WorkerReport(number=0, pid=None, started=NOW, version=None, is_behind=False, restarts=1)
    troubles = tuple(ServerTrouble(what=what, since=NOW, reason="r") for what in ("webhook", STATE_TROUBLE))
    all_at_once = replace(
        status(refused, bogus),
        clock=ClockHeld(3600, NOW + 180),
        workers=(worker, replace(worker, version=1)),
        troubles=troubles,
    )
    steps = to_do(all_at_once, " --state /s")
    assert [step.code for step in steps] == ["ds-wrong", "state-unwritable", "clock", "zone-file", "worker", "service"]
    assert {step.code for step in steps} <= set(CODES)
    assert steps[0].command == "signwright ds lab.example. --state /s"
    first = headline(server_level(all_at_once), steps)
    assert re.fullmatch(r"CRITICAL: the parent's DS names no key that signs lab\.example\..* \(and 5 more\)", first)
