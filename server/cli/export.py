"""`signwright export`: a zone as a master file, from the server that runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from server.cli.options import located, of_running_server
from server.control.control_client import new_private_file
from server.control.socket_http import asked, path_of


@click.command()
@click.argument("zone")
@click.option("--signed", is_flag=True, help="Add signatures, DNSKEY and an NSEC chain, valid for some hours.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE, which must not exist yet, instead of stdout.",
)
@of_running_server
def export(zone: str, signed: bool, output: Path | None, config: Path | None, state: Path | None) -> None:
    """Print ZONE as a master file, signed or not.

    The output contains what the server answers, in canonical order, with absolute names.

    --signed signs the zone as it is now. The first line says until when all signatures are valid. The zone gets an NSEC
    chain even if the setting denial is "compact".

    \b
    Examples:
      signwright export lab.example | named-checkzone lab.example /dev/stdin
      signwright export lab.example --signed -o lab.example.signed
    """
    path = path_of(zone, "export?signed=1" if signed else "export")
    with asked(located(config, state), "GET", path) as answer:
        if output is None:
            for piece in answer.pieces():
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        with new_private_file(output) as file:
            for piece in answer.pieces():
                file.write(piece)
