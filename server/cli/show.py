"""Printing what the server shows: `server.control.shown`, asked for and passed on."""

from __future__ import annotations

import json
import os
import sys

import click

from server.control.socket_http import asked
from server.state.paths import StateDir

_MOST_COLUMNS, _USUAL_COLUMNS = 9999, 80


def show(ctx: click.Context, state: StateDir, method: str, path: str, *, as_json: bool = False) -> None:
    """Print what the server answers, and end as it says. Raises `ControlError`."""
    ctx.exit(printed(state, method, path, as_json=as_json))


def printed(
    state: StateDir, method: str, path: str, *, as_json: bool = False, asked_for: str = "", clear: bool = False
) -> int:
    """Print what the server answers; the exit code that it says. Raises `ControlError`.

    `asked_for` is added to the query string. With `clear`, what a terminal shows gives way to it.
    """
    look = "&".join(filter(None, (_look(as_json=as_json), asked_for)))
    with asked(state, method, f"/shown/{path}?{look}") as answer:
        shown = json.loads(answer.read())
    if clear:
        click.clear()
    click.echo(shown["out"], nl=False)
    click.echo(shown["err"], nl=False, err=True)
    return int(shown["exit"])


def _look(*, as_json: bool) -> str:
    """What standard output is, for `server.control.shown.Look`."""
    if as_json:
        return "json=1"
    if not sys.stdout.isatty():
        return ""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    return f"columns={_columns()}&colour={0 if plain else 1}"


def _columns() -> int:
    """Of the terminal, or as COLUMNS has it."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and 0 < int(given) < _MOST_COLUMNS:
        return int(given)
    try:
        found = os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        found = 0
    return min(found, _MOST_COLUMNS) or _USUAL_COLUMNS
