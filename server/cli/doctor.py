"""`signwright doctor`: what of this host keeps a server from serving well."""

from __future__ import annotations

import json
from pathlib import Path

import click

from server.cli.host_checks import LEVELS, findings
from server.cli.options import config_option, configuration_of_environment, state_option
from server.control.socket_http import ControlError, asked
from server.settings.configuration import load_config
from server.state.paths import StateDir


@click.command(short_help="Check this host: ports, clock, limits, permissions, disk.")
@config_option
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Check whether this host has what a server needs. Changes nothing.

    It checks ports (and whether systemd-resolved holds them), the clock, file descriptors, permissions, socket buffers
    and disk space. Each line begins with "ok", "warning" or "error" and says what to do. Run it as the user that runs
    the server. Exit codes: 0, 1 for warnings, 2 for errors.
    """
    if config is None and state is None:
        config = configuration_of_environment()
    settings = load_config(config, state=state)
    found = list(findings(settings, is_running=_runs(StateDir(settings.state))))
    if as_json:
        click.echo(json.dumps([one._asdict() for one in found]))
    else:
        for one in found:
            click.echo(f"{one.level} {one.name}: {one.text}")
    ctx.exit(max(LEVELS.index(one.level) for one in found))


def _runs(state: StateDir) -> bool:
    try:
        with asked(state, "GET", "/healthz"):
            return True
    except ControlError as error:
        return error.code is not None  # it answered
