"""A minute of chaos, with workers and without; `scripts/chaos` makes hundreds of acts of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import Chaos

pytestmark = pytest.mark.interop


@pytest.mark.timeout(280)
@pytest.mark.parametrize(("seed", "workers"), [(1, 2), (2, 0)])
def test_the_server_ends_only_when_told_and_says_nothing_bogus(tmp_path: Path, seed: int, workers: int) -> None:
    summary = Chaos(tmp_path, seed, workers).run(count=30, seconds=25)
    assert not summary["objections"], "\n".join(summary["objections"])
    assert summary["acts"] > 2
    assert summary["answers"]["proved"] > 50
