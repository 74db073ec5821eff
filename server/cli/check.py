"""`signwright check`: what is wrong in zone files and configurations, before a server meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from keys.dnssec.signing_policy import Policy
from server.cli import start_check
from server.cli.exit_codes import Exit
from server.cli.progress import reading
from server.settings.configuration import ConfigError, ZoneConfig, load_config, zones_from_argument
from zones.masterfile.check_zone import CheckedZone, check_zone
from zones.masterfile.found_faults import Finding


@click.command(short_help="Check zone files and configurations for errors.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print errors and warnings as JSON on stdout.")
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Check zone files and configurations; print FILE:LINE: REASON for each error.

    Warnings go to stderr as FILE:LINE: warning: REASON and do not change the exit code, because a server accepts such a
    zone. Both are sorted by line, at most 100 per file. Consequences of an earlier error are not reported.

    A FILE is a zone as for "serve", or a configuration (*.toml). With a configuration, check also reads its zones and
    checks whether a server could start on this host. The limits of [zone_files] apply: those of the configuration, or
    the defaults.

    Exit codes: 0 no error, 4 a zone has errors, 5 a configuration has errors.
    """
    worst = Exit.DONE
    told: list[Finding] = []
    for file in files:
        for finding, code in _findings(file, quiet=as_json):
            if as_json:
                told.append(finding)
            else:
                click.echo(str(finding), err=finding.severity == "warning")
            if finding.severity == "error":
                worst = max(worst, code)
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in told], indent=2))
    ctx.exit(worst)


def _findings(file: str, *, quiet: bool) -> Iterator[tuple[Finding, Exit]]:
    """The errors and warnings of one argument; prints a line for what is valid, unless `quiet`."""
    try:
        if file.endswith(".toml"):
            config = load_config(Path(file))
            if not quiet:
                click.echo(
                    f"{file}: a configuration with {len(config.zones)} zone{'' if len(config.zones) == 1 else 's'}"
                )
            for found in start_check.findings(Path(file), config):
                yield found, Exit.CONFIGURATION
            zones: list[ZoneConfig] = list(config.zones)
        else:
            zones = zones_from_argument(file, Policy())
    except ConfigError as error:
        exit_code = Exit.CONFIGURATION if file.endswith(".toml") else Exit.ZONE_FILE
        yield from ((found, exit_code) for found in start_check.of_error(file, error))
        return
    for zone in zones:
        checked = _checked(zone)
        for finding in (*checked.errors.told(), *checked.warnings.told()):
            yield finding, Exit.ZONE_FILE
        if checked.zone is not None and not quiet:
            loaded = checked.zone
            names, rrsets = len(loaded.nodes), loaded.rrset_count
            click.echo(f"{zone.file}: {zone.origin} serial {loaded.serial}, {names} names, {rrsets} RRsets")


def _checked(zone: ZoneConfig) -> CheckedZone:
    assert zone.file is not None
    with reading(zone.file) as progress:
        return check_zone(
            zone.file,
            zone.origin,
            signed=zone.signed,
            denial=zone.denial,
            progress=progress,
            limits=zone.files.reading,
        )
