"""The world of one run: true time, a clock that can be wrong, a KMS, a disk, a parent, and a process that is killed.

The key manager, its planner and the store are the real ones. Everything else obeys the plan. After the instant at which
a process is killed it can reach nothing any more: neither the disk nor the KMS, nor a backend.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from hashlib import sha512
from math import ceil
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog
import trio
from cryptography.hazmat.primitives import serialization

from keys.custody.action_executor import Services
from keys.custody.key_manager import KeyManager
from keys.custody.parent_interface import ParentUnavailable
from keys.custody.state_database import StateUnavailable, Store, Transaction
from keys.custody.unsigned_zones import UnsignedZone, store_unsigned
from keys.custody.zsk_encryption import Entropy, StateError
from keys.dnssec.ds import ds_rdata
from keys.dnssec.p256 import verify
from keys.dnssec.signing_policy import HOUR
from keys.dnssec.zone_keys import ZoneKeys
from keys.dnssec.zone_signer import ZoneSigner
from keys.kms.fake_kms import FakeKey, FakeKms, seeded
from keys.kms.interface import KeyRequest, KmsSignature, PublicKey
from keys.rules.key_status import describe
from keys.rules.keyring import Keyring
from keys.rules.wanted_ds import ParentDs
from keys.rules.zone_standing import Standing
from keys.timekeeping.clock import Clock
from keys.timekeeping.clock_rules import HOLD
from keys.timekeeping.system_clocks import Clocks
from tests.keys.world import EPOCH
from tests.simulation.history import DsSet, Foretold, History, Publication, Step
from tests.simulation.schedule import Plan
from tests.simulation.zones_above import ZonesAbove

T = TypeVar("T")


LONGEST_LOOK = 61.0
"""Seconds that a look at the parent may take."""
_START = 1200.0
"""Seconds in which a process publishes what is stored, however slow its disk is."""


class Killed(BaseException):
    """The process is dead: it can do nothing any more."""


class Life:
    """One process, from its start until it is killed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dead = False
        self.over = trio.CancelScope()
        self.commits_left: int | None = None
        """Until it is killed: each counts twice, before and after."""
        self.doomed: tuple[str, bool] | None = None
        """The change at whose commit it is killed, and whether after it."""
        self.filled: trio.Event | None = None
        """Set when the disk was filled with that change."""
        self.published = False
        self.key_manager: KeyManager | None = None
        self.clock: Clock | None = None
        self.store: SimulatedStore | None = None
        """While it serves the zone unsigned, without a key manager."""

    def kill(self) -> None:
        """It is dead at once; what still runs of it reaches nothing."""
        self.dead = True
        trio.lowlevel.current_trio_token().run_sync_soon(self.over.cancel)

    def touch(self) -> None:
        """Whatever reaches out of the process passes here. Raises `Killed`."""
        if self.dead:
            raise Killed

    def commit(self) -> None:
        """A point before or after a commit."""
        self.touch()
        if self.commits_left is not None:
            self.commits_left -= 1
            if self.commits_left <= 0 and self.world.is_mortal:
                self.kill()
                raise Killed


class KillAtStep(trio.abc.Instrument):
    """Kills a process before the n-th step that any task makes from now on: at every await there is, for some n."""

    def __init__(self, world: World, number: int) -> None:
        self._world, self._life = world, world.life
        self._left = number

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left <= 0 and self._world.is_mortal and not self._life.dead:
            self._life.kill()


class CheapSigner(ZoneSigner):
    """A KMS key with signatures that cost nothing, and that nobody can verify."""

    def sign(self, data: bytes) -> bytes:
        return sha512(self.public_key + data).digest()


class CheapKms(FakeKms):
    """A KMS whose keys are such."""

    def _make(self, request: KeyRequest) -> str:
        arn = super()._make(request)
        self.keys[arn] = FakeKey(CheapSigner(self._private_key(self._made - 1)), request)
        return arn


