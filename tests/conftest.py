"""Profiles of hypothesis: the same bounded examples in every run, unless `--hypothesis-profile=long`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
settings.register_profile("ci", derandomize=True, max_examples=100, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("long", max_examples=5000, deadline=timedelta(seconds=5), suppress_health_check=_SLOW)
settings.load_profile("ci")


_REWRITTEN = "rewritten transcript"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write the transcripts of tests/scenarios and tests/rollovers from what the code does now; read the diff",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for key in ("passed", "failed") for report in terminalreporter.getreports(key)]
    for name, value in (pair for report in reports for pair in report.user_properties):
        if name == _REWRITTEN:
            terminalreporter.write_line(f"rewritten: {value}")


@pytest.fixture
def matches_transcript(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[[Path, str], None]:
    """Compares a transcript with what the code does now; with `--rewrite`, writes it where it differs and says so."""

    def compare(file: Path, now: str) -> None:
        written = file.read_text(encoding="utf-8") if file.exists() else ""
        if now != written and request.config.getoption("--rewrite"):
            file.write_text(now, encoding="utf-8")
            record_property(_REWRITTEN, file.relative_to(request.config.rootpath))
            return
        assert now.splitlines() == written.splitlines(), f"{file.name} differs: pytest --rewrite writes it anew"

    return compare
