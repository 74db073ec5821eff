"""A chunk of cases from its first to its last, in a process that may do many: what was found, and what memory took."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from tests.fuzz import http_requests, over_sockets, packets, zone_texts
from tests.fuzz.findings import Chunk, Done, Finding
from tests.fuzz.real_program import Program, running

SIZES = {packets.KIND: 20_000, zone_texts.KIND: 600, over_sockets.KIND: 2_000, http_requests.HTTP: 1_000,
         http_requests.BODIES: 500}  # fmt: skip
"""Cases in a chunk of each kind."""
IN_PROCESS = (packets.KIND, zone_texts.KIND)
MOST_GROWN = 96 << 20
"""Octets by which memory may grow, all chunks after the first few of a process or program together."""
_WARM = 3
"""Chunks after which memory is taken to be what it stays."""


class _Here:
    """What a process of the pool keeps from chunk to chunk."""

    program: Program | None = None
    stack = ExitStack()
    memory: ClassVar[dict[str, list[int]]] = {}
    """Octets after the first chunks, of this process and of the program."""


def done_with(chunk: Chunk, code: str) -> Done:
    """Do a chunk, in a process of the pool."""
    began = time.monotonic()
    found: list[Finding] = []
    grown = 0
    if chunk.kind == packets.KIND:
        found = packets.run(chunk.seed, chunk.numbers)
        grown = _grown("own", _own_memory())
    elif chunk.kind == zone_texts.KIND:
        zone_texts.within_memory()
        found = zone_texts.run(chunk.seed, chunk.numbers)
    else:
        program = _program()
        if chunk.kind == over_sockets.KIND:
            found = over_sockets.run(program, chunk.seed, chunk.numbers)
        else:
            found = http_requests.run(program, chunk.kind, chunk.seed, chunk.numbers)
        complaints = program.complaints()
        found += [Finding(chunk.kind, chunk.seed, chunk.first, f"in this chunk: {text}", "") for text in complaints]
        if complaints:
            _Here.stack.close()
            _Here.program = None
        else:
            grown = _grown("program", program.resident())
    if grown > MOST_GROWN:
        text = f"memory has grown by {grown >> 20} MiB since this process's first chunks"
        found.append(Finding(chunk.kind, chunk.seed, chunk.first, text, ""))
    return Done(chunk, tuple(found), time.monotonic() - began, grown, code)


def _program() -> Program:
    if _Here.program is None:
        folder = _Here.stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-"))
        _Here.program = _Here.stack.enter_context(running(Path(folder)))
        _Here.memory.pop("program", None)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    return _Here.program


def _grown(whose: str, resident: int) -> int:
    first = _Here.memory.setdefault(whose, [])
    if len(first) < _WARM:
        first.append(resident)
    return max(0, resident - max(first))


def _own_memory() -> int:
    with Path("/proc/self/statm").open() as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
