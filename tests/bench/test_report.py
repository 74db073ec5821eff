"""Rounds to figures: which count, medians, ratios, and what a reader sees of it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from bench.load import LoadResult, parse_result
from bench.report import as_json, faults, rows, table
from bench.rounds import Round

LINE = (
    '{"seconds": 2.0, "sent": 1000, "answers": 990, "lost": 5, "stray": 0, "truncated": 0, "bytes": 178200, '
    '"idle": 0.25, "smallest": 170, "largest": 190, "p50_us": 1.0, "p90_us": 2.0, "p99_us": 3.0, "slowest_us": 4.0, '
    '"rcodes": {"0": 990}}'
)


def load(per_second: float, **changed: object) -> LoadResult:
    answers = int(per_second * 2)
    values = json.loads(LINE) | {"sent": answers, "answers": answers, "lost": 0, "bytes": answers * 180}
    return LoadResult(**(values | {"rcodes": {"0": answers}} | changed))


def measured(server: str, per_second: float, number: int = 1, busy: float = 1.0) -> Round:
    return Round("hot", server, number, load(per_second), cpu=1.0, busy=busy, steal=0.0, foreign=0.0)


def test_the_generators_line_is_read() -> None:
    result = parse_result(LINE)
    assert (result.per_second, result.mean_size, result.loss) == (495.0, 180.0, 0.005)
    with pytest.raises(TypeError):
        parse_result('{"seconds": 1}')


@pytest.mark.parametrize(
    ("busy", "steal", "foreign", "found"),
    [
        (0.95, 0.03, 0.05, []),
        (0.94, 0.0, 0.0, ["core below 95% busy"]),
        (1.0, 0.04, 0.0, ["steal over 3%"]),
        (1.0, 0.0, 0.06, ["others on its core over 5%"]),
    ],
)
def test_a_disturbed_round_does_not_count(busy: float, steal: float, foreign: float, found: list[str]) -> None:
    assert faults(replace(measured("nsd", 1000, busy=busy), steal=steal, foreign=foreign)) == found


@pytest.mark.parametrize(
    ("workload", "changed", "fault"),
    [
        ("hot", {"rcodes": {"2": 2000}}, "wrong rcodes"),
        ("hot", {"rcodes": {"0": 1999, "2": 1}}, "wrong rcodes"),
        ("hot", {"rcodes": {"3": 2000}}, "wrong rcodes"),
        ("nxdomain", {"rcodes": {"0": 1000, "3": 1000}}, "wrong rcodes"),
        ("hot", {"truncated": 1}, "truncated answers"),
        ("hot", {"lost": 21}, "loss over 1%"),
        ("hot", {"answers": 0, "rcodes": {}}, "no answers"),
    ],
)
def test_wrong_answers_do_not_count(workload: str, changed: dict[str, object], fault: str) -> None:
    assert faults(Round(workload, "nsd", 1, load(1000, **changed), 1.0, 1.0, 0.0, 0.0)) == [fault]


def test_both_ways_to_deny_a_name_are_right() -> None:
    for rcode in ("0", "3"):
        assert faults(Round("nxdomain", "nsd", 1, load(1000, rcodes={rcode: 2000}), 1.0, 1.0, 0.0, 0.0)) == []


def test_medians_and_ratios_are_of_the_rounds_that_count() -> None:
    rounds = [measured("nsd", speed, number) for number, speed in enumerate((900, 1000, 1500), 1)]
    rounds += [measured("powerdns", 500), measured("powerdns", 5000, busy=0.5)]
    rounds += [measured("bind", 400, busy=0.5), measured("bind", 300, busy=0.5)]
    nsd, powerdns, bind = rows(rounds)
    assert (nsd.per_second, nsd.lowest, nsd.highest, nsd.cpu_us) == (1000, 900, 1500, 1000)
    assert (powerdns.counted, powerdns.rounds, powerdns.per_second) == (1, 2, 500)
    assert powerdns.ratios == {"nsd": 0.5, "powerdns": 1.0}
    assert not bind.counts
    assert bind.per_second == 350
    assert bind.ratios == {"nsd": None, "powerdns": None}


def test_the_table_marks_what_does_not_count() -> None:
    rounds = [measured("nsd", 1000), measured("bind", 400, busy=0.5)]
    output = io.StringIO()
    Console(file=output, width=140).print(table("hot", rows(rounds)))
    text = output.getvalue()
    assert "BIND, pre-signed: does not count: core below 95% busy" in text
    assert "1,000" in text
    assert "NSD, pre-signed:" not in text


def test_the_file_holds_every_round_and_why_it_does_not_count() -> None:
    rounds = [measured("nsd", 1000), measured("nsd", 1000, 2, busy=0.5)]
    stored = json.loads(json.dumps(as_json({"seed": 1}, rounds)))
    assert [each["faults"] for each in stored["rounds"]] == [[], ["core below 95% busy"]]
    assert stored["rounds"][0]["load"]["answers"] == 2000
    assert stored["rows"][0]["counted"] == 1


def test_only_servers_that_sign_live_are_held_against_the_limit_of_signing() -> None:
    rounds = [replace(measured(server, 1000), workload="nxdomain") for server in ("signwright", "nsd")]
    caption = str(table("nxdomain", rows(rounds), [4000.0, 2000.0, 1000.0]).caption)
    assert caption == "P-256 signatures in a bare loop: 2,000/s. Multiples of it: Signwright, compact 0.50"
