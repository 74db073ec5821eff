"""What people read, as text: the same with and without a terminal, but for the colour."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from keys.rules.events import Entry
from keys.rules.key_status import Condition, KskReport, ZoneStatus, ZskReport
from keys.rules.keyring import KskStatus, Trouble, ZskPhase
from keys.rules.moments import duration as span
from keys.rules.parent_report import DsState, ParentReport
from server.control.server_operations import (
    Above,
    ClockHeld,
    Level,
    Planned,
    ReloadOutcome,
    ReloadReport,
    ServerStatus,
    WorkerReport,
    ZoneReload,
    ZoneReport,
    server_level,
    zone_level,
)
from server.control.what_to_do import to_do
from server.display.key_report import earliest, print_events, print_ksks, print_plan
from server.display.status_report import console_for_people, print_banner, print_reload, print_status
from server.net.addresses import Address
from server.supervised import ServerTrouble

NOW = 1_767_225_600  # 2026-01-01 00:00:00 UTC
ARN = "arn:aws:kms:us-east-1:000000000000:key/9d2c8a4e-5b7f-4e57-8a37-0f6f6c1d2e3b"
DS = "lab.example. 3600 IN DS 258 13 2 " + "AB" * 32


def keys(condition: Condition, problem: str | None) -> ZoneStatus:
    ksk = KskReport(
        name="ksk_1",
        status=KskStatus.ACTIVE,
        arn=ARN,
        key_tag=258,
        ds=None,
        published=NOW,
        ready=NOW,
        valid_until=None,
        trouble=None,
    )
    zsk = ZskReport(sequence=1, key_tag=77, phase=ZskPhase.ACTIVE, generated=NOW, published=NOW, activated=NOW)
    return ZoneStatus(
        zone="lab.example.",
        hosted_zone_id="Z00000000000000000000",
        condition=condition,
        problem=problem,
        notice=None,
        valid_until=NOW + 5 * 86400,
        refreshed=NOW,
        next_action="SignKeyset",
        next_why="regular refresh",
        next_at=NOW + 86400,
        ksks=(ksk,),
        zsks=(zsk,),
    )


def status(condition: Condition = Condition.SIGNING, problem: str | None = None) -> ServerStatus:
    return ServerStatus(
        version="0.1.0",
        pid=1,
        now=NOW,
        started=NOW - 3723,
        state="/s",
        listeners=("0.0.0.0:5300", "[::1]:5300"),
        kms="http://127.0.0.1:5381",
        zones=(
            ZoneReport(
                origin="lab.example.",
                file="f",
                serial=7,
                signed=True,
                denial="compact",
                example="www.lab.example. A",
                ds=(DS,),
                keys=keys(condition, problem),
            ),
            ZoneReport(origin="plain.example.", file="f", serial=1, signed=False, denial="nsec", example="x A"),
            ZoneReport(
                origin="bad.example.",
                file="f",
                serial=None,
                signed=False,
                denial="compact",
                example="x A",
                refused="bad.zone:3: no",
            ),
        ),
    )


def plain() -> tuple[io.StringIO, Console]:
    to = io.StringIO()
    return to, Console(file=to, highlight=False, width=10_000)


def test_the_banner_ends_with_ready_and_holds_what_to_paste() -> None:
    to, console = plain()
    print_banner(console, status(), Path("/s/trust"))
    lines = [line.rstrip() for line in to.getvalue().splitlines()]
    assert "\x1b" not in to.getvalue()
    assert lines == [
        "Signwright 0.1.0",
        "ZONE            SERIAL  DENIAL   STATE       VALID UNTIL",
        "lab.example.    7       compact  signing     2026-01-06 00:00Z (5d 0h)",
        "plain.example.  1       -        unsigned    -",
        "bad.example.    -       -        not loaded  -",
        "bad.example. file refused: bad.zone:3: no",
        "",
        "DS records for the parent zones:",
        f"  {DS}",
        "",
        "To try it:",
        "  dig @127.0.0.1 -p 5300 +dnssec www.lab.example A",
        "  delv @127.0.0.1 -p 5300 -a /s/trust/anchors.delv +root=lab.example www.lab.example A",
        "",
        "A validating resolver, and a query through it:",
        "  unbound -d -c /s/trust/resolver.conf",
        "  dig @127.0.0.1 -p 5301 +dnssec www.lab.example A",
        "",
        "Trust anchors and resolver configuration: /s/trust/",
        "",
        "A query with DNSSEC for a name that does not exist gets NOERROR, and NSEC with the type NXNAME (RFC 9824).",
        '  dig +dnssec shows it (or TYPE128); delv says "ncache nxrrset". For NXDOMAIN, set denial = "nsec".',
        "",
        "Ready: 2 of 3 zones on 0.0.0.0:5300, [::1]:5300 (UDP and TCP), KMS http://127.0.0.1:5381, state /s",
    ]


def banner(of: ServerStatus, *, samples: bool = False) -> str:
    to, console = plain()
    print_banner(console, of, Path("/s/trust"), Address("127.0.0.1", 5901), samples=samples)
    return to.getvalue()


def test_the_banner_says_what_to_do_next_where_no_zone_of_ones_own_is_served() -> None:
    none = msgspec.structs.replace(status(), zones=(), route53="http://127.0.0.1:5380")
    told = banner(none)
    assert "No zone is served yet. To serve one:\n  signwright serve example.net.zone " in told
    assert "  aws route53 create-hosted-zone " in told
    assert "NXNAME" not in told
    assert told.splitlines()[-1].startswith("Ready: 0 zones on ")
    assert "These are sample zones. To serve your own:\n" in banner(status(), samples=True)
    assert "To serve" not in banner(status())
    assert "  dig @127.0.0.1 -p 5901 +dnssec www.lab.example A\n" in banner(status())


def test_a_narrow_terminal_has_colour_and_breaks_nothing_that_is_to_be_copied() -> None:
    to = io.StringIO()
    print_banner(
        Console(file=to, force_terminal=True, color_system="standard", width=40, highlight=False),
        status(),
        Path("/s/trust"),
    )
    assert DS in to.getvalue()
    assert "delv @127.0.0.1 -p 5300 -a /s/trust/anchors.delv +root=lab.example www.lab.example A" in to.getvalue()
    assert "\x1b[" in to.getvalue()


def test_status() -> None:
    to, console = plain()
    print_status(console, status(Condition.TROUBLED, "Sign: DisabledException: the key is disabled"))
    lines = [line.rstrip() for line in to.getvalue().splitlines()]
    assert lines[0].startswith("CRITICAL: bad.example. is not served: bad.zone:3: no; fix this, then run: (and 1 more)")
    assert lines[1] == "  signwright reload"
    assert "3 zones on 0.0.0.0:5300, [::1]:5300, up 1h 2m" in lines
    assert "lab.example. keys: Sign: DisabledException: the key is disabled" in lines
    assert lines[12:] == [
        "KEY      TAG  STATE   SINCE              VALID WITHOUT KMS UNTIL",
        "lab.example.",
        "  ksk_1  258  ACTIVE  -                  -",
        "    safe to add the DS (since 2026-01-01 00:00Z); the parent's DS is not monitored",
        "  ZSK 1  77   active  2026-01-01 00:00Z  -",
        "  next: sign DNSKEY RRset in 1d 0h (regular refresh)",
    ]


@pytest.mark.parametrize(("known", "said"), [(False, True), (True, False), (None, False)])
def test_a_clock_that_is_not_synchronised_is_a_notice(known: bool | None, said: bool) -> None:
    to, console = plain()
    well = msgspec.structs.replace(status(), clock_synchronised=known)
    print_status(console, well)
    last = to.getvalue().rstrip().splitlines()[-1]
    assert last.startswith("notice: the kernel does not call the clock synchronised; start an NTP client") is said
    assert server_level(well) == server_level(status())
    assert to_do(well) == to_do(status())


def test_a_kms_that_would_not_sign_is_told_with_the_way_out() -> None:
    trouble = Trouble("Sign with DryRun", "DisabledException", "it is disabled", "r-1", True, NOW - 7200, NOW - 60, 3)
    zone = status().zones[0]
    assert zone.keys is not None
    (ksk,) = zone.keys.ksks
    probed = msgspec.structs.replace(ksk, probe_trouble=trouble)
    zone = msgspec.structs.replace(zone, keys=msgspec.structs.replace(zone.keys, ksks=(probed,)))
    to, console = plain()
    print_status(console, msgspec.structs.replace(status(), zones=(zone,)))
    assert (
        "  ksk_1: the next refresh would fail: Sign with DryRun: DisabledException: it is disabled (since 2025-12-31 "
        "22:00Z; fix this, then run: signwright ksk activate lab.example. ksk_1)\n"
    ) in to.getvalue()


def test_a_key_that_needs_action_says_why_since_when_and_until_when_the_zone_is_safe() -> None:
    trouble = Trouble("Sign", "DisabledException", "it is disabled", "r-1", True, NOW - 7200, NOW - 60, 3)
    broken = KskReport(
        name="ksk_1",
        status=KskStatus.ACTION_NEEDED,
        arn=ARN,
        key_tag=258,
        ds=None,
        published=NOW - 86400,
        ready=NOW - 80000,
        valid_until=NOW + 3 * 86400,
        trouble=trouble,
        message="Sign: DisabledException: it is disabled",
        changed=NOW - 7200,
        ds_named=True,
    )
    joining = msgspec.structs.replace(
        broken,
        name="ksk_2",
        status=KskStatus.ACTIVE,
        trouble=None,
        ready=NOW + 3600,
        ds_named=False,
        removable=NOW + 60,
    )
    retired = ZskReport(
        sequence=1,
        key_tag=77,
        phase=ZskPhase.RETIRED,
        generated=NOW,
        published=NOW,
        activated=NOW,
        retired=NOW,
        removable=NOW + 600,
        lost=NOW,
    )
    ready = ZskReport(
        sequence=2, key_tag=78, phase=ZskPhase.PUBLISHED, generated=NOW, published=NOW, activated=None, ready=NOW + 300
    )
    zone = ZoneReport(
        origin="lab.example.",
        file="f",
        serial=7,
        signed=True,
        denial="compact",
        example="x A",
        parent="192.0.2.53:53",
        keys=msgspec.structs.replace(
            keys(Condition.TROUBLED, "x"),
            ksks=(broken, joining),
            zsks=(retired, ready),
            suspended_since=NOW - 7200,
            safe_until=NOW + 3 * 86400,
            rollover="suspended until ksk_1 can sign again",
            rollover_at=None,
        ),
    )
    to, console = plain()
    print_status(console, msgspec.structs.replace(status(), zones=(zone,)))
    lines = [line.rstrip() for line in to.getvalue().splitlines()]
    assert lines[0].startswith(
        "WARNING: lab.example. ksk_1: the KMS has refused since 2025-12-31 22:00Z: Sign: Disabled"
    )
    assert lines[1] == "  signwright ksk activate lab.example. ksk_1"
    assert lines[lines.index("KEY      TAG  STATE          SINCE              VALID WITHOUT KMS UNTIL") :] == [
        "KEY      TAG  STATE          SINCE              VALID WITHOUT KMS UNTIL",
        "lab.example.",
        "  ksk_1  258  ACTION_NEEDED  2025-12-31 22:00Z  2026-01-04 00:00Z (3d 0h)",
        "    the parent's DS names it: KSK may not be removed",
        "  ksk_2  258  ACTIVE         2025-12-31 22:00Z  2026-01-04 00:00Z (3d 0h)",
        "    safe to add the DS from 2026-01-01 01:00Z (1h 0m); KSK may be removed from 2026-01-01 00:01Z (1m 0s)",
        "  ZSK 1  77   retired        2026-01-01 00:00Z  -",
        "    lost at 2026-01-01 00:00Z; its signatures are gone from all caches from 2026-01-01 00:10Z (10m 0s)",
        "  ZSK 2  78   published      2026-01-01 00:00Z  -",
        "    may sign from 2026-01-01 00:05Z (5m 0s)",
        "  ksk_1 ACTION_NEEDED: Sign: DisabledException: it is disabled "
        "(since 2025-12-31 22:00Z; fix this, then run: signwright ksk activate lab.example. ksk_1)",
        "  ZSK rotation has been suspended since 2025-12-31 22:00Z because of ksk_1; "
        "safe until 2026-01-04 00:00Z (3d 0h)",
        "  rollover: suspended until ksk_1 can sign again",
        "  next: sign DNSKEY RRset in 1d 0h (regular refresh)",
    ]


def test_a_ds_that_the_parent_has_dropped_lately_is_told_as_that() -> None:
    (named,) = keys(Condition.SIGNING, None).ksks
    named = msgspec.structs.replace(named, ready=NOW, ds_named=True)
    zone = ZoneReport(
        origin="lab.example.",
        file="f",
        serial=7,
        signed=True,
        denial="compact",
        example="x A",
        parent="192.0.2.53:53",
        keys=msgspec.structs.replace(keys(Condition.SIGNING, None), ksks=(named,)),
        parent_ds=ParentReport(state=DsState.MATCHES, going=("ksk_1",)),
    )
    to, console = plain()
    print_ksks(console, zone, NOW)
    assert "no longer names it; this counts once all servers of the parent agree for a minute" in to.getvalue()


def test_what_must_not_be_done_before_a_time_is_told_to_the_second() -> None:
    assert earliest(NOW + 75, NOW) == "2026-01-01 00:01:15Z (1m 15s)"
    assert earliest(NOW + 60, NOW) == "2026-01-01 00:01Z (1m 0s)"


LONG = "d.c.b.a.9.8.7.6.5.4.3.2.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."


def narrow_status() -> ServerStatus:
    ksk = msgspec.structs.replace(
        keys(Condition.SIGNING, None).ksks[0], ds=DS.split(" DS ")[1], changed=NOW, valid_until=NOW + 5 * 86400 - 1
    )
    lab, plain_zone, _ = status().zones
    kept = msgspec.structs.replace(keys(Condition.SIGNING, None), ksks=(ksk,))
    child = msgspec.structs.replace(
        lab,
        origin=LONG,
        above=Above(origin="lab.example.", delegates=True, ds=(DS.replace("lab.example.", LONG),)),
        keys=kept,
    )
    lost = msgspec.structs.replace(plain_zone, above=Above(origin="lab.example.", delegates=False))
    return msgspec.structs.replace(status(), zones=(msgspec.structs.replace(lab, keys=kept), child, lost))


@pytest.mark.parametrize("width", [80, 120])
def test_names_are_whole_in_a_terminal_of_80_columns(width: int) -> None:
    to = io.StringIO()
    print_status(Console(file=to, highlight=False, width=width), narrow_status())
    lines = to.getvalue().splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    beside = f"{LONG}  7       compact  signing   2026-01-06 00:00Z (5d 0h)"
    below = " " * 28 + "7       compact  signing   2026-01-06 00:00Z (5d 0h)"
    assert lines[0].startswith("WARNING: ")
    table = lines[lines.index(next(line for line in lines if line.startswith("ZONE "))) :]
    assert table[2:4] == ([LONG, below] if width == 80 else [beside, table[3]])
    first, undelegated = [line for line in lines if "bogus" in line]
    assert first == lines[0]
    assert undelegated.startswith(
        "plain.example. is bogus to validators: its signed parent lab.example. on this server has"
    )
    assert undelegated.endswith(" to lab.example. (f)")
    assert all(len(line) <= width for line in lines if line not in (first, undelegated))
    assert "the DS is in lab.example. on this server; the parent's DS is not monitored" in " ".join(
        " ".join(lines).split()
    )


def test_a_missing_delegation_does_not_make_a_short_runway_critical() -> None:
    lab = status().zones[0]
    short = msgspec.structs.replace(keys(Condition.SIGNING, None), valid_until=NOW + 60)
    for delegates, level in ((True, Level.OK), (False, Level.WARNING)):
        above = Above(origin="example.", delegates=delegates)
        assert zone_level(msgspec.structs.replace(lab, keys=short, above=above), NOW) is level


def test_a_clock_that_is_not_followed_is_told_with_the_way_out() -> None:
    held = msgspec.structs.replace(status(), clock=ClockHeld(365 * 86400, NOW + 90))
    assert server_level(held) >= Level.WARNING
    to = io.StringIO()
    print_status(Console(file=to, highlight=False, width=400), held)
    lines = to.getvalue().splitlines()
    (at,) = [number for number, line in enumerate(lines) if "the system clock jumped forward by 365d 0h" in line]
    assert lines[at + 1] == "  signwright trust-clock"


def test_ksks_are_listed_with_what_is_copied_on_lines_of_their_own() -> None:
    to = io.StringIO()
    print_ksks(Console(file=to, highlight=False, width=40), narrow_status().zones[0], NOW)
    assert to.getvalue().splitlines() == [
        "ksk_1 ACTIVE since 2026-01-01 00:00Z, key tag 258",
        f"  ARN  {ARN}",
        f"  DS   {DS.split(' DS ')[1]}",
        "  safe to add the DS (since 2026-01-01",
        "  00:00Z); the parent's DS is not",
        "  monitored",
    ]


def test_a_plan_folds_what_repeats_itself() -> None:
    to, console = plain()
    plan = [Planned(NOW + day * 86400, "SignKeyset", "regular refresh") for day in range(3)]
    plan += [Planned(NOW + 3 * 86400, "GenerateZsk", "regular ZSK rollover")]
    print_plan(console, plan, NOW)
    assert [line.rstrip() for line in to.getvalue().splitlines()] == [
        "TIME               IN     ACTION             WHY",
        "2026-01-01 00:00Z  now    sign DNSKEY RRset  regular refresh (×3, last 2026-01-03 00:00Z)",
        "2026-01-04 00:00Z  3d 0h  generate ZSK       regular ZSK rollover",
    ]


def test_events_name_the_first_kms_call() -> None:
    to, console = plain()
    print_events(console, [Entry(NOW, "KeysetSigned", "regular refresh", ("r-1", "r-2")), Entry(NOW, "X", "y")])
    assert [line.rstrip() for line in to.getvalue().splitlines()] == [
        "TIME                  EVENT                WHY              KMS REQUEST",
        "2026-01-01 00:00:00Z  DNSKEY RRset signed  regular refresh  r-1 and 1 more",
        "2026-01-01 00:00:00Z  X                    y",
    ]


def test_events_in_a_narrow_terminal_have_the_kms_call_below_them() -> None:
    to = io.StringIO()
    why = f"ksk_1 can't sign: Sign: DisabledException: {ARN} is disabled"
    entries = [Entry(NOW, "KeysetSigned", "regular refresh", ("r-1", "r-2")), Entry(NOW, "KmsFailed", why)]
    print_events(Console(file=to, highlight=False, width=80), entries)
    assert to.getvalue().splitlines() == [
        "TIME                  EVENT                WHY",
        "2026-01-01 00:00:00Z  DNSKEY RRset signed  regular refresh",
        "    KMS request r-1 and 1 more",
        "2026-01-01 00:00:00Z  KMS failed           ksk_1 can't sign: Sign:",
        " " * 43 + "DisabledException:",
        " " * 43 + ARN,
        " " * 43 + "is disabled",
    ]


def test_reload() -> None:
    to, console = plain()
    print_reload(
        console,
        ReloadReport(
            (
                ZoneReload(origin="a.", outcome=ReloadOutcome.REPLACED, serial=2),
                ZoneReload(origin="b.", outcome=ReloadOutcome.REFUSED, serial=1, reason="b.zone:3: no [tag]"),
                ZoneReload(origin="c.", outcome=ReloadOutcome.REMOVED),
            ),
            ("listen", "route53.users"),
        ),
    )
    assert to.getvalue().splitlines() == [
        "a. replaced serial 2",
        "b. refused serial 1: b.zone:3: no [tag]",
        "c. removed",
        "listen: changed, needs a restart",
        "route53.users: changed, needs a restart",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (3600, "1h 0m"), (90061, "1d 1h"), (-61, "-1m 1s")]
)
def test_spans(seconds: int, text: str) -> None:
    assert span(seconds) == text


def test_what_is_no_terminal_is_never_folded(capsys: pytest.CaptureFixture[str]) -> None:
    console_for_people().print("x" * 400)
    assert capsys.readouterr().out == "x" * 400 + "\n"


def test_workers() -> None:
    answers = WorkerReport(number=1, pid=77, started=NOW - 60, version=12, is_behind=False, restarts=0)
    behind = msgspec.structs.replace(answers, number=2, pid=78, version=11, is_behind=True)
    starts = msgspec.structs.replace(answers, number=3, pid=79, version=None, is_behind=True, restarts=4)
    gone = msgspec.structs.replace(starts, number=4, pid=None)
    to, console = plain()
    whole = msgspec.structs.replace(status(), workers=(answers, behind, starts, gone))
    print_status(console, whole)
    assert [line.rstrip() for line in to.getvalue().splitlines()][-5:] == [
        "WORKER  PID  STATE              VERSION  UP     RESTARTS",
        "1       77   answers            12       1m 0s  0",
        "2       78   applying a change  11       1m 0s  0",
        "3       79   starting           -        1m 0s  4",
        "4       -    starting           -        -      4",
    ]
    to, console = plain()
    print_banner(console, whole, Path("/s/trust"))
    assert "(UDP and TCP) by 4 workers, KMS" in to.getvalue()
    well = msgspec.structs.replace(status(), zones=status().zones[:2])
    for workers, level in [
        ((answers, behind), Level.OK),
        ((answers, starts), Level.WARNING),
        ((starts, gone), Level.CRITICAL),
    ]:
        assert server_level(msgspec.structs.replace(well, workers=workers)) is level


def test_what_fails_beside_the_zones_is_a_warning() -> None:
    trouble = ServerTrouble(what="webhook at chat.example", since=NOW - 60, reason="it answered 503")
    well = msgspec.structs.replace(status(), zones=status().zones[:2])
    troubled = msgspec.structs.replace(well, troubles=(trouble,))
    assert (server_level(well), server_level(troubled)) == (Level.OK, Level.WARNING)
    to, console = plain()
    print_status(console, troubled)
    assert to.getvalue().splitlines()[-1] == "webhook at chat.example: failing for 1m 0s: it answered 503"
