"""SIGKILL while record sets are changed: every batch that was answered is there whole, and of no other a part."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from keys.custody.state_database import Store
from tests.zones.recordsets.test_record_store import APEX, info, initial, zone
from zones.recordsets.compiled_record_sets import Compiled
from zones.recordsets.record_sets import ChangeAction, ChangeStatus, RecordSet, RecordSetChange
from zones.recordsets.record_store import RecordStore

_PER_BATCH = 5
ROOT = Path(__file__).parent.parent.parent


def batch(number: int) -> list[RecordSetChange]:
    return [
        RecordSetChange(ChangeAction.UPSERT, RecordSet(f"h{n}.b{number}.lab.example", "A", 60, (f"10.0.0.{n}",)))
        for n in range(_PER_BATCH)
    ]


def change_on(directory: Path) -> None:
    """Change until killed; tell each batch that is durable."""
    with Store.open(directory, bytes) as store:
        records = RecordStore(store)
        for number in range(10_000):
            records.apply(zone().id, batch(number), info(str(number)))
            print(number, flush=True)


@pytest.mark.parametrize("seed", range(4))
def test_no_answered_change_is_lost(tmp_path: Path, seed: int) -> None:
    with Store.open(tmp_path / "state", bytes) as store:
        RecordStore(store).create(zone(), initial(APEX), info("created"))
    command = [sys.executable, "-m", "tests.crash.test_records", str(tmp_path / "state")]
    answered = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        for _ in range(random.Random(seed).randrange(5, 60)):
            answered.append(int(process.stdout.readline()))
        process.kill()
        answered += [int(line) for line in process.stdout]
    with Store.open(tmp_path / "state", bytes) as store:
        records = RecordStore(store)
        stored = list(records.all_record_sets(zone().id))
        present = {int(r.name.split(".")[1][1:]) for r in stored if r.type == "A"}
        assert set(answered) <= present
        assert len(present) <= len(answered) + 1  # one may have been stored and not yet answered
        assert len(stored) == 2 + _PER_BATCH * len(present) == records.zone(zone().id).record_set_count
        for number in present:
            assert records.change(f"C{number}").status is ChangeStatus.INSYNC
        assert Compiled.of(APEX, stored).zone().serial == 1 + len(present)


if __name__ == "__main__":
    change_on(Path(sys.argv[1]))
