"""One run of chaos: the acts, and in between whether all is well again."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.chaos.acts import Acts
from tests.chaos.stage import CHILD, LEAF, PARENT, STEADY, Stage
from tests.chaos.watching import Judge, Ledger, Resolving, validated
from tests.interop.programs import unbound

BETWEEN_CHECKS = 10
"""Acts after which all is mended, and must be well again."""
FEWEST = 4
"""Acts that are done in any case: on a machine that is busy, the first two take what time there is."""
LONGEST_MENDING = 60.0
"""Seconds that this may take: a KMS that failed is tried again after at most half as long as it has failed."""
_UNBOUND = (
    "val-log-level: 2",
    "val-bogus-ttl: 1",
    "infra-host-ttl: 1",
    "infra-keep-probing: yes",
    "cache-max-negative-ttl: 2",
    "cache-max-ttl: 10",
)


class Chaos:
    """A server, those who watch it, and what happens to it."""

    def __init__(self, folder: Path, seed: int, workers: int) -> None:
        self.stage = Stage(folder, workers)
        self.judge = Judge(self.stage)
        self.ledger = Ledger(self.stage)
        self.acts = Acts(self.stage, self.ledger, random.Random(seed))
        self.folder = folder

    def run(self, count: int, seconds: float, is_shown: bool = False) -> dict[str, Any]:
        """So many acts, as far as they begin within so many seconds, and a handful in any case; what came of it."""
        began = time.monotonic()
        with ExitStack() as held:
            held.callback(self.stage.end, signal.SIGTERM)
            self.stage.start()
            if not self.stage.objections:
                self.judge.learn()
                resolver = self._resolver(held)
                for number in range(count):
                    is_over = number >= FEWEST and time.monotonic() - began > seconds
                    if is_over or self.stage.objections:
                        break
                    act = self.acts.one()
                    self.stage.check()
                    if is_shown:
                        print(f"\r{number + 1} of {count}: {act:24}", end="", file=sys.stderr, flush=True)
                    if (number + 1) % BETWEEN_CHECKS == 0:
                        self._must_be_well(resolver)
                self._must_be_well(resolver)
        return {
            "acts": len(self.acts.seen),
            "seconds": round(time.monotonic() - began),
            "by kind": dict(Counter(self.acts.seen)),
            "acknowledged": self.ledger.acknowledged,
            "answers": dict(self.judge.seen),
            "objections": self.stage.objections,
        }

    def _resolver(self, held: ExitStack) -> Resolving:
        configuration = (self.stage.state / "trust" / "resolver.conf").read_text()
        resolving = Resolving(
            self.stage, held.enter_context(unbound(self.folder / "unbound", configuration, *_UNBOUND))
        )
        for watcher in (self.judge, resolving):
            thread = threading.Thread(target=watcher.run)
            thread.start()
            held.callback(thread.join)
            held.callback(watcher.over.set)
        return resolving

    def _must_be_well(self, resolver: Resolving) -> None:
        """Mend what was broken; then everything is validated and no acknowledged change is lost."""
        self.acts.mend()
        deadline = time.monotonic() + LONGEST_MENDING
        while (wrong := self._wrong(resolver)) is not None and not self.stage.objections:
            if time.monotonic() > deadline:
                self.stage.object(f"{LONGEST_MENDING} s after the last act: {wrong}")
            time.sleep(0.5)
        for complaint in resolver.complaints():
            self.stage.object(f"unbound: {complaint}")

    def _wrong(self, resolver: Resolving) -> str | None:
        for origin in STEADY:
            if not self.judge.asked(origin, f"www.{origin}", "A"):
                return f"www.{origin} is not answered"
        for child in (CHILD, LEAF):
            if not self.judge.asked(PARENT, child, "DS"):
                return f"{child} DS is not answered"
        lost = self.ledger.wrong()
        if lost is not None:
            return lost
        said = validated(self.stage, f"www.{CHILD}", CHILD)
        if said is not None:
            return f"delv: {said}"
        unvalidated = [origin for origin in STEADY if not resolver.is_secure(origin)]
        return f"unbound does not validate {unvalidated}" if unvalidated else None
