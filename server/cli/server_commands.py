"""The commands that a running server answers in one go: they import next to nothing, and are quick."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from server.cli.options import located, of_running_server
from server.cli.show import printed, show
from server.control.socket_http import ControlError, quoted

_CRITICAL = 2
"""The exit code for monitoring, where no server answers."""
_UNKNOWN = 3
"""The exit code of `status` for wrong usage: monitoring's UNKNOWN, since 2 is CRITICAL."""
_WATCHED = 2.0
"""Seconds from one look of `status --watch` to the next."""


class _ForMonitoring(click.Command):
    """A command whose exit codes 0 to 2 are levels."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click does; wrong usage exits with `_UNKNOWN`."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            error.show()
            raise click.exceptions.Exit(_UNKNOWN) from None


@click.command(cls=_ForMonitoring)
@click.argument("zone", required=False)
@of_running_server
@click.option("--json", "as_json", is_flag=True, help="Print the complete status as JSON.")
@click.option("--watch", is_flag=True, help="Refresh every two seconds, until Ctrl-C.")
@click.pass_context
def status(
    ctx: click.Context, zone: str | None, config: Path | None, state: Path | None, as_json: bool, watch: bool
) -> None:
    """Show what to do, and the state of the server and its zones.

    The first line shows the level and the most urgent step, the second line the command for it. ZONE limits the output
    to one zone.

    The exit code suits monitoring: 0 OK, 1 WARNING, 2 CRITICAL, 3 wrong usage. CRITICAL means that the server does not
    respond, or that a zone is not answered, is bogus, or has signatures that expire within a day and are not renewed.
    """
    given = (("--config", config), ("--state", state))
    options = "".join(f" {name} {_in_shell(str(path))}" for name, path in given if path is not None)
    asked_for = f"options={quoted(options)}" + (f"&zone={quoted(zone)}" if zone is not None else "")
    while True:
        try:
            code = printed(located(config, state), "GET", "status", as_json=as_json, asked_for=asked_for, clear=watch)
        except ControlError as error:
            code = _CRITICAL
            if as_json:
                failed = {"level": "critical", "error": str(error), "todo": []}
                click.echo(json.dumps(failed, separators=(",", ":")))
            else:
                click.echo(f"CRITICAL: {error}")
        if not watch or code == _UNKNOWN:
            ctx.exit(code)
        time.sleep(_WATCHED)


def _in_shell(text: str) -> str:
    """A word of a command to paste; `shlex` takes long to import."""
    plain = all(letter.isalnum() or letter in "/._-+:@" for letter in text)
    return text if plain else "'" + text.replace("'", "'\\''") + "'"


@click.command()
@click.argument("zone")
@click.option("--json", "as_json", is_flag=True, help="Print the records and their details as JSON.")
@of_running_server
@click.pass_context
def ds(ctx: click.Context, zone: str, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Print the DS records of ZONE, for its parent zone.

    Notes go to standard error: the earliest safe time to add a record, or that a parent on this server already has it.
    """
    show(ctx, located(config, state), "GET", f"ds/{quoted(zone)}", as_json=as_json)


@click.command(short_help="Reload the configuration and all zone files.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@of_running_server
@click.pass_context
def reload(ctx: click.Context, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Reload the zones of the configuration and every zone file.

    An invalid zone file is rejected, the previous zone stays in service, and the exit code is 4. The output lists
    other changed settings, which need a restart.
    """
    show(ctx, located(config, state), "POST", "reload", as_json=as_json)
