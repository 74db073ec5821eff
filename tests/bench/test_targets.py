"""Targets: what is reached, what is short, and how documents show it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.documents import BEGIN, END, PICTURE, replaced, write_documents
from bench.load import LoadResult, parse_result
from bench.rounds import Measured, Round
from bench.servers import SERVERS
from bench.targets import LIMIT, TARGETS, Reached, reached
from bench.workloads import WORKLOADS

LOAD = LoadResult(1.0, 1000, 1000, 0, 0, 0, 180_000, 0.1, 170, 190, 100.0, 200.0, 300.0, 400.0, {"0": 1000})
ABOUT = {
    "started": "2026-01-02T03:04:05+00:00", "cpu": "A CPU", "python": "3.11", "rounds": 5, "seconds": 3.0,
    "versions": {"nsd": "4.6", "signwright": "1"},
}  # fmt: skip


def round_of(workload: str, server: str, per_second: int, **changed: float) -> Round:
    load = replace(LOAD, sent=per_second, answers=per_second, rcodes={"0": per_second})
    return replace(Round(workload, server, 1, load, cpu=1.0, busy=1.0, steal=0.0, foreign=0.0), **changed)  # type: ignore[arg-type]


def only(rounds: list[Round], title: str, over: str, limits: tuple[float, ...] = ()) -> Reached:
    (found,) = [each for each in reached(rounds, limits) if (each.target.title, each.target.over) == (title, over)]
    return found


def test_every_target_names_what_is_measured() -> None:
    for target in TARGETS:
        for cell in (target.cell, target.reference):
            if cell is not None and cell != LIMIT:
                workload, server = cell
                assert server in WORKLOADS[workload].servers
                assert server in SERVERS


def test_a_ratio_is_of_medians_and_its_spread_of_neighbours() -> None:
    rounds = [round_of("hot", "signwright", speed) for speed in (900, 1000, 2000)]
    rounds += [round_of("hot", "nsd", speed) for speed in (1000, 1000, 1600)]
    found = only(rounds, "Hot set", "NSD")
    assert (found.value, found.lowest, found.highest) == (1.0, 0.9, 1.25)
    assert found.is_reached
    assert not reached(rounds[:3], ())


def test_rounds_that_do_not_count_reach_nothing() -> None:
    rounds = [round_of("hot", "signwright", 1000), round_of("hot", "nsd", 1000, busy=0.5)]
    found = only(rounds, "Hot set", "NSD")
    assert found.value is None
    assert not found.is_reached


def test_the_limit_of_signing_is_a_reference() -> None:
    rounds = [round_of("nxdomain", "signwright", 600)]
    found = only(rounds, "Random NXDOMAIN, compact denial", "bare signing loop", (1000.0, 1000.0))
    assert found.value == 0.6
    assert not found.is_reached


def test_less_is_better_for_latencies() -> None:
    own = round_of("latency", "signwright", 1000, rate=1000.0, busy=0.5)
    other = replace(own, server="nsd", load=replace(own.load, p50_us=50.0, p99_us=250.0))
    assert not only([own, other], "Latency at half peak, median", "NSD").is_reached
    assert only([own, other], "Latency at half peak, 99 %", "NSD").value == 1.2
    assert only([own, other], "Latency at half peak, 99 %", "NSD").is_reached


def test_the_least_interval_and_what_went_beside_are_read() -> None:
    values = {**{name: getattr(LOAD, name) for name in LOAD.__slots__}, "intervals": [50, 100, 150]}
    values["beside"] = {**values, "p99_us": 7.0, "beside": None}
    result = parse_result(json.dumps(values))
    assert result.evenness == 0.5
    assert result.beside is not None
    assert result.beside.p99_us == 7.0
    assert LOAD.evenness == 0.0


def test_documents_hold_every_target_and_row(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    rounds = [round_of("hot", "signwright", 850), round_of("hot", "nsd", 1000), round_of("hot", "bind", 400, busy=0.1)]
    write_documents(tmp_path, ABOUT, Measured(rounds, []))
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "2026-01-02 · A CPU · CPython 3.11 · NSD 4.6 · 5 rounds of 3 s." in text
    assert "| Hot set | × NSD | 0.85 | 0.85 to 0.85 | ≥ 0.90 | **short** |" in text
    assert "| Hot set | × BIND | – | – | ≥ 2.30 | **short** |" in text
    assert "| BIND, pre-signed | 400 (does not count) |" in text
    picture = (tmp_path / PICTURE).read_text()
    ElementTree.fromstring(picture)
    assert "Hot set · × NSD" in picture
    assert "no round counts" in picture


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no <!-- figures"):
        replaced(f"{END} {BEGIN}", "figures")
