"""The group of all commands: each is imported when it is asked for, and its declared failures end as `exit_codes` says.

What a command does not need takes longer to import than most of them take: `signwright ds` 0.63 s with all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class DeclaredGroup(click.Group):
    """Commands by the modules that have them, under their own names."""

    def __init__(self, *arguments: Any, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order in which they are given."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name."""
        if cmd_name not in self.modules:
            return None
        command = getattr(import_module(self.modules[cmd_name]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

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
