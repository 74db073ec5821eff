"""What people may ask of a zone's keys, what is refused, and what the parent has to say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from keys.custody.key_manager import KeyManager
from keys.custody.parent_interface import ParentUnavailable
from keys.custody.state_database import StateUnavailable
from keys.custody.zsk_encryption import StateError
from keys.dnssec.ds import ds_rdata
from keys.dnssec.signing_policy import DAY, HOUR
from keys.kms.interface import KeyRequest
from keys.rules import commands
from keys.rules.commands import (
    ActivateKsk,
    Command,
    CreateKsk,
    DeactivateKsk,
    DeleteKsk,
    DisableSigning,
    EmergencyRollover,
    EnableSigning,
    RequestRefusedError,
    StartRollover,
)
from keys.rules.key_status import Condition
from keys.rules.keyring import Keyring, KskStatus
from keys.rules.wanted_ds import ParentDs
from tests.keys.world import EPOCH, LAB, World, check_dnskey

DS_TTL = 2 * HOUR


class FakeParent:
    """A parent whose DS RRset a test sets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rdatas: tuple[bytes, ...] = ()
        self.away = False
        self.known = True
        self.told = trio.Event()
        self.latency = 0.0
        """Seconds from a look to its answer."""
        self.settled = True
        self.failure: Exception | None = None

    async def look_up(self, origin: bytes) -> ParentDs:
        assert origin == LAB
        await trio.lowlevel.checkpoint()
        if self.away:
            raise ParentUnavailable("127.0.0.1:53 does not answer")
        if self.failure is not None:
            raise self.failure
        answer = ParentDs(self.rdatas, DS_TTL, int(self.world.now()), self.known, self.settled)
        await trio.sleep(self.latency)
        return answer

    async def changed(self) -> None:
        await self.told.wait()
        self.told = trio.Event()

    def tell(self) -> None:
        self.told.set()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def parent(world: World) -> FakeParent:
    world.parent = parent = FakeParent(world)
    return parent


def statuses(key_manager: KeyManager) -> dict[str, KskStatus]:
    return {ksk.name: ksk.status for ksk in key_manager.keyring.ksks}


async def refused(key_manager: KeyManager, command: Command) -> RequestRefusedError:
    before = without_what_was_seen(key_manager.keyring)
    with pytest.raises(RequestRefusedError) as raised:
        await key_manager.request(command)
    assert without_what_was_seen(key_manager.keyring) == before
    return raised.value


def without_what_was_seen(keyring: Keyring) -> Keyring:
    """The keyring but for what the KMS and the parent said: that counts, whatever becomes of a command."""
    ksks = (replace(k, trouble=None, ds_named=False, ds_until=None, ds_ttl=0) for k in keyring.ksks)
    return replace(keyring, ksks=tuple(ksks), parent_checked=None, newest=0, revision=0)


