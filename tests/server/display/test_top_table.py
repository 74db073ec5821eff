"""What `signwright top` shows, as text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from server.display.top_table import TABLES, print_top, top_screen
from server.watching.recent_queries import TopReport, TopRow

REPORT = TopReport(
    seconds=10,
    queries=50_000,
    read=25_000,
    octets=5_000_000,
    names=(TopRow("www.lab.example.", 30_000, 30_010), TopRow("[bold]\\027.lab.example.", 5, 15)),
    clients=(TopRow("192.0.2.0/24", 50_000, 50_000),),
    zones=(TopRow("lab.example.", 50_000, 50_000),),
    types=(TopRow("A", 50_000, 50_000),),
    rcodes=(TopRow("NOERROR", 50_000, 50_000),),
    transports=(TopRow("udp", 49_000, 49_000), TopRow("tcp", 1000, 1000)),
    outcomes=(TopRow("sent", 49_000, 49_000), TopRow("dropped", 1000, 1000)),
)


def console(*, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=150,
        height=30,
        highlight=False,
        markup=False,
        force_terminal=terminal,
        color_system=None,
    )


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_a_report_is_printed_in_columns() -> None:
    out = console()
    print_top(out, REPORT, None)
    first, *rest = text(out).splitlines()
    assert first == (
        "5,000 queries/s for 10 s, 50 % of them read, 100 octets a response, "
        "4,900/s by UDP, 100/s by TCP, 100/s dropped"
    )
    assert "3,000  60.0 %  www.lab.example." in rest
    assert any(line.endswith("[bold]\\027.lab.example.") for line in rest)  # a name from outside is not markup
    for title in ("name", "client", "zone", "type", "RCODE"):
        assert any(line.startswith("q/s") and line.endswith(title) for line in rest)
    assert "\x1b" not in text(out)


@pytest.mark.parametrize("table", TABLES)
def test_one_table_alone(table: str) -> None:
    out = console()
    print_top(out, REPORT, table)
    assert text(out).count("q/s") == 1
    out = console(terminal=True)
    out.print(top_screen(REPORT, table, 30))
    assert getattr(REPORT, table)[0].key in text(out)


@pytest.mark.parametrize("height", [1, 10, 24, 60])
def test_a_screen_has_all_tables_and_fits(height: int) -> None:
    many = tuple(TopRow(f"n{number}.example.", 100 - number, 100) for number in range(100))
    out = console(terminal=True)
    out.print(top_screen(TopReport(seconds=1, queries=9000, read=9000, octets=0, names=many, zones=many), None, height))
    shown = text(out)
    assert "n0.example." in shown
    assert len(shown.splitlines()) <= max(height, 18)


def test_before_anything_was_counted() -> None:
    for by in (None, "names"):
        out = console()
        print_top(out, TopReport(seconds=0, queries=0, read=0, octets=0), by)
        assert text(out).startswith("Counting begins.")
