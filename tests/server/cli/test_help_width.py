"""The help of every command, and of every command of a group, fits 80 columns and cuts nothing short."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from server.cli import cli

COLUMNS = 80


def every_command(
    command: click.Command, names: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield names, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from every_command(below, (*names, name))


EVERY = dict(every_command(cli))


def test_groups_are_looked_into() -> None:
    assert {(), ("plan",), ("ksk",), ("ksk", "create"), ("dnssec", "disable")} <= set(EVERY)


@pytest.mark.parametrize("names", EVERY, ids=" ".join)
def test_help_fits(names: tuple[str, ...]) -> None:
    command = EVERY[names]
    context: click.Context | None = None
    for depth in range(len(names) + 1):
        name = names[depth - 1] if depth else "signwright"
        context = click.Context(
            EVERY[names[:depth]], info_name=name, parent=context, terminal_width=COLUMNS, max_content_width=COLUMNS
        )
    assert context is not None
    text = command.get_help(context)
    assert text.startswith(f"Usage: {' '.join(('signwright', *names))}")
    for line in text.splitlines():
        assert len(line) <= COLUMNS, line
        assert not line.endswith("...") or line.startswith("Usage: "), line
    assert command.help, "a command without help"
