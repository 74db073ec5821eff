"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from server.monitoring.logs import FORMATS
from server.settings.configuration import load_config
from server.settings.schema import Settings
from server.state.directory import StateDir

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

config_option = click.option(
    "--config", type=EXISTING_FILE, metavar="FILE", help="Configuration (TOML); docs/signwright.toml has every setting."
)
state_option = click.option("--state", type=FOLDER, metavar="DIR", help="State directory [default: ./state].")
log_option = click.option(
    "--log",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="How log lines look, on stderr.",
)


def of_running_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """--config and --state, for `located`."""
    return config_option(state_option(command))


def located(config: Path | None, state: Path | None) -> StateDir:
    """The state directory that a command is about. Raises `ConfigError`."""
    if state is not None:
        return StateDir(state.absolute())
    return StateDir(load_config(config).state if config else Path(Settings().state).absolute())
