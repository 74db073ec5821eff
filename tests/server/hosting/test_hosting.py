"""Zones of files with their custodians, under a virtual clock."""

from __future__ import annotations

from pathlib import Path

import trio
from trio.testing import MockClock

from keys.dnssec.model import DAY
from server.hosting.hosting import Hosting
from server.settings.config import ZoneConfig
from tests.keys.world import Fuse, World
from tests.lab import wire_name

PARENT = """\
@ 300 SOA ns host 1 7200 3600 1209600 60
@ 300 NS ns
ns 300 A 192.0.2.53
child 300 NS ns.child
ns.child 300 A 192.0.2.54
"""
CHILD = "@ 300 SOA ns host 1 7200 3600 1209600 60\n@ 300 NS ns\nns 300 A 192.0.2.54\n"


async def test_a_parent_is_looked_at_from_when_it_is_served_here(tmp_path: Path, autojump_clock: MockClock) -> None:
    world = World(tmp_path)
    configs = []
    for origin, text in (("child.example.", CHILD), ("example.", PARENT)):
        file = tmp_path / f"{origin}zone"
        file.write_text(text)
        configs.append(ZoneConfig(origin=origin, file=file))
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            hosting = Hosting(world.services(store, Fuse()), nursery, lambda: None)
            await hosting.load(configs[:1])
            await hosting.sign()
            child = hosting.hosted[wire_name("child.example")]
            alone = child.custodian
            assert alone is not None
            assert not child.watches
            await hosting.load(configs)
            await hosting.sign()
            assert child.watches
            assert child.custodian is not None
            assert child.custodian is not alone
            await trio.sleep(DAY)
            assert child.custodian.ring.ksks[0].ds_named
            assert child.custodian.ring.ksks[0].key_tag == alone.ring.ksks[0].key_tag
            same = child.custodian
            await hosting.load(configs)
            await hosting.sign()
            assert child.custodian is same
            nursery.cancel_scope.cancel()