async def test_a_ksk_is_replaced_by_double_signature(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        assert (await refused(key_manager, DeactivateKsk("ksk_1"))).code == commands.IN_USE
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(1)
        assert statuses(key_manager) == {"ksk_1": KskStatus.ACTIVE, "second": KskStatus.ACTIVE}
        second = key_manager.status.ksks[1]
        assert second.ready == int(world.now()) - 1 + 300 + HOUR
        served = world.keys.keyset.served(int(world.now()))
        assert served is not None
        assert len(served.rrsigs) == 2
        check_dnskey(world.keys, int(world.now()))
        error = await refused(key_manager, DeleteKsk("ksk_1"))
        assert error.code == commands.WRONG_STATUS
        assert error.message == (
            "Key Signing Key with name ksk_1 cannot be deleted because current status is not INACTIVE."
        )
        await trio.sleep(HOUR + 300)
        await key_manager.request(DeactivateKsk("ksk_1"))
        await trio.sleep(1)
        assert statuses(key_manager)["ksk_1"] is KskStatus.INACTIVE
        served = world.keys.keyset.served(int(world.now()))
        assert served is not None
        assert (len(served.rrsigs), len(served.rdatas)) == (1, 2)
        await key_manager.request(ActivateKsk("ksk_1"))
        await trio.sleep(1)
        assert len(world.keys.keyset.rdatas) == 3
        await key_manager.request(DeactivateKsk("ksk_1"))
        await key_manager.request(DeleteKsk("ksk_1"))
        await trio.sleep(1)
        assert statuses(key_manager) == {"second": KskStatus.ACTIVE}
    async with world.life() as key_manager:
        assert statuses(key_manager) == {"second": KskStatus.ACTIVE}


async def test_each_key_operation_refreshes(world: World, autojump_clock: MockClock) -> None:
    arn = await world.kms.create_key(KeyRequest("mine", None, {}))
    async with world.life() as key_manager:
        operations: list[tuple[Command, int]] = [
            (CreateKsk("second", arn, active=False), 15),
            (ActivateKsk("second"), 30),
            (DeactivateKsk("ksk_1", force=True), 15),
            (ActivateKsk("ksk_1"), 30),
            (DeactivateKsk("second", force=True), 15),
        ]
        for command, cost in operations:
            before = world.kms.calls["sign"]
            await key_manager.request(command)
            await trio.sleep(1)
            assert world.kms.calls["sign"] - before == cost, command
        before = world.kms.calls["sign"]
        await key_manager.request(ActivateKsk("ksk_1"))
        await trio.sleep(1)
        assert world.kms.calls["sign"] == before  # it is ACTIVE: nothing was asked for


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (CreateKsk("ab"), commands.WRONG_NAME),
        (CreateKsk("with space"), commands.WRONG_NAME),
        (CreateKsk("ksk_1"), commands.EXISTS),
        (CreateKsk("other", "arn:aws:s3:::bucket"), commands.WRONG_ARN),
        (CreateKsk("other", "arn:aws:kms:us-east-1:000000000000:key/none"), commands.WRONG_ARN),
        (ActivateKsk("none"), commands.NO_SUCH_KSK),
        (DeactivateKsk("none"), commands.NO_SUCH_KSK),
        (DeleteKsk("none"), commands.NO_SUCH_KSK),
        (DeactivateKsk("ksk_1", force=True), commands.IN_USE),
    ],
)
async def test_what_can_not_be_is_refused(world: World, autojump_clock: MockClock, command: Command, code: str) -> None:
    async with world.life() as key_manager:
        assert (await refused(key_manager, command)).code == code


