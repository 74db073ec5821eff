"""What people read of many zones: those that want attention, and how many others there are."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
from rich.console import Console

from server.control.server_operations import ReloadOutcome, ReloadReport, ServerStatus, ZoneReload, ZoneReport
from server.display.status_report import MOST_STEPS, MOST_TOLD, print_banner, print_reload, print_status

NOW = 1_767_225_600  # 2026-01-01 00:00:00 UTC


def zone(number: int, *, refused: str | None = None, ds: tuple[str, ...] = ()) -> ZoneReport:
    return ZoneReport(
        origin=f"zone{number}.example.",
        file="f",
        serial=1,
        signed=False,
        denial="compact",
        example="www.lab.example. A",
        refused=refused,
        ds=ds,
    )


def status(count: int, refused: int, *, with_ds: bool = False) -> ServerStatus:
    return ServerStatus(
        version="0.1.0",
        pid=1,
        now=NOW,
        started=NOW,
        state="/s",
        listeners=("127.0.0.1:5300",),
        kms="http://127.0.0.1:5381",
        zones=tuple(
            zone(n, refused=f"f:{n}: no" if n < refused else None, ds=(f"DS of {n}",) if with_ds else ())
            for n in range(count)
        ),
    )


def lines_of_status(count: int, refused: int) -> list[str]:
    to = io.StringIO()
    print_status(Console(file=to, highlight=False, width=500), status(count, refused))
    return [line.rstrip() for line in to.getvalue().splitlines()]


def test_a_hundred_zones_are_told_one_by_one() -> None:
    lines = lines_of_status(MOST_TOLD, 0)
    assert [line.split()[0] for line in lines[3:]] == [f"zone{n}.example." for n in range(MOST_TOLD)]


def test_of_more_only_those_that_want_attention() -> None:
    lines = lines_of_status(10_000, 2)
    assert lines[0].startswith("WARNING: zone0.example. is served as it was before: f:0: no")
    assert lines[1] == "  signwright reload"
    assert lines[4].startswith("10000 zones on")
    assert [line.split()[:2] for line in lines[5:8]] == [
        ["ZONE", "SERIAL"],
        ["zone0.example.", "1"],
        ["zone1.example.", "1"],
    ]
    assert lines[8:] == [
        "zone0.example. file refused: f:0: no",
        "zone1.example. file refused: f:1: no",
        "2 of 10000 zones listed, all others are OK; status --json lists all",
    ]


def test_and_no_more_than_a_hundred_of_these() -> None:
    lines = lines_of_status(10_000, 5_000)
    assert len(lines) == 2 * MOST_STEPS + 1 + 3 + 2 * MOST_TOLD
    assert lines[-1] == "100 of 10000 zones listed, 4900 more need attention; status --json lists all"


def test_where_all_are_well_there_is_no_table() -> None:
    assert lines_of_status(10_000, 0)[2:] == ["0 of 10000 zones listed, all others are OK; status --json lists all"]


def test_the_banner_leads_to_the_ds_records() -> None:
    to = io.StringIO()
    print_banner(Console(file=to, highlight=False, width=500), status(10_000, 0, with_ds=True), Path("/s/trust"))
    lines = to.getvalue().splitlines()
    assert "  /s/trust/*.ds, of 10000 zones" in lines
    assert len(lines) < 25
    assert lines[-1].startswith("Ready: 10000 zones on ")


def test_a_reload_counts_what_is_unchanged() -> None:
    same = ZoneReload(origin="a.", outcome=ReloadOutcome.UNCHANGED, serial=1)
    new = msgspec.structs.replace(same, origin="b.", outcome=ReloadOutcome.REPLACED, serial=2)
    warned = msgspec.structs.replace(same, origin="c.", warnings=("c.zone:4: c. CDS: left out [x]",))
    to = io.StringIO()
    print_reload(Console(file=to, highlight=False, width=500), ReloadReport((*[same] * 9_999, new, warned)))
    assert to.getvalue().splitlines() == [
        "b. replaced serial 2",
        "c. unchanged serial 1",
        "  warning: c.zone:4: c. CDS: left out [x]",
        "9999 zones unchanged",
    ]
