"""Profiles of hypothesis: the same bounded examples in every run, unless `--hypothesis-profile=long`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
settings.register_profile("ci", derandomize=True, max_examples=100, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("long", max_examples=5000, deadline=timedelta(seconds=5), suppress_health_check=_SLOW)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true", help="write what is answered now into tests/scenarios/*.txt; read the diff"
    )
