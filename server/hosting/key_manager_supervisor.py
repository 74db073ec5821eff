"""The supervisor of the key managers: at most one runs for a name, and each looks after itself.

A caller requests a key manager, and may wait for its result: published, failed or given up. No caller waits for a task
to start. A key manager that is given up ends in its own time; the next one of that name starts after that.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

import structlog
import trio

from keys.custody.key_manager import KeyManager
from server.hosting.registered_zone import RegisteredZone
from server.hosting.start_turns import StartTurns

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0  # seconds
_AT_A_TIME = 64
"""Key managers that start at a time: as many as keep threads and disk busy."""
_LONGEST_TURN = 2.0
"""Seconds after which the next one starts, though this one still waits for its KMS."""
_log = structlog.get_logger("signwright.keys")


class _Run:
    """One key manager while it runs."""

    def __init__(self, key_manager: KeyManager) -> None:
        self.key_manager = key_manager
        self.scope = trio.CancelScope()
        self.settled = trio.Event()
        """It has published, failed or been given up."""
        self.ended = trio.Event()

    async def has_ended(self) -> None:
        """Wait until it has, once it was given up, and stores nothing for anybody either: a request may outlast it."""
        await self.ended.wait()
        await self.key_manager.let_go()

    def started(self, _: object = None) -> None:
        """As trio's `TaskStatus`, for those who may have gone meanwhile."""
        self.settled.set()


class KeyManagerSupervisor:
    """Runs key managers in `nursery`, which none of them ends."""

    def __init__(
        self, nursery: trio.Nursery, keeps: Callable[[bytes, bool], None] = lambda _origin, _runs: None
    ) -> None:
        """`keeps` is called with the origin when a key manager begins to run (true), and when it has ended or fails."""
        self._nursery = nursery
        self._keeps = keeps
        self._turns = StartTurns(_AT_A_TIME)
        self._runs: dict[bytes, _Run] = {}
        """By origin, the newest of each; one that was given up stays until it has ended."""

    def start(self, zone: RegisteredZone, key_manager: KeyManager) -> None:
        """Have `key_manager` run as the one of `zone`, once the one before it has ended. Returns at once."""
        self.give_up(zone)
        before, run = self._runs.get(zone.origin), _Run(key_manager)
        self._runs[zone.origin] = run
        zone.key_manager = key_manager
        self._nursery.start_soon(self._keep, zone.origin, run, before)

    def give_up(self, zone: RegisteredZone) -> None:
        """Have the key manager of `zone` end, if it has one. Returns at once; it may have something to finish."""
        key_manager, zone.key_manager = zone.key_manager, None
        run = self._runs.get(zone.origin)
        if run is not None and run.key_manager is key_manager:
            run.key_manager.give_up()
            run.scope.cancel()
            run.settled.set()
            if run.ended.is_set():  # it was frozen, so its task is not there to forget it
                self._nursery.start_soon(self._forget, zone.origin, run)

    def hurry(self, origin: bytes) -> None:
        """Have the key manager of a zone that is asked for begin before others, if it waits for that."""
        self._turns.hurry(origin)

    async def settled(self, zone: RegisteredZone) -> None:
        """Wait until the key manager of `zone` has published keys, failed for the first time, or been given up."""
        run = self._runs.get(zone.origin)
        if run is not None:
            await run.settled.wait()

    async def ended(self, origin: bytes) -> None:
        """Wait until no key manager of that name runs: nothing is stored by one any more."""
        run = self._runs.get(origin)
        if run is not None:
            await run.has_ended()

    async def _keep(self, origin: bytes, run: _Run, before: _Run | None) -> None:
        try:
            if before is not None:
                with trio.CancelScope(shield=True):
                    await before.has_ended()
            with run.scope:
                await self._turns.take(origin)
                self._nursery.start_soon(self._end_turn, run)
                await self._live(origin, run)
        finally:
            run.settled.set()
            run.ended.set()
            if run.scope.cancel_called:
                with trio.CancelScope(shield=True):
                    await self._forget(origin, run)

    async def _forget(self, origin: bytes, run: _Run) -> None:
        """Drop a run that was given up, once nothing is being stored by it."""
        await run.has_ended()
        if self._runs.get(origin) is run:
            del self._runs[origin]

    async def _end_turn(self, run: _Run) -> None:
        try:
            with trio.move_on_after(_LONGEST_TURN):
                await run.settled.wait()
        finally:
            self._turns.give_back()

    async def _live(self, origin: bytes, run: _Run) -> None:
        """Run it. It raises nothing; should it ever, that is this zone's alone, and it is tried again."""
        pause = _FIRST_PAUSE
        while True:
            self._keeps(origin, True)
            try:
                await run.key_manager.run(task_status=run)
            except Exception as error:  # whatever it is, it must stay this zone's
                # The traceback as plain text: a log that adds the local variables would show private keys.
                trace = "".join(traceback.format_exception(error))
                _log.critical("key manager failed", zone=origin, traceback=trace, again_in=pause)
            else:
                return
            finally:
                self._keeps(origin, False)
            run.settled.set()
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
