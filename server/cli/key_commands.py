"""The commands about a zone's keys: what will be done and what was done, and what a person may have done."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import msgspec

from keys.rules.commands import (
    ActivateKsk,
    CreateKsk,
    DeactivateKsk,
    DeleteKsk,
    DisableSigning,
    EmergencyRollover,
    EnableSigning,
    OfferDs,
    StartRollover,
    TrustClock,
    WithdrawDs,
)
from keys.rules.moments import duration as span
from server.cli.ask_key_manager import ask
from server.cli.options import located, of_running_server
from server.control.control_client import ControlClient, ControlError
from server.control.server_operations import ServerStatus, ZoneReport
from server.display.key_report import (
    print_events,
    print_key_lines,
    print_ksks,
    print_line,
    print_plan,
    print_suspension,
)
from server.display.rollover_rows import past_rows, planned_rows, print_rows
from server.display.status_report import console_for_people, console_of_one_screen
from server.display.timeline_svg import render_svg
from server.display.timeline_text import print_timeline
from server.settings.schema import parse_duration


class Duration(click.ParamType[int]):
    """A duration such as 90d, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds in a text."""
        if isinstance(value, int):
            return value
        try:
            return int(value) if value.isascii() and value.isdigit() else parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_zone = click.argument("zone")
_json = click.option("--json", "as_json", is_flag=True, help="For programs.")
_detail = click.option("--detail", is_flag=True, help="Every step, with its reason.")
_MORE = "Times are UTC; --detail lists every step."
_LONG_AGO = 5 * 366 * 86400
"""The most seconds that can be asked for: what began before is shown as if it had begun then."""
_force = click.option(
    "--force",
    is_flag=True,
    help="Look neither at the parent nor at what caches know. If a DS names the KSK, the zone turns bogus.",
)


@click.command(short_help="Show the planned rollovers of a zone's keys.")
@_zone
@click.option("--until", "ahead", type=Duration(), default="90d", show_default=True, help="How far to look ahead.")
@_detail
@_json
@of_running_server
def plan(zone: str, ahead: int, detail: bool, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Show the planned rollovers of the keys of ZONE, one row each; times are UTC.

    The server runs its own planner ahead in time, and takes each action to succeed at once, and a KSK in ACTION_NEEDED
    to stay so. With --detail, every action with its time and reason; the same one several times in a row is one line.
    """
    client = ControlClient(located(config, state))
    planned = client.plan(zone, ahead)
    if as_json:
        click.echo(msgspec.json.encode(planned))
        return
    console = console_for_people()
    if not planned:
        click.echo(f"No actions planned for {zone} in this period.")
    elif detail:
        print_plan(console, planned, int(time.time()))
    else:
        print_rows(console, planned_rows(client.timeline(zone, _LONG_AGO, ahead), planned))
        print_line(console, _MORE, "dim")
    status = client.status()
    print_suspension(console, _report_of(status, zone), status.now)


@click.command(short_help="Show the keys of a zone over time.")
@_zone
@click.option(
    "--svg", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help='Draw it; "-": to stdout.'
)
@click.option("--since", "back", type=Duration(), default="30d", show_default=True, help="How far to look back.")
@click.option("--until", "ahead", type=Duration(), default="60d", show_default=True, help="How far to look ahead.")
@_json
@of_running_server
def timeline(
    zone: str, file: Path | None, back: int, ahead: int, as_json: bool, config: Path | None, state: Path | None
) -> None:
    """Show the keys of ZONE over time: in the terminal, or with --svg FILE as a picture.

    One bar for each key, its phases in colour; the DS at the parent when it was seen; outages of the KMS. The picture
    has the slots too for which a KSK signs the DNSKEY RRset. The past is that of "signwright events", the future that
    of "signwright plan".
    """
    if file is not None and as_json:
        raise click.UsageError("choose one of --svg and --json")
    drawn = ControlClient(located(config, state)).timeline(zone, back, ahead)
    if as_json:
        click.echo(msgspec.json.encode(drawn))
    elif file is None:
        print_timeline(console_of_one_screen(), drawn)
    elif str(file) == "-":
        click.echo(render_svg(drawn), nl=False)
    else:
        file.write_text(render_svg(drawn), encoding="utf-8")
        click.echo(f"{file}: {sum(row.is_key for row in drawn.rows)} keys of {drawn.zone}")


