"""The years of `years.py` against their transcripts; `pytest --rewrite` writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keys.dnssec.signing_policy import DAY
from tests.keys.world import EPOCH
from tests.rollovers.years import PLOTS, Year

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", PLOTS)
def test_a_year_goes_as_written(name: str, matches_transcript: Callable[[Path, str], None]) -> None:
    matches_transcript(HERE / f"{name}.txt", "\n".join(Year(PLOTS[name]).run().lines) + "\n")


def test_an_outage_beyond_the_runway_ends_at_the_second_foretold() -> None:
    year = Year(PLOTS["runway"]).run()
    (outage,) = year.plot.outages
    # The last refresh before the outage signed 15 slots.
    (bogus,) = year.bogus
    assert outage.start + 3 * DAY < bogus < outage.start + 5.5 * DAY
    assert year.keyring.keyset is not None
    assert year.keyring.keyset.served(EPOCH + 20 * DAY) is not None


def test_every_transcript_has_its_plot() -> None:
    assert {file.stem for file in HERE.glob("*.txt")} == set(PLOTS)
