"""A world for key managers: a clock that leaps, a KMS that outlives processes, a disk, processes that can be killed."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import structlog
import trio
import trio.testing

from keys.custody.action_executor import Services
from keys.custody.key_manager import KeyManager
from keys.custody.parent_interface import Parent
from keys.custody.state_database import Store
from keys.dnssec.p256 import generate_private_key
from keys.dnssec.signing_policy import DAY, Policy
from keys.dnssec.zone_keys import ZoneKeys
from keys.kms.fake_kms import FakeKms
from keys.kms.interface import KeyRequest, KmsSignature, PublicKey
from keys.rules.key_status import StatusChange
from keys.timekeeping.clock import Clock
from keys.timekeeping.system_clocks import Clocks

EPOCH = 20_000 * DAY
"""When every test begins: a midnight, UTC."""
POLICY = Policy()
LAB = b"\x03lab\x07example\x00"
T = TypeVar("T")


class Crash(BaseException):
    """The process is killed here."""


class Fuse:
    """Counts the points at which a process can be killed, and kills it at one of them; after that nothing happens."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at
        self.points: list[str] = []

    def point(self, name: str) -> None:
        self.points.append(name)
        if self.kill_at is not None and len(self.points) > self.kill_at:
            raise Crash(name)


class KillableStore(Store):
    """A store whose process can be killed before and after each commit."""

    fuse: Fuse

    def save(self, *arguments: Any, **named: Any) -> Any:
        self.fuse.point("before save")
        saved = super().save(*arguments, **named)
        self.fuse.point("after save")
        return saved

    def hosted_zone_id(self, *arguments: Any, **named: Any) -> str:
        self.fuse.point("before hosted zone id")
        found = super().hosted_zone_id(*arguments, **named)
        self.fuse.point("after hosted zone id")
        return found


class KillableKms:
    """A KMS whose caller can be killed before each call, and between the answer and whatever follows."""

    def __init__(self, kms: FakeKms, fuse: Fuse) -> None:
        self.kms = kms
        self.fuse = fuse

    async def create_key(self, request: KeyRequest) -> str:
        self.fuse.point("before CreateKey")
        arn = await self.kms.create_key(request)
        self.fuse.point("after CreateKey")
        return arn

    async def find_key(self, tag: str, value: str) -> str | None:
        self.fuse.point("before find")
        found = await self.kms.find_key(tag, value)
        self.fuse.point("after find")
        return found

    async def get_public_key(self, arn: str, hosted_zone_id: str) -> PublicKey:
        self.fuse.point("before GetPublicKey")
        key = await self.kms.get_public_key(arn, hosted_zone_id)
        self.fuse.point("after GetPublicKey")
        return key

    async def sign(self, arn: str, hosted_zone_id: str, message: bytes) -> KmsSignature:
        self.fuse.point("before Sign")
        signature = await self.kms.sign(arn, hosted_zone_id, message)
        self.fuse.point("after Sign")
        return signature

    async def probe(self, arn: str, hosted_zone_id: str) -> None:
        self.fuse.point("before a probe")
        await self.kms.probe(arn, hosted_zone_id)
        self.fuse.point("after a probe")


async def run_directly(function: Callable[[], T]) -> T:
    """For the virtual clock, which leaps while a thread runs."""
    return function()


