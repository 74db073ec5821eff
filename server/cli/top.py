"""`signwright top`: what is asked now, live."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec
from rich.live import Live

from server.cli.options import located, of_running_server
from server.control.control_client import ControlClient
from server.display.status_report import console_for_people
from server.display.top_table import TABLES, print_top, top_screen
from server.watching.recent_queries import LONGEST, TopReport

_FIRST_LOOK = 3.0
"""Seconds that are counted before a single report, at least; watching has begun by then."""


@click.command(short_help="Show the top queries and clients, live.")
@click.option("--by", type=click.Choice(TABLES), help="Show only this table, with more rows.")
@click.option(
    "--minutes", type=click.IntRange(1, LONGEST), default=1, show_default=True, metavar="N",
    help=f"How far to look back, at most {LONGEST}.",
)  # fmt: skip
@click.option(
    "--interval", type=click.FloatRange(0.5, 8), default=2, show_default=True, metavar="SECONDS",
    help="Time between refreshes.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Count for three seconds, print one report, and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line per refresh.")
@of_running_server
def top(
    by: str | None,
    minutes: int,
    interval: float,
    once: bool,
    as_json: bool,
    config: Path | None,
    state: Path | None,
) -> None:
    """Show the most frequent names, clients, zones, types and RCODEs, until Ctrl-C.

    The server starts to count when this command starts and stops ten seconds after it ends, so it costs nothing at
    other times. Above about 5,000 queries per second it counts a sample, and says how large.

    Clients are networks: IPv4 /24, IPv6 /56. "q/s" is queries per second since counting began, within the last
    --minutes. A count may be too low by the "±" of its table, but never too high. Anything with more than 0.4 % of all
    queries is listed. "slipped" and "dropped" are responses that exceeded the rate limit of a network.

    If standard output is not a terminal, one report is printed, as with --once.

    \b
    signwright top --by clients --minutes 5      the busiest clients
    signwright top --once --json | jq .names     for a program
    """
    client, console = ControlClient(located(config, state)), console_for_people()
    once = once or (not console.is_terminal and not as_json)
    report = _begun(client, minutes) if once else client.top(minutes)
    if once:
        if as_json:
            click.echo(msgspec.json.encode(report))
        else:
            print_top(console, report, by)
        return
    try:
        if as_json:
            while True:
                click.echo(msgspec.json.encode(report))
                time.sleep(interval)
                report = client.top(minutes)
        with Live(top_screen(report, by, console.height), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                live.update(top_screen(client.top(minutes), by, console.height), refresh=True)
    except KeyboardInterrupt:
        return


def _begun(client: ControlClient, minutes: int) -> TopReport:
    """A report of a few seconds at least, whether somebody has looked before or not."""
    report = client.top(minutes)
    deadline = time.monotonic() + 2 * _FIRST_LOOK
    while report.seconds < _FIRST_LOOK and time.monotonic() < deadline:
        time.sleep(min(1.0, _FIRST_LOOK - report.seconds + 0.1))
        report = client.top(minutes)
    return report
