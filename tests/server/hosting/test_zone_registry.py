"""Zones of files with their key managers, under a virtual clock."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import trio
from trio.testing import MockClock

from keys.custody.change_log import Position
from keys.dnssec.signing_policy import DAY
from server.hosting.answering_backends import Membership, ThisProcess
from server.hosting.registered_zone import LoadedChange
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import ZoneConfig
from tests.keys.world import Fuse, World
from tests.lab import wire_name
from zones.node import Node
from zones.zoneset import ZoneSet

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
            child = registry.registered[wire_name("child.example")]
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


class Counting(ThisProcess):
    """This process, which counts the sets of zones that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.sets, self.newest = 0, ZoneSet()

    def follow(self, zoneset: ZoneSet, position: Position) -> None:
        self.sets += len(zoneset) > 0 and zoneset is not self.newest
        self.newest = zoneset


async def test_the_zones_of_a_start_join_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    world, file, backends = World(tmp_path), tmp_path / "zone", Counting()
    file.write_text(CHILD)
    missing = ZoneConfig(origin="missing.example.", file=tmp_path / "missing")
    configs = [ZoneConfig(origin=f"z{number}.example.", file=file, signed=number != 7) for number in range(30)]
    with world.open_store() as store:
        async with trio.open_nursery() as nursery:
            here = Membership(store, backends)
            registry = ZoneRegistry(world.services(store, Fuse()), nursery, lambda: None, here)
            loads = await registry.load([*configs, missing])
            assert [load.change for load in loads] == [LoadedChange.LOADED] * 30 + [LoadedChange.REFUSED]
            assert len(registry.zoneset) == 31
            assert backends.sets == 2  # and one for what could not be loaded
            file.write_text(CHILD + "new 300 A 192.0.2.55\n")
            await registry.load([*configs, missing])
            assert (b"\x03new" + wire_name("z9.example")) in _nodes(registry, "z9.example")
            nursery.cancel_scope.cancel()


def _nodes(registry: ZoneRegistry, origin: str) -> Mapping[bytes, Node]:
    served = registry.zoneset.get(wire_name(origin))
    assert served is not None
    return served.zone.nodes
