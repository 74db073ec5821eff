"""Ten zone-years on each run of the tests, each with its own seed; `scripts/simulate` runs thousands."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from tests.simulation.__main__ import digest_of
from tests.simulation.mutants import MUTANTS, SILENCED, Mutant
from tests.simulation.run import objections, shrink, simulate
from tests.simulation.schedule import Ask, Kill, NewTtl, Plan, draw

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(10))
def test_a_year_of_faults_gives_a_resolver_nothing_to_object_to(seed: int) -> None:
    assert objections(draw(seed)) == []


def test_answers_with_real_signatures_validate() -> None:
    assert objections(draw(2, days=90), real=True) == []


def test_the_same_seed_gives_the_same_history() -> None:
    plan = draw(6, days=80)
    first, again = simulate(plan), simulate(plan)
    assert [(p.at, p.keys and p.keys.keyset) for p in first.publications] == [
        (p.at, p.keys and p.keys.keyset) for p in again.publications
    ]
    assert first.foretold == again.foretold


def test_a_plan_is_read_back_as_it_is_printed() -> None:
    plan = draw(3)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_shrinking_leaves_the_faults_that_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(plan: Plan) -> list[str]:
        kinds = {type(fault) for fault in plan.faults}
        return ["together they fail"] if {Kill, NewTtl} <= kinds else []

    plan = msgspec.structs.replace(
        draw(0), faults=(Ask(1, "StartRollover"), Kill(2, 1, False, 0), Ask(3, "StartRollover"), NewTtl(4, 60))
    )
    monkeypatch.setattr("tests.simulation.run.objections", fails)
    assert [type(fault) for fault in shrink(plan).faults] == [Kill, NewTtl]


@pytest.mark.parametrize("name", ["keys/rules/safety.py", "zones/live_signing.py", "server/hosting/durable_keys.py"])
def test_a_year_that_other_sources_ran_is_run_again(tmp_path: Path, name: str) -> None:
    before = digest_of(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("changed = True\n")
    assert digest_of(tmp_path) != before


@pytest.mark.parametrize("mutant", [SILENCED, *MUTANTS], ids=lambda mutant: mutant.name)
def test_each_mutant_still_changes_the_source_that_it_names(mutant: Mutant) -> None:
    spec = find_spec(mutant.module)
    assert spec is not None and spec.origin is not None
    assert mutant.old in Path(spec.origin).read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_year_in_every_process() -> None:
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "tests.simulation.hash_seed"]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == "0\n"