@click.command(short_help="Show past rollovers and KMS outages of a zone.")
@_zone
@click.option("--since", "back", type=Duration(), metavar="DURATION", help="How far to look back [default: all].")
@_detail
@_json
@of_running_server
def events(zone: str, back: int | None, detail: bool, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Show past rollovers of the keys of ZONE, and outages of its KMS, one row each; times are UTC.

    With --detail, every event: when, what, why, and the KMS request IDs.
    """
    now = int(time.time())
    since = 0 if back is None else max(0, now - back)
    client = ControlClient(located(config, state))
    # A row needs all of its steps, also those before.
    entries = client.events(zone, since if detail or as_json else 0)
    if as_json:
        click.echo(msgspec.json.encode(entries))
    elif detail:
        print_events(console_for_people(), entries)
    elif rows := past_rows(entries, since, now):
        print_rows(console_for_people(), rows)
        print_line(console_for_people(), _MORE, "dim")
    else:
        click.echo(f"No events of {zone} in this period.")


@click.command(short_help="Begin a rollover of the zone-signing key of a zone.")
@_zone
@click.option(
    "--emergency",
    is_flag=True,
    help="The ZSK's private key is lost or known to others: replace it as fast as is safe.",
)
@of_running_server
def rollover(zone: str, emergency: bool, config: Path | None, state: Path | None) -> None:
    """Begin a rollover of the zone-signing key of ZONE now (Pre-Publish, RFC 6781 §4.1.1.1).

    It takes its time: the successor signs once every cache knows it, and the predecessor leaves once no cache holds
    what it signed. "signwright status" says what it waits for, "signwright plan" when each step will be.
    """
    after = ask(located(config, state), zone, EmergencyRollover() if emergency else StartRollover())
    print_key_lines(console_for_people(), after, int(time.time()))


@click.group(short_help="Create, activate, deactivate and delete key-signing keys.")
def ksk() -> None:
    """Create, activate, deactivate and delete key-signing keys: up to two in a zone.

    What the KMS has to do for it is watched for a few seconds; what is not done by then is done later, and said to be.

    \b
    A rollover by Double-Signature (RFC 6781 §4.1.2):
      signwright ksk create lab.example ksk_new   both sign the DNSKEY RRset
      signwright status                           wait for "safe to add the DS"
      signwright ds lab.example                   to the parent: both, then new
      signwright status                           wait for "KSK may be removed"
      signwright ksk deactivate lab.example ksk_1
      signwright ksk delete lab.example ksk_1
    """


@ksk.command("list")
@_zone
@_json
@of_running_server
def list_ksks(zone: str, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Show the KSKs of ZONE with their ARNs and DS records."""
    status = ControlClient(located(config, state)).status()
    report = _report_of(status, zone)
    if as_json:
        click.echo(msgspec.json.encode(report.keys.ksks if report.keys is not None else ()))
    else:
        print_ksks(console_for_people(), report, status.now)


@ksk.command()
@_zone
@click.argument("name")
@click.option("--arn", help="A KMS key of one's own; without one, the server has a key made.")
@click.option("--inactive", is_flag=True, help="It is not to sign until it is activated.")
@of_running_server
def create(zone: str, name: str, arn: str | None, inactive: bool, config: Path | None, state: Path | None) -> None:
    """Add the KSK NAME (3 to 128 letters, digits and _) to ZONE."""
    ask(located(config, state), zone, CreateKsk(name, arn, not inactive))


@ksk.command()
@_zone
@click.argument("name")
@of_running_server
def activate(zone: str, name: str, config: Path | None, state: Path | None) -> None:
    """Have the KSK NAME of ZONE sign. One in ACTION_NEEDED is tried at once."""
    ask(located(config, state), zone, ActivateKsk(name))


@ksk.command()
@_zone
@click.argument("name")
@_force
@of_running_server
def deactivate(zone: str, name: str, force: bool, config: Path | None, state: Path | None) -> None:
    """Take the KSK NAME out of the DNSKEY RRset of ZONE.

    Refused while the parent's DS names it, or did less than a DS TTL ago, or can't be looked up. The parent is the one
    that is served here, unless the setting "parent" names another, or "none". Where there is none, no DS is checked,
    and that is said; then it is refused as long as no other ACTIVE KSK is known to every cache.
    """
    ask(located(config, state), zone, DeactivateKsk(name, force))


@ksk.command()
@_zone
@click.argument("name")
@_force
@of_running_server
def delete(zone: str, name: str, force: bool, config: Path | None, state: Path | None) -> None:
    """Forget the INACTIVE KSK NAME of ZONE. Its key in the KMS stays."""
    ask(located(config, state), zone, DeleteKsk(name, force))


@ksk.command("withdraw-ds", short_help="Have the DS of a parent served here drop a KSK.")
@_zone
@click.argument("name")
@click.option("--force", is_flag=True, help="Also the last one that the DS names: the zone becomes insecure.")
@of_running_server
def withdraw_ds(zone: str, name: str, force: bool, config: Path | None, state: Path | None) -> None:
    """Have a parent of ZONE that is served here too drop the KSK NAME from its DS.

    That is the step before the KSK can be deactivated, a DS TTL later. A parent elsewhere is told there; that of a
    hosted zone has the DS as a record set.

    Refused for the last KSK that the DS names, since the zone is insecure without a DS: first let the DS name another
    KSK too. To stop signing the zone, withdraw the last one with --force, and disable signing later.
    """
    ask(located(config, state), zone, WithdrawDs(name, force))


@ksk.command("offer-ds", short_help="Have the DS of a parent served here name a KSK again.")
@_zone
@click.argument("name")
@of_running_server
def offer_ds(zone: str, name: str, config: Path | None, state: Path | None) -> None:
    """Take withdraw-ds back: the DS of a parent served here names the KSK NAME of ZONE again."""
    ask(located(config, state), zone, OfferDs(name))


@click.group()
def dnssec() -> None:
    """Enable or disable the signing of a zone."""


@dnssec.command()
@_zone
@of_running_server
def enable(zone: str, config: Path | None, state: Path | None) -> None:
    """Sign ZONE with its ACTIVE KSKs.

    It is served unsigned until its first signed DNSKEY RRset is stored. "signwright ds" gives the earliest safe time to
    add its DS: caches hold the unsigned answers for their TTL. A zone with signed = false is enabled by that setting.
    """
    ask(located(config, state), zone, EnableSigning())


@dnssec.command()
@_zone
@_force
@of_running_server
def disable(zone: str, force: bool, config: Path | None, state: Path | None) -> None:
    """Serve ZONE unsigned. Its KSKs stay as they are.

    Refused while the parent's DS names a KSK of it, or did so recently (a DS TTL and a DNSKEY TTL), or can't be looked
    up. The parent is the one that is served here, unless the setting "parent" names another, or "none". Where there is
    none, no DS is checked, and that is said.
    """
    ask(located(config, state), zone, DisableSigning(force))


@click.command("trust-clock", short_help="Accept the current clock and unfreeze the keys.")
@click.argument("zone", required=False)
@of_running_server
def trust_clock(zone: str | None, config: Path | None, state: Path | None) -> None:
    """Accept the system clock as it is now: for all zones, or for the keys of ZONE alone.

    A clock that has just gone forward by itself is followed at once, and not after three minutes. Keys that are frozen
    because the clock lies before what is stored go on. Look at the clock first: one of the two times is wrong.
    """
    directory = located(config, state)
    if zone is not None:
        ask(directory, zone, TrustClock())
        return
    report = ControlClient(directory).trust_clock()
    if report.accepted:
        click.echo(f"The clock is followed: it went forward by {span(report.accepted)}")
    for origin in report.zones:
        click.echo(f"{origin} goes on by the current clock")
    for origin, reason in report.refused.items():
        click.echo(f"{origin} does not: {reason}", err=True)
    if report.refused:
        raise ControlError(f"the keys of {len(report.refused)} zones stay frozen")
    if not report.accepted and not report.zones:
        click.echo("Nothing is wrong with the clock")


def _report_of(status: ServerStatus, zone: str) -> ZoneReport:
    origin = zone.lower().rstrip(".") + "."
    for report in status.zones:
        if report.origin == origin:
            return report
    raise ControlError(f"{origin} is not served here")
