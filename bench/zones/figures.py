"""From what was measured to figures: what is wanted of each, the table for people, the document, the JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from bench.api.figures import Figure
from bench.zones.many import SIGNATURES, Many, Took

MOST_RESTART = 0.006
"""Seconds for a zone: 10,000 in a minute."""
MOST_MEMORY = 40_000
"""Octets for a zone."""
MOST_REFRESH = 2.0
"""Times what the KMS alone takes for as many signatures."""
BEGIN, END = "<!-- zones: begin -->", "<!-- zones: end -->"


def of_many(measured: Many) -> list[Figure]:
    """The figures of many zones."""
    zones, refresh = measured.zones, measured.refresh
    signatures = zones * SIGNATURES
    slowest, fastest = measured.kms_spread
    return [
        Figure(f"first start of {zones:,} zones: keys made, signed", _told(measured.first)),
        Figure(
            "restart, until it is ready",
            _told(measured.restart),
            f"≤ {MOST_RESTART * zones:.0f} s",
            measured.restart.seconds <= MOST_RESTART * zones,
        ),
        Figure("  zones that gave a signed answer then", f"{measured.answered:,} of {zones:,}"),
        Figure(
            "memory of a zone",
            f"{measured.a_zone / 1000:.1f} kB: ({_mega(measured.memory)} − {_mega(measured.memory_alone)}) / {zones:,}",
            f"≤ {MOST_MEMORY / 1000:.0f} kB",
            measured.a_zone <= MOST_MEMORY,
        ),
        Figure("  after the refresh of all", f"{measured.a_zone_refreshed / 1000:.1f} kB"),
        Figure(
            "refresh of all",
            f"{_told(refresh)}; {measured.refresh_ratio:.2f} × the KMS alone",
            f"≤ {MOST_REFRESH:.0f} ×",
            measured.refresh_ratio <= MOST_REFRESH,
        ),
        Figure(
            f"  the KMS alone, for {signatures:,} signatures",
            f"{signatures / measured.kms:.0f} s at {measured.kms:.0f} a second ({slowest:.0f} and {fastest:.0f}), "
            f"CPU {measured.kms_client_cpu * 1e3:.2f} ms each",
        ),
        Figure("  the server's CPU time for a signature", f"{refresh.cpu / signatures * 1e3:.2f} ms"),
        Figure("  longest wait for an answer meanwhile", f"{measured.refresh_silence * 1000:.0f} ms"),
        Figure("reload with one changed file", _told(measured.reload)),
        Figure("status · status --json", f"{measured.status:.1f} s · {measured.status_json:.1f} s"),
        Figure("metrics", f"{measured.metrics:.2f} s, {measured.metrics_size / 1e6:.1f} MB"),
        Figure("longest wait for an answer in these three", f"{measured.silence * 1000:.0f} ms"),
        Figure("CPU time when idle", f"{measured.idle.cpu / measured.idle.seconds:.1%} of a core"),
    ]


def table(figures: Sequence[Figure]) -> Table:
    """The figures for people."""
    shown = Table(title="Many zones", title_justify="left", title_style="bold")
    for heading in ("", "measured", "wanted", ""):
        shown.add_column(heading, overflow="fold")
    marks = {None: "", True: "[green]✓[/]", False: "[bold red]✗[/]"}
    for figure in figures:
        shown.add_row(figure.what, figure.told, figure.wanted, marks[figure.good])
    return shown


def markdown(about: Mapping[str, Any], figures: Sequence[Figure]) -> str:
    """The figures for docs/performance.md."""
    before, after = about["load at the start"], about["load at the end"]
    lines = [
        "",
        f"{about['started'][:10]} · {about['cores']} cores · CPython {about['python']} · load average "
        f"{before[0]:.1f} at the start, {after[0]:.1f} at the end.",
        "",
        "| | measured | wanted | |",
        "|---|---|---|---|",
    ]
    verdicts = {None: "", True: "reached", False: "**short**"}
    lines += [f"| {f.what.strip()} | {f.told} | {f.wanted} | {verdicts[f.good]} |" for f in figures]
    return "\n".join(lines) + "\n\n"


def as_json(about: Mapping[str, Any], figures: Sequence[Figure], measured: Many) -> dict[str, Any]:
    """Everything raw and derived, for a file."""
    return {"about": dict(about), "figures": [asdict(figure) for figure in figures], "many": asdict(measured)}


def _told(took: Took) -> str:
    kms = f", of the KMS {took.kms_cpu:.0f} s" if took.kms_cpu >= 1 else ""
    return f"{took.seconds:.1f} s (CPU {took.cpu:.1f} s{kms})"


def _mega(octets: int) -> str:
    return f"{octets / 1e6:.0f} MB"
