"""The command: `scripts/bench-large` or `python -m bench.large`."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.__main__ import BUILD, WIDTH, Names
from bench.documents import replaced
from bench.large.figures import BEGIN, END, as_json, figures, markdown, rows, tables
from bench.large.starts import TINY, Start, WrongStartError, rrset_count, starts, zone_files
from bench.rounds import LOAD_CORE
from bench.servers import SERVERS

MEASURED = ("signwright", "knot", "nsd", "bind")
STARTS = {"signwright": ("cold", "again")}
"""Those who keep something have a second start; the others have one."""
A_NAME = 1.983
"""RRsets at each name, on average."""


@click.command()
@click.option("--rrsets", type=click.IntRange(1000), default=1_000_000, show_default=True, help="RRsets in the zone.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Rounds of each server.")
@click.option("--servers", type=Names(MEASURED), help=f"Of: {', '.join(MEASURED)} (all).")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all results here.")
@click.option(
    "--docs", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Renew the figures of performance.md in this folder.",
)  # fmt: skip
def main(rrsets: int, rounds: int, servers: list[str] | None, json_file: Path | None, docs: Path | None) -> None:
    """Measure one large zone: how long it takes to load, from nothing and again, and what memory it takes.

    All servers get the same unsigned master file, and are started one after another, in rounds. Ends with 1 where a
    figure falls short.
    """
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if (os.cpu_count() or 1) < 2:
        raise click.ClickException("This needs two cores: one for the server, one for who asks it.")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = servers or list(MEASURED)
    names = round(rrsets / A_NAME)
    about: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "names": names,
        "rrsets": rrset_count(names),
        "rounds": rounds,
        "python": sys.version.split()[0],
        "load at the start": os.getloadavg(),
        "versions": {name: SERVERS[name].version() for name in chosen},
    }
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=BUILD, prefix="large-") as directory:
            measured = _measure(Path(directory), chosen, names, rounds, console)
    except (RuntimeError, WrongStartError) as error:
        raise click.ClickException(str(error)) from None
    found = rows(measured, about["rrsets"])
    for table in tables(found):
        console.print(table)
    if json_file:
        json_file.write_text(json.dumps(as_json(about, measured, found), indent=1) + "\n")
    if docs:
        page = docs / "performance.md"
        page.write_text(replaced(page.read_text(), markdown(about, found), BEGIN, END))
    if any(not figure.good for figure in figures(found)):
        raise SystemExit(1)


def _measure(directory: Path, chosen: list[str], names: int, rounds: int, console: Console) -> list[Start]:
    zones = [zone_files(directory, count) for count in (TINY, names)]
    measured: list[Start] = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        task = progress.add_task("", total=rounds * len(chosen) * len(zones))
        for _ in range(rounds):
            for name in chosen:
                for zone in zones:
                    progress.update(task, description=f"{SERVERS[name].title}, {zone.names:,} names")
                    measured += starts(SERVERS[name], directory, zone, STARTS.get(name, ("cold",)))
                    progress.advance(task)
    return measured


if __name__ == "__main__":
    main(prog_name="scripts/bench-large")