class World:
    """What outlives a process, and the way to start one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "state"
        self.kms = FakeKms()
        self.published: list[tuple[int, ZoneKeys]] = []
        self.log: list[MutableMapping[str, Any]] = []
        self.private_keys: list[bytes] = []
        self.set_back = 0.0
        """Seconds by which all clocks are behind; negative: so long has the machine slept."""
        self.stepped = 0.0
        """Seconds by which somebody has set the wall clock forward."""
        self.synchronised: bool | None = None
        """What the kernel says of the wall clock."""
        self.unsigned = False
        self.ttl = 0
        """The largest TTL of the zone; 0: nobody has told it."""
        self.reread = 3600.0
        """Seconds after which a jump of the clock is noticed. To wake up each minute, as a server does, is most of what
        a virtual day costs."""
        self.slow = 0.0
        """Seconds that whatever blocks takes."""
        self.lag = 0.0
        """Seconds until every answer is of what is published."""
        self.parent: Parent | None = None
        self.told: list[StatusChange] = []
        self.turns: trio.Semaphore
        """Who holds one may have a DNSKEY RRset signed."""
        self._clock: Clock | None = None
        self._tokens = itertools.count(1)
        self._entropy = itertools.count(1)

    def now(self) -> float:
        """The time that the server goes by."""
        if self._clock is None:
            self._clock = Clock(Clocks(self.wall, self._boot, trio.current_time, lambda: self.synchronised))
        return self._clock.now()

    def wall(self) -> float:
        """What the wall clock says."""
        return EPOCH + trio.current_time() - self.set_back + self.stepped

    def _boot(self) -> float:
        return trio.current_time() - self.set_back

    @property
    def clock(self) -> Clock:
        """The clock of the process."""
        self.now()
        assert self._clock is not None
        return self._clock

    def entropy(self, size: int) -> bytes:
        return next(self._entropy).to_bytes(size)

    def open_store(self, fuse: Fuse | None = None) -> KillableStore:
        store = KillableStore.open(self.directory, self.entropy)
        store.fuse = fuse or Fuse()
        return store

    def services(self, store: Store, fuse: Fuse) -> Services:
        kms = KillableKms(self.kms, fuse)
        self.turns = trio.Semaphore(4)
        return Services(
            provisioning=kms,
            service=kms,
            key_policy=None,
            store=store,
            run_blocking=self.run_blocking,
            limit=self.turns,
            now=self.now,
            new_token=lambda: f"token{next(self._tokens)}",
            generate_private_key=self._generate,
            log=self.logger(),
            reread=self.reread,
            notify=lambda _zone, change: self.told.append(change),
            published=self._reached,
        )

    @asynccontextmanager
    async def watching(self, key_manager: KeyManager) -> AsyncIterator[None]:
        """Meanwhile the clocks are looked at each second, as a server does: most of what a virtual day would cost."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.clock.watch, key_manager.wake, self.logger())
            yield
            nursery.cancel_scope.cancel()

    async def _reached(self, _: bytes) -> None:
        if self.lag:
            await trio.sleep(self.lag)

    async def run_blocking(self, function: Callable[[], T]) -> T:
        if self.slow:
            await trio.sleep(self.slow)
        return await run_directly(function)

    def logger(self) -> structlog.typing.FilteringBoundLogger:
        def keep(_logger: object, method: str, event: MutableMapping[str, Any]) -> str:
            event["level"] = method
            self.log.append(event)
            raise structlog.DropEvent

        logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            structlog.PrintLogger(), processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        return logger

    def _generate(self) -> bytes:
        self.private_keys.append(generate_private_key())
        return self.private_keys[-1]

    @asynccontextmanager
    async def life(
        self, policy: Policy = POLICY, *, ksk_arn: str | None = None, fuse: Fuse | None = None
    ) -> AsyncIterator[KeyManager]:
        """One process from its start to its end, with a key manager of `lab.example.` that has started."""
        fuse, self._clock = fuse or Fuse(), None
        with self.open_store(fuse) as store:
            services = self.services(store, fuse)
            key_manager = KeyManager(LAB, policy, ksk_arn, services, self._publish, parent=self.parent)
            if self.ttl:
                await key_manager.observe_ttl(self.ttl)
            async with trio.open_nursery() as nursery:
                await nursery.start(key_manager.run)
                await trio.testing.wait_all_tasks_blocked()
                yield key_manager
                nursery.cancel_scope.cancel()

    def _publish(self, origin: bytes, keys: ZoneKeys | None) -> None:
        assert origin == LAB
        self.unsigned = keys is None
        if keys is None:
            return
        self.published.append((int(self.now()), keys))

    @property
    def keys(self) -> ZoneKeys:
        """What an answering process has now."""
        return self.published[-1][1]

    @property
    def arn(self) -> str:
        """The ARN of the only key in the KMS."""
        (arn,) = self.kms.keys
        return arn


def check_dnskey(keys: ZoneKeys, now: int) -> None:
    """Have dnspython validate what is served to a DNSKEY query at `now`, as a resolver that trusts the KSKs would."""
    served = keys.keyset.served(now)
    assert served is not None
    name = dns.name.from_wire(keys.keyset.owner, 0)[0]

    def rrset(rrtype: dns.rdatatype.RdataType, wires: tuple[bytes, ...]) -> dns.rrset.RRset:
        rdatas = [dns.rdata.from_wire(dns.rdataclass.IN, rrtype, wire, 0, len(wire)) for wire in wires]
        return dns.rrset.from_rdata_list(name, served.ttl, rdatas)

    dnskeys = rrset(dns.rdatatype.DNSKEY, served.rdatas)
    ksks: dict[dns.name.Name, dns.rdataset.Rdataset | Any] = {
        name: dns.rdataset.from_rdata_list(served.ttl, [rdata for rdata in dnskeys if rdata.flags == 257])
    }
    dns.dnssec.validate(dnskeys, rrset(dns.rdatatype.RRSIG, served.rrsigs), ksks, now=now)
    # Valid for as long as the slot is served and a cache may keep the last copy.
    dns.dnssec.validate(dnskeys, rrset(dns.rdatatype.RRSIG, served.rrsigs), ksks, now=served.until - 1 + served.ttl)
    assert {signer.rdata for _, signer in keys.signers} <= set(served.rdatas)
