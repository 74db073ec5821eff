"""Children on a core: what /proc says of them, and that they end with all they started."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bench.process import Child, parse_core_times, parse_stat

STAT = """cpu  30 0 30 30 0 0 0 0 0 0
cpu0 1 2 3 4 5 6 7 8 9 10
cpu1 29 0 27 26 0 0 0 0 0 0
"""


def test_the_core_asked_for_is_read() -> None:
    times = parse_core_times(STAT, 0)
    assert (times.work, times.interrupts, times.steal, times.idle, times.total) == (6, 13, 8, 9, 36)
    assert parse_core_times(STAT, 1).work == 56
    with pytest.raises(ValueError, match="no core 2"):
        parse_core_times(STAT, 2)


def test_a_process_may_have_any_name() -> None:
    fields = "S 7 1 1 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 1 1 1"
    assert parse_stat(f"42 (a) (b c) {fields}") == (7, 300)


def runs(pid: int) -> bool:
    """Whether a process is there and no mere zombie, whose parent has not asked for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_child_is_pinned_and_ends_with_what_it_started(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    script = "trap '' TERM; sleep 60 & echo $!; wait; sleep 60"
    with Child(["sh", "-c", script], core=core, cwd=tmp_path, log=tmp_path / "log", patience=0.1) as child:
        deadline = time.monotonic() + 60
        while not child.last_words() and time.monotonic() < deadline:
            os.sched_yield()
        sleeper = int(child.last_words())
        family = child.pids()
        assert sleeper in family
        assert os.sched_getaffinity(sleeper) == {core}
        assert child.alive
    assert not child.alive
    deadline = time.monotonic() + 60
    while any(map(runs, family)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not any(map(runs, family))


def test_a_childs_cpu_time_is_counted(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    with Child(["sh", "-c", "while :; do :; done"], core=core, cwd=tmp_path, log=tmp_path / "log") as child:
        deadline = time.monotonic() + 60
        while not child.cpu_seconds(child.pids()) and time.monotonic() < deadline:
            pass
        assert child.cpu_seconds(child.pids()) > 0
