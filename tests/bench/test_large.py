"""From starts of servers with one large zone to the figures of `scripts/bench-large`."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from bench.documents import replaced
from bench.large.figures import BEGIN, END, as_json, figures, markdown, rows, tables
from bench.large.starts import TINY, Start, rrset_count

RRSETS = 1000
ABOUT = {"started": "2026-01-02T03:04:05+00:00", "rrsets": RRSETS, "rounds": 1, "versions": {"knot": "3.2"}}


def starts(cold: float, again: float, octets: int) -> list[Start]:
    made = []
    for server, how, seconds, each in (
        ("signwright", "cold", cold, octets),
        ("signwright", "again", again, octets),
        ("knot", "cold", 1.0, 300),
    ):
        for faster in (0.0, 0.1, -0.1):
            made.append(Start(server, how, TINY, 0.2, 0.1, 50_000_000, 40_000_000))
            of_zone = each * RRSETS
            made.append(Start(server, how, 500, seconds + faster, 0.5, 50_000_000 + of_zone, 40_000_000 + of_zone // 2))
    return made


@pytest.mark.parametrize(
    ("cold", "again", "octets", "good"),
    [(10, 2, 600, [True] * 4), (10.1, 2.1, 601, [False] * 4), (9, 3, 700, [True, False, False, False])],
)
def test_it_is_judged_beside_knot(cold: float, again: float, octets: int, good: list[bool]) -> None:
    assert [figure.good for figure in figures(rows(starts(cold, again, octets), RRSETS))] == good


def test_memory_is_that_of_the_rrsets_alone() -> None:
    row = rows(starts(10, 2, 600), RRSETS)[0]
    assert (row.an_rrset, row.anonymous, row.lowest, row.highest) == (600, 300, 9.9, 10.1)


def test_without_knot_nothing_is_held_against_it() -> None:
    alone = [start for start in starts(10, 2, 600) if start.server != "knot"]
    assert [figure.wanted for figure in figures(rows(alone, RRSETS))] == ["≤ 2 s"]


def test_figures_are_told_to_people_programs_and_the_document() -> None:
    measured = starts(10, 2, 600)
    found = rows(measured, RRSETS)
    console = Console(width=140, record=True)
    for shown in tables(found):
        console.print(shown)
    assert "600 octets" in console.export_text()
    assert len(json.loads(json.dumps(as_json(ABOUT, measured, found)))["starts"]) == len(measured)
    page = replaced(f"before {BEGIN} outdated {END} after", markdown(ABOUT, found), BEGIN, END)
    assert "| loaded for the first time, × Knot | 10.00 s / 1.00 s = 10.0 | ≤ 10 | reached |" in page
    assert page.endswith("after")
    assert "outdated" not in page


def test_the_zone_has_as_many_rrsets_as_it_says() -> None:
    assert rrset_count(60) == 2 + 60 + 30 + 20 + 6 + 3