class SimulatedStore(Store):
    """The real store, on a disk that may be full, of a process that may be dead."""

    world: World
    life: Life

    @classmethod
    def _reading_only(cls, path: Path, why: StateUnavailable, entropy: Entropy, clock: Any) -> Self:
        # The copy is in memory, where the disk fills nothing.
        return super()._reading_only(path, why, entropy, clock.now)

    def take_up_again(self) -> None:
        if self._unwritable is not None and self.world.disk_full:
            raise StateUnavailable(self._unwritable)
        super().take_up_again()

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        if self.world.disk_full:
            raise StateUnavailable("the disk is full")
        with super().writing() as transaction:
            yield transaction

    def standings(self, origins: Collection[bytes] | None = None) -> dict[bytes, Standing]:
        if self.world.unreadable:
            return dict.fromkeys(origins or (), Standing(None, None, "the keyring is damaged"))
        return super().standings(origins)

    def save(self, keyring: Keyring, *arguments: Any, **named: Any) -> Keyring:
        self.life.commit()
        if self.world.disk_full:
            raise StateUnavailable("the disk is full")
        doomed = self.life.doomed
        if doomed and not (self.world.is_mortal and _changes(self.world.keyring, keyring, doomed[0])):
            doomed = None
        if doomed and not doomed[1]:
            self._die()
        self.life.touch()
        stored = super().save(keyring, *arguments, **named)
        self.world.stored(stored)
        if doomed:
            self._die()
        self.life.commit()
        return stored

    def _die(self) -> None:
        if self.life.filled is not None:
            self.world.disk_full = True
            self.life.filled.set()
        self.life.kill()

    def save_within(self, *arguments: Any) -> Keyring:
        self.life.commit()
        if self.world.disk_full:
            raise StateUnavailable("the disk is full")
        stored = super().save_within(*arguments)
        self.world.stored(stored)
        return stored

    def hosted_zone_id(self, *arguments: Any, **named: Any) -> str:
        self.life.commit()
        found = super().hosted_zone_id(*arguments, **named)
        self.life.commit()
        return found

    def load_keyring(self, origin: bytes) -> Keyring | None:
        self.life.touch()
        keyring = super().load_keyring(origin)
        if keyring is not None:
            self.world.loaded(keyring)
        return keyring


def _changes(before: Keyring | None, after: Keyring, what: str) -> bool:
    if before is None or before.keyset is None or after.keyset is None:
        return False
    if what == "any":
        return True
    if what == "set":
        return before.keyset.rdatas != after.keyset.rdatas
    return before.active_zsk != after.active_zsk and len(before.zsks) > 1


