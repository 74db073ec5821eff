"""What is said of a command: that it is done, or what of it is still to come and why; and what nobody has checked."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from keys.rules.commands import (
    ActivateKsk,
    Command,
    CreateKsk,
    DeactivateKsk,
    DeleteKsk,
    DisableSigning,
    EnableSigning,
    OfferDs,
    StartRollover,
    TrustClock,
    WithdrawDs,
)
from keys.rules.key_status import Condition, KskReport, ZoneStatus
from keys.rules.keyring import KskStatus, Trouble
from server.cli.ask_key_manager import done, lacking, unchecked, why_not
from server.control.server_operations import Above, ZoneReport

NOW = 1_767_225_600  # 2026-01-01 00:00:00 UTC
DS = "258 13 2 " + "AB" * 32
LINE = f"lab.example. 3600 IN DS {DS}"
KSK = KskReport(
    name="ksk_1",
    status=KskStatus.ACTIVE,
    arn="arn:1",
    key_tag=258,
    ds=DS,
    published=NOW - 60,
    ready=NOW + 3600,
    valid_until=NOW + 86400,
    trouble=None,
)
NO_KEY = replace(KSK, arn=None, key_tag=None, ds=None, published=None, ready=None, valid_until=None)
INACTIVE = replace(KSK, status=KskStatus.INACTIVE, published=None, ready=None)
TROUBLE = Trouble("Sign", "DisabledException", "it is disabled", "r-1", refused=True, since=NOW, at=NOW, attempts=1)
NEEDY = replace(KSK, status=KskStatus.ACTION_NEEDED, trouble=TROUBLE)
ABOVE = Above(origin="example.", delegates=True)


def zone(
    *ksks: KskReport,
    condition: Condition = Condition.SIGNING,
    problem: str | None = None,
    signing: bool = True,
    above: Above | None = None,
    parent: str = "none",
) -> ZoneReport:
    keys = ZoneStatus(
        zone="lab.example.",
        hosted_zone_id="Z1",
        condition=condition,
        problem=problem,
        notice=None,
        valid_until=max((ksk.valid_until or 0 for ksk in ksks), default=0) or None,
        refreshed=NOW,
        next_action=None,
        next_why=None,
        next_at=None,
        ksks=ksks,
        zsks=(),
        signing=signing,
    )
    return ZoneReport(
        origin="lab.example.",
        file="f",
        serial=1,
        signed=True,
        denial="compact",
        example="x A",
        ds=(LINE,) if any(ksk.published for ksk in ksks) else (),
        keys=keys,
        parent=parent,
        above=above,
    )


NAMED = "ksk_1 of lab.example."


@pytest.mark.parametrize(
    ("command", "report", "expected"),
    [
        (CreateKsk("ksk_1"), zone(NO_KEY), f"{NAMED} has no key in the KMS yet"),
        (
            CreateKsk("ksk_1", active=False),
            zone(replace(NO_KEY, status=KskStatus.INACTIVE)),
            f"{NAMED} has no key in the KMS yet",
        ),
        (CreateKsk("ksk_1"), zone(replace(KSK, published=None, ready=None)), f"{NAMED} is not in the DNSKEY RRset yet"),
        (ActivateKsk("ksk_1"), zone(replace(KSK, ready=None)), f"{NAMED} is not in the DNSKEY RRset yet"),
        (ActivateKsk("ksk_1"), zone(NEEDY), f"{NAMED} is ACTION_NEEDED"),
        (ActivateKsk("ksk_1"), zone(replace(KSK, trouble=TROUBLE)), f"{NAMED} can't sign"),
        (
            DeactivateKsk("ksk_1"),
            zone(replace(KSK, status=KskStatus.INACTIVE)),
            f"{NAMED} is INACTIVE, but still in the DNSKEY RRset",
        ),
        (
            DeleteKsk("ksk_1"),
            zone(replace(INACTIVE, status=KskStatus.DELETING)),
            f"{NAMED} is DELETING, not deleted yet",
        ),
        (
            WithdrawDs("ksk_1"),
            zone(replace(KSK, ds_named=True), above=ABOVE, parent="local"),
            f"the parent still had the DS of {NAMED} at the last check",
        ),
        (EnableSigning(), zone(NO_KEY, condition=Condition.STARTING), "lab.example. is not signed yet"),
        (TrustClock(), zone(KSK, condition=Condition.FROZEN), "the keys of lab.example. are still frozen"),
    ],
)
def test_what_is_still_to_come(command: Command, report: ZoneReport, expected: str) -> None:
    assert lacking(command, report) == expected


@pytest.mark.parametrize(
    ("command", "report", "expected"),
    [
        (
            CreateKsk("ksk_1"),
            zone(KSK),
            f"{NAMED} is ACTIVE; its DS is safe to add only from 2026-01-01 01:00:00Z (1h 0m)",
        ),
        (CreateKsk("ksk_1", active=False), zone(INACTIVE), f"{NAMED} is INACTIVE"),
        (CreateKsk("ksk_1"), zone(replace(INACTIVE, status=KskStatus.ACTIVE), signing=False), f"{NAMED} is ACTIVE"),
        (ActivateKsk("ksk_1"), zone(replace(KSK, ready=NOW)), f"{NAMED} is ACTIVE"),
        (
            ActivateKsk("ksk_1"),
            zone(KSK, above=replace(ABOVE, ds=(LINE,))),
            f"{NAMED} is ACTIVE; its DS is already in example. on this server",
        ),
        (DeactivateKsk("ksk_1"), zone(INACTIVE), f"{NAMED} is INACTIVE"),
        (DeleteKsk("ksk_1"), zone(), f"{NAMED} is deleted"),
        (
            WithdrawDs("ksk_1"),
            zone(KSK),
            f"The DS of {NAMED} is not managed here, because this server has no signed parent of lab.example.: "
            "the parent must remove it",
        ),
        (
            WithdrawDs("ksk_1"),
            zone(KSK, above=replace(ABOVE, by_itself=False), parent="local"),
            f"The DS of {NAMED} is managed by hand, because lab.example. is a hosted zone: the operator of example. "
            "must remove it",
        ),
        (
            WithdrawDs("ksk_1"),
            zone(replace(KSK, ds_named=True), above=replace(ABOVE, ds=(LINE,)), parent="local"),
            f"The DS of {NAMED} is in the zone file of example.: remove it there",
        ),
        (
            WithdrawDs("ksk_1"),
            zone(replace(KSK, removable=NOW + 7200), above=ABOVE, parent="local"),
            f"The DS of {NAMED} has been removed from example.; the KSK may be removed from 2026-01-01 02:00Z (2h 0m)",
        ),
        (
            WithdrawDs("ksk_1"),
            zone(KSK, above=ABOVE),
            f"The DS of {NAMED} has been removed from example.",
        ),
        (
            OfferDs("ksk_1"),
            zone(KSK),
            f"The DS of {NAMED} is not managed here, because this server has no signed parent of lab.example.: "
            "the parent must add it",
        ),
        (
            OfferDs("ksk_1"),
            zone(KSK, above=replace(ABOVE, ds=(LINE,))),
            f"The DS of {NAMED} is already in example. on this server",
        ),
        (OfferDs("ksk_1"), zone(INACTIVE, above=ABOVE), f"The DS of {NAMED} is offered again"),
        (EnableSigning(), zone(KSK), "lab.example. is signing"),
        (DisableSigning(), zone(INACTIVE, condition=Condition.UNSIGNED, signing=False), "lab.example. is unsigned"),
        (StartRollover(), zone(KSK), "lab.example. is signing"),
        (TrustClock(), zone(KSK), "lab.example. is signing"),
    ],
)
def test_what_is_done(command: Command, report: ZoneReport, expected: str) -> None:
    assert lacking(command, report) is None
    assert done(command, report, NOW) == expected


def test_a_ds_that_was_withdrawn_is_not_said_to_be_one_that_may_be_added() -> None:
    withdrawn = replace(KSK, withdrawn=NOW - 60)
    for command in (ActivateKsk("ksk_1"), WithdrawDs("ksk_1")):
        assert "safe to add" not in done(command, zone(withdrawn, above=ABOVE), NOW)


def test_why_something_is_not_done_yet() -> None:
    other = replace(NO_KEY, name="ksk_2")
    assert why_not(ActivateKsk("ksk_1"), zone(NEEDY)) == (
        "Sign: DisabledException: it is disabled (since 2026-01-01 00:00Z; fix this, then run: signwright ksk activate "
        "lab.example. ksk_1)"
    )
    held = zone(NEEDY, other, problem="Sign: no")
    assert why_not(CreateKsk("ksk_2"), held) == "the DNSKEY RRset cannot change while ksk_1 can't sign"
    assert why_not(CreateKsk("ksk_2"), zone(KSK, other, problem="the disk is full")) == "the disk is full"
    assert why_not(EnableSigning(), zone(KSK)) == "in progress; follow it with signwright status"


def test_what_nobody_has_checked_is_said_of_whatever_takes_something_away() -> None:
    for command in (DeactivateKsk("ksk_1"), DeleteKsk("ksk_1"), DisableSigning()):
        said = unchecked(command, zone(KSK))
        assert said is not None
        assert said.startswith(
            "the parent was not checked, because none is known (set parent to name its servers): if "
        )
        assert unchecked(command, zone(KSK, parent="local")) is None
        assert unchecked(command, zone(KSK, parent="192.0.2.1:53")) is None
        forced = unchecked(replace(command, force=True), zone(KSK, parent="local"))
        assert forced is not None
        assert forced.startswith("the parent was not checked, because of --force: if ")
    assert unchecked(ActivateKsk("ksk_1"), zone(KSK)) is None
