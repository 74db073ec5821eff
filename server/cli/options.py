"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from server.state.paths import StateDir

_FORMATS = ("auto", "console", "logfmt", "json")
"""Those of `server.monitoring.logs`, which takes long to import."""
_LEVELS = ("debug", "info", "warning", "error")
_DEFAULT_STATE = "state"

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

config_option = click.option(
    "--config", type=EXISTING_FILE, metavar="FILE", help="Configuration (TOML); docs/signwright.toml has every setting."
)
state_option = click.option("--state", type=FOLDER, metavar="DIR", help="State directory [default: ./state].")
log_option = click.option(
    "--log",
    type=click.Choice(_FORMATS),
    default=_FORMATS[0],
    show_default=True,
    help="Format of the log on stderr.",
)


level_option = click.option(
    "--log-level",
    type=click.Choice(_LEVELS),
    default="info",
    show_default=True,
    help='Lowest level to log. On a terminal, key events are logged at "debug".',
)


def of_running_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """--config and --state, for `located`."""
    return config_option(state_option(command))


def located(config: Path | None, state: Path | None) -> StateDir:
    """The state directory of a command: that of --state, of --config, of the configuration in SIGNWRIGHT_CONFIG, or
    ./state. Raises `ConfigError`.
    """
    if state is not None:
        return StateDir(state.absolute())
    config = config or configuration_of_environment()
    return StateDir((_state_of(config) if config is not None else Path(_DEFAULT_STATE)).absolute())


def configuration_of_environment() -> Path | None:
    """The path in SIGNWRIGHT_CONFIG, which applies if neither --config nor --state is given."""
    name = os.environ.get("SIGNWRIGHT_CONFIG")
    return Path(name) if name else None


def _state_of(config: Path) -> Path:
    """The setting `state`, whatever is wrong with the others: a server that runs can be spoken to.

    All settings take half a second to read.
    """
    try:
        given = import_module("tomllib").loads(config.read_text(encoding="utf-8")).get("state", f"./{_DEFAULT_STATE}")
    except (OSError, ValueError):
        given = None
    if isinstance(given, str):
        return config.absolute().parent / Path(given).expanduser()
    found: Path = import_module("server.settings.configuration").load_config(config).state  # says what is wrong
    return found