class DiskClock:
    """The clock of the change log, which is asked within the transaction by which a state is taken up."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.now = world.now

    def __call__(self) -> float:
        if self._world.disk_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._world.now()


class ReachableKms:
    """The KMS, to one process."""

    def __init__(self, kms: FakeKms, life: Life, latency: float) -> None:
        self._kms, self._life, self._latency = kms, life, latency

    async def _arrive(self) -> None:
        self._life.touch()
        if self._latency:
            await trio.sleep(self._latency)
            self._life.touch()

    async def create_key(self, request: KeyRequest) -> str:
        await self._arrive()
        return await self._kms.create_key(request)

    async def find_key(self, tag: str, value: str) -> str | None:
        await self._arrive()
        return await self._kms.find_key(tag, value)

    async def get_public_key(self, arn: str, hosted_zone_id: str) -> PublicKey:
        await self._arrive()
        return await self._kms.get_public_key(arn, hosted_zone_id)

    async def sign(self, arn: str, hosted_zone_id: str, message: bytes) -> KmsSignature:
        await self._arrive()
        return await self._kms.sign(arn, hosted_zone_id, message)

    async def probe(self, arn: str, hosted_zone_id: str) -> None:
        await self._arrive()
        await self._kms.probe(arn, hosted_zone_id)


class World:
    """Everything that outlives a process."""

    def __init__(self, plan: Plan, directory: Path, *, real: bool = False) -> None:
        """`real`: signatures that can be verified, and are."""
        self.plan = plan
        self.directory = directory / "state"
        self.real = real
        self.kms: FakeKms = (FakeKms if real else CheapKms)(private_key=seeded(b"simulation %d" % plan.seed))
        self.policy = plan.policy
        self.ttl = plan.ttl
        self.slept = 0
        self._foretold: tuple[int | None, int | None] = None, None
        self._clock_settled = 0.0
        self.offset = 0
        """By how much the wall clock is wrong."""
        self.stopped = 0
        """How long CLOCK_BOOTTIME stood still while a virtual machine was paused."""
        self.synchronised = True
        """What the kernel says of the wall clock."""
        self.disk_full = False
        self.disk_delay = 0.0
        self.parent_away = False
        self.parent_troubles: list[str] = []
        """How look-ups of the DS fail now; of several, as the last one says."""
        self.unreadable = False
        """Whether what is stored of the keys can't be read."""
        self.above = ZonesAbove(self) if plan.has_zones_above else None
        self.nursery: trio.Nursery
        self._left_open: list[SimulatedStore] = []
        """Of processes that were killed: they have not tidied up their files."""
        self.parent_forgotten = False
        """Whether the configuration names no parent."""
        self.configured = not plan.unsigned_for
        """The setting `signed`."""
        self._reconfigured = trio.Event()
        self.down = 0
        self.life = Life(self)
        self.keyring: Keyring | None = None
        """As it was stored last."""
        self.named: frozenset[bytes] = frozenset()
        """The DNSKEY rdata of the KSKs that the parent's DS names."""
        self.history = History(plan.origin, plan.ds_ttl, plan.policy.propagation)
        self.history.ttls.append(Step(0, plan.ttl))
        self.history.offsets.append(Step(0, 0))
        if plan.policy.earlier_ttl:
            self.history.unsigned_until = EPOCH + plan.policy.earlier_ttl
        self._make_key = seeded(b"zsk %d" % plan.seed)
        self._keys = itertools.count()
        self._tokens = itertools.count(1)
        self._entropy = itertools.count(1)

    # --- time

    def true(self) -> float:
        """True time, in seconds since the epoch."""
        return EPOCH + trio.current_time() + self.slept

    def wall(self) -> float:
        """What the wall clock says."""
        return self.true() + self.offset

    def now(self) -> float:
        """The time that the process goes by."""
        return self.life.clock.now() if self.life.clock is not None else self.wall()

    def _boot(self) -> float:
        return trio.current_time() + self.slept - self.stopped

    async def until(self, at: float) -> None:
        """Wait until that true time, through whatever the machine sleeps."""
        while (ahead := at - self.true()) > 0:  # noqa: ASYNC110 - time itself is what is waited for
            await trio.sleep(min(ahead, 6 * HOUR))

    @property
    def is_mortal(self) -> bool:
        """Whether the process may be killed: not while its clock is wrong, nor before it has noticed the jump.

        Across a restart there is nothing to hold the clock against.
        """
        return self.offset == self.history.offsets[-1].value == 0 and self.true() >= self._clock_settled

    def set_clock(self, offset: int) -> None:
        """Set the clock wrong by `offset`, or right. That is noticed when the key manager looks at it again."""
        self.offset = offset
        self._clock_settled = self.true() + 2 * self.plan.reread
        self.note_clock(woken=False)
        if self.history.offsets[-1].value != offset:
            self.nursery.start_soon(self._follow_after_hold, self.life, offset)

    async def _follow_after_hold(self, life: Life, offset: int) -> None:
        """See that a step forward that was held off, also one that sets the clock right, is followed after the hold.

        A server looks each second; the judge has to know of it though nobody here asks for the time just then.
        """
        await self.until(self.true() + HOLD)
        if life is not self.life or life.dead or offset != self.offset:
            return
        self.note_clock(woken=False)
        if self.history.offsets[-1].value != offset:
            self.object("a step was not followed when it had outlasted the hold")

    def set_wall(self, offset: int, *, noted: bool = True) -> None:
        """As `set_clock`, seen by the task that watches the clocks; `noted`: there is one."""
        self.offset = offset
        if noted:
            self.note_clock()

    def note_clock(self, *, woken: bool = True) -> None:
        """Look at the clocks: by how much the server's time is wrong now. `woken`: as in a server each second."""
        now = self.life.clock.look() if self.life.clock is not None else self.wall()
        by = round(now - self.true())
        if by != self.history.offsets[-1].value:
            self.history.offsets.append(Step(self.true(), by))
        if woken and self.life.key_manager is not None and not self.life.dead:
            self.life.key_manager.wake()

    # --- what is seen

    def stored(self, keyring: Keyring) -> None:
        """A keyring was stored: what it foretells holds from now on, and what is suspended stays."""
        before, self.keyring = self.keyring, keyring
        if self.above is not None:
            self.above.stored(keyring)
        status = describe(keyring, self.policy, int(self.now()), None, None, False)
        until = keyring.keyset.expiration if keyring.keyset is not None and status.valid_until is None else None
        self._foretold = status.valid_until or until, status.safe_until
        published = self.history.publications[-1].keys if self.history.publications else None
        if published is not None and published.keyset == keyring.keyset:
            self._foretell()
        if before is None:
            return
        if (
            keyring.keyset is not None
            and keyring.refreshed not in {before.refreshed, None}
            and not keyring.needing_action
        ):
            policy = self.policy
            if keyring.keyset.expiration < keyring.refreshed + (policy.slots - 1) * policy.slot:
                self.object("a refresh made a stock that is too small")
        if not before.needing_action or not keyring.needing_action:
            return
        if before.keyset is not None and keyring.keyset is None:
            return  # signing was disabled: a successor that has signed nothing waits to be published anew
        if [(z.sequence, z.published is None, z.activated, z.removed) for z in before.zsks if z.published] != [
            (z.sequence, z.published is None, z.activated, z.removed) for z in keyring.zsks if z.published
        ]:
            self.object("a ZSK changed although rotation is suspended")
        if before.keyset and keyring.keyset and before.is_set_bound and before.keyset.rdatas != keyring.keyset.rdatas:
            self.object("the DNSKEY RRset changed although a KSK in it can't sign")

    def loaded(self, keyring: Keyring) -> None:
        """A process has read its keyring."""
        if keyring != self.keyring:
            self.object("what was stored is not what is found")

    def publish(self, life: Life, keys: ZoneKeys | None) -> None:
        life.touch()
        life.published = True
        keyring = self.keyring
        if (
            keyring is None
            or (keys is None) != keyring.served_unsigned
            or (keys is not None and keys.keyset != keyring.keyset)
        ):
            self.object("what is published is not stored")
        self.history.publications.append(Publication(self.true(), keys))
        self._foretell()
        if self.above is not None:
            self.above.publish(keys)

    def _foretell(self) -> None:
        """What is said of what is published counts from its publication on."""
        number = len(self.history.publications) - 1
        self.history.foretold.append(Foretold(self.true(), *self._foretold, number))

    def object(self, objection: str) -> None:
        self.history.objections.append(f"{self.true():.2f}: {objection}")

    def serve_ttl(self, ttl: int) -> None:
        """From now on the zone's largest TTL is this."""
        if self.history.ttls[-1].value != ttl:
            self.history.ttls.append(Step(self.true(), ttl))

    # --- the parent

    def set_ds(self, named: frozenset[bytes]) -> None:
        self.named = named
        self.history.ds.append(DsSet(self.true(), named))

    async def look_up(self, origin: bytes) -> ParentDs:
        """As `Parent.look_up`."""
        began = trio.current_time()
        try:
            await trio.sleep(self.plan.latency)
            return await self._looked_up(origin)
        finally:
            if trio.current_time() - began > LONGEST_LOOK:
                self.object("a look at the parent was waited for, for longer than it may take")

    async def _looked_up(self, origin: bytes) -> ParentDs:
        if self.above is not None:
            return await self.above.parent.look_up(origin)
        while self.parent_troubles and self.parent_troubles[-1] == "stall":  # noqa: ASYNC110 - it is not told
            await trio.sleep(HOUR)
        if self.parent_forgotten:
            return ParentDs((), 0, ceil(self.now()), known=False)
        if self.parent_away:
            raise ParentUnavailable("the parent is away")
        rdatas = tuple(ds_rdata(origin, rdata) for rdata in sorted(self.named))
        seen = ParentDs(rdatas, self.plan.ds_ttl, ceil(self.now()))
        if self.parent_troubles:
            raise _trouble(self.parent_troubles[-1], seen)
        return seen

    async def changed(self) -> None:
        """As `Parent.changed`."""
        if self.above is not None:
            await self.above.parent.changed()
        await trio.sleep_forever()

    # --- the process

    async def run_lives(self) -> None:
        """One process after another."""
        while True:
            self.down = 0
            life = self.life = Life(self)
            try:
                await self._live(life)
            except BaseExceptionGroup as group:
                _, others = group.split((Killed, trio.Cancelled))
                if others is not None or not life.dead:
                    raise
            except Killed:
                pass
            life.dead = True
            await trio.sleep(self.down)

    async def _live(self, life: Life) -> None:
        life.clock = Clock(Clocks(self.wall, self._boot, trio.current_time, lambda: self.synchronised))
        self.note_clock()
        with self._opened(life) as store, life.over:
            if self.above is not None:
                self.above.begin(store)
            if self.unreadable:
                await self._wait_for_repair(life)
                return
            await self._serve_unsigned(life, store)
            if store.unwritable is not None:
                self.nursery.start_soon(self._expect_answers, life)
            key_manager = KeyManager(
                self.plan.origin,
                self.policy,
                None,
                self._services(store, life),
                lambda _origin, keys: self.publish(life, keys),
                parent=self,
                configured=self.configured,
            )
            # As a loaded zone file does; one with lower TTLs may have been put there while the process was down.
            await key_manager.observe_ttl(self.ttl)
            self.serve_ttl(self.ttl)
            life.key_manager = key_manager
            await key_manager.run()
            if not life.dead:
                self.object(f"frozen: {key_manager.status.problem}")
                await trio.sleep_forever()

    @contextmanager
    def _opened(self, life: Life) -> Iterator[SimulatedStore]:
        """The state, as a process opens it; what a killed process leaves is tidied up by a later one, if at all."""
        entropy = lambda size: next(self._entropy).to_bytes(size)  # noqa: E731 - as the store wants it
        if not self.plan.has_full_disks:
            with SimulatedStore.open(self.directory, entropy) as store:
                store.world, store.life = self, life
                yield store
            return
        try:
            store = SimulatedStore.open(self.directory, entropy, DiskClock(self))
        except StateError as error:
            self.object(f"a process can't start: {error}")
            self.down = int(HOUR)
            raise Killed from None
        store.world, store.life = self, life
        if store.unwritable is None:
            self.close()
        try:
            yield store
        finally:
            self._left_open.append(store)

    def close(self) -> None:
        """Close what killed processes left open."""
        while self._left_open:
            self._left_open.pop().close()

    async def _wait_for_repair(self, life: Life) -> None:
        """Until what is stored of the keys can be read again: then the process is started anew."""
        while self.unreadable or not self.is_mortal:  # noqa: ASYNC110 - time itself is what is waited for
            await trio.sleep(60)
        life.dead = True

    async def _expect_answers(self, life: Life) -> None:
        """See that a process that was started on a full disk answers from what is stored, if that needs no write."""
        await trio.sleep(_START)
        keyring, policy = self.keyring, self.policy
        if life.dead or life.published or not self.disk_full or keyring is None or keyring.keyset is None:
            return
        is_higher = policy.window > keyring.window or policy.propagation > keyring.propagation
        if not is_higher and self.ttl <= keyring.data_ttl and keyring.keyset.served(int(self.now())) is not None:
            self.object("a process that was started on a full disk answers nothing")

    async def _serve_unsigned(self, life: Life, store: SimulatedStore) -> None:
        """As long as the setting and the keyring say so: without a key manager, as those who host zones do."""
        life.store = store
        while not self.configured:
            self._reconfigured = trio.Event()
            if self._note_unsigned(life, self.ttl, lowered=False):
                self.publish(life, None)
                self.serve_ttl(self.ttl)
                self._note_unsigned(life, self.ttl, lowered=True)
            elif self.keyring is not None and not self.keyring.served_unsigned:
                break  # it is signed: only a key manager can have that ended
            with trio.move_on_after(HOUR):
                await self._reconfigured.wait()
            life.touch()
        life.store = None

    def _note_unsigned(self, life: Life, ttl: int, *, lowered: bool) -> bool:
        """Whether it is stored that the zone is served unsigned with this TTL."""
        store = life.store
        assert store is not None
        zone = UnsignedZone(self.plan.origin, ttl, self.policy.propagation, self.configured, lowered)
        try:
            stored = store_unsigned(store, [zone], lambda: f"token{next(self._tokens)}", ceil(self.now()))
        except StateUnavailable:
            return False
        keyring = stored[self.plan.origin]
        if isinstance(keyring, StateError):
            raise keyring
        return keyring.served_unsigned

    def note_unsigned_ttl(self, *, lowered: bool) -> None:
        """Another file of a zone without a key manager: what is higher is stored before, what is lower afterwards."""
        life = self.life
        if life.store is None or self.keyring is None or not self.keyring.served_unsigned:
            return
        if lowered:
            self.serve_ttl(self.ttl)
        try:
            stored = self._note_unsigned(life, self.ttl, lowered=lowered)
        except Killed:
            return
        if stored:
            self.serve_ttl(self.ttl)
        elif not lowered:
            self.ttl = self.history.ttls[-1].value  # refused; the old zone goes on being served

    def configure(self, *, signed: bool) -> None:
        """Give the setting `signed` another value."""
        self.configured = signed
        self._reconfigured.set()
        if self.life.key_manager is not None and not self.life.dead:
            self.life.key_manager.reconfigure(self.policy, None, signed)

    @property
    def is_ds_seen(self) -> bool:
        """Whether the keyring knows each KSK that the parent's DS names to be named."""
        known = {k.rdata for k in self.keyring.ksks if k.ds_named} if self.keyring is not None else set()
        return self.named <= known

    def _services(self, store: Store, life: Life) -> Services:
        kms = ReachableKms(self.kms, life, self.plan.latency)
        return Services(
            provisioning=kms,
            service=kms,
            key_policy=None,
            store=store,
            run_blocking=self._run_blocking,
            limit=trio.Semaphore(4),
            now=self.now,
            new_token=lambda: f"token{next(self._tokens)}",
            generate_private_key=self._generate,
            log=_SILENT,
            verify=verify if self.real else lambda _key, _signature, _data: True,
            reread=self.plan.reread,
        )

    async def _run_blocking(self, function: Callable[[], T]) -> T:
        if self.disk_delay:
            await trio.sleep(self.disk_delay)
        return function()

    def _generate(self) -> bytes:
        return self._make_key(next(self._keys)).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def key(self, *, newest: bool) -> str | None:
        """The ARN of the newest KMS key, or of the one before it."""
        arns = list(self.kms.keys)
        number = -1 if newest else -2
        return arns[number] if len(arns) >= -number else None


def _trouble(how: str, seen: ParentDs) -> Exception:
    """What a look-up raises: what `RemoteParent` makes of a reset, and what nobody foresaw."""
    match how:
        case "one of two":
            message = "192.0.2.1 was asked for the DS: Connection reset by peer"
            return ParentUnavailable(message, seen if seen.rdatas else None)
        case "an OSError":
            return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        case "a group":
            return ExceptionGroup("look-ups", [trio.BrokenResourceError("reset"), OSError(errno.EPIPE, "Broken pipe")])
        case "a ValueError":
            return ValueError("a response of another kind")
        case _:
            return ParentUnavailable("192.0.2.1 was asked for the DS: Connection reset by peer")


_SILENT: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
    structlog.ReturnLogger(), processors=[], wrapper_class=structlog.make_filtering_bound_logger(50)
)
