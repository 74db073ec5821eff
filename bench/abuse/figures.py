"""The verdicts for people at a terminal, for docs/security.md, and with all that was seen as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from bench.abuse.cases import Seen
from bench.abuse.verdicts import Verdict

BEGIN, END = "<!-- abuse: begin -->", "<!-- abuse: end -->"
PAGE = "security.md"
_HEADINGS = ("load", "measured", "Signwright", "others", "wanted", "")


def verdict_text(verdict: Verdict) -> str:
    """In a word."""
    return "not measured" if verdict.reached is None else "reached" if verdict.reached else "short"


def table(found: Sequence[Verdict]) -> Table:
    """All lines, for a terminal."""
    shown = Table(title="Under abuse", title_justify="left", title_style="bold")
    for heading in _HEADINGS:
        shown.add_column(heading, overflow="fold")
    for verdict in found:
        style = {None: "dim", True: "green", False: "red"}[verdict.reached]
        shown.add_row(
            f"{verdict.row}: {verdict.load}", verdict.measure, verdict.own, verdict.others, verdict.wanted,
            verdict_text(verdict), style=style,
        )  # fmt: skip
    return shown


def summary(about: Mapping[str, Any]) -> str:
    """What one must know of a run, in a line."""
    names = {"nsd": "NSD", "knot": "Knot", "bind": "BIND", "powerdns": "PowerDNS"}
    versions = about["versions"]
    known = ", ".join(f"{title} {versions[name]}" for name, title in names.items() if name in versions)
    return (
        f"{about['started'][:10]} · {about['cpu']} · CPython {about['python']} · {known} · {about['seconds']:g} s each"
    )


def markdown(about: Mapping[str, Any], found: Sequence[Verdict]) -> str:
    """The part of docs/security.md between its marks."""
    lines = ["", summary(about) + ".", "", "| " + " | ".join(_HEADINGS) + " |", "|---" * len(_HEADINGS) + "|"]
    for verdict in found:
        text = verdict_text(verdict)
        cells = (f"{verdict.row}: {verdict.load}", verdict.measure, verdict.own, verdict.others, verdict.wanted)
        lines.append("| " + " | ".join(cells) + f" | {text if verdict.reached else f'**{text}**'} |")
    return "\n".join(lines) + "\n\n"


def as_json(about: Mapping[str, Any], seen: Sequence[Seen], found: Sequence[Verdict]) -> dict[str, Any]:
    """Everything raw and derived, for a file."""
    return {
        "about": dict(about),
        "verdicts": [asdict(verdict) for verdict in found],
        "seen": [asdict(one) for one in seen],
    }
