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
    help="Skip the parent and cache checks. If a DS names the KSK, the zone becomes bogus.",
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


@click.command(short_help="Start a rollover of the zone-signing key of a zone.")
@_zone
@click.option(
    "--emergency",
    is_flag=True,
    help="The ZSK's private key is lost or compromised: replace it as fast as is safe.",
)
@of_running_server
def rollover(zone: str, emergency: bool, config: Path | None, state: Path | None) -> None:
    """Start a rollover of the zone-signing key of ZONE now (Pre-Publish, RFC 6781 §4.1.1.1).

    The rollover takes hours to days: the new ZSK signs once every cache has it, and the old one is removed once no
    cache holds its signatures. "signwright status" shows what it waits for, "signwright plan" when each step is due.
    """
    after = ask(located(config, state), zone, EmergencyRollover() if emergency else StartRollover())
    print_key_lines(console_for_people(), after, int(time.time()))


@click.group(short_help="Create, activate, deactivate and delete key-signing keys.")
def ksk() -> None:
    """Create, activate, deactivate and delete key-signing keys, at most two per zone.

    A command waits up to five seconds for the KMS. Anything unfinished continues in the background, and the command
    says so.

    \b
    A Double-Signature rollover (RFC 6781 §4.1.2):
      signwright ksk create lab.example ksk_new   both sign the DNSKEY RRset
      signwright status                           wait for "safe to add the DS"
      signwright ds lab.example                   parent: add new, remove old
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
@click.option("--arn", help="ARN of an existing KMS key [default: create one].")
@click.option("--inactive", is_flag=True, help="Create it INACTIVE.")
@of_running_server
def create(zone: str, name: str, arn: str | None, inactive: bool, config: Path | None, state: Path | None) -> None:
    """Add the KSK NAME to ZONE. A NAME has 3 to 128 letters, digits and underscores."""
    ask(located(config, state), zone, CreateKsk(name, arn, not inactive))


@ksk.command()
@_zone
@click.argument("name")
@of_running_server
def activate(zone: str, name: str, config: Path | None, state: Path | None) -> None:
    """Sign with the KSK NAME of ZONE. A KSK in ACTION_NEEDED is tried again at once."""
    ask(located(config, state), zone, ActivateKsk(name))


@ksk.command()
@_zone
@click.argument("name")
@_force
@of_running_server
def deactivate(zone: str, name: str, force: bool, config: Path | None, state: Path | None) -> None:
    """Remove the KSK NAME from the DNSKEY RRset of ZONE.

    Refused while the parent's DS names the KSK, named it less than a DS TTL ago, or can't be looked up. The setting
    "parent" says which servers to ask; by default, a parent on this server. Without a parent, the command warns that it
    checked no DS, and refuses to remove the only ACTIVE KSK that every cache has.
    """
    ask(located(config, state), zone, DeactivateKsk(name, force))


@ksk.command()
@_zone
@click.argument("name")
@_force
@of_running_server
def delete(zone: str, name: str, force: bool, config: Path | None, state: Path | None) -> None:
    """Delete the INACTIVE KSK NAME of ZONE. Its key in the KMS is kept."""
    ask(located(config, state), zone, DeleteKsk(name, force))


@ksk.command("withdraw-ds", short_help="Remove a KSK's DS from a parent on this server.")
@_zone
@click.argument("name")
@click.option("--force", is_flag=True, help="Remove even the last DS: the zone becomes insecure.")
@of_running_server
def withdraw_ds(zone: str, name: str, force: bool, config: Path | None, state: Path | None) -> None:
    """Remove the DS of the KSK NAME of ZONE from a parent on this server.

    The KSK can be deactivated one DS TTL later. For a parent elsewhere, remove the DS there; in a parent that is a
    hosted zone, the DS is a record set.

    Refused for the last KSK that the DS names, because a zone without a DS is insecure: first add the DS of another
    KSK. To stop signing the zone, use --force, and disable signing later.
    """
    ask(located(config, state), zone, WithdrawDs(name, force))


@ksk.command("offer-ds", short_help="Add a KSK's DS to a parent on this server again.")
@_zone
@click.argument("name")
@of_running_server
def offer_ds(zone: str, name: str, config: Path | None, state: Path | None) -> None:
    """Undo withdraw-ds: add the DS of the KSK NAME of ZONE to a parent on this server again."""
    ask(located(config, state), zone, OfferDs(name))


@click.group()
def dnssec() -> None:
    """Enable or disable signing of a zone."""


@dnssec.command()
@_zone
@of_running_server
def enable(zone: str, config: Path | None, state: Path | None) -> None:
    """Sign ZONE with its ACTIVE KSKs.

    The zone is served unsigned until its first signed DNSKEY RRset is stored. Caches hold the unsigned answers for
    their TTL; "signwright ds" gives the earliest safe time to add the DS. For a zone with signed = false, change that
    setting instead.
    """
    ask(located(config, state), zone, EnableSigning())


@dnssec.command()
@_zone
@_force
@of_running_server
def disable(zone: str, force: bool, config: Path | None, state: Path | None) -> None:
    """Serve ZONE unsigned. Its KSKs are kept.

    Refused while the parent's DS names a KSK of the zone, named one less than a DS TTL and a DNSKEY TTL ago, or can't
    be looked up. The setting "parent" says which servers to ask; by default, a parent on this server. Without a parent,
    the command warns that it checked no DS.
    """
    ask(located(config, state), zone, DisableSigning(force))


@click.command("trust-clock", short_help="Accept the current clock and unfreeze the keys.")
@click.argument("zone", required=False)
@of_running_server
def trust_clock(zone: str | None, config: Path | None, state: Path | None) -> None:
    """Accept the system clock as correct, for all zones or for the keys of ZONE alone.

    Check the clock first: a wrong clock makes wrong signatures. The command accepts a forward jump at once instead of
    after three minutes, and unfreezes keys that are frozen because the clock is behind the newest stored event.
    """
    directory = located(config, state)
    if zone is not None:
        ask(directory, zone, TrustClock())
        return
    report = ControlClient(directory).trust_clock()
    if report.accepted:
        click.echo(f"Clock accepted: it went forward by {span(report.accepted)}")
    for origin in report.zones:
        click.echo(f"{origin} unfrozen")
    for origin, reason in report.refused.items():
        click.echo(f"{origin} is still frozen: {reason}", err=True)
    if report.refused:
        raise ControlError(f"the keys of {len(report.refused)} zones are still frozen")
    if not report.accepted and not report.zones:
        click.echo("The clock was accepted already; no keys are frozen")


def _report_of(status: ServerStatus, zone: str) -> ZoneReport:
    origin = zone.lower().rstrip(".") + "."
    for report in status.zones:
        if report.origin == origin:
            return report
    raise ControlError(f"{origin} is not served here")