async def test_there_are_two_ksks_at_most_and_none_twice(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        assert (await refused(key_manager, CreateKsk("twin", world.arn))).code == commands.EXISTS
        await key_manager.request(CreateKsk("second", active=False))
        assert (await refused(key_manager, CreateKsk("third"))).code == commands.TOO_MANY


async def test_a_key_that_can_not_be_used_is_not_activated(world: World, autojump_clock: MockClock) -> None:
    arn = await world.kms.create_key(KeyRequest("mine", None, {}))
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second", arn, active=False))
        await trio.sleep(1)
        world.kms.disable(arn)
        error = await refused(key_manager, ActivateKsk("second"))
        assert error.code == commands.WRONG_ARN
        assert "DisabledException" in error.message


async def test_activating_a_ksk_that_was_mended_tries_at_once(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        world.kms.disable(world.arn)
        await trio.sleep(2 * DAY)
        assert statuses(key_manager)["ksk_1"] is KskStatus.ACTION_NEEDED
        assert (await refused(key_manager, ActivateKsk("ksk_1"))).code == commands.WRONG_ARN
        world.kms.enable(world.arn)
        await key_manager.request(ActivateKsk("ksk_1"))
        await trio.sleep(1)
        assert statuses(key_manager)["ksk_1"] is KskStatus.ACTIVE
        assert key_manager.status.valid_until is not None
        assert key_manager.status.valid_until > world.now() + 4 * DAY


async def test_a_ksk_that_the_ds_names_or_may_name_stays(
    world: World, parent: FakeParent, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(HOUR + 300)
        first, second = key_manager.keyring.ksks
        both = ds_rdata(LAB, first.rdata), ds_rdata(LAB, second.rdata)
        parent.rdatas = both[:1]
        assert (await refused(key_manager, DeactivateKsk("ksk_1"))).code == commands.IN_PARENT
        parent.rdatas = both
        await trio.sleep(HOUR)  # looked at once
        assert [ksk.ds_named for ksk in key_manager.status.ksks] == [True, True]
        parent.rdatas = both[1:]
        gone = int(world.now())
        assert (await refused(key_manager, DeactivateKsk("ksk_1"))).code == commands.IN_PARENT
        # What was seen then counts: the wait begins at once.
        removable = key_manager.status.ksks[0].removable
        assert removable == gone + 300 + DS_TTL
    # Also after a restart.
    async with world.life() as key_manager:
        await refused(key_manager, DeactivateKsk("ksk_1"))
        await trio.sleep(removable - world.now() - 1)
        for _ in range(2):
            await refused(key_manager, DeactivateKsk("ksk_1"))
            await trio.sleep(0.5)
        parent.away = True
        assert (await refused(key_manager, DeactivateKsk("ksk_1"))).code == commands.UNAVAILABLE
        parent.away = False
        await key_manager.request(DeactivateKsk("ksk_1"))
        assert statuses(key_manager)["ksk_1"] is KskStatus.INACTIVE


async def test_a_ds_that_changes_is_seen_at_once(world: World, parent: FakeParent, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        for named in (True, False):
            parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),) if named else ()
            parent.tell()
            await trio.sleep(0.1)
            assert key_manager.status.ksks[0].ds_named == named
        refusal = await refused(key_manager, DisableSigning())
        assert (refusal.code, "caches may hold it, or DNSKEY records" in refusal.message) == (commands.IN_PARENT, True)


async def test_a_ds_seen_while_the_parent_is_asked_counts(
    world: World, parent: FakeParent, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager, trio.open_nursery() as nursery:
        await trio.sleep(1)
        refusals: list[RequestRefusedError] = []

        async def ask() -> None:
            refusals.append(await refused(key_manager, DisableSigning()))

        parent.latency = 10.0  # of what was read before the DS was there
        nursery.start_soon(ask)
        await trio.sleep(1)
        parent.latency = 0.0
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),)
        parent.tell()
        await trio.sleep(1)
        assert key_manager.status.ksks[0].ds_named
        await trio.sleep(10)
        assert [refusal.code for refusal in refusals] == [commands.IN_PARENT]


async def test_force_passes_over_the_parent(world: World, parent: FakeParent, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),)
        assert (await refused(key_manager, DisableSigning())).code == commands.IN_PARENT
        await key_manager.request(DisableSigning(force=True))
        assert world.unsigned


@pytest.mark.parametrize("setting", ["none", "auto"])
async def test_without_a_parent_the_only_ksk_that_every_cache_knows_stays(
    world: World, autojump_clock: MockClock, setting: str
) -> None:
    """A DS that nobody here knows of names it, as far as anybody can tell; the newcomer none can name yet."""
    if setting == "auto":
        world.parent = parent = FakeParent(world)
        parent.known = False
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(1)
        ready = key_manager.keyring.ksk("second").ready
        assert ready is not None
        error = await refused(key_manager, DeactivateKsk("ksk_1"))
        assert (error.code, error.message) == (
            commands.IN_USE,
            "Key Signing Key with name ksk_1 cannot be deactivated: no other one with status ACTIVE is in every cache "
            "before 2024-10-05 01:05:00 UTC (in 3899 s), and this server knows no parent whose DS record it could "
            "check. If no DS record names it: signwright ksk deactivate lab.example. ksk_1 --force",
        )
        assert key_manager.keyring.parent_checked is None
        # The newcomer itself may go again.
        await key_manager.request(DeactivateKsk("second"))
        await key_manager.request(ActivateKsk("second"))
        await trio.sleep(1)
        ready = key_manager.keyring.ksk("second").ready
        assert ready is not None
        await trio.sleep(ready - world.now() - 0.5)
        assert (await refused(key_manager, DeactivateKsk("ksk_1"))).code == commands.IN_USE
        await trio.sleep(0.5)
        await key_manager.request(DeactivateKsk("ksk_1"))
        assert statuses(key_manager)["ksk_1"] is KskStatus.INACTIVE


