"""The commands that speak to a running server, and do by themselves what can be done without one."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import click
import msgspec

from keys.custody.state_database import Store
from keys.custody.zsk_encryption import StateError
from server.cli.options import EXISTING_FILE, located, of_running_server
from server.control.control_client import ControlClient, ControlError, NoServerError, new_private_file
from server.control.server_operations import Level, ReloadOutcome, ServerStatus, server_level
from server.display.key_report import about_ds
from server.display.status_report import console_for_people, print_reload, print_status
from server.state import restore_swap
from server.state.backup_archive import stage_archive, write_archive
from server.state.directory import StateDir, finish_restore, open_state

_BACK = 60
"""Seconds that a server may take to start again on a restored state."""


@click.command()
@of_running_server
@click.option("--json", "as_json", is_flag=True, help="The whole status, for programs.")
@click.pass_context
def status(ctx: click.Context, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Show how the server and its zones are.

    Exits as monitoring expects: 0 well, 1 warning, 2 critical (no server answers, a zone cannot be answered, or the
    signatures of one end within a day and are not renewed).
    """
    try:
        found: ServerStatus = ControlClient(located(config, state)).status()
    except ControlError as error:
        if as_json:
            click.echo(msgspec.json.encode({"level": Level.CRITICAL.name.lower(), "error": str(error)}))
        else:
            click.echo(f"{Level.CRITICAL.name}: {error}")
        ctx.exit(Level.CRITICAL)
    level = server_level(found)
    if as_json:
        click.echo(msgspec.json.encode({"level": level.name.lower(), **msgspec.to_builtins(found)}))
    else:
        print_status(console_for_people(), found)
    ctx.exit(level)


@click.command()
@click.argument("zone")
@click.option("--json", "as_json", is_flag=True, help="With what is known of each, for programs.")
@of_running_server
def ds(zone: str, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Print the DS records of ZONE, for its parent zone.

    What is to be known of one comes on standard error: before when it may not be added, since caches hold what it would
    make bogus, or that a parent which is served here has it already.
    """
    report = ControlClient(located(config, state)).ds(zone)
    if as_json:
        click.echo(msgspec.json.encode(report))
        return
    for record in report.records:
        click.echo(record.record)
    for record in report.records:
        if (remark := about_ds(record, report.above, int(time.time()))) is not None:
            click.echo(f"signwright: the DS of {record.ksk} {remark}", err=True)


@click.command(short_help="Have the server read its zones and their files again.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@of_running_server
@click.pass_context
def reload(ctx: click.Context, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Have the server read its configuration's zones and every zone file again.

    A zone that is wrong is refused, and the one served before goes on; then the exit code is 4. Of other settings than
    those of zones, it is told which have changed: they take a restart.
    """
    report = ControlClient(located(config, state)).reload()
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        print_reload(console_for_people(), report)
    ctx.exit(4 if any(zone.outcome is ReloadOutcome.REFUSED for zone in report.zones) else 0)


@click.command(short_help="Write a backup of the state, with its private keys.")
@click.argument("file", type=click.Path(path_type=Path))
@of_running_server
def backup(file: Path, config: Path | None, state: Path | None) -> None:
    """Write a backup of the state to FILE (tar.gz, mode 0600), whether a server runs or not.

    It holds private keys: the state key with the zone-signing keys, the emulator's keys and credentials.
    """
    directory = located(config, state)
    try:
        ControlClient(directory).backup(file)
    except NoServerError:
        if not directory.database.exists():
            raise StateError(f"there is no state in {directory.path}") from None
        with (
            open_state(directory.path),
            Store.open(directory.path, os.urandom) as store,
            new_private_file(file) as out,
        ):
            write_archive(directory, store.backup, out)
    click.echo(f"{file}: {file.stat().st_size} octets; it holds private keys, so keep it as safe as they are")


@click.command()
@click.argument("file", type=EXISTING_FILE)
@of_running_server
def restore(file: Path, config: Path | None, state: Path | None) -> None:
    """Put the backup FILE in the place of the state.

    A running server starts again on it by itself. What was there before is kept in the state directory, as
    before-restore-TIME.
    """
    directory = located(config, state)
    with file.open("rb") as archive:
        try:
            kept = ControlClient(directory).restore(archive)
        except NoServerError:
            with open_state(directory.path):
                kept = stage_archive(directory, archive, time.time())
                finish_restore(directory)
        else:
            _wait_for(directory)
    click.echo(f"Restored from {file}. What was there before is kept in {directory.path / kept}.")


def _wait_for(directory: StateDir) -> None:
    """Wait until the server answers again. Raises `ControlError`."""
    deadline = time.monotonic() + _BACK
    while time.monotonic() < deadline:
        if not restore_swap.pending(directory.path):
            with contextlib.suppress(NoServerError):
                ControlClient(directory).status()
                return
        time.sleep(0.1)
    raise ControlError(f"the server did not come back on the restored state within {_BACK} s: see its log")
