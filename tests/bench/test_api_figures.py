"""From measured times to the figures of `scripts/api-speed`."""

from __future__ import annotations

import dataclasses
import json

from rich.console import Console

from bench.api.changes import Changes
from bench.api.figures import as_json, of_changes, of_listing, of_many, share, table
from bench.api.listing import Listing
from bench.api.many import Many
from bench.load import LoadResult

LOAD = LoadResult(30.0, 300_000, 299_990, 10, 0, 0, 1, 0.5, 100, 200, 100.0, 200.0, 5000.0, 30_000.0, {"0": 299_990})
CHANGES = Changes([0.001] * 198 + [0.049, 0.2], [0.02] * 200, 0, LOAD, LOAD, 0.4, 0.1, 0.1)
LISTING = Listing([0.02] * 100 + [0.025] * 100, 60_000, 200 << 20, 201 << 20)
MANY = Many(1000, 119.0, [0.5] * 1000, 20)


def test_a_share_is_what_so_many_do_not_exceed() -> None:
    values = [float(value) for value in range(200, 0, -1)]
    assert share(values, 0.99) == 199.0
    assert share(values, 0.5) == 101.0
    assert share([7.0], 0.99) == 7.0


def test_changes_are_judged_by_the_99th_percentile_and_by_old_data() -> None:
    assert [figure.good for figure in of_changes(CHANGES) if figure.wanted] == [True, True]
    assert "p99 49.0 ms, max 200 ms" in of_changes(CHANGES)[0].told
    slow = dataclasses.replace(CHANGES, visible=[0.001] * 197 + [0.051] * 3)
    assert of_changes(slow)[0].good is False
    assert of_changes(dataclasses.replace(CHANGES, asked_again=1))[1].good is False


def test_a_listing_is_judged_by_its_end_and_by_memory() -> None:
    assert [figure.good for figure in of_listing(LISTING)] == [None, True, True]
    assert of_listing(LISTING)[1].told == "25.0 ms / 20.0 ms = 1.25"
    growing = dataclasses.replace(LISTING, pages=[0.02] * 100 + [0.031] * 100, highest=220 << 20)
    assert [figure.good for figure in of_listing(growing)] == [None, False, False]


def test_many_zones_are_judged_by_two_minutes_a_thousand() -> None:
    assert of_many(MANY)[0].good is True
    assert of_many(dataclasses.replace(MANY, seconds=121.0))[0].good is False
    assert of_many(dataclasses.replace(MANY, zones=100, seconds=11.9))[0].wanted == "≤ 12 s"


def test_people_and_programs_read_the_same_figures() -> None:
    figures = [*of_changes(CHANGES), *of_many(dataclasses.replace(MANY, seconds=130.0))]
    console = Console(width=120)
    with console.capture() as shown:
        console.print(table(figures))
    assert {"✓", "✗"} <= set(shown.get())
    told = json.loads(json.dumps(as_json({"names": 1}, figures, [CHANGES, MANY])))
    assert told["figures"][0]["good"] is True
    assert told["changes"]["load"]["lost"] == 10
    assert told["many"]["zones"] == 1000
