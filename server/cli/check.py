"""`signwright check`: what is wrong in zone files and configurations, before a server meets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from keys.dnssec.signing_policy import Policy
from server.cli import start_check
from server.cli.exit_codes import Exit, exit_of
from server.cli.progress import reading
from server.settings.configuration import ConfigError, ZoneConfig, load_config, zones_from_argument
from zones.masterfile.load import ZoneFileError, ZoneWarning, load_zone


@click.command(short_help="Say what is wrong in zone files and configurations.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...]) -> None:
    """Check zone files and configurations; print file:line: reason for what is wrong.

    Warnings go to stderr, and change no exit code: a zone that has some is served.

    A FILE is a configuration (*.toml), which is checked with the zones that it names and for whether a server would
    start on this host, or a zone as for "serve". The bounds of [zone_files] hold here too: those of the configuration,
    or else the defaults.
    """
    worst = Exit.DONE
    for file in files:
        for error in _problems(file):
            click.echo(str(error))
            worst = max(worst, exit_of(error) or Exit.FAILED)
    ctx.exit(worst)


def _problems(file: str) -> Iterator[Exception]:
    """What is wrong with one argument, while what is right is said."""
    try:
        if file.endswith(".toml"):
            config = load_config(Path(file))
            click.echo(f"{file}: a configuration with {len(config.zones)} zones")
            yield from start_check.problems(Path(file), config)
            for remark in start_check.remarks(Path(file), config):
                click.echo(remark, err=True)
            zones: list[ZoneConfig] = list(config.zones)
        else:
            zones = zones_from_argument(file, Policy())
    except ConfigError as error:
        yield error
        return
    for zone in zones:
        assert zone.file is not None
        warnings: list[ZoneWarning] = []
        try:
            with reading(zone.file) as progress:
                loaded = load_zone(
                    zone.file,
                    zone.origin,
                    signed=zone.signed,
                    denial=zone.denial,
                    progress=progress,
                    warned=warnings.extend,
                    limits=zone.files.reading,
                )
        except ZoneFileError as error:
            yield error
        else:
            for warning in warnings:
                click.echo(f"{warning.file}:{warning.line}: warning: {warning.reason}", err=True)
            names, rrsets = len(loaded.nodes), loaded.rrset_count
            click.echo(f"{zone.file}: {zone.origin} serial {loaded.serial}, {names} names, {rrsets} RRsets")
