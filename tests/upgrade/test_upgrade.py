"""A server starts on the state of the last version before the change log: what was served goes on as it was."""

from __future__ import annotations

import itertools
from pathlib import Path

import dns.name
import dns.rdatatype
import pytest
import trio
from trio.testing import MockClock

from keys.dnssec.signing_policy import DAY
from keys.kms.interface import KeyRequest
from server.settings.configuration import ZoneConfig
from tests.keys.world import World
from tests.lab import anchor, ask, wire_name
from tests.server.hosting.test_one_truth import SOA, Served, serving
from tests.upgrade.dumped import SIGNED, UNSIGNED, restore_dump
from tests.validator.judge import judge

AGE = 1_382_480
"""Seconds for which the old version had served."""
KMS_KEYS = 6
FILES = {
    "example.": SOA + "signed 300 NS ns.signed\nns.signed 300 A 192.0.2.54\n",
    "signed.example.": SOA,
    "plain.test.": SOA,
    "off.test.": SOA,
    "was-signed.test.": SOA,
}
UNSIGNED_BY_SETTING = {"plain.test.", "was-signed.test."}


@pytest.fixture
async def world(tmp_path: Path, autojump_clock: object) -> World:
    world = World(tmp_path)
    restore_dump(world.directory)
    for _ in range(KMS_KEYS):  # the fake KMS makes the same keys again
        await world.kms.create_key(KeyRequest("as before", None, {}))
    world.kms.calls.clear()
    world.set_back = -AGE - 60
    world._tokens = itertools.count(1000)  # the old version had the first ones
    return world


def configs(here: Served) -> list[ZoneConfig]:
    found = []
    for origin, text in FILES.items():
        config = here.file(origin, text)
        found.append(ZoneConfig(origin=origin, file=config.file, signed=origin not in UNSIGNED_BY_SETTING))
    return found


def validates(here: Served, origin: str) -> None:
    served = here.registry.zoneset.get(wire_name(origin))
    assert served is not None
    now = int(here.world.now())
    wire = ask(here.registry.zoneset, origin, "SOA", now=now)
    judge(wire, dns.name.from_text(origin), dns.rdatatype.SOA, anchor(wire_name(origin), served.keys), now)


async def test_what_was_served_is_served(world: World, tmp_path: Path, autojump_clock: MockClock) -> None:
    async with serving(world, tmp_path) as here:
        loads = await here.registry.load(configs(here))
        assert [load.reason for load in loads] == [None] * len(FILES)
        # Before any key is loaded.
        assert [here.rcode(origin) for origin in UNSIGNED] == ["NOERROR"] * len(UNSIGNED)
        assert [here.rcode(origin) for origin in SIGNED] == ["SERVFAIL"] * len(SIGNED)
        await here.registry.sign()
        for origin in SIGNED:
            validates(here, origin)
        for origin in UNSIGNED:
            assert not any(rrset.rdtype == 46 for rrset in here.ask(origin, "SOA").answer)
        assert here.ds("signed.example.") == here.ksks("signed.example.") != set()
        assert world.kms.calls["create_key"] == 0


async def test_and_goes_on_for_weeks_with_rollovers(world: World, tmp_path: Path, autojump_clock: MockClock) -> None:
    async with serving(world, tmp_path) as here:
        await here.registry.load(configs(here))
        await here.registry.sign()
        before = here.registry.zoneset.get(wire_name("signed.example"))
        assert before is not None
        assert before.keys is not None
        for _ in range(20):
            await trio.sleep(DAY)
            for origin in SIGNED:
                validates(here, origin)
            assert here.ds("signed.example.") == here.ksks("signed.example.") != set()
        after = here.registry.zoneset.get(wire_name("signed.example"))
        assert after is not None
        assert after.keys is not None
        assert {one.signer.rdata for one in before.keys.signers} != {one.signer.rdata for one in after.keys.signers}
        assert [here.rcode(origin) for origin in UNSIGNED] == ["NOERROR"] * len(UNSIGNED)
        validates(here, "hosted-enabled.test.")  # the KMS answers again
