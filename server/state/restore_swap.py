"""A state directory's content replaced as a whole: a crash at any instant leaves all of the old or all of the new.

What is to come is gathered in `partial-STAMP`, brought to the disk, and renamed to `restore-STAMP`: from then on it is
decided, and `finish`, called each time the directory is opened, carries it out. First the old content moves to
`before-restore-STAMP`, which is a state directory of its own; then a rename to `restoring-STAMP` says that it has; then
the new content moves in. Every step is one rename and can be repeated, so it does not matter where it was cut short.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from keys.custody.disk_errors import naming
from keys.custody.private_files import private_directory, sync_directory, write_private
from keys.custody.state_database import DATABASE, STATE_KEY

RESTORED = "restored"
"""The folder of a state directory with the configuration and zone files of a backup, by their paths."""
CONTENT = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", STATE_KEY, "kms", "aws", RESTORED)
"""What is replaced, beside `version`, which is never missing. All else in the directory can be made again."""

COPYING = "backup-"
"""Begins the name of a folder that holds a copy of the database while a backup is made."""

PARTIAL, DECIDED, MOVING, BEFORE = "partial-", "restore-", "restoring-", "before-restore-"


def begin(path: Path, now: float) -> Path:
    """An empty directory in the state directory `path` to gather new content in; `now` is seconds since the epoch."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    taken = {entry.name[entry.name.find(stamp) :] for entry in path.iterdir() if stamp in entry.name}
    free = next(name for name in (stamp, *(f"{stamp}.{n}" for n in range(1, len(taken) + 2))) if name not in taken)
    partial = path / (PARTIAL + free)
    private_directory(partial)
    return partial


def decide(partial: Path) -> str:
    """Have the gathered content on the disk and decided upon. Returns the name under which the old will be kept."""
    for folder, _, files in os.walk(partial):
        for name in files:
            _sync_file(Path(folder) / name)
        sync_directory(Path(folder))
    stamp = partial.name.removeprefix(PARTIAL)
    partial.rename(partial.with_name(DECIDED + stamp))
    sync_directory(partial.parent)
    return BEFORE + stamp


def abandon(partial: Path) -> None:
    """Take away content that will not be used."""
    shutil.rmtree(partial, ignore_errors=True)


def pending(path: Path) -> bool:
    """Whether a replacement is decided upon and not finished yet."""
    return any(name.startswith((DECIDED, MOVING)) for name in _names(path))


def finish(path: Path) -> list[str]:
    """Carry out what was decided, and clear away what was cut short. The caller holds the locks.

    Returns the names under which old content was kept.
    """
    for name in _names(path):
        if name.startswith((PARTIAL, COPYING)):
            abandon(path / name)
    done = []
    for name in sorted(_names(path), key=lambda name: name.rpartition("-")[2]):
        stamp = name.partition("-")[2]
        before, moving = path / (BEFORE + stamp), path / (MOVING + stamp)
        if name.startswith(DECIDED):
            _keep_old(path, before)
            (path / name).rename(moving)
            sync_directory(path)
        elif not name.startswith(MOVING):
            continue
        _take_new(path, moving)
        done.append(before.name)
    return done


def _keep_old(path: Path, before: Path) -> None:
    private_directory(before)
    if (path / "version").exists():
        write_private(before / "version", (path / "version").read_bytes())
    for name in CONTENT:
        if (path / name).exists():
            (path / name).rename(before / name)
    sync_directory(before)
    sync_directory(path)


def _take_new(path: Path, moving: Path) -> None:
    for name in _names(moving):
        (moving / name).rename(path / name)
    sync_directory(path)
    moving.rmdir()
    sync_directory(path)


def _names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def _sync_file(path: Path) -> None:
    with naming(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
