"""Whether the state can be written: found where a write fails, and before, by trying now and then.

A key is stored once a day, and a hosted zone when somebody changes it: without a trial, a full disk would be found when
a refresh needs it.
"""

from __future__ import annotations

import math
from typing import NoReturn, Protocol

import trio

from keys.blocking_calls import RunBlocking
from server.control.server_operations import STATE_TROUBLE
from server.supervised import Report

LOOK = 2.0
"""Seconds from one look at whether a write has failed to the next."""
TRIAL, FAILED_TRIAL = 60.0, 10.0
"""Seconds from one trial to the next, while all is well and while a write has failed."""
_HANGS = 30.0
"""Seconds after which a trial that has not ended is a failure."""


class TriedStore(Protocol):
    """What is watched of a state database."""

    @property
    def failing(self) -> str | None:
        """Why the latest write or trial failed."""

    def try_writing(self) -> None:
        """Find out whether anything can be stored. Blocks as long as the disk does."""


async def watch_state(
    store: TriedStore,
    report: Report,
    run_blocking: RunBlocking,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Report what `store` fails to write, until cancelled. Started once it was tried for the first time.

    `run_blocking` can abandon what it runs, and runs one thing at a time.
    """
    tried, is_begun = -math.inf, False
    hangs: str | None = None
    while True:
        pause = TRIAL if store.failing is None and hangs is None else FAILED_TRIAL
        if trio.current_time() >= tried + pause:
            with trio.move_on_after(_HANGS) as patience:
                await run_blocking(store.try_writing)
            hangs = f"the disk has not ended a write within {_HANGS:g} s" if patience.cancelled_caught else None
            tried = trio.current_time()
        report(STATE_TROUBLE, store.failing or hangs)
        if not is_begun:
            is_begun = True
            task_status.started()
        await trio.sleep(LOOK)
