"""A restart on a full or read-only disk: what was signed is answered, and the disk taken up once it is mended."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
APART = ("unshare", "--user", "--map-root-user", "--mount")


def may_mount() -> bool:
    """Whether this machine lets us have a disk of our own."""
    try:
        return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not may_mount(), reason="unshare --user --mount is not allowed here")
@pytest.mark.parametrize(
    ("kind", "reason"), [("full", "No space left on device"), ("read-only", "Read-only file system")]
)
def test_a_restart_serves_what_can_be_read(tmp_path: Path, kind: str, reason: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*APART, sys.executable, "-m", "tests.server.state.on_small_disk", str(tmp_path), kind, str(port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["before"] == ["NOERROR", True]
    assert seen["wal"]
    assert seen["spoiled"] == ["NOERROR", True], seen["log"]
    assert seen["copies"] == 1  # the disk was not written to behind our back
    assert 'what="storing the state"' in seen["log"]
    assert reason in seen["log"]
    assert seen["mended"] == ["NOERROR", True]
    assert (seen["copies afterwards"], seen["reached"], seen["exit"]) == (0, True, 0), seen["last"]
