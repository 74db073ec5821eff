"""How many TCP connections fit into the descriptors that there are."""

from __future__ import annotations

import resource

import pytest
from structlog.testing import capture_logs

from server.net.descriptors import RESERVE, fit_connections


class Limit:
    """RLIMIT_NOFILE, which no test lowers for the others."""

    def __init__(self) -> None:
        self.soft, self.hard = 1024, 4096
        self.refuses = False

    def get(self, _: int) -> tuple[int, int]:
        return self.soft, self.hard

    def set(self, _: int, limits: tuple[int, int]) -> None:
        if self.refuses:
            raise PermissionError("no")
        self.soft, self.hard = limits


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    made = Limit()
    monkeypatch.setattr(resource, "getrlimit", made.get)
    monkeypatch.setattr(resource, "setrlimit", made.set)
    return made


def test_the_soft_limit_is_raised_to_what_is_needed(limit: Limit) -> None:
    with capture_logs() as logs:
        assert fit_connections(1000, workers=0, listeners=2, http=512) == 1000
    assert (limit.soft, limit.hard) == (1000 + 512 + 4 + RESERVE, 4096)
    assert logs == []


@pytest.mark.parametrize("soft", [8000, resource.RLIM_INFINITY])
def test_a_limit_that_is_high_enough_stays(limit: Limit, soft: int) -> None:
    limit.soft = limit.hard = soft
    assert fit_connections(1000, workers=0, listeners=2, http=512) == 1000
    assert (limit.soft, limit.hard) == (soft, soft)


def test_without_a_hard_limit_it_is_raised_as_far_as_needed(limit: Limit) -> None:
    limit.hard = resource.RLIM_INFINITY
    assert fit_connections(50_000, workers=0, listeners=1, http=512) == 50_000
    assert (limit.soft, limit.hard) == (50_000 + 512 + 2 + RESERVE, resource.RLIM_INFINITY)


def test_where_fewer_fit_the_log_says_what_to_do(limit: Limit) -> None:
    with capture_logs() as logs:
        fitting = fit_connections(10_000, workers=0, listeners=2, http=512)
    assert fitting == 4096 - 512 - 4 - RESERVE
    assert limit.soft == 4096
    (line,) = logs
    assert {"LimitNOFILE=", "tcp.connections"} <= set(line["event"].replace(":", " ").split())
    assert (line["limit"], line["tcp_connections"], line["tcp_connections_now"]) == (4096, 10_000, fitting)


def test_where_the_limit_cannot_be_raised_it_is_gone_by(limit: Limit) -> None:
    limit.refuses = True
    with capture_logs() as logs:
        assert fit_connections(1000, workers=0, listeners=2, http=512) == 1024 - 512 - 4 - RESERVE
    assert logs


def test_a_limit_that_is_far_too_low_leaves_one_connection(limit: Limit) -> None:
    limit.soft = limit.hard = 100
    assert fit_connections(1000, workers=0, listeners=2, http=512) == 1


def test_workers_have_their_part_of_the_connections_each(limit: Limit) -> None:
    assert fit_connections(10_000, workers=4, listeners=2, http=512) == 10_000
    assert limit.soft == 2500 + 4 + RESERVE  # the control process needs less
    assert fit_connections(20_000, workers=4, listeners=2, http=512) == 4 * (4096 - 4 - RESERVE)


def test_a_control_process_of_many_workers_needs_more_than_they_do(limit: Limit) -> None:
    assert fit_connections(1000, workers=100, listeners=2, http=512) == 1000
    assert limit.soft == RESERVE + 512 + 100 * (3 + 4)
