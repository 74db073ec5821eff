"""The commands that a running server answers in one go: they import next to nothing, and are quick."""

from __future__ import annotations

import json
from pathlib import Path

import click

from server.cli.options import located, of_running_server
from server.cli.show import show
from server.control.socket_http import ControlError, quoted

_CRITICAL = 2
"""The exit code for monitoring, where no server answers."""


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
        show(ctx, located(config, state), "GET", "status", as_json=as_json)
    except ControlError as error:
        if as_json:
            click.echo(json.dumps({"level": "critical", "error": str(error)}, separators=(",", ":")))
        else:
            click.echo(f"CRITICAL: {error}")
        ctx.exit(_CRITICAL)


@click.command()
@click.argument("zone")
@click.option("--json", "as_json", is_flag=True, help="With what is known of each, for programs.")
@of_running_server
@click.pass_context
def ds(ctx: click.Context, zone: str, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Print the DS records of ZONE, for its parent zone.

    Notes go to standard error: the earliest safe time to add a record, or that a parent on this server already has it.
    """
    show(ctx, located(config, state), "GET", f"ds/{quoted(zone)}", as_json=as_json)


@click.command(short_help="Have the server read its zones and their files again.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@of_running_server
@click.pass_context
def reload(ctx: click.Context, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Have the server read its configuration's zones and every zone file again.

    An invalid zone file is rejected, and the previous zone stays in service; then the exit code is 4. Lists other
    changed settings, which need a restart.
    """
    show(ctx, located(config, state), "POST", "reload", as_json=as_json)