async def test_a_ksk_that_is_not_published_goes_without_a_parent(world: World, autojump_clock: MockClock) -> None:
    arn = await world.kms.create_key(KeyRequest("mine", None, {}))
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(DisableSigning())
        await key_manager.request(CreateKsk("second", arn))
        await key_manager.request(DeactivateKsk("ksk_1"))  # the zone is served unsigned
        await key_manager.request(DeactivateKsk("second"))
        await key_manager.request(ActivateKsk("ksk_1"))
        await key_manager.request(EnableSigning())
        await trio.sleep(1)
        world.kms.fail("KMSInternalException", method="sign", arn=arn)
        await key_manager.request(ActivateKsk("second"))
        await trio.sleep(1)
        assert not key_manager.keyring.is_in_every_cache(key_manager.keyring.ksk("ksk_1"), int(world.now()))
        assert key_manager.keyring.ksk("second").published is None
        assert (await refused(key_manager, DeactivateKsk("ksk_1"))).code == commands.IN_USE
        await key_manager.request(DeactivateKsk("second"))
        assert statuses(key_manager) == {"ksk_1": KskStatus.ACTIVE, "second": KskStatus.INACTIVE}


async def test_force_takes_the_only_ksk_that_every_cache_knows(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(1)
        await key_manager.request(DeactivateKsk("ksk_1", force=True))
        assert statuses(key_manager)["ksk_1"] is KskStatus.INACTIVE


async def test_a_parent_that_was_asked_decides_alone(
    world: World, parent: FakeParent, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(1)
        await key_manager.request(DeactivateKsk("ksk_1"))
        assert statuses(key_manager)["ksk_1"] is KskStatus.INACTIVE


@pytest.mark.parametrize("leaves", ["while it runs", "at a restart"])
async def test_a_ds_stays_known_when_its_parent_is_known_no_more(
    world: World, parent: FakeParent, autojump_clock: MockClock, leaves: str
) -> None:
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(DAY)
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),)
        await trio.sleep(HOUR)
        if leaves == "while it runs":
            parent.rdatas, parent.known = (), False
            await trio.sleep(DAY)
            await stays(key_manager)
    if leaves == "at a restart":
        world.parent = None
        async with world.life() as key_manager:
            await trio.sleep(DAY)
            await stays(key_manager)


async def stays(key_manager: KeyManager) -> None:
    """Nobody has said that the DS is gone: nothing that it leads to goes but by force."""
    assert key_manager.keyring.ksk("ksk_1").ds_named
    for command in (DeactivateKsk("ksk_1"), DisableSigning()):
        error = await refused(key_manager, command)
        assert (error.code, "no longer knows a parent to ask" in error.message) == (commands.IN_PARENT, True)
    await key_manager.request(DisableSigning(force=True))


async def test_a_parent_known_no_more_that_had_dropped_the_ds_ends_the_wait_that_it_began(
    world: World, parent: FakeParent, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(DAY)
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),)
        await trio.sleep(HOUR)
        parent.rdatas = ()
        await trio.sleep(HOUR)
        parent.known = False
        error = await refused(key_manager, DeactivateKsk("ksk_1"))
        assert (error.code, "caches may hold it until" in error.message) == (commands.IN_PARENT, True)
        await trio.sleep(DS_TTL)
        await key_manager.request(DeactivateKsk("ksk_1"))


async def test_a_ds_is_gone_once_that_is_settled(world: World, parent: FakeParent, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(DAY)
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),)
        await trio.sleep(HOUR)
        parent.rdatas, parent.settled = (), False
        error = await refused(key_manager, DeactivateKsk("ksk_1"))
        assert (error.code, "It counts as removed when all servers" in error.message) == (commands.IN_PARENT, True)
        await trio.sleep(HOUR)
        assert key_manager.keyring.ksk("ksk_1").ds_named
        # Who has looked and not found it looks again soon, not in an hour.
        parent.settled = True
        await trio.sleep(90)
        assert not key_manager.keyring.ksk("ksk_1").ds_named
        ends = key_manager.keyring.ksk("ksk_1").ds_until
        assert ends is not None and 0 < ends - world.now() - DS_TTL <= 300
        await refused(key_manager, DeactivateKsk("ksk_1"))
        await trio.sleep(ends - world.now())
        await key_manager.request(DeactivateKsk("ksk_1"))


