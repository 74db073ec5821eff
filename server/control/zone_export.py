"""A zone as a master file, for the control socket: made in slices, so that queries are answered meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import IO

import trio

from zones.export import exported
from zones.zoneset import ServedZone

_SLICE = 0.002
"""Seconds of work, after which others have their turn."""


async def write_export(served: ServedZone, now: int, file: IO[bytes], *, signed: bool) -> None:
    """Write the text of a zone as it is answered at `now`. Raises `CannotExportError` and `OSError`."""
    zone = served.zone
    await trio.to_thread.run_sync(lambda: zone.chain)  # which may have to be made
    pieces = exported(zone, served.keys if signed else None, now, valid=served.has_valid_keyset(now))
    for slice_ in _slices(pieces):
        file.write(slice_)
        await trio.lowlevel.checkpoint()


def _slices(pieces: Iterator[str]) -> Iterator[bytes]:
    made: list[str] = []
    began = time.perf_counter()
    for piece in pieces:
        made.append(piece)
        if time.perf_counter() - began > _SLICE:
            yield "".join(made).encode()
            made.clear()
            began = time.perf_counter()
    yield "".join(made).encode()
