"""From what was measured to figures: what is wanted of each, the table for people, the file for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.table import Table

from bench.api.changes import Changes
from bench.api.listing import Listing
from bench.api.many import Many

MOST_VISIBLE = 0.050
"""Seconds after the API's answer within which 99 % of the changes must be in DNS."""
MOST_GROWTH = 16 << 20
"""Octets by which a listing may let the server grow: constant, so of no listing's length."""
MOST_SLOWER = 1.5
"""How many times the time of a page at the beginning one at the end may take."""
MOST_A_ZONE = 0.120
"""Seconds for a zone created and signed: 1,000 in two minutes."""
_EDGE = 20
"""Pages at the beginning and at the end that are compared."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    told: str
    wanted: str = ""
    good: bool | None = None
    """None where nothing is wanted."""


def share(values: Sequence[float], part: float) -> float:
    """The value that `part` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def of_changes(measured: Changes) -> list[Figure]:
    """The figures of changes under load."""
    visible, load, calm = measured.visible, measured.load, measured.undisturbed
    return [
        Figure(
            f"change visible in DNS, of {len(visible)}",
            spread(visible),
            f"p99 ≤ {milliseconds(MOST_VISIBLE)}",
            share(visible, 0.99) <= MOST_VISIBLE,
        ),
        Figure("answers with old data after that", str(measured.asked_again), "0", measured.asked_again == 0),
        Figure("the API's own time for a change", spread(measured.calls)),
        Figure("queries answered meanwhile", f"{load.per_second:,.0f}/s, {load.lost:,} of {load.sent:,} lost"),
        Figure("their latency", _latency(load)),
        Figure("  without changes", _latency(calm)),
        Figure(
            "the server's CPU time", f"{measured.cpu:.0%} of a core; {measured.undisturbed_cpu:.0%} without changes"
        ),
        Figure("the server waited for a core", f"{measured.waited:.0%} of the time"),
    ]


def of_listing(measured: Listing) -> list[Figure]:
    """The figures of a listing."""
    first, last = _edges(measured.pages)
    return [
        Figure(f"page of a listing of {measured.record_sets:,}", spread(measured.pages)),
        Figure(
            "  at the end, beside the beginning",
            f"{milliseconds(last)} / {milliseconds(first)} = {last / first:.2f}",
            f"≤ {MOST_SLOWER}",
            last <= first * MOST_SLOWER,
        ),
        Figure(
            "  the server's memory grew by",
            f"{measured.growth / 2**20:.1f} MiB, from {measured.before / 2**20:.0f}",
            f"≤ {MOST_GROWTH >> 20} MiB",
            measured.growth <= MOST_GROWTH,
        ),
    ]


def of_many(measured: Many) -> list[Figure]:
    """The figures of many zones."""
    a_zone = measured.seconds / measured.zones
    return [
        Figure(
            f"{measured.zones:,} zones created and signed",
            f"{measured.seconds:.1f} s, {milliseconds(a_zone)} a zone",
            f"≤ {MOST_A_ZONE * measured.zones:.0f} s",
            a_zone <= MOST_A_ZONE,
        ),
        Figure("  one, while others are made", spread(measured.each)),
        Figure("  DNSKEY validated by the API's DS", f"{measured.validated} of {measured.validated} sampled"),
    ]


def table(figures: Iterable[Figure]) -> Table:
    """The figures for people."""
    shown = Table(title="The Route 53 API", title_justify="left", title_style="bold")
    for heading, justify in (("", "left"), ("measured", "left"), ("wanted", "left"), ("", "left")):
        shown.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    marks = {None: "", True: "[green]✓[/]", False: "[bold red]✗[/]"}
    for figure in figures:
        shown.add_row(figure.what, figure.told, figure.wanted, marks[figure.good])
    return shown


def as_json(about: Mapping[str, Any], figures: Sequence[Figure], measured: Sequence[object]) -> dict[str, Any]:
    """Everything raw and derived, for a file."""
    raw = {type(each).__name__.lower(): asdict(each) for each in measured}  # type: ignore[call-overload]
    return {"about": dict(about), "figures": [asdict(figure) for figure in figures], **raw}


def spread(seconds: Sequence[float]) -> str:
    """Median, p99 and maximum."""
    shares = (("p50", median(seconds)), ("p99", share(seconds, 0.99)), ("max", max(seconds)))
    return ", ".join(f"{label} {milliseconds(value)}" for label, value in shares)


def milliseconds(seconds: float) -> str:
    """A time for people."""
    return f"{seconds * 1000:.{1 if seconds < 0.1 else 0}f} ms"


def _latency(load: Any) -> str:
    values = (("p50", load.p50_us), ("p99", load.p99_us), ("max", load.slowest_us))
    return ", ".join(f"{label} {milliseconds(value / 1e6)}" for label, value in values)


def _edges(pages: Sequence[float]) -> tuple[float, float]:
    few = min(_EDGE, max(1, len(pages) // 3))
    return median(pages[:few]), median(pages[-few:])
