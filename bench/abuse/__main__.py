"""The command: `scripts/bench-abuse` or `python -m bench.abuse`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.__main__ import Names
from bench.abuse.cases import Context, Seen
from bench.abuse.figures import BEGIN, END, PAGE, as_json, markdown, table
from bench.abuse.limits import Unbuilt, has_limits
from bench.abuse.rows import HUGE_RECORDS, OWN, ROWS
from bench.abuse.verdicts import disturbed, verdicts
from bench.documents import replaced
from bench.limit import measure_limit
from bench.process import prefer
from bench.rounds import LOAD_CORE, SERVER_CORE
from bench.servers import SERVERS
from bench.zone import write_zone

BUILD = Path(__file__).parents[2] / "build" / "bench"
WIDTH = 150
"""Columns of the table where no terminal says how many it has."""
QUICK = 1.0
NAMES = 10_000
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_KNOWN = list(dict.fromkeys(name for row in ROWS.values() for name in row.servers))


@click.command()
@click.option("--rows", "names", type=Names(list(ROWS)), help="Of: " + ", ".join(ROWS) + " (all).")
@click.option("--servers", type=Names(_KNOWN), help="Of: " + ", ".join(_KNOWN) + " (those of each row).")
@click.option("--seconds", type=click.FloatRange(0.5, 3600), help="Of each load (60).")
@click.option("--quick", is_flag=True, help="All in a few minutes: 1 second of each load, where not told otherwise.")
@click.option("--prefer", "preferred", is_flag=True, help="Put servers and load before all other programs (root).")
@click.option("--seed", type=int, default=1, help="Chooses the names that are asked for.", show_default=True)
@click.option("--json", "json_file", type=FILE, help="Write all results here.")
@click.option("--docs", type=FOLDER, help=f"Renew the figures in {PAGE} of this folder.")
def main(
    names: list[str] | None,
    servers: list[str] | None,
    seconds: float | None,
    quick: bool,
    preferred: bool,
    seed: int,
    json_file: Path | None,
    docs: Path | None,
) -> None:
    """Measure Signwright under abuse, beside other servers: the server on one core, clients and attackers on the other.

    Each load meets a server that was started for it, and lasts while hot queries come at a steady rate. At its end the
    server gets SIGTERM, and its end is timed. Ends with 1 where a figure falls short.
    """
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if (os.cpu_count() or 1) < 2:
        raise click.ClickException("This needs two cores: one for the server, one for the load.")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if preferred:
        try:
            prefer()
        except OSError as error:
            raise click.ClickException(f"--prefer needs root, and a kernel with autogroups: {error}") from None
    chosen = [ROWS[name] for name in names or ROWS]
    of_rows = {row.name: [name for name in row.servers if servers is None or name in servers] for row in chosen}
    seconds = seconds or (QUICK if quick else 60.0)
    about = _about(seconds, seed, [name for row in of_rows.values() for name in row])
    if not has_limits():
        console.print("[yellow]This version has no limits: where limits are on, they are on for peers alone.[/]")
    BUILD.mkdir(parents=True, exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    seen: list[Seen] = []
    try:
        with (
            tempfile.TemporaryDirectory(dir=BUILD, prefix="abuse-") as folder,
            Progress(*columns, console=console, transient=True, refresh_per_second=1) as progress,
        ):
            task = progress.add_task("the zone", total=len(chosen))
            zone = write_zone(Path(folder), NAMES, HUGE_RECORDS)
            about["signatures a second"] = round(measure_limit(SERVER_CORE, min(1.0, seconds)))

            def said(text: str) -> None:
                progress.update(task, description=text)
                if not console.is_terminal:
                    console.print(f"{datetime.now(UTC):%H:%M:%S} {text}", highlight=False)

            context = Context(Path(folder), zone, seconds, seed, preferred, said)
            for row in chosen:
                _measure(row.name, of_rows[row.name], context, seen, about, console)
                progress.advance(task)
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None
    about |= {"load at the end": os.getloadavg(), "disturbed": disturbed(seen)}
    found = verdicts(seen)
    console.print(table(found))
    if others := disturbed(seen):
        console.print("[yellow]Measured on a core that others used, too:[/]", *others, sep="\n  ")
    if json_file:
        json_file.write_text(json.dumps(as_json(about, seen, found), indent=1) + "\n")
    if docs:
        page = docs / PAGE
        page.write_text(replaced(page.read_text(), markdown(about, found), BEGIN, END))
    if "ended early" in about or any(verdict.reached is False for verdict in found):
        raise SystemExit(1)


def _measure(
    name: str, servers: Sequence[str], context: Context, seen: list[Seen], about: dict[str, Any], console: Console
) -> None:
    """One row. A case that this version cannot run is reported and skipped."""
    try:
        for one in ROWS[name].measure(context, servers):
            seen.append(one)
    except Unbuilt as missing:
        console.print(f"[yellow]{name}: this version has no setting {missing}[/]")
    except RuntimeError as error:
        # What other rows have seen, in an hour, is not lost for it.
        console.print(f"[red]{name} ended early:[/] {error}")
        about.setdefault("ended early", {})[name] = str(error)


def _about(seconds: float, seed: int, used: Sequence[str]) -> dict[str, Any]:
    """What one must know to judge or repeat a run."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "zone": {"names": NAMES, "seed": seed},
        "seconds": seconds,
        "limits": has_limits(),
        "load at the start": os.getloadavg(),
        "versions": {name: SERVERS[name].version() for name in dict.fromkeys([OWN, *used])},
    }


if __name__ == "__main__":
    for tool in ("taskset", "setpriv"):
        if not shutil.which(tool):
            raise SystemExit(f"scripts/bench-abuse needs {tool} (Linux, util-linux).")
    main(prog_name="scripts/bench-abuse")
