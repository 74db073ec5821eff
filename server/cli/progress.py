"""A bar on the terminal for files that take long to read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from zones.masterfile.load import Progress as Told

_PATIENCE = 1.0
"""Seconds that nobody needs to be told anything."""


@contextmanager
def reading(file: Path, console: Console | None = None, patience: float = _PATIENCE) -> Iterator[Told]:
    """What to tell how many octets of the file were read; on a terminal it draws a bar on stderr after a second."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=console or Console(stderr=True), transient=True)
    task = bar.add_task(f"reading {file}", total=None)
    began = time.monotonic()

    def tell(read: int, total: int) -> None:
        if not bar.live.is_started and bar.console.is_terminal and time.monotonic() - began >= patience:
            bar.start()
        bar.update(task, completed=read, total=total)

    try:
        yield tell
    finally:
        if bar.live.is_started:
            bar.stop()
