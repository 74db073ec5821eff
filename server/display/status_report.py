"""What people read: the banner of a server that is ready, its status, a reload. Values in, text on a console out.

The same words with and without a terminal; colour only on one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from keys.rules.key_status import Condition
from keys.rules.moments import duration as span
from keys.timekeeping.system_clocks import UNSYNCHRONISED
from server.control.server_operations import (
    HOSTED_FILE,
    DsReport,
    Level,
    ReloadOutcome,
    ReloadReport,
    ServerStatus,
    ZoneReport,
    ds_report,
    server_level,
    zone_level,
)
from server.control.what_to_do import ToDo, headline, to_do
from server.display.columns import Columns, print_columns
from server.display.key_report import COLOURS, about_ds, moment, print_keys, print_line
from server.display.words import explained
from server.net.addresses import Address, parse_address
from server.state.trust_anchor_files import RESOLVER, commands
from zones.denial import DenialMode

WIDE = 10_000
"""Columns where the output is not a terminal."""

MOST_STEPS = 10
"""Steps that `status` lists."""

MOST_TOLD = 100
"""Zones that are listed one by one. Of more zones, only those that need attention are listed, up to this number."""

_COMPACT = """
A query with DNSSEC for a name that does not exist gets NOERROR, and NSEC with the type NXNAME (RFC 9824).
  dig +dnssec shows it (or TYPE128); delv says "ncache nxrrset". For NXDOMAIN, set denial = "nsec"."""

_OUTCOMES = {
    ReloadOutcome.ADDED: "green",
    ReloadOutcome.REPLACED: "green",
    ReloadOutcome.UNCHANGED: "dim",
    ReloadOutcome.REFUSED: "bold red",
    ReloadOutcome.REMOVED: "yellow",
}


def console_for_people(*, stderr: bool = False) -> Console:
    """A console that adds nothing to what is printed, and breaks no line where no terminal limits it."""
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def console_of_one_screen() -> Console:
    """A console for what is as wide as the screen: where there is no terminal, as COLUMNS says, or 80 columns."""
    console = console_for_people()
    if not console.is_terminal:
        columns = os.environ.get("COLUMNS", "")
        console.width = int(columns) if columns.isascii() and columns.isdigit() and 0 < int(columns) < WIDE else 80
    return console


def print_banner(
    console: Console, status: ServerStatus, trust: Path, resolver: Address = RESOLVER, *, samples: bool = False
) -> None:
    """What `serve` prints once it answers; `trust` is STATE/trust/. The last line begins with "Ready".

    `resolver` is where one listens that is started as the banner says. `samples` tells whether only sample zones are
    served.
    """
    console.print(Text(f"Signwright {status.version}", style="bold"))
    _print_zones(console, status)
    signed = [zone for zone in status.zones if zone.ds]
    if signed:
        console.print("\nDS records for the parent zones:", style="bold")
        for zone in signed if len(signed) <= MOST_TOLD else ():
            _print_ds(console, ds_report(zone), status.now)
        if len(signed) > MOST_TOLD:
            print_line(console, f"  {trust}/*.ds, of {len(signed)} zones")
            print_line(console, "    signwright ds ZONE shows the earliest safe time to add one", "yellow")
        _print_commands(console, signed[0], status, trust, resolver)
    if any(zone.denial == DenialMode.COMPACT.value and zone.ds for zone in status.zones):
        print_line(console, _COMPACT)
    if samples or not status.zones:
        _print_next(console, status)
    if status.route53 is not None:
        _print_api(console, status.route53, Path(status.state) / "aws")
    if status.metrics is not None:
        print_line(console, f"\nMetrics for Prometheus: {status.metrics}", "dim")
    console.print()
    ready = sum(zone_level(zone, status.now) is not Level.CRITICAL for zone in status.zones)
    by = f" by {_workers(len(status.workers))}" if status.workers else ""
    print_line(
        console,
        f"Ready: {_count(ready, len(status.zones))} on {', '.join(status.listeners)} (UDP and TCP){by}, "
        f"KMS {status.kms}, state {status.state}",
        COLOURS[server_level(status)],
    )


def print_status(console: Console, status: ServerStatus, options: str = "") -> None:
    """What `status` prints: what to do first, with its command, to which `options` are added; then how all is."""
    print_to_do(console, server_level(status), to_do(status, options))
    print_state(console, status)


def print_to_do(console: Console, level: Level, steps: list[ToDo]) -> None:
    """The level with the most urgent step and its command, then the other steps."""
    print_line(console, headline(level, steps), COLOURS[level])
    for number, step in enumerate(steps[:MOST_STEPS]):
        if number:
            print_line(
                console, f"{step.level.upper()}: {' '.join(step.text.split())}", COLOURS[Level[step.level.upper()]]
            )
        if step.command is not None:
            print_line(console, f"  {step.command}", "cyan")
    if len(steps) > MOST_STEPS:
        print_line(console, f"{len(steps) - MOST_STEPS} more steps: signwright status --json lists all", "dim")


def print_state(console: Console, status: ServerStatus, *, is_whole: bool = True) -> None:
    """How the server and its zones, keys and workers are; `is_whole` is whether it is about all of it."""
    if is_whole:
        zones = _count(len(status.zones), len(status.zones))
        up = span(max(0, status.now - status.started))
        print_line(console, f"{zones} on {', '.join(status.listeners)}, up {up}")
    told = _print_zones(console, status)
    signed = [zone for zone in told if zone.keys is not None and (zone.keys.ksks or zone.keys.zsks)]
    if signed:
        console.print()
        print_keys(console, signed, status.now)
    if status.workers and is_whole:
        console.print()
        _print_workers(console, status)
    if status.troubles and is_whole:
        console.print()
    for trouble in status.troubles if is_whole else ():
        lasting = span(max(0, status.now - trouble.since))
        print_line(console, f"{trouble.what}: failing for {lasting}: {trouble.reason}", COLOURS[Level.WARNING])
    if status.clock_synchronised is False and is_whole:
        print_line(console, f"\nnotice: {UNSYNCHRONISED}", COLOURS[Level.WARNING])


def print_words(console: Console, text: str) -> None:
    """What the words of a status, which is the `text`, mean."""
    if rows := [(f"  {word}", meaning) for word, meaning in explained(text)]:
        console.print("\nWords:", style="bold")
        columns = Columns(console, ("", ""), rows, prose=True)
        for row in rows:
            columns.print_row(row)


def print_reload(console: Console, report: ReloadReport) -> None:
    """What `reload` prints: a line for each zone and each of its warnings, and for each setting that needs a restart.

    Where there are many zones, those that are unchanged and have no warnings are counted in one line.
    """
    many = len(report.zones) > MOST_TOLD
    unchanged = 0
    for zone in report.zones:
        if many and zone.outcome is ReloadOutcome.UNCHANGED and not zone.warnings:
            unchanged += 1
            continue
        serial = "" if zone.serial is None else f" serial {zone.serial}"
        reason = f": {zone.reason}" if zone.reason else ""
        print_line(console, f"{zone.origin} {zone.outcome.value}{serial}{reason}", _OUTCOMES[zone.outcome])
        for warning in zone.warnings:
            print_line(console, f"  warning: {warning}", "yellow")
    if unchanged:
        print_line(console, f"{_count(unchanged, unchanged)} unchanged", _OUTCOMES[ReloadOutcome.UNCHANGED])
    for setting in report.restart:
        print_line(console, f"{setting}: changed, needs a restart", "yellow")


def _print_zones(console: Console, status: ServerStatus) -> Sequence[ZoneReport]:
    """The table of the zones, and what is wrong with them; those that were told."""
    told: Sequence[ZoneReport] = status.zones
    if len(told) > MOST_TOLD:
        told = [zone for zone in told if _wants_attention(zone, status.now)]
    wanting, told = len(told), told[:MOST_TOLD]
    if told or not status.zones:
        _print_table(console, told, status.now)
    _print_problems(console, told, status)
    if len(told) < len(status.zones):
        more = f"{wanting - len(told)} more need attention" if wanting > len(told) else "all others are OK"
        print_line(console, f"{_count(len(told), len(status.zones))} listed, {more}; status --json lists all", "dim")
    return told


def _wants_attention(zone: ZoneReport, now: int) -> bool:
    has_notice = zone.keys is not None and zone.keys.notice is not None
    return has_notice or zone_level(zone, now) is not Level.OK


def _print_table(console: Console, zones: Iterable[ZoneReport], now: int) -> None:
    rows = []
    for zone in zones:
        until = zone.keys.valid_until if zone.keys else None
        rows.append(
            (
                zone.origin,
                "-" if zone.serial is None else str(zone.serial),
                zone.denial if zone.signed else "-",
                Text(_condition(zone), style=COLOURS[zone_level(zone, now)]),
                moment(until, now) if until is not None else "-",
            )
        )
    print_columns(console, ("ZONE", "SERIAL", "DENIAL", "STATE", "VALID UNTIL"), rows)


def _print_workers(console: Console, status: ServerStatus) -> None:
    rows = []
    for worker in status.workers:
        state, style = "answers", "green"
        if worker.version is None:
            state, style = "starting", COLOURS[Level.WARNING]
        elif worker.is_behind:
            state = "applying a change"
        rows.append(
            (
                str(worker.number),
                "-" if worker.pid is None else str(worker.pid),
                Text(state, style=style),
                "-" if worker.version is None else str(worker.version),
                "-" if worker.pid is None else span(status.now - worker.started),
                str(worker.restarts),
            )
        )
    print_columns(console, ("WORKER", "PID", "STATE", "VERSION", "UP", "RESTARTS"), rows)


def _condition(zone: ZoneReport) -> str:
    if zone.serial is None:
        return "not loaded"
    if zone.keys is not None:
        return zone.keys.condition.value
    return Condition.STARTING.value if zone.signed else Condition.UNSIGNED.value


def _print_ds(console: Console, report: DsReport, now: int) -> None:
    """What to put into the zone above, unless that is served here and has it."""
    above = report.above
    if above is not None and all(record.is_above for record in report.records):
        print_line(console, f"  {report.zone}: {above.origin} on this server already has its DS")
        return
    for record in report.records:
        print_line(console, f"  {record.record}")
        if (remark := about_ds(record, above, now)) is not None:
            print_line(console, f"    {remark}", "yellow")


def _print_problems(console: Console, zones: Iterable[ZoneReport], status: ServerStatus) -> None:
    for zone in zones:
        style = COLOURS[zone_level(zone, status.now)]
        if zone.withheld is not None:
            print_line(console, f"{zone.origin} is {zone.withheld}", style)
        elif zone.above is not None and not zone.above.delegates:
            print_line(console, _undelegated(zone.origin, zone.above.origin, status), style)
        if zone.refused:
            what = "not loaded" if zone.file == HOSTED_FILE else "file refused"
            print_line(console, f"{zone.origin} {what}: {zone.refused}", style)
        if zone.keys is not None and zone.keys.problem:
            print_line(console, f"{zone.origin} keys: {zone.keys.problem}", style)
        if zone.keys is not None and zone.keys.notice:
            print_line(console, f"{zone.origin} notice: {zone.keys.notice}", "yellow")


def _undelegated(origin: str, above: str, status: ServerStatus) -> str:
    file = next((zone.file for zone in status.zones if zone.origin == above), "")
    return (
        f"{origin} is bogus to validators: its signed parent {above} on this server has no delegation to it; "
        f"add its NS records, with the addresses of name servers inside it, to {above} ({file})"
    )


def _print_commands(console: Console, zone: ZoneReport, status: ServerStatus, trust: Path, resolver: Address) -> None:
    paste = commands(trust, zone.origin, zone.example, [parse_address(text) for text in status.listeners], resolver)
    console.print("\nTo try it:", style="bold")
    for line in (paste.dig, paste.delv):
        print_line(console, f"  {line}", "cyan")
    console.print("\nA validating resolver, and a query through it:", style="bold")
    for line in (paste.unbound, paste.through_unbound):
        print_line(console, f"  {line}", "cyan")
    print_line(console, f"\nTrust anchors and resolver configuration: {trust}/", "dim")


def _print_next(console: Console, status: ServerStatus) -> None:
    """What to do where there is nothing to serve yet."""
    served = "These are sample zones. To serve your own" if status.zones else "No zone is served yet. To serve one"
    console.print(f"\n{served}:", style="bold")
    print_line(console, "  signwright serve example.net.zone         a zone file as the argument")
    print_line(console, "  [[zones]]                                 in the configuration (docs/signwright.toml)")
    if status.route53 is not None:
        print_line(console, "  aws route53 create-hosted-zone            through the API, see below")


def _print_api(console: Console, url: str, aws: Path) -> None:
    console.print("\nThe Route 53 API, and how AWS tools find it:", style="bold")
    print_line(console, f"  {url}")
    print_line(console, f"  . {shlex.quote(str(aws / 'env'))} && aws route53 list-hosted-zones", "cyan")


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _count(ready: int, total: int) -> str:
    zones = f"{total} zone" if total == 1 else f"{total} zones"
    return zones if ready == total else f"{ready} of {zones}"
