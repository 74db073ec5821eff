"""The command: `scripts/api-speed` or `python -m bench.api`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.api import changes, listing, many
from bench.api.figures import Figure, as_json, of_changes, of_listing, of_many, table
from bench.api.served import WrongFigureError, served
from bench.rounds import LOAD_CORE

BUILD = Path(__file__).parents[2] / "build" / "bench"
WIDTH = 120
"""Columns of the table where no terminal says how many it has."""
PARTS = ("changes", "listing", "many")
ZONES = 1000
HOT = 1000
"""Names that half of the queries ask for."""


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of everything: 10,000 names, 100 zones, 10 s under load.")
@click.option("--names", type=click.IntRange(1000, 1_000_000), help="Names in the large zone (100,000).")
@click.option("--zones", type=click.IntRange(10, 10_000), help="Zones to create and sign (1,000).")
@click.option("--rate", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="Queries a second.")
@click.option("--seconds", type=click.FloatRange(1, 600), help="Time under load (30).")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Only this part; may be given more than once.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all results here.")
def main(
    quick: bool,
    names: int | None,
    zones: int | None,
    rate: int,
    seconds: float | None,
    only: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Measure the Route 53 API: changes under load, a listing, many zones. Ends with 1 where a figure falls short."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if (os.cpu_count() or 1) < 2:
        raise click.ClickException("This needs two cores: one for the server, one for its clients.")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names, zones = names or (10_000 if quick else 100_000), zones or (ZONES // 10 if quick else ZONES)
    seconds = seconds or (10.0 if quick else 30.0)
    about = _about(names=names, zones=zones, rate=rate, seconds=seconds)
    BUILD.mkdir(parents=True, exist_ok=True)
    measured: list[object] = []
    figures: list[Figure] = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    try:
        with (
            tempfile.TemporaryDirectory(dir=BUILD, prefix="api-") as directory,
            Progress(*columns, console=console, refresh_per_second=2) as progress,
        ):
            parts = only or PARTS
            if "changes" in parts or "listing" in parts:
                _large_zone(Path(directory), parts, names, rate, seconds, progress, measured, figures)
            if "many" in parts:
                task = progress.add_task("zones created and signed", total=zones)
                with served(Path(directory) / "many") as site:
                    result = many.measure(site, zones, lambda: progress.advance(task))
                measured.append(result)
                figures += of_many(result)
    except (RuntimeError, WrongFigureError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from None
    about["load at the end"] = os.getloadavg()
    console.print(table(figures))
    if json_file:
        json_file.write_text(json.dumps(as_json(about, figures, measured), indent=1) + "\n")
    if any(figure.good is False for figure in figures):
        raise SystemExit(1)


def _large_zone(
    directory: Path,
    parts: tuple[str, ...],
    names: int,
    rate: int,
    seconds: float,
    progress: Progress,
    measured: list[object],
    figures: list[Figure],
) -> None:
    queries = directory / "queries"
    changes.write_queries(queries, names, HOT, Random(1))
    with served(directory / "large") as site:
        filling = progress.add_task("records created", total=names)
        zone = changes.fill(site, names, lambda count: progress.advance(filling, count))
        if "changes" in parts:
            changing = progress.add_task("changes under load", total=int(seconds / changes.INTERVAL))
            changed = changes.measure(
                site, zone, names, BUILD / "load", queries, rate, seconds, lambda: progress.advance(changing)
            )
            measured.append(changed)
            figures += of_changes(changed)
        if "listing" in parts:
            paging = progress.add_task("pages listed", total=(names + 1) // listing.PAGE + 1)
            listed = listing.measure(site, zone, names, lambda: progress.advance(paging))
            measured.append(listed)
            figures += of_listing(listed)


def _about(**options: float) -> dict[str, Any]:
    """What one must know to judge or repeat a run."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load at the start": os.getloadavg(),
        **options,
    }


if __name__ == "__main__":
    for tool in ("taskset", "setpriv"):
        if not shutil.which(tool):
            raise SystemExit(f"scripts/api-speed needs {tool} (Linux, util-linux).")
    main(prog_name="scripts/api-speed")
