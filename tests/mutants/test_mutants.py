"""Each mutant still changes what it names, and its tests are there; that they fail is for `scripts/mutants`."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from tests.mutants import __main__ as mutating
from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_still_changes_the_source_that_it_names(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text()
    assert source.count(mutant.old) == 1
    assert mutant.new != mutant.old
    compile(source.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert mutant.tests
    for test in mutant.tests:
        file, _, function = test.partition("::")
        assert f"def {function}" in (ROOT / file).read_text()


def test_no_two_have_one_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(
    ("old", "code", "survives"),
    [
        ("rule", 1, None),
        ("rule", 0, "its tests pass"),
        ("rule", 2, "its tests did not run (pytest ended with 2)"),
        ("gone", 1, "its text stands there 0 times"),
    ],
)
def test_a_mutant_is_judged_in_a_copy_that_is_as_it_was_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, code: int, survives: str | None
) -> None:
    (tmp_path / "a.py").write_text("the rule")
    seen: list[str] = []

    def run(copy: Path, _tests: object) -> int:
        seen.append((copy / "a.py").read_text())
        return code

    monkeypatch.setattr(mutating, "run", run)
    copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
    copies.put(tmp_path)
    verdict = mutating.judge(Mutant("one", "a.py", old, "mutant", ("tests/none.py",)), copies)
    assert verdict.survives == survives
    assert seen == (["the mutant"] if old == "rule" else [])
    assert (tmp_path / "a.py").read_text() == "the rule"
    assert copies.get_nowait() == tmp_path
