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
@click.option("--json", "as_json", is_flag=True, help="The whole status, for programs.")
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@click.pass_context
def status(
    ctx: click.Context, zone: str | None, config: Path | None, state: Path | None, as_json: bool, watch: bool
) -> None:
    """Show what to do, and how the server and its zones are.

    The first line has the level and the most urgent step, the second one the command for it. With ZONE: of that zone.

    Exits as monitoring expects: 0 OK, 1 WARNING, 2 CRITICAL (no server answers, a zone cannot be answered or is bogus,
    or the signatures of one end within a day and are not renewed), 3 wrong usage.
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
