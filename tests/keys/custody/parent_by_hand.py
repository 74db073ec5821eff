"""A parent whose DS RRset a test sets."""

from __future__ import annotations

from math import ceil

import trio

from keys.custody.parent_interface import ParentUnavailable
from keys.dnssec.signing_policy import HOUR
from keys.rules.wanted_ds import ParentDs
from tests.keys.world import World


class Parent:
    """A parent whose DS records are set from outside; `None`: it does not answer."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rdatas: tuple[bytes, ...] | None = ()
        self.is_settled = True
        """Whether what is not among them is gone for certain."""

    async def look_up(self, origin: bytes) -> ParentDs:
        """As `Parent.look_up`."""
        await trio.lowlevel.checkpoint()
        if self.rdatas is None:
            raise ParentUnavailable("192.0.2.1:53 was asked for lab.example. DS: no answer by TCP in 10 s")
        return ParentDs(self.rdatas, HOUR, ceil(self._world.now()), settled=self.is_settled)

    async def changed(self) -> None:
        """As `Parent.changed`."""
        await trio.sleep_forever()
