"""What outlives a full collection is set aside, and still no cycle stays for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEFORE = """
import gc, weakref
from server.monitoring.gc_tuning import setting_aside

class Held: pass

def cycle():
    held = Held()
    held.held = held
    return held

gc.disable()
with setting_aside(fewest=1000) as aside:
"""


def in_a_program_of_its_own(block: str) -> None:
    """Run what begins with `BEFORE` where nobody else has objects or collects any."""
    lines = [f"    {line}" for line in block.strip().splitlines()]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([BEFORE, *lines])], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_collection_looks_at_what_came_after_the_one_before() -> None:
    in_a_program_of_its_own("""
gc.collect()
assert gc.get_freeze_count() > 1000 and not gc.get_objects(generation=2)
kept = [cycle() for _ in range(100)]
gc.collect()
assert not any(isinstance(one, Held) for one in gc.get_objects())
seen = weakref.ref(kept[0])
del kept
gc.collect()
assert seen() is not None  # it was set aside
gone = weakref.ref(cycle())
gc.collect()
assert gone() is None
""")


def test_what_was_set_aside_goes_by_itself_where_it_is_no_cycle() -> None:
    in_a_program_of_its_own("""
held = Held()
gc.collect()
seen = weakref.ref(held)
del held
assert seen() is None
""")


def test_cycles_that_were_set_aside_have_a_bound() -> None:
    in_a_program_of_its_own("""
gc.collect()
there, alive, sizes = gc.get_freeze_count(), weakref.WeakSet(), []
for turn in range(800):
    kept = [cycle() for _ in range(there // 100)]
    alive.update(kept)
    gc.collect()  # they are set aside
    del kept
    sizes.append(len(alive))
assert there / 4 < max(sizes) < 1.5 * there, (there, sizes)
assert sum(one > two for one, two in zip(sizes, sizes[1:])) >= 3, sizes
""")


def test_what_comes_and_goes_by_itself_has_nothing_looked_at_again() -> None:
    in_a_program_of_its_own("""
gc.collect()
kept = cycle()
gc.collect()
seen = weakref.ref(kept)
del kept
for turn in range(400):
    passing = [Held() for _ in range(gc.get_freeze_count() // 20)]
    gc.collect()
assert seen() is not None
""")


def test_what_is_accepted_is_set_aside_at_once() -> None:
    in_a_program_of_its_own("""
aside.accept()  # not before all were looked at
assert gc.get_freeze_count() == 0
aside.look_at_all()
held = Held()
aside.accept()
assert not [one for one in gc.get_objects() if isinstance(one, Held)]
""")


def test_what_is_accepted_again_and_again_keeps_the_bound() -> None:
    in_a_program_of_its_own("""
gc.enable()
aside.look_at_all()
there, alive, sizes = gc.get_freeze_count(), weakref.WeakSet(), []
for turn in range(2000):
    zone = [Held() for _ in range(there // 10)]  # in the place of the one before
    alive.update(cycle() for _ in range(there // 100))
    aside.accept()
    sizes.append(len(alive))
assert there / 4 < max(sizes) < 4 * there, (there, max(sizes))
assert sizes[-1] < 4 * there
""")


def test_threads_make_tuples_meanwhile() -> None:
    in_a_program_of_its_own("""
import sys, threading
sys.setswitchinterval(1e-5)
kept = [cycle() for _ in range(100_000)]
over, failed = threading.Event(), []
def make():
    try:
        while not over.is_set():
            tuple(number for number in range(100))
    except SystemError as error:
        failed.append(error)
threads = [threading.Thread(target=make) for _ in range(2)]
for thread in threads:
    thread.start()
for turn in range(100):
    gc.unfreeze()
    gc.collect()
over.set()
for thread in threads:
    thread.join()
assert not failed, failed
""")


def test_all_are_looked_at_when_that_is_asked_for() -> None:
    in_a_program_of_its_own("""
kept = cycle()
gc.collect()
seen = weakref.ref(kept)
del kept
aside.look_at_all()
assert seen() is None
assert gc.get_freeze_count() > 1000
""")


@pytest.mark.parametrize("ended", ["pass", "raise KeyError"])
def test_nothing_is_set_aside_any_more_at_the_end(ended: str) -> None:
    in_a_program_of_its_own(f"""
try:
    with setting_aside():
        gc.collect()
        {ended}
except KeyError:
    pass
assert gc.get_freeze_count() == 0
assert len(gc.callbacks) == 1
""")
