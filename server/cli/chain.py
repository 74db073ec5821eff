"""`signwright chain`: why validators believe an answer, or not."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from server.cli.options import located, of_running_server
from server.control.socket_http import asked, path_of
from server.control.trust_chain import BOGUS, INSECURE, UNKNOWN, VALID, Link, TrustChain

_COLOURS = {VALID: "green", INSECURE: "yellow", UNKNOWN: "yellow", BOGUS: "red"}
_MOST_SHOWN = 72
"""Characters of a record."""


@click.command()
@click.argument("zone")
@click.argument("name", required=False)
@click.argument("rrtype", metavar="[TYPE]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the chain as JSON.")
@of_running_server
@click.pass_context
def chain(
    ctx: click.Context,
    zone: str,
    name: str | None,
    rrtype: str | None,
    as_json: bool,
    config: Path | None,
    state: Path | None,
) -> None:
    """Show the chain of trust from the parent's DS to an answer of ZONE.

    Each link is valid, insecure, bogus or unknown, with the reason and the times of its signatures. NAME and TYPE give
    the query; without them, an example is used. No resolver is involved: the server answers the query itself, and takes
    the DS from a parent on this server or from its last look-up.

    Exit codes: 0, or 1 if the chain is bogus.

    \b
    Examples:
      signwright chain lab.example
      signwright chain lab.example no.lab.example AAAA
    """
    asked_for = {"name": name} if name else {}
    asked_for |= {"type": rrtype or "A"} if name else {}
    path = path_of(zone, "chain" + (f"?{urlencode(asked_for)}" if asked_for else ""))
    with asked(located(config, state), "GET", path) as answer:
        found = msgspec.json.decode(answer.read(), type=TrustChain)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        _show(found)
    ctx.exit(1 if found.verdict == BOGUS else 0)


def _show(found: TrustChain) -> None:
    _line(f"{found.name} {found.type}: ", found.verdict, found.why)
    for link in found.links:
        _line(f"  {link.kind} {link.owner} {link.type}: ", link.verdict, link.why)
        _show_details(link)


def _show_details(link: Link) -> None:
    for record in link.records:
        cut = record if len(record) <= _MOST_SHOWN else record[:_MOST_SHOWN] + "…"
        click.echo(f"      {cut}")
    for one in link.signatures:
        times = f"{_time(one.inception)} to {_time(one.expiration)}"
        _line(f"      RRSIG by key {one.key_tag}, {times}: ", one.verdict, "" if one.verdict == VALID else one.why)


def _line(head: str, verdict: str, why: str) -> None:
    color = False if os.environ.get("NO_COLOR") else None
    click.echo(head + click.style(verdict, fg=_COLOURS[verdict]) + (f", {why}" if why else ""), color=color)


def _time(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%MZ")
