"""From measured costs to the figures of `scripts/bench-commands`."""

from __future__ import annotations

import json
from io import StringIO

from rich.console import Console

from bench.commands.figures import as_json, markdown, rows, table
from bench.commands.tasks import Cost

PYTHON = [Cost(0.02, 0.04), Cost(0.03, 0.05), Cost(0.5, 0.9)]
COSTS = {
    "help": {
        "python": PYTHON,
        "signwright": [Cost(0.15, 0.2), Cost(0.12, 0.25), Cost(0.2, 0.3)],
        "knot": [Cost(0.01, 0.02)] * 3,
    },
    "reload": {"python": PYTHON, "signwright": [Cost(0.25, 0.3)] * 3},
}
ABOUT = {"started": "2026-12-01T06:00:00+00:00", "python": "3.11", "rounds": 3, "versions": {"knot": "3.2"}}


def test_costs_are_medians_as_multiples_of_what_python_costs_in_the_same_task() -> None:
    python, own, knot, _, slow = rows(COSTS)
    assert (python.cpu, python.cpu_ratio) == (0.03, 1.0)
    assert (own.cpu_ratio, own.waited_ratio) == (0.15 / 0.03, 0.25 / 0.05)
    assert knot.cpu_ratio == 0.01 / 0.03
    assert [python.good, own.good, knot.good, slow.good] == [None, True, None, False]


def test_the_page_has_a_line_for_each_task_and_a_dash_where_a_program_has_no_such_command() -> None:
    lines = markdown(ABOUT, rows(COSTS)).splitlines()
    assert "| help | 5.0 / 5.0 | 0.3 / 0.4 | – |" in lines
    assert "| reload | 8.3 / 6.0 | – | – |" in lines


def test_what_people_and_programs_read_has_every_task() -> None:
    console = Console(width=120, record=True, file=StringIO())
    console.print(table(rows(COSTS)))
    assert "reload" in console.export_text()
    assert json.loads(json.dumps(as_json(ABOUT, COSTS)))["costs"]["reload"]["signwright"][0] == {
        "cpu": 0.25,
        "waited": 0.3,
    }
