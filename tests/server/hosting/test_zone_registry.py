"""Zones of files with their key managers, under a virtual clock."""

from __future__ import annotations

from pathlib import Path

import trio
from trio.testing import MockClock

from keys.dnssec.signing_policy import DAY
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import ZoneConfig
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
            registry = ZoneRegistry(world.services(store, Fuse()), nursery, lambda: None)
            await registry.load(configs[:1])
            await registry.sign()
            child = registry.hosted[wire_name("child.example")]
            alone = child.key_manager
            assert alone is not None
            assert not child.watches
            await registry.load(configs)
            await registry.sign()
            assert child.watches
            assert child.key_manager is not None
            assert child.key_manager is not alone
            await trio.sleep(DAY)
            assert child.key_manager.keyring.ksks[0].ds_named
            assert child.key_manager.keyring.ksks[0].key_tag == alone.keyring.ksks[0].key_tag
            same = child.key_manager
            await registry.load(configs)
            await registry.sign()
            assert child.key_manager is same
            nursery.cancel_scope.cancel()
