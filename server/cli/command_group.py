"""The group of all commands: each is imported when it is asked for, and its declared failures end as `exit_codes` says.

What a command does not need takes longer to import than the quick ones take: with all of it, `signwright --help` costs
115 times what `python -c pass` does, and without 4.6 times.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class DeclaredGroup(click.Group):
    """Commands by the modules that have them, under their own names, with what a list of them says of each."""

    def __init__(self, *arguments: Any, commands_of: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands_of = commands_of

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order in which they are given."""
        return list(self.commands_of)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name."""
        if cmd_name not in self.commands_of:
            return None
        command = getattr(import_module(self.commands_of[cmd_name][0]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, of which none is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in self.commands_of.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, BrokenPipeError):
            raise
        except Exception as raised:
            exit_codes = import_module("server.cli.exit_codes")  # knows the failures of all commands
            error = exit_codes.alone(raised)
            code = exit_codes.exit_of(error)
            if code is None:
                raise
            for line in exit_codes.sentences(error):
                click.echo(f"signwright: {line}", err=True)
            ctx.exit(code)