async def test_what_one_server_tells_while_another_fails_is_known(
    world: World, parent: FakeParent, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        rdata = ds_rdata(LAB, key_manager.keyring.ksks[0].rdata)
        seen = ParentDs((rdata,), DS_TTL, int(world.now()), settled=False)
        parent.failure = ParentUnavailable("192.0.2.2:53 does not answer", seen)
        await trio.sleep(HOUR)
        assert key_manager.keyring.ksk("ksk_1").ds_named
        parent.failure = ParentUnavailable("192.0.2.2:53 does not answer")
        await trio.sleep(HOUR)
        assert key_manager.keyring.ksk("ksk_1").ds_named


FAILURES = {
    "reset": trio.BrokenResourceError("reset by peer"),
    "several": ExceptionGroup("several", [OSError("one"), ValueError("other")]),
    "a bug": KeyError("apex"),
}


@pytest.mark.parametrize("how", [*FAILURES, "never answers"])
async def test_a_failed_look_at_the_parent_freezes_nothing(
    world: World, parent: FakeParent, autojump_clock: MockClock, how: str
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        parent.failure, parent.latency = FAILURES.get(how), 0.0 if how in FAILURES else float("inf")
        await trio.sleep(2 * HOUR)
        assert (await refused(key_manager, DisableSigning())).code == commands.UNAVAILABLE
        assert key_manager.status.condition is Condition.SIGNING
        assert {e["level"] for e in world.log if e["event"] == "the parent's DS can't be looked up"} == {"warning"}
        parent.failure, parent.latency = None, 0.0
        parent.rdatas = (ds_rdata(LAB, key_manager.keyring.ksks[0].rdata),)
        await trio.sleep(2 * HOUR)
        assert key_manager.keyring.ksk("ksk_1").ds_named


async def test_a_kms_that_can_not_be_asked_says_nothing_about_a_key(world: World, autojump_clock: MockClock) -> None:
    arn = await world.kms.create_key(KeyRequest("mine", None, {}))
    async with world.life() as key_manager:
        world.kms.fail("ThrottlingException", method="get_public_key", times=1)
        error = await refused(key_manager, CreateKsk("second", arn))
        assert (error.code, "ThrottlingException" in error.message) == (commands.UNAVAILABLE, True)
        await key_manager.request(CreateKsk("second", arn))


async def test_signing_is_disabled_and_enabled(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        zsk = key_manager.keyring.zsks[0]
        assert (await refused_with(key_manager, EnableSigning())) is None
        await key_manager.request(DisableSigning())
        assert world.unsigned
        assert key_manager.status.condition is Condition.UNSIGNED
        assert statuses(key_manager) == {"ksk_1": KskStatus.ACTIVE}
        assert (await refused(key_manager, DisableSigning())).code == commands.NOT_SIGNING
        assert (await refused(key_manager, StartRollover())).code == commands.WRONG_SIGNING
        calls = world.kms.calls.copy()
        await trio.sleep(30 * DAY)
        assert world.kms.calls == calls
    async with world.life() as key_manager:
        assert world.unsigned
        await key_manager.request(EnableSigning())
        await trio.sleep(1)
        assert not world.unsigned
        check_dnskey(world.keys, int(world.now()))
        # The same ZSK, so that what caches hold still verifies; a DS may come once no cache holds unsigned data.
        assert key_manager.keyring.zsks[0].public_key == zsk.public_key
        await trio.sleep(DAY)
        await key_manager.request(DisableSigning())
        await key_manager.request(DeactivateKsk("ksk_1"))
        assert (await refused(key_manager, EnableSigning())).code == commands.NO_ACTIVE
        await key_manager.request(DeleteKsk("ksk_1"))
        await trio.sleep(1)
        assert statuses(key_manager) == {}


async def test_a_zone_is_served_unsigned_until_its_first_keyset_also_by_the_next_process(
    world: World, autojump_clock: MockClock
) -> None:
    async with world.life() as key_manager:
        await trio.sleep(DAY)
        await key_manager.request(DisableSigning())
        world.kms.fail("KMSInternalException", method="sign")
        await key_manager.request(EnableSigning())
        await trio.sleep(DAY)
        assert world.unsigned
        assert key_manager.status.condition is Condition.TROUBLED
    world.unsigned = False
    async with world.life() as key_manager:
        assert world.unsigned  # nobody was told to expect signatures, so none are missing
        await trio.sleep(DAY)
        assert world.unsigned
        assert key_manager.status.condition is Condition.TROUBLED
        world.kms.heal()
        await trio.sleep(DAY)
        assert not world.unsigned
        assert key_manager.status.condition is Condition.SIGNING
        check_dnskey(world.keys, int(world.now()))


async def refused_with(key_manager: KeyManager, command: Command) -> str | None:
    try:
        await key_manager.request(command)
    except RequestRefusedError as error:
        return error.code
    return None


async def test_a_rollover_under_way_is_not_begun_again(world: World, autojump_clock: MockClock) -> None:
    async with world.life() as key_manager:
        await key_manager.request(StartRollover())
        assert (await refused(key_manager, StartRollover())).code == commands.BUSY
        await key_manager.request(EmergencyRollover())
        await key_manager.request(EmergencyRollover())
        await trio.sleep(2 * DAY)
        assert [zsk.removed is None for zsk in key_manager.keyring.zsks] == [False, True]


async def test_what_can_not_be_stored_changes_nothing(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.life() as key_manager:
        keyring = key_manager.keyring

        def full(*_: object, **__: object) -> Keyring:
            raise StateUnavailable("disk full")

        monkeypatch.setattr("tests.keys.world.KillableStore.save", full)
        with pytest.raises(StateError):
            await key_manager.request(CreateKsk("second"))
        with pytest.raises(StateError):
            await key_manager.observe_ttl(HOUR)
        assert key_manager.keyring == keyring


async def test_a_lost_ksk_is_replaced_by_a_ds_for_one_that_waits(world: World, autojump_clock: MockClock) -> None:
    """The RRset can't change while a KSK in it can't sign; the other one comes in as that one goes."""
    async with world.life() as key_manager:
        world.kms.delete(world.arn)
        await trio.sleep(2 * DAY)
        assert statuses(key_manager)["ksk_1"] is KskStatus.ACTION_NEEDED
        rdatas = world.keys.keyset.rdatas
        await key_manager.request(CreateKsk("second"))
        await trio.sleep(DAY)
        assert statuses(key_manager)["second"] is KskStatus.ACTIVE
        assert world.keys.keyset.rdatas == rdatas
        assert key_manager.status.ksks[1].ds is not None
        error = await refused(key_manager, DeactivateKsk("ksk_1"))
        assert "no other one with status ACTIVE is in every cache yet, and this server knows no parent" in error.message
        await key_manager.request(DeactivateKsk("ksk_1", force=True))
        await trio.sleep(1)
        assert key_manager.keyring.ksks[1].rdata in world.keys.keyset.rdatas
        assert len(world.keys.keyset.rdatas) == 2
        check_dnskey(world.keys, int(world.now()))


async def test_status_changes_are_told(world: World, autojump_clock: MockClock) -> None:
    async with world.life():
        world.told.clear()
        fault = world.kms.fail("AccessDeniedException")
        await trio.sleep(2 * DAY)
        world.kms.heal(fault)
        await trio.sleep(HOUR)
        told = [(change.ksk, change.before, change.after) for change in world.told]
        assert ("ksk_1", "ACTIVE", "ACTION_NEEDED") in told
        assert (None, "signing", "troubled") in told
        assert ("ksk_1", "ACTION_NEEDED", "ACTIVE") in told
        assert (None, "troubled", "signing") in told


def test_a_keyring_of_the_first_form_is_read(world: World) -> None:
    old = b"""{"origin":"A2xhYgdleGFtcGxlAA==","hosted_zone_id":"Z1","version":1,"revision":3,"ksks":[{"name":"ksk_1",
        "intent":"t","status":"ACTIVE","intended":1,"brought":false,"arn":"arn:1","created":1,"public_key":null,
        "changed":1,"published":null,"ready":null,"trouble":null}],"zsks":[],"ksks_intended":1,"zsks_generated":0,
        "keyset":null,"refreshed":null,"cached_until":0}"""
    keyring = msgspec.json.decode(old, type=Keyring)
    assert keyring.signing
    assert keyring.ksk("ksk_1").status is KskStatus.ACTIVE
    assert keyring.newest < EPOCH
